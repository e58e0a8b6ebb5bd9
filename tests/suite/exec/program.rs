//! `exec`: a program with a token in its environment, and nothing between it and its caller.
#![cfg(unix)]

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};
use crate::support::terminal::on_a_terminal;

/// A home with one session, whose token is fresh for a year.
fn home_with_token() -> Home {
    let home = Home::new();
    let tokens = "site=datadoghq.eu\norg=Acme's $x\naccess_token=canary\nexpires_in=31536000\n";
    home.run(&["store"], tokens).succeeds_quietly();
    home
}

/// Runs a script of `sh` under `exec`.
fn exec(home: &Home, flags: &[&str], script: &str) -> Run {
    home.run(&[&["exec"], flags, &["--", "sh", "-c", script]].concat(), "")
}

#[test]
fn a_program_finds_the_token_where_it_looks_for_one() {
    let home = home_with_token();
    let script = "printf '%s\\n' \"$DD_BEARER_TOKEN\" \"$DATADOG_BEARER_TOKEN\" \
        \"$DD_ACCESS_TOKEN\" \"$DD_SITE\" \"$DD_HOST\" \"$DD_ORG\" \"$DD_OAUTH_EXEC\"";
    let run = exec(&home, &[], script);
    run.succeeds_quietly();
    let expected = "canary\ncanary\ncanary\ndatadoghq.eu\nhttps://api.datadoghq.eu\nAcme's $x\n1\n";
    assert_eq!(run.stdout, expected);

    let run = exec(&home, &["--variable", "MINE", "--variable", "_ALSO"], "env | grep canary");
    run.succeeds_quietly();
    let mut lines: Vec<_> = run.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["MINE=canary", "_ALSO=canary"]);
    exec(&home, &["--variable", "DD_SITE"], "").fails(125, &["DD_SITE", "another meaning"]);
}

#[test]
fn keys_beside_the_token_are_mentioned_and_removed_only_when_asked() {
    let mut home = home_with_token();
    home.set("DD_API_KEY", "key").set("DATADOG_APP_KEY", "key");
    let script = "echo \"$DD_API_KEY:$DATADOG_APP_KEY\"";
    let run = exec(&home, &[], script);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "key:key\n"), "{run:?}");
    assert!(run.stderr.contains("DD_API_KEY, DATADOG_APP_KEY"), "{run:?}");
    let run = exec(&home, &["--without-keys"], script);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ":\n"), "{run:?}");
    assert!(run.stderr.contains("not handed on"), "{run:?}");
}

#[test]
fn the_exit_code_is_the_programs_own() {
    let home = home_with_token();
    for code in [0, 1, 42, 125, 255] {
        assert_eq!(exec(&home, &[], &format!("exit {code}")).code, Some(code));
    }
    for signal in [1, 2, 3, 9, 10, 15] {
        let arguments = ["exec", "--", "sh", "-c", &format!("kill -{signal} $$")];
        let mut program = start(home.program(&arguments), b"");
        assert_eq!(program.wait().signal(), Some(signal));
    }
}

#[test]
fn what_keeps_the_program_from_starting_has_codes_of_its_own() {
    let home = home_with_token();
    home.run(&["exec", "--", "no-such-program"], "").fails(127, &["no-such-program"]);
    let plain = home.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    home.run(&["exec", "--", plain.to_str().unwrap()], "").fails(126, &["plain", "ermission"]);
    home.run(&["exec"], "").fails(125, &["PROGRAM", "(code 2)"]);
    home.run(&["exec", "--site", "us9", "--", "true"], "").fails(125, &["us9", "(code 2)"]);
    home.run_with(("DD_SITE", "us9"), &["exec", "true"], "").fails(125, &["us9", "(code 2)"]);
    let words = ["dd-oauth login --site us5.datadoghq.com", "(code 3)", "not started"];
    home.run(&["exec", "--site", "us5", "--", "true"], "").fails(125, &words);
    home.run(&["exec", "--min-ttl", "9000h", "--", "true"], "")
        .fails(125, &["32400000 s", "(code 2)"]);
}

#[test]
fn the_program_is_the_process_that_was_started() {
    let home = home_with_token();
    let mut caller = start(home.program(&["exec", "--", "sh", "-c", "echo $$ $PPID"]), b"");
    let ids = format!("{} {}\n", caller.id(), std::process::id());
    assert_eq!(caller.output(), ids);
    assert!(caller.wait().success());
}

