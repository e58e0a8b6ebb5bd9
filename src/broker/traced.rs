//! What the trace says of decisions that several commands make.

use std::fmt::Display;
use std::path::Path;

use super::Broker;
use super::freshness::{Need, life_left};
use crate::clock::{Deadline, Timestamp};
use crate::config::Setting;
use crate::lock::{Lock, LockError};
use crate::session::{Access, Installation, KeyOrigin, Outcome, Session, Verdict};

impl Broker<'_> {
    /// Takes a lock, waiting for it until `deadline`, and says so where that takes long.
    pub(super) fn hold(
        &self,
        path: &Path,
        purpose: &str,
        deadline: Deadline,
    ) -> Result<Lock, LockError> {
        if let Some(lock) = Lock::try_hold(path, purpose, self.clock)? {
            self.terminal.trace(|| format!("took the lock {} for {purpose}", path.display()));
            return Ok(lock);
        }
        self.trace_wait(path);
        let mut notice = |holder: Option<&_>| self.terminal.say_waiting(holder);
        let lock = Lock::hold(path, purpose, self.clock, deadline, &mut notice)?;
        self.terminal.trace(|| {
            let waited = deadline.waited().as_millis();
            format!("took the lock {} for {purpose} after {waited} ms", path.display())
        });
        Ok(lock)
    }

    /// Whose lock it is that we wait for.
    pub(super) fn trace_wait(&self, path: &Path) {
        self.terminal.trace(|| match Lock::holder(path) {
            Some(holder) => format!("waiting for the lock {}, held by {holder}", path.display()),
            None => format!("waiting for the lock {}", path.display()),
        });
    }

    /// Where the sealing key came from, if it was needed.
    pub(super) fn trace_key(&self, installation: &Installation) {
        let Some(origin) = installation.key_origin() else { return };
        self.terminal.trace(|| match (origin, installation.key_home()) {
            (KeyOrigin::HandedOn, _) => "the sealing key was handed on by who started this".into(),
            (KeyOrigin::Memory, _) => "the sealing key was still in memory".into(),
            (KeyOrigin::Kernel, _) => "the sealing key came from the kernel's keyring".into(),
            (KeyOrigin::Home { took }, Ok(home)) => {
                let limit = self.config.paths.key.timeout.limit.as_secs();
                let took = took.as_millis();
                format!("the sealing key came from {home} in {took} ms (a keychain has {limit} s)")
            }
            (KeyOrigin::Home { .. }, Err(error)) => error.to_string(),
        });
    }

    /// What a waiter found once the lock was free: a token that is good, or an outcome.
    pub(super) fn trace_taken_over(&self, session: &Session, outcome: Option<&Outcome>) {
        let name = &session.name;
        self.terminal.trace(|| match outcome {
            None => format!("took over the token that {name} has now"),
            Some(Outcome { attempt, verdict, .. }) => {
                let verdict = told(verdict, self.clock.now());
                format!("took over the outcome of attempt {attempt} for {name}: {verdict}")
            }
        });
    }

    /// How fresh a token is, in numbers.
    pub(super) fn trace_need(&self, session: &Session, need: Need) {
        self.terminal.trace(|| {
            let left = life_left(&session.access, self.clock.now()).unwrap_or_default().as_secs();
            let life = match &session.access {
                Access::Held { lifetime, .. } => {
                    format!("{left} s of {} s left", lifetime.total().as_secs())
                }
                Access::Rejected => "was rejected".into(),
            };
            format!("the access token of {} ({life}): {need}", session.name)
        });
    }
}

/// How an attempt ended.
pub(super) fn told(verdict: &Verdict, now: Timestamp) -> String {
    match verdict {
        Verdict::Renewed => "renewed".into(),
        Verdict::Failed { message, failures, not_before } => {
            let wait = not_before.since(now).as_millis();
            format!("failed, {failures} in a row, and nobody asks for {wait} ms: {message}")
        }
        Verdict::Ended { message, .. } => format!("the server ended the session: {message}"),
    }
}

/// What a request means by one of its words, and who said so.
pub(super) fn named_by<T: Display>(
    what: &str,
    requested: Option<&T>,
    configured: Option<&Setting<T>>,
) -> String {
    match (requested, configured) {
        (Some(value), _) => format!("{what} {value} (the request)"),
        (None, Some(Setting { value, source })) => format!("{what} {value} ({source})"),
        (None, None) => format!("no {what} is named"),
    }
}
