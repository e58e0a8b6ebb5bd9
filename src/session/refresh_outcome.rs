//! What refresh attempts end with, as it is left to all who waited and to those who come later.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::{Session, TokenDigest};
use crate::clock::Timestamp;

/// Counts the refresh attempts that a journal has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(u64);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Attempt {
    /// The number of the next attempt.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What the last attempt ended with, good or bad, for all who waited.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub attempt: Attempt,
    /// Of the refresh token that was presented; an outcome says nothing about another.
    pub token: TokenDigest,
    pub at: Timestamp,
    /// When the first request with this token was sent whose answer nobody saw.
    pub unknown_since: Option<Timestamp>,
    pub verdict: Verdict,
}

/// No outcome forbids the next request for longer; one that seems to was written by another clock.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

impl Outcome {
    /// Whether it says something about the session as it is now. A failure does not, where another
    /// token set was stored since; a success has changed the token itself.
    #[must_use]
    pub fn is_about(&self, session: &Session) -> bool {
        matches!(self.verdict, Verdict::Renewed)
            || TokenDigest::of(&session.renewal).as_ref() == Some(&self.token)
    }

    /// Whether it still keeps anybody from the next request.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        match &self.verdict {
            Verdict::Renewed => false,
            Verdict::Ended { .. } => true,
            Verdict::Failed { not_before, .. } => {
                let left = not_before.since(now);
                !left.is_zero() && left <= LONGEST_WAIT && now >= self.at
            }
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The session has a new access token.
    Renewed,
    /// The session is kept, and nobody asks again before `not_before`.
    Failed {
        message: String,
        /// In a row, this one included.
        failures: u32,
        not_before: Timestamp,
    },
    /// The server ended the session; only a login helps.
    Ended { refusal: Refusal, message: String },
}

/// Why a server ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// `invalid_grant`: revoked, expired, or used elsewhere.
    InvalidGrant,
    /// `invalid_grant` to the repetition of a request whose answer was lost.
    Interrupted { at: Timestamp },
    /// `invalid_client`: the registration is gone.
    UnknownClient,
}
