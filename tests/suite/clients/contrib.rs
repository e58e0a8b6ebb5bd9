//! What `contrib/` offers, run as it is.
#![cfg(unix)]

use std::ffi::OsString;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer, built, source};
use crate::support::process::{Run, finish, start};

/// `dd-curl` in a home, with the built program first in the path.
fn dd_curl(home: &Home, arguments: &[&str], clock: &str) -> Run {
    let mut command = home.any_program(&source("contrib/dd-curl"), arguments);
    let mut path: OsString = built(".").into();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command.env("PATH", path).env("DD_OAUTH_TEST_CLOCK", clock);
    finish(start(command, b""))
}

#[test]
fn dd_curl_sends_the_token_and_shows_the_answer() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    let run = dd_curl(&home, &["/api/v2/current_user"], "0");
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{run:?}");
    home.log_in();
    let run = dd_curl(&home, &["/api/v2/current_user", "--max-time", "20"], "0");
    run.succeeds_quietly();
    assert!(run.stdout.contains("users"), "{run:?}");
}

#[test]
fn dd_curl_tells_what_the_api_refused() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.run(&["store"], "access_token=of-another-server\nexpires_in=3600\n").succeeds_quietly();
    // So new a token was not rejected for its age, and another would fare no better.
    let run = dd_curl(&home, &["/api/v2/current_user"], "0");
    assert_eq!(run.code, Some(22), "{run:?}");
    assert!(run.stderr.contains("status 401"), "{run:?}");
    assert_eq!(peer.refreshes().len(), 0);
}

#[cfg(feature = "test-clock")]
#[test]
fn dd_curl_gets_another_token_after_a_401_once() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.run(&["store"], "access_token=of-another-server\nexpires_in=3600\n").succeeds_quietly();
    let run = dd_curl(&home, &["/api/v2/current_user"], "60000");
    run.succeeds_quietly();
    assert!(run.stdout.contains("users"), "{run:?}");
    assert_eq!(peer.refreshes().len(), 1);
}
