// Faults that a test orders at the control listener, and what each does to an answer.
//
// A fault is `{ endpoint, grant?, times?, kind, ... }`: the kind is a key of the tables below, or
// one of WAITS with `ms`, and brings the fields that are read there. Without `grant` it meets every
// grant, without `times` every request.

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const ENDLESS_LIMIT = 64 * 1024 * 1024;
const ENDPOINTS = new Set(['register', 'authorize', 'token', 'revoke']);
// Before the server acts, or between that and its answer.
const WAITS = new Set(['delay', 'late']);
const JSON_TYPE = 'application/json';

// Every function below sends what its fault says, and returns the status that the log is to show,
// 0 where not a byte was sent.

export function send(res, { status, headers = {}, body = '' }) {
  res.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  res.end(body);
  return status;
}

function hangUp(res) {
  res.req.socket.destroy();
  return 0;
}

// A token without an end, not white space: no parser can tell early that it is of no use.
function* endlessToken() {
  const piece = Buffer.alloc(64 * 1024, 'a');
  yield Buffer.from('{"access_token":"');
  for (let sent = 0; sent < ENDLESS_LIMIT; sent += piece.length) yield piece;
}

// Instead of acting: the server's state stays as it was.
const BEFORE = {
  status(res, fault) {
    const headers = { 'content-type': fault.content_type ?? JSON_TYPE, ...fault.headers };
    return send(res, { status: fault.status, headers, body: fault.body });
  },
  refuse: hangUp,
  redirect(res, fault) {
    return send(res, { status: 307, headers: { location: fault.location } });
  },
  endless(res) {
    res.writeHead(200, { 'content-type': JSON_TYPE });
    // The client going away is the expected end and arrives here as an error.
    pipeline(Readable.from(endlessToken()), res, { end: false })
      .catch(() => {})
      .finally(() => hangUp(res));
    return 200;
  },
};

// After the server has acted: only the answer suffers.
const AFTER = {
  cut(res, fault, { status, headers, body }) {
    res.writeHead(status, { ...headers, 'content-length': body.length });
    res.write(body.subarray(0, body.length / 2));
    // Not destroy(): what was written must still go out.
    res.req.socket.destroySoon();
    return status;
  },
  lost: hangUp,
  'after-status'(res, fault) {
    return send(res, { status: fault.status });
  },
  body(res, fault) {
    const headers = { 'content-type': fault.content_type ?? JSON_TYPE };
    return send(res, { status: fault.status ?? 200, headers, body: fault.body });
  },
  patch(res, fault, { status, headers, body }) {
    const patched = { ...JSON.parse(String(body) || '{}'), ...fault.patch };
    for (const key of Object.keys(patched)) {
      if (patched[key] === null) delete patched[key];
    }
    return send(res, { status, headers, body: JSON.stringify(patched) });
  },
};

export const insteadOf = (fault) => BEFORE[fault?.kind];
export const afterwards = (fault) => AFTER[fault?.kind];

export class Faults {
  #queue = [];

  add(fault) {
    if (!ENDPOINTS.has(fault.endpoint)) throw new Error(`unknown endpoint: ${fault.endpoint}`);
    if (!WAITS.has(fault.kind) && !insteadOf(fault) && !afterwards(fault)) {
      throw new Error(`unknown kind of fault: ${fault.kind}`);
    }
    this.#queue.push({ times: Infinity, ...fault });
  }

  clear() {
    this.#queue = [];
  }

  take(endpoint, grant) {
    const fault = this.#queue.find(
      (it) => it.endpoint === endpoint && it.times > 0 && (!it.grant || it.grant === grant),
    );
    if (fault) fault.times -= 1;
    return fault;
  }
}
