//! Scopes that are asked for, refused, and granted.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::login::parameter;
use crate::support::peers::{Kind, Peer};

/// The scopes of each authorization request that the browser was sent to, first and last.
fn asked(home: &Home) -> BTreeSet<String> {
    let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
    let opened = log.lines().rev().find(|line| line.starts_with("http")).unwrap();
    parameter(opened, "scope").split('+').map(String::from).collect()
}

fn granted(home: &Home) -> BTreeSet<String> {
    let scopes = home.status()["scopes"].as_array().unwrap().clone();
    scopes.iter().map(|scope| scope.as_str().unwrap().to_string()).collect()
}

fn authorizations(peer: &Peer) -> usize {
    peer.log().into_iter().filter(|event| event.endpoint == "authorize").count()
}

#[test]
fn a_scope_that_is_refused_by_name_is_dropped_in_the_same_browser_and_remembered() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = Home::at(&peer);
        let refused = ["cases_read", "cases_write", "rum_apps_read"];
        peer.set(&json!({"refuse_scopes": refused}));
        let run = home.log_in();
        for word in
            ["refused the scopes", "34 of 37", "not granted: rum_apps_read cases_read cases_write"]
        {
            assert!(run.stderr.contains(word), "no {word} in {run:?}");
        }
        assert_eq!((home.browsers_opened(), authorizations(&peer)), (1, 2));
        assert_eq!(granted(&home).len(), 34);
        assert!(refused.iter().all(|scope| !granted(&home).contains(*scope)));
        assert!(peer.accepts(&home.get()));

        let run = home.log_in();
        assert!(
            run.stderr.contains("not asking for rum_apps_read cases_read cases_write"),
            "{run:?}"
        );
        assert_eq!((asked(&home).len(), authorizations(&peer)), (34, 3));

        // What is asked for by name is asked for again, and once granted it is usual again.
        peer.set(&json!({"refuse_scopes": ["rum_apps_read"]}));
        let run = home.run(&["login", "--add-scopes", "cases_read cases_write"], "");
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!((asked(&home).len(), granted(&home).len()), (36, 36));
        home.log_in();
        assert_eq!((asked(&home).len(), authorizations(&peer)), (36, 5));
    }
}

#[test]
fn a_refusal_that_names_no_scope_leads_to_an_offer_of_read_access() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = Home::at(&peer);
        peer.set(&json!({"refuse_scopes": ["cases_write"], "name_refused_scopes": false}));
        let run = home.log_in();
        assert!(run.stderr.contains("did not say which"), "{run:?}");
        assert!(run.stderr.contains("25 of 37 scopes"), "{run:?}");
        let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
        assert_eq!(log.matches("offer\n").count(), 1, "{log}");
        assert!(granted(&home).iter().all(|scope| !scope.ends_with("_write")));
        assert!(peer.accepts(&home.get()));
        // The next login does not run into it again.
        home.log_in();
        assert_eq!((asked(&home).len(), authorizations(&peer)), (25, 3));
    }
}

#[test]
fn a_refusal_that_leaves_nothing_ends_the_login_and_names_the_way_out() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.run(&["login", "--scopes", "made_up"], "")
        .fails_after_prompt(3, &["refused scopes (made_up)", "--scopes", "--read-only"]);
    peer.set(&json!({"refuse_scopes": ["apm_read"], "name_refused_scopes": false}));
    home.run(&["login", "--scopes", "apm_read"], "")
        .fails_after_prompt(3, &["refused scopes", "not these", "--read-only"]);
    home.run(&[], "get\n").fails(3, &["not logged in"]);
}

#[test]
fn flags_choose_what_is_asked_for() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    let log_in = |flags: &[&str]| {
        let run = home.run(&[&["login"], flags].concat(), "");
        assert_eq!(run.code, Some(0), "{run:?}");
        (asked(&home), granted(&home))
    };
    let (asked_for, given) = log_in(&["--read-only"]);
    assert_eq!((asked_for.len(), &asked_for), (25, &given));
    assert!(!asked_for.contains("dashboards_write") && asked_for.contains("timeseries_query"));
    let (asked_for, _) = log_in(&["--read-only", "--add-scopes", "dashboards_write"]);
    assert!(asked_for.contains("dashboards_write") && asked_for.len() == 26);
    let (asked_for, given) = log_in(&["--scopes", "usage_read apm_read"]);
    assert_eq!((asked_for.len(), asked_for), (2, given));
    for wrong in [
        ["login", "--scopes", "apm_read", "--read-only"].as_slice(),
        &["login", "--scopes", "apm_read", "--add-scopes", "usage_read"],
        &["login", "--scopes", "apm\"read"],
        &["login", "--org-uuid", "acme"],
    ] {
        home.run(wrong, "").fails(2, &["--help"]);
    }
}

#[test]
fn a_server_that_grants_less_is_shown_to_have() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    peer.fault(&json!({"endpoint": "token", "kind": "patch", "patch": {"scope": "apm_read logs_read_data"}}));
    let run = home.log_in();
    assert!(run.stderr.contains("2 of 37 scopes; not granted: dashboards_read"), "{run:?}");
    peer.mend();
    // The same, where it does not say what it granted (RFC 6749, section 5.1).
    peer.fault(&json!({"endpoint": "token", "kind": "patch", "patch": {"scope": Value::Null}}));
    let run = home.log_in();
    assert!(!run.stderr.contains("not granted"), "{run:?}");
    assert_eq!(granted(&home).len(), 37);
}
