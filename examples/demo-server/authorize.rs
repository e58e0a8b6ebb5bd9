//! The authorization endpoint: the consent page, and the way back to the client.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use url::Url;

use crate::authority::Authorization;
use crate::pages;
use crate::request::{Parameters, Request};
use crate::response::Response;
use crate::server::{Outcome, State};

/// The length of a SHA-256 in base64url.
const CHALLENGE_LENGTH: usize = 43;

/// Shows the consent page. Where the client or its redirect URI is in doubt a person is told,
/// because redirecting could serve an attacker; all else goes back to the client.
pub fn ask(state: &mut State, parameters: &Parameters) -> Outcome {
    let client_id = parameters.get("client_id").unwrap_or_default();
    let Some(client) = state.authority.client(client_id) else {
        return refuse("The client is unknown.");
    };
    let redirect_uri = parameters.get("redirect_uri").unwrap_or_default();
    if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
        return refuse("The client did not register this redirect URI.");
    }
    let name = client.name.clone();

    let scope = parameters.get("scope").unwrap_or_default();
    let challenge = parameters.get("code_challenge").unwrap_or_default();
    if let Err((error, why)) = check(state, parameters, scope, challenge) {
        let query = error_query(error, &why, parameters.get("state"));
        let response = redirect(302, redirect_uri, query);
        return Outcome::new(response, "refused");
    }
    let ticket = state.authority.await_consent(Authorization {
        client_id: client_id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        scope: scope.to_owned(),
        state: parameters.get("state").map(str::to_owned),
        challenge: challenge.to_owned(),
    });
    Outcome::new(Response::html(200, pages::consent(&name, scope, &ticket)), "ok")
}

/// An error page in place of the consent page.
pub fn refuse(why: &str) -> Outcome {
    Outcome::new(Response::html(400, pages::error(why)), "refused")
}

/// Takes the decision that a person made on the consent page, and returns it as a word too.
pub fn decide(state: &mut State, request: &Request) -> (Response, &'static str) {
    let parameters = Parameters::parse(&request.body).unwrap_or_default();
    let decision = parameters.get("decision");
    let ticket = parameters.get("ticket").unwrap_or_default();
    let Some(authorization) = state.authority.take_waiting(ticket) else {
        let page = pages::error("This page was answered before, or the server has forgotten it.");
        return (Response::html(400, page), "refused");
    };
    let redirect_uri = authorization.redirect_uri.clone();
    if decision != Some("allow") {
        let why = "The request was denied.";
        let query = error_query("access_denied", why, authorization.state.as_deref());
        return (redirect(303, &redirect_uri, query), "denied");
    }

    let mut query = BTreeMap::new();
    if let Some(state) = &authorization.state {
        query.insert("state".to_owned(), state.clone());
    }
    let code = state.authority.grant(authorization, Instant::now());
    query.insert("code".to_owned(), code);
    for (name, value) in &state.settings.callback {
        match value {
            Value::Null => query.remove(name),
            Value::String(text) => query.insert(name.clone(), text.clone()),
            other => query.insert(name.clone(), other.to_string()),
        };
    }
    (redirect(303, &redirect_uri, query), "allowed")
}

/// Checks all that the client can be told about: an error code and its description.
fn check(
    state: &State,
    parameters: &Parameters,
    scope: &str,
    challenge: &str,
) -> Result<(), (&'static str, String)> {
    if parameters.get("response_type") != Some("code") {
        let why = "The response_type must be code.";
        return Err(("unsupported_response_type", why.to_owned()));
    }
    if parameters.get("code_challenge_method") != Some("S256")
        || challenge.len() != CHALLENGE_LENGTH
    {
        let why = "PKCE with the method S256 is required.";
        return Err(("invalid_request", why.to_owned()));
    }
    let refused: Vec<_> = scope
        .split(' ')
        .filter(|scope| state.settings.refuse_scopes.iter().any(|known| known == scope))
        .collect();
    if refused.is_empty() {
        Ok(())
    } else {
        let why = if state.settings.name_refused_scopes {
            format!("The following scopes are not recognized: {}", refused.join(", "))
        } else {
            String::new()
        };
        Err(("invalid_scope", why))
    }
}

fn error_query(error: &str, why: &str, state: Option<&str>) -> BTreeMap<String, String> {
    [("error", Some(error)), ("error_description", Some(why)), ("state", state)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect()
}

fn redirect(status: u16, redirect_uri: &str, query: BTreeMap<String, String>) -> Response {
    let mut location = Url::parse(redirect_uri).expect("registration checked this");
    if !query.is_empty() {
        location.query_pairs_mut().extend_pairs(query);
    }
    Response::redirect(status, location.as_str())
}
