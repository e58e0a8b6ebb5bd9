//! Fresh, expiring, stale: what a `get` does about the token that is held.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::session::{Access, Lifetime};

/// The renewal window opens this long before the end, but at most a quarter of the lifetime.
const LONGEST_WINDOW: Duration = Duration::from_mins(5);
/// What is wished for where the caller demands nothing, but at most a tenth of the lifetime.
const USUAL_MIN_TTL: Duration = Duration::from_mins(1);
/// A clock that is set is off by less than this; a token from further ahead is not believed.
const CLOCK_SLACK: Duration = Duration::from_secs(5);
/// A token that is rejected earlier than this was not rejected for its age.
const FIRST_MOMENTS: Duration = Duration::from_secs(30);

/// How fresh the access token of a session is, for a request that may demand some life of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It has time to spare.
    Fresh,
    /// It is inside its renewal window: good, and to be renewed behind the caller's back.
    Expiring,
    /// It has to be renewed before it is answered: too little life is left, or none.
    Stale,
    /// It lives shorter than demanded, and may be renewed only after this time, once a quarter of
    /// its life is over.
    NotYet(Duration),
    /// The demand can never be met: the server's tokens live only this long.
    Never(Duration),
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh => f.write_str("fresh"),
            Self::Expiring => f.write_str("expiring; answered, and renewed afterwards"),
            Self::Stale => f.write_str("stale, or shorter than demanded"),
            Self::NotYet(wait) => {
                write!(
                    f,
                    "shorter than demanded, and renewed in {} s at the earliest",
                    wait.as_secs()
                )
            }
            Self::Never(total) => {
                write!(f, "the demand is longer than the {} s that it lives", total.as_secs())
            }
        }
    }
}

impl Freshness {
    /// Judges the token that is held at `now`; `demand` is what the caller insists on.
    #[must_use]
    pub fn of(access: &Access, demand: Option<Duration>, now: Timestamp) -> Self {
        let Access::Held { lifetime, .. } = access else { return Self::Stale };
        if lifetime.issued > now.plus(CLOCK_SLACK) {
            return Self::Stale;
        }
        let (total, remaining) = (lifetime.total(), lifetime.expires.since(now));
        if remaining.is_zero() {
            return Self::Stale;
        }
        let enough = demand.unwrap_or(USUAL_MIN_TTL.min(total / 10));
        if remaining > enough || (demand.is_some() && remaining == enough) {
            let window = LONGEST_WINDOW.min(total / 4);
            return if remaining < window { Self::Expiring } else { Self::Fresh };
        }
        if demand.is_none() {
            return Self::Stale;
        }
        // Part of the lifetime is spent on the way, so a demand for all of it is never met.
        if enough >= total {
            return Self::Never(total);
        }
        let age = now.since(lifetime.issued);
        let quarter = total / 4;
        if age < quarter { Self::NotYet(quarter.saturating_sub(age)) } else { Self::Stale }
    }
}

/// Until when a token can be used without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// When its renewal window opens.
    pub fresh_until: Timestamp,
    /// When nobody would be given it who demands nothing.
    pub good_until: Timestamp,
}

impl Horizon {
    /// Of a token that lives like this.
    #[must_use]
    pub fn of(lifetime: Lifetime) -> Self {
        let total = lifetime.total();
        let before_end = |span: Duration| lifetime.issued.plus(total.saturating_sub(span));
        Self {
            fresh_until: before_end(LONGEST_WINDOW.min(total / 4)),
            good_until: before_end(USUAL_MIN_TTL.min(total / 10)),
        }
    }
}

/// The life that a token has left, if it has any.
#[must_use]
pub fn life_left(access: &Access, now: Timestamp) -> Option<Duration> {
    match access {
        Access::Held { lifetime, .. } if lifetime.issued <= now.plus(CLOCK_SLACK) => {
            Some(lifetime.expires.since(now)).filter(|left| !left.is_zero())
        }
        _ => None,
    }
}

