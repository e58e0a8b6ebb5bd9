//! What comes over the loopback callback, from whomever.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use serde_json::json;

use crate::home::{Home, Run, finish, start};
use crate::peers::{Kind, Peer, source};

/// Far longer than an answer takes; whoever waits that long would wait for ever.
const PATIENCE: Duration = Duration::from_mins(1);

/// A login that has printed its address and waits for the callback.
struct Login {
    child: Child,
    address: String,
    port: u16,
}

impl Login {
    fn start(home: &Home) -> Self {
        let mut child = start(home.program(&["login", "--no-browser"]), b"");
        let stderr = child.stderr.as_mut().unwrap();
        // Byte by byte, so that the rest is left to whoever waits for the end.
        let mut line = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" && line.len() < 8192 && stderr.read(&mut byte).unwrap() == 1 {
            line.extend_from_slice(&byte);
        }
        let line = String::from_utf8(line).unwrap();
        let (_, address) =
            line.trim_end().split_once(", open ").unwrap_or_else(|| panic!("{line}"));
        let redirect = parameter(address, "redirect_uri");
        let port = redirect.split_once("127.0.0.1%3A").unwrap().1.split_once("%2F").unwrap().0;
        Self { child, port: port.parse().unwrap(), address: address.to_string() }
    }

    fn state(&self) -> String {
        parameter(&self.address, "state")
    }

    /// The `Host` that a browser sends.
    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes, and takes what is answered. A listener that has heard enough may hang up
    /// before all is sent.
    fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes.as_ref());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, target: &str) -> String {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host()))
    }

    /// As [`Login::get`], and on to where the answer sends the browser.
    fn get_page(&self, target: &str) -> String {
        let answer = self.get(target);
        let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
        self.get(location.unwrap_or_else(|| panic!("{answer}")))
    }

    /// Lets a person finish it in a real browser, and insists that the login succeeds.
    fn complete(self, home: &Home) {
        let browser = source("tests/peers/browser.mjs");
        let arguments = [browser.to_str().unwrap(), self.address.as_str()];
        let browser = finish(start(home.any_program(Path::new("node"), &arguments), b""));
        assert_eq!(browser.code, Some(0), "{browser:?}");
        let run = finish(self.child);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
        assert!(run.stderr.starts_with("dd-oauth: logged in to "), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    }

    fn finish(self) -> Run {
        finish(self.child)
    }
}

/// A parameter of an address, as it is encoded there.
fn parameter(address: &str, name: &str) -> String {
    let (_, query) = address.split_once('?').unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).unwrap().1.to_string()
}

fn status(answer: &str) -> u16 {
    let line = answer.lines().next().unwrap_or_default();
    line.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3)?.parse().ok()).unwrap_or(0)
}

fn exchanges(peer: &Peer) -> usize {
    peer.log().into_iter().filter(|event| event.endpoint == "token").count()
}

#[test]
fn whatever_is_not_the_callback_is_answered_and_changes_nothing() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let login = Login::start(&home);
    let (state, host) = (login.state(), login.host());
    let callback = format!("/oauth/callback?code=stolen&state={state}");
    let with_head =
        |line: &str, head: &str| format!("{line} HTTP/1.1\r\n{head}\r\n\r\n").into_bytes();
    let get = |target: &str| with_head(&format!("GET {target}"), &format!("Host: {host}"));
    let long = "x".repeat(64 * 1024);
    let requests: &[(&str, u16, Vec<u8>)] = &[
        ("wrong state", 400, get("/oauth/callback?code=stolen&state=wrong")),
        ("state cut short", 400, get(&callback[..callback.len() - 1])),
        ("state with more", 400, get(&format!("{callback}x"))),
        ("no state", 400, get("/oauth/callback?code=stolen")),
        ("empty state", 400, get("/oauth/callback?code=stolen&state=")),
        ("no parameters", 400, get("/oauth/callback")),
        ("denial of another login", 400, get("/oauth/callback?error=access_denied&state=wrong")),
        ("repeated state", 400, get(&format!("{callback}&state={state}"))),
        ("wrong and right state", 400, get(&format!("/oauth/callback?state=x&state={state}"))),
        ("repeated code", 400, get(&format!("{callback}&code=other"))),
        ("repeated in disguise", 400, get(&format!("{callback}&c%6fde=other"))),
        ("favicon", 404, get("/favicon.ico")),
        ("root", 404, get("/")),
        ("path with more", 404, get(&callback.replace("callback", "callback/"))),
        ("path in disguise", 404, get(&callback.replace("/oauth", "//oauth"))),
        ("path with dots", 404, get(&callback.replace("/oauth", "/x/../oauth"))),
        ("whole address", 404, get(&format!("http://{host}{callback}"))),
        (
            "POST",
            405,
            with_head(&format!("POST {callback}"), &format!("Host: {host}\r\nContent-Length: 0")),
        ),
        ("HEAD", 405, with_head(&format!("HEAD {callback}"), &format!("Host: {host}"))),
        ("OPTIONS", 405, with_head(&format!("OPTIONS {callback}"), &format!("Host: {host}"))),
        ("foreign host", 421, with_head(&format!("GET {callback}"), "Host: evil.example.org")),
        (
            "localhost",
            421,
            with_head(&format!("GET {callback}"), &format!("Host: localhost:{}", login.port)),
        ),
        ("host without port", 421, with_head(&format!("GET {callback}"), "Host: 127.0.0.1")),
        ("no host", 421, with_head(&format!("GET {callback}"), "Accept: */*")),
        (
            "two hosts",
            421,
            with_head(&format!("GET {callback}"), &format!("Host: {host}\r\nHost: {host}")),
        ),
        ("garbage", 400, b"\x00\xff garbage \xfe\r\n\r\n".to_vec()),
        ("a TLS greeting", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/2", 400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("over-long line", 414, get(&format!("{callback}&x={long}"))),
        (
            "over-long head",
            431,
            with_head(&format!("GET {callback}"), &format!("Host: {host}\r\nX: {long}")),
        ),
        (
            "many headers",
            431,
            with_head(
                &format!("GET {callback}"),
                &format!("Host: {host}{}", "\r\nX: y".repeat(200)),
            ),
        ),
        ("nothing", 0, Vec::new()),
        ("half a request", 0, b"GET /oauth/callback?co".to_vec()),
    ];
    for (name, expected, request) in requests {
        let answer = login.send(request);
        assert_eq!(status(&answer), *expected, "{name}: {answer}");
        let shown = answer.contains(&state) || answer.contains("stolen");
        assert!(!shown, "{name}: {answer}");
    }
    assert_eq!(exchanges(&peer), 0, "none of them had a code sent");
    login.complete(&home);
    assert!(peer.accepts(&home.get()));
    assert_eq!(exchanges(&peer), 1);
}

