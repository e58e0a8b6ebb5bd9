//! An installation: one state directory, with its own random id and sealing key.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::durable;
use super::error::StorageError;
use super::key_place::{KeyHome, KeyPlace};
use super::keychain::{KeychainError, KeychainTimeout};
use super::sealing_key::storage::{self, WrittenKey};
use super::sealing_key::{KeyMemory, SealingKey};
use crate::platform::{Privacy, kernel_keyring};
use crate::secret::hex;

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
    pub key: KeySettings,
}

/// What the configuration says about the sealing key.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// `DD_TOKEN_STORAGE`: where it has to rest.
    pub place: Option<KeyPlace>,
    /// `DD_OAUTH_KEY_FILE`: used instead of any other place, and never created.
    pub named_file: Option<PathBuf>,
    /// How long the kernel keeps a key that was read from the keychain; nothing where it may not.
    pub kernel_stay: Option<Duration>,
    /// Where this process itself keeps a key that it read from the keychain, if it does.
    pub memory: Option<KeyMemory>,
    /// How long the keychain is waited for.
    pub timeout: KeychainTimeout,
}

/// An installation that exists.
pub struct Installation {
    paths: InstallationPaths,
    identity: Identity,
    key: OnceCell<(SealingKey, KeyOrigin)>,
}

/// Where a process had the sealing key from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// Whoever started this process had it.
    HandedOn,
    /// This process had read it before.
    Memory,
    /// The kernel kept a copy.
    Kernel,
    /// It was read where it rests.
    Home { took: Duration },
}

/// An installation that was opened or created.
pub struct Opened {
    pub installation: Installation,
    /// Why a new key had to go into a file though nobody chose that.
    pub fell_back: Option<KeychainError>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    format: u32,
    pub(super) id: String,
    /// Where the sealing key rests.
    pub(super) key: KeyPlace,
    /// Tells whether a key is the one of this installation.
    pub(super) fingerprint: String,
}

impl Installation {
    /// Opens the installation, if there is one.
    ///
    /// # Errors
    /// Where its directory or file is not the user's own, or cannot be read.
    pub fn open(paths: &InstallationPaths) -> Result<Option<Self>, StorageError> {
        durable::check_directory(&paths.state_directory)?;
        let Some(identity) = identity_in(&paths.state_directory)? else { return Ok(None) };
        durable::check_directory(&sessions(paths))?;
        Ok(Some(Self { paths: paths.clone(), identity, key: OnceCell::new() }))
    }

