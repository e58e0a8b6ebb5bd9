//! What is stored stays until it is told to go: store, erase, several sessions side by side.

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

const NEVER_SOON: &str = "expires_in=3600\n";

/// Stores an access token for the session that `rest` names.
fn store(home: &Home, token: &str, rest: &str) {
    let run = home.run(&["store"], format!("access_token={token}\n{NEVER_SOON}{rest}"));
    run.succeeds_quietly();
    assert_eq!(run.stdout, "");
}

#[test]
fn a_stored_token_is_answered_for_its_site_and_organization_alone() {
    let home = Home::new();
    store(&home, "of-eu", "site=EU1\n");
    store(&home, "of-acme", "site=us5\norg=Acme Inc.\n");
    store(&home, "of-other", "site=us5\norg=other\n");
    let token = |request: &str| home.run(&["get"], request);
    assert_eq!(token("site=app.datadoghq.eu\n").value("access_token"), "of-eu");
    let acme = token("site=https://api.us5.datadoghq.com/\norg=Acme Inc.\n");
    assert_eq!(acme.value("access_token"), "of-acme");
    assert_eq!(acme.value("org"), "Acme Inc.");
    assert_eq!(acme.value("site"), "us5.datadoghq.com");
    assert_eq!(acme.value("api_url"), "https://api.us5.datadoghq.com");
    token("site=us5\n").fails(2, &["several sessions", "US5 (Acme Inc.)", "US5 (other)"]);
    token("").fails(2, &["several sessions"]);
    token("site=ap1\n").fails(3, &["not logged in to AP1", "--site ap1.datadoghq.com"]);
    token("site=us5\norg=acme inc.\n").fails(3, &["--org 'acme inc.'"]);
}

#[test]
fn a_request_goes_before_a_flag_a_flag_before_a_variable_and_that_before_the_choice() {
    let mut home = Home::new();
    for (token, site) in [("us1", "us1"), ("us3", "us3"), ("us5", "us5"), ("eu1", "eu1")] {
        store(&home, token, &format!("site={site}\n"));
    }
    let used = home.run(&["use", "us3"], "");
    assert_eq!((used.code, used.stdout.as_str()), (Some(0), ""));
    let token = |home: &Home, flags: &[&str], request: &str| {
        let arguments = [flags, &["get"]].concat();
        home.run(&arguments, request).value("access_token")
    };
    assert_eq!(token(&home, &[], ""), "us3");
    assert_eq!(home.status()["site_source"], "dd-oauth use");
    home.set("DD_SITE", "us5");
    assert_eq!(token(&home, &[], ""), "us5");
    assert_eq!(home.status()["site_source"], "DD_SITE");
    assert_eq!(token(&home, &["--site", "us1"], ""), "us1");
    assert_eq!(token(&home, &["--site", "us1"], "site=eu1\n"), "eu1");
    home.run(&["use", "ap2"], "").fails(3, &["not logged in to AP2"]);
    let list = home.run(&["list"], "");
    let marked: Vec<_> = list.stdout.lines().filter(|line| line.starts_with('*')).collect();
    assert!(marked.len() == 1 && marked[0].contains("us3.datadoghq.com"), "{list:?}");
}

#[test]
fn a_session_without_an_organization_is_found_beside_others() {
    let home = Home::new();
    store(&home, "plain", "site=eu1\n");
    store(&home, "of-acme", "site=eu1\norg=acme\n");
    let token = |request: &str| home.run(&["get"], request).value("access_token");
    assert_eq!(token("site=eu1\n"), "plain");
    assert_eq!(token("site=eu1\norg=acme\n"), "of-acme");
    home.run(&["get"], "").fails(2, &["several sessions"]);
    assert_eq!(home.run(&["use", "eu1"], "").code, Some(0));
    assert_eq!(home.get(), "plain");
    home.run(&["erase"], "site=eu1\n");
    home.run(&["erase"], "site=eu1\norg=acme\n");
    home.run(&["get"], "").fails(3, &["not logged in to EU1"]);
}

#[test]
fn a_vanity_host_without_a_session_stores_nothing() {
    let home = Home::new();
    store(&home, "of-us1", "site=us1\n");
    home.run(&["store"], "site=acme.datadoghq.com\naccess_token=x\n")
        .fails(2, &["acme.datadoghq.com"]);
    assert_eq!(home.get(), "of-us1");
}

#[test]
fn the_only_session_needs_no_name() {
    let home = Home::new();
    store(&home, "only", "site=ap2\norg=acme\n");
    assert_eq!(home.get(), "only");
}

#[test]
fn store_without_a_refresh_token_never_drops_one() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    store(&home, "handed-back", "");
    assert_eq!(home.get(), "handed-back");
    assert_eq!(home.status()["renewable"], true);
    home.make_stale();
    assert!(peer.accepts(&home.get()), "the refresh token of the login still works");
}

#[test]
fn a_token_that_cannot_be_renewed_is_answered_while_it_lives() {
    let home = Home::new();
    home.run(&["store"], "site=us1\naccess_token=short\nexpires_in=2\n").succeeds_quietly();
    assert_eq!(home.status()["renewable"], false);
    home.make_stale();
    home.run(&[], "get\n").fails(3, &["has no refresh token", "dd-oauth login"]);
}

