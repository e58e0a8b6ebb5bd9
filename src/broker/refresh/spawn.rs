//! Starting the worker that refreshes, and seeing it end.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::broker::{BrokerError, Context};
use crate::clock::Deadline;
use crate::lock::Lock;
use crate::names::SessionName;
use crate::platform::{self, Bound, HandedOn, Parent};
use crate::session::{Installation, SessionStore};

use super::worker::refresh_now;

/// A worker that let go of the lock has only to end.
const LAST_MOMENT: Duration = Duration::from_millis(50);
/// Between two looks whether a worker has ended.
const LOOK_AT_WORKER: Duration = Duration::from_micros(500);

/// Whether the process that starts a refresh has anything to do until its end.
#[derive(Clone, Copy)]
pub enum Waits {
    /// It needs the outcome.
    ForIt,
    /// It needs the outcome, but nobody waits for it any longer than this.
    Until(Deadline),
    /// It can answer at any time, and would rather answer with the outcome.
    ForAMoment,
    /// It has answered already.
    ForNothing,
}

/// Hands the lock to a worker that outlives us. The room that it needs is reserved first: on a full
/// or read-only disk nothing is sent, and the caller hears why. If no lock can be handed on, a
/// process that waits for the refresh does it itself, and nothing ends it before that is done;
/// unless its caller may give up before, and another process can be started for it.
pub fn start(
    context: &Context<'_>,
    installation: &Installation,
    lock: Lock,
    name: &SessionName,
    waits: Waits,
) -> Result<Started, BrokerError> {
    let store = SessionStore::of(installation);
    drop(store.reserve_journal(&lock, name)?);
    let stem = name.file_stem();
    // The name of a site may begin with a hyphen.
    let arguments = [OsStr::new("worker"), OsStr::new("--"), OsStr::new(&stem)];
    let path = store.lock_path(name);
    // It must not depend on a keychain that may be locked by then.
    let key = installation.key_to_hand_on()?;
    let parent = match (platform::bound(), waits) {
        (Some(Bound::Container), Waits::ForIt | Waits::Until(_) | Waits::ForAMoment) => Parent::Us,
        _ => Parent::Nobody,
    };
    let started = platform::start_worker(&arguments, lock.into_file(), &key, parent);
    let lock = match started.map_err(|source| BrokerError::NoWorker { source })? {
        HandedOn::Started(child) => {
            context.terminal.trace(|| format!("started a worker for the refresh of {name}"));
            return Ok(Started::WithLock(child.map(Reaped)));
        }
        HandedOn::Impossible(file) => Lock::taken_back(file, &path),
    };
    if matches!(waits, Waits::ForIt) {
        return refresh_here(context, installation, &lock, name);
    }
    // The worker takes the lock by itself. If somebody else is faster, it has nothing to do.
    drop(lock);
    match (start_apart(&arguments), waits) {
        (Ok(mut worker), Waits::Until(deadline)) => {
            wait_for_end(&mut worker, deadline);
            Ok(Started::Done)
        }
        (Ok(worker), _) => Ok(Started::Apart(worker)),
        (Err(source), Waits::ForAMoment | Waits::ForNothing) => {
            Err(BrokerError::NoWorker { source })
        }
        (Err(_), _) => match Lock::try_hold(&path, "refresh", context.clock)? {
            Some(lock) => refresh_here(context, installation, &lock, name),
            None => Ok(Started::Done),
        },
    }
}

/// How a refresh was started.
pub enum Started {
    /// In a worker that holds the lock; it is seen to end, if it is our child.
    WithLock(#[expect(dead_code, reason = "its end is seen as it is dropped")] Option<Reaped>),
    /// In a worker that takes the lock by itself.
    Apart(Child),
    /// It is done, or another process does it.
    Done,
}

fn refresh_here(
    context: &Context<'_>,
    installation: &Installation,
    lock: &Lock,
    name: &SessionName,
) -> Result<Started, BrokerError> {
    context.terminal.trace(|| format!("no worker can be started; refreshes {name} itself"));
    let _held = platform::hold_back_termination();
    refresh_now(context, installation, lock, name).map(|()| Started::Done)
}

/// Starts this program again, where our end does not reach it.
fn start_apart(arguments: &[&OsStr]) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    platform::set_apart(&mut command);
    command.spawn()
}

/// A worker whose end its caller sees: once it let go of the lock, it has only to end. One that still works
/// is left to itself.
pub struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        wait_for_end(&mut self.0, Deadline::after(LAST_MOMENT));
    }
}

/// Waits until a worker has ended, or until `deadline`.
pub fn wait_for_end(worker: &mut Child, deadline: Deadline) {
    while matches!(worker.try_wait(), Ok(None)) && !deadline.passed() {
        std::thread::sleep(LOOK_AT_WORKER);
    }
}
