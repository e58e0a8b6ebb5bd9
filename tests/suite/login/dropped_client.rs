//! A server that forgot the OAuth client of this installation, and a login that gets another.

use std::io::Write;

use serde_json::json;

use crate::support::home::Home;
use crate::support::login::{Login, parameter, status};
use crate::support::peers::{Kind, Peer};

fn registrations(peer: &Peer) -> usize {
    peer.log().into_iter().filter(|event| event.endpoint == "register").count()
}

/// A home with a session, so that the client is one of an earlier login.
fn logged_in(peer: &Peer) -> Home {
    let home = Home::at(peer);
    home.log_in();
    assert_eq!(registrations(peer), 1);
    home
}

/// The exchange of a code is answered so; once, or always.
fn refuse_codes(peer: &Peer, status: u16, error: &str, times: Option<u32>) {
    let body = json!({"error": error, "error_description": "who are you"}).to_string();
    peer.fault(&json!({
        "endpoint": "token", "grant": "authorization_code", "times": times,
        "kind": "status", "status": status, "body": body,
    }));
}

#[test]
fn a_client_that_the_exchange_does_not_know_is_replaced_in_the_same_browser() {
    for kind in [Kind::Demo, Kind::Judge] {
        for (code, error) in [
            (400, "invalid_client"),
            (401, "invalid_client"),
            (400, "unauthorized_client"),
            (401, "unauthorized_client"),
        ] {
            let peer = Peer::start(kind);
            let home = logged_in(&peer);
            let opened = home.browsers_opened();
            refuse_codes(&peer, code, error, Some(1));
            let run = home.log_in();
            assert!(run.stderr.contains("registering another"), "{run:?}");
            assert_eq!(home.browsers_opened(), opened + 1);
            assert_eq!(registrations(&peer), 2, "{code} {error}");
            assert!(peer.accepts(&home.get()));
            // It is the client of the logins to come.
            home.log_in();
            assert_eq!(registrations(&peer), 2);
        }
    }
}

#[test]
fn a_client_that_the_authorization_page_does_not_know_is_replaced_in_the_same_browser() {
    for error in ["invalid_client", "unauthorized_client"] {
        let peer = Peer::start(Kind::Demo);
        let home = logged_in(&peer);
        let mut login = Login::start(&home);
        let answer = login.get(&format!("/oauth/callback?state={}&error={error}", login.state()));
        assert_eq!(status(&answer) / 100, 3, "{answer}");
        let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
        let next = location.unwrap_or_else(|| panic!("{answer}")).to_string();
        for same in ["redirect_uri", "scope"] {
            assert_eq!(parameter(&next, same), parameter(&login.address, same));
        }
        for other in ["client_id", "state", "code_challenge"] {
            assert_ne!(parameter(&next, other), parameter(&login.address, other));
        }
        login.address = next;
        assert_eq!(login.browse(&home).code, Some(0));
        let run = login.finish();
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(registrations(&peer), 2);
        assert!(peer.accepts(&home.get()));
    }
}

#[test]
fn a_pasted_address_that_says_so_leads_to_another_address_to_open() {
    let peer = Peer::start(Kind::Demo);
    let home = logged_in(&peer);
    let (mut login, mut input) = Login::start_for_pasting(&home);
    let (state, host) = (login.state(), login.host());
    writeln!(input, "http://{host}/oauth/callback?state={state}&error=invalid_client").unwrap();
    assert!(login.next_line().contains("registering another"));
    let line = login.next_line();
    let (_, next) = line.split_once("open ").unwrap_or_else(|| panic!("{line}"));
    login.address = next.trim_end().to_string();
    writeln!(input, "{}", login.redirected(&home)).unwrap();
    let run = login.finish();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(registrations(&peer), 2);
}

#[test]
fn a_login_gets_no_more_than_one_other_client() {
    let peer = Peer::start(Kind::Demo);
    let home = logged_in(&peer);
    let (kept, stored) = (home.get(), home.stored());
    refuse_codes(&peer, 401, "invalid_client", None);
    let run = home.run(&["login"], "");
    assert_eq!((run.code, run.stderr.lines().count()), (Some(3), 3), "{run:?}");
    assert!(run.stderr.ends_with("invalid_client (who are you)\n"), "{run:?}");
    assert_eq!(registrations(&peer), 2);
    assert_eq!(home.get(), kept);
    assert_ne!(home.stored(), stored, "the registration is another");
    // One that was registered in the same login is not replaced at all.
    let new = Home::at(&peer);
    new.run(&["login"], "").fails_after_prompt(3, &["invalid_client"]);
    assert_eq!(registrations(&peer), 3);
    peer.mend();
    home.log_in();
}

#[test]
fn a_registration_that_fails_meanwhile_ends_the_login_and_keeps_what_was_there() {
    let peer = Peer::start(Kind::Demo);
    let home = logged_in(&peer);
    let (kept, stored) = (home.get(), home.stored());
    refuse_codes(&peer, 401, "invalid_client", None);
    peer.set(&json!({"registration": false}));
    let run = home.run(&["login"], "");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("404: this site has no client registration"), "{run:?}");
    let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
    assert!(log.ends_with("callback 200\n"), "the browser was told: {log}");
    assert_eq!((home.get(), home.stored()), (kept, stored));
}