    /// Opens the installation, or creates it with a new id and key. Of several that create it at
    /// once, all end up with the same one.
    ///
    /// # Errors
    /// As [`Installation::open`], and where something cannot be written.
    pub fn open_or_create(paths: &InstallationPaths) -> Result<Opened, StorageError> {
        let existing = Self::open(paths)?;
        durable::ensure_directory(&paths.state_directory)?;
        for directory in [sessions(paths), registrations(paths)] {
            durable::ensure_directory(&directory)?;
        }
        if let Some(installation) = existing {
            return Ok(Opened { installation, fell_back: None });
        }
        let id = random_id()?;
        // The key comes first: an installation that exists has had its key.
        let (home, key, mut fell_back) = create_key(paths, &id)?;
        let identity = Identity {
            format: FORMAT,
            id,
            key: home.place(),
            fingerprint: key.fingerprint().into(),
        };
        let path = paths.state_directory.join(FILE);
        if !durable::create_once(&path, &identity.to_json())? {
            storage::remove(&home)?;
            fell_back = None;
        }
        let installation = Self::open(paths)?
            .ok_or(StorageError::BadInstallation { path, why: "vanished while it was created" })?;
        Ok(Opened { installation, fell_back })
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

    /// The file that says which session `dd-oauth use` selected.
    pub(super) fn selection_path(&self) -> PathBuf {
        self.paths.state_directory.join("selected")
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

    /// The lock of everything that changes where the key rests.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.paths.state_directory.join("installation.lock")
    }

    /// The lock that lets one process at a time take over what earlier tools left behind.
    #[must_use]
    pub fn import_lock_path(&self) -> PathBuf {
        self.paths.state_directory.join("import.lock")
    }

    /// Where the sealing key rests.
    ///
    /// # Errors
    /// Where it is in a file that `DD_OAUTH_KEY_FILE` named once, and names no longer.
    pub fn key_home(&self) -> Result<KeyHome, StorageError> {
        self.home_of(&self.identity)
    }

    /// Whether the kernel has a copy of the key that can be used.
    #[must_use]
    pub fn has_copy_in_kernel(&self) -> bool {
        let found = kernel_keyring::find(&kernel_name(&self.identity.id)).map(SealingKey::new);
        self.paths.key.kernel_stay.is_some() && found.is_some_and(|key| self.identity.has(&key))
    }

    /// The same for one who only looks: no copy of the key is put into the kernel.
    #[must_use]
    pub fn without_new_copies(mut self) -> Self {
        let copy = self.has_copy_in_kernel();
        self.paths.key.kernel_stay = self.paths.key.kernel_stay.filter(|_| copy);
        self
    }

    /// The key, to be handed to a process that goes on with our work.
    ///
    /// # Errors
    /// As when a session is opened.
    pub fn key_to_hand_on(&self) -> Result<Zeroizing<[u8; 32]>, StorageError> {
        Ok(Zeroizing::new(*self.key()?.expose()))
    }

    /// Takes over a key that was handed on, so that it need not be read; another one is ignored.
    pub fn take_key(&self, handed_on: Zeroizing<[u8; 32]>) {
        let key = SealingKey::new(handed_on);
        if self.identity.has(&key) {
            let _ = self.key.set((key, KeyOrigin::HandedOn));
        }
    }

    /// Where the key came from; nothing as long as it was not needed.
    #[must_use]
    pub fn key_origin(&self) -> Option<KeyOrigin> {
        self.key.get().map(|(_, origin)| *origin)
    }

    /// The sealing key, read at its first use.
    ///
    /// # Errors
    /// Where it is missing, damaged, open to others, or not where the configuration wants it.
    pub(super) fn key(&self) -> Result<&SealingKey, StorageError> {
        if let Some((key, _)) = self.key.get() {
            return Ok(key);
        }
        if let (Some(wished), None) = (self.paths.key.place, &self.paths.key.named_file)
            && wished != self.identity.key
        {
            return Err(StorageError::OtherPlace { remembered: self.identity.key, wished });
        }
        let key = match self.read_key(&self.identity) {
            Ok(key) => key,
            // It may have been moved since we looked where it is.
            Err(error) => match identity_in(&self.paths.state_directory)? {
                Some(now) if now != self.identity => self.read_key(&now)?,
                _ => return Err(error),
            },
        };
        Ok(&self.key.get_or_init(|| key).0)
    }

    fn read_key(&self, identity: &Identity) -> Result<(SealingKey, KeyOrigin), StorageError> {
        let home = self.home_of(identity)?;
        let in_keychain = home.place() == KeyPlace::Keychain;
        let stay = self.paths.key.kernel_stay.filter(|_| in_keychain);
        let memory = self.paths.key.memory.as_ref().filter(|_| in_keychain);
        if let Some(key) = memory.and_then(KeyMemory::recall).filter(|key| identity.has(key)) {
            return Ok((key, KeyOrigin::Memory));
        }
        let (key, origin) = self.read_key_outside(&home, stay, identity)?;
        if let Some(memory) = memory {
            memory.hold(&key);
        }
        Ok((key, origin))
    }

    /// Reads the key from the kernel, where that may keep it for a `stay`, or from its home.
    fn read_key_outside(
        &self,
        home: &KeyHome,
        stay: Option<Duration>,
        identity: &Identity,
    ) -> Result<(SealingKey, KeyOrigin), StorageError> {
        let name = kernel_name(&identity.id);
        if stay.is_some()
            && let Some(key) = kernel_keyring::find(&name).map(SealingKey::new)
            && identity.has(&key)
        {
            return Ok((key, KeyOrigin::Kernel));
        }
        let started = Instant::now();
        let installation = self.paths.state_directory.join(FILE);
        let key = storage::read(home, &installation)?;
        let took = started.elapsed();
        if !identity.has(&key) {
            return Err(StorageError::WrongKey { key: home.to_string(), installation });
        }
        if let Some(stay) = stay {
            // Where the kernel refuses, the next one asks the keychain again.
            let _ = kernel_keyring::keep(&name, key.expose(), stay);
        }
        Ok((key, KeyOrigin::Home { took }))
    }

    fn home_of(&self, identity: &Identity) -> Result<KeyHome, StorageError> {
        match (&self.paths.key.named_file, identity.key) {
            (Some(path), _) => Ok(KeyHome::NamedFile(path.clone())),
            (None, KeyPlace::Named) => Err(StorageError::NamedKeyUnset {
                installation: self.paths.state_directory.join(FILE),
            }),
            (None, place) => Ok(home_at(&self.paths, &identity.id, place)),
        }
    }

    /// Whether the installation is still the one that was opened, and not forgotten meanwhile.
    pub(super) fn is_there(&self) -> Result<bool, StorageError> {
        let now = identity_in(&self.paths.state_directory)?;
        Ok(now.is_some_and(|now| now.id == self.identity.id))
    }

    /// Moves the sealing key to another place. At every moment, also when we are killed, one of
    /// the two has it, and the installation says which. `_lock` is [`Installation::lock_path`].
    /// Returns why a copy elsewhere could not be removed, if one could not.
    ///
    /// # Errors
    /// Where it cannot be read or written; it is where it was then.
    pub fn move_key(
        &self,
        _lock: &crate::lock::Lock,
        place: KeyPlace,
    ) -> Result<Option<StorageError>, StorageError> {
        // Read again under the lock: another move may have been faster.
        let identity = identity_in(&self.paths.state_directory)?.ok_or(StorageError::Forgotten)?;
        let (key, _) = self.read_key(&identity)?;
        let to = home_at(&self.paths, &identity.id, place);
        let written = WrittenKey { key, state_directory: Some(self.paths.state_directory.clone()) };
        storage::write(&to, &written)?;
        let path = self.paths.state_directory.join(FILE);
        let kept = storage::read(&to, &path)?;
        if !identity.has(&kept) {
            return Err(StorageError::WrongKey { key: to.to_string(), installation: path });
        }
        let (id, was) = (identity.id.clone(), identity.key);
        if identity.key != place {
            durable::replace(&path, &Identity { key: place, ..identity }.to_json())?;
        }
        // Also what an earlier move left that was killed right here.
        let elsewhere = match place {
            KeyPlace::File | KeyPlace::Named => KeyPlace::Keychain,
            KeyPlace::Keychain => KeyPlace::File,
        };
        Ok(remove_copy(&self.paths, &id, elsewhere, was == elsewhere))
    }

    /// Forgets the installation, its registrations and its key, wherever a copy of that is. Its
    /// sessions have to be forgotten before. `_lock` is [`Installation::lock_path`]. Returns why
    /// a copy of the key could not be removed.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn forget(&self, _lock: &crate::lock::Lock) -> Result<Vec<StorageError>, StorageError> {
        durable::remove(&self.paths.state_directory.join(FILE))?;
        durable::remove(&self.selection_path())?;
        durable::sync_parent(&self.paths.state_directory.join(FILE))?;
        let registrations = registrations(&self.paths);
        for entry in std::fs::read_dir(&registrations).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|ending| ending == "json") {
                durable::remove(&entry.path())?;
            }
        }
        Ok(remove_key(&self.paths, &self.identity.id, Some(self.identity.key)))
    }
}

