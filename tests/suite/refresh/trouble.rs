//! Bad servers, bad networks, bad clocks: what each costs, and what it must not cost.

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

struct Stage {
    peer: Peer,
    home: Home,
}

impl Stage {
    /// A stale session; the server grants the repetition of a request whose answer was lost, or
    /// does not.
    fn stale(kind: Kind, repetition: bool) -> Self {
        let peer = Peer::start(kind);
        if repetition {
            peer.set(&json!({"grant_repetition": true}));
        }
        let home = Home::at(&peer);
        home.log_in();
        home.make_stale();
        Self { peer, home }
    }

    /// The next refresh meets this, so many times.
    fn fault(&self, times: u32, mut fault: serde_json::Value) {
        fault["endpoint"] = json!("token");
        fault["times"] = json!(times);
        self.peer.fault(&fault);
    }

    fn get(&self) -> Run {
        self.home.run(&[], "get\n")
    }

    fn results(&self) -> Vec<String> {
        self.peer.refreshes().into_iter().map(|event| event.result).collect()
    }
}

#[test]
fn what_the_server_declined_is_not_asked_again_before_its_time() {
    for status in [408, 429, 503, 418] {
        let stage = Stage::stale(Kind::Demo, false);
        stage.fault(
            1,
            json!({"kind": "status", "status": status, "headers": {"Retry-After": "200"}}),
        );
        let words = [&*status.to_string(), "the next attempt is made in 200 s at the earliest"];
        stage.get().fails(4, &words);
        stage.get().fails(4, &["the next attempt is made in"]);
        stage.home.run(&["refresh"], "").fails(4, &["the next attempt is made in"]);
        assert_eq!(stage.results(), ["faulted"], "one request for all three");
        assert_eq!(stage.home.status()["renewable"], true);
    }
}

#[test]
fn a_store_in_between_does_not_let_the_server_be_asked_before_its_time() {
    let stage = Stage::stale(Kind::Demo, false);
    stage.fault(1, json!({"kind": "status", "status": 503, "headers": {"Retry-After": "200"}}));
    stage.get().fails(4, &["503"]);
    stage.home.make_stale();
    stage.get().fails(4, &["503"]);
    assert_eq!(stage.results(), ["faulted"]);
}

#[test]
fn an_answer_that_comes_late_is_waited_for_by_everybody() {
    for kind in [Kind::Demo, Kind::Judge] {
        let stage = Stage::stale(kind, false);
        // Longer than a usual client waits.
        stage.fault(1, json!({"kind": "late", "ms": 17_000}));
        let callers: Vec<_> = (0..3).map(|_| start(stage.home.program(&["get"]), b"")).collect();
        let answers: Vec<_> = callers.into_iter().map(|caller| finish(caller).stdout).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert!(stage.peer.accepts(&stage.home.get()));
        assert_eq!(stage.results(), ["issued"]);
    }
}

#[test]
fn an_answer_that_was_lost_is_asked_for_once_more_at_once() {
    let faults = [
        json!({"kind": "lost"}),
        json!({"kind": "cut"}),
        json!({"kind": "after-status", "status": 500}),
        json!({"kind": "after-status", "status": 502}),
        json!({"kind": "after-status", "status": 504}),
        json!({"kind": "body", "body": "<html>", "content_type": "text/html"}),
        json!({"kind": "patch", "patch": {"access_token": null, "refresh_token": null}}),
    ];
    for fault in faults {
        let stage = Stage::stale(Kind::Demo, true);
        stage.fault(1, fault.clone());
        stage.get().succeeds_quietly();
        assert_eq!(stage.results(), ["issued", "repeated"], "{fault}");
        assert!(stage.peer.accepts(&stage.home.get()));
        stage.home.make_stale();
        stage.get().succeeds_quietly();
    }
}

