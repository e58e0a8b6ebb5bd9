//! Importing the sessions that earlier tools left behind.

use crate::import::{EarlierSession, EarlierSessions, ImportError};
use crate::names::SessionName;
use crate::platform;
use crate::session::{Generation, Installation, Keychain, Registrations, Session, SessionStore};
use crate::site::{Site, SiteName};

use super::locking::{hold_session, hold_to_write, until_it_stays};
use super::target::ensure_storable;
use super::{BrokerError, Context};

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

/// Looks for sessions of earlier tools, in the keychain too if that is wanted. Changes nothing.
///
/// # Errors
/// If it is not known where this user's files are.
pub fn earlier_sessions(
    context: &Context<'_>,
    in_keychain: bool,
) -> Result<EarlierSessions, BrokerError> {
    let directories = platform::directories_of_earlier_tools(context.environment)?;
    let keychain = in_keychain.then(|| keychain(context)).transpose()?;
    Ok(EarlierSessions::find(&directories, keychain))
}

/// Whether there is a session of this name here, for which its file need not be opened.
///
/// # Errors
/// If the installation cannot be looked at.
pub fn has_session(context: &Context<'_>, name: &SessionName) -> Result<bool, BrokerError> {
    let Some(installation) = context.installation()? else { return Ok(false) };
    // A damaged one is one too.
    Ok(!matches!(SessionStore::of(&installation).head(name), Ok(None)))
}

/// Imports a session with its registration; if the original is to be removed, that happens once our
/// own file is on the disk. After a crash in between the same call goes on, also if the session was
/// renewed meanwhile. Returns the name under which it is here: another tool may have had it under
/// another one.
///
/// # Errors
/// If its site is not trusted, there is another session of its name, the tool has renewed it
/// meanwhile, or something cannot be written.
pub fn import(
    context: &Context<'_>,
    earlier: &EarlierSession,
    options: ImportOptions,
) -> Result<SessionName, BrokerError> {
    until_it_stays(|| import_once(context, earlier, options))
}

fn import_once(
    context: &Context<'_>,
    earlier: &EarlierSession,
    options: ImportOptions,
) -> Result<SessionName, BrokerError> {
    let name = &earlier.name;
    ensure_storable(context, &SiteName::Site(name.site.clone()))?;
    let installation = context.installation_to_write()?;
    // Imports rewrite files that several sessions share, so there is one at a time.
    let one_at_a_time = hold_to_write(context, &installation.import_lock_path(), "import")?;
    let store = SessionStore::of(&installation);
    let lock = hold_session(context, &store, name, "import")?;
    let existing = store.load(name)?;
    let kept = kept_as(&store, earlier, existing.as_ref())?;
    if kept.is_none() {
        if existing.is_some() && !options.replace {
            let (name, tool) = (name.clone(), earlier.tool);
            return Err(ImportError::Exists { name, tool }.into());
        }
        earlier.ensure_unchanged(keychain(context)?)?;
        let generation = existing.map_or(Generation::FIRST, |session| session.generation.next());
        store.save(&lock, &earlier.to_session(generation))?;
    }
    import_registration(context, &installation, &name.site, earlier)?;
    if options.original == Original::Removed {
        earlier.remove_original(keychain(context)?)?;
    }
    drop((lock, one_at_a_time));
    Ok(kept.unwrap_or_else(|| name.clone()))
}

/// The name of the session here that `earlier` is, if it was taken over before. `existing` is the
/// one of its own name. Two tools can have the same refresh token under two names; two sessions here
/// with that token would end each other.
fn kept_as(
    store: &SessionStore<'_>,
    earlier: &EarlierSession,
    existing: Option<&Session>,
) -> Result<Option<SessionName>, BrokerError> {
    if existing.is_some_and(|session| earlier.is_kept_as(session)) {
        return Ok(Some(earlier.name.clone()));
    }
    if !earlier.is_renewable() {
        return Ok(None);
    }
    let mut others = store.names()?;
    others.retain(|name| name.site == earlier.name.site && *name != earlier.name);
    // One that cannot be opened is in nobody's way.
    let opened = |name: &SessionName| store.load(name).ok().flatten();
    Ok(others.into_iter().find(|name| opened(name).is_some_and(|known| earlier.is_kept_as(&known))))
}

/// Keeps the client of the session for later logins, if this installation has none there.
fn import_registration(
    context: &Context<'_>,
    installation: &Installation,
    site: &Site,
    earlier: &EarlierSession,
) -> Result<(), BrokerError> {
    let Some(registration) = &earlier.registration else { return Ok(()) };
    let registrations = Registrations::of(installation);
    let lock = hold_to_write(context, &registrations.lock_path(site), "import")?;
    if registrations.load(site)?.is_none() {
        registrations.save(&lock, site, registration)?;
    }
    Ok(())
}

fn keychain(context: &Context<'_>) -> Result<Keychain, BrokerError> {
    Ok(Keychain::with(context.config.paths()?.key.timeout))
}
