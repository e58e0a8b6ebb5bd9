//! Reading requests: as much of HTTP/1.1 as this server needs, one request for each connection.

use std::collections::BTreeMap;
use std::io::{self, Read};

const MAX_HEAD: usize = 32 * 1024;
const MAX_BODY: usize = 1024 * 1024;
const MAX_HEADERS: usize = 64;

pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the body claims to be of this media type.
    pub fn has_type(&self, media_type: &str) -> bool {
        self.header("content-type").is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case(media_type)
        })
    }
}

/// The parameters of a query or of a form.
#[derive(Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// `None` where a parameter is repeated, which OAuth forbids (RFC 6749, section 3.1).
    pub fn parse(encoded: &[u8]) -> Option<Self> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(parameters))
    }

    /// The value of a parameter; an empty one counts as omitted.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Why there is no request to answer.
pub enum Unreadable {
    /// The client went away, was too slow or failed the TLS handshake.
    Gone,
    /// What came is no request that this server takes; the status to answer.
    Bad(u16),
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Reads one request.
pub fn read(stream: &mut impl Read) -> Result<Request, Unreadable> {
    let mut bytes = Vec::new();
    let (mut request, head_length) = loop {
        receive(stream, &mut bytes)?;
        if let Some(parsed) = parse_head(&bytes)? {
            break parsed;
        }
        if bytes.len() > MAX_HEAD {
            return Err(Unreadable::Bad(431));
        }
    };
    if request.header("transfer-encoding").is_some() {
        return Err(Unreadable::Bad(411));
    }
    let length = match request.header("content-length") {
        Some(value) => value.parse().map_err(|_| Unreadable::Bad(400))?,
        None => 0,
    };
    if length > MAX_BODY {
        return Err(Unreadable::Bad(413));
    }
    request.body = bytes.split_off(head_length);
    while request.body.len() < length {
        receive(stream, &mut request.body)?;
    }
    request.body.truncate(length);
    Ok(request)
}

/// Appends what the client sends next.
fn receive(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut block = [0; 4096];
    match stream.read(&mut block)? {
        0 => Err(Unreadable::Gone),
        count => {
            bytes.extend_from_slice(&block[..count]);
            Ok(())
        }
    }
}

/// The request without its body and the length of its head, or `None` while the head is
/// incomplete.
fn parse_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Unreadable::Bad(431)),
        Err(_) => return Err(Unreadable::Bad(400)),
    };
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8_lossy(header.value).into_owned();
                (header.name.to_owned(), value)
            })
            .collect(),
        body: Vec::new(),
    };
    Ok(Some((request, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(bytes: &[u8]) -> u16 {
        match read(&mut &*bytes) {
            Ok(_) => 200,
            Err(Unreadable::Bad(status)) => status,
            Err(Unreadable::Gone) => 0,
        }
    }

    #[test]
    fn reads_a_request() {
        let bytes = b"POST /a?b=c HTTP/1.1\r\nContent-Length: 2\r\nContent-Type: \
            application/json; charset=utf-8\r\n\r\n{}";
        let Ok(request) = read(&mut &bytes[..]) else {
            panic!("not read");
        };
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, "/a");
        assert_eq!(request.query, "b=c");
        assert_eq!(request.body, b"{}");
        assert!(request.has_type("application/json"));
    }

    #[test]
    fn refuses_what_it_cannot_bound() {
        let endless_head = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &vec![b'a'; MAX_HEAD]].concat();
        assert_eq!(status_of(&endless_head), 431);
        let large = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1);
        assert_eq!(status_of(large.as_bytes()), 413);
        let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(status_of(chunked), 411);
        assert_eq!(status_of(b"nonsense\r\n\r\n"), 400);
        assert_eq!(status_of(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"), 0);
    }

    #[test]
    fn parameters_are_unique_and_empty_ones_omitted() {
        assert!(Parameters::parse(b"a=1&a=2").is_none());
        let parameters = Parameters::parse(b"a=x+y%26&b=").unwrap();
        assert_eq!(parameters.get("a"), Some("x y&"));
        assert_eq!(parameters.get("b"), None);
    }
}
