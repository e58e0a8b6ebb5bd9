//! A session: what a login created and refreshes renew.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::names::{ClientId, OrgLabel, OrgUuid, SessionName};
use crate::scope::Scopes;
use crate::secret::{AccessToken, RefreshToken, hex};
use crate::site::Site;

/// Counts the refreshes of a session; raised by every write of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Generation {
    /// Of a session that was just created.
    pub const FIRST: Self = Self(1);

    /// Of the next write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a login created.
#[derive(Clone, Debug)]
pub struct Session {
    pub name: SessionName,
    /// The UUID of the organization, if the login returned it.
    pub org_uuid: Option<OrgUuid>,
    /// The organization's own name, if the login returned it. It may differ from the label.
    pub org_name: Option<OrgLabel>,
    /// The site that the login was requested for, if the browser came back from another one.
    pub asked_site: Option<Site>,
    /// The customer's own web host that the login went through.
    pub vanity_host: Option<String>,
    pub generation: Generation,
    /// What the server granted.
    pub scopes: Scopes,
    pub access: Access,
    pub renewal: Renewal,
    /// The refresh token that an import took over and that this session goes back to. The tool that it
    /// came from may still have it.
    pub imported: Option<TokenDigest>,
}

/// The access token of a session.
#[derive(Clone, Debug)]
pub enum Access {
    Held {
        token: AccessToken,
        lifetime: Lifetime,
    },
    /// A caller reported it as rejected by the API.
    Rejected,
}

/// How a session gets its next access token.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// With a refresh token, which only this client may present.
    Possible { client_id: ClientId, refresh_token: RefreshToken },
    /// It was stored without a refresh token.
    Impossible,
}

/// Tells refresh tokens apart without being one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenDigest(String);

impl TokenDigest {
    /// SHA-256 of a refresh token and of the client that presents it; an outcome says nothing about
    /// the same token in the hands of another client.
    #[must_use]
    pub fn of(renewal: &Renewal) -> Option<Self> {
        let Renewal::Possible { client_id, refresh_token } = renewal else { return None };
        let presented = Sha256::new_with_prefix(client_id.as_str()).chain_update([0]);
        Some(Self(hex(&presented.chain_update(refresh_token.expose()).finalize())))
    }
}

/// When an access token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Before the request for it was sent.
    pub issued: Timestamp,
    pub expires: Timestamp,
}

/// The lifetime of a token if the server does not say it, or says something absurd.
const ASSUMED_LIFETIME: Duration = Duration::from_mins(15);
/// No access token lives longer, whatever the server says.
const LONGEST_LIFETIME: Duration = Duration::from_hours(8784);

impl Lifetime {
    /// Of a token that was requested at `issued` and lives for `seconds`. A missing, unreadable,
    /// zero, negative or absurd number counts as 15 minutes.
    #[must_use]
    pub fn starting(issued: Timestamp, seconds: Option<i64>) -> Self {
        let span = seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs)
            .filter(|span| !span.is_zero() && *span <= LONGEST_LIFETIME)
            .unwrap_or(ASSUMED_LIFETIME);
        Self { issued, expires: issued.plus(span) }
    }

    /// Of a token that was taken over at `issued` and expires at `expires`. An absurd time counts as
    /// 15 minutes after `issued`.
    #[must_use]
    pub fn until(issued: Timestamp, expires: Timestamp) -> Self {
        if expires > issued && expires.since(issued) <= LONGEST_LIFETIME {
            Self { issued, expires }
        } else {
            Self { issued, expires: issued.plus(ASSUMED_LIFETIME) }
        }
    }

    /// From the first moment to the last.
    #[must_use]
    pub fn total(self) -> Duration {
        self.expires.since(self.issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_lifetime_counts_as_fifteen_minutes() {
        let issued = Timestamp::from_seconds(1_000);
        let total = |seconds| Lifetime::starting(issued, seconds).total().as_secs();
        assert_eq!(total(Some(3600)), 3600);
        for absurd in [None, Some(0), Some(-1), Some(i64::MIN), Some(i64::MAX), Some(40_000_000)] {
            assert_eq!(total(absurd), 900, "{absurd:?}");
        }
    }
}
