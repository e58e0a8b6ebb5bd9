//! The exit codes of `dd-oauth`.

use serde::{Deserialize, Serialize};

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
    /// `exec` has nothing to give to its program, and did not start it.
    NotPrepared,
    /// The program of `exec` is there and cannot be run.
    NotExecutable,
    /// The program of `exec` is not there.
    NoProgram,
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
            // As `env` of POSIX.
            Self::NotPrepared => 125,
            Self::NotExecutable => 126,
            Self::NoProgram => 127,
        }
    }
}
