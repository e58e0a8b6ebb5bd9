//! The caller's half of a refresh: start it once, wait for it with everybody else, and take over its
//! outcome, good or bad.

use std::path::Path;
use std::time::Duration;

use crate::broker::freshness::{Freshness, life_left};
use crate::broker::locking::{trace_wait, until_it_stays};
use crate::broker::standing::{Standing, describe, last_outcome, standing_of};
use crate::broker::target::{chosen, login_command, not_logged_in};
use crate::broker::{BrokerError, Context};
use crate::clock::Deadline;
use crate::lock::{Holder, Lock, LockError};
use crate::names::SessionName;
use crate::session::{Attempt, Installation, Outcome, Renewal, Session, SessionStore};
use crate::site::SiteName;

use super::recover::{last_attempt, secured_session};
use super::spawn::{Waits, start};

/// How long a process waits for a refresh, its own or another's.
const WAITER_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks at a session that nobody renewed.
const NEXT_LOOK: Duration = Duration::from_millis(25);
/// A worker that died without an outcome is replaced once; two deaths are no accident.
const WORKERS: usize = 2;

/// Why a refresh is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    /// The token is stale, or lives shorter than demanded.
    Stale(Option<Duration>),
    /// Somebody said so; whatever the freshness.
    ByHand,
}

/// What came of it.
pub enum Renewed {
    /// The session as it is now.
    Yes(Box<Session>),
    /// Nothing, because the session stands like this.
    No(Standing),
}

/// Renews a session whatever its freshness, for `dd-oauth refresh`.
///
/// # Errors
/// If there is none, or it could not be renewed.
pub fn refresh_by_hand(context: &Context<'_>) -> Result<Session, BrokerError> {
    until_it_stays(|| refresh_once(context))
}

fn refresh_once(context: &Context<'_>) -> Result<Session, BrokerError> {
    let missing = || not_logged_in(context);
    let installation = context.installation()?.ok_or_else(missing)?;
    let name = chosen(context, &installation)?.ok_or_else(missing)?;
    let session = SessionStore::of(&installation).load(&name)?.ok_or_else(missing)?;
    context.trace_key(&installation);
    let why = match renew(context, &installation, &session, Reason::ByHand)? {
        Renewed::Yes(session) => return Ok(*session),
        Renewed::No(Standing::Waiting { message, retry_in }) => {
            return Err(BrokerError::NotRenewed { name, message, retry_in });
        }
        Renewed::No(Standing::Live) => return Err(BrokerError::NoOutcome { name }),
        Renewed::No(standing) => standing.explain(&name, context.clock.now()),
    };
    let command = login_command(&SiteName::Site(name.site.clone()), name.org.as_ref());
    Err(BrokerError::LoginRequired { why, command })
}

/// Renews `seen`, or waits for the process that does, and says what came of it.
///
/// # Errors
/// If the session is gone, the store or the lock cannot be used, or the deadline passed.
pub fn renew(
    context: &Context<'_>,
    installation: &Installation,
    seen: &Session,
    reason: Reason,
) -> Result<Renewed, BrokerError> {
    if matches!(seen.renewal, Renewal::Impossible) {
        return Ok(Renewed::No(Standing::NotRenewable));
    }
    let store = SessionStore::of(installation);
    let path = store.lock_path(&seen.name);
    let limit = context.limit.map_or(WAITER_LIMIT, Deadline::remaining);
    let deadline = Deadline::after(limit.min(WAITER_LIMIT));
    let mut wait = Waiting::new(context, &path);
    let mut known = last_attempt(&store, seen)?;
    let mut workers = Vec::new();
    loop {
        if let Some(lock) = Lock::try_hold(&path, "refresh", context.clock)? {
            context.terminal.trace(|| format!("took the lock {} for refresh", path.display()));
            if let Some(done) = done_without_asking(context, installation, seen, reason)? {
                return Ok(done);
            }
            if workers.len() == WORKERS {
                return Err(BrokerError::NoOutcome { name: seen.name.clone() });
            }
            known = last_attempt(&store, seen)?;
            let waits = if context.limit.is_some() { Waits::Until(deadline) } else { Waits::ForIt };
            workers.push(start(context, installation, lock, &seen.name, waits)?);
        } else {
            wait.trace();
        }
        Lock::wait_until_free(&path, deadline, &mut |holder| wait.tell(holder))?;
        if let Some(renewed) = taken_over(context, &store, seen, known, reason)? {
            return Ok(renewed);
        }
        // The process that held the lock did not refresh, or died: look again whether a refresh is
        // needed. A shared holder lets us come here at once, and for as long as it stays.
        if deadline.passed() {
            let waited = deadline.limit();
            return Err(LockError::Deadline { path, waited, holder: None }.into());
        }
        std::thread::sleep(NEXT_LOOK);
    }
}

