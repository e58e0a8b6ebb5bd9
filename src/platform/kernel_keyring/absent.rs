//! Systems whose kernel keeps no keys for users.

use std::time::Duration;

use zeroize::Zeroizing;

/// Whether this system has such a keyring.
pub const EXISTS: bool = false;

/// There is none to look into.
#[must_use]
pub fn is_open() -> bool {
    false
}

/// There is none.
#[must_use]
pub fn find(_name: &str) -> Option<Zeroizing<[u8; 32]>> {
    None
}

/// Nothing is kept.
#[must_use]
pub fn keep(_name: &str, _key: &[u8; 32], _stay: Duration) -> bool {
    false
}

/// There is nothing to forget.
#[must_use]
pub fn forget(_name: &str) -> bool {
    true
}
