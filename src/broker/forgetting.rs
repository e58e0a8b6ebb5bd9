//! Moving the sealing key, and forgetting: of everything at once, and of keys that nobody uses.

use super::Broker;
use super::keeping::{LoggedOut, WRITE_LIMIT};
use crate::clock::Deadline;
use crate::error::Error;
use crate::lock::Lock;
use crate::names::SessionName;
use crate::session::{
    Installation, KeyCopies, KeyHome, KeyPlace, Registrations, SessionStore, StorageError,
};
use crate::site::Site;

/// What a logout of everything did.
#[derive(Default)]
pub struct AllLoggedOut {
    pub sessions: Vec<LoggedOut>,
    /// Sessions that were forgotten without being opened, as they are damaged.
    pub unopened: Vec<(SessionName, Error)>,
    /// Copies of the sealing key that are still there.
    pub left: Vec<StorageError>,
}

/// What became of a move of the sealing key.
pub struct KeyMoved {
    pub home: KeyHome,
    /// Why the copy at the other place is still there.
    pub left: Option<StorageError>,
}

impl Broker<'_> {
    /// Revokes and forgets every session, then the installation and its sealing key.
    ///
    /// # Errors
    /// Where there is no installation, its key cannot be had, or something cannot be removed.
    pub fn log_out_of_everything(&self) -> Result<AllLoggedOut, Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else {
            return Err(self.not_logged_in());
        };
        let store = SessionStore::of(&installation);
        // Without it nothing could be revoked.
        store.ensure_key()?;
        let lock = self.installation_lock(&installation, "logout")?;
        let mut done = AllLoggedOut::default();
        self.log_out_of_each(&store, &mut done)?;
        done.left = installation.forget(&lock)?;
        // Whoever logged in meanwhile either sees that the installation is gone, or is seen here.
        self.log_out_of_each(&store, &mut done)?;
        store.sweep()?;
        Ok(done)
    }

    fn log_out_of_each(
        &self,
        store: &SessionStore<'_>,
        done: &mut AllLoggedOut,
    ) -> Result<(), Error> {
        for name in store.names()? {
            match self.log_out_of(store, &name) {
                Ok(Some(session)) => done.sessions.push(session),
                Ok(None) => {}
                Err(
                    error @ Error::Storage(
                        StorageError::Corrupt { .. } | StorageError::OtherKey { .. },
                    ),
                ) => {
                    let lock = self.lock(store, &name, "logout")?;
                    store.forget(&lock, &name)?;
                    done.unopened.push((name, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Moves the sealing key into the keychain or into a file.
    ///
    /// # Errors
    /// Where there is no installation, or the key cannot be read or written: it stays then.
    pub fn move_key(&self, to: KeyPlace) -> Result<KeyMoved, Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else {
            return Err(self.not_logged_in());
        };
        let lock = self.installation_lock(&installation, "key move")?;
        let left = installation.move_key(&lock, to)?;
        let moved = Installation::open(&self.config.paths)?.ok_or(StorageError::Forgotten)?;
        Ok(KeyMoved { home: moved.key_home()?, left })
    }

    /// Removes the key of an installation that is gone. Returns why a copy could not be removed.
    ///
    /// # Errors
    /// Where it is in use, or not there.
    pub fn forget_key(&self, id: &str) -> Result<Vec<StorageError>, Error> {
        let paths = &self.config.paths;
        let copies = KeyCopies::find(paths)?;
        match copies.forget(paths, id) {
            Ok(left) => Ok(left),
            Err(not_forgotten) => Err(match copies.keychain {
                // It may well be there.
                Some(unseen) => Error::KeychainUnseen(unseen),
                None => not_forgotten.into(),
            }),
        }
    }

    /// Forgets the OAuth client of this installation at `site`.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn forget_client(&self, site: &Site) -> Result<(), Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else { return Ok(()) };
        let registrations = Registrations::of(&installation);
        let deadline = Deadline::after(WRITE_LIMIT);
        let lock = self.hold(&registrations.lock_path(site), "logout", deadline)?;
        Ok(registrations.forget(&lock, site)?)
    }

    fn installation_lock(&self, installation: &Installation, purpose: &str) -> Result<Lock, Error> {
        let deadline = Deadline::after(WRITE_LIMIT);
        Ok(self.hold(&installation.lock_path(), purpose, deadline)?)
    }
}
