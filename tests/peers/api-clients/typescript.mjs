// Lists monitors with Datadog's API client for TypeScript, as often as the argument says, with
// tokens of dd-oauth: what a caller does by protocol.md, section 15, and nothing more.

import { execFileSync } from 'node:child_process';

import { client, v1 } from '@datadog/datadog-api-client';

// Runs the helper with a request, and reads its answer.
function ask(...lines) {
  const input = lines.map((line) => `${line}\n`).join('');
  const stdio = ['pipe', 'pipe', 'inherit'];
  const output = execFileSync('dd-oauth', { input, stdio, timeout: 90_000, encoding: 'utf8' });
  const pairs = output.split('\n').filter(Boolean).map((line) => /^(.*?)=(.*)$/.exec(line));
  return Object.fromEntries(pairs.map(([, key, value]) => [key, value]));
}

async function listMonitors(answer) {
  const configuration = client.createConfiguration({
    authMethods: { AuthZ: { accessToken: answer.access_token } },
    baseServer: new client.BaseServerConfiguration(answer.api_url, {}),
  });
  await new v1.MonitorsApi(configuration).listMonitors();
}

let answer = ask('get');
for (let times = Number(process.argv[2]); times > 0; times -= 1) {
  try {
    await listMonitors(answer);
  } catch (error) {
    if (error.code !== 401) throw error;
    ask('erase', `site=${answer.site}`, `access_token=${answer.access_token}`);
    answer = ask('get');
    await listMonitors(answer);
  }
}
