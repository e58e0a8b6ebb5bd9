//! The scopes that a site refused, so that the next login does not fail over them again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::scope::Scopes;

/// How long a refusal is believed: an organization that buys a product gets its scopes.
const BELIEVED_FOR: Duration = Duration::from_hours(30 * 24);

/// Scopes by name, with the moment of their refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RefusedScopes(BTreeMap<String, Timestamp>);

impl RefusedScopes {
    /// Takes note of a refusal.
    pub fn remember(&mut self, scopes: &Scopes, now: Timestamp) {
        self.0.extend(scopes.iter().map(|scope| (scope.to_string(), now)));
    }

    /// Drops what was granted since.
    pub fn forget(&mut self, granted: &Scopes) {
        self.0.retain(|scope, _| !granted.contains(scope));
    }

    /// Those of `asked` that need not be asked for again. A refusal from the future was written
    /// by a clock that has been set back since, and is not believed.
    #[must_use]
    pub fn among(&self, asked: &Scopes, now: Timestamp) -> Scopes {
        let refused = |scope: &str| {
            self.0.get(scope).is_some_and(|at| *at <= now && now.since(*at) < BELIEVED_FOR)
        };
        asked.filtered(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_believed_until_it_is_old_or_disproved() {
        let scopes = |text: &str| Scopes::parse(text).unwrap();
        let now = Timestamp::from_seconds(1_800_000_000);
        let mut refused = RefusedScopes::default();
        refused.remember(&scopes("b c"), now);
        let among = |refused: &RefusedScopes, later: Duration| {
            refused.among(&scopes("a b c"), now.plus(later)).to_string()
        };
        assert_eq!(among(&refused, Duration::ZERO), "b c");
        assert_eq!(among(&refused, BELIEVED_FOR), "");
        assert_eq!(refused.among(&scopes("b"), Timestamp::from_seconds(0)), Scopes::default());
        refused.forget(&scopes("b"));
        assert_eq!(among(&refused, Duration::ZERO), "c");
    }
}
