//! The caller's side of a refresh: start it once, wait for it with everybody else, and take over
//! its outcome, good or bad.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::choice::{Standing, login_command, outcome_of};
use super::freshness::{Need, life_left};
use super::refresh::{read_secured, renewed};
use super::{Broker, BrokerError, DueRenewal};
use crate::clock::{Deadline, Timestamp};
use crate::error::Error;
use crate::lock::{Lock, LockError};
use crate::names::SessionName;
use crate::platform::{self, HandedOn};
use crate::session::{
    Announcement, Attempt, Installation, Renewal, Session, SessionStore, TokenDigest,
};
use crate::site::SiteName;

/// How long a process waits for a refresh, its own or another's.
const WAITER_LIMIT: Duration = Duration::from_mins(1);
/// How long the background renewal may hold up a process whose worker would die with it.
const FOREGROUND_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks at a session that nobody renewed.
const NEXT_LOOK: Duration = Duration::from_millis(25);
/// A worker that died without an outcome is replaced once; two deaths are no accident.
const WORKERS: usize = 2;
/// A worker that let go of the lock has only to end.
const LAST_MOMENT: Duration = Duration::from_millis(50);
/// Between two looks whether it has.
const LOOK_AT_WORKER: Duration = Duration::from_micros(500);

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

/// How a session stands, for `status`.
///
/// # Errors
/// Where the journal cannot be read.
pub fn standing_of(
    broker: &Broker<'_>,
    installation: &Installation,
    session: &Session,
) -> Result<Standing, Error> {
    let outcome = outcome_of(&SessionStore::of(installation), session)?;
    Ok(Standing::of(session, outcome.as_ref(), broker.clock.now()))
}