#[test]
fn a_token_is_renewed_first_where_it_would_not_last() {
    let peer = Peer::start_with(Kind::Demo, &["--access-ttl", "100"]);
    let home = Home::at(&peer);
    home.log_in();
    // Inside the renewal window: good for a `get`, and renewed for who keeps it.
    home.run(&["store"], "access_token=expiring\nexpires_in=100\n").succeeds_quietly();
    let script = "read -r children </proc/$$/task/$$/children; echo \"$DD_BEARER_TOKEN\"; \
        [ -z \"$children\" ] || echo \"has $children\"";
    #[cfg(feature = "test-clock")]
    {
        let later = std::time::Duration::from_secs(80);
        let run = home.run_later(later, &["exec", "--", "sh", "-c", script], "");
        assert!(!run.stdout.contains("expiring"), "{run:?}");
        assert_eq!(run.stdout.lines().count(), 1, "no dead child is left to it: {run:?}");
        assert_eq!(peer.refreshes().len(), 1);
        peer.clear_log();
    }
    home.make_stale();
    let run = exec(&home, &["--min-ttl", "90"], script);
    assert!(peer.accepts(run.stdout.lines().next().unwrap()), "{run:?}");
    assert_eq!(run.stdout.lines().count(), 1, "no dead child is left to it: {run:?}");
    assert_eq!(peer.refreshes().len(), 1);
    exec(&home, &["--min-ttl", "200"], "").fails(125, &["live 100 s", "(code 2)"]);
}

#[test]
fn a_good_token_is_enough_while_the_server_is_down() {
    let peer = Peer::start_with(Kind::Demo, &["--access-ttl", "100"]);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    peer.fault(&json!({"endpoint": "token", "kind": "status", "status": 503}));
    exec(&home, &[], "").fails(125, &["503", "(code 4)"]);
}

#[test]
fn the_program_is_harmed_by_nothing_that_protects_us() {
    let home = home_with_token();
    // PR_GET_DUMPABLE.
    let script = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))";
    let run = home.run(&["exec", "--", "python3", "-c", script], "");
    assert_eq!(run.stdout, "1\n", "{run:?}");
    let script = "ls -l /proc/$$/fd | grep -c dd-oauth; umask; pwd; trap";
    let (with, without) =
        (exec(&home, &[], script), home.any_program(Path::new("sh"), &["-c", script]));
    assert_eq!(with.stdout, finish(start(without, b"")).stdout);
}

#[test]
fn a_limit_that_was_raised_for_the_refresh_is_the_programs_again() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let dd_oauth = env!("CARGO_BIN_EXE_dd-oauth");
    let script = format!("ulimit -S -f 8; {dd_oauth} exec -- sh -c 'ulimit -S -f'");
    let run = finish(start(home.any_program(Path::new("sh"), &["-c", &script]), b""));
    assert_eq!(run.stdout, "8\n", "{run:?}");
    assert_eq!(peer.refreshes().len(), 1);
}

#[test]
fn standard_input_is_the_programs() {
    let home = home_with_token();
    let run = home.run(&["exec", "--", "cat"], "one\ntwo\n");
    run.succeeds_quietly();
    assert_eq!(run.stdout, "one\ntwo\n");
    // And standard streams that are closed are none of our business.
    let dd_oauth = env!("CARGO_BIN_EXE_dd-oauth");
    let script = format!("{dd_oauth} exec -- sh -c 'exit 42' <&- >&- 2>&-");
    let run = finish(start(home.any_program(Path::new("sh"), &["-c", &script]), b""));
    assert_eq!(run.code, Some(42), "{run:?}");
}

#[test]
fn ctrl_c_and_ctrl_z_are_the_programs() {
    let home = home_with_token();
    let dd_oauth = env!("CARGO_BIN_EXE_dd-oauth");
    let waiting = "echo ready; while :; do read -r line; done";
    let script = format!("trap \"echo caught; exit 7\" INT; {waiting}");
    let run = on_a_terminal(&home, &format!("exec {dd_oauth} exec -- sh -c '{script}'"), b"\x03");
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.stdout.contains("caught"), "{run:?}");
    let script = format!("trap \"echo stopped; exit 8\" TSTP; {waiting}");
    let run = on_a_terminal(&home, &format!("exec {dd_oauth} exec -- sh -c '{script}'"), b"\x1a");
    assert_eq!(run.code, Some(8), "{run:?}");
}

#[test]
fn no_token_is_in_an_argument() {
    let home = home_with_token();
    let run = exec(&home, &[], "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("cmdline") && !run.stdout.contains("canary"));
}
