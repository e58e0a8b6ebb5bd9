//! The registration endpoint (RFC 7591), open to public clients.

use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::authority::Client;
use crate::pages;
use crate::request::Request;
use crate::response::Response;
use crate::server::{Outcome, State};

const GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];
const RESPONSE_TYPE: &str = "code";
const AUTH_METHOD: &str = "none";

#[derive(Deserialize)]
struct Metadata {
    client_name: String,
    #[serde(default)]
    redirect_uris: Vec<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
}

pub fn register(state: &mut State, request: &Request) -> Outcome {
    if !state.settings.registration {
        let page = pages::error("There is no registration here.");
        return Outcome::new(Response::html(404, page), "refused");
    }
    let metadata = match read(request) {
        Ok(metadata) => metadata,
        Err((error, why)) => {
            let body = json!({"error": error, "error_description": why});
            return Outcome::new(Response::json(400, &body), "refused");
        }
    };
    let client_id = state.authority.register(Client {
        name: metadata.client_name.clone(),
        redirect_uris: metadata.redirect_uris.clone(),
    });
    let body = json!({
        "client_id": client_id,
        "client_name": metadata.client_name,
        "redirect_uris": metadata.redirect_uris,
        "grant_types": metadata.grant_types.unwrap_or(GRANT_TYPES.map(str::to_owned).into()),
        "response_types": [RESPONSE_TYPE],
        "token_endpoint_auth_method": AUTH_METHOD,
    });
    Outcome { client_id: Some(client_id), ..Outcome::new(Response::json(201, &body), "ok") }
}

/// The metadata of a client that may register, or an error code and its description.
fn read(request: &Request) -> Result<Metadata, (&'static str, String)> {
    let invalid = |why: &str| ("invalid_client_metadata", why.to_owned());
    if !request.has_type("application/json") {
        return Err(invalid("the request is no JSON"));
    }
    let metadata: Metadata =
        serde_json::from_slice(&request.body).map_err(|error| invalid(&error.to_string()))?;
    if metadata.client_name.is_empty() || metadata.client_name.contains(char::is_control) {
        return Err(invalid("client_name is empty or has control characters"));
    }
    if metadata.grant_types.iter().flatten().any(|grant| !GRANT_TYPES.contains(&grant.as_str())) {
        return Err(invalid("a grant type is not supported"));
    }
    if metadata.response_types.iter().flatten().any(|response| response != RESPONSE_TYPE) {
        return Err(invalid("the only response type is code"));
    }
    if metadata.token_endpoint_auth_method.as_ref().is_some_and(|method| method != AUTH_METHOD) {
        return Err(invalid("only public clients can register"));
    }
    if metadata.redirect_uris.is_empty() || !metadata.redirect_uris.iter().all(|uri| is_local(uri))
    {
        let why = "redirect_uris must be one or more of http://127.0.0.1:PORT/...";
        return Err(("invalid_redirect_uri", why.to_owned()));
    }
    Ok(metadata)
}

/// Whether a redirect URI leads to `http://127.0.0.1:PORT/...`.
fn is_local(uri: &str) -> bool {
    let Some((port, path)) =
        uri.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0)
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && Url::parse(uri).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_the_loopback_address_with_a_port_is_local() {
        assert!(is_local("http://127.0.0.1:8000/oauth/callback"));
        assert!(is_local("http://127.0.0.1:1/?a=b"));
        for uri in [
            "http://localhost:8000/oauth/callback",
            "https://127.0.0.1:8000/oauth/callback",
            "http://127.0.0.1/oauth/callback",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:70000/",
            "http://127.0.0.1:8000",
            "http://127.0.0.1:8000@example.org/",
            "http://127.0.0.1:8000/#fragment",
            "http://127.0.0.1:8000/\r\nheader",
            "",
        ] {
            assert!(!is_local(uri), "{uri:?}");
        }
    }
}
