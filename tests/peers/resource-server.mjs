// The resource server of the tests: Datadog's API as far as its published clients ask for it here, a
// git repository, a container registry and a WebDAV directory. All of them stand on the judge's own
// origin, as an access token is meant for no other, and take what the judge's introspection endpoint
// (RFC 7662) calls active, and nothing else.

import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import { send } from './faults.mjs';

export const INTROSPECTION = '/oauth2/v1/introspect';
// The one client of the judge that may introspect, known to nobody but this process.
export const CLIENT = { id: 'resource-server', secret: randomUUID() };

const JSON_TYPE = { 'content-type': 'application/json' };
const json = (value) => ({ status: 200, headers: JSON_TYPE, body: JSON.stringify(value) });
const missing = { status: 404, headers: JSON_TYPE, body: '{"errors":["Not Found"]}' };

// What the API answers to what its clients ask.
const API = {
  'GET /api/v1/monitor': json([]),
};

const CONFIG = '{}';
const MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const digest = (text) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: MANIFEST_TYPE,
  config: {
    mediaType: 'application/vnd.docker.container.image.v1+json',
    size: CONFIG.length,
    digest: digest(CONFIG),
  },
  layers: [],
});

const FILES = { 'one.txt': 'the first file\n', 'two.txt': 'the second file\n' };

function manifest() {
  const headers = { 'content-type': MANIFEST_TYPE, 'docker-content-digest': digest(MANIFEST) };
  return { status: 200, headers, body: MANIFEST };
}

function directory(names) {
  const entry = (name) => {
    const size = FILES[name]?.length;
    const kind = size === undefined ? '<d:collection/>' : '';
    const length = size === undefined ? '' : `<d:getcontentlength>${size}</d:getcontentlength>`;
    return `<d:response><d:href>/dav/${name}</d:href><d:propstat><d:prop>${length}
      <d:getlastmodified>Thu, 01 Jan 2026 00:00:00 GMT</d:getlastmodified>
      <d:resourcetype>${kind}</d:resourcetype>
      </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`;
  };
  const body = `<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">${names.map(entry).join('')}
    </d:multistatus>`;
  return { status: 207, headers: { 'content-type': 'application/xml' }, body };
}

function webdav(method, name) {
  const known = name === '' || name in FILES;
  if (!known) return missing;
  if (method === 'PROPFIND') return directory(name ? [name] : ['', ...Object.keys(FILES)]);
  if (method === 'GET' && name) return { status: 200, headers: {}, body: FILES[name] };
  return { status: 405 };
}

// git's own server side, as a CGI program (RFC 3875).
async function gitBackend(req, url, root) {
  const backend = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: url.pathname.slice('/git'.length),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: req.method,
      CONTENT_TYPE: req.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: req.headers['content-encoding'] ?? '',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  backend.stdin.on('error', () => {});
  req.pipe(backend.stdin);
  const output = await buffer(backend.stdout);
  const end = output.indexOf('\r\n\r\n');
  const lines = output.subarray(0, end).toString().split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => line.split(': ')));
  const status = Number.parseInt(headers.Status ?? '200', 10);
  delete headers.Status;
  return { status, headers, body: output.subarray(end + 4) };
}

export class ResourceServer {
  // `log` takes an entry for each request.
  constructor(origin, settings, log) {
    this.origin = origin;
    this.settings = settings;
    this.log = log;
  }

  // Whether a path is one of its own.
  serves(path) {
    return /^\/(api\/v1|git|v2|registry|dav)\//.test(path);
  }

  async serve(url, req, res) {
    const entry = { endpoint: 'api', at_ms: Date.now(), result: 'pending', status: 0 };
    entry.request = `${req.method} ${url.pathname}`;
    this.log.push(entry);
    const answer =
      url.pathname === '/registry/token'
        ? await this.#registryToken(url, req)
        : await this.#guarded(url, req);
    entry.result = answer.status === 401 ? 'unauthorized' : 'served';
    entry.status = send(res, answer);
  }

  async #isActive(token) {
    const basic = Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64');
    const response = await fetch(`${this.origin}${INTROSPECTION}`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
    });
    if (!response.ok) throw new Error(`the introspection answered with ${response.status}`);
    return (await response.json()).active;
  }

  // Holds a request until its token has expired, where a test asked for that: so it expires in the
  // middle of a run, and nobody has to guess how long a run takes.
  async #outlive(token) {
    if (this.settings.hold_request > 0) {
      this.settings.hold_request -= 1;
      if (this.settings.hold_request > 0) return;
      while (await this.#isActive(token)) await sleep(20);
    }
  }

  async #guarded(url, req) {
    const [, token] = /^Bearer (.+)$/i.exec(req.headers.authorization) ?? [];
    if (token) await this.#outlive(token);
    if (token && (await this.#isActive(token))) return this.#answer(url, req);
    const realm = `Bearer realm="${this.origin}/registry/token",service="registry"`;
    const challenge = url.pathname.startsWith('/v2/') ? realm : 'Bearer realm="Datadog"';
    const headers = { ...JSON_TYPE, 'www-authenticate': challenge };
    return { status: 401, headers, body: '{"errors":["Unauthorized"]}' };
  }

  // The token endpoint of the registry: docker posts an identity token as a refresh token, and at
  // its login a password by Basic.
  async #registryToken(url, req) {
    const form = new URLSearchParams((await buffer(req)).toString());
    const [, basic] = /^Basic (.+)$/i.exec(req.headers.authorization) ?? [];
    const password = Buffer.from(basic ?? '', 'base64').toString().split(':')[1];
    const token = form.get('refresh_token') ?? form.get('password') ?? password;
    if (!token || !(await this.#isActive(token))) return { status: 401, headers: JSON_TYPE };
    return json({ token, access_token: token, expires_in: 60 });
  }

  async #answer(url, req) {
    const [, service, rest] = /^\/([^/]+)\/(.*)$/.exec(url.pathname);
    if (service === 'git') return gitBackend(req, url, this.settings.git_root);
    if (service === 'dav') return webdav(req.method, rest);
    if (service === 'v2') return rest === '' ? json({}) : this.#registry(rest);
    return API[`${req.method} ${url.pathname}`] ?? missing;
  }

  #registry(path) {
    if (path === 'app/manifests/latest' || path === `app/manifests/${digest(MANIFEST)}`) {
      return manifest();
    }
    if (path === `app/blobs/${digest(CONFIG)}`) return { status: 200, headers: {}, body: CONFIG };
    return missing;
  }
}
