//! The dialects of other programs, spoken by the test: every operation, every exit code, and what
//! must not happen. The programs themselves speak them in `clients/`.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Process, Run, finish, start};

/// A home with a session at EU1 that needs no server: its token is fresh.
fn home_with_session() -> Home {
    let home = Home::new();
    let tokens = "site=eu1\naccess_token=kept\nexpires_in=3600\nrefresh_token=r\nclient_id=c\n";
    home.run(&["store"], tokens).succeeds_quietly();
    home
}

const GIT_REQUEST: &str = "protocol=https\nhost=api.datadoghq.eu\n";

fn git(home: &Home, operation: &str, request: &str) -> Run {
    home.run(&["--protocol", "git", operation], request)
}

fn docker(home: &Home, operation: &str, request: &str) -> Run {
    home.run(&["--protocol", "docker", operation], request)
}

fn bazel(home: &Home, request: &str) -> Run {
    home.run(&["--protocol", "bazel", "get"], request)
}

/// Insists on docker's way to fail: this text on standard output, and exit code 1.
#[track_caller]
fn refuses(run: &Run, text: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), format!("{text}\n").as_str()), "{run:?}");
}

/// The program under another name.
fn called(home: &Home, name: &str) -> PathBuf {
    let path = home.path().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    // A link would do, but on Windows not everybody may make one.
    std::fs::hard_link(env!("CARGO_BIN_EXE_dd-oauth"), &path)
        .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_dd-oauth"), &path).map(drop))
        .unwrap();
    path
}

