//! Renewals that nobody waits for, or only for a moment: the caller has its answer already.

use std::process::Child;
use std::time::Duration;

use crate::broker::freshness::Freshness;
use crate::broker::standing::{Standing, standing_of};
use crate::broker::{BrokerError, Context};
use crate::clock::Deadline;
use crate::lock::Lock;
use crate::platform;
use crate::session::{Installation, Session, SessionStore};

use super::spawn::{Waits, start, wait_for_end};

/// How long a background renewal may hold up a process whose worker would die with it.
const FOREGROUND_LIMIT: Duration = Duration::from_secs(2);

/// A renewal that is due, of a token that is still good.
pub struct DueRenewal {
    pub installation: Installation,
    pub session: Session,
}

/// Whether a renewal that was due is under way.
enum UnderWay {
    /// We began it; in a worker, or it is done already.
    Ours(Option<Child>),
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

/// Starts a renewal that is due, unless one is under way. The caller has its answer already and
/// hears of no failure: the next one will.
pub fn renew_in_background(context: &Context<'_>, due: &DueRenewal) {
    let worker = match begin(context, due, Waits::ForNothing) {
        Ok(UnderWay::Ours(worker)) => worker,
        Ok(UnderWay::Others | UnderWay::No) => return,
        Err(error) => {
            context.terminal.trace(|| format!("renewed nothing in the background: {error}"));
            return;
        }
    };
    if context.environment.path("CI").is_some() || platform::dies_with_its_container() {
        wait_a_moment(due, worker);
    }
}

/// Makes a renewal that is due, or waits for the one that is under way, if that takes only a
/// moment.
pub fn renew_for_a_moment(context: &Context<'_>, due: &DueRenewal) {
    match begin(context, due, Waits::ForNothing) {
        Ok(UnderWay::Ours(worker)) => wait_a_moment(due, worker),
        Ok(UnderWay::Others) => wait_a_moment(due, None),
        Ok(UnderWay::No) | Err(_) => {}
    }
}

fn begin(context: &Context<'_>, due: &DueRenewal, waits: Waits) -> Result<UnderWay, BrokerError> {
    let DueRenewal { installation, session } = due;
    // Looked at before the lock is: a recorded failure must not cost every call a lock.
    if !matches!(standing_of(context, installation, session)?, Standing::Live) {
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

/// Waits for a renewal that is under way, and for the end of its worker, for up to
/// [`FOREGROUND_LIMIT`].
fn wait_a_moment(due: &DueRenewal, worker: Option<Child>) {
    let path = SessionStore::of(&due.installation).lock_path(&due.session.name);
    let limit = Deadline::after(FOREGROUND_LIMIT);
    let _ = Lock::wait_until_free(&path, limit, &mut |_| ());
    // One that was not handed the lock may have it yet to take.
    if let Some(mut worker) = worker {
        wait_for_end(&mut worker, limit);
    }
}
