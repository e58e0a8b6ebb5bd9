//! Where the files of one user are, on every system.

use std::path::PathBuf;

/// The platform's places for the files of one user.
#[derive(Clone, Debug)]
pub struct Directories {
    pub state: PathBuf,
    pub data: PathBuf,
    pub config: PathBuf,
}

/// Where earlier tools keep their files.
#[derive(Clone, Debug)]
pub struct EarlierDirectories {
    /// Of Datadog's own plugin.
    pub datadog_cli: PathBuf,
    /// Of pup, which has had several.
    pub pup: Vec<PathBuf>,
}

/// The variable that says where the user's files are, and is not set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no home directory: set {0}")]
pub struct NoHome(pub &'static str);
