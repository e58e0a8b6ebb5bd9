//! What can go wrong, as the caller sees it: one error, one exit code.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::broker::BrokerError;
use crate::config::ConfigError;
use crate::environment::VariableError;
use crate::exit::ExitKind;
use crate::http_client::HttpError;
use crate::import::ImportError;
use crate::lock::LockError;
use crate::oauth::LoginError;
use crate::platform::is_shortage;
use crate::protocol::RequestError;
use crate::protocol::docker::DockerError;
use crate::scope::ScopeError;
use crate::session::{KeychainError, StorageError};
use crate::site::SiteError;
use crate::variables::NotExpressible;

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
    Import(#[from] ImportError),
    /// Something may be in the keychain that is not shown.
    #[error("could not look into the keychain: {0}")]
    KeychainUnseen(KeychainError),
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error("{0}: give --shell another value")]
    NotExpressible(#[from] NotExpressible),
    /// The file that hands the token over to others could not be written.
    #[error("could not write to {}: {source}", .path.display())]
    NotHandedOver { path: PathBuf, source: std::io::Error },
    /// What `dd-oauth doctor` found, and told on standard output.
    #[error("{}", describe(*.problems))]
    DoctorProblems { problems: usize, kind: ExitKind },
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

fn describe(problems: usize) -> String {
    match problems {
        1 => "there is a problem; the report has its remedy".into(),
        several => format!("there are {several} problems; the report has their remedies"),
    }
}

impl From<VariableError> for Error {
    fn from(error: VariableError) -> Self {
        Self::Config(error.into())
    }
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
            Self::CommandLine(_) | Self::Request(_) | Self::Scope(_) | Self::NotExpressible(_) => {
                ExitKind::Usage
            }
            Self::DoctorProblems { kind, .. } => *kind,
            Self::KeychainUnseen(_) => ExitKind::Storage,
            Self::Config(error) => error.kind(),
            Self::Site(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Http(error) => error.kind(),
            Self::Login(error) => error.kind(),
            Self::Broker(error) => error.kind(),
            Self::Exec(error) => error.kind(),
            Self::Import(error) => error.kind(),
            Self::NotHandedOver { .. } | Self::Docker(_) | Self::Output(_) | Self::Input(_) => {
                ExitKind::Other
            }
        }
    }
}

/// Why the program of `exec` does not run. Its own exit codes must stay apart from ours.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("{cause} (code {}); the program was not started", .cause.kind().code())]
    NotPrepared { cause: Box<Error> },
    #[error("could not start {}: {source}", .program.display())]
    NotExecutable { program: OsString, source: std::io::Error },
    #[error("could not start the proxy: {0}")]
    NoProxy(std::io::Error),
    #[error("there is no program {}", .0.display())]
    NoProgram(OsString),
}

impl ExecError {
    /// What `exec` makes of an error.
    #[must_use]
    pub fn of(error: Error) -> Error {
        match error {
            Error::Exec(Self::NotExecutable { .. } | Self::NoProgram(_)) => error,
            cause => Self::NotPrepared { cause: Box::new(cause) }.into(),
        }
    }

    /// What `exec` makes of the refusal to start its program.
    #[must_use]
    pub fn not_started(program: &OsStr, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::NoProgram(program.into()),
            _ => Self::NotExecutable { program: program.into(), source },
        }
    }

    /// See [`Error::kind`].
    #[must_use]
    pub fn kind(&self) -> ExitKind {
        match self {
            Self::NotPrepared { .. } => ExitKind::NotPrepared,
            Self::NoProxy(error) if is_shortage(error) => ExitKind::Temporary,
            Self::NoProxy(_) => ExitKind::Other,
            Self::NotExecutable { .. } => ExitKind::NotExecutable,
            Self::NoProgram(_) => ExitKind::NoProgram,
        }
    }
}
