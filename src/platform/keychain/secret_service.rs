//! The keychain of Linux and the BSDs: the Secret Service on the user's D-Bus, as GNOME Keyring,
//! `KWallet` and `KeePassXC` provide it.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Result};
use zbus_secret_service_keyring_store::Store;

/// What people call it.
pub const NAME: &str = "Secret Service";

/// Connects to it.
///
/// # Errors
/// If there is no bus, or nobody on it who keeps secrets.
pub fn store() -> Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// How a new entry is described to people who look into their keychain.
#[must_use]
pub fn description(label: &str) -> HashMap<&str, &str> {
    HashMap::from([("label", label)])
}

/// What finds the entries of a service.
#[must_use]
pub fn entries_of(service: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", service)])
}