impl Identity {
    /// Whether `key` is the one of this installation.
    fn has(&self, key: &SealingKey) -> bool {
        key.fingerprint() == self.fingerprint
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an identity is plain data")
    }
}

/// Removes every copy of the key of the installation `id`; `place` is where it rests, if that is
/// known. What could not be removed: a keychain that is not there holds no copy.
pub(super) fn remove_key(
    paths: &InstallationPaths,
    id: &str,
    place: Option<KeyPlace>,
) -> Vec<StorageError> {
    let _ = kernel_keyring::forget(&kernel_name(id));
    let copies = [KeyPlace::File, KeyPlace::Keychain].into_iter();
    copies.filter_map(|copy| remove_copy(paths, id, copy, place == Some(copy))).collect()
}

/// Removes the copy of a key at one place; `expected` says that it has to be there. A keychain
/// that does not exist holds none.
fn remove_copy(
    paths: &InstallationPaths,
    id: &str,
    copy: KeyPlace,
    expected: bool,
) -> Option<StorageError> {
    match storage::remove(&home_at(paths, id, copy)) {
        Err(StorageError::Keychain { source, .. }) if source.is_absence() && !expected => None,
        removed => removed.err(),
    }
}

/// Makes a new key, and says why not in the keychain where nobody chose the file.
fn create_key(
    paths: &InstallationPaths,
    id: &str,
) -> Result<(KeyHome, SealingKey, Option<KeychainError>), StorageError> {
    let installation = paths.state_directory.join(FILE);
    if let Some(path) = &paths.key.named_file {
        let home = KeyHome::NamedFile(path.clone());
        let key = storage::read(&home, &installation)?;
        return Ok((home, key, None));
    }
    let create_at = |place| {
        let home = home_at(paths, id, place);
        let state_directory = Some(paths.state_directory.clone());
        storage::write(&home, &WrittenKey { key: SealingKey::generate()?, state_directory })?;
        let key = storage::read(&home, &installation)?;
        Ok((home, key))
    };
    match create_at(paths.key.place.unwrap_or(KeyPlace::Keychain)) {
        Err(StorageError::Keychain { source, .. }) if paths.key.place.is_none() => {
            create_at(KeyPlace::File).map(|(home, key)| (home, key, Some(source)))
        }
        created => created.map(|(home, key)| (home, key, None)),
    }
}

