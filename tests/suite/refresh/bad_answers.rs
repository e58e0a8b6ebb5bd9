//! A token endpoint that answers a refresh with something else than a token response.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

/// Longer than the wait that a first failure prescribes, shorter than the life of a token.
const LATER: Duration = Duration::from_secs(10);

/// A session at a server of its own.
fn logged_in() -> (Peer, Home) {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    (peer, home)
}

/// Answers refreshes with `answer` instead of acting on them.
fn answer_with(peer: &Peer, answer: &Value) {
    let mut answer = answer.clone();
    answer["endpoint"] = json!("token");
    answer["grant"] = json!("refresh_token");
    if answer["kind"].is_null() {
        answer["kind"] = json!("status");
    }
    peer.fault(&answer);
}

/// Makes refreshes fail with `answer`, and insists on a clear failure after `requests` that costs
/// nothing: once the server is mended, the session goes on.
fn fails_and_survives(peer: &Peer, home: &Home, answer: &Value, requests: usize, words: &[&str]) {
    home.make_stale();
    let stored = home.stored();
    let before = peer.refreshes().len();
    answer_with(peer, answer);
    let run = home.run(&[], "get\n");
    run.fails(4, &["could not renew", "the next attempt"]);
    run.fails(4, words);
    assert!(!run.stderr.contains("canary"), "{run:?}");
    assert_eq!(peer.refreshes().len() - before, requests, "{answer}");
    assert_eq!(home.stored(), stored, "{answer}");

    peer.mend();
    let recovered = home.run_later(LATER, &[], "get\n");
    recovered.succeeds_quietly();
    assert!(peer.accepts(&recovered.value("access_token")), "{answer}");
}

