//! Forgetting everything of an installation, whatever is wrong with it, so that a login works again.
//! What can still be opened is revoked.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Deadline;
use crate::lock::{Lock, LockError};
use crate::names::SessionName;
use crate::session::{ApiKeyStore, Installation, Remains, Remnant, SessionStore, StorageError};

use super::locking::hold_to_write;
use super::logout::LoggedOut;
use super::refresh::committed_or_secured;
use super::revocation::{NotRevoked, revoke_now};
use super::{BrokerError, Context};

/// No server is asked any more once all of them together took this long.
const REVOCATION_LIMIT: Duration = Duration::from_secs(20);

/// What a reset did.
#[derive(Default)]
pub struct Reset {
    /// Sessions that were revoked, as far as the server could be told.
    pub sessions: Vec<LoggedOut>,
    /// Sessions that were forgotten without being revoked, as they could not be opened.
    pub unopened: Vec<String>,
    /// The new names of what was in the way of our files.
    pub aside: Vec<PathBuf>,
    /// Copies of the sealing key that are still there.
    pub left: Vec<StorageError>,
}

/// The names of all sessions and pairs of API keys that a reset forgets; nothing if there is no
/// installation.
///
/// # Errors
/// If it is not known where they are.
pub fn resettable(context: &Context<'_>) -> Result<Option<Vec<String>>, BrokerError> {
    let remains = Remains::of(context.config.paths()?);
    // What cannot be listed is made readable first, once the person agrees.
    let names = remains.all().unwrap_or_default().iter().map(shown).collect();
    Ok(remains.are_there().then_some(names))
}

/// Revokes what can be opened, and forgets every session, pair of API keys and registration, the
/// installation and its sealing key.
///
/// # Errors
/// If something belongs to another user or cannot be removed, or another process holds a session for
/// too long.
pub fn reset(context: &Context<'_>) -> Result<Reset, BrokerError> {
    let remains = Remains::of(context.config.paths()?);
    let mut done = Reset { aside: remains.make_usable()?, ..Reset::default() };
    let lock = hold_to_write(context, &remains.lock_path(), "reset")?;
    let installation = readable(context);
    let known = installation.as_ref().map(|known| (known.id(), known.key_place()));
    let openable = openable(context, installation.as_ref());
    let deadline = Deadline::after(REVOCATION_LIMIT);
    for remnant in remains.all()? {
        forget(context, &remains, openable, &remnant, deadline, &mut done)?;
    }
    done.aside.extend(remains.forget_installation(&lock)?);
    // What a process wrote that had opened the installation before. What a new one has stored by now is
    // its own.
    for remnant in remains.all()? {
        if !is_of_new_installation(context, &remnant) {
            forget(context, &remains, openable, &remnant, deadline, &mut done)?;
        }
    }
    done.left = remains.forget_keys(known);
    remains.clear_ended(&lock)?;
    Ok(done)
}

/// The installation, if its file can be read.
fn readable(context: &Context<'_>) -> Option<Installation> {
    match context.installation() {
        Ok(installation) => installation,
        Err(error) => {
            context.terminal.trace(|| format!("the installation cannot be read: {error}"));
            None
        }
    }
}

/// The same, if its key is there: asked once, as a keychain may take its whole time to fail.
fn openable<'a>(
    context: &Context<'_>,
    installation: Option<&'a Installation>,
) -> Option<&'a Installation> {
    let installation = installation?;
    match SessionStore::of(installation).ensure_key() {
        Ok(()) => Some(installation),
        Err(error) => {
            context.terminal.trace(|| format!("no session can be opened: {error}"));
            None
        }
    }
}

/// Forgets a session or pair, and revokes it if the key of `installation` opens it.
fn forget(
    context: &Context<'_>,
    remains: &Remains<'_>,
    installation: Option<&Installation>,
    remnant: &Remnant,
    deadline: Deadline,
    done: &mut Reset,
) -> Result<(), BrokerError> {
    let Some(lock) = hold_if_there(context, remnant)? else { return Ok(()) };
    let installation = installation.filter(|installation| remnant.is_where(installation));
    match installation.map(|installation| log_out_of(context, installation, remnant, deadline)) {
        Some(Ok(session)) => done.sessions.extend(session),
        Some(Err(error)) => {
            context.terminal.trace(|| format!("{} is not opened: {error}", shown(remnant)));
            done.unopened.push(shown(remnant));
        }
        None if remnant.has_session() => done.unopened.push(shown(remnant)),
        None => {}
    }
    done.aside.extend(remains.forget(&lock, remnant)?);
    Ok(())
}

/// The lock of a session or pair; nothing if a logout of everything was faster.
fn hold_if_there(context: &Context<'_>, remnant: &Remnant) -> Result<Option<Lock>, BrokerError> {
    match hold_to_write(context, &remnant.lock_path(), "reset") {
        Err(LockError::Gone { .. }) => Ok(None),
        lock => Ok(Some(lock?)),
    }
}

/// Revokes one session, whose lock is held, unless the others took all the time.
fn log_out_of(
    context: &Context<'_>,
    installation: &Installation,
    remnant: &Remnant,
    deadline: Deadline,
) -> Result<Option<LoggedOut>, StorageError> {
    let store = SessionStore::of(installation);
    let Some(name) = store.name_of_file(&remnant.stem)? else { return Ok(None) };
    let Some(session) = store.load(&name)? else { return Ok(None) };
    // The tokens that are in force may be in a journal that is damaged as well.
    let session = committed_or_secured(&store, session.clone()).unwrap_or(session);
    let not_revoked = if deadline.passed() {
        NotRevoked::of(&session, || NotRevoked::NoTime)
    } else {
        revoke_now(context, &session)
    };
    Ok(Some(LoggedOut { name, not_revoked }))
}

fn is_of_new_installation(context: &Context<'_>, remnant: &Remnant) -> bool {
    let Some(installation) = readable(context) else { return false };
    if !remnant.is_where(&installation) || installation.has_own_directory() {
        return remnant.is_where(&installation);
    }
    let sessions = SessionStore::of(&installation);
    let Ok(Some(name)) = sessions.name_of_file(&remnant.stem) else { return false };
    matches!(sessions.load(&name), Ok(Some(_)))
        || matches!(ApiKeyStore::of(&installation).load(&name), Ok(Some(_)))
}

/// The name of a session or pair, for a message.
fn shown(remnant: &Remnant) -> String {
    let stem = &remnant.stem;
    SessionName::from_file_stem(stem).map_or_else(|| stem.clone(), |name| name.to_string())
}
