//! The token endpoint: exchanging a code, and refreshing.

use std::cell::Cell;
use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthorizationCode, Client, EndpointNotSet, EndpointSet, HttpResponse, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, StandardRevocableToken, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::endpoints::Endpoints;
use super::error::{TokenError, described, quotable};
use crate::http_client::{Http, Reply};
use crate::names::ClientId;
use crate::scope::Scopes;
use crate::secret::{AccessToken, RefreshToken, Secret};
use crate::site::Site;

/// What the token endpoint granted.
#[derive(Debug)]
pub struct Grant {
    pub access_token: AccessToken,
    /// Missing where the one that was presented stays in use.
    pub refresh_token: Option<RefreshToken>,
    /// Seconds, as far as the server said something that is a whole number.
    pub expires_in: Option<i64>,
    /// Missing where they are those that were asked for (RFC 6749, section 5.1).
    pub scopes: Option<Scopes>,
}

type TokenClient = Client<
    BasicErrorResponse,
    TokenReply,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

fn client(site: &Site, client_id: &ClientId) -> TokenClient {
    let token = TokenUrl::new(Endpoints::of(site, None).token).expect("a site's URLs are URLs");
    Client::new(oauth2::ClientId::new(client_id.as_str().to_string())).set_token_uri(token)
}

/// Exchanges an authorization code (RFC 6749, section 4.1.3, and RFC 7636, section 4.5).
///
/// # Errors
/// See [`TokenError`].
pub async fn exchange(
    http: &Http,
    site: &Site,
    client_id: &ClientId,
    code: AuthorizationCode,
    redirect_uri: &RedirectUrl,
    verifier: PkceCodeVerifier,
) -> Result<Grant, TokenError> {
    let client = client(site, client_id).set_redirect_uri(redirect_uri.clone());
    let request = client.exchange_code(code).set_pkce_verifier(verifier);
    let send = async |request| judge(&http.send(request).await?);
    understand(request.request_async(&send).await)
}

/// Refreshes (RFC 6749, section 6). Whatever whole reply comes is given to `secure` before
/// anything else is done with it; where that fails, the reply is not used.
///
/// # Errors
/// See [`TokenError`].
pub async fn refresh(
    http: &Http,
    site: &Site,
    client_id: &ClientId,
    refresh_token: &RefreshToken,
    secure: &mut dyn FnMut(&Reply) -> bool,
) -> Result<Grant, TokenError> {
    let token = oauth2::RefreshToken::new(refresh_token.expose().to_string());
    // The trait asks for `Fn`, though it calls only once.
    let secure = Cell::new(Some(secure));
    let send = async |request| {
        let reply = http.send(request).await?;
        let secured = secure.take().is_some_and(|secure| secure(&reply));
        if secured { judge(&reply) } else { Err(TokenError::NotSecured) }
    };
    understand(client(site, client_id).exchange_refresh_token(&token).request_async(&send).await)
}

/// Understands a reply to [`refresh`] that was secured before a crash.
///
/// # Errors
/// See [`TokenError`].
pub fn read_refresh_reply(
    site: &Site,
    client_id: &ClientId,
    refresh_token: &RefreshToken,
    reply: Reply,
) -> Result<Grant, TokenError> {
    let token = oauth2::RefreshToken::new(refresh_token.expose().to_string());
    let reply = Cell::new(Some(reply));
    let send =
        |_| ready(reply.take().ok_or(TokenError::NotSecured).and_then(|reply| judge(&reply)));
    let client = client(site, client_id);
    let reading = pin!(client.exchange_refresh_token(&token).request_async(&send));
    match reading.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => understand(result),
        // There is nothing to wait for: the reply is here.
        Poll::Pending => Err(TokenError::NotSecured),
    }
}

/// Sorts replies by what they say about the request; only a grant goes on to be parsed.
fn judge(reply: &Reply) -> Result<HttpResponse, TokenError> {
    let declined = |hint: &str| {
        let hint = hint.to_string();
        Err(TokenError::Declined { status: reply.status, retry_after: reply.retry_after, hint })
    };
    match reply.status {
        200 if !reply.may_be_object() => {
            return Err(TokenError::Unreadable { why: "it is not JSON with an access_token" });
        }
        200 => {}
        500 | 502 | 504 => return Err(TokenError::ServerFailed { status: reply.status }),
        201..=299 => return Err(TokenError::Unreadable { why: "its status is not 200" }),
        300..=399 => return declined(": a redirect, which is never followed with a token"),
        408 | 429 | 503 => return declined(""),
        _ => return Err(refused(reply)),
    }
    let mut response = HttpResponse::new(reply.body.to_vec());
    *response.status_mut() = ::http::StatusCode::from_u16(reply.status)
        .map_err(|_| TokenError::Unreadable { why: "its status is none of HTTP's" })?;
    Ok(response)
}

