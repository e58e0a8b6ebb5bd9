//! The end of a login: the code is exchanged where it belongs, and the session stored there.

use std::time::Duration;

use tokio::time::timeout;

use crate::broker::BrokerError;
use crate::broker::locking::{WRITE_LIMIT, hold};
use crate::broker::revocation::{NotRevoked, revoke};
use crate::clock::{Deadline, Timestamp};
use crate::http_client::Http;
use crate::names::{ClientId, OrgLabel, SessionName};
use crate::oauth::{self, Ask, Authorization, Grant, LoginError, Redirect, Returned};
use crate::scope::Scopes;
use crate::session::{Access, Generation, Lifetime, Renewal, Session, SessionStore};
use crate::site::SiteName;

use super::context::LoginContext;
use super::logged_in::LoggedIn;
use super::registration::remember;

/// [`WRITE_LIMIT`] for a caller of `get`, who has waited for long enough.
const SHORT_WRITE_LIMIT: Duration = Duration::from_secs(20);
/// How long a login that cannot be kept tries to revoke its tokens.
const REVOCATION_LIMIT: Duration = Duration::from_secs(20);

/// Exchanges the code where it belongs, and stores the session there.
pub async fn complete(
    login: &LoginContext<'_>,
    authorization: &Authorization,
    redirect: Redirect,
) -> Result<LoggedIn, BrokerError> {
    let returned = authorization.finish(redirect)?;
    let fresh = without_tokens(login, &returned);
    // Looked at before the code is spent, and again with the lock in hand.
    let store = SessionStore::of(login.installation);
    ensure_same_organization(store.load(&fresh.name)?.as_ref(), &fresh)?;
    let sent = login.context.clock.now();
    let ask = authorization.ask();
    let grant = exchange(login, ask, returned).await?;
    let session = granted(fresh, grant, &ask.client_id, sent, &ask.scopes);
    let session = match keep(login, session.clone()) {
        Ok(session) => session,
        Err(error) => {
            // Nobody would ever use these tokens, and nobody could end them.
            let revoked = timeout(REVOCATION_LIMIT, revoke(login.context, &session)).await;
            let not_revoked =
                revoked.unwrap_or_else(|_| NotRevoked::of(&session, || NotRevoked::NoTime));
            login.context.terminal.trace(|| {
                let count = not_revoked.len();
                format!("what came cannot be kept, and is revoked; {count} tokens were not")
            });
            return Err(error);
        }
    };
    note_outcome(login, &ask.scopes, &session);
    Ok(LoggedIn { session, wanted: login.options.scopes.scopes.clone() })
}

/// The session that the person came back with, before its code is exchanged.
fn without_tokens(login: &LoginContext<'_>, returned: &Returned) -> Session {
    let org_name = returned.org_name.as_deref().and_then(OrgLabel::parse);
    let org = login.options.org.clone().or_else(|| org_name.clone());
    let vanity_host = match &login.options.site {
        SiteName::Vanity(vanity) => Some(vanity.host.clone()),
        SiteName::Site(_) => None,
    };
    let elsewhere = vanity_host.is_none() && login.site != returned.site;
    Session {
        name: SessionName { site: returned.site.clone(), org },
        org_uuid: returned.org_uuid.clone(),
        org_name,
        asked_site: elsewhere.then(|| login.site.clone()),
        vanity_host,
        generation: Generation::FIRST,
        scopes: Scopes::default(),
        access: Access::Rejected,
        renewal: Renewal::Impossible,
        imported: None,
    }
}

async fn exchange(
    login: &LoginContext<'_>,
    ask: &Ask,
    returned: Returned,
) -> Result<Grant, BrokerError> {
    let Returned { site, code, verifier, .. } = returned;
    let http = Http::for_site(&site, login.context.environment)?;
    let exchange = oauth::exchange(&http, &site, &ask.client_id, code, &ask.redirect_uri, verifier);
    let exchanged = exchange.await;
    login.context.terminal.trace(|| match &exchanged {
        Ok(_) => format!("{site} exchanged the code"),
        Err(error) => format!("{site} did not exchange the code: {error}"),
    });
    exchanged.map_err(|source| LoginError::Exchange { site: site.to_string(), source }.into())
}

/// Writes the session of a login over the one of the same name, if there is one.
fn keep(login: &LoginContext<'_>, mut session: Session) -> Result<Session, BrokerError> {
    let store = SessionStore::of(login.installation);
    let limit = if login.options.typed { WRITE_LIMIT } else { SHORT_WRITE_LIMIT };
    let path = store.lock_path(&session.name);
    let lock = hold(login.context, &path, "login", Deadline::after(limit))?;
    if let Some(earlier) = store.load(&session.name)? {
        ensure_same_organization(Some(&earlier), &session)?;
        session.generation = earlier.generation.next();
        session.asked_site = session.asked_site.or(earlier.asked_site);
    }
    store.save(&lock, &session)?;
    Ok(session)
}

/// Says what is otherwise than it was asked for, and remembers which scopes are good.
fn note_outcome(login: &LoginContext<'_>, asked: &Scopes, session: &Session) {
    let terminal = login.context.terminal;
    let site = &session.name.site;
    if *site != login.site {
        let (to, from) = (site.label(), login.site.label());
        terminal.say(&format!(
            "the login went to {to}, not to {from}: where you name a site, name {site}"
        ));
    }
    if let (Some(uuid), None) = (&login.org_uuid, &session.org_uuid) {
        terminal.warn(&format!(
            "{} did not say which organization it was; {uuid} was asked for",
            site.label()
        ));
    }
    let given_up = login.options.scopes.scopes.without(asked);
    remember(login, |refused, now| {
        let known = refused.among(&given_up, now);
        refused.remember(&given_up.without(&known), now);
        refused.forget(&session.scopes);
    });
}

/// A session under the same name is replaced by one of the same organization only.
fn ensure_same_organization(earlier: Option<&Session>, fresh: &Session) -> Result<(), LoginError> {
    let kept = earlier.and_then(|earlier| earlier.org_uuid.as_ref());
    match (kept, &fresh.org_uuid) {
        (Some(kept), Some(came)) if kept != came => {
            let name = match &fresh.org_name {
                Some(own) => format!("{came} ({own})"),
                None => came.to_string(),
            };
            let kept = kept.clone();
            Err(LoginError::NameTaken { name: fresh.name.clone(), kept, came: name })
        }
        _ => Ok(()),
    }
}

fn granted(
    session: Session,
    grant: Grant,
    client_id: &ClientId,
    sent: Timestamp,
    asked: &Scopes,
) -> Session {
    let renewal = match grant.refresh_token {
        Some(refresh_token) => Renewal::Possible { client_id: client_id.clone(), refresh_token },
        None => Renewal::Impossible,
    };
    let lifetime = Lifetime::starting(sent, grant.expires_in);
    Session {
        scopes: grant.scopes.unwrap_or_else(|| asked.clone()),
        access: Access::Held { token: grant.access_token, lifetime },
        renewal,
        ..session
    }
}
