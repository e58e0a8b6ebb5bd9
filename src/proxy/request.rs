//! The head of a request from the program: what it has to be before anything is done for it.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::secret::AccessToken;

use super::Credential;

/// Longest head, in bytes.
pub const HEAD_LIMIT: usize = 64 * 1024;
const HEADERS: usize = 128;

/// A request that was let through, without its body.
#[derive(Debug)]
pub struct Head {
    pub method: Method,
    /// Path and query, as they came.
    pub target: String,
    pub headers: HeaderMap,
    pub body: BodyLength,
    /// Whether the program waits for a word before it sends the body.
    pub expects_continue: bool,
    /// Whether the connection can be used again.
    pub keep_alive: bool,
    /// Whether the program understands a body in chunks.
    pub takes_chunks: bool,
}

/// How long the body is that follows (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    None,
    Exact(u64),
    Chunked,
}

/// Why a request is not let through; the connection is closed after it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub why: &'static str,
}

fn refuse<T>(status: u16, why: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, why })
}

impl Head {
    /// Whether it may be sent twice: it is idempotent (RFC 9110, section 9.2.2), and nothing of it
    /// would have to be kept.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.method.is_idempotent() && matches!(self.body, BodyLength::None | BodyLength::Exact(0))
    }
}

/// Reads a head at the start of `bytes`, and its length; nothing while it is incomplete.
///
/// # Errors
/// If it is no request that this proxy takes from the program that it serves.
pub fn parse(
    bytes: &[u8],
    authority: &str,
    credential: &Credential,
) -> Result<Option<(Head, usize)>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return refuse(431, "the head of the request is too long");
        }
        Err(_) => return refuse(400, "this is no HTTP request"),
    };
    let is_11 = request.version == Some(1);
    let method = request.method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    let Some(method) = method else { return refuse(400, "the method is none") };
    if method == Method::CONNECT {
        return refuse(501, "this proxy makes no tunnels");
    }
    if method == Method::TRACE {
        return refuse(405, "the answer to a TRACE would show the token");
    }
    let target = request.path.unwrap_or_default().to_string();
    if !target.starts_with('/') {
        return refuse(400, "give a path, as to a server, and no whole address");
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains(['#', '\\']) {
        return refuse(400, "the path has a character that none may have");
    }
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) else {
            return refuse(400, "a header is malformed");
        };
        headers.append(name, value);
    }
    if single(&headers, &HOST) != Some(authority.as_bytes()) {
        return refuse(421, "the Host is not the address of this proxy");
    }
    if !is_ours(&headers, credential) {
        return refuse(401, "the Authorization is not the credential of this run");
    }
    let body = body_length(&headers, is_11)?;
    let expects_continue = match single(&headers, &EXPECT) {
        Some(expected) if expected.eq_ignore_ascii_case(b"100-continue") => is_11,
        None if !headers.contains_key(EXPECT) => false,
        _ => return refuse(417, "nothing is known of this Expect"),
    };
    let keep_alive = is_11 && !has_token(&headers, "close");
    let head =
        Head { method, target, headers, body, expects_continue, keep_alive, takes_chunks: is_11 };
    Ok(Some((head, length)))
}

/// The value of a header that stands exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

fn is_ours(headers: &HeaderMap, credential: &Credential) -> bool {
    let given = single(headers, &AUTHORIZATION).and_then(|value| std::str::from_utf8(value).ok());
    let given = given.and_then(|value| value.split_once(' ')).and_then(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer").then(|| AccessToken::parse(token.trim().to_string()))
    });
    given.flatten().is_some_and(|given| given.matches(credential))
}

/// Two answers to how long the body is are none: somebody else might believe the other one.
fn body_length(headers: &HeaderMap, is_11: bool) -> Result<BodyLength, Refusal> {
    const AMBIGUOUS: &str = "the length of the body is ambiguous";
    let is_given = |name| headers.contains_key(name);
    match (is_given(CONTENT_LENGTH), is_given(TRANSFER_ENCODING)) {
        (false, false) => Ok(BodyLength::None),
        (true, true) => refuse(400, AMBIGUOUS),
        (false, true) => match single(headers, &TRANSFER_ENCODING) {
            Some(coding) if is_11 && coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(BodyLength::Chunked)
            }
            _ => refuse(400, AMBIGUOUS),
        },
        (true, false) => {
            let digits = single(headers, &CONTENT_LENGTH)
                .filter(|text| !text.is_empty() && text.iter().all(u8::is_ascii_digit))
                .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            digits.map_or_else(|| refuse(400, AMBIGUOUS), |length| Ok(BodyLength::Exact(length)))
        }
    }
}

/// Whether `Connection` has this option.
pub fn has_token(headers: &HeaderMap, option: &str) -> bool {
    connection_options(headers).any(|known| known.eq_ignore_ascii_case(option))
}

