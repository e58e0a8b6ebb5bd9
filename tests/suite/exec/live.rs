//! `exec --live`: a proxy with a fresh token on every request, for one program and for its life.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::deadline::{HANG, accept, connect, eventually};
use crate::support::home::Home;
#[cfg(target_os = "linux")]
use crate::support::keyring::Keyring;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Process, succeed};
use crate::support::terminal::on_a_terminal;

/// A program under `exec --live` that tells what it was given, and ends with its standard input.
struct Live {
    program: Process,
    /// `127.0.0.1:PORT`.
    address: String,
    credential: String,
}

impl Live {
    fn start(home: &Home) -> Self {
        let script = "echo \"$DD_HOST\"; echo \"$DD_BEARER_TOKEN\"; cat >/dev/null";
        let mut program =
            Process::spawn(&mut home.program(&["exec", "--live", "--", "sh", "-c", script]));
        let mut line = || program.line().expect("it starts");
        let (url, credential) = (line(), line());
        let address = url.strip_prefix("http://").unwrap().to_string();
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        Self { program, address, credential }
    }

    fn connect(&self) -> TcpStream {
        connect(self.address.split_once(':').unwrap().1.parse().unwrap())
    }

    /// The head of a request that is let through.
    fn head(&self, line: &str, more: &str) -> String {
        let Self { address, credential, .. } = self;
        format!(
            "{line} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {credential}\r\n{more}\r\n"
        )
    }

    /// Sends `text` and reads until the connection is closed.
    fn ask(&self, text: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// One request on a connection of its own.
    fn request(&self, line: &str, more: &str) -> String {
        self.ask(&self.head(line, &format!("Connection: close\r\n{more}")))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        // It ends with its input. If the test has failed, it is not waited for.
        if !std::thread::panicking() {
            self.program.wait();
        }
    }
}

/// An API in which a test reads and writes the bytes itself, and a home with a session there.
struct Api(TcpListener);

impl Api {
    fn start() -> (Self, Home) {
        let api = Self(TcpListener::bind("127.0.0.1:0").unwrap());
        let mut home = Home::new();
        home.set("DD_SITE", &format!("http://{}", api.0.local_addr().unwrap()));
        home.run(&["store"], "access_token=canary-token\nexpires_in=31536000\n").succeeds_quietly();
        (api, home)
    }

    /// The next connection, and the head of its first request.
    fn accept(&self) -> (BufReader<TcpStream>, String) {
        let mut stream = BufReader::new(accept(&self.0));
        let head = read_head(&mut stream);
        (stream, head)
    }
}

fn read_head(stream: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "it ended in its head: {head}");
    }
    head
}

fn read_exactly(stream: &mut impl Read, length: usize) -> String {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Nobody listens there.
fn is_closed(address: &str) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn the_program_reaches_the_api_and_never_has_the_token() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    let token = home.get();
    let script = "env; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; \
        printf 'Authorization: Bearer %s' \"$DD_BEARER_TOKEN\" | curl -sSf -H @- \"$DD_HOST/api/v2/current_user\"";
    let run = home.run(&["exec", "--live", "--", "sh", "-c", script], "");
    run.succeeds_quietly();
    assert!(run.stdout.ends_with('}') && run.stdout.contains("\"users\""), "{run:?}");
    assert!(run.stdout.contains("DD_OAUTH_EXEC=1"), "{run:?}");
    assert!(!run.stdout.contains(&token), "{run:?}");
}

