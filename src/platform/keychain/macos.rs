//! The keychain of macOS: the user's login keychain.

use std::collections::HashMap;
use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::{CredentialStore, Result};

/// What people call it.
pub const NAME: &str = "macOS Keychain";

/// Opens it.
///
/// # Errors
/// If there is none.
pub fn store() -> Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// A new entry has no description beside its service and account.
#[must_use]
pub fn description(_label: &str) -> HashMap<&str, &str> {
    HashMap::new()
}

/// What finds the entries of a service.
#[must_use]
pub fn entries_of(service: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", service)])
}
