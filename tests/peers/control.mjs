// The control listener: how a test looks into the judge and steers it.

import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

// `judge` is `{ log, faults, settings, restart(), isActive(token) }`.
export function createControl(judge) {
  const actions = {
    'GET /log': () => judge.log,
    'DELETE /log': () => {
      judge.log.length = 0;
    },
    'POST /faults': (fault) => judge.faults.add(fault),
    'DELETE /faults': () => judge.faults.clear(),
    'POST /settings': (changes) => {
      // A misspelled setting would leave a test that tests nothing.
      const unknown = Object.keys(changes).find((name) => !(name in judge.settings));
      if (unknown) throw new Error(`unknown setting: ${unknown}`);
      Object.assign(judge.settings, changes);
    },
    'POST /restart': () => judge.restart(),
    'GET /active': async (body, query) => ({ active: await judge.isActive(query.get('token')) }),
  };

  return createServer(async (req, res) => {
    const url = new URL(req.url, 'http://control');
    const action = actions[`${req.method} ${url.pathname}`];
    let status = 200;
    let answer;
    try {
      if (!action) throw new Error(`no such action: ${req.method} ${url.pathname}`);
      answer = await action(JSON.parse((await text(req)) || '{}'), url.searchParams);
    } catch (error) {
      status = 400;
      answer = { error: error.message };
    }
    res.writeHead(status, { 'content-type': 'application/json' });
    res.end(JSON.stringify(answer ?? {}));
  });
}
