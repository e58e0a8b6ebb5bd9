//! The listener on 127.0.0.1 to which the browser is redirected (RFC 8252, section 7.3).
//!
//! It is bound once and kept. Only a request that a browser sends after the right login ends the
//! wait; everything else gets an answer and changes nothing.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use oauth2::CsrfToken;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use url::Url;

use super::PATH;
use super::page::{Page, redirection};
use super::request::{Incoming, Target};
use crate::oauth::authorization::Authorization;
use crate::oauth::error::LoginError;
use crate::oauth::redirect::Redirect;

/// Before the random part of the address at which a page is shown: one without the code.
const PAGE_PATH: &str = "/oauth/done/";
/// Bytes of randomness in that address; it is good for one look.
const PAGE_BYTES: u32 = 16;
/// Connections that are read at the same time: a browser opens a few ahead. Where more come, the
/// oldest has to go, which never sent its request: so nobody can keep the real one waiting.
const CONNECTIONS: usize = 128;
/// Where no further connection can be had (descriptors ran out), before the next attempt.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a browser may take to follow us from the callback to the page. It does so at once; what
/// does not follow is no browser, and is not waited for.
const PAGE_LIMIT: Duration = Duration::from_secs(3);

/// A bound listener, with the connections that are being read.
pub struct CallbackListener {
    listener: TcpListener,
    /// The port that was free.
    pub port: u16,
    readers: JoinSet<Option<Incoming>>,
    /// The same readers, oldest first.
    ages: VecDeque<AbortHandle>,
}

/// The browser that came back.
pub struct Callback {
    /// What it brought.
    pub redirect: Redirect,
    pub browser: WaitingBrowser,
}

/// A browser that waits to be told how the login ended.
pub struct WaitingBrowser(Incoming);

impl CallbackListener {
    /// Binds the first of `ports` that is free.
    ///
    /// # Errors
    /// [`LoginError::PortsBusy`] where none is.
    pub async fn bind(ports: &[u16]) -> Result<Self, LoginError> {
        for port in ports.iter().copied() {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => {
                    let (readers, ages) = (JoinSet::new(), VecDeque::new());
                    return Ok(Self { listener, port, readers, ages });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(source) => return Err(LoginError::Listener { port, source }),
            }
        }
        Err(LoginError::PortsBusy { ports: ports.to_vec() })
    }

    /// Waits for the callback of `authorization`, for ever: the caller limits the wait, and may
    /// give it up at any moment and take it up again.
    pub async fn wait(&mut self, authorization: &Authorization) -> Callback {
        loop {
            let incoming = self.next().await;
            let target = incoming.target(&self.host());
            match target.and_then(|target| callback(&target, authorization)) {
                Ok(redirect) => return Callback { redirect, browser: WaitingBrowser(incoming) },
                Err(page) => answer_aside(incoming, page.response()),
            }
        }
    }

    /// Shows a page to the browser that came back, at an address that has nothing of the callback
    /// in it, so that no code stays in its address bar or history.
    pub async fn show(&mut self, browser: WaitingBrowser, page: &Page) {
        let path = format!("{PAGE_PATH}{}", CsrfToken::new_random_len(PAGE_BYTES).secret());
        answer_aside(browser.0, redirection(&path));
        let shown = async {
            loop {
                let incoming = self.next().await;
                match incoming.target(&self.host()) {
                    Ok(target) if target.path == path => {
                        return incoming.answer(page.response()).await;
                    }
                    Ok(_) => answer_aside(incoming, nothing_here().response()),
                    Err(page) => answer_aside(incoming, page.response()),
                }
            }
        };
        let _ = timeout(PAGE_LIMIT, shown).await;
    }

    /// Sends the browser that came back to another login page.
    pub fn send_on(browser: WaitingBrowser, url: &Url) {
        answer_aside(browser.0, redirection(url.as_str()));
    }

    /// The next request that can be read. Each connection is read by itself, so that a silent one
    /// holds up nobody.
    async fn next(&mut self) -> Incoming {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => if let Ok((stream, _)) = accepted {
                    self.read(stream);
                } else {
                    self.drop_oldest();
                    tokio::time::sleep(PAUSE).await;
                },
                Some(read) = self.readers.join_next() => {
                    self.ages.retain(|reader| !reader.is_finished());
                    if let Ok(Some(incoming)) = read {
                        return incoming;
                    }
                }
            }
        }
    }

    fn read(&mut self, stream: TcpStream) {
        while self.ages.len() >= CONNECTIONS {
            self.drop_oldest();
        }
        self.ages.push_back(self.readers.spawn(Incoming::read(stream)));
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.ages.pop_front() {
            oldest.abort();
        }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The parameters of a callback for `authorization`, or the page for a request that is not one.
pub fn callback(target: &Target, authorization: &Authorization) -> Result<Redirect, Page> {
    if target.path != PATH {
        return Err(nothing_here());
    }
    let redirect = Redirect::parse(&target.query).map_err(|_| {
        Page::refusal(400, "Not understood", "A parameter of the callback is repeated.")
    })?;
    if authorization.has_state(redirect.state.as_deref()) {
        return Ok(redirect);
    }
    let text = "This is not the answer to the login that is waiting here. It changes nothing; go \
        on in the tab that dd-oauth opened.";
    Err(Page::refusal(400, "Another login", text))
}

fn nothing_here() -> Page {
    Page::refusal(404, "Nothing here", "Only the login's callback is served here.")
}

/// Answers without keeping the listener from the next request.
fn answer_aside(incoming: Incoming, response: Vec<u8>) {
    tokio::spawn(incoming.answer(response));
}