#[test]
fn a_silent_connection_holds_up_nobody() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    let login = Login::start(&home);
    let mut silent: Vec<_> = (0..20).map(|_| login.connect()).collect();
    for stream in silent.iter_mut().take(10) {
        stream.write_all(b"GET /oauth/callback?code=").unwrap();
    }
    login.complete(&home);
    drop(silent);
    assert!(peer.accepts(&home.get()));
}

#[test]
fn connections_that_fill_the_listener_are_let_go_after_a_while() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let login = Login::start(&home);
    let silent: Vec<_> = (0..100).map(|_| login.connect()).collect();
    login.complete(&home);
    drop(silent);
    assert!(peer.accepts(&home.get()));
}

#[test]
fn a_redirect_with_the_wrong_state_leaves_the_login_waiting_for_the_right_one() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = Home::at(&peer);
        let login = Login::start(&home);
        peer.set(&json!({"callback": {"state": "forged"}}));
        let browser = source("tests/peers/browser.mjs");
        let arguments = [browser.to_str().unwrap(), login.address.as_str()];
        finish(start(home.any_program(Path::new("node"), &arguments), b""));
        let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
        assert!(log.ends_with("callback 400\n"), "{log}");
        assert_eq!(exchanges(&peer), 0);
        peer.set(&json!({"callback": {}}));
        login.complete(&home);
        assert!(peer.accepts(&home.get()));
    }
}

#[test]
fn a_callback_without_a_usable_code_ends_the_login_with_a_clear_line() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let (kept, stored) = (home.get(), home.stored());
    let long = "x".repeat(10_000);
    let cases: &[(&str, i32, &[&str])] = &[
        ("", 3, &["neither a code nor an error"]),
        ("code=made-up", 3, &["not exchanged", "invalid_grant"]),
        ("code=a%0d%0ab%00", 3, &["not exchanged", "invalid_grant"]),
        ("code=made-up&error=access_denied", 3, &["refused", "access_denied"]),
        ("error=%3Cscript%3E&error_description=a%0D%0Ab%1B[31m", 3, &["<script>", "a  b"]),
        (&format!("error={long}&error_description="), 3, &["refused: xxx"]),
        ("code=made-up&iss=https%3A%2F%2Fevil.example.org", 6, &["issuer", "evil.example.org"]),
        ("code=made-up&iss=a%0D%0A%1B[31mb", 6, &["issuer"]),
    ];
    for (query, code, words) in cases {
        let login = Login::start(&home);
        let answer = login.get_page(&format!("/oauth/callback?state={}&{query}", login.state()));
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains("Not logged in") && !answer.contains("<script>"), "{answer}");
        let run = login.finish();
        run.fails(*code, words);
        let line = run.stderr.trim_end_matches('\n');
        assert!(line.len() < 1000 && !line.contains(char::is_control), "{run:?}");
        assert_eq!(home.stored(), stored);
        assert_eq!(home.get(), kept);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let first = Login::start(&home);
    // Another organization, as two logins to the same session would wait for each other.
    let second = home.run(&["login", "--no-browser", "--org", "other"], "");
    second.fails(1, &[&first.port.to_string(), "--callback-port"]);
    first.complete(&home);
}
