//! Whole token replies as servers, gateways and middleboxes really send them, with the tokens that must
//! come out of each. The shapes are those of public bug reports. A reply that is thrown away costs the
//! session: the server has spent the refresh token.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::support::deadline::HANG;
use crate::support::home::Home;

/// A reply, and what it is called if it is lost.
type Shape = (&'static str, Vec<u8>);

/// What a plain reply says.
const GRANT: &str = r#"{"access_token":"new-access","token_type":"Bearer","expires_in":3600,"refresh_token":"new-refresh","scope":"a b"}"#;

#[test]
fn the_tokens_come_out_of_every_whole_reply() {
    let shapes = shapes();
    assert!(shapes.len() >= 60, "there are {} shapes", shapes.len());
    let mut lost = Vec::new();
    for (name, reply) in shapes {
        let (home, requests) = session_at(vec![reply, response("200 OK", "", GRANT)]);
        let run = home.run(&[], "get\n");
        if run.code != Some(0) || run.value("access_token") != "new-access" {
            lost.push(format!("{name}: {run:?}"));
            continue;
        }
        assert!(requests.recv_timeout(HANG).unwrap().contains("refresh_token=old-refresh"));
        let refreshed = home.run(&["refresh"], "");
        assert_eq!(refreshed.code, Some(0), "{refreshed:?}");
        let second = requests.recv_timeout(HANG).unwrap();
        if !second.contains("refresh_token=new-refresh") {
            lost.push(format!("{name}: the refresh token was dropped: {second}"));
        }
    }
    assert!(lost.is_empty(), "{} lost:\n{}", lost.len(), lost.join("\n"));
}

#[test]
fn a_refresh_token_that_is_none_leaves_the_one_in_use() {
    for none in ["\"\"", "null", "\" \"", "17"] {
        let body = GRANT.replace("\"new-refresh\"", none);
        let replies = vec![response("200 OK", "", &body), response("200 OK", "", GRANT)];
        let (home, requests) = session_at(replies);
        assert_eq!(home.get(), "new-access", "{none}");
        let refreshed = home.run(&["refresh"], "");
        assert_eq!(refreshed.code, Some(0), "{refreshed:?}");
        for _ in 0..2 {
            let request = requests.recv_timeout(HANG).unwrap();
            assert!(request.contains("refresh_token=old-refresh"), "{none}: {request}");
        }
    }
}

#[test]
fn a_reply_without_a_usable_access_token_leaves_its_refresh_token() {
    for (body, words) in [
        (GRANT.replace("Bearer", "mac"), "token_type"),
        (GRANT.replace("Bearer", "DPoP"), "token_type"),
        (GRANT.replace("\"new-access\"", "null"), "access_token"),
        (GRANT.replace("\"new-access\"", "[\"canary\"]"), "access_token"),
        (GRANT.replace("new-access", "can ary"), "access_token"),
        (GRANT.replace("\"access_token\":\"new-access\",", ""), "access_token"),
    ] {
        let (home, requests) = session_at(vec![response("200 OK", "", &body)]);
        let run = home.run(&[], "get\n");
        run.fails(4, &["could not renew", words]);
        assert!(!run.stderr.contains("canary") && !run.stderr.contains("lost"), "{run:?}");
        assert!(requests.recv_timeout(HANG).unwrap().contains("refresh_token=old-refresh"));
        // Nobody asks again at once: the answer is here, and the next would be the same.
        assert_eq!(requests.try_recv(), Err(mpsc::TryRecvError::Empty), "{body}");
        assert_eq!(home.status()["state"], "stale", "{body}");
        let logout = home.run(&["logout"], "");
        assert_eq!(logout.code, Some(0), "{logout:?}");
        let revoked = requests.recv_timeout(HANG).unwrap();
        assert!(revoked.contains("token=new-refresh"), "{body}: {revoked}");
    }
}

/// A session whose token is stale, at a server that answers one request after the other with `replies`,
/// then with the last of them; and the bodies of the requests that it sees.
fn session_at(replies: Vec<Vec<u8>>) -> (Home, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut home = Home::new();
    home.set("DD_SITE", &format!("http://{}", listener.local_addr().unwrap()));
    let tokens =
        "access_token=old-access\nrefresh_token=old-refresh\nclient_id=c\nexpires_at=1000000000\n";
    home.run(&["store"], tokens).succeeds_quietly();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let Some(body) = request_body(&mut stream) else { continue };
            let reply = &replies[number.min(replies.len() - 1)];
            let _ = stream.write_all(reply).and_then(|()| stream.flush());
            if sender.send(body).is_err() {
                return;
            }
        }
    });
    (home, requests)
}

/// The body of a request of known length.
fn request_body(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(HANG)).ok()?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length?.trim().parse().ok()? {
                return Some(body.to_string());
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(more) => request.extend_from_slice(&buffer[..more]),
        }
    }
}

fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A reply with other header lines than usual.
fn head(lines: &str) -> Vec<u8> {
    response("200 OK", lines, GRANT)
}

