//! An import that is done again: after a crash, a renewal, or by another tool's name. A session that
//! was taken over goes on here, and the spent token of the tool never comes back.
#![cfg(target_os = "linux")]

use std::path::Path;

use crate::support::earlier_tools::{Tokens, leave_pup, leave_seed, pup_tokens, seed_tokens};
use crate::support::home::{Home, free_port};
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

const TAKE: [&str; 5] = ["import", "--from", "file", "--yes", "--remove-original"];
const KEEP: [&str; 5] = ["import", "--from", "file", "--yes", "--keep-original"];

/// A home with a login of an earlier tool, and that login.
fn home_with_login(peer: &Peer) -> (Home, Tokens) {
    let mut home = Home::at(peer);
    let port = free_port();
    home.set("DD_OAUTH_CALLBACK_PORT", &port.to_string());
    let tokens = Tokens::of_login(&home, peer, port);
    (home, tokens)
}

#[track_caller]
fn succeeds(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(0), "{run:?}");
    for word in words {
        assert!(run.stderr.contains(word), "no {word:?} in {run:?}");
    }
}

/// Insists that the one session is good, and can be renewed once more.
#[track_caller]
fn goes_on(home: &Home, peer: &Peer) {
    let refreshed = home.run(&["refresh"], "");
    assert_eq!(refreshed.code, Some(0), "{refreshed:?}");
    assert!(peer.accepts(&home.get()));
    assert_eq!(home.run(&["list"], "").stdout.lines().count(), 1);
}

#[test]
fn a_session_that_was_renewed_since_counts_as_taken_over() {
    // The judge ends a session whose spent token comes back.
    for kind in [Kind::Judge, Kind::Demo] {
        let peer = Peer::start(kind);
        let (home, tokens) = home_with_login(&peer);
        leave_pup(&home, &peer.origin, &[("__default__", &tokens)]);
        let original = pup_tokens(&home, &peer.origin);
        succeeds(&home.run(&KEEP, ""), &["took over", "the session of both ends"]);
        home.get();
        goes_on(&home, &peer);
        succeeds(&home.run(&KEEP, ""), &["took over"]);
        // Whoever insists on it gets no spent token either.
        succeeds(&home.run(&[&KEEP[..], &["--replace"]].concat(), ""), &["took over"]);
        goes_on(&home, &peer);
        assert!(original.exists());
        // A rejected access token changes nothing about it.
        let rejected = format!("access_token={}\n", home.get());
        assert_eq!(home.run(&["erase"], rejected).code, Some(0));
        succeeds(&home.run(&TAKE, ""), &["took over", "removed it"]);
        assert!(!original.exists());
        goes_on(&home, &peer);
    }
}

#[test]
fn killed_at_any_step_and_renewed_since_it_goes_on() {
    let peer = Peer::start(Kind::Judge);
    let (mut survived, mut renewed) = (0, 0);
    for step in 1.. {
        let (home, tokens) = home_with_login(&peer);
        leave_seed(&home, &[(&peer.origin, &tokens)]);
        // Made before, so that every step is one of the taking over.
        home.run(&["store"], "site=us1\naccess_token=other\n").succeeds_quietly();
        home.run(&["erase"], "site=us1\n");
        let calls = "fsync,rename,unlink,linkat,link";
        let injection = format!("inject={calls}:signal=KILL:when={step}");
        let flags = ["-f", "-o", "strace.log", "-e", &format!("trace={calls}"), "-e", &injection];
        let mut traced = home.any_program(Path::new("strace"), &flags);
        traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).args(TAKE);
        let run = finish(start(traced, b""));
        if home.run(&["status", "--check"], "").code == Some(0) {
            home.get();
            goes_on(&home, &peer);
            renewed += usize::from(seed_tokens(&home).exists());
        }
        let again = home.run(&TAKE, "");
        assert_eq!(again.code, Some(0), "step {step}: {again:?}");
        assert!(!seed_tokens(&home).exists(), "step {step}");
        goes_on(&home, &peer);
        if run.code == Some(0) {
            break;
        }
        survived += 1;
    }
    assert!(survived >= 4 && renewed >= 1, "only {survived} steps, and {renewed} before a renewal");
}

#[test]
fn another_session_of_the_same_name_is_still_another() {
    let home = Home::new();
    let session = |name: &str| {
        format!("site=eu1\naccess_token=a\nexpires_in=9\nrefresh_token={name}\nclient_id=c\n")
    };
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("eu"))]);
    succeeds(&home.run(&KEEP, ""), &["took over EU1"]);
    home.run(&["store"], "site=eu1\naccess_token=b\n").succeeds_quietly();
    succeeds(&home.run(&KEEP, ""), &["took over EU1"]);
    home.run(&["store"], session("new")).succeeds_quietly();
    home.run(&TAKE, "").fails(2, &["a session for EU1 already", "--replace"]);
    assert!(seed_tokens(&home).exists());
    // The tool has renewed its own: that is another token.
    succeeds(&home.run(&[&KEEP[..], &["--replace"]].concat(), ""), &["took over EU1"]);
    leave_seed(&home, &[("datadoghq.eu", &Tokens::named("renewed"))]);
    home.run(&TAKE, "").fails(2, &["a session for EU1 already", "--replace"]);
    succeeds(&home.run(&[&TAKE[..], &["--replace"]].concat(), ""), &["took over EU1"]);
}

#[test]
fn two_tools_with_the_same_token_give_one_session() {
    let peer = Peer::start(Kind::Judge);
    let (home, tokens) = home_with_login(&peer);
    leave_seed(&home, &[(&peer.origin, &tokens)]);
    leave_pup(&home, &peer.origin, &[("acme", &tokens)]);
    succeeds(&home.run(&TAKE, ""), &["took over", "is the same session as", "removed it"]);
    assert!(!seed_tokens(&home).exists() && !pup_tokens(&home, &peer.origin).exists());
    goes_on(&home, &peer);
    // The same after a renewal, and by two at once.
    leave_pup(&home, &peer.origin, &[("__default__", &tokens), ("acme", &tokens)]);
    let takers = [(); 2].map(|()| start(home.program(&TAKE), b""));
    for taker in takers {
        assert_eq!(finish(taker).code, Some(0));
    }
    assert!(!pup_tokens(&home, &peer.origin).exists());
    goes_on(&home, &peer);
}
