//! Logging in: one at a time for each session, and its end told to all who waited for it.

use std::time::Duration;

use super::choice::Wanted;
use super::conversation::LoginFlow;
use super::freshness::Need;
use super::{Broker, BrokerError};
use crate::clock::Deadline;
use crate::config::Config;
use crate::environment::Environment;
use crate::error::Error;
use crate::http_client::block_on;
use crate::names::{OrgLabel, OrgUuid, SessionName};
use crate::oauth::{Browser, REGISTERED_PORTS, redirect_uri};
use crate::scope::Scopes;
use crate::session::{
    Choice, Installation, LoginFailure, LoginOutcome, LoginVerdict, Session, SessionStore,
};
use crate::site::{Site, SiteName, VanityHost};

/// How long a person may take in the browser, and how long others wait for that. With a refresh
/// before it (60 s), the exchange (15 s) and the write behind it (20 s), a `get` stays within the 7
/// minutes that its callers were told.
const LOGIN_LIMIT: Duration = Duration::from_mins(5);

/// What kind of login is wanted.
pub struct LoginOptions {
    pub site: SiteName,
    pub org: Option<OrgLabel>,
    /// The organization to log in to; where none is named, the one of the session that is
    /// replaced, if it is known, else whichever the person chooses.
    pub org_uuid: Option<OrgUuid>,
    pub scopes: ScopeOptions,
    pub browser: Browser,
    /// The one port to listen on, instead of the first free one of those usually registered.
    pub callback_port: Option<u16>,
    /// The life that the caller insists on; a session that falls short of it is no reason not to
    /// log in.
    pub demand: Option<Duration>,
    /// Whether a person typed `login`, or a `get` came to it by itself.
    pub typed: bool,
    /// Whether the address at which the browser ended may come on standard input.
    pub pastes_to_stdin: bool,
    /// `--trust-site`.
    pub trust_site: bool,
}

/// Which scopes are wanted.
#[derive(Clone, Debug)]
pub struct ScopeOptions {
    /// All of them.
    pub scopes: Scopes,
    /// Those that are asked for even where the site refused them before.
    pub insisted: Scopes,
}

/// A login that succeeded.
#[derive(Debug)]
pub struct LoggedIn {
    pub session: Session,
    /// What was wanted, granted or not.
    pub wanted: Scopes,
}

impl LoginOptions {
    /// The login that a `get` falls back to.
    ///
    /// # Errors
    /// Where the callback port in the environment is not a port.
    pub fn unasked(
        site: SiteName,
        org: Option<OrgLabel>,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let scopes = ScopeOptions { scopes: Scopes::default_set(), insisted: Scopes::default() };
        Ok(Self {
            site,
            org,
            org_uuid: None,
            scopes,
            browser: Browser::of(environment),
            callback_port: Config::callback_port(None, environment)?.map(|port| port.value),
            demand: None,
            typed: false,
            pastes_to_stdin: false,
            trust_site: false,
        })
    }

    /// Where the login begins: at the region of a vanity host.
    pub(super) fn begins_at(&self) -> (Site, Option<&VanityHost>) {
        match &self.site {
            SiteName::Site(site) => (site.clone(), None),
            SiteName::Vanity(vanity) => (Site::Datadog(vanity.region), Some(vanity)),
        }
    }

    /// Ports to try, in order.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.callback_port.map_or_else(|| REGISTERED_PORTS.to_vec(), |port| vec![port])
    }

    /// All redirect URIs that the registration has to list.
    pub(super) fn redirect_uris(&self) -> Vec<String> {
        let mut ports = REGISTERED_PORTS.to_vec();
        ports.extend(self.callback_port.filter(|port| !REGISTERED_PORTS.contains(port)));
        ports.into_iter().map(redirect_uri).collect()
    }

    /// Tells wishes for the same session apart.
    fn fingerprint(&self) -> String {
        let vanity = self.begins_at().1.map(|vanity| vanity.host.as_str());
        let org_uuid = self.org_uuid.as_ref().map(ToString::to_string);
        let ScopeOptions { scopes, insisted } = &self.scopes;
        format!("{vanity:?} {org_uuid:?} {scopes} / {insisted}")
    }
}

impl LoggedIn {
    /// What the person is told about it.
    #[must_use]
    pub fn told(&self) -> String {
        let Session { name, org_name, .. } = &self.session;
        let own_name = match org_name {
            Some(own) if name.org.as_ref() != Some(own) => format!(", organization {own}"),
            _ => String::new(),
        };
        let not_granted = self.not_granted();
        let scopes = if not_granted.is_empty() {
            String::new()
        } else {
            format!(", {}; not granted: {not_granted}", self.scope_count())
        };
        format!("{name}{own_name}{scopes}")
    }

    /// How many scopes were granted.
    #[must_use]
    pub fn scope_count(&self) -> String {
        let (granted, wanted) = (self.session.scopes.len(), self.wanted.len());
        if self.not_granted().is_empty() {
            format!("{granted} scopes")
        } else {
            format!("{} of {wanted} scopes", wanted - self.not_granted().len())
        }
    }

    /// What was wanted and not granted.
    #[must_use]
    pub fn not_granted(&self) -> Scopes {
        self.wanted.without(&self.session.scopes)
    }
}

