//! Starting the worker that refreshes, and seeing it end.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::broker::{BrokerError, Context};
use crate::clock::Deadline;
use crate::lock::Lock;
use crate::names::SessionName;
use crate::platform::{self, HandedOn};
use crate::session::{Installation, SessionStore};

use super::worker::refresh_now;

/// A worker that let go of the lock has only to end.
const LAST_MOMENT: Duration = Duration::from_millis(50);
/// Between two looks whether it has.
const LOOK_AT_WORKER: Duration = Duration::from_micros(500);

/// Whether the process that starts a refresh has anything to do until its end.
#[derive(Clone, Copy)]
pub enum Waits {
    /// It needs the outcome.
    ForIt,
    /// It needs the outcome, but nobody waits for it any longer than this.
    Until(Deadline),
    /// It has answered already, or can at any time.
    ForNothing,
}

/// Hands the lock to a worker that outlives us. The room that it needs is reserved first: on a full
/// or read-only disk nothing is sent, and the caller hears why. If no lock can be handed on, a
/// process that waits for the refresh does it itself, and nothing ends it before that is done;
/// unless its caller may give up before.
pub fn start(
    context: &Context<'_>,
    installation: &Installation,
    lock: Lock,
    name: &SessionName,
    waits: Waits,
) -> Result<Option<Child>, BrokerError> {
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
            context.terminal.trace(|| format!("started a worker for the refresh of {name}"));
            Ok(Some(worker))
        }
        HandedOn::Impossible(file) => {
            let lock = Lock::taken_back(file, &path);
            match waits {
                Waits::ForIt => {
                    let _held = platform::hold_back_termination();
                    refresh_now(context, installation, &lock, name).map(|()| None)
                }
                Waits::Until(_) | Waits::ForNothing => {
                    // The worker takes the lock by itself. If somebody else is faster, it has
                    // nothing to do.
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

/// Starts this program again, where our end does not reach it.
fn start_apart(arguments: &[&OsStr]) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    platform::set_apart(&mut command);
    command.spawn()
}

/// The workers that one call started. A call that waited for their outcome sees them end, so that a
/// program that takes its place inherits no dead child; one that still works is left to itself.
#[derive(Default)]
pub struct Workers(Vec<Option<Child>>);

impl Workers {
    /// Takes care of one more.
    pub fn add(&mut self, worker: Option<Child>) {
        self.0.push(worker);
    }

    /// How many were started.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let deadline = Deadline::after(LAST_MOMENT);
        for worker in self.0.iter_mut().flatten() {
            wait_for_end(worker, deadline);
        }
    }
}

/// Waits until a worker has ended, or until `deadline`.
pub fn wait_for_end(worker: &mut Child, deadline: Deadline) {
    while matches!(worker.try_wait(), Ok(None)) && !deadline.passed() {
        std::thread::sleep(LOOK_AT_WORKER);
    }
}
