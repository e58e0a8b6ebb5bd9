//! The first command of the README, as a build server runs it: no terminal, and nobody to log in.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::home::free_port;
use crate::support::peers::{built, source};
use crate::support::process::Process;

#[test]
fn the_demo_shows_a_login_a_refresh_and_a_logout_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(source("examples/demo"));
    command
        .env("CI", "true")
        .env("DD_OAUTH_CALLBACK_PORT", free_port().to_string())
        // The person's own organization must not matter.
        .env("DD_ORG", "Acme")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // What cargo sets for this test would have it build some crates anew.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_") && name != "CARGO_HOME" {
            command.env_remove(&*name);
        }
    }
    command.env("CARGO_TARGET_DIR", built("..").canonicalize().unwrap());
    for place in ["TMPDIR", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(place, home.path());
    }
    let run = Process::spawn(&mut command).finish();
    assert_eq!(run.code, Some(0), "{run:?}");

    let tokens: Vec<_> =
        run.stdout.lines().filter_map(|line| line.strip_prefix("access_token=")).collect();
    assert_eq!(tokens.len(), 2, "{run:?}");
    assert_ne!(tokens[0], tokens[1], "the second was refreshed");
    let server = run.stdout.lines().filter_map(|line| line.strip_prefix("server | "));
    let server: Vec<_> = server.skip(1).collect();
    let expected = [
        "register: ok",
        "authorize: ok",
        "consent: allowed",
        "token (authorization_code): issued",
        "token (refresh_token): issued",
        "current_user: 200",
        "revoke: ok",
        "revoke: ok",
    ];
    assert_eq!(server, expected);

    let site = run.stdout.lines().find_map(|line| line.strip_prefix("site=http://")).unwrap();
    assert!(TcpStream::connect(site).is_err(), "the server still runs");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "a file was left behind");
}
