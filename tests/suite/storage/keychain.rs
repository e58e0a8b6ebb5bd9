//! The sealing key in a real keychain: used, locked, frozen, killed, absent, and changed by hand.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::keyring::{
    Bus, Keyring, clear, drop_from_kernel, ids, in_kernel, installation_id, looked_up, put,
};
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, run_at_last, start, succeed};

const SESSION: &str = "site=eu1\naccess_token=kept\nexpires_in=3600\n";

fn home_with_keyring() -> (Home, Keyring) {
    let mut home = Home::new();
    let keyring = Keyring::start(&mut home);
    (home, keyring)
}

/// A session whose key is in the keychain, and in the kernel as long as `stay` says.
fn home_with_session(stay: &str) -> (Home, Keyring) {
    let (mut home, keyring) = home_with_keyring();
    home.set("DD_OAUTH_KERNEL_KEYRING", stay);
    home.run(&["store"], SESSION).succeeds_quietly();
    (home, keyring)
}

fn key_files(home: &Home) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.data());
    entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// What is stored beside the keychain's own files.
fn ours_of(home: &Home) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut stored = home.stored();
    stored.retain(|path, _| path.components().any(|part| part.as_os_str() == "dd-oauth"));
    stored
}

/// Insists that `get` answers with the token of [`SESSION`].
#[track_caller]
fn answers(run: &Run) {
    run.succeeds_quietly();
    assert_eq!(run.value("access_token"), "kept");
}

#[test]
fn a_new_installation_puts_its_key_into_the_keychain_and_into_no_file() {
    let (home, _keyring) = home_with_session("off");
    let id = installation_id(&home);
    let key = looked_up(&home, &id).expect("secret-tool finds it");
    let state = home.state();
    let (digits, directory) = key.split_once('\n').unwrap();
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(directory, state.to_str().unwrap());
    assert_eq!(key_files(&home), Vec::<PathBuf>::new());
    answers(&home.run(&["get"], ""));
    assert_eq!(in_kernel(&home, &id), None, "it was turned off");
    let status = home.run(&["status"], "");
    assert!(status.stdout.contains(&format!("keychain (Secret Service), entry dd-oauth {id}")));
}

#[test]
fn of_many_that_create_an_installation_one_key_is_left() {
    let (mut home, _keyring) = home_with_keyring();
    home.set("DD_OAUTH_KERNEL_KEYRING", "off");
    let stores: Vec<_> = (0..8)
        .map(|number| {
            let request = format!("site=eu1\norg=o{number}\naccess_token=kept\n");
            start(home.program(&["store"]), request.as_bytes())
        })
        .collect();
    for store in stores {
        finish(store).succeeds_quietly();
    }
    assert_eq!(ids(&home), [installation_id(&home)]);
    for number in 0..8 {
        answers(&home.run(&["get", "--site", "eu1", "--org", &format!("o{number}")], ""));
    }
}

#[test]
fn a_warm_get_opens_no_socket_and_no_thread() {
    let (home, _keyring) = home_with_session("10m");
    let flags = ["-f", "-o", "strace.log", "-e", "trace=socket,connect,clone,clone3,fork,vfork"];
    let mut traced = home.any_program(Path::new("strace"), &flags);
    traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).arg("get");
    answers(&finish(start(traced, b"")));
    let calls = std::fs::read_to_string(home.path().join("strace.log")).unwrap();
    assert!(calls.contains("exited with 0"), "it was traced: {calls}");
    assert!(!calls.contains('('), "{calls}");
    drop_from_kernel(&home, &installation_id(&home));
}

#[test]
fn a_locked_keychain_is_not_needed_while_the_kernel_holds_the_key() {
    let (home, mut keyring) = home_with_session("10m");
    let id = installation_id(&home);
    keyring.lock(&home);
    answers(&home.run(&["get"], ""));
    drop_from_kernel(&home, &id);
    let locked = home.run(&["get"], "");
    locked.fails(5, &["keychain", &id, "locked", "unlock it", "dd-oauth key move file"]);
    assert_eq!(in_kernel(&home, &id), None);
    keyring.unlock(&home);
    answers(&home.run(&["get"], ""));
    assert!(in_kernel(&home, &id).is_some(), "it is kept again");
    drop_from_kernel(&home, &id);
}

