//! Sessions: what a login created, how it is kept, and where its key rests.
//!
//! This layer knows files and keys, and nothing of HTTP.

mod api_keys;
pub(crate) mod durable;
mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod installation;
mod journal;
mod key;
mod key_copies;
mod key_memory;
mod keychain;
mod login_outcome;
mod outcome;
mod refused_scopes;
mod registrations;
mod seal;
mod store;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::exit::ExitKind;
use crate::names::{ClientId, OrgLabel, OrgUuid, SessionName};
use crate::scope::Scopes;
use crate::secret::{AccessToken, RefreshToken};
use crate::site::Site;

pub use api_keys::{ApiKeyStore, ApiKeys};
pub use file::SessionHead;
pub use installation::{Installation, InstallationPaths, KeyOrigin, KeySettings, Opened};
pub use journal::{Announcement, Journal, SecuredReply};
pub use key::{KeyHome, KeyPlace};
pub use key_copies::{ForgetKeyError, KeyCopies, KeyCopy, KeyStanding};
pub use key_memory::KeyMemory;
pub use keychain::{Keychain, KeychainEntry, KeychainError, KeychainTimeout};
pub use login_outcome::{LoginFailure, LoginOutcome, LoginVerdict};
pub use outcome::{Attempt, Outcome, Refusal, TokenDigest, Verdict};
pub use refused_scopes::RefusedScopes;
pub use registrations::{Registration, Registrations};
pub use store::{Choice, Fit, SessionStore};

/// Counts the refreshes of a session; raised by every write of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Generation {
    /// Of a session that was just created.
    pub const FIRST: Self = Self(1);

    /// Of the next write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a login created.
#[derive(Clone, Debug)]
pub struct Session {
    pub name: SessionName,
    /// The UUID of the organization, where the login told it.
    pub org_uuid: Option<OrgUuid>,
    /// What the organization calls itself, where the login told it; the label may be another.
    pub org_name: Option<OrgLabel>,
    /// The site that the login was asked for, where it came back from another one.
    pub asked_site: Option<Site>,
    /// The customer's own web host that the login went through.
    pub vanity_host: Option<String>,
    pub generation: Generation,
    /// What the server granted.
    pub scopes: Scopes,
    pub access: Access,
    pub renewal: Renewal,
}

/// The access token of a session.
#[derive(Clone, Debug)]
pub enum Access {
    Held {
        token: AccessToken,
        lifetime: Lifetime,
    },
    /// A caller reported it as rejected by the API.
    Rejected,
}

/// How a session gets its next access token.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// With a refresh token, which only this client may present.
    Possible { client_id: ClientId, refresh_token: RefreshToken },
    /// Not at all: it was stored without a refresh token.
    Impossible,
}

/// From when until when an access token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Before the request for it was sent.
    pub issued: Timestamp,
    pub expires: Timestamp,
}

/// What a token is taken to live where the server does not say, or says something absurd.
const ASSUMED_LIFETIME: Duration = Duration::from_mins(15);
/// No access token lives longer; a server that says so is not believed.
const LONGEST_LIFETIME: Duration = Duration::from_hours(8784);

impl Lifetime {
    /// Of a token that was asked for at `issued` and lives for `seconds`, as far as the server
    /// said so: a missing, unreadable, zero, negative or absurd number counts as 15 minutes.
    #[must_use]
    pub fn starting(issued: Timestamp, seconds: Option<i64>) -> Self {
        let span = seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs)
            .filter(|span| !span.is_zero() && *span <= LONGEST_LIFETIME)
            .unwrap_or(ASSUMED_LIFETIME);
        Self { issued, expires: issued.plus(span) }
    }

    /// Of a token that was taken over at `issued` and is said to expire at `expires`; an absurd
    /// moment counts as one in 15 minutes.
    #[must_use]
    pub fn until(issued: Timestamp, expires: Timestamp) -> Self {
        if expires > issued && expires.since(issued) <= LONGEST_LIFETIME {
            Self { issued, expires }
        } else {
            Self { issued, expires: issued.plus(ASSUMED_LIFETIME) }
        }
    }

    /// From the first moment to the last.
    #[must_use]
    pub fn total(self) -> Duration {
        self.expires.since(self.issued)
    }
}

