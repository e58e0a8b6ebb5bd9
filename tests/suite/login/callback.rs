//! What comes over the loopback callback, from whomever.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use serde_json::json;

use crate::support::home::Home;
use crate::support::login::{Login, status};
use crate::support::peers::{Kind, Peer, source};
use crate::support::process::{finish, start};

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
fn connections_that_fill_the_listener_have_to_go() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let login = Login::start(&home);
    let silent: Vec<_> = (0..200).map(|_| login.connect()).collect();
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

/// What another program of this machine, or a page in the browser, does to a login that waits.
fn attack(login: &Login) -> Vec<TcpStream> {
    let (state, host) = (login.state(), login.host());
    let request =
        |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let callback = format!("/oauth/callback?code=stolen&state={state}");
    let mut answers = vec![
        (400, login.get("/oauth/callback?code=stolen&state=guessed")),
        (400, login.get("/oauth/callback?code=stolen&state=")),
        // Its own login at Datadog, whose code it would have us take.
        (400, login.get("/oauth/callback?code=attacker&state=attacker&dd_org_name=Attacker")),
        (400, login.get("/oauth/callback?error=%3Cscript%3E&state=guessed")),
        (404, login.get("/oauth/done/guessed")),
        (404, login.get("/%3Cscript%3Ealert(1)%3C/script%3E")),
        // A page whose name was rebound to 127.0.0.1 knows the state where it read the address.
        (421, login.send(request(&callback, "evil.example.org"))),
        (421, login.send(request(&callback, &format!("evil.example.org:{}", login.port)))),
        (421, login.send(request(&callback, &format!("localhost:{}", login.port)))),
        (405, login.send(format!("POST {callback} HTTP/1.1\r\nHost: {host}\r\n\r\n"))),
        (414, login.send(vec![b'A'; 1024 * 1024])),
        (414, login.send(request(&format!("{callback}&x={}", "y".repeat(1024 * 1024)), &host))),
    ];
    // Half a request, one byte of one, and nothing at all: a thousand times.
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut stream = login.connect();
        let begun: &[u8] = [b"GET /oauth/callback?state=" as &[u8], b"G", b""][number % 3];
        let _ = stream.write_all(begun);
        idle.push(stream);
    }
    answers.push((404, login.get("/favicon.ico")));
    for (expected, answer) in answers {
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(!answer.contains("<script>") && !answer.contains("stolen"), "{answer}");
        assert!(!answer.contains(&state), "{answer}");
    }
    idle
}

#[test]
fn a_hostile_program_and_a_hostile_page_neither_stop_a_login_nor_get_anything() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = Home::at(&peer);
        let login = Login::start(&home);
        let idle = attack(&login);
        assert_eq!(exchanges(&peer), 0, "no code of theirs was sent to anybody");
        login.complete(&home);
        assert!(peer.accepts(&home.get()));
        assert_eq!(exchanges(&peer), 1);
        for mut stream in idle {
            let mut answer = Vec::new();
            let ended = std::io::Read::read_to_end(&mut stream, &mut answer);
            let waited = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
            assert!(!waited, "an idle connection ends with the login");
            assert_eq!(answer, b"", "an idle connection hears nothing");
        }
    }
}

#[test]
fn values_of_the_callback_become_text_on_the_page_and_on_the_terminal() {
    let script = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let fields = ["dd_org_name", "dd_oid", "domain", "site"];
    let callback: serde_json::Map<_, _> =
        fields.iter().map(|field| ((*field).to_string(), json!(script))).collect();
    peer.set(&json!({"callback": callback}));
    let login = Login::start(&home);
    let redirect = login.redirected(&home);
    let (_, query) = redirect.split_once('?').unwrap();
    let page = login.get_page(&format!("/oauth/callback?{query}"));
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Security-Policy: default-src 'none'"), "{head}");
    assert!(body.contains("Logged in") && body.contains("&lt;script&gt;"), "{body}");
    assert!(!body.contains("<script") && !body.contains("<img"), "{body}");
    assert!(!page.contains("code=") && !page.contains(&login.state()), "{page}");
    assert_eq!(login.finish().code, Some(0));
    assert_eq!(home.status()["org"], script);
}
