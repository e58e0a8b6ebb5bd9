//! Moving the sealing key between keychain and file, at every moment of which every session can be
//! opened; and forgetting it, with all that it sealed.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::keyring::{
    Bus, Keyring, drop_from_kernel, ids, in_kernel, installation_id, looked_up,
};
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

const SESSION: &str = "site=eu1\naccess_token=kept\nexpires_in=3600\n";

fn home_with_session() -> (Home, Keyring) {
    let mut home = Home::new();
    let keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "off");
    home.run(&["store"], SESSION).succeeds_quietly();
    (home, keyring)
}

fn key_file(home: &Home) -> PathBuf {
    home.data().join(format!("{}.key", installation_id(home)))
}

/// Moves the key, and insists that it succeeds without a warning.
#[track_caller]
fn move_to(home: &Home, place: &str) {
    let run = home.run(&["key", "move", place], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    assert!(run.stderr.starts_with("dd-oauth: the sealing key rests in: "), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
}

#[test]
fn the_key_moves_to_the_file_and_back_and_leaves_nothing_behind() {
    let (mut home, _keyring) = home_with_session();
    let id = installation_id(&home);
    let key = looked_up(&home, &id);
    move_to(&home, "file");
    assert_eq!(looked_up(&home, &id), None);
    assert_eq!(std::fs::read_to_string(key_file(&home)).ok(), key);
    assert_eq!(home.get(), "kept");
    home.set("DD_TOKEN_STORAGE", "keychain");
    home.run(&["get"], "").fails(5, &["DD_TOKEN_STORAGE", "file", "dd-oauth key move keychain"]);
    move_to(&home, "keychain");
    assert_eq!(looked_up(&home, &id), key);
    assert!(!key_file(&home).exists());
    assert_eq!(home.get(), "kept");
    home.set("DD_TOKEN_STORAGE", "file");
    home.run(&["get"], "").fails(5, &["DD_TOKEN_STORAGE", "keychain", "dd-oauth key move file"]);
    home.unset("DD_TOKEN_STORAGE");
    move_to(&home, "keychain");
    assert_eq!(home.get(), "kept", "it was there already");
}

#[test]
fn a_key_that_cannot_be_moved_stays_where_it_is() {
    let (home, keyring) = home_with_session();
    move_to(&home, "file");
    keyring.lock(&home);
    home.run(&["key", "move", "keychain"], "").fails(5, &["could not write", "locked"]);
    assert_eq!(home.get(), "kept");
    assert!(key_file(&home).exists());
}

#[test]
fn the_copy_in_the_kernel_is_enough_to_leave_a_locked_keychain() {
    let (mut home, mut keyring) = home_with_session();
    let id = installation_id(&home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "10m");
    home.get();
    keyring.lock(&home);
    let moved = home.run(&["key", "move", "file"], "");
    assert_eq!(moved.code, Some(0), "{moved:?}");
    assert!(moved.stderr.contains("warning: a copy of the key was left behind"), "{moved:?}");
    drop_from_kernel(&home, &id);
    assert_eq!(home.get(), "kept");
    keyring.unlock(&home);
    let spare = home.run(&["key", "list"], "");
    assert!(spare.stdout.contains("spare"), "{spare:?}");
    move_to(&home, "file");
    assert_eq!(looked_up(&home, &id), None, "the next move removed it");
}

#[test]
fn a_move_that_is_killed_anywhere_costs_nothing_and_is_finished_by_the_next() {
    let (home, _keyring) = home_with_session();
    let mut killed = 0;
    for (from, to) in [("keychain", "file"), ("file", "keychain")] {
        // Of each call that changes a file or talks to the keychain, every one.
        for call in ["linkat", "link", "rename", "unlink", "unlinkat", "fsync", "sendmsg"] {
            for number in 1..=40 {
                move_to(&home, from);
                let injection = format!("inject={call}:signal=KILL:when={number}");
                let trace = format!("trace={call}");
                let flags = ["-f", "-o", "/dev/null", "-e", &trace, "-e", &injection];
                let mut traced = home.any_program(Path::new("strace"), &flags);
                traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).args(["key", "move", to]);
                let run = finish(start(traced, b""));
                assert_eq!(home.get(), "kept", "killed in {call} {number}: {run:?}");
                if run.code == Some(0) {
                    break;
                }
                killed += 1;
            }
        }
    }
    assert!(killed > 20, "it was killed {killed} times");
    move_to(&home, "file");
    assert_eq!(ids(&home), Vec::<String>::new());
    assert_eq!(home.get(), "kept");
}

#[test]
fn who_reads_while_the_key_moves_finds_it() {
    let (home, _keyring) = home_with_session();
    let moving = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while moving.load(Ordering::Relaxed) {
                    let run = home.run(&[], "get\n");
                    assert!(is_overtaxed(&run) || run.value("access_token") == "kept", "{run:?}");
                }
            });
        }
        let _ends = Ends(&moving);
        for _ in 0..15 {
            for place in ["file", "keychain"] {
                eventually(place, || {
                    let run = home.run(&["key", "move", place], "");
                    assert!(is_overtaxed(&run) || run.code == Some(0), "{run:?}");
                    run.code == Some(0)
                });
            }
        }
    });
}