/// A reply with another body than usual.
fn body(body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", "", body)
}

/// A reply in which one member has another text; `null` and the like are not quoted.
fn member(name: &str, value: &str) -> Vec<u8> {
    let (start, rest) = GRANT.split_once(&format!("\"{name}\":")).unwrap();
    let end = rest.find([',', '}']).unwrap();
    body(format!("{start}\"{name}\":{value}{}", &rest[end..]))
}

/// A reply with one more member in front.
fn with(members: &str) -> Vec<u8> {
    body(GRANT.replacen('{', &format!("{{{members},"), 1))
}

fn shapes() -> Vec<Shape> {
    [statuses(), heads(), encodings(), framings(), bodies(), members()].concat()
}

fn statuses() -> Vec<Shape> {
    vec![
        ("plain", response("200 OK", "", GRANT)),
        ("201 Created", response("201 Created", "", GRANT)),
        ("202 Accepted", response("202 Accepted", "", GRANT)),
        ("203 of a transforming proxy", response("203 Non-Authoritative Information", "", GRANT)),
        ("206 of a cache", response("206 Partial Content", "", GRANT)),
        ("299", response("299 Whatever", "", GRANT)),
        ("no reason phrase", response("200 ", "", GRANT)),
        ("a reason phrase in Latin-1", {
            let plain = response("200 OK", "", GRANT);
            [b"HTTP/1.1 200 \xc4\r\n", &plain[b"HTTP/1.1 200 OK\r\n".len()..]].concat()
        }),
        ("an interim answer before it", {
            [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", &*response("200 OK", "", GRANT)]
                .concat()
        }),
        ("HTTP/1.0", response("200 OK", "", GRANT).splice_version("HTTP/1.0")),
    ]
}

fn heads() -> Vec<Shape> {
    vec![
        ("a blank before the colon", head("X-A : 1\r\n")),
        ("a folded line", head("x-a: 1\r\n  2\r\n")),
        ("a line without a colon", head("garbage\r\n")),
        ("a name with a blank", head("x a: 1\r\n")),
        ("a name with a bracket", head("x[a]: 1\r\n")),
        ("120 headers", head(&"x-a: 1\r\n".repeat(120))),
        ("700 headers", head(&"x-a: 1\r\n".repeat(700))),
        ("a long header", head(&format!("set-cookie: {}\r\n", "x".repeat(16_000)))),
        ("an empty value", head("x-a:\r\n")),
        ("a tab in a value", head("x-a: 1\t2\r\n")),
        ("another content type", head("content-type: text/html; charset=iso-8859-1\r\n")),
        ("no length, and the connection ends", {
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            [head.as_bytes(), GRANT.as_bytes()].concat()
        }),
        ("the length twice, equal", head(&format!("content-length: {}\r\n", GRANT.len()))),
        ("a date that is none", head("date: now\r\nretry-after: later\r\n")),
        ("keep-alive and close", head("connection: keep-alive, close\r\n")),
    ]
}

fn encodings() -> Vec<Shape> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(GRANT.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(GRANT.as_bytes()).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(GRANT.as_bytes()).unwrap();
    let encoded = |encoding: &str, body: &[u8]| {
        response("200 OK", &format!("content-encoding: {encoding}\r\n"), body)
    };
    vec![
        ("gzip that nobody asked for", encoded("gzip", &gzip)),
        ("x-gzip", encoded("x-gzip", &gzip)),
        ("gzip, in chunks", {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n";
            let size = format!("{:x}\r\n", gzip.len());
            [head.as_bytes(), size.as_bytes(), &gzip, b"\r\n0\r\n\r\n"].concat()
        }),
        ("gzip in name only", encoded("gzip", GRANT.as_bytes())),
        ("deflate with a frame", encoded("deflate", &zlib.finish().unwrap())),
        ("deflate without", encoded("deflate", &raw.finish().unwrap())),
        ("identity", encoded("identity", GRANT.as_bytes())),
        ("utf-8 as an encoding", encoded("utf-8", GRANT.as_bytes())),
        ("gzip without its end", encoded("gzip", &gzip[..gzip.len() - 6])),
    ]
}

fn framings() -> Vec<Shape> {
    let chunked = |chunks: &str| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        [head, chunks].concat().into_bytes()
    };
    let size = GRANT.len();
    let short = |missing: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", size + missing);
        [head.as_bytes(), GRANT.as_bytes()].concat()
    };
    vec![
        ("one chunk", chunked(&format!("{size:x}\r\n{GRANT}\r\n0\r\n\r\n"))),
        ("a chunk extension", chunked(&format!("{size:x};a=b\r\n{GRANT}\r\n0\r\n\r\n"))),
        ("a trailer", chunked(&format!("{size:x}\r\n{GRANT}\r\n0\r\nx-a: 1\r\n\r\n"))),
        ("no last chunk", chunked(&format!("{size:x}\r\n{GRANT}\r\n"))),
        ("nothing behind the chunk", chunked(&format!("{size:x}\r\n{GRANT}"))),
        ("a byte less than its length", short(1)),
        ("half of its length", short(size)),
        ("more than its length", {
            let mut reply = response("200 OK", "connection: close\r\n", GRANT);
            reply.extend_from_slice(b"\r\n\r\n");
            reply
        }),
    ]
}

