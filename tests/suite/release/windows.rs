//! What Windows has of its own: Credential Manager, Ctrl-C that reaches every process of a console,
//! files that nobody else may touch while somebody looks at them, programs that are scripts, and a
//! refresh that no other process can take over.
#![cfg(windows)]

use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};
use windows_sys::Win32::Foundation::STATUS_CONTROL_C_EXIT;
use windows_sys::Win32::Security::Credentials::{
    CRED_TYPE_GENERIC, CREDENTIALW, CredFree, CredReadW,
};
use windows_sys::Win32::System::Threading::CREATE_NEW_CONSOLE;

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::login::Login;
use crate::support::peers::{Kind, Peer, source};
use crate::support::process::{Process, Run, finish, start, succeed};

const SESSION: &str = "site=eu1\naccess_token=kept\nexpires_in=3600\n";

/// What Credential Manager has under this name.
fn credential(target: &str) -> Option<Vec<u8>> {
    let name: Vec<u16> = target.encode_utf16().chain([0]).collect();
    let mut found: *mut CREDENTIALW = std::ptr::null_mut();
    // SAFETY: the name ends with a zero; what was found is copied before it is freed.
    unsafe {
        if CredReadW(name.as_ptr(), CRED_TYPE_GENERIC, 0, &raw mut found) == 0 {
            return None;
        }
        let size = usize::try_from((*found).CredentialBlobSize).unwrap();
        let secret = std::slice::from_raw_parts((*found).CredentialBlob, size).to_vec();
        CredFree(found.cast());
        Some(secret)
    }
}

fn installation_id(home: &Home) -> String {
    let text = std::fs::read_to_string(home.state().join("installation")).unwrap();
    let identity: Value = serde_json::from_str(&text).unwrap();
    identity["id"].as_str().unwrap().to_string()
}

fn key_files(home: &Home) -> usize {
    std::fs::read_dir(home.data()).into_iter().flatten().count()
}

#[test]
fn credential_manager_keeps_the_key_until_it_is_moved_or_forgotten() {
    let mut home = Home::new();
    home.unset("DD_TOKEN_STORAGE");
    home.run(&["store"], SESSION).succeeds_quietly();
    let id = installation_id(&home);
    let entry = format!("{id}.dd-oauth");
    let key = credential(&entry).expect("a credential");
    let (digits, directory) = str::from_utf8(&key).unwrap().split_once('\n').unwrap();
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(directory, home.state().to_str().unwrap());
    assert_eq!(key_files(&home), 0);
    assert_eq!(home.get(), "kept");
    let status = home.run(&["status"], "");
    let place = format!("keychain (Windows Credential Manager), entry dd-oauth {id}");
    assert!(status.stdout.contains(&place), "{status:?}");
    let listed = home.run(&["key", "list"], "").stdout;
    let line = listed.lines().find(|line| line.contains(&id));
    assert!(line.is_some_and(|line| line.contains("in use by")), "{listed}");

    assert_eq!(home.run(&["key", "move", "file"], "").code, Some(0));
    assert_eq!((credential(&entry), key_files(&home)), (None, 1));
    assert_eq!(home.get(), "kept");
    assert_eq!(home.run(&["key", "move", "keychain"], "").code, Some(0));
    assert_eq!((credential(&entry), key_files(&home)), (Some(key), 0));
    assert_eq!(home.get(), "kept");

    assert_eq!(home.run(&["logout", "--all"], "").code, Some(0));
    assert_eq!(credential(&entry), None);
    home.run(&["--site", "eu1", "token"], "").fails(3, &["not logged in"]);
}

#[test]
fn of_many_that_create_an_installation_one_key_is_left() {
    let mut home = Home::new();
    home.set("DD_TOKEN_STORAGE", "keychain");
    let stores: Vec<_> = (0..8)
        .map(|number| {
            let request = format!("site=eu1\norg=o{number}\naccess_token=kept\n");
            start(home.program(&["store"]), request.as_bytes())
        })
        .collect();
    for store in stores {
        finish(store).succeeds_quietly();
    }
    let listed = home.run(&["key", "list"], "").stdout;
    let state = home.state();
    let ours: Vec<_> =
        listed.lines().filter(|line| line.contains(state.to_str().unwrap())).collect();
    assert!(ours.len() == 1 && ours[0].contains(&installation_id(&home)), "{listed}");
    for number in 0..8 {
        let run = home.run(&["token", "--site", "eu1", "--org", &format!("o{number}")], "");
        assert_eq!(run.stdout, "kept\n", "{run:?}");
    }
    assert_eq!(home.run(&["logout", "--all"], "").code, Some(0));
}

