//! Revocation (RFC 7009).

use url::form_urlencoded;

use super::endpoints::Endpoints;
use crate::http_client::{Http, HttpError};
use crate::names::ClientId;
use crate::site::Site;

/// What kind of token is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenHint {
    AccessToken,
    RefreshToken,
}

/// Revokes a token of a public client; one that the server does not know counts as revoked. (The
/// `oauth2` crate refuses plain http here, also for loopback.)
///
/// # Errors
/// If the server did not say that the token is gone.
pub async fn revoke(
    http: &Http,
    site: &Site,
    client_id: &ClientId,
    token: &str,
    hint: TokenHint,
) -> Result<(), HttpError> {
    let hint = match hint {
        TokenHint::AccessToken => "access_token",
        TokenHint::RefreshToken => "refresh_token",
    };
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", client_id.as_str())
        .append_pair("token", token)
        .append_pair("token_type_hint", hint)
        .finish();
    let request = ::http::Request::post(Endpoints::of(site, None).revoke)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(form.into_bytes())
        .map_err(|error| HttpError::Setup(error.to_string()))?;
    let host = site.to_string();
    match http.send(request).await?.status {
        200..=299 => Ok(()),
        status => Err(HttpError::Status { host, status }),
    }
}
