//! Logging in: one login at a time for each session, and its result shared with all who waited.

mod complete;
mod context;
mod flow;
mod logged_in;
mod options;
mod pages;
mod registration;

use std::time::Duration;

use crate::clock::Deadline;
use crate::http_client::block_on;
use crate::names::SessionName;
use crate::session::{
    Choice, Installation, LoginFailure, LoginOutcome, LoginVerdict, Session, SessionStore,
};

use super::freshness::Freshness;
use super::locking::{hold, until_it_stays};
use super::target::{Wanted, ensure_trusted};
use super::{BrokerError, Context};

use context::LoginContext;
use flow::LoginFlow;

pub use logged_in::LoggedIn;
pub use options::{LoginOptions, ScopeOptions};

/// How long a person may take in the browser, and how long others wait for that. With a refresh
/// before it (60 s), the exchange (15 s), the write behind it (20 s) and the revocation of what cannot be
/// written (20 s), a `get` stays within the 7 minutes that its callers were told.
const LOGIN_LIMIT: Duration = Duration::from_mins(5);

/// Logs in, and stores the session at the site that the login came back from. If several processes
/// want the same login, one does it, and all of them share its result.
///
/// # Errors
/// If the site is not trusted, nobody finished the login, or the server refused.
pub fn log_in(context: &Context<'_>, options: &LoginOptions) -> Result<LoggedIn, BrokerError> {
    let deadline = Deadline::after(LOGIN_LIMIT);
    until_it_stays(|| log_in_once(context, options, deadline))
}

fn log_in_once(
    context: &Context<'_>,
    options: &LoginOptions,
    deadline: Deadline,
) -> Result<LoggedIn, BrokerError> {
    let (site, _) = options.begins_at();
    let given = options.trust_site || (options.typed && site.is_loopback());
    ensure_trusted(context, &options.site, given)?;
    let installation = context.installation_to_write()?;
    let store = SessionStore::of(&installation);
    let name = SessionName { site, org: options.org.clone() };
    let number = |outcome: Option<LoginOutcome>| outcome.map_or(0, |outcome| outcome.number);
    let seen = number(store.login_outcome(&name)?);
    let lock = hold(context, &store.login_lock_path(&name), "login", deadline)?;
    let last = store.login_outcome(&name)?;
    let session = match last.as_ref().filter(|last| last.number > seen) {
        Some(last) => shared(context, &store, options, last)?,
        None => made_meanwhile(context, &installation, options)?,
    };
    if let Some(session) = session {
        context.terminal.trace(|| format!("another process logged in to {}", session.name));
        return Ok(LoggedIn { session, wanted: options.scopes.scopes.clone() });
    }
    let result = conversation(context, &installation, options, deadline);
    // A person who was asked is not asked a second time without having typed it.
    let result = result.map_err(|error| match error {
        error if error.is_forgotten() => BrokerError::LoggedOutMeanwhile,
        error => error,
    });
    let verdict = match &result {
        Ok(done) => LoginVerdict::done(&done.session.name),
        Err(error) => {
            let (kind, message) = (error.kind(), error.to_string());
            LoginVerdict::Failed(LoginFailure { kind, message })
        }
    };
    let number = number(last).saturating_add(1);
    let outcome = LoginOutcome { number, wish: options.fingerprint(), verdict };
    // A process that waits and hears nothing tries it again, as it would have done alone.
    let _ = store.tell_login_outcome(&lock, &name, &outcome);
    drop(lock);
    result
}

/// Has the login with server and person.
fn conversation(
    context: &Context<'_>,
    installation: &Installation,
    options: &LoginOptions,
    deadline: Deadline,
) -> Result<LoggedIn, BrokerError> {
    let replaced = replaceable(installation, options)?;
    context.trace_key(installation);
    // A caller of `get` was told how long that takes at the most, another's login included.
    let deadline = if options.typed { Deadline::after(LOGIN_LIMIT) } else { deadline };
    let login = LoginContext::new(context, installation, options, replaced, deadline);
    let result = block_on(LoginFlow::new(&login).run()).map_err(BrokerError::from).flatten();
    context.terminal.end_countdown();
    context.terminal.trace(|| match &result {
        Ok(done) => format!("the login is done: {}", done.described()),
        Err(error) => format!("the login came to nothing: {error}"),
    });
    result
}

/// What the login that ended while we waited for it means for `options`; nothing if it asked for
/// something else.
fn shared(
    context: &Context<'_>,
    store: &SessionStore<'_>,
    options: &LoginOptions,
    outcome: &LoginOutcome,
) -> Result<Option<Session>, BrokerError> {
    let same = outcome.wish == options.fingerprint();
    match &outcome.verdict {
        LoginVerdict::Failed(failure) if same => {
            context.terminal.trace(|| "takes over the end of another's login".into());
            Err(BrokerError::LoginFailed(failure.clone()))
        }
        LoginVerdict::Done { .. } if same || !options.typed => {
            let Some(name) = outcome.verdict.session() else { return Ok(None) };
            let session = store.load(&name)?;
            Ok(session.filter(|session| is_good(context, session, options)))
        }
        _ => Ok(None),
    }
}

/// The session that somebody made for a `get` between its look and its lock.
fn made_meanwhile(
    context: &Context<'_>,
    installation: &Installation,
    options: &LoginOptions,
) -> Result<Option<Session>, BrokerError> {
    if options.typed {
        return Ok(None);
    }
    let wanted = Wanted { site: Some(options.site.clone()), org: options.org.clone() };
    let Some(name) = wanted.choose(context, installation)? else { return Ok(None) };
    let session = SessionStore::of(installation).load(&name)?;
    Ok(session.filter(|session| is_good(context, session, options)))
}

fn is_good(context: &Context<'_>, session: &Session, options: &LoginOptions) -> bool {
    let now = context.clock.now();
    Freshness::of(&session.access, options.demand, now) != Freshness::Stale
}

/// The session that the login is going to replace, as far as that is known beforehand. It is opened
/// before a person is asked: one that is damaged, or whose key is gone, is not written over.
fn replaceable(
    installation: &Installation,
    options: &LoginOptions,
) -> Result<Option<Session>, BrokerError> {
    let store = SessionStore::of(installation);
    store.ensure_key()?;
    match store.choose(Some(&options.site), options.org.as_ref())? {
        Choice::Session(name, _) => Ok(store.load(&name)?),
        Choice::None | Choice::Several(_) => Ok(None),
    }
}