/// A stale session at a server that takes its time with the refresh.
fn slow_stage(millis: u64) -> (Peer, Home) {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    peer.fault(&json!({"endpoint": "token", "kind": "delay", "ms": millis, "times": 1}));
    (peer, home)
}

/// A `get` in a console of its own, with the refresh under way.
fn get_under_way(home: &Home) -> Process {
    let mut command = home.program(&[]);
    command.creation_flags(CREATE_NEW_CONSOLE);
    let caller = start(command, b"get\n");
    eventually("the refresh", || is_under_way(home));
    caller
}

/// Whether a refresh is announced, so that its request is on its way.
fn is_under_way(home: &Home) -> bool {
    let holder = std::fs::read(home.session_file("lock-holder")).unwrap_or_default();
    let holder: Value = serde_json::from_slice(&holder).unwrap_or_default();
    let journal = std::fs::read(home.session_file("lock").with_extension("journal"));
    holder["purpose"] == "refresh"
        && journal.is_ok_and(|bytes| bytes.get(4096..4100).is_some_and(|size| size != [0; 4]))
}

/// Presses Ctrl-C in the console of a process, as `tests/wine/ctrl-c.c` does it.
fn interrupt(process: &Process) {
    succeed(Command::new("ctrl-c").arg(process.id().to_string()));
}

#[test]
fn an_interrupted_caller_ends_once_its_refresh_is_written() {
    let (peer, home) = slow_stage(700);
    let caller = get_under_way(&home);
    interrupt(&caller);
    let run = finish(caller);
    assert_eq!((run.code, run.stdout.as_str()), (Some(STATUS_CONTROL_C_EXIT), ""), "{run:?}");
    assert!(peer.accepts(&home.get()));
    let results: Vec<_> = peer.refreshes().into_iter().map(|event| event.result).collect();
    assert_eq!(results, ["issued"]);
}

#[test]
fn many_processes_that_find_a_refresh_killed_send_one_between_them() {
    let (peer, home) = slow_stage(60_000);
    let mut caller = get_under_way(&home);
    let waiting: Vec<_> = (0..12).map(|_| start(home.program(&[]), b"get\n")).collect();
    caller.kill();
    let runs: Vec<Run> = waiting.into_iter().map(finish).collect();
    for run in &runs {
        // One may have said for whom it waits.
        assert_eq!((run.code, &run.stdout), (Some(0), &runs[0].stdout), "{run:?}");
    }
    assert!(peer.accepts(&runs[0].value("access_token")));
    let issued = peer.refreshes().into_iter().filter(|event| event.result == "issued");
    assert_eq!(issued.count(), 1);
}

#[test]
fn a_file_that_somebody_looks_at_is_replaced_when_they_are_done() {
    let home = Home::new();
    home.run(&["store"], SESSION).succeeds_quietly();
    let path = home.session_file("session");
    let scanner = std::fs::OpenOptions::new().read(true).share_mode(1).open(&path).unwrap();
    let store = start(home.program(&["store"]), SESSION.replace("kept", "new").as_bytes());
    let new = path.with_extension("session~new");
    // Once it has closed the one, it tries to put it in the place of the other.
    let look = || std::fs::OpenOptions::new().read(true).share_mode(0).open(&new);
    eventually("the new file", || look().is_ok());
    drop(scanner);
    finish(store).succeeds_quietly();
    assert_eq!(home.get(), "new");
    assert!(!new.exists());
}

#[cfg(feature = "test-clock")]
mod in_the_background {
    use super::*;

    /// A session whose token of an hour has 100 s left in every run from now on.
    fn expiring(delay: u64) -> (Peer, Home) {
        let peer = Peer::start(Kind::Demo);
        let mut home = Home::at(&peer);
        home.log_in();
        home.set("DD_OAUTH_TEST_CLOCK", "3500000");
        peer.fault(&json!({"endpoint": "token", "kind": "delay", "ms": delay, "times": 1}));
        (peer, home)
    }

