//! Logging in: one at a time for each session, stored where the login ended up.

use std::time::Duration;

use oauth2::RedirectUrl;

use super::Broker;
use super::choice::{Wanted, shown};
use super::freshness::Need;
use crate::clock::{Deadline, Timestamp};
use crate::config::{Config, Environment};
use crate::error::Error;
use crate::lock::Lock;
use crate::oauth::{
    self, Authorization, Browser, CallbackListener, Grant, Http, LoginError, Page,
    REGISTERED_PORTS, Returned, redirect_uri,
};
use crate::scope::Scopes;
use crate::session::{
    Access, Choice, ClientId, Generation, Installation, Lifetime, OrgLabel, Registration,
    Registrations, Renewal, Session, SessionName, SessionStore,
};
use crate::site::{Site, SiteName, VanityHost};

/// How long a person may take in the browser, and how long others wait for that.
const LOGIN_LIMIT: Duration = Duration::from_mins(5);
/// A write of a session takes moments; only a refresh holds its lock for longer.
const WRITE_LIMIT: Duration = Duration::from_mins(1);
/// Registering takes two requests at most.
const REGISTRATION_LIMIT: Duration = Duration::from_mins(1);

/// What kind of login is wanted.
pub struct LoginWish {
    pub site: SiteName,
    pub org: Option<OrgLabel>,
    pub scopes: Scopes,
    pub browser: Browser,
    /// The one port to listen on, instead of the first free one of those usually registered.
    pub callback_port: Option<u16>,
    /// The life that the caller insists on; a session that falls short of it is no reason not to
    /// log in.
    pub demand: Option<Duration>,
    /// Whether a person typed `login`, or a `get` came to it by itself.
    pub typed: bool,
    /// `--trust-site`.
    pub trust_site: bool,
}

impl LoginWish {
    /// The login that a `get` falls back to.
    ///
    /// # Errors
    /// Where the callback port in the environment is not a port.
    pub fn unasked(
        site: SiteName,
        org: Option<OrgLabel>,
        environment: &Environment,
    ) -> Result<Self, Error> {
        Ok(Self {
            site,
            org,
            scopes: Scopes::default_set(),
            browser: Browser::of(environment),
            callback_port: Config::callback_port(None, environment)?,
            demand: None,
            typed: false,
            trust_site: false,
        })
    }

    /// Where the login begins: at the region of a vanity host.
    fn begins_at(&self) -> (Site, Option<&VanityHost>) {
        match &self.site {
            SiteName::Site(site) => (site.clone(), None),
            SiteName::Vanity(vanity) => (Site::Datadog(vanity.region), Some(vanity)),
        }
    }

    /// Ports to try, in order.
    fn ports(&self) -> Vec<u16> {
        self.callback_port.map_or_else(|| REGISTERED_PORTS.to_vec(), |port| vec![port])
    }

    /// All redirect URIs that the registration has to list.
    fn redirect_uris(&self) -> Vec<String> {
        let mut ports = REGISTERED_PORTS.to_vec();
        ports.extend(self.callback_port.filter(|port| !REGISTERED_PORTS.contains(port)));
        ports.into_iter().map(redirect_uri).collect()
    }
}

