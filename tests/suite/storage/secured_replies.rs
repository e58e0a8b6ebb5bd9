//! A worker that was killed leaves its reply in the journal. Others write the session before the next
//! worker comes: a rejected token stays rejected, and no refresh token is lost.
#![cfg(all(target_os = "linux", feature = "test-clock"))]

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{finish, start};

/// A caller that rejects a token this late does not mean a token that is too new.
const LATER: Duration = Duration::from_mins(1);

/// Where a worker dies. strace ends it once the system call is done.
const BEFORE_COMMIT: &str = "fsync";
const AFTER_COMMIT: &str = "rename";

struct Stage {
    peer: Peer,
    home: Home,
    /// The token that the killed worker got.
    token: String,
}

impl Stage {
    fn killed(call: &str, rotates: bool) -> Self {
        let peer = Peer::start(Kind::Demo);
        peer.set(&json!({ "rotate": rotates }));
        let home = Home::at(&peer);
        home.log_in();
        home.make_stale();
        // The caller reserves the room in the journal, which takes the same calls.
        assert_eq!(home.run(&["refresh"], "").code, Some(0));
        home.make_stale();
        peer.clear_log();
        let (trace, injection) =
            (format!("trace={call}"), format!("inject={call}:signal=KILL:when=1"));
        let flags = ["-f", "-o", "/dev/null", "-e", &trace, "-e", &injection];
        let mut traced = home.any_program(Path::new("strace"), &flags);
        traced.args([env!("CARGO_BIN_EXE_dd-oauth"), "get"]);
        let run = finish(start(traced, b""));
        assert_eq!(run.code, Some(0), "{run:?}");
        let token = run.value("access_token");
        assert!(peer.accepts(&token));
        assert_eq!(peer.refreshes().len(), 1);
        Self { peer, home, token }
    }

    fn reject(&self, token: &str) {
        let request = format!("access_token={token}\n");
        self.home.run_later(LATER, &["erase"], &request).succeeds_quietly();
    }

    fn get(&self) -> String {
        let run = self.home.run_later(LATER, &["get"], "");
        assert_eq!(run.code, Some(0), "{run:?}");
        run.value("access_token")
    }

    /// Insists on another token than the one of the killed worker, and on a session that lives on.
    fn goes_on(&self) {
        let next = self.get();
        assert!(next != self.token && self.peer.accepts(&next));
        self.lives();
    }

    fn lives(&self) {
        self.home.make_stale();
        assert!(self.peer.accepts(&self.home.get()));
        let results: Vec<_> = self.peer.refreshes().into_iter().map(|event| event.result).collect();
        assert!(results.iter().all(|result| result == "issued"), "{results:?}");
    }
}

#[test]
fn a_rejected_token_is_not_answered_again_out_of_a_reply() {
    for call in [BEFORE_COMMIT, AFTER_COMMIT] {
        for rotates in [false, true] {
            let stage = Stage::killed(call, rotates);
            stage.reject(&stage.token);
            stage.goes_on();
        }
    }
}

#[test]
fn a_stored_token_goes_before_a_reply_and_the_refresh_token_of_the_reply_stays() {
    for call in [BEFORE_COMMIT, AFTER_COMMIT] {
        for rotates in [false, true] {
            let stage = Stage::killed(call, rotates);
            let tokens = "access_token=stored\nexpires_in=3600\n";
            stage.home.run(&["store"], tokens).succeeds_quietly();
            assert_eq!(stage.get(), "stored");
            stage.reject("stored");
            stage.goes_on();
        }
    }
}

#[test]
fn a_rejection_of_the_token_before_a_reply_costs_nothing() {
    for rotates in [false, true] {
        let stage = Stage::killed(BEFORE_COMMIT, rotates);
        stage.reject("stale");
        assert!(stage.peer.accepts(&stage.get()));
        stage.lives();
    }
}

#[test]
fn a_login_goes_before_a_reply() {
    for call in [BEFORE_COMMIT, AFTER_COMMIT] {
        let stage = Stage::killed(call, true);
        stage.home.log_in();
        let token = stage.home.get();
        stage.reject(&token);
        let next = stage.get();
        assert!(next != token && next != stage.token && stage.peer.accepts(&next));
        stage.lives();
    }
}

#[test]
fn a_logout_revokes_what_a_reply_brought() {
    for call in [BEFORE_COMMIT, AFTER_COMMIT] {
        for rotates in [false, true] {
            let stage = Stage::killed(call, rotates);
            assert_eq!(stage.home.run(&["logout"], "").code, Some(0));
            assert!(!stage.peer.accepts(&stage.token));
            stage.home.log_in();
            assert_ne!(stage.home.get(), stage.token);
            stage.lives();
        }
    }
}
