//! Taking over what earlier tools left behind.

use super::Broker;
use super::keeping::WRITE_LIMIT;
use crate::clock::Deadline;
use crate::error::Error;
use crate::import::{EarlierSession, EarlierSessions, ImportError};
use crate::lock::Lock;
use crate::names::SessionName;
use crate::platform;
use crate::session::{Generation, Installation, Keychain, Registrations, SessionStore};
use crate::site::{Site, SiteName};

/// What becomes of a session where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    Removed,
    Kept,
}

/// How a session is taken over.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    pub original: Original,
    /// Whether it may take the place of another one of the same name.
    pub replace: bool,
}

impl Broker<'_> {
    /// Looks for sessions of earlier tools, in the keychain too if that is wanted. Nothing is
    /// changed.
    ///
    /// # Errors
    /// Where it is not known where this user's files are.
    pub fn earlier_sessions(&self, in_keychain: bool) -> Result<EarlierSessions, Error> {
        let directories = platform::directories_of_earlier_tools(self.environment)?;
        Ok(EarlierSessions::find(&directories, in_keychain.then(|| self.keychain())))
    }

    /// Whether there is a session of this name here, for which its file need not be opened.
    ///
    /// # Errors
    /// Where the installation cannot be looked at.
    pub fn has_session(&self, name: &SessionName) -> Result<bool, Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else { return Ok(false) };
        // A damaged one is one too.
        Ok(!matches!(SessionStore::of(&installation).head(name), Ok(None)))
    }

    /// Takes over a session with its registration; what is asked to be removed is removed once
    /// our own file is on the disk. After a crash in between the same call goes on.
    ///
    /// # Errors
    /// Where its site is not trusted, there is another session of its name, the tool has renewed
    /// it meanwhile, or something cannot be written.
    pub fn take_over(&self, earlier: &EarlierSession, wish: ImportOptions) -> Result<(), Error> {
        let name = &earlier.name;
        self.ensure_storable(&SiteName::Site(name.site.clone()))?;
        let installation = self.installation_to_write()?;
        // Imports rewrite files that several sessions share, so there is one at a time.
        let one_at_a_time = self.import_lock(&installation)?;
        let store = SessionStore::of(&installation);
        let lock = self.lock(&store, name, "import")?;
        let existing = store.load(name)?;
        if !existing.as_ref().is_some_and(|session| earlier.is_kept_as(session)) {
            if existing.is_some() && !wish.replace {
                let (name, tool) = (name.clone(), earlier.tool);
                return Err(ImportError::Exists { name, tool }.into());
            }
            earlier.ensure_unchanged(self.keychain())?;
            let generation =
                existing.map_or(Generation::FIRST, |session| session.generation.next());
            store.save(&lock, &earlier.to_session(generation))?;
        }
        self.take_over_registration(&installation, &name.site, earlier)?;
        if wish.original == Original::Removed {
            earlier.remove_original(self.keychain())?;
        }
        drop((lock, one_at_a_time));
        Ok(())
    }

    /// Keeps the client of the session for later logins, where this installation has none there.
    fn take_over_registration(
        &self,
        installation: &Installation,
        site: &Site,
        earlier: &EarlierSession,
    ) -> Result<(), Error> {
        let Some(registration) = &earlier.registration else { return Ok(()) };
        let registrations = Registrations::of(installation);
        let deadline = Deadline::after(WRITE_LIMIT);
        let lock = self.hold(&registrations.lock_path(site), "import", deadline)?;
        if registrations.load(site)?.is_none() {
            registrations.save(&lock, site, registration)?;
        }
        Ok(())
    }

    fn import_lock(&self, installation: &Installation) -> Result<Lock, Error> {
        let deadline = Deadline::after(WRITE_LIMIT);
        Ok(self.hold(&installation.import_lock_path(), "import", deadline)?)
    }

    fn keychain(&self) -> Keychain {
        Keychain::with(self.config.paths.key.timeout)
    }
}
