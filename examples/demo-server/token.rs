//! The endpoints for programs: token and revocation.

use std::time::Instant;

use serde_json::json;

use crate::authority::{Exchange, Refusal};
use crate::families::Issued;
use crate::log::Grant;
use crate::request::Parameters;
use crate::response::Response;
use crate::server::{Outcome, State};

/// Issues tokens for a code or for a refresh token.
pub fn token(state: &mut State, grant: Option<Grant>, parameters: &Parameters) -> Outcome {
    let Some(grant) = grant else {
        let error = match parameters.get("grant_type") {
            Some(_) => "unsupported_grant_type",
            None => "invalid_request",
        };
        return failure(400, error, "grant_type is missing or unknown", "invalid_request");
    };
    let policy = state.settings.policy;
    let now = Instant::now();
    let get = |name| parameters.get(name);
    let issued = match grant {
        Grant::AuthorizationCode => {
            let (Some(client_id), Some(code), Some(redirect_uri), Some(verifier)) =
                (get("client_id"), get("code"), get("redirect_uri"), get("code_verifier"))
            else {
                return incomplete("client_id, code, redirect_uri and code_verifier are required");
            };
            let exchange = Exchange { client_id, code, redirect_uri, verifier };
            state.authority.exchange(&exchange, policy, now)
        }
        Grant::RefreshToken => {
            let (Some(client_id), Some(token)) = (get("client_id"), get("refresh_token")) else {
                return incomplete("client_id and refresh_token are required");
            };
            state.authority.refresh(client_id, token, policy, now)
        }
    };
    match issued {
        Ok(issued) => success(issued),
        Err(Refusal::UnknownClient) => unknown_client("invalid_client"),
        Err(Refusal::Invalid { why, family, reused }) => {
            let result = if reused { "reused" } else { "invalid_grant" };
            Outcome { family, ..failure(400, "invalid_grant", why, result) }
        }
    }
}

/// Revokes an access token or a refresh token (RFC 7009). The hint is not needed.
pub fn revoke(state: &mut State, parameters: &Parameters) -> Outcome {
    let (Some(client_id), Some(token)) = (parameters.get("client_id"), parameters.get("token"))
    else {
        return invalid_request("refused", "client_id and token are required");
    };
    match state.authority.revoke(client_id, token) {
        Ok(family) => Outcome { family, ..Outcome::new(Response::json(200, &json!({})), "ok") },
        Err(Refusal::UnknownClient) => unknown_client("refused"),
        Err(Refusal::Invalid { why, family, .. }) => {
            Outcome { family, ..invalid_request("refused", why) }
        }
    }
}

fn success(issued: Issued) -> Outcome {
    let mut body = json!({
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in.as_secs(),
        "scope": issued.scope,
    });
    if let Some(token) = &issued.refresh_token {
        body["refresh_token"] = json!(token);
    }
    let result = if issued.repeated { "repeated" } else { "issued" };
    Outcome {
        family: Some(issued.family),
        issued: issued.refresh_token,
        ..Outcome::new(Response::json(200, &body), result)
    }
}

fn incomplete(why: &str) -> Outcome {
    invalid_request("invalid_request", why)
}

fn unknown_client(result: &'static str) -> Outcome {
    failure(401, "invalid_client", "the client is unknown", result)
}

/// The answer to a request that is malformed, logged under `result`.
pub fn invalid_request(result: &'static str, why: &str) -> Outcome {
    failure(400, "invalid_request", why, result)
}

fn failure(status: u16, error: &str, why: &str, result: &'static str) -> Outcome {
    let body = json!({"error": error, "error_description": why});
    Outcome::new(Response::json(status, &body), result)
}