impl Broker<'_> {
    /// Renews `seen`, or waits for the process that does, and says what came of it.
    pub(super) fn renew(
        &self,
        installation: &Installation,
        seen: &Session,
        reason: Reason,
    ) -> Result<Renewed, Error> {
        if matches!(seen.renewal, Renewal::Impossible) {
            return Ok(Renewed::No(Standing::NotRenewable));
        }
        let store = SessionStore::of(installation);
        let path = store.lock_path(&seen.name);
        let patience = self.limit.map_or(WAITER_LIMIT, Deadline::remaining);
        let deadline = Deadline::after(patience.min(WAITER_LIMIT));
        let (mut told, mut queued) = (false, false);
        let mut notice = |holder: Option<&_>| {
            // Once, however often the lock changes hands.
            if !std::mem::replace(&mut told, true) {
                self.terminal.say_waiting(holder);
            }
        };
        let mut known = last_attempt(&store, seen)?;
        let mut workers = Workers::default();
        loop {
            if let Some(lock) = Lock::try_hold(&path, "refresh", self.clock)? {
                self.terminal.trace(|| format!("took the lock {} for refresh", path.display()));
                if let Some(done) = self.done_without_asking(installation, seen, reason)? {
                    return Ok(done);
                }
                if workers.0.len() == WORKERS {
                    return Err(BrokerError::NoOutcome { name: seen.name.clone() }.into());
                }
                known = last_attempt(&store, seen)?;
                let waits =
                    if self.limit.is_some() { Waits::Until(deadline) } else { Waits::ForIt };
                workers.0.push(self.start(installation, lock, &seen.name, waits)?);
            } else if !std::mem::replace(&mut queued, true) {
                self.trace_wait(&path);
            }
            Lock::wait_until_free(&path, deadline, &mut notice)?;
            let Some(session) = store.load(&seen.name)? else {
                return Err(gone(&seen.name));
            };
            if self.is_enough(seen, &session, reason) {
                self.trace_taken_over(&session, None);
                return Ok(Renewed::Yes(Box::new(session)));
            }
            if let Some(outcome) = outcome_of(&store, &session)?
                && outcome.attempt > known
                && outcome.is_about(&session)
            {
                self.trace_taken_over(&session, Some(&outcome));
                match (Standing::after(&outcome, self.clock.now()), reason) {
                    // It was committed before we looked, and concluded after.
                    (Standing::Live, Reason::ByHand) => return Ok(Renewed::Yes(Box::new(session))),
                    // What it brought was stale on arrival, and so would be the next.
                    (Standing::Live, _) if session.generation != seen.generation => {
                        return Ok(Renewed::Yes(Box::new(session)));
                    }
                    (Standing::Live, Reason::Stale(_)) => {}
                    (standing, _) => return Ok(Renewed::No(standing)),
                }
            }
            if let Some(secured) = secured_session(&store, &session, known, self.clock.now())? {
                return Ok(Renewed::Yes(Box::new(secured)));
            }
            // Whoever held the lock was no refresh, or died: look again whether one is needed. A
            // shared holder lets us come here at once, and for as long as it stays.
            if deadline.passed() {
                let waited = deadline.limit();
                return Err(LockError::Deadline { path, waited, holder: None }.into());
            }
            std::thread::sleep(NEXT_LOOK);
        }
    }

    /// Whether `session`, read again, is what the refresh of `seen` was asked for. The generation
    /// alone does not say so: `store` and `erase` raise it too, and a new login begins anew.
    fn is_enough(&self, seen: &Session, session: &Session, reason: Reason) -> bool {
        match reason {
            Reason::ByHand => {
                session.generation != seen.generation
                    && life_left(&session.access, self.clock.now()).is_some()
            }
            Reason::Stale(demand) => {
                !matches!(Need::of(&session.access, demand, self.clock.now()), Need::Renewal)
            }
        }
    }

    /// With the lock in hand, reads again: another process may have been faster, or an outcome
    /// may forbid the request.
    fn done_without_asking(
        &self,
        installation: &Installation,
        seen: &Session,
        reason: Reason,
    ) -> Result<Option<Renewed>, Error> {
        let Some(session) = SessionStore::of(installation).load(&seen.name)? else {
            return Err(gone(&seen.name));
        };
        if self.is_enough(seen, &session, reason) {
            self.trace_taken_over(&session, None);
            return Ok(Some(Renewed::Yes(Box::new(session))));
        }
        match standing_of(self, installation, &session)? {
            Standing::Live => Ok(None),
            standing => {
                self.terminal.trace(|| {
                    format!("asks nobody: {}", standing.explain(&session.name, self.clock.now()))
                });
                Ok(Some(Renewed::No(standing)))
            }
        }
    }

    /// Hands the lock to a worker that outlives us. The room that it needs is reserved first: on
    /// a full or read-only disk nothing is sent, and the caller hears why. Where no lock can be
    /// handed on, who waits for the refresh does it, and nothing ends us before it is done; unless
    /// our caller may lose its patience before.
    fn start(
        &self,
        installation: &Installation,
        lock: Lock,
        name: &SessionName,
        waits: Waits,
    ) -> Result<Option<Child>, Error> {
        let store = SessionStore::of(installation);
        drop(store.reserve_journal(&lock, name)?);
        let stem = name.file_stem();
        // The name of a site may begin with a hyphen.
        let arguments = [OsStr::new("worker"), OsStr::new("--"), OsStr::new(&stem)];
        let path = store.lock_path(name);
        // It must not depend on a keychain that may be locked by then.
        let key = installation.key_to_hand_on()?;
        let started = platform::start_worker(&arguments, lock.into_file(), &key);
        match started.map_err(BrokerError::NoWorker)? {
            HandedOn::Started(worker) => {
                self.terminal.trace(|| format!("started a worker for the refresh of {name}"));
                Ok(Some(worker))
            }
            HandedOn::Impossible(file) => {
                let lock = Lock::taken_back(file, &path);
                match waits {
                    Waits::ForIt => {
                        let _held = platform::hold_back_termination();
                        self.refresh_now(installation, &lock, name).map(|()| None)
                    }
                    Waits::Until(_) | Waits::ForNothing => {
                        // It takes the lock by itself. If somebody else is faster, it has nothing
                        // to do.
                        drop(lock);
                        let mut worker = start_apart(&arguments).map_err(BrokerError::NoWorker)?;
                        if let Waits::Until(deadline) = waits {
                            wait_for_end(&mut worker, deadline);
                        }
                        Ok(Some(worker))
                    }
                }
            }
        }
    }

    /// Renews a session as its own worker, without a lock from elsewhere: if that is free, and the
    /// renewal is still due.
    ///
    /// # Errors
    /// As when a session is renewed.
    pub fn renew_as_worker(&self, due: &DueRenewal) -> Result<(), Error> {
        self.begin_renewal(due, Waits::ForIt).map(drop)
    }

    /// Starts a renewal that is due, unless one is under way. The caller has its answer already and
    /// hears of no failure: the next one will.
    pub fn renew_in_background(&self, due: &DueRenewal) {
        let worker = match self.begin_renewal(due, Waits::ForNothing) {
            Ok(UnderWay::Ours(worker)) => worker,
            Ok(UnderWay::Others | UnderWay::No) => return,
            Err(error) => {
                self.terminal.trace(|| format!("renewed nothing in the background: {error}"));
                return;
            }
        };
        if self.environment.path("CI").is_some() || platform::dies_with_its_container() {
            wait_a_moment(due, worker);
        }
    }

    /// Makes a renewal that is due, or waits for the one that is under way, if that takes only a
    /// moment.
    pub(super) fn renew_for_a_moment(&self, due: &DueRenewal) {
        match self.begin_renewal(due, Waits::ForNothing) {
            Ok(UnderWay::Ours(worker)) => wait_a_moment(due, worker),
            Ok(UnderWay::Others) => wait_a_moment(due, None),
            Ok(UnderWay::No) | Err(_) => {}
        }
    }

    fn begin_renewal(&self, due: &DueRenewal, waits: Waits) -> Result<UnderWay, Error> {
        let DueRenewal { installation, session } = due;
        // Looked at before the lock is: a recorded failure must not cost every call a lock.
        if !matches!(standing_of(self, installation, session)?, Standing::Live) {
            return Ok(UnderWay::No);
        }
        let store = SessionStore::of(installation);
        let path = store.lock_path(&session.name);
        let Some(lock) = Lock::try_hold(&path, "refresh", self.clock)? else {
            return Ok(UnderWay::Others);
        };
        let Some(session) = store.load(&session.name)? else { return Ok(UnderWay::No) };
        let live = matches!(standing_of(self, installation, &session)?, Standing::Live);
        if !live || Need::of(&session.access, None, self.clock.now()) == Need::Nothing {
            return Ok(UnderWay::No);
        }
        self.start(installation, lock, &session.name, waits).map(UnderWay::Ours)
    }

    /// Renews a session whatever its freshness, for `dd-oauth refresh`.
    ///
    /// # Errors
    /// Where there is none, or it could not be renewed.
    pub fn refresh_by_hand(&self) -> Result<Session, Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else {
            return Err(self.not_logged_in());
        };
        let Some(name) = self.chosen(&installation)? else { return Err(self.not_logged_in()) };
        let Some(session) = SessionStore::of(&installation).load(&name)? else {
            return Err(self.not_logged_in());
        };
        self.trace_key(&installation);
        let why = match self.renew(&installation, &session, Reason::ByHand)? {
            Renewed::Yes(session) => return Ok(*session),
            Renewed::No(Standing::Waiting { message, retry_in }) => {
                return Err(BrokerError::NotRenewed { name, message, retry_in }.into());
            }
            Renewed::No(Standing::Live) => return Err(BrokerError::NoOutcome { name }.into()),
            Renewed::No(standing) => standing.explain(&name, self.clock.now()),
        };
        let command = login_command(&SiteName::Site(name.site.clone()), name.org.as_ref());
        Err(BrokerError::LoginRequired { why, command }.into())
    }
}

