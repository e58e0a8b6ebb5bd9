//! Revoking a session's tokens and forgetting it; of one session, or of everything.

use crate::names::SessionName;
use crate::oauth::TokenHint;
use crate::protocol::Target;
use crate::session::{Registrations, SessionStore, StorageError};
use crate::site::Site;

use super::locking::{hold_session, hold_to_write, until_it_stays};
use super::refresh::committed_or_secured;
use super::revocation::{NotRevoked, revoke_now};
use super::target::{Wanted, chosen, not_logged_in};
use super::{BrokerError, Context};

/// What a `logout` did.
#[derive(Debug)]
pub struct LoggedOut {
    pub name: SessionName,
    /// What the server was not told, and why.
    pub not_revoked: Vec<(TokenHint, NotRevoked)>,
}

/// What a logout of everything did.
#[derive(Default)]
pub struct AllLoggedOut {
    pub sessions: Vec<LoggedOut>,
    /// Sessions that were forgotten without being opened, as they are damaged.
    pub unopened: Vec<(SessionName, StorageError)>,
    /// Copies of the sealing key that are still there.
    pub left: Vec<StorageError>,
}

/// Revokes the refresh token, then the access token, and forgets the session whatever the server
/// said.
///
/// # Errors
/// If there is no session, or it cannot be read or removed.
pub fn log_out(context: &Context<'_>) -> Result<LoggedOut, BrokerError> {
    until_it_stays(|| log_out_once(context))
}

fn log_out_once(context: &Context<'_>) -> Result<LoggedOut, BrokerError> {
    let missing = || not_logged_in(context);
    let installation = context.installation()?.ok_or_else(missing)?;
    let name = chosen(context, &installation)?.ok_or_else(missing)?;
    log_out_of(context, &SessionStore::of(&installation), &name)?.ok_or_else(missing)
}

/// Revokes and forgets every session, then the installation and its sealing key.
///
/// # Errors
/// If there is no installation, its key cannot be had, or something cannot be removed.
pub fn log_out_of_everything(context: &Context<'_>) -> Result<AllLoggedOut, BrokerError> {
    let installation = context.installation()?.ok_or_else(|| not_logged_in(context))?;
    let store = SessionStore::of(&installation);
    // Without it nothing could be revoked.
    store.ensure_key()?;
    let lock = hold_to_write(context, &installation.lock_path(), "logout")?;
    let mut done = AllLoggedOut::default();
    log_out_of_each(context, &store, Unopened::Forget, &mut done)?;
    // Its own directory goes as a whole, once nobody writes there any more.
    if !installation.has_own_directory() {
        store.sweep()?;
    }
    match installation.end(&lock) {
        // Another process was faster. What there is now is another installation.
        Err(StorageError::Forgotten) => return Ok(done),
        ended => ended?,
    }
    // A process that logged in meanwhile either sees that the installation is gone, or is seen here. In
    // directories that are not its own, another installation may have begun: its sessions cannot be
    // opened with our key.
    log_out_of_each(context, &store, Unopened::Leave, &mut done)?;
    // At last, as a keychain may be silent for long.
    done.left = installation.clear(&lock)?;
    Ok(done)
}

/// Logs out as [`log_out`], where there is a session, and forgets the OAuth client of its site; without a
/// session that of the site that is asked for.
///
/// # Errors
/// If several sessions fit, or something cannot be read or removed.
pub fn log_out_and_forget_client(context: &Context<'_>) -> Result<ClientForgotten, BrokerError> {
    until_it_stays(|| log_out_and_forget_client_once(context))
}

fn log_out_and_forget_client_once(context: &Context<'_>) -> Result<ClientForgotten, BrokerError> {
    let wanted = Wanted::of(context, &Target::default());
    let Some(installation) = context.installation()? else {
        let site = wanted.site_or_default().region();
        return Ok(ClientForgotten { logged_out: None, site, client: ForgottenClient::None });
    };
    let store = SessionStore::of(&installation);
    let logged_out = match wanted.choose(context, &installation)? {
        Some(name) => log_out_of(context, &store, &name)?,
        None => None,
    };
    let site = match &logged_out {
        Some(session) => session.name.site.clone(),
        None => wanted.site_of_new_session(&installation)?.region(),
    };
    let client = forget_client(context, &Registrations::of(&installation), &site)?;
    Ok(ClientForgotten { logged_out, site, client })
}

/// What a logout with its OAuth client did.
#[derive(Debug)]
pub struct ClientForgotten {
    pub logged_out: Option<LoggedOut>,
    /// Whose client it was.
    pub site: Site,
    pub client: ForgottenClient,
}

/// Whether there was a client to forget.
#[derive(Debug, PartialEq, Eq)]
pub enum ForgottenClient {
    Registered,
    None,
}

fn forget_client(
    context: &Context<'_>,
    registrations: &Registrations<'_>,
    site: &Site,
) -> Result<ForgottenClient, BrokerError> {
    let lock = hold_to_write(context, &registrations.lock_path(site), "logout")?;
    let known = registrations.load(site)?;
    registrations.forget(&lock, site)?;
    Ok(known.map_or(ForgottenClient::None, |_| ForgottenClient::Registered))
}

/// What becomes of a session that our key does not open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unopened {
    Forget,
    Leave,
}

fn log_out_of_each(
    context: &Context<'_>,
    store: &SessionStore<'_>,
    unopened: Unopened,
    done: &mut AllLoggedOut,
) -> Result<(), BrokerError> {
    for name in store.names()? {
        match log_out_of(context, store, &name) {
            Ok(Some(session)) => done.sessions.push(session),
            Ok(None) => {}
            Err(BrokerError::Storage(
                error @ (StorageError::Corrupt { .. } | StorageError::OtherKey { .. }),
            )) => {
                if unopened == Unopened::Leave {
                    continue;
                }
                let lock = hold_session(context, store, &name, "logout")?;
                store.forget(&lock, &name)?;
                done.unopened.push((name, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Revokes and forgets one session; nothing if it is gone.
fn log_out_of(
    context: &Context<'_>,
    store: &SessionStore<'_>,
    name: &SessionName,
) -> Result<Option<LoggedOut>, BrokerError> {
    let lock = hold_session(context, store, name, "logout")?;
    let Some(session) = store.load(name)? else { return Ok(None) };
    // A worker that died before its commit left the tokens that are in force in the journal.
    let session = committed_or_secured(store, session)?;
    let not_revoked = revoke_now(context, &session);
    store.forget(&lock, name)?;
    Ok(Some(LoggedOut { name: name.clone(), not_revoked }))
}
