//! What a failed attempt means: what the server can have seen of it, and how long nobody asks again.

use std::fmt;
use std::time::Duration;

use crate::http_client::HttpError;
use crate::oauth::TokenError;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);
/// The message of an outcome is one line; a journal's record has room for it.
const MESSAGE_LIMIT: usize = 600;

/// Why an attempt failed, by what the server can have seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It saw nothing: DNS, connect, TLS.
    NotSent,
    /// It refused to act for now, or answered with nothing that we can use. The same request would
    /// bring the same.
    Declined,
    /// It may have acted; no whole answer was seen.
    Unknown,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "not sent",
            Self::Declined => "declined",
            Self::Unknown => "outcome unknown",
        })
    }
}

impl Trouble {
    /// What the server can have seen of a request that failed like this.
    pub fn of(error: &TokenError) -> Self {
        match error {
            TokenError::Http(
                HttpError::NotSent { .. } | HttpError::BadRoots { .. } | HttpError::Setup(_),
            ) => Self::NotSent,
            TokenError::Http(
                HttpError::NoAnswer { .. } | HttpError::TooLong { .. } | HttpError::Status { .. },
            )
            | TokenError::ServerFailed { .. }
            | TokenError::Unreadable { .. }
            | TokenError::NotSecured => Self::Unknown,
            TokenError::Declined { .. }
            | TokenError::NoAccess { .. }
            | TokenError::InvalidGrant { .. }
            | TokenError::InvalidClient { .. } => Self::Declined,
        }
    }
}

/// How long nobody asks again after this many failures in a row: what the server says, else a time
/// that doubles, give or take half of it so that many machines do not come back together.
pub fn backoff(failures: u32, error: &TokenError) -> Duration {
    if let Some(wait) = retry_after(error) {
        return wait.clamp(FIRST_BACKOFF, LONGEST_RETRY_AFTER);
    }
    let doubled = FIRST_BACKOFF * 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    let mut random = [0];
    // Without randomness the time is at its shortest, which is no harm.
    let _ = getrandom::fill(&mut random);
    doubled.min(LONGEST_BACKOFF).mul_f64(0.5 + f64::from(random[0]) / 255.0)
}

fn retry_after(error: &TokenError) -> Option<Duration> {
    match error {
        TokenError::Declined { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// Whether an error may be a dead refresh token under another name than `invalid_grant`: the server
/// refuses, and does not say that it is only for now.
pub fn may_be_for_good(error: &TokenError) -> bool {
    match error {
        TokenError::Declined { status, .. } => {
            matches!(status, 200..=299 | 400..=499) && !matches!(status, 408 | 429)
        }
        _ => false,
    }
}

/// An error in one line that fits into an outcome.
pub fn message(error: &TokenError) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(MESSAGE_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declined(retry_after: Option<Duration>) -> TokenError {
        TokenError::Declined { status: 503, retry_after, hint: String::new() }
    }

    #[test]
    fn the_wait_doubles_to_a_minute_give_or_take_half() {
        for (failures, usual) in [(1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (u32::MAX, 60.0)] {
            let wait = backoff(failures, &declined(None)).as_secs_f64();
            assert!((usual * 0.5..=usual * 1.5).contains(&wait), "{failures}: {wait}");
        }
    }

    #[test]
    fn a_server_is_believed_for_five_minutes() {
        let wait = |seconds| {
            let error = declined(Some(Duration::from_secs(seconds)));
            backoff(1, &error).as_secs()
        };
        assert_eq!((wait(0), wait(7), wait(9999)), (1, 7, 300));
    }
}
