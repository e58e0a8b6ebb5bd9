//! What can be wrong with stored files and with the sealing key.

use std::path::{Path, PathBuf};

use super::key_place::KeyPlace;
use super::keychain::{Keychain, KeychainError};
use crate::exit::ExitKind;
use crate::platform::NoHome;

/// What is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(transparent)]
    NoHome(#[from] NoHome),
    #[error(
        "could not create the directory {}: {source}{}", .path.display(), elsewhere(*.instead)
    )]
    NoPlace { path: PathBuf, source: std::io::Error, instead: Option<&'static str> },
    #[error(
        "{} belongs to user {owner}, who could not use what root creates there: run dd-oauth as that user, without sudo, or set HOME to root's own{}",
        .directory.display(), or_set(*.instead)
    )]
    LocksOut { directory: PathBuf, owner: u32, instead: Option<&'static str> },
    #[error("could not {tried} {}: {source}", .path.display())]
    Io { tried: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} {why}; it is refused, as what it says cannot be trusted", .path.display())]
    NotPrivate { path: PathBuf, why: String },
    #[error(
        "{} {why}: run `dd-oauth erase` for this session to forget it, then `dd-oauth login`",
        .path.display()
    )]
    Corrupt { path: PathBuf, why: &'static str },
    #[error("{} {why}: run `dd-oauth reset` to start anew; the sessions that need it are lost", .path.display())]
    BadInstallation { path: PathBuf, why: &'static str },
    #[error(
        "{} was written by a newer version of dd-oauth: use that version, or run `dd-oauth reset` to start anew",
        .path.display()
    )]
    Newer { path: PathBuf },
    #[error(
        "{} was sealed with another key than that of this installation: restore the file that belongs here, or run `dd-oauth erase` for this session and `dd-oauth login`",
        .path.display()
    )]
    OtherKey { path: PathBuf },
    #[error(
        "the sealing key of {} is missing ({key}), and no session can be opened without it: restore it, or run `dd-oauth reset` and log in again",
        .installation.display()
    )]
    KeyMissing { key: String, installation: PathBuf },
    #[error(
        "the sealing key ({key}) is not the one of this installation ({}): restore the right one, or run `dd-oauth reset` and log in again",
        .installation.display()
    )]
    WrongKey { key: String, installation: PathBuf },
    #[error(
        "DD_OAUTH_KEY_FILE names {}, which is not there; it is never created: restore it, or unset the variable and run `dd-oauth reset`",
        .path.display()
    )]
    NamedKeyMissing { path: PathBuf },
    #[error(
        "the sealing key of {} is in a file that DD_OAUTH_KEY_FILE named: set it again, or run `dd-oauth reset` to start anew",
        .installation.display()
    )]
    NamedKeyUnset { installation: PathBuf },
    #[error("the sealing key ({key}) {why}; restore it, or run `dd-oauth reset` and log in again")]
    BadKey { key: String, why: &'static str },
    #[error(
        "DD_TOKEN_STORAGE says {wished}, but the sealing key of this installation rests in: {remembered}; `dd-oauth key move {wished}` moves it"
    )]
    OtherPlace { remembered: KeyPlace, wished: KeyPlace },
    #[error(
        "could not {tried} the sealing key in the keychain ({}, entry {entry}): {source}{}",
        Keychain::NAME,
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
            Self::NoHome(_) => ExitKind::Usage,
            Self::NotPrivate { .. } | Self::LocksOut { .. } => ExitKind::Refused,
            Self::Forgotten => ExitKind::Temporary,
            _ => ExitKind::Storage,
        }
    }

    /// Whether the same write may succeed after somebody frees space or repairs the disk.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// What the user can do about a directory that cannot be there.
fn elsewhere(instead: Option<&str>) -> String {
    let set = |variable| format!("; set {variable} to a directory that you can write to");
    instead.map_or_else(String::new, set)
}

/// What else the user can set.
fn or_set(instead: Option<&str>) -> String {
    instead.map_or_else(String::new, |variable| format!(", or set {variable}"))
}

/// What the user can do about a keychain that failed.
fn way_out(tried: &str, source: &KeychainError) -> &'static str {
    match (tried, source) {
        ("read", KeychainError::Several) => "; remove all but the right one",
        ("read", error) if error.is_absence() => {
            "; run dd-oauth where the keychain is, or run `dd-oauth reset` here to start anew"
        }
        ("read", _) => {
            "; unlock it and try again, or move the key with `dd-oauth key move file` where it is unlocked"
        }
        ("write", _) => "; DD_TOKEN_STORAGE=file keeps the key of a new installation in a file",
        _ => "; `dd-oauth key list` shows what is left there",
    }
}

/// Makes a [`StorageError::Io`] from the error of an operation on `path`.
pub(super) fn io_error<'a>(
    tried: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> StorageError + 'a {
    move |source| StorageError::Io { tried, path: path.to_path_buf(), source }
}
