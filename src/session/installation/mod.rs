//! An installation: one state directory, with its own random id and sealing key.

mod identity;
mod key;
mod key_copies;
mod places;
mod settings;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::lock::Lock;
use crate::session::durable;
use crate::session::error::StorageError;
use crate::session::key_place::{KeyHome, KeyPlace};
use crate::session::keychain::KeychainError;
use crate::session::sealing_key::{SealingKey, storage};

use identity::{Identity, Layout, identity_in};
use places::Places;
pub(super) use places::{Directories, remove_ended};

pub(super) use identity::path_in as identity_path;
pub use key::KeyOrigin;
pub(super) use key_copies::forget_keys;
pub use key_copies::{ForgetKeyError, KeyCopies, KeyCopy, KeyStanding};
pub use settings::{InstallationPaths, KeySettings};

/// An installation that exists.
pub struct Installation {
    paths: InstallationPaths,
    identity: Identity,
    places: Places,
    key: OnceCell<(SealingKey, KeyOrigin)>,
}

/// An installation that was opened or created.
pub struct Opened {
    pub installation: Installation,
    /// Why a new key went into a file although nobody chose that.
    pub fell_back: Option<KeychainError>,
}

impl Installation {
    /// Opens the installation, if there is one.
    ///
    /// # Errors
    /// Where its directory or file is not the user's own, or cannot be read.
    pub fn open(paths: &InstallationPaths) -> Result<Option<Self>, StorageError> {
        durable::check_directory(&paths.state_directory)?;
        let Some(identity) = identity_in(&paths.state_directory)? else { return Ok(None) };
        let places = Places::of(&paths.state_directory, &identity);
        durable::check_directory(&places.sessions())?;
        Ok(Some(Self { paths: paths.clone(), identity, places, key: OnceCell::new() }))
    }

    /// Opens the installation, or creates it with a new id and key. Processes that create it at the
    /// same time get the same one.
    ///
    /// # Errors
    /// As [`Installation::open`], where something cannot be written, and
    /// [`StorageError::Forgotten`] where it was forgotten meanwhile.
    pub fn open_or_create(paths: &InstallationPaths) -> Result<Opened, StorageError> {
        let existing = Self::open(paths)?;
        durable::ensure_place(&paths.state)?;
        let opened = match existing {
            Some(installation) => Opened { installation, fell_back: None },
            None => Self::create(paths)?,
        };
        let Opened { installation, .. } = &opened;
        for directory in [installation.sessions_directory(), installation.registrations_directory()]
        {
            durable::ensure_directory(&directory)?;
        }
        if !installation.is_there()? {
            return Err(StorageError::Forgotten);
        }
        Ok(opened)
    }

    fn create(paths: &InstallationPaths) -> Result<Opened, StorageError> {
        let id = identity::random_id()?;
        // The key comes first: an installation that exists has had its key.
        let (home, key, mut fell_back) = key::create(paths, &id)?;
        // A keychain that did not answer may have taken it all the same.
        let identity = Identity::new(id, home.place(), &key).with_copies(fell_back.is_some());
        let path = identity::path_in(&paths.state_directory);
        if !durable::create_once(&path, &identity.to_json())? {
            storage::remove(&home)?;
            fell_back = None;
        }
        let installation = Self::open(paths)?.ok_or(StorageError::Forgotten)?;
        Ok(Opened { installation, fell_back })
    }

    /// The directory of the session files.
    #[must_use]
    pub fn sessions_directory(&self) -> PathBuf {
        self.places.sessions()
    }

    /// Whether no other installation uses that directory.
    #[must_use]
    pub fn has_own_directory(&self) -> bool {
        self.places.layout() == Layout::Own
    }

    /// The directory of the registrations.
    #[must_use]
    pub fn registrations_directory(&self) -> PathBuf {
        self.places.registrations()
    }

    /// The file that says which session `dd-oauth use` selected.
    pub(super) fn selection_path(&self) -> PathBuf {
        self.places.selection()
    }

    /// The state directory itself.
    #[must_use]
    pub fn state_directory(&self) -> &Path {
        &self.paths.state_directory
    }

