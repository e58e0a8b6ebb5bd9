//! Renewals that nobody waits for, or only for a moment: the caller has its answer already.

use std::time::Duration;

use crate::broker::freshness::Freshness;
use crate::broker::standing::{Standing, standing_of};
use crate::broker::{BrokerError, Context};
use crate::clock::Deadline;
use crate::lock::Lock;
use crate::platform::{self, Bound};
use crate::session::{Installation, Session, SessionStore};

use super::spawn::{Started, Waits, start, wait_for_end};

/// How long a renewal that is not needed yet may hold up who keeps the token for long.
const FOREGROUND_LIMIT: Duration = Duration::from_secs(2);
/// The same where what was begun must be waited for: longer than a worker takes until its answer.
const WHOLE_LIMIT: Duration = Duration::from_mins(1);

/// A renewal that is due, of a token that is still good.
pub struct DueRenewal {
    pub installation: Installation,
    pub session: Session,
}

/// Whether a renewal that was due is under way.
enum UnderWay {
    /// We began it.
    Ours(Started),
    /// Somebody else holds the lock.
    Others,
    /// It need not be, or must not be.
    No,
}

/// Renews a session as its own worker, without a lock from elsewhere: if that is free, and the
/// renewal is still due.
///
/// # Errors
/// As when a session is renewed.
pub fn renew_as_worker(context: &Context<'_>, due: &DueRenewal) -> Result<(), BrokerError> {
    begin(context, due, Waits::ForIt).map(drop)
}

/// Starts a renewal that is due, unless one is under way, or would be cut off. The caller has its answer
/// already and hears of no failure: the next one will.
pub fn renew_in_background(context: &Context<'_>, due: &DueRenewal) {
    if let Err(error) = begin(context, due, Waits::ForNothing) {
        context.terminal.trace(|| format!("renewed nothing in the background: {error}"));
    }
}

/// Makes a renewal that is due, or waits for the one that is under way, if that takes only a
/// moment. What could be cut off once we go on is waited for to its end.
pub fn renew_for_a_moment(context: &Context<'_>, due: &DueRenewal) {
    let started = match begin(context, due, Waits::ForAMoment) {
        Ok(UnderWay::Ours(started)) => started,
        Ok(UnderWay::Others) => Started::Done,
        Ok(UnderWay::No) | Err(_) => return,
    };
    let limit = if cut_off(context).is_some() { WHOLE_LIMIT } else { FOREGROUND_LIMIT };
    let limit = Deadline::after(limit);
    let path = SessionStore::of(&due.installation).lock_path(&due.session.name);
    let _ = Lock::wait_until_free(&path, limit, &mut |_| ());
    // One that was not handed the lock may have it yet to take.
    if let Started::Apart(mut worker) = started {
        wait_for_end(&mut worker, limit);
    }
}

/// Why a worker may be killed as soon as we end, and with it the session that it renews: what may be
/// cut off is begun only once it is needed. Asked only of a token that is expiring.
#[must_use]
pub fn cut_off(context: &Context<'_>) -> Option<&'static str> {
    // The tests run in containers too.
    #[cfg(feature = "test-clock")]
    if context
        .environment
        .path("DD_OAUTH_TEST_PLACE")
        .is_some_and(|place| place.as_os_str() == "lasting")
    {
        return None;
    }
    if context.environment.path("CI").is_some() {
        return Some("a job of CI may end at any time, with all its processes");
    }
    match platform::bound()? {
        Bound::Container => Some("a container may end at any time, with all its processes"),
        Bound::Service => Some("a service may end at any time, with all its processes"),
    }
}

fn begin(context: &Context<'_>, due: &DueRenewal, waits: Waits) -> Result<UnderWay, BrokerError> {
    let DueRenewal { installation, session } = due;
    // Looked at before the lock is: a recorded failure must not cost every call a lock.
    if !matches!(standing_of(context, installation, session)?, Standing::Live) {
        return Ok(UnderWay::No);
    }
    if let (Waits::ForNothing, Some(why)) = (waits, cut_off(context)) {
        context.terminal.trace(|| format!("renews nothing yet: {why}"));
        return Ok(UnderWay::No);
    }
    let store = SessionStore::of(installation);
    let path = store.lock_path(&session.name);
    let Some(lock) = Lock::try_hold(&path, "refresh", context.clock)? else {
        return Ok(UnderWay::Others);
    };
    let Some(session) = store.load(&session.name)? else { return Ok(UnderWay::No) };
    let live = matches!(standing_of(context, installation, &session)?, Standing::Live);
    let freshness = Freshness::of(&session.access, None, context.clock.now());
    if !live || freshness == Freshness::Fresh {
        return Ok(UnderWay::No);
    }
    start(context, installation, lock, &session.name, waits).map(UnderWay::Ours)
}
