//! The sealing key in the memory of a process that opens its installation again and again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::SealingKey;

/// Holds the last key that was read from the keychain; all clones are the same memory.
#[derive(Clone, Default)]
pub struct KeyMemory(Arc<Mutex<Option<Zeroizing<[u8; 32]>>>>);

impl KeyMemory {
    /// The key that was held, if there is one.
    #[must_use]
    pub fn recall(&self) -> Option<SealingKey> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().map(SealingKey::new)
    }

    /// Holds `key` in place of an earlier one.
    pub fn hold(&self, key: &SealingKey) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(Zeroizing::new(*key.expose()));
    }
}

/// Without the key.
impl fmt::Debug for KeyMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMemory")
    }
}
