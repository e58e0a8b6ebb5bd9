//! The kernel's keyring of this user (`keyrings(7)`, `user-keyring(7)`): a place for 32 bytes that
//! needs no daemon, no socket and no file, and forgets by itself.

use std::time::Duration;

use linux_keyutils::{KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission};
use zeroize::Zeroizing;

/// Whether this system has such a keyring.
pub const EXISTS: bool = true;

/// Whether the kernel lets us look into it.
#[must_use]
pub fn is_open() -> bool {
    KeyRing::from_special_id(KeyRingIdentifier::User, false).is_ok()
}

/// Reads the key of that name, if there is one of exactly 32 bytes. A kernel or a sandbox that
/// refuses counts as none.
#[must_use]
pub fn find(name: &str) -> Option<Zeroizing<[u8; 32]>> {
    let keyring = KeyRing::from_special_id(KeyRingIdentifier::User, false).ok()?;
    let key = keyring.search(name).ok()?;
    // One byte more than there may be, so that a longer one is seen to be longer.
    let mut payload = Zeroizing::new([0; 33]);
    let length = key.read(&mut *payload).ok()?;
    let (key, _) = payload.split_first_chunk::<32>()?;
    (length == key.len()).then(|| Zeroizing::new(*key))
}

/// Keeps a key under that name for as long as `stay`, in place of an earlier one. Whether the
/// kernel took it.
#[must_use]
pub fn keep(name: &str, key: &[u8; 32], stay: Duration) -> bool {
    let kept = || {
        // It is made in the keyring of this process, which possesses it and may set its limits
        // whatever login session we are in, and is shown to others only once these are set.
        let own = KeyRing::from_special_id(KeyRingIdentifier::Process, true)?;
        let made = own.add_key(name, key)?;
        let seconds = usize::try_from(stay.as_secs()).unwrap_or(usize::MAX);
        made.set_timeout(seconds.clamp(1, usize::try_from(u32::MAX).unwrap_or(usize::MAX)))?;
        let permissions =
            KeyPermissionsBuilder::builder().posessor(Permission::ALL).user(Permission::ALL);
        made.set_perms(permissions.build())?;
        KeyRing::from_special_id(KeyRingIdentifier::User, false)?.link_key(made)
    };
    kept().is_ok()
}

/// Removes the key of that name; whether there is none any more.
#[must_use]
pub fn forget(name: &str) -> bool {
    let Ok(keyring) = KeyRing::from_special_id(KeyRingIdentifier::User, false) else {
        return true;
    };
    let Ok(key) = keyring.search(name) else { return true };
    // A link elsewhere would keep it alive; what is invalidated is gone everywhere.
    key.invalidate().is_ok() || keyring.unlink_key(key).is_ok()
}
