// A browser without a screen: `node browser.mjs URL` follows the redirects of a login by hand,
// fills in and submits every form on the way, and ends with the last page of the program, whose
// offers it takes.
//
//   BROWSER_DENY           press the last button of a form instead of the first, and take no offer
//   BROWSER_LOG            file to append to: the URL given, `offer` for each offer, then
//                          `callback STATUS` of the last page
//   BROWSER_CALLBACK_ONLY  leave the callback alone and log `redirect URL` instead
//
// Exit status 0 if it got that far. Prints nothing, as it runs under the program that is tested.

import { appendFileSync } from 'node:fs';

const MAX_HOPS = 20;
const MAX_MS = 20_000;
const { BROWSER_CALLBACK_ONLY, BROWSER_DENY, BROWSER_LOG } = process.env;

function note(line) {
  if (BROWSER_LOG) appendFileSync(BROWSER_LOG, `${line}\n`);
}

// Cookies by host and path, as far as a login needs them: those set for other paths (one for each
// step of a login) must not be sent back everywhere.
class CookieJar {
  #cookies = new Map();

  store(url, lines) {
    for (const line of lines) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const [name, ...value] = pair.split('=');
      const path = attributes.find((it) => /^path=/i.test(it))?.slice('path='.length) ?? '/';
      const cookie = { host: url.hostname, path, name, value: value.join('=') };
      const key = JSON.stringify([cookie.host, path, name]);
      // An empty value is how a server deletes a cookie.
      if (cookie.value) this.#cookies.set(key, cookie);
      else this.#cookies.delete(key);
    }
  }

  header(url) {
    return [...this.#cookies.values()]
      .filter(({ host, path }) => host === url.hostname && url.pathname.startsWith(path))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }
}

function unescapeHtml(text) {
  const names = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name) return names[name] ?? whole;
    return String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal));
  });
}

function attributes(tag) {
  const found = {};
  const pattern = /([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g;
  for (const [, name, double, single, bare] of tag.matchAll(pattern)) {
    found[name.toLowerCase()] = unescapeHtml(double ?? single ?? bare ?? '');
  }
  return found;
}

// The request that submitting the page's first form makes.
function submission(html, url) {
  const form = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(html);
  if (!form) throw new Error('neither a redirect nor a form');
  const { action = '', method = 'get' } = attributes(form[1]);
  const fields = new URLSearchParams();
  const buttons = [];
  for (const [, element, rest] of form[2].matchAll(/<(input|button)\b([^>]*)>/gi)) {
    const { type, name, value = '' } = attributes(rest);
    const kind = type ?? (element.toLowerCase() === 'button' ? 'submit' : 'text');
    if (kind === 'submit') buttons.push({ name, value });
    else if (name) fields.append(name, value || (kind === 'hidden' ? '' : 'somebody'));
  }
  const button = buttons.at(BROWSER_DENY ? -1 : 0);
  if (button?.name) fields.append(button.name, button.value);

  const target = new URL(action, url);
  if (method.toLowerCase() === 'post') return { url: target, body: fields };
  target.search = fields;
  return { url: target };
}

const isLocal = ({ protocol, hostname }) => protocol === 'http:' && hostname === '127.0.0.1';
const isCallback = (url) => isLocal(url) && url.pathname === '/oauth/callback';
const isLastPage = (url) => isLocal(url) && url.pathname.startsWith('/oauth/done/');

// The address that a page of the program offers.
function offered(html) {
  const [, link] = /<a\b[^>]*\bhref="([^"]*)"/i.exec(html) ?? [];
  return link && unescapeHtml(link);
}

async function browse(start) {
  const signal = AbortSignal.timeout(MAX_MS);
  const jar = new CookieJar();
  let next = { url: new URL(start) };
  for (let hop = 0; hop < MAX_HOPS; hop += 1) {
    const { url, body } = next;
    if (isCallback(url) && BROWSER_CALLBACK_ONLY) {
      note(`redirect ${url}`);
      return;
    }
    if (isCallback(url) || isLastPage(url)) {
      const response = await fetch(url, { redirect: 'manual', signal });
      const offer = BROWSER_DENY ? undefined : offered(await response.text());
      if (offer) note('offer');
      const location = response.headers.get('location') ?? offer;
      if (!location) {
        note(`callback ${response.status}`);
        return;
      }
      next = { url: new URL(location, url) };
      continue;
    }
    const response = await fetch(url, {
      method: body ? 'POST' : 'GET',
      body,
      headers: { cookie: jar.header(url) },
      redirect: 'manual',
      signal,
    });
    jar.store(url, response.headers.getSetCookie());
    const html = await response.text();
    const location = response.headers.get('location');
    next = location ? { url: new URL(location, url) } : submission(html, url);
  }
  throw new Error('too many hops');
}

const [start] = process.argv.slice(2);
note(start);
try {
  await browse(start);
  process.exit(0);
} catch {
  process.exit(1);
}