#[test]
fn what_is_not_of_the_program_is_refused() {
    let (api, home) = Api::start();
    let live = Live::start(&home);
    let Live { address, credential, .. } = &live;
    let authorization = format!("Authorization: Bearer {credential}");
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n"), 401),
        (format!("GET / HTTP/1.1\r\nHost: {address}\r\n{authorization}x\r\n\r\n"), 401),
        (format!("GET / HTTP/1.1\r\nHost: evil.example.org\r\n{authorization}\r\n\r\n"), 421),
        (format!("GET / HTTP/1.1\r\n{authorization}\r\n\r\n"), 421),
        (live.head(&format!("CONNECT {address}"), ""), 501),
        (live.head(&format!("GET http://{address}/"), ""), 400),
        (live.head("POST /", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
        (live.head("POST /", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), 400),
        (live.head("POST /", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (live.head("GET /", &format!("X: {}\r\n", "x".repeat(100_000))), 431),
        ("\u{16}\u{3}\u{1}\u{0}\r\n\r\n".into(), 400),
    ] {
        let answer = live.ask(&request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(!answer.contains("canary"), "{answer}");
    }
    // Nothing of that reached the API, which sees this as its first connection.
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| live.request("GET /first", ""));
        let (mut stream, head) = api.accept();
        assert!(head.starts_with("GET /first HTTP/1.1\r\n"), "{head}");
        stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        asked.join().unwrap()
    });
    assert!(asked.starts_with("HTTP/1.1 204 No Content\r\n"), "{asked}");
}

#[test]
fn requests_and_answers_keep_what_they_mean() {
    let (api, home) = Api::start();
    let live = Live::start(&home);
    let origin = format!("http://{}", api.0.local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, head) = api.accept();
            assert!(head.starts_with("PUT /a//b?c=%2F&d=e+f HTTP/1.1\r\n"), "{head}");
            let head = head.to_lowercase();
            assert!(head.contains("\r\nauthorization: bearer canary-token\r\n"), "{head}");
            assert!(head.contains(&format!("\r\nhost: {}\r\n", &origin["http://".len()..])));
            assert!(head.contains("\r\nx-twice: 1\r\nx-twice: 2\r\n"), "{head}");
            assert!(head.contains("\r\ncontent-length: 5\r\n"), "{head}");
            assert!(head.contains("\r\nvia: 1.1 dd-oauth\r\n"), "{head}");
            assert!(!head.contains(&live.credential) && !head.contains("x-mine"), "{head}");
            assert!(!head.contains("keep-alive"), "{head}");
            assert_eq!(read_exactly(&mut stream, 5), "12345");
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {origin}/next?x\r\nSet-Cookie: a=1\r\n\
                Set-Cookie: b=2\r\nKeep-Alive: timeout=5\r\nContent-Length: 4\r\n\r\nmore"
            );
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            // The connection is used again, for what has no body though it has a length.
            let head = read_head(&mut stream);
            assert!(head.starts_with("HEAD /h HTTP/1.1\r\n"), "{head}");
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").unwrap();
        });
        let mut stream = BufReader::new(live.connect());
        let more = "X-Twice: 1\r\nX-Twice: 2\r\nX-Mine: 1\r\nConnection: x-mine, keep-alive\r\n\
            Keep-Alive: 5\r\nContent-Length: 5\r\n";
        let request =
            live.head("PUT /a//b?c=%2F&d=e+f", more) + "12345" + &live.head("HEAD /h", "");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let answer = read_head(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 302 Found\r\n"), "{answer}");
        assert!(answer.contains(&format!("\r\nlocation: http://{}/next?x\r\n", live.address)));
        assert!(answer.contains("\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"), "{answer}");
        assert!(!answer.contains("keep-alive") && !answer.contains("connection"), "{answer}");
        assert_eq!(read_exactly(&mut stream, 4), "more");
        let answer = read_head(&mut stream);
        assert!(answer.contains("\r\ncontent-length: 9\r\n"), "{answer}");
    });
}

#[test]
fn bodies_pass_in_both_directions_as_they_come() {
    let (api, home) = Api::start();
    let live = Live::start(&home);
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        scope.spawn(move || {
            let (mut stream, head) = api.accept();
            assert!(head.to_lowercase().contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
            assert_eq!(read_exactly(&mut stream, 8), "3\r\none\r\n");
            tell.send(()).unwrap();
            // The answer begins while the request still comes in.
            let begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nuno\r\n";
            stream.get_mut().write_all(begin.as_bytes()).unwrap();
            assert_eq!(read_exactly(&mut stream, 13), "3\r\ntwo\r\n0\r\n\r\n");
            stream.get_mut().write_all(b"3\r\ndos\r\n0\r\n\r\n").unwrap();
        });
        let mut stream = BufReader::new(live.connect());
        let head = live.head("POST /", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n");
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        assert_eq!(read_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
        stream.get_mut().write_all(b"3;x=y\r\none\r\n").unwrap();
        told.recv_timeout(HANG).unwrap();
        let head = read_head(&mut stream);
        assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
        assert_eq!(read_exactly(&mut stream, 8), "3\r\nuno\r\n");
        stream.get_mut().write_all(b"3\r\ntwo\r\n0\r\nX: y\r\n\r\n").unwrap();
        assert_eq!(read_exactly(&mut stream, 13), "3\r\ndos\r\n0\r\n\r\n");
    });
}

#[test]
fn an_answer_that_is_cut_short_is_seen_to_be() {
    let (api, home) = Api::start();
    let live = Live::start(&home);
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let received = std::thread::scope(|scope| {
            scope.spawn(|| api.accept().0.get_mut().write_all(answer.as_bytes()).unwrap());
            live.request("POST /", "")
        });
        assert!(received.contains("half") && !received.contains("\r\n0\r\n"), "{received}");
    }
}

#[test]
fn a_request_that_is_given_up_is_given_up_at_the_api() {
    let (api, home) = Api::start();
    let live = Live::start(&home);
    for head in [live.head("GET /", ""), live.head("POST /", "Content-Length: 9\r\n") + "half"] {
        let mut stream = live.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let (mut upstream, _) = api.accept();
        drop(stream);
        // Ended or reset, but not kept waiting.
        let ended = upstream.read_to_end(&mut Vec::new());
        let waited = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waited, "{head}");
    }
}