/// The options of `Connection`: among them the names of headers that are for this connection only.
pub fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: &str = "Host: 127.0.0.1:81\r\nAuthorization: Bearer secret\r\n";

    fn parsed(text: &str) -> Result<Option<(Head, usize)>, Refusal> {
        let credential = AccessToken::parse("secret".to_string()).unwrap();
        parse(text.as_bytes(), "127.0.0.1:81", &credential)
    }

    fn head(first: &str, more: &str) -> Result<Head, u16> {
        match parsed(&format!("{first}\r\n{US}{more}\r\n")) {
            Ok(Some((head, _))) => Ok(head),
            Ok(None) => panic!("incomplete"),
            Err(refusal) => Err(refusal.status),
        }
    }

    #[test]
    fn a_request_to_us_is_let_through_as_it_came() {
        let head = head("GET /a//../b?c='d'&e=%2f HTTP/1.1", "X: 1\r\nX: 2\r\n").unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/a//../b?c='d'&e=%2f"));
        assert_eq!(head.headers.get_all("x").iter().count(), 2);
        assert!(head.keep_alive && head.is_repeatable() && head.body == BodyLength::None);
    }

    #[test]
    fn nothing_but_a_path_is_a_target() {
        for (line, status) in [
            ("CONNECT api.datadoghq.com:443 HTTP/1.1", 501),
            ("CONNECT / HTTP/1.1", 501),
            ("TRACE / HTTP/1.1", 405),
            ("GET http://127.0.0.1:81/ HTTP/1.1", 400),
            ("GET https://evil.example.org/ HTTP/1.1", 400),
            ("OPTIONS * HTTP/1.1", 400),
            ("GET a HTTP/1.1", 400),
            ("GET /a#b HTTP/1.1", 400),
            ("GET /a\\b HTTP/1.1", 400),
            ("GET /ä HTTP/1.1", 400),
            ("GET / HTTP/2.0", 400),
            ("GET /", 400),
            ("\u{16}\u{3}\u{1}", 400),
        ] {
            assert_eq!(head(line, "").unwrap_err(), status, "{line}");
        }
    }

    #[test]
    fn host_and_credential_stand_once_and_are_ours() {
        let status = |headers: &str| {
            parsed(&format!("GET / HTTP/1.1\r\n{headers}\r\n")).err().map(|it| it.status)
        };
        let (host, credential) = ("Host: 127.0.0.1:81\r\n", "Authorization: bearer  secret\r\n");
        assert_eq!(status(&format!("{host}{credential}")), None);
        for hosts in ["", "Host: localhost:81\r\n", "Host: 127.0.0.1\r\n", "Host: evil:81\r\n"] {
            assert_eq!(status(&format!("{hosts}{credential}")), Some(421), "{hosts}");
        }
        assert_eq!(status(&format!("{host}{host}{credential}")), Some(421));
        for other in ["", "Authorization: Bearer secret2\r\n", "Authorization: Basic secret\r\n"] {
            assert_eq!(status(&format!("{host}{other}")), Some(401), "{other}");
        }
        assert_eq!(status(&format!("{host}{credential}{credential}")), Some(401));
    }

    #[test]
    fn a_body_has_one_length() {
        let length = |more: &str| head("POST / HTTP/1.1", more).map(|head| head.body);
        assert_eq!(length("Content-Length: 5\r\n"), Ok(BodyLength::Exact(5)));
        assert_eq!(length("Transfer-Encoding: Chunked\r\n"), Ok(BodyLength::Chunked));
        let (five, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
        for bad in [
            format!("{five}{chunked}"),
            format!("{chunked}{five}"),
            format!("{five}{five}"),
            format!("{five}Content-Length: 6\r\n"),
            format!("{chunked}{chunked}"),
            "Content-Length: 5, 5\r\n".into(),
            "Content-Length: +5\r\n".into(),
            "Content-Length: -1\r\n".into(),
            "Content-Length:\r\n".into(),
            "Content-Length: 99999999999999999999\r\n".into(),
            "Transfer-Encoding: gzip, chunked\r\n".into(),
            "Transfer-Encoding: identity\r\n".into(),
            "Content-Length : 5\r\n".into(),
        ] {
            assert_eq!(length(&bad), Err(400), "{bad}");
        }
        assert_eq!(head("POST / HTTP/1.0", chunked).unwrap_err(), 400);
    }

    #[test]
    fn only_what_is_idempotent_and_has_no_body_is_repeatable() {
        let repeatable = |method: &str, more: &str| {
            head(&format!("{method} / HTTP/1.1"), more).unwrap().is_repeatable()
        };
        assert!(repeatable("DELETE", "") && repeatable("PUT", "Content-Length: 0\r\n"));
        assert!(!repeatable("POST", "") && !repeatable("PATCH", ""));
        assert!(!repeatable("PUT", "Content-Length: 1\r\n"));
        assert!(!repeatable("GET", "Transfer-Encoding: chunked\r\n"));
    }

    #[test]
    fn an_incomplete_head_is_waited_for_up_to_its_limit() {
        assert!(parsed("GET / HTTP/1.1\r\nA: b\r\n").unwrap().is_none());
        let long = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(HEAD_LIMIT));
        assert_eq!(parsed(&long).unwrap_err().status, 431);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
        assert_eq!(parsed(&many).unwrap_err().status, 431);
    }
}
