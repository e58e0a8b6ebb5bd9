//! One login: from the registration over the browser to the stored session.

use std::time::Duration;

use oauth2::RedirectUrl;

use super::Broker;
use super::choice::shown;
use super::login::{LoggedIn, LoginOptions};
use crate::clock::{Deadline, Timestamp};
use crate::error::Error;
use crate::http_client::Http;
use crate::lock::Lock;
use crate::names::{ClientId, OrgLabel, OrgUuid, SessionName};
use crate::oauth::{
    self, Ask, Authorization, CallbackListener, Grant, LoginError, Opened, Opening, Page, Redirect,
    Returned, TokenError, WaitingBrowser, redirect_uri,
};
use crate::platform::Keyboard;
use crate::scope::Scopes;
use crate::session::{
    Access, Generation, Installation, Lifetime, RefusedScopes, Registration, Registrations,
    Renewal, Session, SessionStore,
};
use crate::site::{Site, SiteName};
use crate::terminal::PastedLines;

/// A write of a session takes moments; only a refresh holds its lock for longer.
const WRITE_LIMIT: Duration = Duration::from_mins(1);
/// The same for a caller of `get`, who has waited for long enough.
const SHORT_WRITE_LIMIT: Duration = Duration::from_secs(20);
/// Registering takes two requests at most.
const REGISTRATION_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks at the browser that was started.
const NEXT_LOOK: Duration = Duration::from_millis(250);
/// How often refused scopes are dropped one after the other before the read-only set is offered.
const MOST_REFUSALS: u32 = 8;

/// A login that is under way.
pub struct LoginFlow<'a> {
    broker: &'a Broker<'a>,
    installation: &'a Installation,
    wish: &'a LoginOptions,
    site: Site,
    /// The organization that has to come back, if it is known.
    org_uuid: Option<OrgUuid>,
    deadline: Deadline,
    opening: Option<Opening>,
    pasted: Option<PastedLines>,
}

/// How the person came back.
enum Arrival {
    Browser(Redirect, WaitingBrowser),
    Pasted(Redirect),
}

/// What becomes of a request that came back without a session.
enum Next {
    /// It is asked again, for these scopes.
    Ask(Scopes),
    /// The person is offered to ask for these.
    Offer(Scopes),
}

impl<'a> LoginFlow<'a> {
    /// With `replaced`, the session in whose place the new one will come.
    pub fn new(
        broker: &'a Broker<'a>,
        installation: &'a Installation,
        wish: &'a LoginOptions,
        replaced: Option<Session>,
        deadline: Deadline,
    ) -> Self {
        // A `get` replaces the session that ended; a person who names none may want any.
        let same =
            |session: &Session| session.name.org == wish.org && (wish.org.is_some() || !wish.typed);
        let known = replaced.filter(same).and_then(|session| session.org_uuid);
        Self {
            broker,
            installation,
            wish,
            site: wish.begins_at().0,
            org_uuid: wish.org_uuid.clone().or(known),
            deadline,
            opening: None,
            pasted: None,
        }
    }