#[test]
fn an_answer_that_does_not_come_is_asked_for_again_only_where_that_does_no_harm() {
    let (api, home) = Api::start();
    let live = Live::start(&home);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(api.accept());
            let (mut stream, _) = api.accept();
            // So that the next request needs a connection of its own.
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            drop(stream);
            drop(api.accept());
        });
        let answer = live.request("GET /", "");
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        let answer = live.request("POST /", "Content-Length: 1\r\n\r\nx");
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(
            answer.contains("{\"errors\":[\"dd-oauth: the API gave no whole answer"),
            "{answer}"
        );
    });
    drop(api);
    let answer = live.request("GET /", "");
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("could not reach"), "{answer}");
}

#[cfg(feature = "test-clock")]
#[test]
fn a_401_renews_once_and_repeats_what_may_be_repeated() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    home.log_in();
    home.run(&["store"], "access_token=of-another-server\nexpires_in=3600\n").succeeds_quietly();
    // So new a token was not rejected for its age.
    let live = Live::start(&home);
    let answer = live.request("GET /api/v2/current_user", "");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("Unauthorized"), "{answer}");
    assert_eq!(peer.refreshes().len(), 0);
    drop(live);
    home.set("DD_OAUTH_TEST_CLOCK", "60000");
    let live = Live::start(&home);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || live.request("GET /api/v2/current_user", "");
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(peer.refreshes().len(), 1);
}

#[cfg(feature = "test-clock")]
#[test]
fn a_401_to_what_may_not_be_repeated_helps_the_next_request() {
    let (api, mut home) = Api::start();
    let tokens = "access_token=old\nexpires_in=3600\nrefresh_token=r\nclient_id=c\n";
    home.run(&["store"], tokens).succeeds_quietly();
    home.set("DD_OAUTH_TEST_CLOCK", "60000");
    let live = Live::start(&home);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, head) = api.accept();
            assert!(head.to_lowercase().contains("bearer old"), "{head}");
            let unauthorized = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nmine";
            stream.get_mut().write_all(unauthorized).unwrap();
            let (mut token, head) = api.accept();
            assert!(head.starts_with("POST /oauth2/v1/token "), "{head}");
            let body = r#"{"access_token":"new","token_type":"Bearer","expires_in":3600}"#;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            token.get_mut().write_all(answer.as_bytes()).unwrap();
            let head = read_head(&mut stream);
            assert!(head.to_lowercase().contains("bearer new"), "{head}");
            stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        });
        let answer = live.request("POST /", "Content-Length: 0\r\n");
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.ends_with("mine"), "{answer}");
        let answer = live.request("POST /", "Content-Length: 0\r\n");
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    });
}

#[test]
fn a_session_that_ends_under_way_is_told_in_the_form_of_the_api() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let live = Live::start(&home);
    home.run(&["erase"], "");
    let answer = live.request("GET /api/v2/current_user", "");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert!(body["errors"][0].as_str().unwrap().contains("dd-oauth login"), "{body}");
}

