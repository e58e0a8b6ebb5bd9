//! Sessions that earlier tools left behind, in files and in the keychain: finding them, and removing
//! one there after it is stored here.
//!
//! Their content is from outside. What cannot be understood is reported and left alone.

mod earlier;
mod find;
mod original;
mod shape;

use crate::exit::ExitKind;
use crate::names::SessionName;
use crate::session::{KeychainError, StorageError};

pub use earlier::{EarlierSession, Origin, Tool};
pub use find::EarlierSessions;

/// Why a session was not found, taken over, or removed from where it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Unreadable(#[from] StorageError),
    #[error("{origin}: what it holds{} {why}; it is left alone", of(.part.as_deref()))]
    Malformed { origin: Origin, part: Option<String>, why: &'static str },
    #[error("{origin} has changed since it was looked at: run `dd-oauth import` again")]
    Changed { origin: Origin },
    #[error("could not look for {origin} in the keychain: {source}")]
    Keychain { origin: Origin, source: KeychainError },
    #[error(
        "there is a session for {name} already: --replace puts that of {tool} in its place, and `dd-oauth logout` ends the one that is there"
    )]
    Exists { name: SessionName, tool: Tool },
    #[error(
        "there are several sessions for {name}: say which with --from, such as --from {tool} --from {kind}"
    )]
    Several { name: SessionName, tool: Tool, kind: &'static str },
    #[error(
        "what is to become of the original? A refresh token is good for one use, so of two tools that have the same one, the second to use it ends the session of both: give --remove-original, or --keep-original if you never use the other tool again"
    )]
    Undecided,
}

fn of(part: Option<&str>) -> String {
    part.map_or_else(String::new, |part| format!(" for {part}"))
}

impl ImportError {
    /// See [`crate::error::Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::Unreadable(error) => error.kind(),
            Self::Malformed { .. } | Self::Keychain { .. } => ExitKind::Storage,
            Self::Changed { .. } => ExitKind::Temporary,
            Self::Exists { .. } | Self::Several { .. } | Self::Undecided => ExitKind::Usage,
        }
    }
}