    #[test]
    fn an_expiring_token_is_answered_and_the_caller_gone_before_it_is_renewed() {
        let (peer, home) = expiring(3000);
        // To its end, and to that of both its streams.
        let token = home.get();
        assert_eq!(peer.refreshes().len(), 0, "the server has not answered yet");
        eventually("the renewal", || peer.refreshes().len() == 1);
        eventually("the new token", || home.get() != token);
        assert_eq!(peer.refreshes().len(), 1, "one process renews");
    }

    #[test]
    fn a_build_server_begins_nothing_that_its_end_would_cut_off() {
        let (peer, home) = expiring(0);
        let run = home.run_with(("CI", "true"), &[], "get\n");
        run.succeeds_quietly();
        // What had begun would hold the lock.
        assert_eq!(home.run(&["refresh"], "").code, Some(0));
        assert_eq!(peer.refreshes().len(), 1);
    }

    #[test]
    fn a_reader_has_the_whole_answer_before_anything_is_waited_for() {
        let (peer, home) = expiring(1500);
        let mut command = home.program(&["get"]);
        command.env("CI", "true");
        let mut caller = start(command, b"");
        let answer = caller.output();
        assert!(answer.ends_with("org=Demo\n"), "{answer}");
        assert_eq!(peer.refreshes().len(), 0, "the server has not answered yet");
        assert!(caller.wait().success());
    }
}

#[test]
fn exec_runs_scripts_too_and_passes_on_variables_and_exit_code() {
    let mut home = Home::new();
    home.run(&["store"], SESSION).succeeds_quietly();
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let script = "@echo %DD_BEARER_TOKEN% %DD_SITE% %~1\r\n@exit /b 300\r\n";
    std::fs::write(bin.join("tool.cmd"), script).unwrap();
    let usual = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&usual)));
    home.set("PATH", path.unwrap().to_str().unwrap());
    let run = home.run(&["exec", "--", "tool", "one argument"], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(300), "kept datadoghq.eu one argument\r\n"));
    home.run(&["exec", "--", "no-such-tool"], "").fails(127, &["no-such-tool"]);
}

#[test]
fn an_interrupt_during_exec_is_the_programs_own_to_obey() {
    // The program takes its time with it: it has a refresh under way.
    let (peer, home) = slow_stage(700);
    let mut command = home.program(&["exec", "--", env!("CARGO_BIN_EXE_dd-oauth"), "token"]);
    command.args(["--site", &peer.origin]).creation_flags(CREATE_NEW_CONSOLE);
    // A token from outside, so that nothing but the program refreshes anything.
    command.env("DD_SITE", "us5").env("DD_BEARER_TOKEN", "outside");
    let outer = start(command, b"");
    eventually("the refresh", || is_under_way(&home));
    interrupt(&outer);
    let run = finish(outer);
    assert_eq!(run.code, Some(STATUS_CONTROL_C_EXIT), "{run:?}");
    assert_eq!(peer.refreshes().len(), 1, "the program had come to its end before");
    assert!(peer.accepts(&home.get()));
}

#[test]
fn a_browser_that_cannot_be_opened_is_noticed_and_the_next_one_tried() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let working = format!("node {} %s", source("tests/peers/browser.mjs").display());
    for broken in [r"C:\nonexistent\browser", "cmd.exe /c exit 3"] {
        home.set("BROWSER", &format!("{broken};{working}"));
        let before = home.browsers_opened();
        home.log_in();
        assert_eq!(home.browsers_opened(), before + 1, "{broken}");
    }
    home.set("BROWSER", r"C:\nonexistent\one;C:\nonexistent\two");
    Login::start_in_browser(&home).complete(&home);
}

#[test]
fn without_variables_everything_is_in_the_profile() {
    let mut home = Home::new();
    for value in ["", "relative", r"\no\drive"] {
        home.set("LOCALAPPDATA", value).set("APPDATA", value);
        home.run(&["store"], SESSION).succeeds_quietly();
        assert_eq!(home.get(), "kept");
        assert!(home.path().join(r"AppData\Local\dd-oauth\state\installation").exists());
    }
    let words = ["USERPROFILE", "not an absolute path", "DD_OAUTH_STATE_DIR"];
    home.run_with(("USERPROFILE", "relative"), &["token"], "").fails(2, &words);
}
