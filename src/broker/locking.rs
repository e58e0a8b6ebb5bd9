//! Taking a lock, and saying so if that takes long.

use std::path::Path;
use std::time::Duration;

use crate::clock::Deadline;
use crate::lock::{Lock, LockError};
use crate::names::SessionName;
use crate::session::SessionStore;

use super::{BrokerError, Context};

/// How long a write waits for the refresh that may be under way.
pub const WRITE_LIMIT: Duration = Duration::from_mins(1);

/// Takes a lock, waiting for it until `deadline`; tells the person about a long wait.
pub fn hold(
    context: &Context<'_>,
    path: &Path,
    purpose: &str,
    deadline: Deadline,
) -> Result<Lock, LockError> {
    let terminal = context.terminal;
    if let Some(lock) = Lock::try_hold(path, purpose, context.clock)? {
        terminal.trace(|| format!("took the lock {} for {purpose}", path.display()));
        return Ok(lock);
    }
    trace_wait(context, path);
    let mut notice = |holder: Option<&_>| terminal.say_waiting(holder);
    let lock = Lock::hold(path, purpose, context.clock, deadline, &mut notice)?;
    terminal.trace(|| {
        let waited = deadline.waited().as_millis();
        format!("took the lock {} for {purpose} after {waited} ms", path.display())
    });
    Ok(lock)
}

/// Takes a lock for a write, for which [`WRITE_LIMIT`] is long enough.
pub fn hold_to_write(context: &Context<'_>, path: &Path, purpose: &str) -> Result<Lock, LockError> {
    hold(context, path, purpose, Deadline::after(WRITE_LIMIT))
}

/// Takes the lock of a session for a write.
pub fn hold_session(
    context: &Context<'_>,
    store: &SessionStore<'_>,
    name: &SessionName,
    purpose: &str,
) -> Result<Lock, LockError> {
    hold_to_write(context, &store.lock_path(name), purpose)
}

/// Decides again if everything was logged out of meanwhile: the next look finds no installation, or
/// another one.
pub fn until_it_stays<T>(
    mut decide: impl FnMut() -> Result<T, BrokerError>,
) -> Result<T, BrokerError> {
    const ATTEMPTS: usize = 4;
    for _ in 1..ATTEMPTS {
        match decide() {
            Err(error) if error.is_forgotten() => {}
            decided => return decided,
        }
    }
    decide()
}

/// Traces whose lock we wait for.
pub fn trace_wait(context: &Context<'_>, path: &Path) {
    context.terminal.trace(|| match Lock::holder(path) {
        Some(holder) => format!("waiting for the lock {}, held by {holder}", path.display()),
        None => format!("waiting for the lock {}", path.display()),
    });
}
