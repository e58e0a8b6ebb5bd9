// The log of what reached the endpoints, and what became of it.

import { createHash } from 'node:crypto';

const sha256 = (text) => (text ? createHash('sha256').update(text).digest('hex') : null);

// The entry of a request that has arrived. Until the answer is decided its status is 0 and its
// result `pending`, so that a test can see that a delayed request is under way.
export function arrival(n, endpoint, form, host) {
  const grant = endpoint === 'token' ? form.get('grant_type') : null;
  const token = grant === 'refresh_token' ? form.get('refresh_token') : form.get('token');
  return {
    n,
    at_ms: Date.now(),
    endpoint,
    host,
    grant,
    client_id: form.get('client_id'),
    status: 0,
    result: 'pending',
    token_sha256: sha256(token),
    family: null,
    new_token_sha256: null,
    fault: null,
  };
}

function tokenResult(status, error, reason) {
  if (status === 200) return 'issued';
  if (reason === 'refresh token already used') return 'reused';
  return ['invalid_grant', 'invalid_client'].includes(error) ? error : 'invalid_request';
}

// Completes the entry with what the provider did. `reason` is what the provider tells its operator,
// though not the client, about a refused grant.
export function outcome(entry, form, answer, { families, reason }) {
  const json = /json/.test(answer.headers['content-type']) ? JSON.parse(answer.body) : {};
  const presented = ['code', 'refresh_token', 'token'].map((name) => form.get(name)).find(Boolean);
  entry.family = families.get(presented) ?? null;
  if (entry.endpoint === 'token') {
    entry.result = tokenResult(answer.status, json.error, reason);
    entry.new_token_sha256 = sha256(json.refresh_token);
    return;
  }
  const redirectedError = /[?&]error=/.test(answer.headers.location);
  entry.result = answer.status >= 400 || redirectedError ? 'refused' : 'ok';
  if (entry.endpoint === 'register') entry.client_id = json.client_id ?? null;
}
