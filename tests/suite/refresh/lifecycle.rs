//! Login, get, stale, refresh, logout: the whole life of a session, at every server.

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

/// A server and a home that means it.
struct Stage {
    peer: Peer,
    home: Home,
    _certificates: tempfile::TempDir,
}

impl Stage {
    fn http(kind: Kind) -> Self {
        Self::with(Peer::start(kind), tempfile::tempdir().unwrap())
    }

    fn https(kind: Kind) -> Self {
        let certificates = tempfile::tempdir().unwrap();
        Self::with(Peer::start_tls(kind, certificates.path()), certificates)
    }

    fn with(peer: Peer, certificates: tempfile::TempDir) -> Self {
        Self { home: Home::at(&peer), peer, _certificates: certificates }
    }
}

/// Each of these runs at both servers, over http and https.
macro_rules! at_every_server {
    ($($test:ident),+ $(,)?) => {
        mod demo_http { $(#[test] fn $test() { super::$test(&super::Stage::http(crate::support::peers::Kind::Demo)); })+ }
        mod demo_https { $(#[test] fn $test() { super::$test(&super::Stage::https(crate::support::peers::Kind::Demo)); })+ }
        mod judge_http { $(#[test] fn $test() { super::$test(&super::Stage::http(crate::support::peers::Kind::Judge)); })+ }
        mod judge_https { $(#[test] fn $test() { super::$test(&super::Stage::https(crate::support::peers::Kind::Judge)); })+ }
    };
}

at_every_server!(
    a_session_lives_from_login_to_logout,
    a_second_login_reuses_the_registration,
    a_server_that_forgot_the_client_leads_to_a_new_registration,
);

fn a_session_lives_from_login_to_logout(Stage { peer, home, .. }: &Stage) {
    home.run(&[], "get\n").fails(3, &["not logged in", "dd-oauth login --site"]);

    home.log_in();
    let answer = home.run(&[], "get\n");
    answer.succeeds_quietly();
    let token = answer.value("access_token");
    assert!(peer.accepts(&token));
    assert_eq!(answer.value("token_type"), "Bearer");
    assert_eq!(answer.value("site"), peer.origin);
    assert_eq!(answer.value("api_url"), peer.origin);
    assert!(answer.value("expires_at").parse::<u64>().is_ok());
    assert_eq!(home.get(), token, "a fresh token is answered again");
    assert_eq!(home.run(&["token"], "").stdout, format!("{token}\n"));
    assert_eq!(home.status()["state"], "fresh");

    home.make_stale();
    assert_eq!(home.status()["state"], "stale");
    let renewed = home.get();
    assert!(peer.accepts(&renewed) && renewed != token);
    assert_eq!(home.get(), renewed);
    let by_hand = home.run(&["refresh"], "");
    assert_eq!(by_hand.code, Some(0), "{by_hand:?}");
    assert_ne!(home.get(), renewed);
    let results: Vec<_> = peer.refreshes().into_iter().map(|event| event.result).collect();
    assert_eq!(results, ["issued", "issued"]);

    let last = home.get();
    let out = home.run(&["logout"], "");
    assert_eq!(out.code, Some(0), "{out:?}");
    assert!(!peer.accepts(&last));
    let revoked = peer.log().into_iter().filter(|event| event.endpoint == "revoke");
    assert_eq!(revoked.map(|event| event.status).collect::<Vec<_>>(), [200, 200]);
    home.run(&[], "get\n").fails(3, &["not logged in"]);
}

fn a_second_login_reuses_the_registration(Stage { peer, home, .. }: &Stage) {
    home.log_in();
    home.log_in();
    let registrations = peer.log().into_iter().filter(|event| event.endpoint == "register");
    assert_eq!(registrations.count(), 1);
    home.make_stale();
    assert!(peer.accepts(&home.get()));
}

fn a_server_that_forgot_the_client_leads_to_a_new_registration(Stage { peer, home, .. }: &Stage) {
    home.log_in();
    home.make_stale();
    peer.forget_all();
    let words = ["no longer knows this installation", "dd-oauth login --site"];
    home.run(&[], "get\n").fails(3, &words);
    home.run(&[], "get\n").fails(3, &words);
    assert_eq!(peer.refreshes().len(), 1, "an ended session is not asked about again");
    assert_eq!(home.status()["state"], "ended");

    home.log_in();
    let registrations = peer.log().into_iter().filter(|event| event.endpoint == "register");
    assert_eq!(registrations.count(), 2);
    assert!(peer.accepts(&home.get()));
    home.make_stale();
    assert!(peer.accepts(&home.get()));
}

#[test]
fn a_registration_is_tried_again_after_a_failure_of_the_server() {
    let stage = Stage::http(Kind::Judge);
    stage.peer.fault(&json!({"endpoint": "register", "kind": "status", "status": 502, "times": 1}));
    stage.home.log_in();
}
