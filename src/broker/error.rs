//! Why the broker has no answer: its own reasons, and those of the layers that it asked.

use std::time::Duration;

use crate::config::ConfigError;
use crate::environment::VariableError;
use crate::exit::ExitKind;
use crate::http_client::HttpError;
use crate::import::ImportError;
use crate::lock::LockError;
use crate::names::SessionName;
use crate::oauth::LoginError;
use crate::platform::{NoHome, is_shortage};
use crate::session::{ForgetKeyError, KeychainError, LoginFailure, StorageError};
use crate::site::{Site, SiteError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("{why}: run `{command}`")]
    LoginRequired { why: String, command: String },
    #[error("{}", logged_in_elsewhere(.asked, .names))]
    LoggedInElsewhere { asked: Site, names: Vec<SessionName> },
    #[error("the login for which this one waited came to nothing: {}", .0.message)]
    LoginFailed(LoginFailure),
    #[error("there are several sessions ({}): name one with site= and org=, --site and --org, or `dd-oauth use`", listed(.0))]
    Ambiguous(Vec<SessionName>),
    #[error("could not renew the token for {name}: {message}{}", retry(.retry_in))]
    NotRenewed { name: SessionName, message: String, retry_in: Duration },
    #[error("the refresh of {name} ended without an outcome; try again")]
    NoOutcome { name: SessionName },
    #[error("the new token for {name} had expired before it could be answered; try again")]
    ExpiredOnArrival { name: SessionName },
    #[error("no session came through {host}: store tokens under the site that issued them")]
    NoSessionThrough { host: String },
    #[error(
        "no token with {} s of life can be promised: nothing says how long the one of {variable} lives; demand nothing", .demand.as_secs()
    )]
    UnknownLife { variable: &'static str, demand: Duration },
    #[error("no API key is stored for {name}: give one to `dd-oauth store`, with kind=api-key")]
    NoApiKeys { name: String },
    /// A login came back to an installation that had ended; its tokens are revoked.
    #[error("everything was logged out of meanwhile, and nothing was stored; try again")]
    LoggedOutMeanwhile,
    #[error("could not start a process for the refresh: {source}{}", once_there_is_room(.source))]
    NoWorker { source: std::io::Error },
    #[error("no token with {} s of life can be had yet: wait {} s", .demand.as_secs(), whole_seconds(.wait))]
    TooSoon { demand: Duration, wait: Duration },
    #[error(
        "no token with {} s of life can be had: tokens of {name} live {} s", .demand.as_secs(), .lifetime.as_secs()
    )]
    NeverThatLong { name: SessionName, demand: Duration, lifetime: Duration },
    /// An entry may be in the keychain although it was not found.
    #[error("could not look into the keychain: {0}")]
    KeychainUnseen(KeychainError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    ForgetKey(#[from] ForgetKeyError),
    #[error(transparent)]
    Import(#[from] ImportError),
}

impl From<VariableError> for BrokerError {
    fn from(error: VariableError) -> Self {
        Self::Config(error.into())
    }
}

impl From<NoHome> for BrokerError {
    fn from(error: NoHome) -> Self {
        Self::Config(error.into())
    }
}

impl BrokerError {
    /// Whether the installation ended while we worked on it.
    pub(super) fn is_forgotten(&self) -> bool {
        matches!(self, Self::Storage(StorageError::Forgotten) | Self::Lock(LockError::Gone { .. }))
    }

    /// Which exit code tells the caller what to do about it.
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::LoginRequired { .. }
            | Self::LoggedInElsewhere { .. }
            | Self::NoApiKeys { .. } => ExitKind::LoginRequired,
            Self::LoginFailed(failure) => failure.kind,
            Self::Ambiguous(_)
            | Self::NeverThatLong { .. }
            | Self::UnknownLife { .. }
            | Self::NoSessionThrough { .. }
            | Self::ForgetKey(_) => ExitKind::Usage,
            Self::NotRenewed { .. }
            | Self::NoOutcome { .. }
            | Self::ExpiredOnArrival { .. }
            | Self::LoggedOutMeanwhile
            | Self::TooSoon { .. } => ExitKind::Temporary,
            Self::NoWorker { source } if is_shortage(source) => ExitKind::Temporary,
            Self::NoWorker { .. } => ExitKind::Other,
            Self::KeychainUnseen(_) => ExitKind::Storage,
            Self::Config(error) => error.kind(),
            Self::Site(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Http(error) => error.kind(),
            Self::Login(error) => error.kind(),
            Self::Import(error) => error.kind(),
        }
    }
}

fn once_there_is_room(error: &std::io::Error) -> &'static str {
    if is_shortage(error) { "; try again when other processes have ended" } else { "" }
}

fn listed(names: &[SessionName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Where the logins went that were asked for at another site.
fn logged_in_elsewhere(asked: &Site, names: &[SessionName]) -> String {
    let asked = asked.label();
    let sites: Vec<_> = names.iter().map(|name| name.site.to_string()).collect();
    let set = match sites.as_slice() {
        [site] => format!("set DD_SITE={site}"),
        sites => format!("set DD_SITE to one of {}", sites.join(", ")),
    };
    let names = listed(names);
    format!(
        "you are logged in to {names}, from where the login to {asked} came back; {set}, or name that site, or run `dd-oauth login` for {asked} again"
    )
}

fn retry(retry_in: &Duration) -> String {
    format!("; the next attempt is made in {} s at the earliest", whole_seconds(retry_in))
}

/// Rounded up, so that a caller who waits that long has waited long enough.
fn whole_seconds(span: &Duration) -> u64 {
    u64::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}