impl Broker<'_> {
    /// Logs in, and stores the session at the site that the login came back from.
    ///
    /// # Errors
    /// Where the site is not trusted, nobody finished the login, or something refused.
    pub fn log_in(&self, wish: &LoginWish) -> Result<Session, Error> {
        let (site, vanity) = wish.begins_at();
        let given = wish.trust_site || (wish.typed && site.is_loopback());
        self.ensure_trusted(&wish.site, given)?;
        let installation = self.installation_to_write()?;
        let store = SessionStore::of(&installation);
        let name = SessionName { site: site.clone(), org: wish.org.clone() };
        let deadline = Deadline::after(LOGIN_LIMIT);
        let lock = Lock::hold(
            &store.login_lock_path(&name),
            "login",
            self.clock,
            deadline,
            &mut |holder| self.terminal.say_waiting(holder),
        )?;
        if !wish.typed
            && let Some(session) = self.made_meanwhile(&installation, wish)?
        {
            return Ok(session);
        }
        Self::ensure_replaceable(&installation, wish)?;
        // A caller of `get` was told how long that takes at the most, another's login included.
        let limit = if wish.typed { LOGIN_LIMIT } else { deadline.remaining() };
        let session = oauth::block_on(self.converse(&installation, wish, &site, vanity, limit))?;
        drop(lock);
        session
    }

    /// The session that another process logged in to while we waited for its login.
    fn made_meanwhile(
        &self,
        installation: &Installation,
        wish: &LoginWish,
    ) -> Result<Option<Session>, Error> {
        let wanted = Wanted { site: Some(wish.site.clone()), org: wish.org.clone() };
        let Some(name) = Self::choose(installation, &wanted)? else { return Ok(None) };
        let session = SessionStore::of(installation).load(&name)?;
        let good = |session: &Session| {
            !matches!(Need::of(&session.access, wish.demand, self.clock.now()), Need::Renewal)
        };
        Ok(session.filter(good))
    }

    /// Finds out whether what is stored can be opened, before a person is asked: a session that
    /// is damaged, or whose key is gone, is not written over.
    fn ensure_replaceable(installation: &Installation, wish: &LoginWish) -> Result<(), Error> {
        let store = SessionStore::of(installation);
        store.ensure_key()?;
        if let Choice::Session(name) = store.choose(Some(&wish.site), wish.org.as_ref())? {
            store.load(&name)?;
        }
        Ok(())
    }

    /// The conversation with server and browser.
    async fn converse(
        &self,
        installation: &Installation,
        wish: &LoginWish,
        site: &Site,
        vanity: Option<&VanityHost>,
        limit: Duration,
    ) -> Result<Session, Error> {
        let http = Http::for_site(site, self.environment)?;
        let listener = CallbackListener::bind(&wish.ports()).await?;
        let client_id = self.registered(installation, &http, site, wish).await?;
        let redirect = RedirectUrl::new(redirect_uri(listener.port)).expect("it is a URL");
        let authorization = Authorization::begin(site, vanity, &client_id, &redirect, &wish.scopes);
        self.show(&authorization, wish);
        let callback = tokio::time::timeout(limit, listener.wait(&authorization))
            .await
            .map_err(|_| LoginError::TimedOut(limit))??;
        let (parameters, waiting) = callback.split();
        let result = async {
            let returned = authorization.finish(parameters)?;
            self.complete(installation, wish, &client_id, &redirect, returned).await
        }
        .await;
        waiting.answer(last_page(&result)).await;
        result
    }

    /// Opens the browser, or says what to open.
    fn show(&self, authorization: &Authorization, wish: &LoginWish) {
        let url = authorization.url.as_str();
        let site = shown(&wish.site, wish.org.as_ref());
        if wish.browser.open(url) {
            self.terminal.say(&format!("log in to {site} in the browser that opens, or at {url}"));
        } else {
            self.terminal.say(&format!("to log in to {site}, open {url}"));
        }
    }

    /// The client of this installation at `site`; registered at the first login there, and again
    /// where the port to listen on is none of those registered.
    async fn registered(
        &self,
        installation: &Installation,
        http: &Http,
        site: &Site,
        wish: &LoginWish,
    ) -> Result<ClientId, Error> {
        let registrations = Registrations::of(installation);
        let lock = Lock::hold(
            &registrations.lock_path(site),
            "registration",
            self.clock,
            Deadline::after(REGISTRATION_LIMIT),
            &mut |holder| self.terminal.say_waiting(holder),
        )?;
        let uris = wish.redirect_uris();
        if let Some(known) = registrations.load(site)?
            && uris.iter().all(|uri| known.redirect_uris.contains(uri))
        {
            return Ok(known.client_id);
        }
        let client_id = oauth::register(http, site, &uris).await?;
        let registration = Registration {
            client_id: client_id.clone(),
            redirect_uris: uris,
            registered: self.clock.now(),
        };
        registrations.save(&lock, site, &registration)?;
        Ok(client_id)
    }

    /// Exchanges the code where it belongs, and stores the session there.
    async fn complete(
        &self,
        installation: &Installation,
        wish: &LoginWish,
        client_id: &ClientId,
        redirect: &RedirectUrl,
        returned: Returned,
    ) -> Result<Session, Error> {
        let site = returned.site;
        let http = Http::for_site(&site, self.environment)?;
        let sent = self.clock.now();
        let exchange =
            oauth::exchange(&http, &site, client_id, returned.code, redirect, returned.verifier);
        let grant = exchange
            .await
            .map_err(|source| LoginError::Exchange { site: site.to_string(), source })?;
        if let (asked, _) = wish.begins_at()
            && asked != site
        {
            let (asked, site) = (asked.label(), site.label());
            self.terminal.say(&format!("the login went to {site}, not to {asked}"));
        }
        let org = wish.org.clone().or_else(|| OrgLabel::parse(&returned.org_name?));
        let fresh = Session {
            name: SessionName { site, org },
            org_uuid: returned.org_uuid.filter(|uuid| is_uuid(uuid)),
            vanity_host: match &wish.site {
                SiteName::Vanity(vanity) => Some(vanity.host.clone()),
                SiteName::Site(_) => None,
            },
            generation: Generation::FIRST,
            scopes: Scopes::default(),
            access: Access::Rejected,
            renewal: Renewal::Impossible,
        };
        self.keep(installation, granted(fresh, grant, client_id, sent, &wish.scopes))
    }

    /// Writes the session of a login over the one of the same name, if there is one.
    fn keep(&self, installation: &Installation, mut session: Session) -> Result<Session, Error> {
        let store = SessionStore::of(installation);
        let lock = Lock::hold(
            &store.lock_path(&session.name),
            "login",
            self.clock,
            Deadline::after(WRITE_LIMIT),
            &mut |holder| self.terminal.say_waiting(holder),
        )?;
        if let Some(earlier) = store.load(&session.name)? {
            session.generation = earlier.generation.next();
        }
        store.save(&lock, &session)?;
        Ok(session)
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

/// The page with which the browser's part ends.
fn last_page(result: &Result<Session, Error>) -> Page {
    match result {
        Ok(session) => {
            let text = format!("You are logged in to {}. You can close this tab.", session.name);
            Page::new(200, "Logged in", &text)
        }
        Err(error) => {
            let text = format!("{error}. Nothing was stored; go back to the terminal.");
            Page::new(200, "Not logged in", &text)
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_one_to_the_letter() {
        assert!(is_uuid("00000000-0000-4000-8000-00000000000a"));
        for bad in ["", "0", "00000000-0000-4000-8000-00000000000g", "----"] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }

    #[test]
    fn a_pinned_port_is_registered_beside_the_usual_ones() {
        let wish = |port| LoginWish {
            callback_port: port,
            ..LoginWish::unasked(SiteName::parse("us1").unwrap(), None, &Environment::of(&[]))
                .unwrap()
        };
        assert_eq!(wish(None).redirect_uris().len(), 4);
        assert_eq!(wish(Some(8888)).redirect_uris().len(), 4);
        assert_eq!(wish(Some(4321)).redirect_uris().len(), 5);
        assert_eq!(wish(Some(4321)).ports(), [4321]);
    }
}