#[test]
fn tokens_run_out_and_no_request_fails() {
    let peer = Peer::start_with(Kind::Demo, &["--access-ttl", "5"]);
    let home = Home::at(&peer);
    let started = Instant::now();
    home.log_in();
    let live = Live::start(&home);
    std::thread::scope(|scope| {
        let client = || {
            eventually("a third refresh", || {
                let answer = live.request("GET /api/v2/current_user", "");
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                std::thread::sleep(Duration::from_millis(20));
                peer.refreshes().len() >= 3
            });
        };
        for _ in 0..8 {
            scope.spawn(client);
        }
    });
    // One for each opening of the renewal window, 3.75 s after the token came.
    let openings = started.elapsed().as_millis() / 3750;
    let refreshes = peer.refreshes();
    assert!(refreshes.len() as u128 <= openings + 1, "{refreshes:?} in {:?}", started.elapsed());
    assert!(refreshes.iter().all(|refresh| refresh.status == 200), "{refreshes:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_keychain_that_locks_under_way_fails_no_request() {
    let peer = Peer::start_with(Kind::Demo, &["--access-ttl", "5"]);
    let mut home = Home::at(&peer);
    let keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "off");
    home.log_in();
    let live = Live::start(&home);
    let ask = || {
        let answer = live.request("GET /api/v2/current_user", "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    ask();
    keyring.lock(&home);
    home.run(&["get"], "").fails(5, &["locked"]);
    // The first may have begun before.
    let renewed = peer.refreshes().len() + 2;
    eventually("a renewal while the keychain is locked", || {
        ask();
        peer.refreshes().len() >= renewed
    });
    ask();
}

#[test]
fn the_proxy_ends_with_its_program_however_that_ends() {
    let (_api, home) = Api::start();
    let live = Live::start(&home);
    let address = live.address.clone();
    drop(live);
    eventually("the end of the proxy", || is_closed(&address));

    for signal in [2, 9, 15] {
        let mut live = Live::start(&home);
        let address = live.address.clone();
        let id = live.program.id().to_string();
        succeed(Command::new("kill").args([&format!("-{signal}"), &id]));
        assert_eq!(live.program.wait().signal(), Some(signal));
        eventually("the end of the proxy", || is_closed(&address));
    }

    // One that forks: what it leaves behind does not keep the proxy.
    let script = "echo $DD_HOST; sleep 30 >/dev/null 2>&1 & echo $!";
    let run = home.run(&["exec", "--live", "--", "sh", "-c", script], "");
    let mut lines = run.stdout.lines();
    let address = lines.next().unwrap().strip_prefix("http://").unwrap();
    eventually("the end of the proxy", || is_closed(address));
    succeed(Command::new("kill").arg(lines.next().unwrap()));
}

#[test]
fn the_program_is_alone_with_its_caller() {
    let (_api, home) = Api::start();
    for code in [0, 1, 42] {
        let script =
            format!("ps -o pid= --ppid $$ | grep -vc \"$(ps -o pid= -C ps)\"; exit {code}");
        let run = home.run(&["exec", "--live", "--", "sh", "-c", &script], "");
        assert_eq!(run.code, Some(code), "{run:?}");
    }
    // It waits for all of its children, and the proxy is none.
    let script = "import os\ntry:\n  os.wait()\nexcept ChildProcessError:\n  print('none')";
    let run = home.run(&["exec", "--live", "--", "python3", "-c", script], "");
    assert_eq!(run.stdout, "none\n", "{run:?}");
    // The proxy holds none of its streams, nor what its caller left open.
    let dd_oauth = env!("CARGO_BIN_EXE_dd-oauth");
    let script = format!(
        "exec {dd_oauth} exec --live -- sh -c 'exec >&- 2>&- 8>&-; read -r line; exit 42' 8>held"
    );
    let mut caller = Process::spawn(&mut home.any_program(Path::new("sh"), &["-c", &script]));
    // Ends before the program does.
    caller.output();
    assert!(caller.try_wait().unwrap().is_none());
    caller.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(caller.wait().code(), Some(42));
}

#[test]
fn ctrl_c_reaches_the_program_and_leaves_it_its_proxy() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let dd_oauth = env!("CARGO_BIN_EXE_dd-oauth");
    // What it does last, as Terraform does, it does through the proxy.
    let last = "curl -sS -o /dev/null -w \"%{http_code}\\n\" -H \"Authorization: Bearer $DD_BEARER_TOKEN\" \
        $DD_HOST/api/v2/current_user; exit 7";
    let waiting = "echo ready; while :; do read -r line; done";
    let script = home.path().join("program");
    std::fs::write(&script, format!("trap '{last}' INT; {waiting}")).unwrap();
    let command = format!("exec {dd_oauth} exec --live -- sh {}", script.display());
    let run = on_a_terminal(&home, &command, b"\x03");
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.stdout.contains("200"), "{run:?}");
}

#[test]
fn without_a_token_there_is_no_program() {
    let home = Home::new();
    let run = home.run(&["exec", "--live", "--", "echo", "started"], "");
    run.fails(125, &["dd-oauth login", "(code 3)"]);
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    peer.fault(&json!({"endpoint": "token", "kind": "status", "status": 503}));
    home.run(&["exec", "--live", "--", "echo", "started"], "").fails(125, &["503", "(code 4)"]);
}

#[test]
fn a_token_from_outside_is_put_on_every_request_as_it_is_then() {
    let (api, _) = Api::start();
    let mut home = Home::new();
    let site = format!("http://{}", api.0.local_addr().unwrap());
    let configuration = home.configuration();
    std::fs::create_dir_all(&configuration).unwrap();
    let trusted = format!("trusted_sites = ['{site}']");
    std::fs::write(configuration.join("config.toml"), trusted).unwrap();
    let file = home.path().join("token");
    home.set("DD_SITE", &site).set("DD_OAUTH_TOKEN_FILE", file.to_str().unwrap());
    std::fs::write(&file, "first").unwrap();
    let live = Live::start(&home);
    for token in ["first", "second"] {
        std::fs::write(&file, token).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, head) = api.accept();
                assert!(head.to_lowercase().contains(&format!("bearer {token}\r\n")), "{head}");
                let end = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                stream.get_mut().write_all(end).unwrap();
            });
            live.request("GET /", "");
        });
    }
}