#[test]
fn an_answer_that_is_no_token_response_costs_no_session() {
    let (peer, home) = logged_in();
    for body in [
        "",
        "<!doctype html><title>canary</title>",
        "canary",
        "{",
        "{}",
        "[]",
        "null",
        r#""canary""#,
        r#"["canary", "Bearer", "canary"]"#,
        r#"{"token_type":"Bearer","expires_in":3600}"#,
        r#"{"access_token":5,"token_type":"Bearer"}"#,
        r#"{"access_token":"","token_type":"Bearer"}"#,
        r#"{"access_token":"canary canary","token_type":"Bearer"}"#,
        r#"{"access_token":"canary\ncanary","token_type":"Bearer"}"#,
        r#"{"access_token":"canary\u0000","token_type":"Bearer"}"#,
        r#"{"access_token":"canary","token_type":"mac"}"#,
    ] {
        let answer = json!({"status": 200, "body": body, "content_type": "text/html"});
        // The server may have acted, so the request is repeated once.
        fails_and_survives(&peer, &home, &answer, 2, &["not a token response"]);
    }
    // An error is an answer, whatever status is beside it.
    let answer = json!({"status": 200, "body": r#"{"error":"invalid_grant"}"#});
    fails_and_survives(&peer, &home, &answer, 1, &["declined with status 200: invalid_grant"]);
}

#[test]
fn an_error_that_the_endpoint_did_not_mean_costs_no_session() {
    let (peer, home) = logged_in();
    for (status, body) in [
        (400, ""),
        (400, "<html>canary</html>"),
        (400, "{}"),
        (400, r#"{"error":5}"#),
        (400, r#"["invalid_grant"]"#),
        (401, "<html>log in to this proxy, canary</html>"),
        (403, "canary"),
        (404, "<html>canary</html>"),
        (418, "canary"),
    ] {
        let answer = json!({"status": status, "body": body, "content_type": "text/html"});
        fails_and_survives(&peer, &home, &answer, 1, &[&status.to_string()]);
    }
    let body = r#"{"error":"invalid_request","error_description":"line\r\nbreak\u001b[31m"}"#;
    let answer = json!({"status": 400, "body": body});
    fails_and_survives(&peer, &home, &answer, 1, &["invalid_request", "line"]);
}

#[test]
fn an_error_without_a_rule_of_its_own_keeps_its_status_and_its_wait() {
    let (peer, home) = logged_in();
    home.make_stale();
    let answer = json!({"status": 403, "headers": {"Retry-After": "200"},
        "body": r#"{"error":"temporarily_unavailable"}"#});
    answer_with(&peer, &answer);
    let words = ["status 403: temporarily_unavailable", "the next attempt is made in 200 s"];
    home.run(&[], "get\n").fails(4, &words);
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let (peer, home) = logged_in();
    fails_and_survives(&peer, &home, &json!({"kind": "endless"}), 2, &["more than", "bytes"]);
    let body = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(300 * 1024));
    let answer = json!({"status": 200, "body": body});
    fails_and_survives(&peer, &home, &answer, 2, &["more than", "bytes"]);
}

#[test]
fn a_token_with_life_left_is_answered_whatever_the_server_says() {
    let (peer, home) = logged_in();
    let token = home.get();
    let stored = home.stored();
    // Less is left than a request usually wishes for.
    let nearly_over = Duration::from_secs(3600 - 30);
    answer_with(&peer, &json!({"status": 200, "body": "<html>canary</html>"}));
    let run = home.run_later(nearly_over, &[], "get\n");
    assert_eq!((run.code, run.value("access_token")), (Some(0), token), "{run:?}");
    assert!(run.stderr.starts_with("dd-oauth: warning: "), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(run.stderr.contains("not a token response") && !run.stderr.contains("canary"));
    assert_eq!(home.stored(), stored);
}

#[test]
fn a_refresh_token_never_follows_a_redirect() {
    let (peer, home) = logged_in();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = format!("http://{}/oauth2/v1/token", elsewhere.local_addr().unwrap());
    for answer in [
        json!({"kind": "redirect", "location": location}),
        json!({"status": 301, "headers": {"location": location}}),
        json!({"status": 302, "headers": {"location": location}}),
        json!({"status": 303, "headers": {"location": location}}),
        json!({"status": 308, "headers": {"location": location}}),
        json!({"status": 307, "headers": {"location": "/oauth2/v1/token"}}),
    ] {
        fails_and_survives(&peer, &home, &answer, 1, &["redirect", "never followed"]);
    }
    let visitor = elsewhere.accept().unwrap_err();
    assert_eq!(visitor.kind(), ErrorKind::WouldBlock, "nobody came along the redirect");
}

#[test]
fn bytes_that_are_no_http_cost_no_session() {
    let flood = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    for bytes in [
        "",
        "SSH-2.0-canary\r\n",
        "HTTP/1.1 999999 canary\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":\"canary\"",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\ncanary",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\ncanary\r\n",
        &flood,
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = format!("http://{}", listener.local_addr().unwrap());
        let mut home = Home::new();
        home.set("DD_SITE", &site);
        let tokens = "access_token=a\nrefresh_token=r\nclient_id=c\nexpires_at=1000000000\n";
        home.run(&["store"], tokens).succeeds_quietly();
        let stored = home.stored();
        let answer = bytes.to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let run = home.run(&[], "get\n");
        run.fails(4, &["could not renew", "no whole answer"]);
        assert!(!run.stderr.contains("canary"), "{run:?}");
        assert_eq!(home.stored(), stored);
        assert_eq!(home.status()["state"], "stale");
    }
}

#[test]
fn a_lifetime_that_makes_no_sense_counts_as_a_quarter_of_an_hour() {
    let (peer, home) = logged_in();
    for (expires_in, lifetime) in [
        (json!("7200"), 7200),
        (json!(7200.9), 7200),
        (Value::Null, 900),
        (json!("soon"), 900),
        (json!(""), 900),
        (json!(0), 900),
        (json!(-3600), 900),
        (json!(u64::MAX), 900),
        (json!(1e300), 900),
        (json!("1e400"), 900),
        (json!(true), 900),
        (json!([3600]), 900),
        (json!({"seconds": 3600}), 900),
    ] {
        home.make_stale();
        let fault = json!({"endpoint": "token", "kind": "patch", "times": 1,
            "patch": {"expires_in": expires_in}});
        peer.fault(&fault);
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let answer = home.run(&[], "get\n");
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        answer.succeeds_quietly();
        assert!(peer.accepts(&answer.value("access_token")));
        let expires: u64 = answer.value("expires_at").parse().unwrap();
        assert!((before + lifetime..=after + lifetime).contains(&expires), "{expires_in}");
    }
    // The chain of refresh tokens is whole after all of that.
    assert_eq!(home.run(&["refresh"], "").code, Some(0));
    assert!(peer.accepts(&home.get()));
}

#[test]
fn a_slip_beside_the_tokens_costs_no_session() {
    let (peer, home) = logged_in();
    let scopes = home.status()["scopes"].clone();
    for patch in [
        json!({"token_type": null}),
        json!({"token_type": "BEARER"}),
        json!({"scope": null}),
        json!({"scope": ""}),
        json!({"scope": "a\u{0}\"b"}),
        json!({"scope": ["metrics_read"]}),
        json!({"scope": 5}),
        json!({"surprise": {"deeply": [1, 2, 3]}}),
        json!({"id_token": 5, "error": "none"}),
    ] {
        home.make_stale();
        peer.fault(&json!({"endpoint": "token", "kind": "patch", "times": 1, "patch": patch}));
        let answer = home.run(&[], "get\n");
        assert_eq!(answer.code, Some(0), "{patch}: {answer:?}");
        assert!(peer.accepts(&answer.value("access_token")));
    }
    peer.mend();
    assert_eq!(home.run(&["refresh"], "").code, Some(0));
    assert!(peer.accepts(&home.get()));
    assert_eq!(home.status()["scopes"], scopes);
}
