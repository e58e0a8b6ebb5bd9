// A real browser: `node chromium.mjs URL` opens the address in headless Chromium, presses the first
// button of every page, takes what the program's last page offers, and describes that page.
//
//   BROWSER_LOG       file to append to: the URL given, then `callback STATUS`, then `page JSON`
//   CHROMIUM_SHOTS    directory for screenshots of the last page: light, dark, and as on a phone
//
// Exit status 0 if it got to the last page. Prints nothing, as it runs under the program that is
// tested.

import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const MAX_MS = 30_000;
const MAX_PAGES = 20;
const { BROWSER_LOG, CHROMIUM_SHOTS } = process.env;
const LAST_PAGE = /^http:\/\/127\.0\.0\.1:\d+\/oauth\/done\//;

function note(line) {
  if (BROWSER_LOG) appendFileSync(BROWSER_LOG, `${line}\n`);
}

async function shoot(page) {
  if (!CHROMIUM_SHOTS) return;
  const looks = [
    ['light', 'light', { width: 1280, height: 800 }],
    ['dark', 'dark', { width: 1280, height: 800 }],
    ['phone', 'light', { width: 360, height: 740 }],
    ['phone-dark', 'dark', { width: 360, height: 740 }],
  ];
  for (const [name, colorScheme, viewport] of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    await page.screenshot({ path: join(CHROMIUM_SHOTS, `${name}.png`), animations: 'disabled' });
  }
}

// What a person could see, and what the browser keeps.
async function describe(page, response) {
  const devtools = await page.context().newCDPSession(page);
  const { entries } = await devtools.send('Page.getNavigationHistory');
  const phone = { width: 320, height: 568 };
  await page.setViewportSize(phone);
  return {
    title: await page.title(),
    text: await page.locator('main').innerText(),
    history: entries.map((entry) => entry.url),
    address: page.url(),
    referrer: await page.evaluate(() => document.referrer),
    headers: response.headers(),
    scripts: await page.locator('script').count(),
    fits_a_phone: await page.evaluate(
      () => document.documentElement.scrollWidth <= document.documentElement.clientWidth,
    ),
    styled: await page.evaluate(() => getComputedStyle(document.querySelector('main')).maxWidth),
  };
}

async function browse(browser, start) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  page.setDefaultTimeout(MAX_MS);
  const [requests, complaints] = [[], []];
  let last;
  page.on('request', (request) => requests.push(request.url()));
  page.on('console', (message) => complaints.push(message.text()));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('response', (response) => {
    if (LAST_PAGE.test(response.url())) last = response;
  });
  await page.goto(start);
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const isLast = LAST_PAGE.test(page.url());
    const next = isLast ? page.locator('main a') : page.locator('form button').first();
    if (isLast && (await next.count()) === 0) {
      note(`callback ${last.status()}`);
      await page.waitForLoadState('networkidle');
      await shoot(page);
      const after = requests.slice(requests.lastIndexOf(page.url()) + 1);
      note(`page ${JSON.stringify({ ...(await describe(page, last)), after, complaints })}`);
      return;
    }
    if (isLast) note('offer');
    await Promise.all([page.waitForEvent('framenavigated'), next.click()]);
    await page.waitForLoadState();
  }
  throw new Error('too many pages');
}

const [start] = process.argv.slice(2);
note(start);
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium-headless-shell',
  args: ['--no-sandbox'],
});
try {
  await browse(browser, start);
} catch (error) {
  note(`failed ${error.message.split('\n')[0]}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
