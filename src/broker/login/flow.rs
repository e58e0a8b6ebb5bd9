//! One login: from the registration over the browser to the stored session.

use std::time::Duration;

use oauth2::RedirectUrl;

use crate::broker::BrokerError;
use crate::broker::target::shown;
use crate::oauth::{
    self, Ask, Authorization, CallbackListener, LoginError, Opened, Opening, Redirect, TokenError,
    WaitingBrowser, redirect_uri,
};
use crate::platform::Keyboard;
use crate::scope::Scopes;
use crate::site::Site;
use crate::terminal::PastedLines;

use super::complete::complete;
use super::context::LoginContext;
use super::logged_in::LoggedIn;
use super::pages::{done_page, failed_page, offer_page};
use super::registration::{
    Client, Registered, register_again, register_once, remember, scopes_to_ask,
};

/// Between two looks at the browser that was started.
const NEXT_LOOK: Duration = Duration::from_millis(250);
/// How often refused scopes are dropped one after the other before the read-only set is offered.
const MOST_REFUSALS: u32 = 8;

/// A login that is under way, and how its person comes back.
pub struct LoginFlow<'a> {
    login: &'a LoginContext<'a>,
    opening: Option<Opening>,
    pasted: Option<PastedLines>,
    refusals: u32,
    client: Registered,
}

/// How the person came back.
enum Arrival {
    Browser(Redirect, WaitingBrowser),
    Pasted(Redirect),
}

/// What becomes of a request that came back without a session.
enum Next {
    /// This is asked in its place.
    Ask(Ask),
    /// The person is offered to ask for this.
    Offer(Ask),
}

impl<'a> LoginFlow<'a> {
    /// Nothing has been asked or shown yet.
    pub fn new(login: &'a LoginContext<'a>) -> Self {
        Self { login, opening: None, pasted: None, refusals: 0, client: Registered::Earlier }
    }

