//! Tokens that a build server puts where Datadog's tools look for one.

use crate::support::home::Home;

const EU: &str = "site=datadoghq.eu\naccess_token=of-session\nexpires_in=31536000\n";

#[test]
fn a_token_from_outside_is_answered_where_there_is_no_session() {
    let mut home = Home::new();
    let file = home.path().join("token");
    std::fs::write(&file, "of-file\n").unwrap();
    home.set("DD_SITE", "eu1").set("DD_ACCESS_TOKEN", "of-access").set("CI", "true");
    assert_eq!(home.get(), "of-access");
    home.set("DD_BEARER_TOKEN", "of-bearer");
    assert_eq!(home.get(), "of-bearer");
    home.set("DD_OAUTH_TOKEN_FILE", file.to_str().unwrap());
    let run = home.run(&[], "get\n");
    run.succeeds_quietly();
    assert_eq!(
        run.stdout,
        "access_token=of-file\ntoken_type=Bearer\nsite=datadoghq.eu\napi_url=https://api.datadoghq.eu\n"
    );
    // Nothing was created on the way, and a session goes first.
    assert!(home.stored().is_empty());
    home.run(&["store"], EU).succeeds_quietly();
    assert_eq!(home.get(), "of-session");
}

#[test]
fn it_is_good_only_for_what_the_variables_name() {
    let mut home = Home::new();
    home.set("DD_BEARER_TOKEN", "outside").set("DD_SITE", "eu1").set("DD_ORG", "acme");
    assert_eq!(home.get(), "outside");
    home.run(&[], "get\nsite=us1\n").fails(3, &["not logged in to US1"]);
    home.run(&["get", "--site", "us1"], "").fails(3, &["not logged in to US1"]);
    home.run(&[], "get\norg=other\n").fails(3, &["not logged in to EU1 (other)"]);
    // No variable leads it to a host that is not Datadog's.
    home.set("DD_SITE", "evil.example.org");
    home.run(&[], "get\n").fails(6, &["evil.example.org"]);
    home.set("DD_SITE", "http://127.0.0.1:9");
    home.run(&[], "get\n").fails(6, &["http://127.0.0.1:9"]);
    home.set("DD_SITE", "acme.datadoghq.com");
    home.run(&[], "get\n").fails(3, &["acme.datadoghq.com"]);
    // Without DD_SITE it is one of US1, as for Datadog's own tools.
    home.set("DD_SITE", "").set("DD_ORG", "");
    assert_eq!(home.get(), "outside");
}

#[test]
fn inside_exec_the_variables_are_ours() {
    let mut home = Home::new();
    home.set("DD_BEARER_TOKEN", "ours").set("DD_ACCESS_TOKEN", "ours");
    home.run_with(("DD_OAUTH_EXEC", "1"), &["get"], "").fails(3, &["dd-oauth login"]);
    home.run(&["store"], EU).succeeds_quietly();
    let dd_oauth = env!("CARGO_BIN_EXE_dd-oauth");
    let run = home.run(&["exec", "--site", "eu1", "--", dd_oauth, "token"], "");
    assert_eq!(run.stdout, "of-session\n", "{run:?}");
    let run = home.run(&["exec", "--site", "eu1", "--", dd_oauth, "token", "--site", "us1"], "");
    run.fails(3, &["not logged in to US1"]);
    // What came from outside stays what it was.
    let run = home.run(&["exec", "--site", "us1", "--", dd_oauth, "token"], "");
    assert_eq!(run.stdout, "ours\n", "{run:?}");
}

#[test]
fn nothing_is_promised_about_it() {
    let mut home = Home::new();
    home.set("DD_BEARER_TOKEN", "outside");
    home.run(&[], "get\nmin_ttl=1\n").fails(2, &["DD_BEARER_TOKEN", "how long"]);
    home.run(&["refresh"], "").fails(3, &["not logged in"]);
    home.run(&[], "erase\naccess_token=outside\n").succeeds_quietly();
    assert_eq!(home.get(), "outside");
    home.set("DD_BEARER_TOKEN", "can ary");
    let run = home.run(&[], "get\n");
    run.fails(2, &["DD_BEARER_TOKEN", "visible ASCII"]);
    assert!(!run.stderr.contains("ary"), "{run:?}");
    home.set("DD_OAUTH_TOKEN_FILE", "/nonexistent/token");
    home.run(&[], "get\n").fails(2, &["DD_OAUTH_TOKEN_FILE", "/nonexistent/token"]);
}

#[test]
fn status_tells_it_from_a_session() {
    let mut home = Home::new();
    home.set("DD_BEARER_TOKEN", "canary").set("DD_SITE", "eu1");
    let status = home.status();
    assert_eq!(status["state"], "outside");
    assert_eq!(status["token_source"], "DD_BEARER_TOKEN");
    assert_eq!(status["site"], "datadoghq.eu");
    let run = home.run(&["status"], "");
    run.succeeds_quietly();
    assert!(run.stdout.contains("from outside, by DD_BEARER_TOKEN"), "{run:?}");
    assert!(!run.stdout.contains("canary"), "{run:?}");
}