/// What is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("could not {tried} {}: {source}", .path.display())]
    Io { tried: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} {why}; it is refused, as what it says cannot be trusted", .path.display())]
    NotPrivate { path: PathBuf, why: String },
    #[error(
        "{} {why}: run `dd-oauth erase` for this session to forget it, then `dd-oauth login`",
        .path.display()
    )]
    Corrupt { path: PathBuf, why: &'static str },
    #[error("{} {why}: move it away to start anew; sessions that need it are lost then", .path.display())]
    BadInstallation { path: PathBuf, why: &'static str },
    #[error("{} was written by a newer version of dd-oauth: use that version", .path.display())]
    Newer { path: PathBuf },
    #[error(
        "{} was sealed with another key than that of this installation: restore the file that belongs here, or run `dd-oauth erase` for this session and `dd-oauth login`",
        .path.display()
    )]
    OtherKey { path: PathBuf },
    #[error(
        "the sealing key is missing ({key}), and the sessions of this installation cannot be opened without it: restore it, or move {} away and log in again",
        .installation.display()
    )]
    KeyMissing { key: String, installation: PathBuf },
    #[error(
        "the sealing key ({key}) is not the one of this installation: restore the right one, or move {} away and log in again",
        .installation.display()
    )]
    WrongKey { key: String, installation: PathBuf },
    #[error("DD_OAUTH_KEY_FILE names {}, which is not there; it is never created", .path.display())]
    NamedKeyMissing { path: PathBuf },
    #[error(
        "the sealing key of {} is in a file that DD_OAUTH_KEY_FILE named: set it again",
        .installation.display()
    )]
    NamedKeyUnset { installation: PathBuf },
    #[error("the sealing key ({key}) {why}")]
    BadKey { key: String, why: &'static str },
    #[error(
        "DD_TOKEN_STORAGE says {wished}, but the sealing key of this installation rests in: {remembered}; `dd-oauth key move {wished}` moves it"
    )]
    OtherPlace { remembered: KeyPlace, wished: KeyPlace },
    #[error(
        "could not {tried} the sealing key in the keychain ({}, entry {entry}): {source}{}",
        keychain::Keychain::NAME,
        way_out(tried, source)
    )]
    Keychain { tried: &'static str, entry: String, source: KeychainError },
    #[error("everything was logged out of meanwhile, and nothing was stored; try again")]
    Forgotten,
    #[error("the operating system gave no random numbers: {0}")]
    NoRandomness(getrandom::Error),
}

impl StorageError {
    /// See [`crate::error::Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::NotPrivate { .. } => ExitKind::Refused,
            _ => ExitKind::Storage,
        }
    }

    /// Whether the same write may succeed once somebody has made room or mended the disk.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// What the user can do about a keychain that failed.
fn way_out(tried: &str, source: &KeychainError) -> &'static str {
    match (tried, source) {
        ("read", KeychainError::Several) => "; remove all but the right one",
        ("read", _) => {
            "; unlock it and try again, or move the key with `dd-oauth key move file` where it is unlocked"
        }
        ("write", _) => "; DD_TOKEN_STORAGE=file keeps the key of a new installation in a file",
        _ => "; `dd-oauth key list` shows what is left there",
    }
}

/// Makes an [`StorageError::Io`] out of what an operation on `path` returned.
fn io_error<'a>(
    tried: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> StorageError + 'a {
    move |source| StorageError::Io { tried, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_lifetime_counts_as_fifteen_minutes() {
        let issued = Timestamp::from_seconds(1_000);
        let total = |seconds| Lifetime::starting(issued, seconds).total().as_secs();
        assert_eq!(total(Some(3600)), 3600);
        for absurd in [None, Some(0), Some(-1), Some(i64::MIN), Some(i64::MAX), Some(40_000_000)] {
            assert_eq!(total(absurd), 900, "{absurd:?}");
        }
    }
}
