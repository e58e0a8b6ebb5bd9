//! `dd-oauth doctor`: quiet on a healthy machine, and each trouble told with its remedy.
#![cfg(target_os = "linux")]

use std::net::TcpListener;
use std::path::Path;
#[cfg(feature = "test-clock")]
use std::time::Duration;

use serde_json::Value;

use crate::support::home::{Home, free_port};
use crate::support::keyring::{Bus, Keyring, installation_id};
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

/// The report, and the exit code.
struct Report(Value, Option<i32>);

impl Report {
    #[track_caller]
    fn of(run: &Run) -> Self {
        let json = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
        Self(json, run.code)
    }

    #[track_caller]
    fn at(home: &Home) -> Self {
        Self::of(&home.run(&["doctor", "--json"], ""))
    }

    /// Insists on a line of this check with this verdict, and `words` in it.
    #[track_caller]
    fn says(&self, check: &str, verdict: &str, words: &[&str]) {
        let checks = self.0["checks"].as_array().unwrap();
        let fits = |line: &&Value| {
            let text = format!("{} {}", line["finding"], line["remedy"]);
            line["check"] == check
                && line["verdict"] == verdict
                && words.iter().all(|word| text.contains(word))
        };
        assert!(checks.iter().any(|line| fits(&line)), "{check} {verdict} {words:?}: {}", self.0);
    }
}

#[test]
fn a_healthy_machine_has_no_problem_and_is_left_as_it_is() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    let token = home.get();
    let (stored, browsers) = (home.stored(), home.browsers_opened());
    let run = home.run(&["doctor"], "");
    run.succeeds_quietly();
    assert!(!run.stdout.contains("problem") && !run.stdout.contains(&token), "{run:?}");
    let report = Report::at(&home);
    assert_eq!(report.1, Some(0));
    for check in ["configuration", "state_directory", "locks", "sealing_key", "session", "server"] {
        report.says(check, "ok", &[]);
    }
    report.says("clock", "ok", &["the server's"]);
    report.says("callback_ports", "ok", &["free"]);
    let settings = report.0["settings"].as_array().unwrap();
    let site = settings.iter().find(|setting| setting["setting"] == "site").unwrap();
    assert_eq!((&site["value"], &site["source"]), (&peer.origin.clone().into(), &"DD_SITE".into()));
    assert_eq!((home.stored(), home.browsers_opened()), (stored, browsers));
    assert_eq!(peer.refreshes().len(), 0);
}

#[cfg(feature = "test-clock")]
#[test]
fn a_wrong_clock_is_told_by_how_much() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    let run = home.run_later(Duration::from_hours(1), &["doctor", "--json"], "");
    let report = Report::of(&run);
    assert_eq!(report.1, Some(1));
    report.says("clock", "problem", &["ahead of the server", "NTP"]);
}

#[test]
fn taken_ports_and_a_server_that_is_not_there_are_problems() {
    let mut home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    home.set("DD_OAUTH_CALLBACK_PORT", &port);
    home.set("DD_SITE", &format!("http://127.0.0.1:{}", free_port()));
    let report = Report::at(&home);
    assert_eq!((report.1, &report.0["problems"]), (Some(4), &2.into()), "{}", report.0);
    report.says("server", "problem", &["could not reach"]);
    report.says("clock", "note", &["not compared"]);
    report.says("callback_ports", "problem", &[&port, "--callback-port"]);
    report.says("session", "note", &["dd-oauth login"]);
}

#[test]
fn a_keychain_that_is_absent_or_frozen_is_told_within_its_deadline() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "off");
    home.log_in();
    Report::at(&home).says("keychain", "ok", &["dd-oauth key move file"]);
    keyring.freeze();
    let frozen = Report::at(&home);
    keyring.thaw();
    assert_eq!(frozen.1, Some(5), "{}", frozen.0);
    frozen.says("keychain", "problem", &["within 3 s", "dd-oauth key move file"]);
    drop(keyring);

    let mut other = Home::at(&peer);
    let _bus = Bus::start(&mut other);
    let absent = Report::at(&other);
    assert_eq!(absent.1, Some(0), "{}", absent.0);
    absent.says("keychain", "note", &["in a file", "DD_TOKEN_STORAGE=file"]);
}

#[test]
fn roots_that_cannot_be_read_are_a_problem() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    home.set("SSL_CERT_FILE", "/nowhere/roots.pem");
    let report = Report::at(&home);
    assert_eq!(report.1, Some(1), "{}", report.0);
    report.says("roots", "problem", &["SSL_CERT_FILE"]);
}

#[test]
fn a_file_system_without_locks_is_a_problem() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let flags = ["-f", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"];
    let mut traced = home.any_program(Path::new("strace"), &flags);
    traced.args([env!("CARGO_BIN_EXE_dd-oauth"), "doctor", "--json"]);
    let report = Report::of(&finish(start(traced, b"")));
    assert_eq!(report.1, Some(5), "{}", report.0);
    report.says("locks", "problem", &["cannot lock files", "DD_OAUTH_STATE_DIR"]);
}

#[test]
fn an_orphan_and_variables_that_contradict_are_told_without_their_values() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    home.log_in();
    let id = installation_id(&home);
    std::fs::remove_dir_all(home.path().join(".local/state")).unwrap();
    home.log_in();
    home.set("DD_API_KEY", "canary").set("DD_BEARER_TOKEN", "canary");
    home.set("DD_HOST", "https://user:canary@api.datadoghq.eu");
    home.set("HTTPS_PROXY", "http://user:canary@127.0.0.1:1");
    let run = home.run(&["doctor", "--json"], "");
    assert!(!run.stdout.contains("canary") && !run.stderr.contains("canary"), "{run:?}");
    let report = Report::of(&run);
    assert_eq!(report.1, Some(2), "{}", report.0);
    report.says("orphans", "note", &[&id, "dd-oauth key forget"]);
    report.says("variables", "problem", &["DD_HOST", "DD_SITE"]);
    report.says("variables", "note", &["DD_API_KEY"]);
    report.says("variables", "note", &["DD_BEARER_TOKEN"]);
}

#[test]
fn a_variable_that_means_nothing_is_a_verdict_too() {
    let mut home = Home::new();
    home.set("DD_SITE", "us9");
    let report = Report::at(&home);
    assert_eq!(report.1, Some(2));
    report.says("configuration", "problem", &["DD_SITE", "us9"]);
}
