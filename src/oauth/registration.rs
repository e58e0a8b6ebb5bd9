//! Dynamic client registration (RFC 7591) of a public client.

use serde::Deserialize;
use serde_json::json;

use super::endpoints::Endpoints;
use super::error::{LoginError, described, quotable};
use crate::http_client::{Http, HttpError, Reply};
use crate::names::ClientId;
use crate::site::Site;

#[derive(Deserialize)]
struct Registered {
    client_id: String,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Registers this installation at `site` with all its redirect URIs, which the server will compare
/// to the letter. A failure of the server (5xx) is tried once more.
///
/// # Errors
/// If the site cannot be reached, has no registration, or refuses.
pub async fn register(
    http: &Http,
    site: &Site,
    redirect_uris: &[String],
) -> Result<ClientId, LoginError> {
    let reply = match post(http, site, redirect_uris).await? {
        Reply { status: 500..=599, .. } => post(http, site, redirect_uris).await?,
        reply => reply,
    };
    read_registration_reply(site, &reply)
}

/// Understands the reply to a registration.
///
/// # Errors
/// If the site has no registration, or refuses.
pub fn read_registration_reply(site: &Site, reply: &Reply) -> Result<ClientId, LoginError> {
    let refused = |why: String| LoginError::RegistrationRefused { why };
    match reply.status {
        200..=299 => {
            let registered: Registered =
                reply.json().ok_or_else(|| refused("its answer has no client_id".into()))?;
            ClientId::parse(&registered.client_id)
                .ok_or_else(|| refused("its client_id is not one".into()))
        }
        404 => Err(LoginError::NoRegistration { url: Endpoints::of(site, None).register }),
        status @ (408 | 429 | 500..=599) => {
            Err(HttpError::Status { host: site.to_string(), status }.into())
        }
        status => Err(match reply.json() {
            Some(Refused { error, error_description }) => {
                let description = quotable(&error_description);
                refused(format!("{}{}", quotable(&error), described(&description)))
            }
            None => refused(format!("status {status}")),
        }),
    }
}

async fn post(http: &Http, site: &Site, redirect_uris: &[String]) -> Result<Reply, HttpError> {
    let metadata = json!({
        "client_name": "dd-oauth",
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let request = ::http::Request::post(Endpoints::of(site, None).register)
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(metadata.to_string().into_bytes())
        .map_err(|error| HttpError::Setup(error.to_string()))?;
    http.send(request).await
}
