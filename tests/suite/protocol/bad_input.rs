//! Requests that cannot be understood, and streams that cannot be read or written.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::support::home::Home;
use crate::support::process::{Process, Run, finish, start};

/// A home with a session that needs no server: its token is fresh.
fn home_with_session() -> Home {
    let home = Home::new();
    let stored = home.run(&["store"], "site=eu1\naccess_token=kept\nexpires_in=3600\n");
    stored.succeeds_quietly();
    home
}

#[test]
fn a_malformed_request_is_refused_by_its_line_and_costs_nothing() {
    let home = home_with_session();
    let stored = home.stored();
    let long_line = format!("get\nx={}\n", "a".repeat(64 * 1024));
    let long_request = format!("get\n{}", "k=v\n".repeat(64 * 1024));
    let bad: &[(&[u8], &[&str])] = &[
        (b"get\nsite\n", &["line 2", "key=value"]),
        (b"get\nsite=eu1\n=\nnonsense\n", &["line 4", "key=value"]),
        (b"get\nsite=eu1\0\n", &["line 2", "NUL"]),
        (b"g\0et\n", &["line 1", "NUL"]),
        (b"get\nunknown=a\0b\n", &["line 2", "NUL"]),
        (b"get\norg=a\rb\n", &["line 2", "carriage return"]),
        (b"get\norg=a\r\r\n", &["line 2", "carriage return"]),
        (b"get\norg=a\x1b[31mb\n", &["line 2", "control character"]),
        ("get\norg=a\u{85}b\n".as_bytes(), &["line 2", "control character"]),
        (b"get\norg=\xff\n", &["line 2", "UTF-8"]),
        (b"\xffget\n", &["line 1", "UTF-8"]),
        (long_line.as_bytes(), &["line 2", "65536 bytes"]),
        (long_request.as_bytes(), &["262144 bytes"]),
        (b"get\nsite=eu1\nsite=eu1\n", &["line 3", "repeats", "site"]),
        (b"fetch\n", &["unknown operation", "get, store or erase"]),
        (b"GET\n", &["unknown operation"]),
        (b"get store\n", &["unknown operation"]),
        ("\u{feff}get\n".as_bytes(), &["unknown operation"]),
        (b"", &["no operation", "get, store or erase"]),
        (b"\nget\n", &["no operation"]),
        (b"site=eu1\n", &["no operation"]),
        (b"get\nversion=0\n", &["version", "it knows 1"]),
        (b"get\nversion=x\n", &["version", "it knows 1"]),
        (b"get\nversion=\n", &["version"]),
        (b"get\nmin_ttl=-1\n", &["min_ttl", "seconds"]),
        (b"get\nmin_ttl=1h\n", &["min_ttl", "seconds"]),
        (b"get\nmin_ttl=99999999999999999999\n", &["min_ttl", "seconds"]),
        (b"get\norg=\n", &["org", "1 to 128 bytes"]),
        (b"get\nsite=us9\n", &["us9", "is not a site", "EU1"]),
        (b"get\nsite=\n", &["is not a site"]),
        (b"get\nsite=http://datadoghq.eu\n", &["is not https", "http://127.0.0.1:PORT"]),
        (b"get\nsite=http://localhost:80\n", &["is not https", "http://127.0.0.1:PORT"]),
        (b"get\nsite=http://[::1]:80\n", &["is not https"]),
        (b"get\nsite=http://127.0.0.1\n", &["port"]),
        (b"get\nsite=ftp://datadoghq.eu\n", &["is not a site"]),
        (b"get\nsite=https://datadoghq.eu/path\n", &["leave out path, port and user"]),
        (b"get\nsite=https://user@datadoghq.eu\n", &["leave out path, port and user"]),
        (b"get\nsite=datadoghq.eu:8443\n", &["leave out path, port and user"]),
        (b"store\nsite=eu1\n", &["store", "lacks", "access_token"]),
        (b"store\naccess_token=a\nrefresh_token=r\n", &["lacks", "client_id"]),
        (b"store\naccess_token=\n", &["access_token", "visible ASCII"]),
        (b"store\naccess_token=a b\n", &["access_token", "visible ASCII"]),
        (b"store\naccess_token=a\nrefresh_token=\xc3\xa4\nclient_id=c\n", &["refresh_token"]),
        (b"store\naccess_token=a\nclient_id=\n", &["client_id"]),
        (b"store\naccess_token=a\nexpires_at=soon\n", &["expires_at", "seconds"]),
        (b"store\naccess_token=a\nexpires_at=1\nexpires_in=1\n", &["expires_in", "expires_at"]),
        (b"store\naccess_token=a\nscope=\"x\"\n", &["scope"]),
        (b"erase\naccess_token=a b\n", &["access_token", "visible ASCII"]),
    ];
    for (input, words) in bad {
        home.run(&[], input).fails(2, words);
        assert_eq!(home.stored(), stored);
    }
    assert_eq!(home.get(), "kept");
}

