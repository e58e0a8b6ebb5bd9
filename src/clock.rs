//! Time, handed in rather than asked for, and the deadlines that end every wait.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment in Unix time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the epoch; what does not fit becomes the last moment that does.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, rounded down, so that an expiry is never told too late.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and `span` later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// To be written with milliseconds.
    #[must_use]
    pub fn in_millis(self) -> InMillis {
        InMillis(self)
    }

    /// Outside of these years RFC 3339 has no form; a date that absurd is shown as its limit.
    fn within_years(self) -> SystemTime {
        let millis = u64::try_from(self.0).unwrap_or(0).min(YEAR_9999 * 1000);
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// How much later this is than `earlier`; nothing where it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// As [`Timestamp`] is written, with milliseconds.
pub struct InMillis(Timestamp);

/// As in RFC 3339, in UTC: `2026-11-23T14:02:07Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.within_years()).fmt(f)
    }
}

impl fmt::Display for InMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(self.0.within_years()).fmt(f)
    }
}

/// The last second of the year 9999, in Unix time.
const YEAR_9999: u64 = 253_402_300_799;

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    #[cfg(feature = "test-clock")]
    offset_millis: i64,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self {
            #[cfg(feature = "test-clock")]
            offset_millis: std::env::var("DD_OAUTH_TEST_CLOCK")
                .map_or(0, |text| text.parse().expect("DD_OAUTH_TEST_CLOCK is milliseconds")),
        }
    }

    /// Now, in Unix time. A clock before 1970 reads as 1970.
    #[must_use]
    pub fn now(self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp(millis(since_epoch));
        #[cfg(feature = "test-clock")]
        let now = Timestamp(now.0.saturating_add(self.offset_millis));
        now
    }
}

/// When a wait ends at the latest; measured on the monotonic clock, which no clock jump moves.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    /// The time that is left; nothing once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The time that has gone by since the wait began.
    #[must_use]
    pub fn waited(self) -> Duration {
        self.limit.saturating_sub(self.remaining())
    }

    /// The whole wait.
    #[must_use]
    pub fn limit(self) -> Duration {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_a_date() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (-1, "1970-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_seconds(seconds).to_string(), text);
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let last = Timestamp::from_seconds(i64::MAX);
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(Timestamp::from_millis(i64::MIN).since(last), Duration::ZERO);
    }
}
