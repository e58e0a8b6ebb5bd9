//! The sealing key of an installation: creating, reading, moving and removing it.

use std::time::{Duration, Instant};

use super::identity::{Identity, identity_in, path_in};
use super::settings::InstallationPaths;
use crate::platform::kernel_keyring;
use crate::session::durable;
use crate::session::error::StorageError;
use crate::session::key_place::{KeyHome, KeyPlace};
use crate::session::keychain::KeychainError;
use crate::session::sealing_key::storage::{self, WrittenKey};
use crate::session::sealing_key::{KeyMemory, SealingKey};

/// Where a process got the sealing key from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The process that started this one handed it on.
    HandedOn,
    /// This process had read it before.
    Memory,
    /// The kernel kept a copy.
    Kernel,
    /// It was read from the place where it is stored.
    Home { took: Duration },
}

/// Creates a key. Also returns why the keychain did not take it, if it went into a file instead
/// although nobody chose that.
pub fn create(
    paths: &InstallationPaths,
    id: &str,
) -> Result<(KeyHome, SealingKey, Option<KeychainError>), StorageError> {
    let installation = path_in(&paths.state_directory);
    if let Some(path) = &paths.key.named_file {
        let home = KeyHome::NamedFile(path.clone());
        let key = storage::read(&home, &installation)?;
        return Ok((home, key, None));
    }
    let create_at = |place| {
        let home = paths.key_home(id, place)?;
        let state_directory = Some(paths.state_directory.clone());
        write(paths, &home, &WrittenKey { key: SealingKey::generate()?, state_directory })?;
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

/// Writes a key, and makes the directory of key files if it goes there.
fn write(
    paths: &InstallationPaths,
    home: &KeyHome,
    written: &WrittenKey,
) -> Result<(), StorageError> {
    if home.place() == KeyPlace::File {
        durable::ensure_place(&paths.data)?;
    }
    storage::write(home, written)
}

/// Reads the key of `identity`: from the memory of this process, from the kernel, or from its home.
pub fn read(
    paths: &InstallationPaths,
    identity: &Identity,
) -> Result<(SealingKey, KeyOrigin), StorageError> {
    let home = home_of(paths, identity)?;
    let in_keychain = home.place() == KeyPlace::Keychain;
    let stay = paths.key.kernel_stay.filter(|_| in_keychain);
    let memory = paths.key.memory.as_ref().filter(|_| in_keychain);
    if let Some(key) = memory.and_then(KeyMemory::recall).filter(|key| identity.has(key)) {
        return Ok((key, KeyOrigin::Memory));
    }
    let (key, origin) = read_outside(paths, &home, stay, identity)?;
    if let Some(memory) = memory {
        memory.hold(&key);
    }
    Ok((key, origin))
}

/// Reads the key from the kernel, if the kernel may keep it for a `stay`, or from its home.
fn read_outside(
    paths: &InstallationPaths,
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
    let installation = path_in(&paths.state_directory);
    let key = storage::read(home, &installation)?;
    let took = started.elapsed();
    if !identity.has(&key) {
        return Err(StorageError::WrongKey { key: home.to_string(), installation });
    }
    if let Some(stay) = stay {
        // If the kernel refuses, the next process asks the keychain again.
        let _ = kernel_keyring::keep(&name, key.expose(), stay);
    }
    Ok((key, KeyOrigin::Home { took }))
}

/// The place of the key of `identity`.
///
/// # Errors
/// If the key is in a file that `DD_OAUTH_KEY_FILE` named once and does not name now.
pub fn home_of(paths: &InstallationPaths, identity: &Identity) -> Result<KeyHome, StorageError> {
    match (&paths.key.named_file, identity.key) {
        (Some(path), _) => Ok(KeyHome::NamedFile(path.clone())),
        (None, KeyPlace::Named) => {
            Err(StorageError::NamedKeyUnset { installation: path_in(&paths.state_directory) })
        }
        (None, place) => Ok(paths.key_home(&identity.id, place)?),
    }
}

/// Whether the kernel has a copy of the key that can be used.
pub fn is_in_kernel(paths: &InstallationPaths, identity: &Identity) -> bool {
    let found = kernel_keyring::find(&kernel_name(&identity.id)).map(SealingKey::new);
    paths.key.kernel_stay.is_some() && found.is_some_and(|key| identity.has(&key))
}

/// See [`super::Installation::move_key`].
pub fn move_to(
    paths: &InstallationPaths,
    place: KeyPlace,
) -> Result<Option<StorageError>, StorageError> {
    // Read again under the lock: another move may have been faster.
    let identity = identity_in(&paths.state_directory)?.ok_or(StorageError::Forgotten)?;
    let (key, _) = read(paths, &identity)?;
    let to = paths.key_home(&identity.id, place)?;
    let path = path_in(&paths.state_directory);
    let note = |identity: &Identity| durable::replace(&path, &identity.to_json());
    let (id, was) = (identity.id.clone(), identity.key);
    // Before there are two copies, and for as long as there may be.
    let mut identity = identity.with_copies(true);
    note(&identity)?;
    let written = WrittenKey { key, state_directory: Some(paths.state_directory.clone()) };
    write(paths, &to, &written)?;
    let kept = storage::read(&to, &path)?;
    if !identity.has(&kept) {
        return Err(StorageError::WrongKey { key: to.to_string(), installation: path });
    }
    if was != place {
        identity = identity.moved_to(place);
        note(&identity)?;
    }
    // This also removes what an earlier move left that was killed right here.
    let elsewhere = match place {
        KeyPlace::File | KeyPlace::Named => KeyPlace::Keychain,
        KeyPlace::Keychain => KeyPlace::File,
    };
    let left = remove_copy(paths, &id, elsewhere, was == elsewhere);
    if left.is_none() {
        note(&identity.with_copies(false))?;
    }
    Ok(left)
}

/// Removes every copy of the key of an installation. A keychain is asked only if it may have one.
/// Returns why a copy could not be removed.
pub fn remove_copies(paths: &InstallationPaths, identity: &Identity) -> Vec<StorageError> {
    if identity.key != KeyPlace::Keychain && !identity.may_have_copies() {
        let _ = kernel_keyring::forget(&kernel_name(&identity.id));
        return remove_copy(paths, &identity.id, KeyPlace::File, true).into_iter().collect();
    }
    remove_all(paths, &identity.id, Some(identity.key))
}

/// Removes every copy of the key of the installation `id`. `place` is where the key is stored, if
/// that is known. Returns why a copy could not be removed.
pub fn remove_all(
    paths: &InstallationPaths,
    id: &str,
    place: Option<KeyPlace>,
) -> Vec<StorageError> {
    let _ = kernel_keyring::forget(&kernel_name(id));
    let copies = [KeyPlace::File, KeyPlace::Keychain].into_iter();
    copies.filter_map(|copy| remove_copy(paths, id, copy, place == Some(copy))).collect()
}

/// Removes the copy of a key at one place. A keychain or a home that does not exist holds no copy,
/// unless `expected` says that the key was there.
fn remove_copy(
    paths: &InstallationPaths,
    id: &str,
    copy: KeyPlace,
    expected: bool,
) -> Option<StorageError> {
    let removed = paths.key_home(id, copy).map_err(StorageError::from);
    match removed.and_then(|home| storage::remove(&home)) {
        Err(StorageError::Keychain { source, .. }) if source.is_absence() && !expected => None,
        Err(StorageError::NoHome(_)) if !expected => None,
        removed => removed.err(),
    }
}

/// Under what name the kernel keeps the key of the installation `id`.
fn kernel_name(id: &str) -> String {
    format!("dd-oauth:{id}")
}
