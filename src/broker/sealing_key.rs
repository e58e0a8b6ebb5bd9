//! Moving the sealing key of this installation, and forgetting a key that no installation uses.

use crate::session::{KeyCopies, KeyHome, KeyPlace, StorageError};

use super::locking::{hold_to_write, until_it_stays};
use super::target::not_logged_in;
use super::{BrokerError, Context};

/// What became of a move of the sealing key.
pub struct SealingKeyMoved {
    pub home: KeyHome,
    /// Why the copy at the other place is still there.
    pub left: Option<StorageError>,
}

/// Moves the sealing key into the keychain or into a file.
///
/// # Errors
/// If there is no installation, or the key cannot be read or written: then it stays.
pub fn move_sealing_key(
    context: &Context<'_>,
    to: KeyPlace,
) -> Result<SealingKeyMoved, BrokerError> {
    until_it_stays(|| move_once(context, to))
}

fn move_once(context: &Context<'_>, to: KeyPlace) -> Result<SealingKeyMoved, BrokerError> {
    let installation = context.installation()?.ok_or_else(|| not_logged_in(context))?;
    let lock = hold_to_write(context, &installation.lock_path(), "key move")?;
    let left = installation.move_key(&lock, to)?;
    let moved = context.installation()?.ok_or(StorageError::Forgotten)?;
    Ok(SealingKeyMoved { home: moved.key_home()?, left })
}

/// Removes the key of an installation that is gone. Returns why a copy could not be removed.
///
/// # Errors
/// If it is in use, or not there.
pub fn forget_sealing_key(
    context: &Context<'_>,
    id: &str,
) -> Result<Vec<StorageError>, BrokerError> {
    let paths = context.config.paths()?;
    let copies = KeyCopies::find(paths)?;
    copies.forget(paths, id).map_err(|not_forgotten| match copies.keychain {
        // It may well be there.
        Some(unseen) => BrokerError::KeychainUnseen(unseen),
        None => not_forgotten.into(),
    })
}
