// oidc-provider, set up to look like Datadog: its paths, public clients only, PKCE, rotation.

import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import Provider, { errors } from 'oidc-provider';

import { CLIENT, INTROSPECTION } from './resource-server.mjs';

const HOUR = 60 * 60;
const MONTH = 30 * 24 * HOUR;

// oidc-provider needs to be told all scopes beforehand: those that a client of Datadog would ask for.
const SCOPES = `
  dashboards_read dashboards_write monitors_read monitors_write monitors_downtime apm_read slos_read
  slos_write slos_corrections incident_read incident_write synthetics_read synthetics_write
  synthetics_global_variable_read synthetics_global_variable_write
  synthetics_private_location_read synthetics_private_location_write
  security_monitoring_signals_read security_monitoring_rules_read
  security_monitoring_findings_read security_monitoring_suppressions_read
  security_monitoring_filters_read rum_apps_read rum_apps_write rum_retention_filters_read
  rum_retention_filters_write hosts_read user_access_read user_self_profile_read cases_read
  cases_write events_read logs_read_data logs_read_index_data metrics_read timeseries_query
  usage_read`.match(/\w+/g);

// Left to itself oidc-provider drops a scope that it does not know; Datadog fails the login. This
// runs once client and redirect URI are found good, so that the error goes back to the client. By
// then the unknown scopes are dropped already, hence the query.
function refuseScopes(settings, query) {
  const refused = (query.scope?.split(' ') ?? []).filter(
    (name) => !SCOPES.includes(name) || settings.refuse_scopes.includes(name),
  );
  if (refused.length > 0) {
    const named = `The following scopes are not recognized: ${refused.join(', ')}`;
    const description = settings.name_refused_scopes ? named : 'not these';
    throw new errors.CustomOIDCProviderError('invalid_scope', description);
  }
}

function checkRegistration(ctx, key, redirectUris, metadata) {
  if (metadata.client_id === CLIENT.id) return;
  if (metadata.token_endpoint_auth_method !== 'none') {
    throw new errors.InvalidClientMetadata('token_endpoint_auth_method must be none');
  }
  const loopback = /^http:\/\/127\.0\.0\.1:\d+\//;
  if (Array.isArray(redirectUris) && !redirectUris.every((uri) => loopback.test(uri))) {
    // The leading word makes oidc-provider answer `invalid_redirect_uri`.
    throw new errors.InvalidClientMetadata('redirect_uris must be of http://127.0.0.1:PORT/');
  }
  // Otherwise oidc-provider would hold the client to these scopes for ever, which nothing says of
  // Datadog.
  delete metadata.scope;
}

export function createProvider(origin, settings, memory) {
  const provider = new Provider(origin, {
    adapter: memory.adapter,
    routes: {
      registration: '/api/v2/oauth2/register',
      authorization: '/oauth2/v1/authorize',
      token: '/oauth2/v1/token',
      revocation: '/oauth2/v1/revoke',
      introspection: INTROSPECTION,
    },
    features: {
      devInteractions: { enabled: false },
      registration: {
        enabled: true,
        idFactory: () => randomUUID(),
        issueRegistrationAccessToken: false,
      },
      revocation: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: async (ctx, client) => client.clientId === CLIENT.id,
      },
    },
    clientAuthMethods: ['none', 'client_secret_basic'],
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        grant_types: [],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    clientDefaults: {
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    responseTypes: ['code'],
    allowOmittingSingleRegisteredRedirectUri: false,
    pkce: { required: () => true },
    scopes: SCOPES,
    extraParams: { dd_oid: (ctx) => refuseScopes(settings, ctx.query) },
    extraClientMetadata: { properties: ['redirect_uris'], validator: checkRegistration },
    rotateRefreshToken: true,
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    // Each login is a family of its own: a second one in the same browser must neither reuse the
    // first one's grant nor end its tokens.
    loadExistingGrant: (ctx) => {
      const grantId = ctx.oidc.result?.consent?.grantId;
      return grantId && ctx.oidc.provider.Grant.find(grantId);
    },
    expiresWithSession: async () => false,
    // The default would keep expired tokens alive for another 15 seconds.
    clockTolerance: 0,
    ttl: {
      AccessToken: () => settings.access_ttl,
      AuthorizationCode: 60,
      Grant: MONTH,
      IdToken: HOUR,
      Interaction: HOUR,
      RefreshToken: MONTH,
      Session: HOUR,
    },
  });

  provider.on('authorization.success', (ctx, parameters) => {
    Object.assign(parameters, settings.callback);
  });
  // What the client is not told: the log needs it to tell a spent token from an unknown one.
  provider.on('grant.error', (ctx, error) => {
    ctx.req.refusal = error.error_detail;
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider;
}

const page = (uid) => `<!doctype html>
<title>Judge</title>
<form action="/interaction/${uid}" method="post">
  <input type="text" name="login" value="somebody">
  <input type="password" name="password">
  <button type="submit" name="decision" value="allow">Allow</button>
  <button type="submit" name="decision" value="deny">Deny</button>
</form>
`;

// Login and consent on one page, where oidc-provider's own would be two.
export async function interact(provider, req, res) {
  const { uid, params, session } = await provider.interactionDetails(req, res);
  if (req.method !== 'POST') {
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
    res.end(page(uid));
    return;
  }
  const form = new URLSearchParams(await text(req));
  if (form.get('decision') !== 'allow') {
    const result = { error: 'access_denied', error_description: 'The user denied the request' };
    await provider.interactionFinished(req, res, result);
    return;
  }
  // Another account than the session's would make oidc-provider insist on a logout first.
  const accountId = session?.accountId ?? (form.get('login') || 'somebody');
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? '');
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(req, res, { login: { accountId }, consent });
}
