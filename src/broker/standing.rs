//! How a session stands after its last refresh: whether another one may succeed.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::names::SessionName;
use crate::session::{
    Installation, Journal, Outcome, Refusal, Session, SessionStore, StorageError, TokenDigest,
    Verdict,
};
use crate::site::SiteName;

use super::freshness::life_left;
use super::target::login_command;
use super::{BrokerError, Context};

/// How a session stands, by the outcome of its last refresh.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nothing is known against a refresh.
    Live,
    /// The last refresh failed, and the next is not due yet.
    Waiting { message: String, retry_in: Duration },
    /// The server ended it.
    Ended { refusal: Refusal, message: String, at: Timestamp },
    /// It was stored without a refresh token.
    NotRenewable,
}

impl Standing {
    /// By the last outcome, as far as it is about this refresh token and still forbids anything. A
    /// `store` or `erase` of an access token in between changes nothing about that.
    #[must_use]
    pub fn of(session: &Session, outcome: Option<&Outcome>, now: Timestamp) -> Self {
        let Some(digest) = TokenDigest::of(&session.renewal) else { return Self::NotRenewable };
        match outcome.filter(|outcome| outcome.token == digest) {
            Some(outcome) if outcome.holds(now) => Self::after(outcome, now),
            _ => Self::Live,
        }
    }

    /// By the outcome for which somebody waited, however long ago that was.
    #[must_use]
    pub fn after(outcome: &Outcome, now: Timestamp) -> Self {
        match &outcome.verdict {
            Verdict::Renewed => Self::Live,
            Verdict::Ended { refusal, message } => {
                Self::Ended { refusal: *refusal, message: message.clone(), at: outcome.at }
            }
            Verdict::Failed { message, not_before, .. } => {
                Self::Waiting { message: message.clone(), retry_in: not_before.since(now) }
            }
        }
    }

    /// Why there is no newer token, for a message.
    #[must_use]
    pub fn explain(&self, name: &SessionName, now: Timestamp) -> String {
        match self {
            Self::Live => format!("the refresh of {name} ended without an outcome"),
            Self::Waiting { message, .. } => {
                format!("could not renew the token for {name}: {message}")
            }
            Self::NotRenewable => format!("the session for {name} has no refresh token"),
            Self::Ended { refusal: Refusal::Interrupted { at }, .. } => format!(
                "the session for {name} is over: a refresh was interrupted at {at}, and its answer was lost"
            ),
            Self::Ended { refusal: Refusal::UnknownClient, .. } => format!(
                "the session for {name} is over: the server no longer knows this installation, which the next login registers anew"
            ),
            Self::Ended { refusal: Refusal::InvalidGrant, message, at } => {
                let ago = whole_minutes(now.since(*at));
                format!("the session for {name} is over: {message} ({ago})")
            }
        }
    }
}

fn whole_minutes(span: Duration) -> String {
    match span.as_secs() / 60 {
        0 => "just now".into(),
        1 => "a minute ago".into(),
        minutes => format!("{minutes} minutes ago"),
    }
}

/// The last outcome that a session's journal holds.
pub(super) fn last_outcome(
    store: &SessionStore<'_>,
    session: &Session,
) -> Result<Option<Outcome>, StorageError> {
    let journal: Option<Journal<'_>> = store.journal(&session.name)?;
    match journal {
        Some(mut journal) => journal.outcome(),
        None => Ok(None),
    }
}

/// How a session stands now.
///
/// # Errors
/// If its journal cannot be read.
pub fn standing_of(
    context: &Context<'_>,
    installation: &Installation,
    session: &Session,
) -> Result<Standing, BrokerError> {
    let outcome = last_outcome(&SessionStore::of(installation), session)?;
    Ok(Standing::of(session, outcome.as_ref(), context.clock.now()))
}

/// Checks that a `get` would find a token in `session`, or could renew it.
///
/// # Errors
/// Why it could not, as `get` would say it.
pub fn ensure_obtainable(
    context: &Context<'_>,
    session: &Session,
    standing: Standing,
) -> Result<(), BrokerError> {
    let now = context.clock.now();
    if life_left(&session.access, now).is_some() {
        return Ok(());
    }
    let name = session.name.clone();
    match standing {
        Standing::Live => Ok(()),
        Standing::Waiting { message, retry_in } => {
            Err(BrokerError::NotRenewed { name, message, retry_in })
        }
        over => {
            let site = SiteName::Site(name.site.clone());
            let command = login_command(&site, name.org.as_ref());
            Err(BrokerError::LoginRequired { why: over.explain(&name, now), command })
        }
    }
}

/// How an attempt ended, for the trace.
pub(super) fn describe(verdict: &Verdict, now: Timestamp) -> String {
    match verdict {
        Verdict::Renewed => "renewed".into(),
        Verdict::Failed { message, failures, not_before } => {
            let wait = not_before.since(now).as_millis();
            format!("failed, {failures} in a row, and nobody asks for {wait} ms: {message}")
        }
        Verdict::Ended { message, .. } => format!("the server ended the session: {message}"),
    }
}
