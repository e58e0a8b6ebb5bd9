//! Why a login or a request to the token endpoint came to nothing.

use std::time::Duration;

use crate::exit::ExitKind;
use crate::http_client::HttpError;
use crate::names::{OrgUuid, SessionName};
use crate::scope::Scopes;
use crate::secret::RefreshToken;

/// A login that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("could not log in to {site}: the code was not exchanged: {source}")]
    Exchange { site: String, source: TokenError },
    #[error(
        "{url} answered 404: this site has no client registration (a preview of Datadog's); ask Datadog support to enable it, or use an API key and an application key there"
    )]
    NoRegistration { url: String },
    #[error("the site refused to register a client: {why}")]
    RegistrationRefused { why: String },
    #[error(
        "could not listen for the login on 127.0.0.1, port {}: close the program that uses it, or choose another port with --callback-port", alternatives(.ports)
    )]
    PortsBusy { ports: Vec<u16> },
    #[error(
        "could not listen for the login on 127.0.0.1, port {port}: {source}; choose another port with --callback-port"
    )]
    Listener { port: u16, source: std::io::Error },
    #[error(
        "nobody finished the login within {} s: run `dd-oauth login` again{}",
        .limit.as_secs(), forgetting(*.earlier_client)
    )]
    TimedOut {
        limit: Duration,
        /// Whether the client was registered before this login, so that the site may have forgotten it.
        earlier_client: bool,
    },
    #[error("the login was refused: {code}{}", described(.description))]
    Denied { code: String, description: String },
    #[error(
        "the site refused scopes{}{}: ask for others with --scopes, or for read access alone with --read-only",
        listed(.named), described(.description)
    )]
    ScopesRefused {
        /// Those of the refusal that were asked for.
        named: Scopes,
        description: String,
    },
    #[error(
        "the login was for organization {came}, not for {asked}; it was not used: log in to the right one, or name the other with --org-uuid"
    )]
    OtherOrganization { asked: OrgUuid, came: String },
    #[error(
        "the login was for organization {came}, but the session {name} is one of {kept}, and is not overwritten: give the other a name of its own with --org"
    )]
    NameTaken { name: SessionName, kept: OrgUuid, came: String },
    #[error(
        "the login came back from {named:?}, which is not a Datadog site; no code was sent there"
    )]
    ForeignRegion { named: String },
    #[error(
        "the login came back with the issuer {iss:?}, which is not {site}; the code was not used"
    )]
    ForeignIssuer { iss: String, site: String },
}

impl LoginError {
    /// How the program exits after it.
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::Http(error) | Self::Exchange { source: TokenError::Http(error), .. } => {
                error.kind()
            }
            Self::Exchange { source, .. } if source.is_refusal() => ExitKind::LoginRequired,
            Self::Exchange { .. } => ExitKind::Temporary,
            Self::Denied { .. }
            | Self::TimedOut { .. }
            | Self::ScopesRefused { .. }
            | Self::OtherOrganization { .. }
            | Self::NameTaken { .. } => ExitKind::LoginRequired,
            Self::ForeignRegion { .. } | Self::ForeignIssuer { .. } => ExitKind::Refused,
            Self::NoRegistration { .. }
            | Self::RegistrationRefused { .. }
            | Self::PortsBusy { .. }
            | Self::Listener { .. } => ExitKind::Other,
        }
    }
}

/// A request to the token endpoint that brought no grant.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It may have acted: 500, 502, 504.
    #[error("the server failed with status {status}")]
    ServerFailed { status: u16 },
    /// It refused to act for now.
    #[error("the server declined with status {status}{}", .hint)]
    Declined { status: u16, retry_after: Option<Duration>, hint: String },
    /// `invalid_grant`, for good.
    #[error("the server refused: invalid_grant{}", described(.description))]
    InvalidGrant { description: String },
    /// `invalid_client`, for good; of a code, `unauthorized_client` too.
    #[error("the server does not know this client: {code}{}", described(.description))]
    InvalidClient { code: &'static str, description: String },
    /// It acted, and what it answered is no token response.
    #[error("the server's answer is not a token response: {why}")]
    Unreadable { why: &'static str },
    /// It acted, and answered with a refresh token alone, or with an access token that we cannot use.
    #[error("the server's answer has no access token that can be used: {why}")]
    NoAccess { why: &'static str, refresh_token: RefreshToken },
    /// The reply could not be kept safe, so nothing was done with it.
    #[error("the server's answer could not be secured")]
    NotSecured,
}

impl TokenError {
    /// Whether the same request would only bring the same: the server said no for good, or its whole
    /// answer is here.
    #[must_use]
    pub fn is_decisive(&self) -> bool {
        self.is_refusal() || matches!(self, Self::NoAccess { .. })
    }

    /// Whether the server said no for good.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::InvalidGrant { .. } | Self::InvalidClient { .. })
    }
}

/// A description of a server as it ends a message, if there is one.
#[must_use]
pub fn described(description: &str) -> String {
    if description.is_empty() { String::new() } else { format!(" ({description})") }
}

/// A text of a server, made fit for one line of a message: short and without control characters.
#[must_use]
pub fn quotable(text: &str) -> String {
    const LONGEST: usize = 200;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(clean).take(LONGEST).collect()
}

fn forgetting(earlier_client: bool) -> &'static str {
    if earlier_client {
        "; if the page did not know the client, run `dd-oauth logout --forget-client` before"
    } else {
        ""
    }
}

fn alternatives(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}

fn listed(scopes: &Scopes) -> String {
    if scopes.is_empty() { String::new() } else { format!(" ({scopes})") }
}
