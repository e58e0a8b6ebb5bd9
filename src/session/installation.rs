//! An installation: one state directory, with its own random id and sealing key.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::key::{self, KeyHome};
use super::seal::{SealingKey, hex};
use super::{StorageError, durable};
use crate::platform::Privacy;

const FORMAT: u32 = 1;
const FILE: &str = "installation";
const LIMIT: u64 = 4096;

/// Where an installation keeps things; decided by the configuration.
#[derive(Clone, Debug)]
pub struct InstallationPaths {
    /// Sessions, journals, locks and registrations.
    pub state_directory: PathBuf,
    /// Key files, apart from what they open.
    pub data_directory: PathBuf,
    /// `DD_OAUTH_KEY_FILE`: used instead of a key file of our own, and never created.
    pub named_key_file: Option<PathBuf>,
}

/// An installation that exists.
pub struct Installation {
    paths: InstallationPaths,
    identity: Identity,
    key: OnceCell<SealingKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    format: u32,
    id: String,
}

impl Installation {
    /// Opens the installation, if there is one.
    ///
    /// # Errors
    /// Where its directory or file is not the user's own, or cannot be read.
    pub fn open(paths: &InstallationPaths) -> Result<Option<Self>, StorageError> {
        durable::check_directory(&paths.state_directory)?;
        let path = paths.state_directory.join(FILE);
        let Some(bytes) = durable::read(&path, Privacy::Owned, LIMIT)? else {
            return Ok(None);
        };
        let identity = read_identity(&path, &bytes)?;
        durable::check_directory(&sessions(paths))?;
        Ok(Some(Self { paths: paths.clone(), identity, key: OnceCell::new() }))
    }

    /// Opens the installation, or creates it with a new id and key. Of several that create it at
    /// once, all end up with the same one.
    ///
    /// # Errors
    /// As [`Installation::open`], and where something cannot be written.
    pub fn open_or_create(paths: &InstallationPaths) -> Result<Self, StorageError> {
        let existing = Self::open(paths)?;
        durable::ensure_directory(&paths.state_directory)?;
        for directory in [sessions(paths), registrations(paths)] {
            durable::ensure_directory(&directory)?;
        }
        if let Some(installation) = existing {
            return Ok(installation);
        }
        let identity = Identity { format: FORMAT, id: random_id()? };
        // The key comes first: an installation that exists has had its key.
        let key_home = key_home(paths, &identity.id);
        key::create(&key_home)?;
        let path = paths.state_directory.join(FILE);
        let json = serde_json::to_vec(&identity).expect("an identity is plain data");
        if !durable::create_once(&path, &json)? {
            key::discard(&key_home)?;
        }
        Self::open(paths)?
            .ok_or(StorageError::BadInstallation { path, why: "vanished while it was created" })
    }

    /// The directory of the session files.
    #[must_use]
    pub fn sessions_directory(&self) -> PathBuf {
        sessions(&self.paths)
    }

    /// The directory of the registrations.
    #[must_use]
    pub fn registrations_directory(&self) -> PathBuf {
        registrations(&self.paths)
    }

    /// The state directory itself.
    #[must_use]
    pub fn state_directory(&self) -> &Path {
        &self.paths.state_directory
    }

    /// Where the sealing key rests.
    #[must_use]
    pub fn key_home(&self) -> KeyHome {
        key_home(&self.paths, &self.identity.id)
    }

    /// The sealing key, read at its first use.
    ///
    /// # Errors
    /// Where it is missing, damaged, or open to others.
    pub(super) fn key(&self) -> Result<&SealingKey, StorageError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let installation = self.paths.state_directory.join(FILE);
        let key = key::read(&self.key_home(), &installation)?;
        Ok(self.key.get_or_init(|| key))
    }
}

fn sessions(paths: &InstallationPaths) -> PathBuf {
    paths.state_directory.join("sessions")
}

fn registrations(paths: &InstallationPaths) -> PathBuf {
    paths.state_directory.join("registrations")
}

fn key_home(paths: &InstallationPaths, id: &str) -> KeyHome {
    match &paths.named_key_file {
        Some(path) => KeyHome::NamedFile(path.clone()),
        None => KeyHome::File(paths.data_directory.join(format!("{id}.key"))),
    }
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Format {
    format: u32,
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
    // The id becomes part of a file name.
    let proper =
        identity.id.len() == 32 && identity.id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if proper { Ok(identity) } else { Err(damaged("has no proper installation id")) }
}

fn random_id() -> Result<String, StorageError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(StorageError::NoRandomness)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(directory: &Path) -> InstallationPaths {
        InstallationPaths {
            state_directory: directory.join("state"),
            data_directory: directory.join("data"),
            named_key_file: None,
        }
    }

    #[test]
    fn all_that_create_it_at_once_share_id_and_key() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        let prints: Vec<_> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        let installation = Installation::open_or_create(&paths).unwrap();
                        installation.key().unwrap().fingerprint()
                    })
                })
                .collect();
            creators.into_iter().map(|creator| creator.join().unwrap()).collect()
        });
        assert!(prints.iter().all(|print| *print == prints[0]), "{prints:?}");
        let keys = std::fs::read_dir(&paths.data_directory).unwrap().count();
        assert_eq!(keys, 1, "the keys of the losers are removed");
    }

    #[test]
    fn a_missing_key_is_an_error_and_never_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        let installation = Installation::open_or_create(&paths).unwrap();
        let KeyHome::File(key) = installation.key_home() else { panic!("a key file of our own") };
        std::fs::remove_file(key).unwrap();
        let again = Installation::open_or_create(&paths).unwrap();
        assert!(matches!(again.key(), Err(StorageError::KeyMissing { .. })));
    }

    #[test]
    fn a_newer_or_damaged_installation_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("installation");
        let verdict = |text: &str| read_identity(&path, text.as_bytes()).unwrap_err();
        assert!(matches!(verdict(r#"{"format":2}"#), StorageError::Newer { .. }));
        for text in ["", "{}", r#"{"format":1,"id":"../../x"}"#, r#"{"format":1}"#] {
            assert!(matches!(verdict(text), StorageError::BadInstallation { .. }), "{text}");
        }
    }
}
