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
use zeroize::Zeroizing;

use super::endpoints::Endpoints;
use super::error::{TokenError, described, quotable};
use crate::http_client::{Http, Object, Reply};
use crate::names::ClientId;
use crate::scope::Scopes;
use crate::secret::{AccessToken, MAX_TOKEN_BYTES, RefreshToken, Secret};
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
    let send = async |request| {
        let reply = http.send(request).await?;
        judge(&reply).map_err(|error| unknown_client(&reply).unwrap_or(error))
    };
    understand(request.request_async(&send).await)
}

/// A refusal of a code that is one of its client under another name: some servers call a client that
/// they do not know unauthorized.
fn unknown_client(reply: &Reply) -> Option<TokenError> {
    let refusal = reply.json::<BasicErrorResponse>()?;
    let unauthorized = *refusal.error() == BasicErrorResponseType::UnauthorizedClient;
    (unauthorized && matches!(reply.status, 400 | 401 | 403)).then(|| TokenError::InvalidClient {
        code: "unauthorized_client",
        description: described_in(&refusal),
    })
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

/// What a reply is secured as: its body, or of one that is too long for a journal the members that count.
#[must_use]
pub fn essence(reply: &Reply) -> Zeroizing<Vec<u8>> {
    if reply.body.len() <= LONGEST_SECURED {
        return reply.body.clone();
    }
    let Some(object) = reply.object() else {
        return Zeroizing::new(reply.body[..LONGEST_SECURED].to_vec());
    };
    let mut body = Zeroizing::new(Vec::with_capacity(LONGEST_SECURED + MAX_TOKEN_BYTES));
    body.push(b'{');
    for (name, limit) in MEMBERS {
        if let Some(value) = object.raw(name).filter(|value| value.len() <= limit) {
            body.extend_from_slice(format!("\"{name}\":").as_bytes());
            body.extend_from_slice(value);
            body.push(b',');
        }
    }
    body.push(b'}');
    body
}

/// A longer body is secured without what does not count. A journal has room for 40 KiB.
const LONGEST_SECURED: usize = 32 * 1024;
/// The members of a reply that count, and the longest text of their values. Quotes and blanks around a
/// token are no part of it.
const MEMBERS: [(&str, usize); 7] = [
    ("access_token", MAX_TOKEN_BYTES + 64),
    ("refresh_token", MAX_TOKEN_BYTES + 64),
    ("token_type", 256),
    ("expires_in", 256),
    ("scope", 4096),
    ("error", 256),
    ("error_description", 1024),
];

/// Sorts replies by what they say about the request. A grant goes on to be parsed, written anew with
/// nothing but its own members: whatever decorated it is left behind here.
fn judge(reply: &Reply) -> Result<HttpResponse, TokenError> {
    let declined = |hint: &str| {
        let hint = hint.to_string();
        Err(TokenError::Declined { status: reply.status, retry_after: reply.retry_after, hint })
    };
    match reply.status {
        200..=299 => granted(reply),
        500 | 502 | 504 => Err(TokenError::ServerFailed { status: reply.status }),
        300..=399 => declined(": a redirect, which is never followed with a token"),
        408 | 429 | 503 => declined(""),
        _ => Err(refused(reply)),
    }
}

/// Any 2xx with a whole grant is one (RFC 6749, section 5.1, asks for 200 alone).
fn granted(reply: &Reply) -> Result<HttpResponse, TokenError> {
    let unreadable = || TokenError::Unreadable { why: "it is not JSON with an access_token" };
    let object = reply.object().ok_or_else(unreadable)?;
    let grant = TokenReply::of(&object);
    match grant {
        Some(grant) => {
            let body = serde_json::to_vec(&grant).expect("a token response is plain data");
            Ok(HttpResponse::new(body))
        }
        // An error beside a 2xx says nothing for sure: the session is kept, whatever its name.
        None if object.text("error").is_some_and(|error| !error.is_empty()) => {
            Err(declined_in_words(reply))
        }
        None => Err(without_access(&object, "it has no usable access_token")),
    }
}

/// What is left of a whole reply without a usable access token: its refresh token, if it has one, is
/// the only one that is good from now on.
fn without_access(object: &Object<'_>, why: &'static str) -> TokenError {
    match token_in(object, "refresh_token") {
        Some(refresh_token) => TokenError::NoAccess { why, refresh_token },
        None => TokenError::Unreadable { why },
    }
}

/// A token of a reply. Blanks and line ends around it are none of it; an empty one is none.
fn token_in<Kind>(object: &Object<'_>, name: &str) -> Option<Secret<Kind>> {
    Secret::parse(object.text(name)?.trim().to_string())
}

/// Understands an error that the endpoint itself reports (RFC 6749, section 5.2), if it is one.
fn refused(reply: &Reply) -> TokenError {
    let refusal = reply.json::<BasicErrorResponse>();
    match refusal.as_ref().map(|refusal| (refusal.error(), described_in(refusal))) {
        Some((BasicErrorResponseType::InvalidGrant, description)) => {
            TokenError::InvalidGrant { description }
        }
        Some((BasicErrorResponseType::InvalidClient, description)) => {
            TokenError::InvalidClient { code: "invalid_client", description }
        }
        _ => declined_in_words(reply),
    }
}

/// A refusal without a rule of its own, with the server's words for it.
fn declined_in_words(reply: &Reply) -> TokenError {
    let (status, retry_after) = (reply.status, reply.retry_after);
    let hint = reply.json::<BasicErrorResponse>().map_or_else(String::new, |refusal| {
        let description = described_in(&refusal);
        format!(": {}{}", quotable(refusal.error().as_ref()), described(&description))
    });
    TokenError::Declined { status, retry_after, hint }
}

fn described_in(refusal: &BasicErrorResponse) -> String {
    quotable(refusal.error_description().map_or("", String::as_str))
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

/// The members of a token response (RFC 6749, section 5.1): the tokens read strictly, and everything
/// else leniently, because a mistake of the server must not cost a session.
#[derive(Debug, Deserialize, Serialize)]
struct TokenReply {
    access_token: oauth2::AccessToken,
    /// Another type than Bearer, which we cannot use.
    other_type: bool,
    refresh_token: Option<oauth2::RefreshToken>,
    expires_in: Option<i64>,
    /// Separated by blanks.
    scopes: Option<String>,
}

impl TokenReply {
    /// Reads them; nothing without an access token.
    fn of(object: &Object<'_>) -> Option<Self> {
        let access_token: AccessToken = token_in(object, "access_token")?;
        let refresh_token: Option<RefreshToken> = token_in(object, "refresh_token");
        let exposed = |token: RefreshToken| oauth2::RefreshToken::new(token.expose().to_string());
        Some(Self {
            access_token: oauth2::AccessToken::new(access_token.expose().to_string()),
            // A server that leaves it out cannot mean another: no other is in use.
            other_type: object
                .text("token_type")
                .is_some_and(|kind| !matches!(kind.trim(), "") && !is_bearer(&kind)),
            refresh_token: refresh_token.map(exposed),
            expires_in: object.raw("expires_in").and_then(seconds),
            scopes: object.raw("scope").and_then(scopes).map(|scopes| scopes.to_string()),
        })
    }

    fn grant(self) -> Result<Grant, TokenError> {
        let unreadable = |why| TokenError::Unreadable { why };
        let refresh_token = match self.refresh_token {
            None => None,
            Some(token) => Some(
                Secret::parse(token.into_secret())
                    .ok_or_else(|| unreadable("its refresh_token is not a token"))?,
            ),
        };
        if self.other_type {
            let why = "its token_type is not Bearer";
            return Err(match refresh_token {
                Some(refresh_token) => TokenError::NoAccess { why, refresh_token },
                None => unreadable(why),
            });
        }
        let access_token = Secret::parse(self.access_token.into_secret())
            .ok_or_else(|| unreadable("its access_token is not a token"))?;
        let scopes = self.scopes.and_then(|scopes| Scopes::parse(&scopes).ok());
        Ok(Grant { access_token, refresh_token, expires_in: self.expires_in, scopes })
    }
}

fn is_bearer(kind: &str) -> bool {
    kind.trim().eq_ignore_ascii_case("bearer")
}

/// Whole seconds, rounded down, of a number or of a string with one; what a float cannot hold is absurd
/// anyway.
fn seconds(raw: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(raw).ok()?.trim_matches(['"', ' ', '\t', '\r', '\n']);
    let seconds = text.parse::<f64>().ok().filter(|seconds| !seconds.is_nan())?;
    #[allow(clippy::cast_possible_truncation)]
    Some(seconds as i64)
}

/// The scopes of a string, which commas may separate, or of a list of strings; without those that are
/// no scopes. Nothing if none is left.
fn scopes(raw: &[u8]) -> Option<Scopes> {
    let text = String::from_utf8_lossy(raw);
    let list = match serde_json::from_str::<serde_json::Value>(&text).ok()? {
        serde_json::Value::String(list) => list,
        serde_json::Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(serde_json::Value::as_str).collect();
            items.join(" ")
        }
        _ => return None,
    };
    let named = list.split(|c: char| c == ',' || c.is_whitespace());
    let good: Vec<_> = named.filter(|scope| Scopes::parse(scope).is_ok()).collect();
    Scopes::parse(&good.join(" ")).ok().filter(|scopes| !scopes.is_empty())
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
