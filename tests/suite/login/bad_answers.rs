//! Registration and token endpoints that answer a login with nonsense.

use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

/// A listener that nobody must come to, and its address.
fn elsewhere() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    (listener, address)
}

fn nobody_came(listener: &TcpListener) {
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn requests(peer: &Peer, endpoint: &str) -> usize {
    peer.log().into_iter().filter(|event| event.endpoint == endpoint).count()
}

#[test]
fn a_registration_that_fails_is_explained_and_opens_no_browser() {
    let peer = Peer::start(Kind::Demo);
    let (listener, location) = elsewhere();
    let status = |status: u16, body: &str| json!({"kind": "status", "status": status, "body": body, "content_type": "text/html"});
    let refusal = r#"{"error":"invalid_redirect_uri","error_description":"not\r\nthis\u001b[31m"}"#;
    let cases: &[(Value, i32, usize, &[&str])] = &[
        (status(404, "<html>"), 1, 1, &["404", "client registration", "Datadog support"]),
        (status(500, "<html>canary</html>"), 4, 2, &["status 500"]),
        (status(503, ""), 4, 2, &["status 503"]),
        (status(408, ""), 4, 1, &["status 408"]),
        (status(429, "<html>canary</html>"), 4, 1, &["status 429"]),
        (status(400, refusal), 1, 1, &["refused to register", "invalid_redirect_uri (not", "this"]),
        (status(400, "<html>canary</html>"), 1, 1, &["refused to register", "status 400"]),
        (status(201, "<html>canary</html>"), 1, 1, &["no client_id"]),
        (status(201, ""), 1, 1, &["no client_id"]),
        (status(201, "{}"), 1, 1, &["no client_id"]),
        (status(201, r#"["canary"]"#), 1, 1, &["no client_id"]),
        (status(201, r#"{"client_id":5}"#), 1, 1, &["no client_id"]),
        (status(201, r#"{"client_id":""}"#), 1, 1, &["client_id is not one"]),
        (status(201, r#"{"client_id":"a\nb"}"#), 1, 1, &["client_id is not one"]),
        (json!({"kind": "redirect", "location": location}), 1, 1, &["status 307"]),
        (json!({"kind": "endless"}), 4, 1, &["more than", "bytes"]),
    ];
    for (fault, code, count, words) in cases {
        let home = Home::at(&peer);
        let before = requests(&peer, "register");
        let mut fault = fault.clone();
        fault["endpoint"] = json!("register");
        peer.fault(&fault);
        let run = home.run(&["login"], "");
        run.fails(*code, words);
        assert!(!run.stderr.contains("canary"), "{run:?}");
        assert_eq!(requests(&peer, "register") - before, *count, "{fault}");
        assert_eq!(home.browsers_opened(), 0);
        peer.mend();
        home.run(&[], "get\n").fails(3, &["not logged in"]);
    }
    nobody_came(&listener);
    Home::at(&peer).log_in();
}

#[test]
fn a_site_without_registration_is_told_apart_at_every_server() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        peer.set(&json!({"registration": false}));
        let run = Home::at(&peer).run(&["login"], "");
        run.fails(1, &["/api/v2/oauth2/register answered 404", "API key"]);
    }
}

#[test]
fn a_code_exchange_that_fails_costs_no_session() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let kept = home.get();
    let stored = home.stored();
    let (listener, location) = elsewhere();
    let status = |status: u16, body: &str| json!({"kind": "status", "status": status, "body": body, "content_type": "text/html"});
    let line_break = r#"{"access_token":"canary\ncanary","token_type":"Bearer"}"#;
    let refusal = r#"{"error":"invalid_grant","error_description":"not\r\nthis\u001b[31m"}"#;
    let cases: &[(Value, i32, &[&str])] = &[
        (status(200, "<html>canary</html>"), 4, &["not a token response"]),
        (status(200, "{}"), 4, &["not a token response"]),
        (status(200, line_break), 4, &["not a token response"]),
        (status(400, "<html>canary</html>"), 4, &["status 400"]),
        (status(400, refusal), 3, &["invalid_grant (not", "this"]),
        (status(500, "<html>canary</html>"), 4, &["status 500"]),
        (json!({"kind": "endless"}), 4, &["more than", "bytes"]),
        (json!({"kind": "redirect", "location": location}), 4, &["redirect", "never followed"]),
        (json!({"kind": "lost"}), 4, &["no whole answer"]),
    ];
    for (fault, code, words) in cases {
        let mut fault = fault.clone();
        fault["endpoint"] = json!("token");
        fault["times"] = json!(1);
        peer.fault(&fault);
        let run = home.run(&["login"], "");
        run.fails_after_prompt(*code, &["the code was not exchanged"]);
        run.fails_after_prompt(*code, words);
        assert!(!run.stderr.contains("canary"), "{run:?}");
        assert_eq!(home.stored(), stored, "{fault}");
        assert_eq!(home.get(), kept, "{fault}");
    }
    nobody_came(&listener);
    // Each of them was told in the browser too.
    eventually("the browser's note of the last page", || {
        let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
        log.matches("callback 200").count() == 1 + cases.len()
    });
    home.log_in();
    assert_ne!(home.get(), kept);
}

#[test]
fn a_denial_ends_the_login_and_nothing_else() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = Home::at(&peer);
        home.log_in();
        let (kept, stored) = (home.get(), home.stored());
        let denied = home.run_with(("BROWSER_DENY", "1"), &["login"], "");
        denied.fails_after_prompt(3, &["refused", "access_denied"]);
        assert_eq!(requests(&peer, "token"), 1, "nothing was exchanged");
        assert_eq!((home.get(), home.stored()), (kept, stored));
    }
}

#[test]
fn a_code_from_another_issuer_is_sent_to_nobody() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = Home::at(&peer);
        for iss in ["https://evil.example.org", "", "https://app.datadoghq.com"] {
            peer.set(&json!({"callback": {"iss": iss}}));
            let run = home.run(&["login"], "");
            run.fails_after_prompt(6, &["issuer", iss, &peer.origin, "the code was not used"]);
        }
        assert_eq!(requests(&peer, "token"), 0, "no code was exchanged");
        home.run(&[], "get\n").fails(3, &["not logged in"]);
        peer.set(&json!({"callback": {"iss": peer.origin}}));
        home.log_in();
    }
}

#[test]
fn a_loopback_login_adopts_no_region_and_no_name_it_cannot_keep() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let long = "x".repeat(200);
    peer.set(&json!({"callback": {"domain": "datadoghq.eu", "site": "https://app.datadoghq.eu",
        "dd_org_name": "a\nb\u{1b}[31m", "dd_oid": "../../x"}}));
    home.log_in();
    let status = home.status();
    assert_eq!(status["site"], peer.origin);
    assert_eq!((&status["org"], &status["org_uuid"]), (&Value::Null, &Value::Null));
    peer.set(&json!({"callback": {"dd_org_name": long}}));
    home.log_in();
    assert_eq!(home.status()["org"], Value::Null);
}