    /// Has the whole conversation with server and person.
    ///
    /// # Errors
    /// Where it came to nothing; the browser, if it came back, was told.
    pub async fn run(mut self) -> Result<LoggedIn, Error> {
        let mut listener = CallbackListener::bind(&self.wish.ports()).await?;
        let (site, port) = (self.site.clone(), listener.port);
        let begun = || format!("a login to {site} begins, and listens on port {port}");
        self.broker.terminal.trace(begun);
        let redirect_uri = RedirectUrl::new(redirect_uri(listener.port)).expect("it is a URL");
        let client_id = self.within_limit(self.registered()).await??;
        let scopes = self.scopes_to_ask()?;
        let ask = Ask {
            site: self.site.clone(),
            vanity: self.wish.begins_at().1.cloned(),
            client_id,
            redirect_uri,
            scopes,
            org_uuid: self.org_uuid.clone(),
        };
        let mut authorization = Authorization::begin(ask);
        self.show(&authorization, listener.port);
        let mut refusals = 0;
        loop {
            let (redirect, browser) = match self.arrival(&mut listener, &authorization).await? {
                Arrival::Browser(redirect, browser) => (redirect, Some(browser)),
                Arrival::Pasted(redirect) => (redirect, None),
            };
            let way = if browser.is_some() { "the callback" } else { "a paste" };
            self.broker.terminal.trace(|| format!("the person came back by {way}"));
            let error = match self.complete(&authorization, redirect).await {
                Ok(done) => {
                    self.broker.terminal.end_countdown();
                    if let Some(browser) = browser {
                        listener.show(browser, &self.done_page(&done)).await;
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            if browser.is_none() && is_wrong_code(&error) {
                self.broker
                    .terminal
                    .say(&format!("{error}: paste it again, or log in again there"));
                continue;
            }
            refusals += 1;
            let Some(next) = self.after_refusal(&error, &authorization.ask().scopes, refusals)
            else {
                if let Some(browser) = browser {
                    self.broker.terminal.end_countdown();
                    listener.show(browser, &failed_page(&error)).await;
                }
                return Err(error);
            };
            authorization = self.ask_again(&mut listener, &authorization, next, browser).await;
        }
    }

    async fn within_limit<T>(&self, step: impl Future<Output = T>) -> Result<T, LoginError> {
        let timed = tokio::time::timeout(self.deadline.remaining(), step).await;
        timed.map_err(|_| LoginError::TimedOut(self.deadline.limit()))
    }

    /// Opens the browser, or says what to open and how to come back.
    fn show(&mut self, authorization: &Authorization, port: u16) {
        let terminal = self.broker.terminal;
        let url = authorization.url.as_str();
        let site = shown(&self.wish.site, self.wish.org.as_ref());
        let mut opening = self.wish.browser.open(url);
        match opening.look() {
            Opened::Yes => {
                let program = opening.program().unwrap_or_default();
                terminal.trace(|| format!("started the browser command {program}"));
                self.opening = Some(opening);
                terminal.say(&format!("log in to {site} in the browser that opens, or at {url}"));
            }
            Opened::No { failures } => {
                terminal.trace(|| format!("started no browser ({})", failures.join(", ")));
                let why = match failures.as_slice() {
                    [] => String::new(),
                    failures => format!("no browser could be opened ({}): ", failures.join(", ")),
                };
                terminal.say(&format!("{why}to log in to {site}, open {url}"));
                self.invite_paste(port);
            }
        }
    }

    /// Takes the address at which the browser ended from whoever can paste it.
    fn invite_paste(&mut self, port: u16) {
        let terminal = self.broker.terminal;
        self.pasted = terminal.pasted_lines();
        if self.pasted.is_some() {
            terminal.say(&format!(
                "on another machine the browser will end at an address of 127.0.0.1 that it cannot reach: paste that address here, or forward the port (ssh -L {port}:127.0.0.1:{port})"
            ));
        } else if self.wish.pastes_to_stdin {
            self.pasted = Keyboard::of_stdin().map(PastedLines::of);
        }
    }

    /// Waits for the person to come back, in the browser or on the keyboard, whichever is first.
    async fn arrival(
        &mut self,
        listener: &mut CallbackListener,
        authorization: &Authorization,
    ) -> Result<Arrival, LoginError> {
        let terminal = self.broker.terminal;
        terminal.trace(|| {
            let (left, port) = (self.deadline.remaining().as_secs(), listener.port);
            let paste = if self.pasted.is_some() { ", or for a paste" } else { "" };
            format!("waiting for the callback on port {port}{paste}, for {left} s")
        });
        loop {
            let left = self.deadline.remaining();
            if left.is_zero() {
                return Err(LoginError::TimedOut(self.deadline.limit()));
            }
            let what = match self.pasted {
                Some(_) => "paste the address here:",
                None => "for the login in the browser; Ctrl-C ends the wait",
            };
            terminal.count_down(left, what);
            tokio::select! {
                callback = listener.wait(authorization) => {
                    return Ok(Arrival::Browser(callback.redirect, callback.browser));
                }
                line = next_line(&mut self.pasted) => {
                    terminal.line_was_entered();
                    match line {
                        // The end of what can be pasted is not the end of the login.
                        None => self.pasted = None,
                        Some(line) if line.trim().is_empty() => {}
                        Some(line) => match oauth::read_paste(&line, authorization) {
                            Ok(redirect) => return Ok(Arrival::Pasted(redirect)),
                            Err(error) => terminal.say(&error.to_string()),
                        }
                    }
                }
                () = tokio::time::sleep(NEXT_LOOK.min(left)) => self.watch_browser(listener.port),
            }
        }
    }

    /// Notices a browser that could not be opened after all.
    fn watch_browser(&mut self, port: u16) {
        let Some(opening) = &mut self.opening else { return };
        if let Opened::No { failures } = opening.look() {
            self.opening = None;
            let failures = failures.join(", ");
            self.broker.terminal.trace(|| format!("no browser command worked ({failures})"));
            let text = format!("no browser could be opened ({failures}): open the address above");
            self.broker.terminal.say(&text);
            self.invite_paste(port);
        }
    }

    /// What can be done about an error, if it is one of refused scopes.
    fn after_refusal(&self, error: &Error, asked: &Scopes, refusals: u32) -> Option<Next> {
        let Error::Login(LoginError::ScopesRefused { named, .. }) = error else { return None };
        let site = self.site.label();
        if !named.is_empty() && refusals <= MOST_REFUSALS {
            self.remember(|refused, now| refused.remember(named, now));
            let rest = asked.without(named);
            let text = format!("{site} refused the scopes {named}; asking again without them");
            return (!rest.is_empty()).then(|| {
                self.broker.terminal.say(&text);
                Next::Ask(rest)
            });
        }
        let harmless = asked.filtered(|scope| Scopes::read_only_set().contains(scope));
        let less = !harmless.is_empty() && harmless.len() < asked.len();
        less.then_some(Next::Offer(harmless))
    }

    /// Begins anew with fewer scopes, in the same browser.
    async fn ask_again(
        &self,
        listener: &mut CallbackListener,
        refused: &Authorization,
        next: Next,
        browser: Option<WaitingBrowser>,
    ) -> Authorization {
        let terminal = self.broker.terminal;
        let begin = |scopes| Authorization::begin(Ask { scopes, ..refused.ask().clone() });
        match next {
            Next::Ask(scopes) => {
                let authorization = begin(scopes);
                match browser {
                    Some(browser) => CallbackListener::send_on(browser, &authorization.url),
                    None => terminal.say(&format!("open {}", authorization.url)),
                }
                authorization
            }
            Next::Offer(scopes) => {
                let authorization = begin(scopes);
                let (site, url) = (self.site.label(), authorization.url.as_str());
                terminal.say(&format!(
                    "{site} refused the scopes and did not say which; to log in with read access alone, go on in the browser, or open {url}"
                ));
                if let Some(browser) = browser {
                    listener.show(browser, &offer_page(&site, url)).await;
                }
                authorization
            }
        }
    }

    /// What to ask for: not again for what the site refused lately.
    fn scopes_to_ask(&self) -> Result<Scopes, Error> {
        let wish = &self.wish.scopes;
        let refused = Registrations::of(self.installation).refused_scopes(&self.site)?;
        let optional = wish.scopes.without(&wish.insisted);
        let left_out = refused.among(&optional, self.broker.clock.now());
        let scopes = wish.scopes.without(&left_out);
        if left_out.is_empty() || scopes.is_empty() {
            return Ok(wish.scopes.clone());
        }
        let site = self.site.label();
        self.broker.terminal.say(&format!(
            "not asking for {left_out}, which {site} refused; --add-scopes asks again"
        ));
        Ok(scopes)
    }

    /// Takes note of what the site refused or granted. A login does not fail over that.
    fn remember(&self, change: impl FnOnce(&mut RefusedScopes, Timestamp)) {
        let note = || {
            let registrations = Registrations::of(self.installation);
            let lock = self.lock_registrations(&registrations)?;
            let before = registrations.refused_scopes(&self.site)?;
            let mut refused = before.clone();
            change(&mut refused, self.broker.clock.now());
            if refused != before {
                registrations.save_refused_scopes(&lock, &self.site, &refused)?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = note() {
            self.broker.terminal.warn(&format!("the refused scopes were not noted: {error}"));
        }
    }

    fn lock_registrations(&self, registrations: &Registrations<'_>) -> Result<Lock, Error> {
        let limit = REGISTRATION_LIMIT.min(self.deadline.remaining());
        let path = registrations.lock_path(&self.site);
        Ok(self.broker.hold(&path, "registration", Deadline::after(limit))?)
    }

    /// The client of this installation at the site; registered at the first login there, and again
    /// where the port to listen on is none of those registered.
    async fn registered(&self) -> Result<ClientId, Error> {
        let registrations = Registrations::of(self.installation);
        let lock = self.lock_registrations(&registrations)?;
        let uris = self.wish.redirect_uris();
        if let Some(known) = registrations.load(&self.site)?
            && uris.iter().all(|uri| known.redirect_uris.contains(uri))
        {
            self.broker.terminal.trace(|| "this installation is registered there".into());
            return Ok(known.client_id);
        }
        self.broker.terminal.trace(|| format!("registers this installation at {}", self.site));
        let http = Http::for_site(&self.site, self.broker.environment)?;
        let client_id = oauth::register(&http, &self.site, &uris).await?;
        let registration = Registration {
            client_id: client_id.clone(),
            redirect_uris: uris,
            registered: self.broker.clock.now(),
        };
        registrations.save(&lock, &self.site, &registration)?;
        Ok(client_id)
    }

    /// Exchanges the code where it belongs, and stores the session there.
    async fn complete(
        &self,
        authorization: &Authorization,
        redirect: Redirect,
    ) -> Result<LoggedIn, Error> {
        let returned = authorization.finish(redirect)?;
        let org_name = returned.org_name.as_deref().and_then(OrgLabel::parse);
        let org = self.wish.org.clone().or_else(|| org_name.clone());
        let vanity_host = match &self.wish.site {
            SiteName::Vanity(vanity) => Some(vanity.host.clone()),
            SiteName::Site(_) => None,
        };
        let elsewhere = vanity_host.is_none() && self.site != returned.site;
        let fresh = Session {
            name: SessionName { site: returned.site.clone(), org },
            org_uuid: returned.org_uuid.clone(),
            org_name,
            asked_site: elsewhere.then(|| self.site.clone()),
            vanity_host,
            generation: Generation::FIRST,
            scopes: Scopes::default(),
            access: Access::Rejected,
            renewal: Renewal::Impossible,
        };
        // Looked at before the code is spent, and again with the lock in hand.
        let store = SessionStore::of(self.installation);
        ensure_same_organization(store.load(&fresh.name)?.as_ref(), &fresh)?;
        let sent = self.broker.clock.now();
        let grant = self.exchange(authorization.ask(), returned).await?;
        let asked = &authorization.ask().scopes;
        let session = granted(fresh, grant, &authorization.ask().client_id, sent, asked);
        let session = self.keep(session)?;
        self.note_outcome(asked, &session);
        Ok(LoggedIn { session, wanted: self.wish.scopes.scopes.clone() })
    }

    async fn exchange(&self, ask: &Ask, returned: Returned) -> Result<Grant, Error> {
        let Returned { site, code, verifier, .. } = returned;
        let http = Http::for_site(&site, self.broker.environment)?;
        let exchange =
            oauth::exchange(&http, &site, &ask.client_id, code, &ask.redirect_uri, verifier);
        let exchanged = exchange.await;
        self.broker.terminal.trace(|| match &exchanged {
            Ok(_) => format!("{site} exchanged the code"),
            Err(error) => format!("{site} did not exchange the code: {error}"),
        });
        exchanged.map_err(|source| LoginError::Exchange { site: site.to_string(), source }.into())
    }

    /// Writes the session of a login over the one of the same name, if there is one.
    fn keep(&self, mut session: Session) -> Result<Session, Error> {
        let store = SessionStore::of(self.installation);
        let limit = if self.wish.typed { WRITE_LIMIT } else { SHORT_WRITE_LIMIT };
        let path = store.lock_path(&session.name);
        let lock = self.broker.hold(&path, "login", Deadline::after(limit))?;
        if let Some(earlier) = store.load(&session.name)? {
            ensure_same_organization(Some(&earlier), &session)?;
            session.generation = earlier.generation.next();
            session.asked_site = session.asked_site.or(earlier.asked_site);
        }
        store.save(&lock, &session)?;
        Ok(session)
    }

    /// Says what is otherwise than it was asked for, and remembers which scopes are good.
    fn note_outcome(&self, asked: &Scopes, session: &Session) {
        let terminal = self.broker.terminal;
        let site = &session.name.site;
        if *site != self.site {
            let (to, from) = (site.label(), self.site.label());
            terminal.say(&format!(
                "the login went to {to}, not to {from}: where you name a site, name {site}"
            ));
        }
        if let (Some(uuid), None) = (&self.org_uuid, &session.org_uuid) {
            terminal.warn(&format!(
                "{} did not say which organization it was; {uuid} was asked for",
                site.label()
            ));
        }
        let given_up = self.wish.scopes.scopes.without(asked);
        self.remember(|refused, now| {
            let known = refused.among(&given_up, now);
            refused.remember(&given_up.without(&known), now);
            refused.forget(&session.scopes);
        });
    }

    fn done_page(&self, done: &LoggedIn) -> Page {
        let Session { name, org_name, .. } = &done.session;
        let site = &name.site;
        let label = match site.label() {
            label if label == site.to_string() => label,
            label => format!("{label} ({site})"),
        };
        let mut facts = Vec::new();
        facts.extend(org_name.as_ref().map(|own| ("Organization", own.to_string())));
        if name.org != *org_name {
            facts.extend(name.org.as_ref().map(|org| ("Kept as", org.to_string())));
        }
        facts.push(("Site", label));
        if *site != self.site {
            facts.push(("Asked for", self.site.label()));
        }
        facts.push(("Access", done.scope_count()));
        let not_granted = done.not_granted();
        if !not_granted.is_empty() {
            facts.push(("Not granted", not_granted.iter().collect::<Vec<_>>().join(", ")));
        }
        Page::done("Logged in", "You can close this tab and go back to your work.", facts)
    }
}

/// What a person pastes next, or no more; never, where nobody can.
async fn next_line(pasted: &mut Option<PastedLines>) -> Option<String> {
    match pasted {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
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

/// Whether a code that a person pasted was not the right one.
fn is_wrong_code(error: &Error) -> bool {
    let Error::Login(LoginError::Exchange { source, .. }) = error else { return false };
    matches!(source, TokenError::InvalidGrant { .. })
}

fn failed_page(error: &Error) -> Page {
    let text = error.to_string();
    let mut rest = text.chars();
    let first = rest.next().map(char::to_uppercase).into_iter().flatten();
    let text = format!("{}{}.", first.collect::<String>(), rest.as_str());
    let next = "go back to the terminal, which says the same, and run `dd-oauth login` again";
    Page::failed("Not logged in", &text, vec![("Stored", "nothing".into()), ("Next", next.into())])
}

fn offer_page(site: &str, url: &str) -> Page {
    let text = format!(
        "{site} refused the access that was asked for, and did not say which part of it. You can \
         log in with read access alone, or close this tab and ask for other scopes with --scopes."
    );
    Page::offer("Log in with less access?", &text, url, "Log in with read access")
}