#[test]
fn a_refresh_token_stored_again_for_its_right_client_is_tried_again() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    for (client, requests) in [("wrong", 1), ("right", 2)] {
        let tokens = "access_token=a\nexpires_at=1000000000\nrefresh_token=r\nclient_id=";
        home.run(&["store"], format!("{tokens}{client}\n")).succeeds_quietly();
        for _ in 0..2 {
            home.run(&[], "get\n").fails(3, &["no longer knows this installation"]);
        }
        assert_eq!(peer.refreshes().len(), requests);
    }
}

#[test]
fn erase_forgets_here_and_revokes_nothing() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let token = home.get();
    let erased = home.run(&["erase"], "");
    assert_eq!((erased.code, erased.stdout.as_str()), (Some(0), ""));
    assert!(erased.stderr.contains("nothing was revoked"), "{erased:?}");
    assert!(peer.accepts(&token));
    home.run(&["get"], "").fails(3, &["not logged in"]);
    home.run(&["erase"], "").succeeds_quietly();
}

#[cfg(feature = "test-clock")]
mod rejected {
    use std::time::Duration;

    use super::{Home, Kind, Peer};

    const LATER: Duration = Duration::from_mins(1);

    #[test]
    fn a_rejected_token_is_renewed_once_it_is_past_its_first_moments() {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.log_in();
        let token = home.get();
        let request = format!("erase\naccess_token={token}\n");
        home.run(&[], &request).succeeds_quietly();
        assert_eq!(home.get(), token, "a 401 about a token this new is not about its age");

        home.run_later(LATER, &[], &request).succeeds_quietly();
        let next = home.run_later(LATER, &[], "get\n").value("access_token");
        assert!(next != token && peer.accepts(&next));

        home.run_later(2 * LATER, &[], &request).succeeds_quietly();
        let same = home.run_later(2 * LATER, &[], "get\n").value("access_token");
        assert_eq!(same, next, "a late 401 about the old token costs the new one nothing");
        assert_eq!(peer.refreshes().len(), 1);
    }

    #[test]
    fn an_expiring_token_is_answered_at_once_and_renewed_behind_it() {
        let peer = Peer::start(Kind::Demo);
        let mut home = Home::at(&peer);
        home.set("DD_OAUTH_TEST_PLACE", "lasting").log_in();
        let token = home.get();
        let expiring = Duration::from_secs(3400);
        let answer = home.run_later(expiring, &[], "get\n");
        answer.succeeds_quietly();
        assert_eq!(answer.value("access_token"), token);
        // By hand it is renewed whatever the freshness, and waits for the one under way.
        let run = home.run_later(expiring, &["refresh"], "");
        assert_eq!(run.code, Some(0), "{run:?}");
        let next = home.run_later(expiring, &[], "get\n").value("access_token");
        assert!(next != token && peer.accepts(&next));
    }

    #[test]
    fn a_demand_is_met_later_or_never_or_by_a_refresh() {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.log_in();
        let get = |minutes: u64, demand: &str| {
            home.run_later(Duration::from_mins(minutes), &["get", "--min-ttl", demand], "")
        };
        get(0, "2h").fails(2, &["no token with 7200 s", "live 3600 s"]);
        get(1, "3590").fails(4, &["wait", "s"]);
        get(20, "30m").succeeds_quietly();
        assert_eq!(peer.refreshes().len(), 0);
        get(20, "50m").succeeds_quietly();
        assert_eq!(peer.refreshes().len(), 1);
    }
}

#[test]
fn a_get_logs_in_where_it_may_and_the_user_trusts_the_site() {
    let peer = Peer::start(Kind::Judge);
    let mut home = Home::at(&peer);
    let get = |home: &Home| home.run(&[], "get\n");
    get(&home).fails(3, &["not logged in"]);
    home.set("DD_OAUTH_INTERACTIVE", "always");
    get(&home).fails(3, &["not logged in"]);
    assert_eq!(home.browsers_opened(), 0, "a variable cannot establish trust");

    let config = home.configuration();
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), format!("trusted_sites = ['{}']", peer.origin))
        .unwrap();
    home.set("DD_OAUTH_INTERACTIVE", "never");
    get(&home).fails(3, &["not logged in"]);
    home.set("DD_OAUTH_INTERACTIVE", "always");
    let answer = get(&home);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(peer.accepts(&answer.value("access_token")));
    assert_eq!(home.browsers_opened(), 1);
}

#[test]
fn logout_without_the_server_forgets_and_says_what_was_not_revoked() {
    let mut peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    peer.stop();
    let out = home.run(&["logout"], "");
    assert_eq!((out.code, out.stdout.as_str()), (Some(0), ""), "{out:?}");
    for words in ["refresh token was not revoked", "access token was not revoked", "logged out"] {
        assert!(out.stderr.contains(words), "{out:?}");
    }
    home.run(&["get"], "").fails(3, &["not logged in"]);
    home.run(&["logout"], "").fails(3, &["not logged in"]);
}

#[test]
fn logout_says_that_a_token_without_a_client_stays_good() {
    let home = Home::new();
    store(&home, "alone", "site=us1\n");
    let out = home.run(&["logout"], "");
    assert_eq!((out.code, out.stdout.as_str()), (Some(0), ""), "{out:?}");
    for words in ["access token was not revoked", "without a client", "logged out"] {
        assert!(out.stderr.contains(words), "{out:?}");
    }
}