    /// Has the whole conversation with server and person.
    ///
    /// # Errors
    /// Where it came to nothing; the browser, if it came back, was told.
    pub async fn run(mut self) -> Result<LoggedIn, BrokerError> {
        let mut listener = CallbackListener::bind(&self.login.options.ports()).await?;
        let (site, port) = (self.login.site.clone(), listener.port);
        let begun = || format!("a login to {site} begins, and listens on port {port}");
        self.login.context.terminal.trace(begun);
        let redirect_uri = RedirectUrl::new(redirect_uri(listener.port)).expect("it is a URL");
        let Client { client_id, registered } =
            self.within_limit(register_once(self.login)).await??;
        self.client = registered;
        let scopes = scopes_to_ask(self.login)?;
        let ask = Ask {
            site: self.login.site.clone(),
            vanity: self.login.options.begins_at().1.cloned(),
            client_id,
            redirect_uri,
            scopes,
            org_uuid: self.login.org_uuid.clone(),
        };
        let mut authorization = Authorization::begin(ask);
        self.show(&authorization, listener.port);
        loop {
            let (redirect, browser) = match self.arrival(&mut listener, &authorization).await? {
                Arrival::Browser(redirect, browser) => (redirect, Some(browser)),
                Arrival::Pasted(redirect) => (redirect, None),
            };
            let way = if browser.is_some() { "the callback" } else { "a paste" };
            self.login.context.terminal.trace(|| format!("the person came back by {way}"));
            let error = match complete(self.login, &authorization, redirect).await {
                Ok(done) => {
                    self.login.context.terminal.end_countdown();
                    if let Some(browser) = browser {
                        listener.show(browser, &done_page(&done, &self.login.site)).await;
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            if browser.is_none() && is_wrong_code(&error) {
                self.login
                    .context
                    .terminal
                    .say(&format!("{error}: paste it again, or log in again there"));
                continue;
            }
            let next = match self.next(error, authorization.ask()).await {
                Ok(next) => next,
                Err(error) => {
                    if let Some(browser) = browser {
                        self.login.context.terminal.end_countdown();
                        listener.show(browser, &failed_page(&error)).await;
                    }
                    return Err(error);
                }
            };
            authorization = self.ask_again(&mut listener, next, browser).await;
        }
    }

    async fn within_limit<T>(&self, step: impl Future<Output = T>) -> Result<T, LoginError> {
        let timed = tokio::time::timeout(self.login.deadline.remaining(), step).await;
        timed.map_err(|_| self.timed_out())
    }

    fn timed_out(&self) -> LoginError {
        // A server that forgot the client shows a page of its own, and nobody ever comes back.
        let earlier_client = self.client == Registered::Earlier;
        LoginError::TimedOut { limit: self.login.deadline.limit(), earlier_client }
    }

    /// Opens the browser, or says what to open and how to come back.
    fn show(&mut self, authorization: &Authorization, port: u16) {
        let terminal = self.login.context.terminal;
        let url = authorization.url.as_str();
        let site = shown(&self.login.options.site, self.login.options.org.as_ref());
        let mut opening = self.login.options.browser.open(url);
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
        let terminal = self.login.context.terminal;
        self.pasted = terminal.pasted_lines();
        if self.pasted.is_some() {
            terminal.say(&format!(
                "on another machine the browser will end at an address of 127.0.0.1 that it cannot reach: paste that address here, or forward the port (ssh -L {port}:127.0.0.1:{port})"
            ));
        } else if self.login.options.pastes_to_stdin {
            self.pasted = Keyboard::of_stdin().map(PastedLines::of);
        }
    }

    /// Waits for the person to come back, in the browser or on the keyboard, whichever is first.
    async fn arrival(
        &mut self,
        listener: &mut CallbackListener,
        authorization: &Authorization,
    ) -> Result<Arrival, LoginError> {
        let terminal = self.login.context.terminal;
        terminal.trace(|| {
            let (left, port) = (self.login.deadline.remaining().as_secs(), listener.port);
            let paste = if self.pasted.is_some() { ", or for a paste" } else { "" };
            format!("waiting for the callback on port {port}{paste}, for {left} s")
        });
        loop {
            let left = self.login.deadline.remaining();
            if left.is_zero() {
                return Err(self.timed_out());
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
            self.login.context.terminal.trace(|| format!("no browser command worked ({failures})"));
            let text = format!("no browser could be opened ({failures}): open the address above");
            self.login.context.terminal.say(&text);
            self.invite_paste(port);
        }
    }

    /// What can be done about an error: other scopes, or another client.
    ///
    /// # Errors
    /// The error itself where nothing can, or that of the attempt.
    async fn next(&mut self, error: BrokerError, asked: &Ask) -> Result<Next, BrokerError> {
        match &error {
            BrokerError::Login(LoginError::ScopesRefused { named, .. }) => {
                self.refusals += 1;
                self.for_less(named, asked).ok_or(error)
            }
            BrokerError::Login(login_error)
                if self.client == Registered::Earlier
                    && forgot_client(login_error, &asked.site) =>
            {
                self.with_another_client(asked).await
            }
            _ => Err(error),
        }
    }

    /// Asks without the scopes that were refused, or with those alone that do no harm.
    fn for_less(&self, refused: &Scopes, asked: &Ask) -> Option<Next> {
        let site = self.login.site.label();
        let ask = |scopes| Ask { scopes, ..asked.clone() };
        if !refused.is_empty() && self.refusals <= MOST_REFUSALS {
            remember(self.login, |known, now| known.remember(refused, now));
            let rest = asked.scopes.without(refused);
            let text = format!("{site} refused the scopes {refused}; asking again without them");
            return (!rest.is_empty()).then(|| {
                self.login.context.terminal.say(&text);
                Next::Ask(ask(rest))
            });
        }
        let harmless = asked.scopes.filtered(|scope| Scopes::read_only_set().contains(scope));
        let less = !harmless.is_empty() && harmless.len() < asked.scopes.len();
        less.then(|| Next::Offer(ask(harmless)))
    }

    /// Registers once more, because the server knows nothing of the client that it gave us earlier.
    async fn with_another_client(&mut self, asked: &Ask) -> Result<Next, BrokerError> {
        let site = self.login.site.label();
        self.login.context.terminal.say(&format!(
            "{site} does not know the OAuth client of this installation any more; registering another"
        ));
        let dropped = &asked.client_id;
        let client_id = self.within_limit(register_again(self.login, dropped)).await??;
        self.client = Registered::InThisLogin;
        Ok(Next::Ask(Ask { client_id, ..asked.clone() }))
    }

    /// Begins anew, in the same browser.
    async fn ask_again(
        &self,
        listener: &mut CallbackListener,
        next: Next,
        browser: Option<WaitingBrowser>,
    ) -> Authorization {
        let terminal = self.login.context.terminal;
        match next {
            Next::Ask(ask) => {
                let authorization = Authorization::begin(ask);
                match browser {
                    Some(browser) => CallbackListener::send_on(browser, &authorization.url),
                    None => terminal.say(&format!("open {}", authorization.url)),
                }
                authorization
            }
            Next::Offer(ask) => {
                let authorization = Authorization::begin(ask);
                let (site, url) = (self.login.site.label(), authorization.url.as_str());
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
}

/// What a person pastes next, or no more; never, where nobody can.
async fn next_line(pasted: &mut Option<PastedLines>) -> Option<String> {
    match pasted {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

/// Whether a code that a person pasted was not the right one.
fn is_wrong_code(error: &BrokerError) -> bool {
    let BrokerError::Login(LoginError::Exchange { source, .. }) = error else { return false };
    matches!(source, TokenError::InvalidGrant { .. })
}

/// Whether the server at `site`, which registered our client, says that it does not know it.
fn forgot_client(error: &LoginError, site: &Site) -> bool {
    match error {
        LoginError::Denied { code, .. } => {
            ["invalid_client", "unauthorized_client"].contains(&code.as_str())
        }
        // At another region the client never was.
        LoginError::Exchange { site: asked, source: TokenError::InvalidClient { .. } } => {
            *asked == site.to_string()
        }
        _ => false,
    }
}
