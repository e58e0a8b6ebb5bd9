//! The older key pairs: kept like sessions, and given out only to who asks for them.

use crate::support::home::Home;

const PAIR: &str = "kind=api-key\nsite=eu1\napi_key=api-canary\napp_key=app-canary\n";

#[test]
fn a_pair_is_stored_answered_and_forgotten() {
    let home = Home::new();
    let get = || home.run(&[], "get\nkind=api-key\nsite=eu1\n");
    get().fails(3, &["no API key is stored for EU1", "kind=api-key"]);
    home.run(&["store"], PAIR).succeeds_quietly();
    let run = get();
    run.succeeds_quietly();
    let answer = "api_key=api-canary\napp_key=app-canary\nsite=datadoghq.eu\n\
        api_url=https://api.datadoghq.eu\n";
    assert_eq!(run.stdout, answer);
    // It replaces the whole pair.
    home.run(&["store"], "kind=api-key\nsite=eu1\napi_key=other\n").succeeds_quietly();
    assert!(!get().stdout.contains("app_key"));
    let run = home.run(&["erase"], "kind=api-key\nsite=eu1\n");
    assert!(run.code == Some(0) && run.stderr.contains("forgot the API key for EU1"), "{run:?}");
    get().fails(3, &["no API key"]);
    home.run(&["erase"], "kind=api-key\nsite=eu1\n").succeeds_quietly();
}

#[test]
fn a_pair_and_a_session_leave_each_other_alone() {
    let home = Home::new();
    home.run(&["store"], PAIR).succeeds_quietly();
    home.run(&["get", "--site", "eu1"], "").fails(3, &["not logged in to EU1"]);
    assert_eq!(home.run(&["list", "--json"], "").stdout, "[]\n");
    home.run(&["store"], "site=eu1\naccess_token=token\nexpires_in=3600\n").succeeds_quietly();
    let run = home.run(&["get", "--site", "eu1"], "");
    assert!(run.value("access_token") == "token" && !run.stdout.contains("canary"), "{run:?}");
    let run = home.run(&["erase"], "site=eu1\n");
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = home.run(&["get"], "kind=api-key\n");
    assert_eq!(run.value("api_key"), "api-canary");
}

#[test]
fn pairs_are_chosen_as_sessions_are() {
    let home = Home::new();
    home.run(&["store"], PAIR).succeeds_quietly();
    home.run(&["store"], "kind=api-key\nsite=us1\norg=a\napi_key=of-a\n").succeeds_quietly();
    home.run(&["store"], "kind=api-key\nsite=us1\norg=b\napi_key=of-b\n").succeeds_quietly();
    let key = |request: &str| home.run(&["get"], request).value("api_key");
    assert_eq!(key("kind=api-key\nsite=eu1\n"), "api-canary");
    assert_eq!(key("kind=api-key\norg=b\n"), "of-b");
    let run = home.run(&["get"], "kind=api-key\nsite=us1\n");
    run.fails(2, &["several", "US1 (a), US1 (b)"]);
    let run = home.run(&["get"], "kind=api-key\nsite=us1\norg=c\n");
    run.fails(3, &["US1 (c)"]);
}

#[test]
fn keys_rest_sealed_and_no_message_shows_them() {
    let home = Home::new();
    home.run(&["store"], PAIR).succeeds_quietly();
    let stored = home.stored();
    let (path, bytes) =
        stored.iter().find(|(path, _)| path.ends_with("datadoghq.eu@.keys")).unwrap();
    for bytes in stored.values() {
        assert!(!String::from_utf8_lossy(bytes).contains("canary"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(path, damaged).unwrap();
    let run = home.run(&["get"], "kind=api-key\nsite=eu1\n");
    run.fails(5, &[".keys", "cut short or changed"]);
    let run = home.run(&["store"], "kind=api-key\nsite=eu1\napi_key=can ary\n");
    run.fails(2, &["api_key", "visible ASCII"]);
    let evil = "kind=api-key\nsite=dd.example.org\napi_key=canary\n";
    home.run(&["store"], evil).fails(6, &["dd.example.org"]);
    home.run(&["get"], "kind=token\n").fails(2, &["kind", "api-key"]);
}

#[cfg(unix)]
#[test]
fn a_program_gets_them_only_where_that_is_asked_for() {
    let mut home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=token\nexpires_in=3600\n").succeeds_quietly();
    let script = "echo \"$DD_API_KEY:$DD_APP_KEY:$DD_BEARER_TOKEN\"";
    let run = home.run(&["exec", "--with-keys", "--", "sh", "-c", script], "");
    run.fails(125, &["no API key is stored for EU1", "(code 3)"]);
    home.run(&["store"], PAIR).succeeds_quietly();
    let run = home.run(&["exec", "--", "sh", "-c", script], "");
    assert_eq!(run.stdout, "::token\n", "{run:?}");
    home.set("DD_API_KEY", "inherited").set("DATADOG_API_KEY", "inherited");
    let run = home.run(&["exec", "--with-keys", "--without-keys", "--", "sh", "-c", script], "");
    assert_eq!(run.stdout, "api-canary:app-canary:token\n", "{run:?}");
    assert!(run.stderr.contains("DATADOG_API_KEY: not handed on"), "{run:?}");
    for command in ["env", "token", "status"] {
        assert!(!home.run(&[command], "").stdout.contains("canary"));
    }
}
