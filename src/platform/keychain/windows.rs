//! The keychain of Windows: Credential Manager.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Result};
use windows_native_keyring_store::Store;

/// What people call it.
pub const NAME: &str = "Windows Credential Manager";

/// Opens it.
///
/// # Errors
/// If there is none.
pub fn store() -> Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// A key stays on the machine on which its sessions are; by default it would roam.
#[must_use]
pub fn description(_label: &str) -> HashMap<&str, &str> {
    HashMap::from([("persistence", "Local")])
}

/// All entries: a search here knows patterns only, and who searches looks at the service again.
#[must_use]
pub fn entries_of(_service: &str) -> HashMap<&str, &str> {
    HashMap::new()
}