#[test]
fn a_keychain_that_does_not_answer_is_waited_for_in_vain_but_not_for_ever() {
    let (home, keyring) = home_with_session("off");
    let stored = ours_of(&home);
    keyring.freeze();
    home.run(&["get"], "").fails(5, &["keychain", "no answer within 3 s", "dd-oauth key move"]);
    home.run(&["status"], "").fails(5, &["no answer within 3 s"]);
    assert!(ours_of(&home) == stored);
    keyring.thaw();
    answers(&home.run(&["get"], ""));
}

#[test]
fn a_keychain_that_was_frozen_in_the_middle_of_a_call_may_still_answer() {
    let (home, keyring) = home_with_session("off");
    keyring.freeze();
    let get = start(home.program(&["get"]), b"");
    let connected = format!("/proc/{}/task", get.id());
    eventually("a call under way", || {
        std::fs::read_dir(&connected).is_ok_and(|threads| threads.count() > 1)
    });
    keyring.thaw();
    answers(&finish(get));
}

#[test]
fn a_keychain_that_died_is_told_and_found_again() {
    let (home, mut keyring) = home_with_session("off");
    keyring.kill();
    let absent = home.run(&["get"], "");
    absent.fails(5, &["keychain", "there is none", "where the keychain is", "dd-oauth reset"]);
    assert!(!absent.stderr.contains("unlock"), "nobody can unlock what is not there: {absent:?}");
    keyring.restart(&home);
    answers(&home.run(&["get"], ""));
}

#[test]
fn without_a_keychain_the_key_goes_into_a_file_with_one_warning() {
    let mut home = Home::new();
    let _bus = Bus::start(&mut home);
    let first = home.run(&["store"], SESSION);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(first.stderr.lines().count(), 1, "{first:?}");
    for words in ["warning: ", "keychain cannot be used", "DD_TOKEN_STORAGE=file"] {
        assert!(first.stderr.contains(words), "{first:?}");
    }
    assert_eq!(key_files(&home).len(), 1);
    answers(&home.run(&["get"], ""));
    home.run(&["store"], SESSION).succeeds_quietly();
}

#[test]
fn who_chose_the_file_is_not_warned_and_who_chose_the_keychain_gets_nothing_less() {
    let mut home = Home::new();
    let _bus = Bus::start(&mut home);
    home.set("DD_TOKEN_STORAGE", "keychain");
    let words = ["keychain", "there is none", "DD_TOKEN_STORAGE=file"];
    home.run(&["store"], SESSION).fails(5, &words);
    assert!(!home.state().join("installation").exists());
    home.set("DD_TOKEN_STORAGE", "file");
    home.run(&["store"], SESSION).succeeds_quietly();
    home.set("DD_TOKEN_STORAGE", "elsewhere");
    home.run(&["get"], "").fails(2, &["DD_TOKEN_STORAGE", "keychain or file"]);
}

#[test]
fn a_socket_that_stays_silent_and_one_that_is_not_there_cost_no_login() {
    let mut home = Home::new();
    home.unset("DD_TOKEN_STORAGE");
    let path = home.path().join("bus");
    home.set("DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={}", path.display()));
    let absent = home.run(&["store"], SESSION);
    assert!(absent.code == Some(0) && absent.stderr.contains("there is none"), "{absent:?}");
    std::fs::remove_dir_all(home.path().join(".local")).unwrap();

    let listener = UnixListener::bind(&path).unwrap();
    let silent = home.run(&["store"], SESSION);
    assert!(silent.code == Some(0) && silent.stderr.contains("within 3 s"), "{silent:?}");
    answers(&home.run(&["get"], ""));
    drop(listener);
}

#[test]
fn an_entry_that_was_changed_or_deleted_by_hand_is_told_apart() {
    let (home, _keyring) = home_with_session("off");
    let id = installation_id(&home);
    let right = looked_up(&home, &id).unwrap();
    let stored = ours_of(&home);
    let ours = ["service", "dd-oauth", "username", &id];
    put(&home, &ours, &"0f".repeat(32));
    home.run(&["get"], "").fails(5, &[&id, "not the one of this installation", "restore"]);
    put(&home, &ours, "rubbish");
    home.run(&["get"], "").fails(5, &[&id, "64 hexadecimal digits"]);
    clear(&home, &id);
    home.run(&["get"], "").fails(5, &[&id, "is missing", "restore it"]);
    home.run(&["refresh"], "").fails(5, &[&id, "is missing"]);
    put(&home, &ours, &right);
    put(&home, &[&ours[..], &["more", "attributes"]].concat(), &right);
    home.run(&["get"], "").fails(5, &[&id, "several entries", "all but the right one"]);
    clear(&home, &id);
    assert!(ours_of(&home) == stored, "nothing was deleted");
    put(&home, &ours, &right);
    answers(&home.run(&["get"], ""));
}

