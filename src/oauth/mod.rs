//! OAuth 2 as a public client: registration (RFC 7591), authorization code with PKCE (RFC 7636)
//! on a loopback redirect (RFC 8252), refresh (RFC 6749, section 6) and revocation (RFC 7009).
//!
//! This layer knows HTTP, and nothing of files.

mod authorize;
mod browser;
mod callback;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod incoming;
mod page;
mod paste;
mod registration;
mod revoke;
mod token;

use crate::exit::ExitKind;
use crate::http_client::HttpError;
use crate::names::{OrgUuid, SessionName};
use crate::scope::Scopes;
use crate::site::{Site, VanityHost};

pub use authorize::{Ask, Authorization, Redirect, Returned};
pub use browser::{Browser, Opened, Opening};
pub use callback::{Callback, CallbackListener, REGISTERED_PORTS, WaitingBrowser, redirect_uri};
pub use page::Page;
pub use paste::{PasteError, read_paste};
pub use registration::{read_registration_reply, register};
pub use revoke::{TokenHint, revoke};
pub use token::{Grant, TokenError, exchange, read_refresh_reply, refresh};

/// Where the requests of one site go: the paths that Datadog's own tools use.
struct Endpoints {
    register: String,
    authorize: String,
    token: String,
    revoke: String,
}

impl Endpoints {
    fn of(site: &Site, vanity: Option<&VanityHost>) -> Self {
        let api = site.api_url();
        let web =
            vanity.map_or_else(|| site.web_url(), |vanity| format!("https://{}", vanity.host));
        Self {
            register: format!("{api}/api/v2/oauth2/register"),
            authorize: format!("{web}/oauth2/v1/authorize"),
            token: format!("{api}/oauth2/v1/token"),
            revoke: format!("{api}/oauth2/v1/revoke"),
        }
    }
}

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
    #[error("nobody finished the login within {} s: run `dd-oauth login` again", .0.as_secs())]
    TimedOut(std::time::Duration),
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

fn alternatives(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}

fn listed(scopes: &Scopes) -> String {
    if scopes.is_empty() { String::new() } else { format!(" ({scopes})") }
}

fn described(description: &str) -> String {
    if description.is_empty() { String::new() } else { format!(" ({description})") }
}

impl LoginError {
    /// See [`crate::error::Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::Http(error) | Self::Exchange { source: TokenError::Http(error), .. } => {
                error.kind()
            }
            Self::Exchange { source, .. } if source.is_refusal() => ExitKind::LoginRequired,
            Self::Exchange { .. } => ExitKind::Temporary,
            Self::Denied { .. }
            | Self::TimedOut(_)
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

/// A text of a server, made fit for one line of a message: short and without control characters.
fn quotable(text: &str) -> String {
    const LONGEST: usize = 200;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(clean).take(LONGEST).collect()
}