/// With the lock in hand, reads again: another process may have been faster, or an outcome may
/// forbid the request.
fn done_without_asking(
    context: &Context<'_>,
    installation: &Installation,
    seen: &Session,
    reason: Reason,
) -> Result<Option<Renewed>, BrokerError> {
    let session =
        SessionStore::of(installation).load(&seen.name)?.ok_or_else(|| gone(&seen.name))?;
    if is_enough(context, seen, &session, reason) {
        trace_taken_over(context, &session, None);
        return Ok(Some(Renewed::Yes(Box::new(session))));
    }
    match standing_of(context, installation, &session)? {
        Standing::Live => Ok(None),
        standing => {
            context.terminal.trace(|| {
                format!("asks nobody: {}", standing.explain(&session.name, context.clock.now()))
            });
            Ok(Some(Renewed::No(standing)))
        }
    }
}

/// After a wait, what the process that held the lock left: a newer token, an outcome of an attempt
/// after `known`, or an answer that it secured and did not live to commit. Nothing if it left none
/// of these.
fn taken_over(
    context: &Context<'_>,
    store: &SessionStore<'_>,
    seen: &Session,
    known: Attempt,
    reason: Reason,
) -> Result<Option<Renewed>, BrokerError> {
    let now = || context.clock.now();
    let session = store.load(&seen.name)?.ok_or_else(|| gone(&seen.name))?;
    if is_enough(context, seen, &session, reason) {
        trace_taken_over(context, &session, None);
        return Ok(Some(Renewed::Yes(Box::new(session))));
    }
    if let Some(outcome) = last_outcome(store, &session)?
        && outcome.attempt > known
        && outcome.is_about(&session)
    {
        trace_taken_over(context, &session, Some(&outcome));
        match (Standing::after(&outcome, now()), reason) {
            // It was committed before we looked, and concluded after.
            (Standing::Live, Reason::ByHand) => return Ok(Some(Renewed::Yes(Box::new(session)))),
            // What it brought was stale on arrival, and so would be the next.
            (Standing::Live, _) if session.generation != seen.generation => {
                return Ok(Some(Renewed::Yes(Box::new(session))));
            }
            (Standing::Live, Reason::Stale(_)) => {}
            (standing, _) => return Ok(Some(Renewed::No(standing))),
        }
    }
    let secured = secured_session(store, &session, known, now())?;
    Ok(secured.map(|secured| Renewed::Yes(Box::new(secured))))
}

/// Whether `session`, read again, is what the refresh of `seen` was asked for. The generation alone
/// does not say so: `store` and `erase` raise it too, and a new login begins anew.
fn is_enough(context: &Context<'_>, seen: &Session, session: &Session, reason: Reason) -> bool {
    let now = context.clock.now();
    match reason {
        Reason::ByHand => {
            session.generation != seen.generation && life_left(&session.access, now).is_some()
        }
        Reason::Stale(demand) => Freshness::of(&session.access, demand, now) != Freshness::Stale,
    }
}

/// The error for a session that was erased while somebody waited for its refresh.
fn gone(name: &SessionName) -> BrokerError {
    let site = SiteName::Site(name.site.clone());
    let command = login_command(&site, name.org.as_ref());
    BrokerError::LoginRequired { why: format!("not logged in to {name}"), command }
}

/// What is said of a wait for the lock, once each, however often it changes hands.
struct Waiting<'a> {
    context: &'a Context<'a>,
    path: &'a Path,
    told: bool,
    traced: bool,
}

impl<'a> Waiting<'a> {
    fn new(context: &'a Context<'a>, path: &'a Path) -> Self {
        Self { context, path, told: false, traced: false }
    }

    fn tell(&mut self, holder: Option<&Holder>) {
        if !std::mem::replace(&mut self.told, true) {
            self.context.terminal.say_waiting(holder);
        }
    }

    fn trace(&mut self) {
        if !std::mem::replace(&mut self.traced, true) {
            trace_wait(self.context, self.path);
        }
    }
}

/// Traces what a waiter found once the lock was free: a token that is good, or an outcome.
fn trace_taken_over(context: &Context<'_>, session: &Session, outcome: Option<&Outcome>) {
    let name = &session.name;
    context.terminal.trace(|| match outcome {
        None => format!("took over the token that {name} has now"),
        Some(Outcome { attempt, verdict, .. }) => {
            let verdict = describe(verdict, context.clock.now());
            format!("took over the outcome of attempt {attempt} for {name}: {verdict}")
        }
    });
}
