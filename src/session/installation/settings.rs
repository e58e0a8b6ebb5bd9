//! Where an installation stores things, as the configuration says.

use std::path::PathBuf;
use std::time::Duration;

use crate::platform::{NoHome, Place};
use crate::session::durable;
use crate::session::error::StorageError;
use crate::session::key_place::{KeyHome, KeyPlace};
use crate::session::keychain::KeychainTimeout;
use crate::session::sealing_key::KeyMemory;

/// Where an installation stores things.
#[derive(Clone, Debug)]
pub struct InstallationPaths {
    /// Sessions, journals, locks and registrations.
    pub state_directory: PathBuf,
    /// Why they are there.
    pub(in crate::session) state: Place,
    /// Key files, apart from what they open.
    pub data: Place,
    pub key: KeySettings,
}

/// What the configuration says about the sealing key.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// `DD_TOKEN_STORAGE`: where it has to be stored.
    pub place: Option<KeyPlace>,
    /// `DD_OAUTH_KEY_FILE`: used instead of any other place, and never created.
    pub named_file: Option<PathBuf>,
    /// How long the kernel keeps a key that was read from the keychain; none if it keeps none.
    pub kernel_stay: Option<Duration>,
    /// Where this process itself keeps a key that it read from the keychain, if it does.
    pub memory: Option<KeyMemory>,
    /// How long to wait for the keychain.
    pub timeout: KeychainTimeout,
}

impl InstallationPaths {
    /// Everything of an installation but its key files is at `state`.
    ///
    /// # Errors
    /// If that is in a home directory, and nobody knows where it is.
    pub fn new(state: Place, data: Place, key: KeySettings) -> Result<Self, NoHome> {
        Ok(Self { state_directory: state.path()?, state, data, key })
    }

    /// Checks that a new installation may be created here.
    ///
    /// # Errors
    /// If the home directory does not exist, or is that of another user and we are root.
    pub fn check(&self) -> Result<(), StorageError> {
        durable::check_place(&self.state)
    }

    /// The place of the sealing key of the installation `id`. A key file is always one of our own.
    ///
    /// # Errors
    /// If it is in a home directory, and nobody knows where that is.
    pub(super) fn key_home(&self, id: &str, place: KeyPlace) -> Result<KeyHome, NoHome> {
        Ok(match place {
            KeyPlace::Keychain => KeyHome::keychain(id, self.key.timeout),
            KeyPlace::File | KeyPlace::Named => {
                KeyHome::File(self.data.path()?.join(format!("{id}.key")))
            }
        })
    }
}