#[test]
fn a_program_is_known_by_the_name_that_it_is_called_under() {
    let home = home_with_session();
    for (name, request, expected) in [
        ("git-credential-dd-oauth", GIT_REQUEST, "password=kept"),
        ("docker-credential-dd-oauth", "api.datadoghq.eu", r#""Secret":"kept""#),
        ("bazel-credential-dd-oauth", r#"{"uri":"https://api.datadoghq.eu"}"#, "Bearer kept"),
    ] {
        let program = called(&home, name);
        let run = finish(start(home.any_program(&program, &["get"]), request.as_bytes()));
        run.succeeds_quietly();
        assert!(run.stdout.contains(expected), "{run:?}");
    }
}

#[test]
fn the_protocol_is_chosen_before_or_behind_the_operation_and_only_for_a_helper() {
    let home = home_with_session();
    for arguments in [
        &["--protocol", "git", "get"][..],
        &["get", "--protocol=git"],
        &["get", "--protocol", "git"],
    ] {
        let run = home.run(arguments, GIT_REQUEST);
        run.succeeds_quietly();
        assert!(run.stdout.contains("password=kept"), "{run:?}");
    }
    for arguments in [
        &["--protocol", "native", "get"][..],
        &["get", "--protocol", "native"],
        &["--protocol=native"],
    ] {
        home.run(arguments, "get\n").succeeds_quietly();
    }
    home.run(&["get", "--protocol", "svn"], "").fails(2, &["svn", "native, git, docker, bazel"]);
    home.run(&["status", "--protocol", "git"], "").fails(2, &["--protocol"]);
}

#[test]
fn git_gets_a_bearer_token_or_a_password() {
    let home = home_with_session();
    let expiry = home.run(&["get"], "").value("expires_at");
    let bearer = git(&home, "get", &format!("capability[]=authtype\n{GIT_REQUEST}"));
    bearer.succeeds_quietly();
    let expected = format!(
        "capability[]=authtype\nauthtype=Bearer\ncredential=kept\nephemeral=1\n\
        password_expiry_utc={expiry}\n"
    );
    assert_eq!(bearer.stdout, expected);
    let password = git(&home, "get", GIT_REQUEST);
    password.succeeds_quietly();
    let expected = format!("username=oauth2\npassword=kept\npassword_expiry_utc={expiry}\n");
    assert_eq!(password.stdout, expected);
    let capability = git(&home, "capability", "");
    assert_eq!(capability.stdout, "version 0\ncapability authtype\n");
}

#[test]
fn git_is_left_to_its_next_helper_where_the_host_is_no_sites() {
    let home = home_with_session();
    let stored = home.stored();
    for (protocol, host) in [
        ("https", "github.com"),
        ("https", "acme.datadoghq.eu"),
        ("https", "api.example.org"),
        ("http", "127.0.0.1:4000"),
        ("http", "api.datadoghq.eu"),
    ] {
        for operation in ["get", "store", "erase"] {
            let request = format!("protocol={protocol}\nhost={host}\nusername=u\npassword=p\n");
            let run = git(&home, operation, &request);
            run.succeeds_quietly();
            assert_eq!(run.stdout, "", "{operation} {host}");
        }
    }
    let unknown = git(&home, "frobnicate", "anything");
    unknown.succeeds_quietly();
    assert_eq!((unknown.stdout.as_str(), home.stored()), ("", stored));
}

#[test]
fn without_a_session_git_is_told_to_quit_and_docker_in_its_own_words() {
    let home = Home::new();
    let run = git(&home, "get", GIT_REQUEST);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "quit=1\n"), "{run:?}");
    assert!(run.stderr.contains("dd-oauth login --site datadoghq.eu"), "{run:?}");

    let run = docker(&home, "get", "api.datadoghq.eu");
    refuses(&run, "credentials not found in native keychain");
    assert!(run.stderr.contains("dd-oauth login --site datadoghq.eu"), "{run:?}");
    let run = docker(&home, "get", "https://index.docker.io/v1/");
    refuses(&run, "credentials not found in native keychain");
    assert_eq!(run.stderr, "", "it is none of our business");
    assert_eq!(docker(&home, "list", "").stdout, "{}\n");

    bazel(&home, r#"{"uri":"https://api.datadoghq.eu"}"#).fails(3, &["dd-oauth login"]);
    bazel(&home, r#"{"uri":"https://github.com"}"#).fails(2, &["uri", "Datadog site"]);
    bazel(&home, r#"{"uri":"https://api.example.org"}"#).fails(2, &["uri", "Datadog site"]);
}

#[test]
fn a_store_of_git_or_docker_succeeds_and_keeps_nothing() {
    let home = home_with_session();
    let stored = home.stored();
    let request = format!("{GIT_REQUEST}username=u\npassword=another\n");
    git(&home, "store", &request).succeeds_quietly();
    git(&home, "store", &format!("{GIT_REQUEST}authtype=Bearer\ncredential=another\n"))
        .succeeds_quietly();
    let credentials = r#"{"ServerURL":"api.datadoghq.eu","Username":"u","Secret":"another"}"#;
    let run = docker(&home, "store", credentials);
    run.succeeds_quietly();
    assert_eq!((run.stdout.as_str(), home.stored()), ("", stored));
    refuses(&docker(&home, "store", r#"{"Username":"u"}"#), "no credentials server URL");
    refuses(&docker(&home, "store", r#"{"ServerURL":"s"}"#), "no credentials username");
}

#[cfg(feature = "test-clock")]
#[test]
fn an_erase_of_git_or_docker_rejects_the_access_token_and_keeps_the_session() {
    // Past the first moments of the token, in which a rejection is not about its age.
    let later = Duration::from_mins(1);
    let git_erase = ["--protocol", "git", "erase"];
    let docker_erase = ["--protocol", "docker", "erase"];
    let named = format!("{GIT_REQUEST}authtype=Bearer\ncredential=kept\n");
    let as_password = format!("{GIT_REQUEST}username=oauth2\npassword=kept\n");
    for (arguments, request) in [
        (&git_erase, named.as_str()),
        (&git_erase, &as_password),
        (&git_erase, GIT_REQUEST),
        (&docker_erase, "https://api.datadoghq.eu"),
    ] {
        let home = home_with_session();
        assert!(home.status()["expires_at"].is_number());
        // docker does it four times at one logout.
        for _ in 0..4 {
            home.run_later(later, arguments, request).succeeds_quietly();
        }
        let status = home.status();
        assert!(status["expires_at"].is_null(), "the token is gone: {status}");
        assert_eq!(status["renewable"], true, "the session is not: {status}");
    }
}

#[cfg(feature = "test-clock")]
#[test]
fn an_erase_that_names_another_token_or_comes_at_once_changes_nothing() {
    let home = home_with_session();
    let stored = home.stored();
    let later = Duration::from_mins(1);
    let erase = ["--protocol", "git", "erase"];
    for credential in ["credential=another", "password=another", "password=two words", "password="]
    {
        let request = format!("{GIT_REQUEST}{credential}\n");
        home.run_later(later, &erase, &request).succeeds_quietly();
    }
    git(&home, "erase", GIT_REQUEST).succeeds_quietly();
    docker(&home, "erase", "api.datadoghq.eu").succeeds_quietly();
    assert_eq!(home.stored(), stored);
    refuses(&docker(&home, "erase", "\n"), "no credentials server URL");
}

#[cfg(feature = "test-clock")]
#[test]
fn an_expired_credential_is_given_to_nobody() {
    let home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=old\nexpires_in=3600\n").succeeds_quietly();
    let later = Duration::from_hours(2);
    let run = home.run_later(later, &["--protocol", "git", "get"], GIT_REQUEST);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "quit=1\n"));
    let run = home.run_later(later, &["--protocol", "docker", "get"], "api.datadoghq.eu");
    refuses(&run, "credentials not found in native keychain");
    let request = r#"{"uri":"https://api.datadoghq.eu"}"#;
    home.run_later(later, &["--protocol", "bazel", "get"], request).fails(3, &["dd-oauth login"]);
}

#[test]
fn docker_gets_exact_json_and_exact_words() {
    let home = home_with_session();
    let run = docker(&home, "get", "https://api.datadoghq.eu/v2/\n");
    run.succeeds_quietly();
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    let url = "https://api.datadoghq.eu/v2/";
    assert_eq!(answer, json!({"ServerURL": url, "Username": "<token>", "Secret": "kept"}));
    let run = docker(&home, "list", "");
    run.succeeds_quietly();
    assert_eq!(run.stdout, "{\"https://api.datadoghq.eu\":\"<token>\"}\n");
    let version = docker(&home, "version", "").stdout;
    assert!(version.starts_with("docker-credential-dd-oauth ("), "{version}");

    refuses(&docker(&home, "get", ""), "no credentials server URL");
    refuses(&docker(&home, "get", "api.datadoghq.com"), "credentials not found in native keychain");
    for arguments in [&["--protocol", "docker"][..], &["--protocol", "docker", "frobnicate"]] {
        let run = home.run(arguments, "");
        assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{run:?}");
        assert!(run.stdout.contains("list"), "{run:?}");
    }
    // Whatever goes wrong is 1 and on standard output.
    for (variable, arguments) in
        [(("DD_SITE", "us9"), &["get"][..]), (("CI", "1"), &["get", "--bogus"])]
    {
        let arguments = [&["--protocol", "docker"], arguments].concat();
        let run = home.run_with(variable, &arguments, "api.datadoghq.eu");
        assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{run:?}");
        assert!(run.stdout.contains("us9") || run.stdout.contains("--bogus"), "{run:?}");
    }
}

#[test]
fn bazel_gets_a_header_and_no_other_operation() {
    let home = home_with_session();
    let run = bazel(&home, r#"{"uri":"https://api.datadoghq.eu/x","surprise":{}}"#);
    run.succeeds_quietly();
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["headers"], json!({"Authorization": ["Bearer kept"]}));
    let seconds = home.run(&["get"], "").value("expires_at").parse().unwrap();
    let moment = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(answer["expires"], humantime::format_rfc3339_seconds(moment).to_string());
    home.run(&["--protocol", "bazel", "store"], "{}").fails(2, &["get alone"]);
    home.run(&["--protocol", "bazel"], "{}").fails(2, &["no operation"]);
}

#[test]
fn bazel_opens_a_browser_only_where_it_is_told_to() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    let configuration = home.configuration();
    std::fs::create_dir_all(&configuration).unwrap();
    let trusted = format!("trusted_sites = ['{}']\n", peer.origin);
    std::fs::write(configuration.join("config.toml"), trusted).unwrap();
    home.log_in();
    home.run(&["logout"], "").code.unwrap();
    let opened = home.browsers_opened();
    home.run(&["store"], "access_token=stale\nexpires_at=1000000000\n").succeeds_quietly();

    let request = format!(r#"{{"uri":"{}/x"}}"#, peer.origin);
    bazel(&home, &request).fails(3, &["dd-oauth login"]);
    let interactive = ("DD_OAUTH_INTERACTIVE", "auto");
    home.run_with(interactive, &["--protocol", "bazel", "get"], &request).fails(3, &[]);
    assert_eq!(home.browsers_opened(), opened);
    let always = ("DD_OAUTH_INTERACTIVE", "always");
    let run = home.run_with(always, &["--protocol", "bazel", "get"], &request);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(home.browsers_opened(), opened + 1);
}

#[test]
fn bazel_hears_within_its_own_limit_that_the_server_is_slow() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    peer.fault(&json!({"endpoint": "token", "kind": "delay", "ms": 20_000}));
    let started = Instant::now();
    let run = bazel(&home, &format!(r#"{{"uri":"{}/x"}}"#, peer.origin));
    let took = started.elapsed();
    assert_eq!((run.code, run.stdout.as_str()), (Some(4), ""), "{run:?}");
    assert!((7..10).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn bazel_is_not_waited_for_longer_than_its_limit_however_slowly_it_speaks() {
    let home = home_with_session();
    let mut child = Process::spawn(&mut home.program(&["--protocol", "bazel", "get"]));
    let mut input = child.stdin.take().unwrap();
    let started = Instant::now();
    // Each byte is progress, but it never ends.
    let drip = std::thread::spawn(move || {
        while input.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let run = finish(child);
    let took = started.elapsed();
    drip.join().unwrap();
    run.fails(2, &["request"]);
    assert!((3..8).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_script_gets_the_form_that_it_asks_for() {
    let home = home_with_session();
    let get = |format: &str| {
        let run = home.run(&["get", "--format", format], "site=eu1\nversion=1\n");
        run.succeeds_quietly();
        run.stdout
    };
    assert_eq!(get("token"), "kept\n");
    assert_eq!(get("header"), "Authorization: Bearer kept\n");
    let native = home.run(&["get"], "version=1\n").stdout;
    assert_eq!(get("native"), native);
    let object: Value = serde_json::from_str(&get("json")).unwrap();
    let expected: serde_json::Map<_, _> = native
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .map(|(key, value)| (key.to_string(), value.into()))
        .collect();
    assert_eq!(object, Value::Object(expected), "a flat object of strings");
    home.run(&["get", "--format", "xml"], "").fails(2, &["xml", "native, token, json, header"]);
}