/// Whether a token is so new that a rejection is not about its expiry; renewing it then would
/// only be the first of many renewals.
#[must_use]
pub fn in_first_moments(lifetime: Lifetime, now: Timestamp) -> bool {
    now.since(lifetime.issued) < FIRST_MOMENTS.min(lifetime.total() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const START: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(START + second)
    }

    /// A token of `seconds`, issued at second 0.
    fn token(seconds: i64) -> Access {
        let token = Secret::parse("token".to_string()).unwrap();
        Access::Held { token, lifetime: Lifetime::starting(at(0), Some(seconds)) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_hour_is_fresh_then_expiring_then_stale() {
        let freshness = |second| Freshness::of(&token(3600), None, at(second));
        assert_eq!(freshness(0), Freshness::Fresh);
        assert_eq!(freshness(3300), Freshness::Fresh);
        assert_eq!(freshness(3301), Freshness::Expiring);
        assert_eq!(freshness(3539), Freshness::Expiring);
        assert_eq!(freshness(3540), Freshness::Stale);
        assert_eq!(freshness(9999), Freshness::Stale);
    }

    #[test]
    fn a_short_life_has_a_short_window() {
        let freshness = |millis| {
            let now = Timestamp::from_millis(START * 1000 + millis);
            Freshness::of(&token(5), None, now)
        };
        assert_eq!(freshness(3750), Freshness::Fresh);
        assert_eq!(freshness(3751), Freshness::Expiring);
        assert_eq!(freshness(4499), Freshness::Expiring);
        assert_eq!(freshness(4500), Freshness::Stale);
    }

    #[test]
    fn a_token_can_be_used_up_to_its_horizon() {
        let horizon = |seconds| Horizon::of(Lifetime::starting(at(0), Some(seconds)));
        assert_eq!(horizon(3600), Horizon { fresh_until: at(3300), good_until: at(3540) });
        let of_five = Horizon {
            fresh_until: Timestamp::from_millis(START * 1000 + 3750),
            good_until: Timestamp::from_millis(START * 1000 + 4500),
        };
        assert_eq!(horizon(5), of_five);
    }

    #[test]
    fn a_demand_is_met_now_later_or_never() {
        let freshness =
            |demand, second| Freshness::of(&token(3600), Some(seconds(demand)), at(second));
        assert_eq!(freshness(1800, 1800), Freshness::Fresh);
        assert_eq!(freshness(1800, 1801), Freshness::Stale);
        assert_eq!(freshness(3500, 400), Freshness::NotYet(seconds(500)));
        assert_eq!(freshness(3500, 900), Freshness::Stale);
        assert_eq!(freshness(3600, 1), Freshness::Never(seconds(3600)));
        assert_eq!(
            freshness(7200, 3600),
            Freshness::Stale,
            "an expired token says nothing of the next"
        );
        assert_eq!(
            freshness(0, 3599),
            Freshness::Expiring,
            "one second is enough for who asks for none"
        );
        assert_eq!(freshness(0, 3600), Freshness::Stale, "an expired token meets no demand");
    }

    #[test]
    fn a_token_from_the_future_is_stale() {
        assert_eq!(Freshness::of(&token(3600), None, at(-5)), Freshness::Fresh);
        assert_eq!(Freshness::of(&token(3600), None, at(-6)), Freshness::Stale);
        assert_eq!(life_left(&token(3600), at(-6)), None);
        assert_eq!(Freshness::of(&Access::Rejected, None, at(0)), Freshness::Stale);
    }

    #[test]
    fn the_first_moments_are_thirty_seconds_or_a_quarter_of_the_life() {
        let new =
            |life, second| in_first_moments(Lifetime::starting(at(0), Some(life)), at(second));
        assert!(new(3600, 29) && !new(3600, 30));
        assert!(new(40, 9) && !new(40, 10));
    }
}