fn bodies() -> Vec<Shape> {
    vec![
        ("a byte order mark", body(format!("\u{feff}{GRANT}"))),
        ("blanks and lines around", body(format!("\r\n \t{GRANT}\r\n\r\n"))),
        ("a guard against scripts", body(format!(")]}}'\n{GRANT}"))),
        ("something behind it", body(format!("{GRANT}<!-- served in 3 ms -->"))),
        ("a second object behind it", body(format!("{GRANT}{{}}"))),
        ("a NUL behind it", body(format!("{GRANT}\0"))),
        ("a comma too many", body(GRANT.replace("\"a b\"}", "\"a b\",}"))),
        ("printed over lines", body(GRANT.replace(',', ",\n    ").replace(':', " : "))),
        ("an ID token of 40 KB", with(&format!("\"id_token\":\"{}\"", "x".repeat(40_000)))),
        (
            "claims with braces in them",
            with(r#""claims":{"a":"}\"]","b":[{"access_token":"no"}]}"#),
        ),
        ("escaped slashes", body(GRANT.replace("new-access", "new\\u002daccess"))),
        ("Latin-1 in a name", {
            let mut reply = with("\"user\":\"J@rg\"");
            let at = reply.iter().position(|byte| *byte == b'@').unwrap();
            reply[at] = 0xf6;
            reply
        }),
        ("a raw line end in a string", with("\"note\":\"a\nb\"")),
        ("an empty error beside it", with("\"error\":\"\"")),
        ("an error that is null", with("\"error\":null")),
    ]
}

fn members() -> Vec<Shape> {
    vec![
        ("no token_type", body(GRANT.replace("\"token_type\":\"Bearer\",", ""))),
        ("an empty token_type", member("token_type", "\"\"")),
        ("token_type null", member("token_type", "null")),
        ("token_type bearer", member("token_type", "\"bearer\"")),
        ("token_type BEARER", member("token_type", "\"BEARER\"")),
        ("token_type with a blank", member("token_type", "\"Bearer \"")),
        ("token_type as a number", member("token_type", "1")),
        ("expires_in as a string", member("expires_in", "\"3600\"")),
        ("expires_in as a float", member("expires_in", "3599.99")),
        ("expires_in negative", member("expires_in", "-1")),
        ("expires_in huge", member("expires_in", "99999999999999999999999999")),
        ("expires_in NaN", member("expires_in", "NaN")),
        ("expires_in Infinity", member("expires_in", "Infinity")),
        ("expires_in in words", member("expires_in", "\"an hour\"")),
        ("expires_in empty", member("expires_in", "\"\"")),
        ("expires_in twice", with("\"expires_in\":10")),
        ("expires_in missing", body(GRANT.replace("\"expires_in\":3600,", ""))),
        ("expires_in as an object", member("expires_in", "{\"s\":1}")),
        ("scope twice", with("\"scope\":\"c\"")),
        ("scope with commas", member("scope", "\"a;b\"").replaced(b"a;b", b"a,b")),
        ("scope as a list", body(GRANT.replace("\"a b\"", "[\"a\",\"b\"]"))),
        ("scope null", member("scope", "null")),
        ("scope that is none", member("scope", "\"\\\\ \\\"\"")),
        ("scope that is not UTF-8", member("scope", "\"a @\"").replaced(b"a @", b"a \xff")),
        ("a line end behind the token", body(GRANT.replace("new-access", "new-access\\n"))),
        ("a raw line end behind the token", body(GRANT.replace("new-access", "new-access\n"))),
        ("blanks around the refresh token", body(GRANT.replace("new-refresh", " new-refresh "))),
        ("the access token twice, equal", with("\"access_token\":\"new-access\"")),
        ("camel case beside it", with("\"accessToken\":\"other\",\"refreshToken\":\"other\"")),
        ("refresh_expires_in", with("\"refresh_expires_in\":0,\"not-before-policy\":0")),
    ]
}

/// Bytes that a text cannot have.
trait Edited {
    fn replaced(self, old: &[u8], new: &[u8]) -> Self;
    fn splice_version(self, version: &str) -> Self;
}

impl Edited for Vec<u8> {
    /// Of equal length, so that the length of the body stays.
    fn replaced(mut self, old: &[u8], new: &[u8]) -> Self {
        assert_eq!(old.len(), new.len());
        let at = self.windows(old.len()).position(|window| window == old).unwrap();
        self[at..at + new.len()].copy_from_slice(new);
        self
    }

    fn splice_version(mut self, version: &str) -> Self {
        self[..version.len()].copy_from_slice(version.as_bytes());
        self
    }
}