/// Whether the process that starts a refresh has anything to do until its end.
#[derive(Clone, Copy)]
enum Waits {
    /// It needs the outcome.
    ForIt,
    /// It needs the outcome, but nobody waits for it any longer than this.
    Until(Deadline),
    /// It has answered already, or can at any time.
    ForNothing,
}

/// Starts this program again, where our end does not reach it.
fn start_apart(arguments: &[&OsStr]) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    platform::set_apart(&mut command);
    command.spawn()
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

/// The workers that one call started. Who waited for their outcome sees them end, so that a program
/// that takes our place inherits no dead child; one that still works is left to itself.
#[derive(Default)]
struct Workers(Vec<Option<Child>>);

impl Drop for Workers {
    fn drop(&mut self) {
        let deadline = Deadline::after(LAST_MOMENT);
        for worker in self.0.iter_mut().flatten() {
            wait_for_end(worker, deadline);
        }
    }
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

fn wait_for_end(worker: &mut Child, deadline: Deadline) {
    while matches!(worker.try_wait(), Ok(None)) && !deadline.passed() {
        std::thread::sleep(LOOK_AT_WORKER);
    }
}

/// The error for a session that was erased while somebody waited for its refresh.
fn gone(name: &SessionName) -> Error {
    let site = SiteName::Site(name.site.clone());
    let command = login_command(&site, name.org.as_ref());
    BrokerError::LoginRequired { why: format!("not logged in to {name}"), command }.into()
}

/// The session of an answer that was secured and not committed, as its worker died or the disk
/// takes no more: it can be answered from all the same, and the next refresh commits it.
fn secured_session(
    store: &SessionStore<'_>,
    session: &Session,
    known: Attempt,
    now: Timestamp,
) -> Result<Option<Session>, Error> {
    let secured = uncommitted(store, session, known)?;
    Ok(secured.filter(|session| life_left(&session.access, now).is_some()))
}

/// The session of an answer to an attempt after `known` that was secured and not committed.
pub(super) fn uncommitted(
    store: &SessionStore<'_>,
    session: &Session,
    known: Attempt,
) -> Result<Option<Session>, Error> {
    let Some(mut journal) = store.journal(&session.name)? else { return Ok(None) };
    let Some(digest) = TokenDigest::of(&session.renewal) else { return Ok(None) };
    let ours = |record: &Announcement| record.attempt > known && record.token == digest;
    let Some(announced) = journal.announcement()?.filter(ours) else { return Ok(None) };
    let Some(reply) = journal.reply(announced.attempt)? else { return Ok(None) };
    let sent = reply.sent;
    let grant = read_secured(session, reply).ok();
    Ok(grant.map(|grant| renewed(session, grant, sent)))
}

pub(super) fn last_attempt(store: &SessionStore<'_>, session: &Session) -> Result<Attempt, Error> {
    Ok(outcome_of(store, session)?.map(|outcome| outcome.attempt).unwrap_or_default())
}
