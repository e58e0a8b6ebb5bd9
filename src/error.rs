//! What can go wrong, as the caller sees it: one error, one exit code.

use serde::{Deserialize, Serialize};

use crate::broker::BrokerError;
use crate::config::ConfigError;
use crate::lock::LockError;
use crate::oauth::{HttpError, LoginError};
use crate::protocol::RequestError;
use crate::protocol::docker::DockerError;
use crate::scope::ScopeError;
use crate::session::{ForgetKeyError, ImportError, KeychainError, StorageError};
use crate::site::SiteError;

/// The exit codes of `dd-oauth`; `protocol.md` promises them to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitKind {
    /// Anything without a code of its own.
    Other,
    /// The command line or the request is malformed.
    Usage,
    /// Only a login by a person helps.
    LoginRequired,
    /// The same call may succeed later: network, server, lock deadline.
    Temporary,
    /// The disk, the key, or what is stored.
    Storage,
    /// Refused for safety.
    Refused,
}

impl ExitKind {
    /// The process exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::LoginRequired => 3,
            Self::Temporary => 4,
            Self::Storage => 5,
            Self::Refused => 6,
        }
    }
}

/// Any failure of a command. Each layer has its own error; this joins them for `main`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line means nothing.
    #[error("{0}")]
    CommandLine(String),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    ForgetKey(#[from] ForgetKeyError),
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Something may be in the keychain that is not shown.
    #[error("could not look into the keychain: {0}")]
    KeychainUnseen(KeychainError),
    /// What docker is told on standard output.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// Standard output could not be written, so the caller has no answer.
    #[error("could not write the answer to standard output: {0}")]
    Output(std::io::Error),
    /// Standard input could not be read.
    #[error("could not read the request from standard input: {0}")]
    Input(std::io::Error),
}

impl Error {
    /// As docker is told of it.
    #[must_use]
    pub fn for_docker(self) -> Self {
        match self {
            // Without standard output there is no telling.
            Self::Docker(_) | Self::Output(_) => self,
            error => DockerError::Other(error.to_string()).into(),
        }
    }

    /// Which exit code tells the caller what to do about it.
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::CommandLine(_) | Self::Request(_) | Self::Scope(_) | Self::ForgetKey(_) => {
                ExitKind::Usage
            }
            Self::KeychainUnseen(_) => ExitKind::Storage,
            Self::Config(error) => error.kind(),
            Self::Site(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Http(error) => error.kind(),
            Self::Login(error) => error.kind(),
            Self::Broker(error) => error.kind(),
            Self::Import(error) => error.kind(),
            Self::Docker(_) | Self::Output(_) | Self::Input(_) => ExitKind::Other,
        }
    }
}
