//! The OAuth client of a login, and the scopes that it asks for.

use std::time::Duration;

use crate::broker::BrokerError;
use crate::broker::locking::hold;
use crate::clock::{Deadline, Timestamp};
use crate::http_client::Http;
use crate::lock::{Lock, LockError};
use crate::names::ClientId;
use crate::oauth;
use crate::scope::Scopes;
use crate::session::{RefusedScopes, Registration, Registrations};

use super::context::LoginContext;

/// Registering takes two requests at most.
const REGISTRATION_LIMIT: Duration = Duration::from_mins(1);

/// The OAuth client of a login.
pub struct Client {
    pub client_id: ClientId,
    pub registered: Registered,
}

/// When the client was registered. One of an earlier day may be unknown to the server by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    Earlier,
    InThisLogin,
}

/// The client of this installation at the site; registered at the first login there, and again if
/// the port to listen on is none of those registered.
pub async fn register_once(login: &LoginContext<'_>) -> Result<Client, BrokerError> {
    let registrations = Registrations::of(login.installation);
    let lock = lock_registrations(login, &registrations)?;
    if let Some(client_id) = known(login, &registrations)? {
        login.context.terminal.trace(|| "this installation is registered there".into());
        return Ok(Client { client_id, registered: Registered::Earlier });
    }
    let client_id = register(login, &registrations, &lock).await?;
    Ok(Client { client_id, registered: Registered::InThisLogin })
}

/// Another client than `dropped`, which the site does not know any more. One that another login
/// registered meanwhile is taken.
pub async fn register_again(
    login: &LoginContext<'_>,
    dropped: &ClientId,
) -> Result<ClientId, BrokerError> {
    let registrations = Registrations::of(login.installation);
    let lock = lock_registrations(login, &registrations)?;
    match known(login, &registrations)? {
        Some(other) if other != *dropped => Ok(other),
        _ => register(login, &registrations, &lock).await,
    }
}

fn known(
    login: &LoginContext<'_>,
    registrations: &Registrations<'_>,
) -> Result<Option<ClientId>, BrokerError> {
    let uris = login.options.redirect_uris();
    let known = registrations.load(&login.site)?;
    let fits = |known: &Registration| uris.iter().all(|uri| known.redirect_uris.contains(uri));
    Ok(known.filter(fits).map(|known| known.client_id))
}

async fn register(
    login: &LoginContext<'_>,
    registrations: &Registrations<'_>,
    lock: &Lock,
) -> Result<ClientId, BrokerError> {
    let (context, site) = (login.context, &login.site);
    context.terminal.trace(|| format!("registers this installation at {site}"));
    let uris = login.options.redirect_uris();
    let http = Http::for_site(site, context.environment)?;
    let client_id = oauth::register(&http, site, &uris).await?;
    let registration = Registration {
        client_id: client_id.clone(),
        redirect_uris: uris,
        registered: context.clock.now(),
    };
    registrations.save(lock, site, &registration)?;
    Ok(client_id)
}

/// What to ask for: not again for what the site refused lately.
pub fn scopes_to_ask(login: &LoginContext<'_>) -> Result<Scopes, BrokerError> {
    let wanted = &login.options.scopes;
    let refused = Registrations::of(login.installation).refused_scopes(&login.site)?;
    let optional = wanted.scopes.without(&wanted.insisted);
    let left_out = refused.among(&optional, login.context.clock.now());
    let scopes = wanted.scopes.without(&left_out);
    if left_out.is_empty() || scopes.is_empty() {
        return Ok(wanted.scopes.clone());
    }
    let site = login.site.label();
    login
        .context
        .terminal
        .say(&format!("not asking for {left_out}, which {site} refused; --add-scopes asks again"));
    Ok(scopes)
}

/// Takes note of what the site refused or granted. A login does not fail over that.
pub fn remember(login: &LoginContext<'_>, change: impl FnOnce(&mut RefusedScopes, Timestamp)) {
    let note = || {
        let registrations = Registrations::of(login.installation);
        let lock = lock_registrations(login, &registrations)?;
        let before = registrations.refused_scopes(&login.site)?;
        let mut refused = before.clone();
        change(&mut refused, login.context.clock.now());
        if refused != before {
            registrations.save_refused_scopes(&lock, &login.site, &refused)?;
        }
        Ok::<(), BrokerError>(())
    };
    if let Err(error) = note() {
        login.context.terminal.warn(&format!("the refused scopes were not noted: {error}"));
    }
}

fn lock_registrations(
    login: &LoginContext<'_>,
    registrations: &Registrations<'_>,
) -> Result<Lock, LockError> {
    let limit = REGISTRATION_LIMIT.min(login.deadline.remaining());
    let path = registrations.lock_path(&login.site);
    hold(login.context, &path, "registration", Deadline::after(limit))
}
