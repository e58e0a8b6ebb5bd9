//! A refresh: the caller's half, which starts it once and shares its outcome, and the worker's half,
//! which sends the request and outlives the caller.
//!
//! 1. [`caller`] takes the lock of the session, reads the session again, and starts a worker; or it
//!    waits for the process that holds the lock. [`background`] does the same for a caller that has
//!    its answer already.
//! 2. [`spawn`] hands the lock and the sealing key to the worker, which is this program again.
//! 3. [`worker`] announces the request in the journal, sends it, secures the reply, commits the new
//!    session and leaves an outcome. [`failure`] says what an error means.
//! 4. [`caller`] finds the new token or the outcome. [`recover`] finds a reply that a worker secured
//!    and did not live to commit.
//!
//! The lock, the journal and the outcome are what both halves share; neither calls the other. Each
//! wait ends: a waiter after 60 s, a worker 45 s after its start if no answer came, and up to 10 minutes
//! later if an answer came that the disk does not take.
//!
//! Why the worker is a process of its own: a caller may be killed at any moment, with its group, its
//! terminal or its container. Only the worker holds the one copy of a token that the server rotated.

mod background;
mod caller;
mod failure;
mod recover;
mod spawn;
mod worker;

pub use background::{DueRenewal, cut_off, renew_as_worker, renew_in_background};
pub use caller::{Reason, Renewed, refresh_by_hand, renew};
pub use worker::refresh_now;

pub(super) use background::renew_for_a_moment;
pub(super) use recover::committed_or_secured;