    /// Its random id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.identity.id
    }

    /// The lock of everything that changes where the sealing key is stored.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.paths.state_directory.join("installation.lock")
    }

    /// The lock of `dd-oauth import`.
    #[must_use]
    pub fn import_lock_path(&self) -> PathBuf {
        self.places.import_lock()
    }

    /// What kind of place the sealing key is stored at.
    #[must_use]
    pub fn key_place(&self) -> KeyPlace {
        self.identity.key
    }

    /// Where the sealing key is stored.
    ///
    /// # Errors
    /// If it is in a file that `DD_OAUTH_KEY_FILE` named once and does not name now.
    pub fn key_home(&self) -> Result<KeyHome, StorageError> {
        key::home_of(&self.paths, &self.identity)
    }

    /// Whether the kernel has a copy of the key that can be used.
    #[must_use]
    pub fn has_copy_in_kernel(&self) -> bool {
        key::is_in_kernel(&self.paths, &self.identity)
    }

    /// The same installation for a command that changes nothing: it puts no copy of the key into
    /// the kernel.
    #[must_use]
    pub fn without_new_copies(mut self) -> Self {
        let copy = self.has_copy_in_kernel();
        self.paths.key.kernel_stay = self.paths.key.kernel_stay.filter(|_| copy);
        self
    }

    /// The key for a process that continues our work.
    ///
    /// # Errors
    /// As when a session is opened.
    pub fn key_to_hand_on(&self) -> Result<Zeroizing<[u8; 32]>, StorageError> {
        Ok(Zeroizing::new(*self.sealing_key()?.expose()))
    }

    /// Takes over a key that was handed on, so that it need not be read. A wrong key is ignored.
    pub fn take_key(&self, handed_on: Zeroizing<[u8; 32]>) {
        let key = SealingKey::new(handed_on);
        if self.identity.has(&key) {
            let _ = self.key.set((key, KeyOrigin::HandedOn));
        }
    }

    /// Where the key came from, if it was needed.
    #[must_use]
    pub fn key_origin(&self) -> Option<KeyOrigin> {
        self.key.get().map(|(_, origin)| *origin)
    }

    /// The sealing key, read at its first use.
    ///
    /// # Errors
    /// Where it is missing, damaged, open to others, or not where the configuration wants it.
    pub(super) fn sealing_key(&self) -> Result<&SealingKey, StorageError> {
        if let Some((key, _)) = self.key.get() {
            return Ok(key);
        }
        if let (Some(wished), None) = (self.paths.key.place, &self.paths.key.named_file)
            && wished != self.identity.key
        {
            return Err(StorageError::OtherPlace { remembered: self.identity.key, wished });
        }
        let key = match key::read(&self.paths, &self.identity) {
            Ok(key) => key,
            Err(error) => match identity_in(&self.paths.state_directory)? {
                Some(now) if now == self.identity => return Err(error),
                // It may have been moved since we looked where it is.
                Some(now) if now.id == self.identity.id => key::read(&self.paths, &now)?,
                _ => return Err(StorageError::Forgotten),
            },
        };
        Ok(&self.key.get_or_init(|| key).0)
    }

    /// Whether the installation is still the one that was opened, and not forgotten meanwhile.
    pub(super) fn is_there(&self) -> Result<bool, StorageError> {
        let now = identity_in(&self.paths.state_directory)?;
        Ok(now.is_some_and(|now| now.id == self.identity.id))
    }

    /// Moves the sealing key to another place. Even if we are killed, one of the two places has it,
    /// and the installation says which. `_lock` is [`Installation::lock_path`]. Returns why a copy
    /// elsewhere could not be removed, if one could not.
    ///
    /// # Errors
    /// If it cannot be read or written. It stays where it was then.
    pub fn move_key(
        &self,
        _lock: &Lock,
        place: KeyPlace,
    ) -> Result<Option<StorageError>, StorageError> {
        key::move_to(&self.paths, place)
    }

    /// Ends the installation: from now on there is none, and what is written into it is refused.
    /// `_lock` is [`Installation::lock_path`].
    ///
    /// # Errors
    /// If a file cannot be removed, and [`StorageError::Forgotten`] if another process was faster.
    pub fn end(&self, _lock: &Lock) -> Result<(), StorageError> {
        if !self.is_there()? {
            return Err(StorageError::Forgotten);
        }
        if self.places.layout() == Layout::Shared {
            // While it exists, they are nobody else's.
            durable::remove(&self.selection_path())?;
            durable::remove_all(&self.places.registrations(), |name| name.contains(".json"))?;
        }
        let record = identity::path_in(&self.paths.state_directory);
        durable::remove(&record)?;
        durable::sync_parent(&record)
    }

    /// Removes what an installation that has ended leaves behind: its own directory, those that a killed
    /// logout left, and all copies of its key. Returns why a copy of the key could not be removed.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn clear(&self, _lock: &Lock) -> Result<Vec<StorageError>, StorageError> {
        // The key goes even if a directory stays.
        let cleared = places::remove_ended(&self.paths.state_directory);
        let left = key::remove_copies(&self.paths, &self.identity);
        cleared.map(|()| left)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::Place;
    use crate::session::keychain::KeychainTimeout;

    fn paths(directory: &Path) -> InstallationPaths {
        let key = KeySettings {
            place: Some(KeyPlace::File),
            named_file: None,
            kernel_stay: None,
            memory: None,
            timeout: KeychainTimeout { limit: Duration::from_secs(3), notice: None },
        };
        let place = |name| Place::ours(directory.join(name));
        InstallationPaths::new(place("state"), place("data"), key).unwrap()
    }

    #[test]
    fn all_that_create_it_at_once_share_id_and_key() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        let prints: Vec<_> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        let installation =
                            Installation::open_or_create(&paths).unwrap().installation;
                        installation.sealing_key().unwrap().fingerprint().to_string()
                    })
                })
                .collect();
            creators.into_iter().map(|creator| creator.join().unwrap()).collect()
        });
        assert!(prints.iter().all(|print| *print == prints[0]), "{prints:?}");
        let keys = std::fs::read_dir(paths.data.path().unwrap()).unwrap().count();
        assert_eq!(keys, 1, "the keys of the losers are removed");
    }

    #[test]
    fn a_missing_key_is_an_error_and_never_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        let installation = Installation::open_or_create(&paths).unwrap().installation;
        let KeyHome::File(key) = installation.key_home().unwrap() else {
            panic!("a key file of our own")
        };
        std::fs::remove_file(key).unwrap();
        let again = Installation::open_or_create(&paths).unwrap().installation;
        assert!(matches!(again.sealing_key(), Err(StorageError::KeyMissing { .. })));
    }
}
