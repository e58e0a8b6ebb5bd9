//! The listener on 127.0.0.1 to which the browser is redirected (RFC 8252, section 7.3).
//!
//! It is bound once and kept. Only a request that a browser sends after the right login ends the
//! wait; everything else gets an answer and changes nothing.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::authorize::{Authorization, Redirect};
use super::{LoginError, Page};

/// The ports that existing tools register, in the order in which they are tried.
pub const REGISTERED_PORTS: [u16; 4] = [8000, 8080, 8888, 9000];
const PATH: &str = "/oauth/callback";
/// A browser sends its request at once; who does not is no browser.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
const HEAD_LIMIT: usize = 16 * 1024;
/// Requests that are read at the same time; a page needs one, and a browser opens a few ahead.
const CONNECTIONS: usize = 64;

/// The redirect URI for a port, as it is registered.
#[must_use]
pub fn redirect_uri(port: u16) -> String {
    format!("http://127.0.0.1:{port}{PATH}")
}

/// A bound listener.
pub struct CallbackListener {
    listener: TcpListener,
    /// The port that was free.
    pub port: u16,
}

/// The browser that came back.
pub struct Callback {
    redirect: Redirect,
    waiting: WaitingBrowser,
}

/// A browser that waits to be told how the login ended.
pub struct WaitingBrowser(TcpStream);

impl CallbackListener {
    /// Binds the first of `ports` that is free.
    ///
    /// # Errors
    /// [`LoginError::PortsBusy`] where none is.
    pub async fn bind(ports: &[u16]) -> Result<Self, LoginError> {
        for port in ports {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).await {
                Ok(listener) => return Ok(Self { listener, port: *port }),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(LoginError::Listener(error)),
            }
        }
        Err(LoginError::PortsBusy { ports: ports.to_vec() })
    }

    /// Waits for the callback of `authorization`.
    ///
    /// # Errors
    /// Where the listener itself fails. The caller limits the wait.
    pub async fn wait(&self, authorization: &Authorization) -> Result<Callback, LoginError> {
        let (sender, mut arrived) = mpsc::channel(1);
        let mut readers = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                // Each connection is read by itself, so that a silent one holds up nobody.
                accepted = self.listener.accept(), if readers.len() < CONNECTIONS => {
                    let (stream, _) = accepted.map_err(LoginError::Listener)?;
                    let (sender, host) = (sender.clone(), format!("127.0.0.1:{}", self.port));
                    readers.spawn(async move {
                        if let Ok(Some(request)) = timeout(REQUEST_LIMIT, read(stream)).await {
                            let _ = sender.send((request, host)).await;
                        }
                    });
                }
                Some(_) = readers.join_next() => {}
                Some((request, host)) = arrived.recv() => {
                    match request.target(&host).and_then(|query| redirect(query, authorization)) {
                        Ok(redirect) => {
                            let waiting = WaitingBrowser(request.stream);
                            return Ok(Callback { redirect, waiting });
                        }
                        Err(page) => { tokio::spawn(answer(request.stream, page)); }
                    }
                }
            }
        }
    }
}

impl Callback {
    /// What the browser brought, and the browser itself.
    #[must_use]
    pub fn split(self) -> (Redirect, WaitingBrowser) {
        (self.redirect, self.waiting)
    }
}

impl WaitingBrowser {
    /// Shows the last page.
    pub async fn answer(self, page: Page) {
        answer(self.0, page).await;
    }
}

/// Sends a page. A browser that has gone away misses nothing that standard error does not say.
async fn answer(mut stream: TcpStream, page: Page) {
    let send = async {
        let _ = stream.write_all(&page.response()).await;
        let _ = stream.shutdown().await;
    };
    let _ = timeout(REQUEST_LIMIT, send).await;
}

/// A request whose head has arrived.
struct Incoming {
    stream: TcpStream,
    head: Vec<u8>,
}

/// Reads until the end of the head; nothing where it is too long or the sender went away.
async fn read(mut stream: TcpStream) -> Option<Incoming> {
    let mut head = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        match httparse::Request::new(&mut headers).parse(&head) {
            Ok(httparse::Status::Partial) if head.len() < HEAD_LIMIT => {}
            Ok(httparse::Status::Complete(_)) => return Some(Incoming { stream, head }),
            Ok(_) | Err(_) => {
                let page = Page::new(400, "Not understood", "This is not a proper HTTP request.");
                answer(stream, page).await;
                return None;
            }
        }
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
}

impl Incoming {
    /// The query of a request for exactly the callback, or the page that anything else gets.
    fn target(&self, host: &str) -> Result<&str, Page> {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        let whole = request.parse(&self.head).is_ok_and(|status| status.is_complete());
        let (Some(method), Some(target), true) = (request.method, request.path, whole) else {
            return Err(Page::new(400, "Not understood", "This is not a proper HTTP request."));
        };
        let hosts: Vec<_> = request
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case("host"))
            .map(|header| header.value)
            .collect();
        // A page that rebinds its own name to 127.0.0.1 still sends that name.
        if hosts != [host.as_bytes()] {
            return Err(Page::new(421, "Wrong host", "Nothing is served under this name."));
        }
        match target.split_once('?').unwrap_or((target, "")) {
            (PATH, query) if method == "GET" => Ok(query),
            (PATH, _) => Err(Page::new(405, "Wrong method", "The callback is a GET request.")),
            _ => Err(Page::new(404, "Nothing here", "Only the login's callback is served here.")),
        }
    }
}

/// The parameters of a callback for `authorization`, or the page for one that is not.
fn redirect(query: &str, authorization: &Authorization) -> Result<Redirect, Page> {
    let mut redirect = Redirect::default();
    let mut state = None;
    let repeated = || Page::new(400, "Not understood", "A parameter of the callback is repeated.");
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let field = match &*key {
            "state" => &mut state,
            "code" => &mut redirect.code,
            "error" => &mut redirect.error,
            "error_description" => &mut redirect.error_description,
            "iss" => &mut redirect.iss,
            "domain" => &mut redirect.domain,
            "site" => &mut redirect.site,
            "dd_oid" => &mut redirect.dd_oid,
            "dd_org_name" => &mut redirect.dd_org_name,
            _ => continue,
        };
        if field.replace(value.into_owned()).is_some() {
            return Err(repeated());
        }
    }
    if state.is_some_and(|state| authorization.has_state(&state)) {
        return Ok(redirect);
    }
    let text = "This is not the answer to the login that is waiting here. It changes nothing; go \
        on in the tab that dd-oauth opened.";
    Err(Page::new(400, "Another login", text))
}
