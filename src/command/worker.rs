//! The refresh worker, which `dd-oauth` starts for itself and which outlives its caller.

use std::io::Read;

use zeroize::Zeroizing;

use crate::broker::{self, Context, DueRenewal};
use crate::error::Error;
use crate::lock::Lock;
use crate::platform;
use crate::session::SessionStore;

/// Refreshes `session`; with the lock and the key that it was handed, where there is a `descriptor`.
pub fn run(context: &Context<'_>, session: &str, descriptor: Option<i32>) -> Result<(), Error> {
    match descriptor {
        Some(descriptor) => go_on(context, session, descriptor),
        None => begin(context, session),
    }
}

fn begin(context: &Context<'_>, session: &str) -> Result<(), Error> {
    let Some(installation) = context.installation()? else { return Ok(()) };
    let store = SessionStore::of(&installation);
    let Some(name) = store.name_of_file(session)? else { return Ok(()) };
    let Some(session) = store.load(&name)? else { return Ok(()) };
    Ok(broker::renew_as_worker(context, &DueRenewal { installation, session })?)
}

fn go_on(context: &Context<'_>, session: &str, descriptor: i32) -> Result<(), Error> {
    let file = platform::detach(descriptor).map_err(Error::Input)?;
    let Some(installation) = context.installation()? else { return Ok(()) };
    let mut key = Zeroizing::new([0; 32]);
    let mut input = platform::take_stdin().map_err(Error::Input)?;
    input.read_exact(&mut *key).map_err(Error::Input)?;
    installation.take_key(key);
    let store = SessionStore::of(&installation);
    let Some(name) = store.name_of_file(session)? else { return Ok(()) };
    // Nothing is sent before the lock is proved to be ours.
    let lock = Lock::adopt(file, &store.lock_path(&name), "refresh", context.clock)?;
    context.terminal.trace(|| format!("the worker for {name} has the lock and the key"));
    Ok(broker::refresh_now(context, &installation, &lock, &name)?)
}