/// Understands an error that the endpoint itself reports (RFC 6749, section 5.2), if it is one.
fn refused(reply: &Reply) -> TokenError {
    let (status, retry_after) = (reply.status, reply.retry_after);
    let Some(refusal) = reply.json::<BasicErrorResponse>() else {
        return TokenError::Declined { status, retry_after, hint: String::new() };
    };
    let description = quotable(refusal.error_description().map_or("", String::as_str));
    match refusal.error() {
        BasicErrorResponseType::InvalidGrant => TokenError::InvalidGrant { description },
        BasicErrorResponseType::InvalidClient => TokenError::InvalidClient { description },
        other => {
            let (code, why) = (quotable(other.as_ref()), described(&description));
            TokenError::Declined { status, retry_after, hint: format!(": {code}{why}") }
        }
    }
}

fn understand(
    result: Result<TokenReply, RequestTokenError<TokenError, BasicErrorResponse>>,
) -> Result<Grant, TokenError> {
    match result {
        Ok(reply) => reply.grant(),
        Err(RequestTokenError::Request(error)) => Err(error),
        // These carry the body, which may hold tokens: none of it goes into the message.
        Err(_) => Err(TokenError::Unreadable { why: "it is not JSON with an access_token" }),
    }
}

/// A token response (RFC 6749, section 5.1), read leniently where a mistake of the server must
/// not cost a session.
#[derive(Debug, Deserialize, Serialize)]
struct TokenReply {
    access_token: oauth2::AccessToken,
    token_type: Option<String>,
    refresh_token: Option<oauth2::RefreshToken>,
    // Raw, as a number that fits no type would make the whole response unreadable.
    expires_in: Option<Box<RawValue>>,
    // Raw, as some servers send a list.
    scope: Option<Box<RawValue>>,
}

impl TokenReply {
    fn grant(self) -> Result<Grant, TokenError> {
        let unreadable = |why| TokenError::Unreadable { why };
        // A server that leaves it out cannot mean another: no other is in use.
        if self.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(unreadable("its token_type is not Bearer"));
        }
        let access_token = Secret::parse(self.access_token.into_secret())
            .ok_or_else(|| unreadable("its access_token is not a token"))?;
        let refresh_token = match self.refresh_token {
            None => None,
            Some(token) => Some(
                Secret::parse(token.into_secret())
                    .ok_or_else(|| unreadable("its refresh_token is not a token"))?,
            ),
        };
        let number = |raw: &RawValue| raw.get().trim_matches('"').parse::<f64>().ok();
        // Whole seconds, rounded down; what a float cannot hold is absurd anyway.
        #[allow(clippy::cast_possible_truncation)]
        let expires_in = self.expires_in.as_deref().and_then(number).map(|seconds| seconds as i64);
        let scopes = self
            .scope
            .as_deref()
            .and_then(|raw| Scopes::parse(&serde_json::from_str::<String>(raw.get()).ok()?).ok());
        Ok(Grant { access_token, refresh_token, expires_in, scopes })
    }
}

impl TokenResponse for TokenReply {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &oauth2::AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &BasicTokenType::Bearer
    }

    fn expires_in(&self) -> Option<Duration> {
        None
    }

    fn refresh_token(&self) -> Option<&oauth2::RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<oauth2::Scope>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn read(status: u16, body: &str) -> Result<Grant, TokenError> {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        let reply = Reply { status, retry_after: None, date: None, body };
        let site = Site::parse("us1").unwrap();
        let client_id = ClientId::parse("client").unwrap();
        let token = Secret::parse("old".to_string()).unwrap();
        read_refresh_reply(&site, &client_id, &token, reply)
    }

    #[test]
    fn expires_in_is_read_whatever_form_it_has() {
        let expires_in = |value: &str| {
            let body =
                format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":{value}}}"#);
            read(200, &body).unwrap().expires_in
        };
        assert_eq!(expires_in("3600"), Some(3600));
        assert_eq!(expires_in("\"3600\""), Some(3600));
        assert_eq!(expires_in("59.9"), Some(59));
        assert_eq!(expires_in("-5"), Some(-5));
        assert_eq!(expires_in("1e400"), Some(i64::MAX));
        for none in ["null", "\"soon\"", "{}", "[1]", "true"] {
            assert_eq!(expires_in(none), None, "{none}");
        }
    }

    #[test]
    fn replies_are_sorted_by_what_the_server_did() {
        let refused = |error: &str| read(400, &format!(r#"{{"error":"{error}"}}"#)).unwrap_err();
        assert!(matches!(refused("invalid_grant"), TokenError::InvalidGrant { .. }));
        assert!(matches!(refused("invalid_client"), TokenError::InvalidClient { .. }));
        assert!(matches!(refused("slow_down"), TokenError::Declined { .. }));
        for status in [500, 502, 504] {
            assert!(matches!(read(status, "").unwrap_err(), TokenError::ServerFailed { .. }));
        }
        for status in [307, 400, 404, 408, 429, 501, 503] {
            assert!(matches!(read(status, "<html>").unwrap_err(), TokenError::Declined { .. }));
        }
        for body in ["", "{}", "<html>", r#"{"access_token":1}"#, r#"{"access_token":"a b"}"#] {
            assert!(
                matches!(read(200, body).unwrap_err(), TokenError::Unreadable { .. }),
                "{body}"
            );
        }
    }

    #[test]
    fn a_message_never_shows_the_body() {
        let error = read(200, r#"{"access_token":["canary"]}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
