//! Disks that are full, read-only, without locks, or gone: nothing is sent that could not be
//! written down, and what can be had without the disk is still answered.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{finish, run_at_last, start, succeed};

/// A small file system of its own for the state directory; goes with the value.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(home: &mut Home) -> Self {
        let path = home.path().join("small");
        std::fs::create_dir(&path).unwrap();
        succeed(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "none"])
                .arg(&path),
        );
        home.set("DD_OAUTH_STATE_DIR", path.join("state").to_str().unwrap());
        Self(path)
    }

    fn remount(&self, options: &str) {
        succeed(
            Command::new("mount").arg("-o").arg(format!("remount,bind,{options}")).arg(&self.0),
        );
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let error = std::fs::write(self.0.join("filler"), vec![0; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run_at_last(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

/// Runs `get` under strace with one fault injected into its system calls, and those of its worker.
fn get_with(home: &Home, injection: &str) -> crate::support::process::Run {
    let call = injection.split(':').next().unwrap();
    let flags = ["-f", "-o", "strace.log", "-e", &format!("trace={call}"), "-e"];
    let mut traced = home.any_program(Path::new("strace"), &flags);
    traced.arg(format!("inject={injection}")).args([env!("CARGO_BIN_EXE_dd-oauth"), "get"]);
    finish(start(traced, b""))
}

#[test]
fn on_a_full_disk_nothing_is_sent_and_what_is_fresh_is_answered() {
    let peer = Peer::start(Kind::Judge);
    let mut home = Home::at(&peer);
    let disk = SmallDisk::mount(&mut home);
    home.log_in();
    let token = home.get();
    disk.fill();
    assert_eq!(home.get(), token);
    disk.make_room();
    home.make_stale();
    disk.fill();
    home.run(&[], "get\n").fails(5, &["could not reserve room", "No space left"]);
    home.run(&["store"], "access_token=x\n").fails(5, &["No space left"]);
    assert_eq!(peer.refreshes().len(), 0);
    disk.make_room();
    assert!(peer.accepts(&home.get()));
}

#[test]
fn on_a_read_only_disk_nothing_is_sent_and_what_is_fresh_is_answered() {
    let peer = Peer::start(Kind::Judge);
    let mut home = Home::at(&peer);
    let disk = SmallDisk::mount(&mut home);
    home.log_in();
    let token = home.get();
    disk.remount("ro");
    assert_eq!(home.get(), token);
    disk.remount("rw");
    home.make_stale();
    disk.remount("ro");
    home.run(&[], "get\n").fails(5, &["Read-only file system"]);
    assert_eq!(peer.refreshes().len(), 0);
    disk.remount("rw");
    assert!(peer.accepts(&home.get()));
}

#[test]
fn a_limit_on_the_size_of_files_is_raised_or_nothing_is_sent() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    // The room is reserved by now, and the limit lies before that of the answer.
    assert_eq!(home.run(&["refresh"], "").code, Some(0));
    home.make_stale();
    let get_within = |limit: &str| {
        let mut limited = home.any_program(Path::new("prlimit"), &[limit]);
        limited.args([env!("CARGO_BIN_EXE_dd-oauth"), "get"]);
        finish(start(limited, b""))
    };
    get_within("--fsize=9000:9000").fails(5, &["could not reserve room", "file too large"]);
    assert_eq!(peer.refreshes().len(), 1);
    let run = get_within("--fsize=9000:unlimited");
    run.succeeds_quietly();
    assert!(peer.accepts(&run.value("access_token")));
}

#[test]
fn without_locks_no_refresh_is_sent() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS"] {
        let run = get_with(&home, &format!("flock:error={error}"));
        run.fails(5, &["cannot lock files", "DD_OAUTH_STATE_DIR"]);
        assert!(run.stderr.contains(home.sessions().to_str().unwrap()), "{run:?}");
    }
    assert_eq!(peer.refreshes().len(), 0);
    assert!(peer.accepts(&home.get()));
}

#[test]
fn a_request_that_cannot_be_announced_is_not_sent() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    get_with(&home, "fdatasync:error=EIO").fails(4, &["ended without an outcome"]);
    assert_eq!(peer.refreshes().len(), 0);
    assert!(peer.accepts(&home.get()));
}

#[test]
fn an_answer_that_cannot_be_committed_is_answered_and_committed_later() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let run = get_with(&home, "rename:error=ENOSPC");
    run.succeeds_quietly();
    let token = run.value("access_token");
    assert!(peer.accepts(&token));
    assert_eq!(home.status()["state"], "stale", "it rests in the journal alone");
    assert_eq!(home.get(), token, "and is rolled forward, not asked for again");
    assert_eq!(home.status()["state"], "fresh");
    assert_eq!(peer.refreshes().len(), 1);
    home.make_stale();
    assert!(peer.accepts(&home.get()), "with the refresh token that came with it");
}

#[test]
fn a_secured_answer_survives_a_store_in_between() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    get_with(&home, "rename:signal=KILL");
    assert_eq!(peer.refreshes().len(), 1);
    home.make_stale();
    assert!(peer.accepts(&home.get()), "the only copy of the rotated token was not passed over");
    home.make_stale();
    assert!(peer.accepts(&home.get()));
    let results: Vec<_> = peer.refreshes().into_iter().map(|event| event.result).collect();
    assert!(!results.contains(&"reused".to_string()), "{results:?}");
}

#[test]
fn a_logout_revokes_the_tokens_of_an_answer_that_was_not_committed() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let token = get_with(&home, "rename:error=ENOSPC").value("access_token");
    assert!(peer.accepts(&token));
    assert_eq!(home.run(&["logout"], "").code, Some(0));
    assert!(!peer.accepts(&token));
    let issued = peer.refreshes().remove(0).new_token_sha256;
    let revoked = peer.log().into_iter().find(|event| event.endpoint == "revoke").unwrap();
    assert_eq!(revoked.token_sha256, issued, "and not the token that was spent for it");
}

#[test]
fn a_disk_that_refuses_the_answer_for_a_while_costs_nothing() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    // The first sync is the announcement's; the next two, of the answer, fail.
    let run = get_with(&home, "fdatasync:error=ENOSPC:when=2..3");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(peer.accepts(&run.value("access_token")));
    assert_eq!(peer.refreshes().len(), 1);
}

#[test]
fn a_state_directory_that_vanishes_is_an_error_and_no_hang() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    peer.hold_refreshes();
    let caller = start(home.program(&[]), b"get\n");
    let journal = home.sessions().join("x").with_file_name("");
    eventually("the journal", || {
        std::fs::read_dir(&journal).unwrap().any(|entry| {
            entry.unwrap().path().extension().is_some_and(|ending| ending == "journal")
        })
    });
    // A file that appears while the directory is emptied keeps it there.
    let state = home.path().join(".local/state");
    eventually("the directory gone", || std::fs::remove_dir_all(&state).is_ok() || !state.exists());
    peer.mend();
    let run = finish(caller);
    assert!(matches!(run.code, Some(3..=5)), "{run:?}");
    assert_eq!((run.stdout.as_str(), run.complaints().len()), ("", 1), "{run:?}");
    home.log_in();
}
