//! Taking over a token set from elsewhere.

use crate::clock::Timestamp;
use crate::names::SessionName;
use crate::protocol::{Expiry, StoreRequest};
use crate::session::{Access, Generation, Lifetime, Renewal, Session, SessionStore};
use crate::site::SiteName;

use super::locking::{hold_session, until_it_stays};
use super::refresh::committed_or_secured;
use super::target::{Wanted, ensure_storable};
use super::{BrokerError, Context};

/// Stores a token set. Without a refresh token it keeps the one there is.
///
/// # Errors
/// If the site is not trusted, several sessions fit, or it cannot be written.
pub fn store(context: &Context<'_>, request: &StoreRequest) -> Result<SessionName, BrokerError> {
    until_it_stays(|| store_once(context, request.clone()))
}

fn store_once(context: &Context<'_>, request: StoreRequest) -> Result<SessionName, BrokerError> {
    let wanted = Wanted::of(context, &request.target);
    let installation = context.installation_to_write()?;
    let site = wanted.site_of_new_session(&installation)?;
    let name = match wanted.choose(context, &installation)? {
        Some(name) => name,
        None => new_name(context, &wanted, site)?,
    };
    let store = SessionStore::of(&installation);
    let lock = hold_session(context, &store, &name, "store")?;
    let mut earlier = store.load(&name)?;
    if request.refresh.is_none() {
        // The refresh token that is in force may be in a reply that nobody has committed yet.
        earlier = earlier.map(|earlier| committed_or_secured(&store, earlier)).transpose()?;
    }
    let session = stored(request, name, earlier, context.clock.now());
    store.save(&lock, &session)?;
    context.trace_key(&installation);
    Ok(session.name)
}

/// The name of a session, or of a pair of API keys, that does not exist yet.
pub(super) fn new_name(
    context: &Context<'_>,
    wanted: &Wanted,
    site: SiteName,
) -> Result<SessionName, BrokerError> {
    ensure_storable(context, &site)?;
    match site {
        SiteName::Site(site) => Ok(SessionName { site, org: wanted.org.clone() }),
        // The region has a session of its own, perhaps of another organization.
        SiteName::Vanity(vanity) => Err(BrokerError::NoSessionThrough { host: vanity.host }),
    }
}

/// The session with the tokens of `request`, in place of `earlier`.
fn stored(
    request: StoreRequest,
    name: SessionName,
    earlier: Option<Session>,
    now: Timestamp,
) -> Session {
    let (renewal, imported) = match (request.refresh, &earlier) {
        (Some((client_id, refresh_token)), _) => {
            (Renewal::Possible { client_id, refresh_token }, None)
        }
        (None, Some(earlier)) => (earlier.renewal.clone(), earlier.imported.clone()),
        (None, None) => (Renewal::Impossible, None),
    };
    let scopes = match &earlier {
        Some(earlier) if request.scopes.is_empty() => earlier.scopes.clone(),
        _ => request.scopes,
    };
    let lifetime = lifetime(request.expiry, now);
    Session {
        name,
        org_uuid: earlier.as_ref().and_then(|earlier| earlier.org_uuid.clone()),
        org_name: earlier.as_ref().and_then(|earlier| earlier.org_name.clone()),
        asked_site: earlier.as_ref().and_then(|earlier| earlier.asked_site.clone()),
        vanity_host: earlier.as_ref().and_then(|earlier| earlier.vanity_host.clone()),
        generation: earlier.map_or(Generation::FIRST, |earlier| earlier.generation.next()),
        scopes,
        access: Access::Held { token: request.access_token, lifetime },
        renewal,
        imported,
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
    use std::time::Duration;

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
