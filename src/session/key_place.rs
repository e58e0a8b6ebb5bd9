//! The places where a sealing key can be stored.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::keychain::{Keychain, KeychainTimeout};

/// The service of sealing keys in the keychain. The account is the installation id.
pub const SERVICE: &str = "dd-oauth";

/// A kind of place for the sealing key. The installation's file says which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPlace {
    /// The keychain of the operating system.
    Keychain,
    /// A key file of our own, named after the installation id.
    File,
    /// The file that `DD_OAUTH_KEY_FILE` names.
    Named,
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keychain => "keychain",
            Self::File => "file",
            Self::Named => "the file named by DD_OAUTH_KEY_FILE",
        })
    }
}

/// The place of one installation's sealing key.
#[derive(Clone, Debug)]
pub enum KeyHome {
    /// The entry of this installation in the keychain.
    Keychain { id: String, keychain: Keychain },
    /// A key file of our own.
    File(PathBuf),
    /// The file that `DD_OAUTH_KEY_FILE` names; never created, never replaced by another place.
    NamedFile(PathBuf),
}

impl KeyHome {
    /// In the keychain, under the installation's `id`.
    #[must_use]
    pub fn keychain(id: &str, timeout: KeychainTimeout) -> Self {
        Self::Keychain { id: id.to_string(), keychain: Keychain::with(timeout) }
    }

    /// What kind of place it is.
    #[must_use]
    pub fn place(&self) -> KeyPlace {
        match self {
            Self::Keychain { .. } => KeyPlace::Keychain,
            Self::File(_) => KeyPlace::File,
            Self::NamedFile(_) => KeyPlace::Named,
        }
    }
}

impl fmt::Display for KeyHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keychain { id, .. } => {
                write!(f, "keychain ({}), entry {SERVICE} {id}", Keychain::NAME)
            }
            Self::File(path) | Self::NamedFile(path) => write!(f, "file {}", path.display()),
        }
    }
}