#[test]
fn a_key_that_is_gone_from_the_keychain_costs_a_reset_and_no_more() {
    for with_keychain in [true, false] {
        let (home, mut keyring) = home_with_session("off");
        let id = installation_id(&home);
        if with_keychain {
            clear(&home, &id);
        } else {
            keyring.kill();
        }
        for arguments in [&["get"][..], &["login"], &["logout", "--all"]] {
            home.run(arguments, "").fails(5, &[&id, "dd-oauth reset"]);
        }
        let reset = home.run(&["reset", "--yes"], "");
        assert!(
            reset.code == Some(0) && reset.stderr.contains("EU1 could not be opened"),
            "{reset:?}"
        );
        let stored = home.run(&["store"], SESSION);
        assert_eq!(stored.code, Some(0), "{stored:?}");
        answers(&home.run(&["get"], ""));
        if with_keychain {
            assert_eq!(ids(&home), [installation_id(&home)]);
        }
    }
}

#[test]
fn a_reset_of_a_damaged_installation_takes_its_key_from_the_keychain() {
    let (home, _keyring) = home_with_session("off");
    let id = installation_id(&home);
    std::fs::write(home.state().join("installation"), "").unwrap();
    assert_eq!(home.run(&["reset", "--yes"], "").code, Some(0));
    assert_eq!(looked_up(&home, &id), None);
}

#[test]
fn a_keychain_that_can_be_read_and_not_written_keeps_what_it_has() {
    let (mut home, keyring) = home_with_session("off");
    let id = installation_id(&home);
    assert_eq!(home.run(&["key", "move", "file"], "").code, Some(0));
    assert_eq!(looked_up(&home, &id), None);
    let directory = home.path().join(".local/share/keyrings");
    let frozen = ReadOnly::mount(&directory);
    let refused = home.run(&["key", "move", "keychain"], "");
    refused.fails(5, &["could not write the sealing key in the keychain", &id]);
    answers(&home.run(&["get"], ""));
    home.set("DD_OAUTH_STATE_DIR", home.path().join("other").to_str().unwrap());
    let fallen = home.run(&["store"], SESSION);
    assert!(fallen.code == Some(0) && fallen.stderr.contains("keychain cannot be used"));
    answers(&home.run(&["get"], ""));
    drop((frozen, keyring));
}

/// A directory that nothing can be written to, not even by root; mended with the value.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn mount(path: &Path) -> Self {
        let mount = |options: &[&str]| {
            let mut command = std::process::Command::new("mount");
            succeed(command.args(options).arg(path));
        };
        mount(&["--bind", path.to_str().unwrap()]);
        mount(&["-o", "remount,bind,ro"]);
        Self(path.to_path_buf())
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        run_at_last(std::process::Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

#[test]
fn a_refresh_that_began_needs_no_keychain_any_more() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "off");
    home.log_in();
    home.make_stale();
    peer.hold_refreshes();
    let get = start(home.program(&["get"]), b"");
    peer.holds_one();
    keyring.freeze();
    peer.mend();
    let renewed = finish(get);
    renewed.succeeds_quietly();
    assert!(peer.accepts(&renewed.value("access_token")));
    assert_eq!(peer.refreshes().len(), 1);
    keyring.thaw();
    assert_eq!(home.get(), renewed.value("access_token"));
}

#[test]
fn an_ordinary_user_has_it_no_other_way() {
    let mut home = Home::new().of_ordinary_user("nobody");
    let keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "10m");
    home.run(&["store"], SESSION).succeeds_quietly();
    let id = installation_id(&home);
    assert!(looked_up(&home, &id).is_some());
    keyring.lock(&home);
    answers(&home.run(&["get"], ""));
    drop_from_kernel(&home, &id);
    home.run(&["get"], "").fails(5, &["locked", &id]);
}