impl Broker<'_> {
    /// Logs in, and stores the session at the site that the login came back from. Of several
    /// processes that want the same login one does it, and all of them share its end.
    ///
    /// # Errors
    /// Where the site is not trusted, nobody finished the login, or something refused.
    pub fn log_in(&self, wish: &LoginOptions) -> Result<LoggedIn, Error> {
        let (site, _) = wish.begins_at();
        let given = wish.trust_site || (wish.typed && site.is_loopback());
        self.ensure_trusted(&wish.site, given)?;
        let installation = self.installation_to_write()?;
        let store = SessionStore::of(&installation);
        let name = SessionName { site, org: wish.org.clone() };
        let deadline = Deadline::after(LOGIN_LIMIT);
        let number = |outcome: Option<LoginOutcome>| outcome.map_or(0, |outcome| outcome.number);
        let seen = number(store.login_outcome(&name)?);
        let lock = self.hold(&store.login_lock_path(&name), "login", deadline)?;
        let last = store.login_outcome(&name)?;
        let session = match last.as_ref().filter(|last| last.number > seen) {
            Some(last) => self.shared(&store, wish, last)?,
            None => self.made_meanwhile(&installation, wish)?,
        };
        if let Some(session) = session {
            self.terminal.trace(|| format!("another process logged in to {}", session.name));
            return Ok(LoggedIn { session, wanted: wish.scopes.scopes.clone() });
        }
        let replaced = Self::replaceable(&installation, wish)?;
        self.trace_key(&installation);
        // A caller of `get` was told how long that takes at the most, another's login included.
        let deadline = if wish.typed { Deadline::after(LOGIN_LIMIT) } else { deadline };
        let conversation = LoginFlow::new(self, &installation, wish, replaced, deadline);
        let result = block_on(conversation.run()).map_err(Error::from).flatten();
        self.terminal.end_countdown();
        self.terminal.trace(|| match &result {
            Ok(done) => format!("the login is done: {}", done.told()),
            Err(error) => format!("the login came to nothing: {error}"),
        });
        let verdict = match &result {
            Ok(done) => LoginVerdict::done(&done.session.name),
            Err(error) => {
                let (kind, message) = (error.kind(), error.to_string());
                LoginVerdict::Failed(LoginFailure { kind, message })
            }
        };
        let number = number(last).saturating_add(1);
        let outcome = LoginOutcome { number, wish: wish.fingerprint(), verdict };
        // Who waits and hears nothing tries it again, which is what they would have done alone.
        let _ = store.tell_login_outcome(&lock, &name, &outcome);
        drop(lock);
        result
    }

    /// What the login that ended while we waited for it means for `wish`; nothing where it was for
    /// something else.
    fn shared(
        &self,
        store: &SessionStore<'_>,
        wish: &LoginOptions,
        outcome: &LoginOutcome,
    ) -> Result<Option<Session>, Error> {
        let same = outcome.wish == wish.fingerprint();
        match &outcome.verdict {
            LoginVerdict::Failed(failure) if same => {
                self.terminal.trace(|| "takes over the end of another's login".into());
                Err(BrokerError::LoginFailed(failure.clone()).into())
            }
            LoginVerdict::Done { .. } if same || !wish.typed => {
                let Some(name) = outcome.verdict.session() else { return Ok(None) };
                let session = store.load(&name)?;
                Ok(session.filter(|session| self.is_good(session, wish)))
            }
            _ => Ok(None),
        }
    }

    /// The session that somebody made for a `get` between its look and its lock.
    fn made_meanwhile(
        &self,
        installation: &Installation,
        wish: &LoginOptions,
    ) -> Result<Option<Session>, Error> {
        if wish.typed {
            return Ok(None);
        }
        let wanted = Wanted { site: Some(wish.site.clone()), org: wish.org.clone() };
        let Some(name) = self.choose(installation, &wanted)? else { return Ok(None) };
        let session = SessionStore::of(installation).load(&name)?;
        Ok(session.filter(|session| self.is_good(session, wish)))
    }

    fn is_good(&self, session: &Session, wish: &LoginOptions) -> bool {
        !matches!(Need::of(&session.access, wish.demand, self.clock.now()), Need::Renewal)
    }

    /// The session that the login is going to replace, as far as that is known beforehand. It is
    /// opened before a person is asked: one that is damaged, or whose key is gone, is not written
    /// over.
    fn replaceable(
        installation: &Installation,
        wish: &LoginOptions,
    ) -> Result<Option<Session>, Error> {
        let store = SessionStore::of(installation);
        store.ensure_key()?;
        match store.choose(Some(&wish.site), wish.org.as_ref())? {
            Choice::Session(name, _) => Ok(store.load(&name)?),
            Choice::None | Choice::Several(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(port: Option<u16>) -> LoginOptions {
        let site = SiteName::parse("us1").unwrap();
        let unasked = LoginOptions::unasked(site, None, &Environment::of(&[])).unwrap();
        LoginOptions { callback_port: port, ..unasked }
    }

    #[test]
    fn a_pinned_port_is_registered_beside_the_usual_ones() {
        assert_eq!(wish(None).redirect_uris().len(), 4);
        assert_eq!(wish(Some(8888)).redirect_uris().len(), 4);
        assert_eq!(wish(Some(4321)).redirect_uris().len(), 5);
        assert_eq!(wish(Some(4321)).ports(), [4321]);
    }

    #[test]
    fn wishes_for_the_same_are_told_from_others() {
        let read_only =
            ScopeOptions { scopes: Scopes::read_only_set(), insisted: Scopes::default() };
        let org_uuid = OrgUuid::parse("00000000-0000-4000-8000-00000000000a");
        assert_eq!(wish(None).fingerprint(), wish(Some(8000)).fingerprint());
        for other in [
            LoginOptions { scopes: read_only, ..wish(None) },
            LoginOptions { org_uuid, ..wish(None) },
            LoginOptions { site: SiteName::parse("acme.datadoghq.com").unwrap(), ..wish(None) },
        ] {
            assert_ne!(wish(None).fingerprint(), other.fingerprint());
        }
    }
}
