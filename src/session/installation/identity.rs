//! The file that makes a state directory an installation: a random id, and the place and fingerprint
//! of its sealing key.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::platform::Privacy;
use crate::secret::hex;
use crate::session::durable;
use crate::session::error::StorageError;
use crate::session::key_place::KeyPlace;
use crate::session::sealing_key::SealingKey;

/// Of an installation whose files are in a directory of its own.
const FORMAT: u32 = 2;
/// Of an installation whose files are in directories that the next one takes over.
const SHARED: u32 = 1;
const LIMIT: u64 = 4096;

/// Whose the directories with the files of an installation are. See [`super::places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Of this installation alone.
    Own,
    /// Of whichever installation there is.
    Shared,
}

/// The identity of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    format: u32,
    pub id: String,
    /// Where the sealing key is stored.
    pub key: KeyPlace,
    /// Tells whether a key is the one of this installation.
    fingerprint: String,
    /// Whether a second copy of the key may be somewhere. Nothing if an earlier version wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copies: Option<bool>,
}

impl Identity {
    /// Of a new installation, with the id and key that it was given.
    pub fn new(id: String, place: KeyPlace, key: &SealingKey) -> Self {
        let fingerprint = key.fingerprint().into();
        Self { format: FORMAT, id, key: place, fingerprint, copies: Some(false) }
    }

    /// The same installation, with its sealing key at another place.
    pub fn moved_to(self, place: KeyPlace) -> Self {
        Self { key: place, ..self }
    }

    /// The same installation, with a note whether a second copy of its key may be somewhere.
    pub fn with_copies(self, copies: bool) -> Self {
        Self { copies: Some(copies), ..self }
    }

    /// Whether there may be a copy of the key at another place than where it is stored.
    pub fn may_have_copies(&self) -> bool {
        self.copies != Some(false)
    }

    /// Whose the directories with its files are.
    pub fn layout(&self) -> Layout {
        if self.format == SHARED { Layout::Shared } else { Layout::Own }
    }

    /// Whether `key` is the one of this installation.
    pub fn has(&self, key: &SealingKey) -> bool {
        key.fingerprint() == self.fingerprint
    }

    /// The content of the file.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an identity is plain data")
    }
}

/// The file of the installation in a state directory.
pub fn path_in(state_directory: &Path) -> PathBuf {
    state_directory.join("installation")
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The installation in a state directory, if there is one.
pub fn identity_in(state_directory: &Path) -> Result<Option<Identity>, StorageError> {
    let path = path_in(state_directory);
    let bytes = durable::read(&path, Privacy::Owned, LIMIT)?;
    bytes.map(|bytes| read_identity(&path, &bytes)).transpose()
}

fn read_identity(path: &Path, bytes: &[u8]) -> Result<Identity, StorageError> {
    let damaged = |why| StorageError::BadInstallation { path: path.to_path_buf(), why };
    let format: Format =
        serde_json::from_slice(bytes).map_err(|_| damaged("is not an installation file"))?;
    if format.format > FORMAT {
        return Err(StorageError::Newer { path: path.to_path_buf() });
    }
    let identity: Identity =
        serde_json::from_slice(bytes).map_err(|_| damaged("is not an installation file"))?;
    if is_id(&identity.id) { Ok(identity) } else { Err(damaged("has no proper installation id")) }
}

/// Whether this is an installation id: it becomes part of file names.
pub fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A new installation id.
pub fn random_id() -> Result<String, StorageError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(StorageError::NoRandomness)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_or_damaged_installation_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("installation");
        let verdict = |text: &str| read_identity(&path, text.as_bytes()).unwrap_err();
        assert!(matches!(verdict(r#"{"format":3}"#), StorageError::Newer { .. }));
        for text in ["", "{}", r#"{"format":1,"id":"../../x"}"#, r#"{"format":1}"#] {
            assert!(matches!(verdict(text), StorageError::BadInstallation { .. }), "{text}");
        }
    }
}
