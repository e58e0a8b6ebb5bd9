//! Every copy of a sealing key that this user has, and whether an installation still uses it: a
//! state directory that was removed by hand leaves its key behind.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::identity::{identity_in, is_id};
use super::key;
use super::settings::InstallationPaths;
use crate::platform::Privacy;
use crate::session::durable;
use crate::session::error::StorageError;
use crate::session::key_place::{KeyPlace, SERVICE};
use crate::session::keychain::{Keychain, KeychainError};
use crate::session::sealing_key::storage::WrittenKey;

const LIMIT: u64 = 8 * 1024;

/// One copy of a sealing key.
#[derive(Debug)]
pub struct KeyCopy {
    /// Of the installation that it was made for.
    pub id: String,
    pub place: KeyPlace,
    pub standing: KeyStanding,
}

/// What a copy of a key is good for.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyStanding {
    /// It opens the sessions in this state directory.
    Used(PathBuf),
    /// The installation in this state directory has its key elsewhere.
    Spare(PathBuf),
    /// Its installation is gone from this state directory.
    Orphan(PathBuf),
    /// It does not say whose it is.
    Unknown,
}

impl fmt::Display for KeyStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used(directory) => write!(f, "in use by {}", directory.display()),
            Self::Spare(directory) => {
                write!(f, "spare: {} has its key elsewhere", directory.display())
            }
            Self::Orphan(directory) => write!(f, "orphan: {} is gone", directory.display()),
            Self::Unknown => f.write_str("it is not known whose it is"),
        }
    }
}

/// What was found, and why the keychain could not be looked into, if it could not.
pub struct KeyCopies {
    pub copies: Vec<KeyCopy>,
    pub keychain: Option<KeychainError>,
}

/// Why a key was not forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetKeyError {
    #[error("{0:?} is no id of a key: `dd-oauth key list` shows them")]
    BadId(String),
    #[error("there is no key {0}: `dd-oauth key list` shows what there is")]
    NotFound(String),
    #[error(
        "the key {id} is in use by {}: `dd-oauth logout --all` there forgets it with its sessions",
        .directory.display()
    )]
    InUse { id: String, directory: PathBuf },
}

impl KeyCopies {
    /// Looks into the data directory and the keychain.
    ///
    /// # Errors
    /// Where the data directory cannot be read.
    pub fn find(paths: &InstallationPaths) -> Result<Self, StorageError> {
        let mut copies = in_files(paths)?;
        let keychain = match Keychain::with(paths.key.timeout).entries(SERVICE) {
            Ok(entries) => {
                let entries = entries.into_iter().filter(|entry| is_id(&entry.account));
                copies
                    .extend(entries.map(|entry| {
                        copy(paths, entry.account, KeyPlace::Keychain, &entry.secret)
                    }));
                None
            }
            Err(error) => Some(error),
        };
        copies.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Self { copies, keychain })
    }

    /// Removes every copy of the key `id`, in the kernel too, if nobody uses one of them. Returns
    /// why a copy could not be removed.
    ///
    /// # Errors
    /// Where it is in use, or there is none of that id.
    pub fn forget(
        &self,
        paths: &InstallationPaths,
        id: &str,
    ) -> Result<Vec<StorageError>, ForgetKeyError> {
        if !is_id(id) {
            return Err(ForgetKeyError::BadId(id.into()));
        }
        let ours: Vec<_> = self.copies.iter().filter(|copy| copy.id == id).collect();
        if ours.is_empty() {
            return Err(ForgetKeyError::NotFound(id.into()));
        }
        for copy in ours {
            if let KeyStanding::Used(directory) = &copy.standing {
                return Err(ForgetKeyError::InUse { id: id.into(), directory: directory.clone() });
            }
        }
        Ok(key::remove_all(paths, id, None))
    }
}

/// Removes every copy of the key of an installation that was just forgotten: of that with this id, whose
/// key was stored at this place, or if nobody knows them, of all that say that they were made for this
/// state directory. Returns why a copy could not be removed.
pub(in crate::session) fn forget_keys(
    paths: &InstallationPaths,
    known: Option<(&str, KeyPlace)>,
) -> Vec<StorageError> {
    if let Some((id, place)) = known {
        return key::remove_all(paths, id, Some(place));
    }
    let found = match KeyCopies::find(paths) {
        Ok(found) => found,
        Err(error) => return vec![error],
    };
    let orphan = KeyStanding::Orphan(paths.state_directory.clone());
    let ours = found.copies.into_iter().filter(|copy| copy.standing == orphan);
    ours.flat_map(|copy| key::remove_all(paths, &copy.id, None)).collect()
}

fn in_files(paths: &InstallationPaths) -> Result<Vec<KeyCopy>, StorageError> {
    let mut copies = Vec::new();
    let directory = paths.data.path()?;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let file = entry.path();
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_suffix(".key"))
            .map(str::to_string);
        let Some(id) = id.filter(|id| is_id(id)) else { continue };
        let bytes = durable::read(&file, Privacy::Secret, LIMIT)?.map(Zeroizing::new);
        let Some(bytes) = bytes else { continue };
        copies.push(copy(paths, id, KeyPlace::File, &bytes));
    }
    Ok(copies)
}

fn copy(paths: &InstallationPaths, id: String, place: KeyPlace, bytes: &[u8]) -> KeyCopy {
    let told = WrittenKey::parse(bytes).and_then(|written| written.state_directory);
    let told = told.filter(|directory| directory.is_absolute());
    let here = &paths.state_directory;
    let standing = match (told, standing_in(here, &id, place)) {
        (_, standing @ (KeyStanding::Used(_) | KeyStanding::Spare(_))) => standing,
        (Some(directory), _) => standing_in(&directory, &id, place),
        (None, _) => KeyStanding::Unknown,
    };
    KeyCopy { id, place, standing }
}

fn standing_in(state_directory: &Path, id: &str, place: KeyPlace) -> KeyStanding {
    let directory = state_directory.to_path_buf();
    match identity_in(state_directory) {
        Ok(Some(identity)) if identity.id == id && identity.key == place => {
            KeyStanding::Used(directory)
        }
        Ok(Some(identity)) if identity.id == id => KeyStanding::Spare(directory),
        // What cannot be read may be an installation all the same.
        Err(_) => KeyStanding::Used(directory),
        Ok(_) => KeyStanding::Orphan(directory),
    }
}
