//! Where the files of an installation are.
//!
//! ```text
//! installation               the record: id, place and fingerprint of the key
//! installation.lock          the lock of all that changes the record
//! ID/                        sessions, API keys, journals and their locks; import.lock; selected
//! ID/registrations/          the OAuth client of each site, and the scopes that it refused
//! ```
//!
//! Nobody but the installation ID uses the directory, so it goes with its installation, and a login
//! that begins meanwhile has another. No id is used twice.
//!
//! Versions before that had `sessions/`, `registrations/`, `selected` and `import.lock` in the state
//! directory itself, which one installation left to the next. An installation that one of them created
//! stays as it is, because such a version may still use it. The record says which it is by its format,
//! and those versions leave alone what has a newer one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::identity::{Identity, Layout, identity_in, is_id};
use crate::platform;
use crate::session::durable;
use crate::session::error::{StorageError, io_error};

/// The places of one installation's files.
pub struct Places {
    layout: Layout,
    directory: PathBuf,
}

impl Places {
    /// Of the installation in this state directory.
    pub fn of(state_directory: &Path, identity: &Identity) -> Self {
        let layout = identity.layout();
        let directory = match layout {
            Layout::Own => state_directory.join(&identity.id),
            Layout::Shared => state_directory.to_path_buf(),
        };
        Self { layout, directory }
    }

    /// Whose the directories are.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The directory of sessions, journals and their locks.
    pub fn sessions(&self) -> PathBuf {
        match self.layout {
            Layout::Own => self.directory.clone(),
            Layout::Shared => self.directory.join("sessions"),
        }
    }

    /// The directory of the registrations.
    pub fn registrations(&self) -> PathBuf {
        registrations_in(&self.directory)
    }

    /// The file that says which session `dd-oauth use` selected.
    pub fn selection(&self) -> PathBuf {
        self.directory.join("selected")
    }

    /// The lock of `dd-oauth import`.
    pub fn import_lock(&self) -> PathBuf {
        self.directory.join("import.lock")
    }
}

/// The registrations in the directory of an installation.
fn registrations_in(directory: &Path) -> PathBuf {
    directory.join("registrations")
}

/// The directories of one installation, or of those that share theirs.
pub struct Directories {
    pub sessions: PathBuf,
    pub registrations: PathBuf,
}

impl Directories {
    /// Those of all installations in a state directory, of those too that have ended; whether they are there
    /// or not, those that installations of earlier versions share.
    pub fn in_state(state_directory: &Path) -> Result<Vec<Self>, StorageError> {
        let own = own_directories(state_directory)?.into_iter().map(|directory| Self {
            registrations: registrations_in(&directory),
            sessions: directory,
        });
        let shared = Self {
            sessions: state_directory.join("sessions"),
            registrations: registrations_in(state_directory),
        };
        Ok([shared].into_iter().chain(own).collect())
    }
}

impl IntoIterator for Directories {
    type Item = PathBuf;
    type IntoIter = std::array::IntoIter<PathBuf, 2>;

    fn into_iter(self) -> Self::IntoIter {
        [self.sessions, self.registrations].into_iter()
    }
}

/// Removes the directories of installations that have ended, but what is not ours in them.
pub fn remove_ended(state_directory: &Path) -> Result<(), StorageError> {
    // Listed before the record is read: a directory comes after its record, and no id comes twice.
    // So one that is not of the record belongs to an installation that has ended.
    let mut ended = own_directories(state_directory)?;
    if let Some(now) = identity_in(state_directory)? {
        ended.retain(|directory| !directory.ends_with(&now.id));
    }
    for directory in ended {
        durable::remove_directory(&registrations_in(&directory))?;
        durable::remove_directory(&directory)?;
    }
    Ok(())
}

/// The directories of installations, of those too that have ended.
fn own_directories(state_directory: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let names = match platform::names_in(state_directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(io_error("list", state_directory))?,
    };
    let own = names.iter().filter(|name| name.to_str().is_some_and(is_id));
    Ok(own.map(|name| state_directory.join(name)).collect())
}