#[test]
fn the_operation_may_be_given_twice_but_not_two_of_them() {
    let home = home_with_session();
    let twice = home.run(&["get"], "get\n");
    twice.succeeds_quietly();
    assert_eq!(twice.value("access_token"), "kept");
    home.run(&["erase"], "get\n").fails(2, &["erase on the command line", "get on standard input"]);
    home.run(&["get"], "store\naccess_token=a\n").fails(2, &["get on the command line"]);
    home.run(&["get"], "nonsense\n").fails(2, &["unknown operation"]);
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_later_version_is_answered_with_the_one_that_is_known() {
    let home = home_with_session();
    let answer = home.run(&[], "get\nversion=99\n");
    answer.succeeds_quietly();
    assert_eq!(answer.value("version"), "1");
}

#[test]
fn a_token_that_stands_in_the_wrong_place_is_not_shown() {
    let home = home_with_session();
    // A script that forgot the key, or the whole line that should have come first.
    for (arguments, input) in [
        (vec!["store"], "canary-3e9f\n"),
        (vec![], "canary-3e9f\naccess_token=x\n"),
        (vec!["store"], "access_token=x\ncanary-3e9f\n"),
        (vec!["store"], "access_token=canary-3e9f canary-3e9f\n"),
        (vec!["store"], "access_token=x\nrefresh_token=canary-3e9f\n"),
        (vec!["store"], "access_token=x\nexpires_in=canary-3e9f\n"),
        (vec!["get"], "site=https://canary-3e9f@datadoghq.eu\n"),
    ] {
        let run = home.run(&arguments, input);
        run.fails(2, &[]);
        assert!(!run.stderr.contains("canary"), "{run:?}");
    }
}

#[test]
fn numbers_at_the_end_of_their_range_are_taken_or_refused_but_never_a_panic() {
    let home = Home::new();
    for expiry in [
        "expires_at=9223372036854775807",
        "expires_at=-9223372036854775808",
        "expires_in=9223372036854775807",
        "expires_in=-9223372036854775808",
        "expires_in=0",
    ] {
        home.run(&["store"], format!("access_token=a\n{expiry}\n")).succeeds_quietly();
        home.run(&["status"], "").succeeds_quietly();
        home.run(&["list"], "").succeeds_quietly();
    }
    assert_eq!(home.get(), "a", "an absurd lifetime counts as a quarter of an hour");
    let longest = u64::MAX.to_string();
    home.run(&["token", "--min-ttl", &longest], "").fails(2, &["900 s"]);
    home.run(&["store"], "access_token=a\nexpires_at=9223372036854775808\n")
        .fails(2, &["expires_at", "seconds"]);
}

#[test]
fn standard_input_that_stalls_is_not_waited_for() {
    let home = home_with_session();
    // All at once, as each takes the whole wait.
    let stalled: Vec<_> = [(vec![], "get\n"), (vec!["get"], ""), (vec![], "get\nsite=eu")]
        .into_iter()
        .map(|(arguments, input)| {
            let mut child = Process::spawn(&mut home.program(&arguments));
            let mut kept_open = child.stdin.take().unwrap();
            kept_open.write_all(input.as_bytes()).unwrap();
            (child, kept_open)
        })
        .collect();
    for (child, _kept_open) in stalled {
        finish(child).fails(2, &["5 s", "empty line"]);
    }
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_request_that_ended_is_answered_though_the_stream_stays_open() {
    let home = home_with_session();
    let mut child = Process::spawn(&mut home.program(&[]));
    let mut kept_open = child.stdin.take().unwrap();
    kept_open.write_all(b"get\n\nnot read").unwrap();
    let run = finish(child);
    run.succeeds_quietly();
    assert_eq!(run.value("access_token"), "kept");
}

/// Runs the program under a shell that redirects its streams.
fn redirected(home: &Home, arguments: &str, redirection: &str) -> Run {
    let program = env!("CARGO_BIN_EXE_dd-oauth");
    let script = format!("exec '{program}' {arguments} {redirection}");
    finish(start(home.any_program(Path::new("sh"), &["-c", &script]), b""))
}

#[test]
fn standard_input_that_is_closed_is_an_empty_request() {
    let home = home_with_session();
    redirected(&home, "", "<&-").fails(2, &["no operation"]);
    let answer = redirected(&home, "get", "<&-");
    answer.succeeds_quietly();
    assert_eq!(answer.value("access_token"), "kept");
    redirected(&home, "get", "</").fails(1, &["standard input"]);
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let home = home_with_session();
    let commands: &[&[&str]] =
        &[&["get"], &["token"], &["status"], &["status", "--json"], &["list"], &["--version"]];
    for arguments in commands {
        let mut full = home.program(arguments);
        full.stdin(Stdio::null()).stdout(File::options().write(true).open("/dev/full").unwrap());
        let run = Process::spawn(&mut full).finish();
        run.fails(1, &["standard output", "No space left"]);

        let mut closed = home.program(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let run = Process::spawn(closed.stdin(Stdio::null()).stdout(writer)).finish();
        run.fails(1, &["standard output", "Broken pipe"]);
    }
    assert_eq!(home.get(), "kept");
}

#[test]
fn standard_error_that_cannot_be_written_changes_nothing() {
    let home = home_with_session();
    for redirection in ["2>/dev/full", "2>&-"] {
        let answer = redirected(&home, "token", redirection);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "kept\n"));
        let failure = redirected(&home, "token --site us5", redirection);
        assert_eq!((failure.code, failure.stdout.as_str()), (Some(3), ""));
    }
}
