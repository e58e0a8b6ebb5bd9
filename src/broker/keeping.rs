//! Taking over a token set from elsewhere, rejecting a token, and forgetting a session.

use std::time::Duration;

use super::freshness::in_first_moments;
use super::renewal::{last_attempt, uncommitted};
use super::{Broker, BrokerError};
use crate::clock::{Deadline, Timestamp};
use crate::error::Error;
use crate::http_client::{Http, HttpError, block_on};
use crate::lock::Lock;
use crate::names::SessionName;
use crate::oauth::{self, TokenHint};
use crate::protocol::{EraseRequest, Erasure, Expiry, StoreRequest};
use crate::session::{Access, Generation, Installation, Lifetime, Renewal, Session, SessionStore};
use crate::site::SiteName;

/// How long a write waits for the refresh that may be under way.
pub(super) const WRITE_LIMIT: Duration = Duration::from_mins(1);

/// What an `erase` did.
#[derive(Debug, PartialEq, Eq)]
pub enum Erased {
    /// There was no such session.
    Nothing,
    /// The session is forgotten here, and still good at the server.
    Session(SessionName),
    /// The access token will not be answered again.
    AccessToken,
    /// The access token named is not the stored one, or too new for its expiry to be the trouble.
    Kept,
}

/// What a `logout` did.
#[derive(Debug)]
pub struct LoggedOut {
    pub name: SessionName,
    /// What the server was not told, and why.
    pub not_revoked: Vec<(TokenHint, NotRevoked)>,
}

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum NotRevoked {
    #[error(transparent)]
    Http(#[from] HttpError),
    /// There is nobody in whose name it could be revoked.
    #[error("it was stored without a client")]
    NoClient,
}

impl Broker<'_> {
    /// Stores a token set. Without a refresh token it keeps the one there is.
    ///
    /// # Errors
    /// Where the site is not trusted, several sessions fit, or it cannot be written.
    pub fn store(&self, request: StoreRequest) -> Result<SessionName, Error> {
        let wanted = self.wanted(&request.target);
        let installation = self.installation_to_write()?;
        let site = wanted.site_of_new_session(&installation)?;
        let name = if let Some(name) = self.choose(&installation, &wanted)? {
            name
        } else {
            self.ensure_storable(&site)?;
            let site = match site {
                SiteName::Site(site) => site,
                // The region has a session of its own, perhaps of another organization.
                SiteName::Vanity(vanity) => {
                    return Err(BrokerError::NoSessionThrough { host: vanity.host }.into());
                }
            };
            SessionName { site, org: wanted.org.clone() }
        };
        let store = SessionStore::of(&installation);
        let lock = self.lock(&store, &name, "store")?;
        let earlier = store.load(&name)?;
        let renewal = match (request.refresh, &earlier) {
            (Some((client_id, refresh_token)), _) => Renewal::Possible { client_id, refresh_token },
            (None, Some(earlier)) => earlier.renewal.clone(),
            (None, None) => Renewal::Impossible,
        };
        let lifetime = lifetime(request.expiry, self.clock.now());
        let scopes = match &earlier {
            Some(earlier) if request.scopes.is_empty() => earlier.scopes.clone(),
            _ => request.scopes,
        };
        let session = Session {
            name: name.clone(),
            org_uuid: earlier.as_ref().and_then(|earlier| earlier.org_uuid.clone()),
            org_name: earlier.as_ref().and_then(|earlier| earlier.org_name.clone()),
            asked_site: earlier.as_ref().and_then(|earlier| earlier.asked_site.clone()),
            vanity_host: earlier.as_ref().and_then(|earlier| earlier.vanity_host.clone()),
            generation: earlier.map_or(Generation::FIRST, |earlier| earlier.generation.next()),
            scopes,
            access: Access::Held { token: request.access_token, lifetime },
            renewal,
        };
        store.save(&lock, &session)?;
        self.trace_key(&installation);
        Ok(name)
    }

    /// A token that comes from the caller may go back to this machine; to a foreign host only
    /// where the user trusts it.
    pub(super) fn ensure_storable(&self, site: &SiteName) -> Result<(), Error> {
        let loopback = matches!(site, SiteName::Site(site) if site.is_loopback());
        self.ensure_trusted(site, loopback)
    }

    /// Forgets a session here, or rejects the access token that the request names.
    ///
    /// # Errors
    /// Where several sessions fit, or the store cannot be written.
    pub fn erase(&self, request: &EraseRequest) -> Result<Erased, Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else {
            return Ok(Erased::Nothing);
        };
        let Some(name) = self.choose(&installation, &self.wanted(&request.target))? else {
            return Ok(Erased::Nothing);
        };
        let store = SessionStore::of(&installation);
        let lock = self.lock(&store, &name, "erase")?;
        let rejected = match &request.what {
            Erasure::Session => {
                store.forget(&lock, &name)?;
                return Ok(Erased::Session(name));
            }
            Erasure::AccessToken(rejected) => Some(rejected),
            Erasure::CurrentAccessToken => None,
        };
        let Some(session) = store.load(&name)? else { return Ok(Erased::Nothing) };
        match &session.access {
            Access::Held { token, lifetime }
                if rejected.is_none_or(|rejected| token.matches(rejected))
                    && !in_first_moments(*lifetime, self.clock.now()) =>
            {
                let generation = session.generation.next();
                store.save(&lock, &Session { access: Access::Rejected, generation, ..session })?;
                Ok(Erased::AccessToken)
            }
            _ => Ok(Erased::Kept),
        }
    }

    /// Revokes the refresh token, then the access token, and forgets the session whatever the
    /// server said.
    ///
    /// # Errors
    /// Where there is no session, or it cannot be read or removed.
    pub fn log_out(&self) -> Result<LoggedOut, Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else {
            return Err(self.not_logged_in());
        };
        let Some(name) = self.chosen(&installation)? else { return Err(self.not_logged_in()) };
        let store = SessionStore::of(&installation);
        self.log_out_of(&store, &name)?.ok_or_else(|| self.not_logged_in())
    }

    /// Revokes and forgets one session; nothing where it is gone.
    pub(super) fn log_out_of(
        &self,
        store: &SessionStore<'_>,
        name: &SessionName,
    ) -> Result<Option<LoggedOut>, Error> {
        let lock = self.lock(store, name, "logout")?;
        let Some(session) = store.load(name)? else { return Ok(None) };
        // A worker that died before its commit left the tokens that are in force in the journal.
        let known = last_attempt(store, &session)?;
        let session = uncommitted(store, &session, known)?.unwrap_or(session);
        let not_revoked = self.revoke(&session);
        store.forget(&lock, name)?;
        Ok(Some(LoggedOut { name: name.clone(), not_revoked }))
    }

    fn revoke(&self, session: &Session) -> Vec<(TokenHint, NotRevoked)> {
        let Renewal::Possible { client_id, refresh_token } = &session.renewal else {
            let held = matches!(session.access, Access::Held { .. });
            let access = (TokenHint::AccessToken, NotRevoked::NoClient);
            return held.then_some(access).into_iter().collect();
        };
        let mut tokens = vec![(TokenHint::RefreshToken, refresh_token.expose())];
        if let Access::Held { token, .. } = &session.access {
            tokens.push((TokenHint::AccessToken, token.expose()));
        }
        let site = &session.name.site;
        let mut not_revoked = Vec::new();
        for (hint, token) in tokens {
            let revoked = Http::for_site(site, self.environment)
                .and_then(|http| block_on(oauth::revoke(&http, site, client_id, token, hint))?);
            not_revoked.extend(revoked.err().map(|error| (hint, error.into())));
        }
        not_revoked
    }

    pub(super) fn lock(
        &self,
        store: &SessionStore<'_>,
        name: &SessionName,
        purpose: &str,
    ) -> Result<Lock, Error> {
        let deadline = Deadline::after(WRITE_LIMIT);
        Ok(self.hold(&store.lock_path(name), purpose, deadline)?)
    }

    /// Chooses the session that requests mean where they name none.
    ///
    /// # Errors
    /// Where there is no such session, or the choice cannot be written.
    pub fn select(&self) -> Result<SessionName, Error> {
        let Some(installation) = Installation::open(&self.config.paths)? else {
            return Err(self.not_logged_in());
        };
        let Some(name) = self.chosen(&installation)? else { return Err(self.not_logged_in()) };
        let store = SessionStore::of(&installation);
        let lock = self.hold(&store.selection_lock_path(), "use", Deadline::after(WRITE_LIMIT))?;
        store.select(&lock, &name)?;
        Ok(name)
    }
}

/// The lifetime of a token that was stored at `now`. A moment that has passed is believed: the
/// token is stale then, and renewed at its first use.
fn lifetime(expiry: Expiry, now: Timestamp) -> Lifetime {
    match expiry {
        Expiry::Unknown => Lifetime::starting(now, None),
        Expiry::In(seconds) => Lifetime::starting(now, Some(seconds)),
        Expiry::At(expires) if expires <= now => Lifetime { issued: expires, expires },
        Expiry::At(expires) => Lifetime::until(now, expires),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_expiry_is_kept_to_the_second_unless_it_is_absurd() {
        let now = Timestamp::from_millis(1_800_000_000_500);
        let expires = |seconds: i64| {
            let at = Timestamp::from_seconds(1_800_000_000 + seconds);
            lifetime(Expiry::At(at), now).expires
        };
        assert_eq!(expires(3600), Timestamp::from_seconds(1_800_003_600));
        assert_eq!(expires(1), Timestamp::from_seconds(1_800_000_001));
        assert_eq!(expires(-5), Timestamp::from_seconds(1_799_999_995));
        assert_eq!(expires(10_000_000_000), now.plus(Duration::from_mins(15)));
    }
}