fn sessions(paths: &InstallationPaths) -> PathBuf {
    paths.state_directory.join("sessions")
}

fn registrations(paths: &InstallationPaths) -> PathBuf {
    paths.state_directory.join("registrations")
}

/// The place of the key of the installation `id`, of a kind that is ours to write.
fn home_at(paths: &InstallationPaths, id: &str, place: KeyPlace) -> KeyHome {
    match place {
        KeyPlace::Keychain => KeyHome::keychain(id, paths.key.timeout),
        KeyPlace::File | KeyPlace::Named => {
            KeyHome::File(paths.data_directory.join(format!("{id}.key")))
        }
    }
}

/// Under what name the kernel keeps the key of the installation `id`.
fn kernel_name(id: &str) -> String {
    format!("dd-oauth:{id}")
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The installation in a state directory, if there is one.
pub(super) fn identity_in(state_directory: &Path) -> Result<Option<Identity>, StorageError> {
    let path = state_directory.join(FILE);
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
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
            key: KeySettings {
                place: Some(KeyPlace::File),
                named_file: None,
                kernel_stay: None,
                memory: None,
                timeout: KeychainTimeout { limit: Duration::from_secs(3), notice: None },
            },
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
                        let installation =
                            Installation::open_or_create(&paths).unwrap().installation;
                        installation.key().unwrap().fingerprint().to_string()
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
        let installation = Installation::open_or_create(&paths).unwrap().installation;
        let KeyHome::File(key) = installation.key_home().unwrap() else {
            panic!("a key file of our own")
        };
        std::fs::remove_file(key).unwrap();
        let again = Installation::open_or_create(&paths).unwrap().installation;
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