#[test]
fn where_no_repetition_is_granted_the_loss_is_called_by_its_name() {
    for kind in [Kind::Demo, Kind::Judge] {
        let stage = Stage::stale(kind, false);
        stage.fault(1, json!({"kind": "lost"}));
        let words = ["a refresh was interrupted at 20", "dd-oauth login --site"];
        stage.get().fails(3, &words);
        stage.get().fails(3, &words);
        assert_eq!(stage.results(), ["issued", "reused"], "nobody asks a third time");
        stage.home.log_in();
        assert!(stage.peer.accepts(&stage.home.get()));
    }
}

#[test]
fn a_revoked_session_is_remembered_and_not_called_interrupted() {
    let stage = Stage::stale(Kind::Judge, false);
    stage
        .fault(1, json!({"kind": "status", "status": 400, "body": r#"{"error":"invalid_grant"}"#}));
    let ended = stage.get();
    ended.fails(3, &["is over", "invalid_grant", "dd-oauth login --site"]);
    assert!(!ended.stderr.contains("interrupted"), "{ended:?}");
    stage.get().fails(3, &["is over"]);
    assert_eq!(stage.results().len(), 1);
    assert_eq!(stage.home.status()["state"], "ended");
}

#[test]
fn a_lost_answer_that_was_made_good_is_forgotten_where_tokens_are_not_rotated() {
    let stage = Stage::stale(Kind::Demo, false);
    stage.peer.set(&json!({"rotate": false}));
    stage.fault(1, json!({"kind": "lost"}));
    stage.get().succeeds_quietly();
    stage.home.make_stale();
    stage
        .fault(1, json!({"kind": "status", "status": 400, "body": r#"{"error":"invalid_grant"}"#}));
    let ended = stage.get();
    ended.fails(3, &["is over", "invalid_grant"]);
    assert!(!ended.stderr.contains("interrupted"), "{ended:?}");
}

#[test]
fn a_token_that_expires_on_its_way_is_not_answered() {
    let stage = Stage::stale(Kind::Demo, false);
    stage.peer.set(&json!({"access_ttl": 1}));
    stage.fault(1, json!({"kind": "delay", "ms": 1200}));
    stage.get().fails(4, &["had expired before it could be answered"]);
    assert_eq!(stage.results(), ["issued"]);
}

#[test]
fn a_server_that_fails_for_long_costs_no_session() {
    let stage = Stage::stale(Kind::Demo, true);
    stage.fault(2, json!({"kind": "after-status", "status": 500}));
    stage.get().fails(4, &["status 500", "the next attempt is made in"]);
    assert_eq!(stage.results(), ["issued", "repeated"], "one request and one repetition");
    stage.get().fails(4, &["status 500"]);
    assert_eq!(stage.results().len(), 2);
}

#[test]
fn a_lifetime_that_means_nothing_counts_as_fifteen_minutes() {
    for expires_in in [json!(null), json!("soon"), json!(0), json!(-5), json!(1e300), json!({})] {
        let stage = Stage::stale(Kind::Demo, false);
        stage.fault(1, json!({"kind": "patch", "patch": {"expires_in": expires_in}}));
        let before = now();
        let answer = stage.get();
        answer.succeeds_quietly();
        let expires: u64 = answer.value("expires_at").parse().unwrap();
        let expected = before + 900..=now() + 900;
        assert!(expected.contains(&expires), "{expires_in}: {expires}, not in {expected:?}");
        stage.get().succeeds_quietly();
        assert_eq!(stage.results(), ["issued"], "and is not renewed at every call");
    }
}

#[test]
fn a_lifetime_in_a_string_is_understood() {
    let stage = Stage::stale(Kind::Demo, false);
    stage.fault(1, json!({"kind": "patch", "patch": {"expires_in": "1800"}}));
    let left = stage.get().value("expires_at").parse::<u64>().unwrap() - now();
    assert!((1700..=1800).contains(&left), "{left}");
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

#[cfg(feature = "test-clock")]
mod at_other_times {
    use std::time::Duration;

    use super::{Home, Kind, Peer, Run, json};

    /// A session of an hour.
    fn fresh() -> (Peer, Home) {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.log_in();
        (peer, home)
    }

    fn get_at(home: &Home, seconds: u64) -> Run {
        home.run_later(Duration::from_secs(seconds), &[], "get\n")
    }

    #[test]
    fn a_token_with_life_left_is_answered_with_one_warning() {
        let (peer, home) = fresh();
        let token = home.get();
        peer.decline_refreshes(503);
        for _ in 0..2 {
            let run = get_at(&home, 3570);
            assert_eq!((run.code, run.value("access_token")), (Some(0), token.clone()), "{run:?}");
            assert!(run.stderr.starts_with("dd-oauth: warning: could not renew"), "{run:?}");
            assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
        }
        assert_eq!(peer.refreshes().len(), 1, "the second found the failure recorded");
        get_at(&home, 3601).fails(4, &["503"]);
        let demand = home.run_later(Duration::from_secs(3571), &["get", "--min-ttl", "60"], "");
        demand.fails(4, &["503"]);
    }

    #[test]
    fn a_demand_on_an_ended_session_logs_in_though_its_token_lives() {
        let (peer, mut home) = fresh();
        let config = home.configuration().join("config.toml");
        std::fs::create_dir_all(config.parent().unwrap()).unwrap();
        std::fs::write(config, format!("trusted_sites = ['{}']", peer.origin)).unwrap();
        home.set("DD_OAUTH_INTERACTIVE", "always");
        let body = r#"{"error":"invalid_grant"}"#;
        peer.fault(&json!({"endpoint": "token", "grant": "refresh_token", "kind": "status",
            "status": 400, "body": body}));
        let demand = ["get", "--min-ttl", "1800"];
        let run = home.run_later(Duration::from_secs(2600), &demand, "");
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(peer.accepts(&run.value("access_token")));
        assert_eq!(home.browsers_opened(), 2);
    }

    #[test]
    fn a_token_that_cannot_be_renewed_is_answered_while_it_lives() {
        let home = Home::new();
        home.run(&["store"], "site=us1\naccess_token=last\nexpires_in=3600\n").succeeds_quietly();
        assert_eq!(home.get(), "last");
        let run = get_at(&home, 3570);
        assert_eq!((run.code, run.value("access_token").as_str()), (Some(0), "last"), "{run:?}");
        assert!(run.stderr.contains("has no refresh token"), "{run:?}");
        get_at(&home, 3601).fails(3, &["has no refresh token"]);
    }

    #[test]
    fn a_recorded_failure_is_forgotten_in_time() {
        let (peer, home) = fresh();
        peer.fault(&json!({"endpoint": "token", "kind": "status", "status": 503, "times": 1}));
        get_at(&home, 3601).fails(4, &["503"]);
        get_at(&home, 3610).succeeds_quietly();
        assert_eq!(peer.refreshes().len(), 2);
    }

    #[test]
    fn a_clock_that_jumps_back_means_one_refresh_and_no_storm() {
        let (peer, home) = fresh();
        let future = home.run_later(Duration::from_hours(48), &[], "get\n");
        future.succeeds_quietly();
        assert_eq!(peer.refreshes().len(), 1);
        for _ in 0..3 {
            home.run(&[], "get\n").succeeds_quietly();
        }
        assert_eq!(peer.refreshes().len(), 2, "a token from the future is not believed");
    }

    #[test]
    fn a_failure_recorded_in_the_future_forbids_nothing() {
        let (peer, home) = fresh();
        peer.fault(&json!({"endpoint": "token", "kind": "status", "status": 503, "times": 1}));
        let future = Duration::from_hours(1000);
        home.run_later(future, &[], "get\n").fails(4, &["503"]);
        home.make_stale();
        home.run(&[], "get\n").succeeds_quietly();
    }
}
