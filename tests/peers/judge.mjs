// The judge: an authorization server that was not written for dd-oauth, with Datadog's paths, for
// the tests to log in to. It listens on 127.0.0.1 and prints one line of JSON with its two origins;
// the control listener serves the log and takes orders for faults and settings.
//
//   node judge.mjs [--access-ttl SECONDS] [--port N] [--tls-cert PATH --tls-key PATH]
//                  [--until-stdin-closes]

import './quiet.mjs';

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { createControl } from './control.mjs';
import { afterwards, Faults, insteadOf, send } from './faults.mjs';
import { arrival, outcome } from './log.mjs';
import { Memory } from './memory.mjs';
import { createProvider, interact } from './provider.mjs';
import { ResourceServer } from './resource-server.mjs';

const { values: options } = parseArgs({
  options: {
    'access-ttl': { type: 'string', default: '3600' },
    port: { type: 'string', default: '0' },
    'tls-cert': { type: 'string' },
    'tls-key': { type: 'string' },
    'until-stdin-closes': { type: 'boolean' },
  },
});

const ENDPOINTS = {
  'POST /api/v2/oauth2/register': 'register',
  'GET /oauth2/v1/authorize': 'authorize',
  'POST /oauth2/v1/token': 'token',
  'POST /oauth2/v1/revoke': 'revoke',
};

const settings = {
  access_ttl: Number(options['access-ttl']),
  callback: {},
  refuse_scopes: [],
  name_refused_scopes: true,
  registration: true,
  // For the resource server: where git repositories are, and which request from now on is held until
  // its token has expired.
  git_root: '',
  hold_request: 0,
};
const log = [];
const faults = new Faults();
let origin;
let memory;
let provider;
let listener;
let resources;

function restart() {
  memory = new Memory();
  provider = createProvider(origin, settings, memory);
  listener = provider.callback();
}

const isActive = async (token) => Boolean(await provider.AccessToken.find(token));

// Lets the provider answer into a response without a socket. So it acts to the end even if the
// client is gone, as a server does, and a fault can decide what becomes of the answer.
function act(req) {
  return new Promise((resolve) => {
    const res = new ServerResponse(req);
    res.end = (body = '') => {
      const { statusCode: status } = res;
      resolve({ status, headers: res.getHeaders(), body: Buffer.from(body) });
    };
    listener(req, res);
  });
}

async function serveEndpoint(endpoint, url, req, res) {
  const body = await buffer(req);
  const isForm = endpoint === 'token' || endpoint === 'revoke';
  const form = isForm ? new URLSearchParams(body.toString()) : url.searchParams;
  const entry = arrival(log.length + 1, endpoint, form, req.headers.host);
  log.push(entry);

  const fault = faults.take(endpoint, entry.grant);
  entry.fault = fault?.kind ?? null;
  const breakOff = insteadOf(fault);
  if (breakOff) {
    entry.result = 'faulted';
    entry.status = breakOff(res, fault);
    return;
  }
  if (fault?.kind === 'delay') await sleep(fault.ms);

  // The stream is used up: oidc-provider takes the body from here then.
  req.body = body;
  const missing = endpoint === 'register' && !settings.registration;
  const { families } = memory;
  const answer = missing ? { status: 404, headers: {}, body: Buffer.alloc(0) } : await act(req);
  outcome(entry, form, answer, { families, reason: req.refusal });
  if (fault?.kind === 'late') await sleep(fault.ms);
  const spoil = afterwards(fault);
  entry.status = spoil ? spoil(res, fault, answer) : send(res, answer);
}

async function serveCurrentUser(req, res) {
  const [, token] = /^Bearer (.+)$/i.exec(req.headers.authorization) ?? [];
  const headers = { 'content-type': 'application/json' };
  if (await isActive(token)) {
    send(res, { status: 200, headers, body: '{"data":{"type":"users"}}' });
  } else {
    headers['www-authenticate'] = 'Bearer';
    send(res, { status: 401, headers, body: '{"errors":["Unauthorized"]}' });
  }
}

async function serve(req, res) {
  const url = new URL(req.url, origin);
  const endpoint = ENDPOINTS[`${req.method} ${url.pathname}`];
  if (endpoint) await serveEndpoint(endpoint, url, req, res);
  else if (url.pathname === '/api/v2/current_user') await serveCurrentUser(req, res);
  else if (resources.serves(url.pathname)) await resources.serve(url, req, res);
  else if (url.pathname.startsWith('/interaction/')) await interact(provider, req, res);
  else listener(req, res);
}

async function listen(server, port) {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${server.address().port}`;
}

const guarded = (req, res) => {
  serve(req, res).catch((error) => {
    // A client that went away in the middle of its request is none of the judge's business.
    if (error.code !== 'ECONNRESET') console.error(error);
    if (!res.headersSent) send(res, { status: error.statusCode ?? 500 });
  });
};
const isTls = options['tls-cert'] && options['tls-key'];
const server = isTls
  ? createTlsServer(
      { cert: readFileSync(options['tls-cert']), key: readFileSync(options['tls-key']) },
      guarded,
    )
  : createServer(guarded);
origin = `${isTls ? 'https' : 'http'}://${await listen(server, Number(options.port))}`;
restart();
resources = new ResourceServer(origin, settings, log);
const control = createControl({ log, faults, settings, restart, isActive });
const controlOrigin = `http://${await listen(control, 0)}`;

process.stdout.write(`${JSON.stringify({ origin, control: controlOrigin })}\n`);

if (options['until-stdin-closes']) {
  // A test that was killed cannot stop its server, but its end of the pipe closes all the same.
  process.stdin.on('end', () => process.exit()).resume();
}