/// Ends the readers, also if a move fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Whether the keychain of a busy machine took longer than the program waits for it.
fn is_overtaxed(run: &Run) -> bool {
    run.code == Some(5) && run.stderr.contains("it gave no answer within")
}

#[test]
fn a_logout_of_everything_forgets_everything() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let _keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "10m");
    home.log_in();
    let token = home.get();
    home.run(&["store"], SESSION).succeeds_quietly();
    let id = installation_id(&home);
    assert!(in_kernel(&home, &id).is_some() && looked_up(&home, &id).is_some());
    let damaged = home.sessions().join("us5.datadoghq.com@.session");
    std::fs::write(&damaged, "rubbish").unwrap();
    let run = home.run(&["logout", "--all"], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    for words in
        ["logged out of", "US5 was forgotten without being revoked", "sealing key are forgotten"]
    {
        assert!(run.stderr.contains(words), "no {words:?} in {run:?}");
    }
    assert!(!peer.accepts(&token), "it was revoked");
    assert!(in_kernel(&home, &id).is_none() && looked_up(&home, &id).is_none());
    let left = home.stored();
    assert!(
        left.keys().all(|path| path.starts_with(home.path().join(".local/share/keyrings"))),
        "{left:?}"
    );
    assert!(home.run(&["list"], "").stderr.contains("there are no sessions"));
    home.log_in();
    assert_ne!(installation_id(&home), id, "it began anew");
}

#[test]
fn a_logout_of_everything_needs_the_key_and_touches_nothing_without_it() {
    let (home, mut keyring) = home_with_session();
    keyring.lock(&home);
    home.run(&["logout", "--all"], "").fails(5, &["locked"]);
    keyring.unlock(&home);
    assert_eq!(home.get(), "kept");
}

#[test]
fn the_key_of_a_directory_that_was_removed_by_hand_is_found_and_forgotten() {
    let (mut home, _keyring) = home_with_session();
    let orphan = installation_id(&home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "10m");
    home.get();
    std::fs::remove_dir_all(home.state()).unwrap();
    home.run(&["store"], SESSION).succeeds_quietly();
    let used = installation_id(&home);
    let list = home.run(&["key", "list"], "");
    list.succeeds_quietly();
    let line =
        |id: &str| list.stdout.lines().find(|line| line.starts_with(id)).unwrap().to_string();
    assert!(line(&orphan).contains("keychain") && line(&orphan).contains("orphan"), "{list:?}");
    assert!(line(&used).contains("in use"), "{list:?}");
    home.run(&["key", "forget", &used], "").fails(2, &["in use", "dd-oauth logout --all"]);
    home.run(&["key", "forget", "../../x"], "").fails(2, &["no id", "dd-oauth key list"]);
    home.run(&["key", "forget", &"0".repeat(32)], "").fails(2, &["there is no key"]);
    let forgotten = home.run(&["key", "forget", &orphan], "");
    assert_eq!(forgotten.code, Some(0), "{forgotten:?}");
    assert!(looked_up(&home, &orphan).is_none() && in_kernel(&home, &orphan).is_none());
    assert_eq!(home.get(), "kept");
    drop_from_kernel(&home, &used);
}

#[test]
fn an_orphan_in_a_file_is_found_without_a_keychain() {
    let mut home = Home::new();
    let _bus = Bus::start(&mut home);
    home.set("DD_TOKEN_STORAGE", "file");
    home.run(&["store"], SESSION).succeeds_quietly();
    let (id, file) = (installation_id(&home), key_file(&home));
    std::fs::remove_dir_all(home.state()).unwrap();
    let list = home.run(&["key", "list"], "");
    list.succeeds_quietly();
    assert!(list.stdout.starts_with(&id) && list.stdout.contains("orphan"), "{list:?}");
    assert_eq!(home.run(&["key", "forget", &id], "").code, Some(0));
    assert!(!file.exists());
}

#[test]
fn what_is_in_a_locked_keychain_is_not_said_to_be_nothing() {
    let (home, keyring) = home_with_session();
    keyring.freeze();
    let list = home.run(&["key", "list"], "");
    assert_eq!(list.code, Some(5), "{list:?}");
    assert!(list.stderr.contains("could not look into the keychain"), "{list:?}");
    keyring.thaw();
}
