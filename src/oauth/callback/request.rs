//! One request that somebody sent to the callback listener: bounded in size and time, whoever it is.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATH;
use super::page::Page;

/// A browser sends its request at once; who does not is no browser.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// An answer is a few kilobytes to a program on this machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const HEAD_LIMIT: usize = 16 * 1024;
const HEADERS: usize = 100;
/// How much of a request is thrown away after its answer. Closed with bytes unread, a connection
/// is reset, and the answer may be lost with it.
const REST_LIMIT: usize = 4 * 1024 * 1024;

/// A request whose head has arrived.
pub struct Incoming {
    stream: TcpStream,
    head: Vec<u8>,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    pub path: String,
    pub query: String,
}

impl Incoming {
    /// Reads until the end of the head. What is no request gets its answer here; nothing is
    /// returned then, nor where the sender is too slow or went away.
    pub async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        let refusal = timeout(REQUEST_LIMIT, read_head(&mut stream, &mut head)).await.ok()?;
        match refusal {
            Ok(()) => Some(Self { stream, head }),
            Err(Unreadable::Gone) => None,
            Err(Unreadable::Refused(page)) => {
                send(stream, page.response()).await;
                None
            }
        }
    }

    /// What a proper request to `host` asks for, or the page that anything else gets.
    pub fn target(&self, host: &str) -> Result<Target, Page> {
        Target::parse(&self.head, host)
    }

    /// Sends a whole response, and waits until the other side has had the time to read it.
    pub async fn answer(self, response: Vec<u8>) {
        send(self.stream, response).await;
    }
}

impl Target {
    /// Reads the head of a request to `host`.
    ///
    /// # Errors
    /// With the page for what is no proper request to it.
    pub fn parse(head: &[u8], host: &str) -> Result<Self, Page> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let whole = request.parse(head).is_ok_and(|status| status.is_complete());
        let (Some(method), Some(target), true) = (request.method, request.path, whole) else {
            return Err(not_understood());
        };
        let hosts: Vec<_> = request
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case("host"))
            .map(|header| header.value)
            .collect();
        // A page that rebinds its own name to 127.0.0.1 still sends that name.
        if hosts != [host.as_bytes()] {
            return Err(Page::refusal(421, "Wrong host", "Nothing is served under this name."));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if method != "GET" && path == PATH {
            return Err(Page::refusal(405, "Wrong method", "The callback is a GET request."));
        }
        Ok(Self { path: path.to_string(), query: query.to_string() })
    }
}

/// Why there is no request.
enum Unreadable {
    Gone,
    Refused(Page),
}

async fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> Result<(), Unreadable> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        match httparse::Request::new(&mut headers).parse(head) {
            Ok(httparse::Status::Complete(_)) => return Ok(()),
            Ok(httparse::Status::Partial) if head.len() < HEAD_LIMIT => {}
            Ok(httparse::Status::Partial) if !head.contains(&b'\n') => {
                let text = "The address is too long.";
                return Err(Unreadable::Refused(Page::refusal(414, "Too long", text)));
            }
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                let text = "The head of the request is too long.";
                return Err(Unreadable::Refused(Page::refusal(431, "Too long", text)));
            }
            Err(_) => return Err(Unreadable::Refused(not_understood())),
        }
        if stream.read_buf(head).await.map_err(|_| Unreadable::Gone)? == 0 {
            return Err(Unreadable::Gone);
        }
    }
}

fn not_understood() -> Page {
    Page::refusal(400, "Not understood", "This is not a proper HTTP request.")
}

/// A browser that has gone away misses nothing that standard error does not say.
async fn send(mut stream: TcpStream, response: Vec<u8>) {
    let exchange = async {
        stream.write_all(&response).await?;
        stream.shutdown().await?;
        let mut rest = 0;
        let mut block = vec![0; 16 * 1024];
        while rest < REST_LIMIT {
            match stream.read(&mut block).await? {
                0 => break,
                count => rest += count,
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(ANSWER_LIMIT, exchange).await;
}
