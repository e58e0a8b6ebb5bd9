//! `logout --all` ends one installation and touches nothing of another, whoever creates that and when;
//! and versions that share a state directory do not destroy each other's sessions.
#![cfg(target_os = "linux")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::login::Login;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Process, finish, start};

const SESSION: &str = "site=eu1\norg=acme\naccess_token=kept\nexpires_in=3600\n";
const ORG: &str = "acme";

/// The layouts that an installation can have. See `src/session/installation/places.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Own,
    Old,
}

const LAYOUTS: [Layout; 2] = [Layout::Own, Layout::Old];

fn lay_out(home: &Home, layout: Layout) {
    if layout == Layout::Old {
        home.use_old_layout();
    }
}

fn home_with_session(layout: Layout) -> Home {
    let home = Home::new();
    home.run(&["store"], SESSION).succeeds_quietly();
    lay_out(&home, layout);
    home
}

/// The program under strace, with a fault in one system call.
fn with_fault(home: &Home, call: &str, fault: &str, arguments: &[&str], input: &str) -> Process {
    let (trace, injection) = (format!("trace={call}"), format!("inject={call}:{fault}"));
    let flags = ["-f", "-o", "/dev/null", "-e", &trace, "-e", &injection];
    let mut traced = home.any_program(Path::new("strace"), &flags);
    traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).args(arguments);
    start(traced, input.as_bytes())
}

/// A logout of everything that has ended the installation, and takes its time for the rest.
fn logout_under_way(home: &Home) -> Process {
    let logout = with_fault(home, "fsync", "delay_enter=4000000", &["logout", "--all"], "");
    eventually("the end of the installation", || !home.state().join("installation").exists());
    logout
}

/// Every file below the home that the program made.
fn files(home: &Home) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![home.state(), home.data()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path.clone());
            }
            files.push(path);
        }
    }
    files
}

#[test]
fn a_login_that_begins_while_everything_is_logged_out_of_stays() {
    for layout in LAYOUTS {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.log_in();
        lay_out(&home, layout);
        let first = home.get();
        let logout = logout_under_way(&home);
        home.log_in();
        let second = home.get();
        let logout = finish(logout);
        assert_eq!(logout.code, Some(0), "{logout:?}");
        assert!(!peer.accepts(&first), "it was revoked");
        assert!(home.get() == second && peer.accepts(&second), "{layout:?}");
        home.make_stale();
        assert!(peer.accepts(&home.get()), "{layout:?}");
    }
}

#[test]
fn a_login_of_an_earlier_version_meanwhile_stays_too() {
    let (home, other) = (home_with_session(Layout::Old), Home::new());
    let session = SESSION.replace("kept", "of-other");
    other.run(&["store"], session).succeeds_quietly();
    other.use_old_layout();
    let logout = logout_under_way(&home);
    for file in files(&other).iter().filter(|file| file.is_file()) {
        let to = home.path().join(file.strip_prefix(other.path()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
    let logout = finish(logout);
    assert_eq!(logout.code, Some(0), "{logout:?}");
    assert_eq!(home.get(), "of-other");
}

#[test]
fn an_installation_of_an_earlier_version_is_used_as_it_is() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.use_old_layout();
    let record = home.installation();
    home.make_stale();
    assert!(peer.accepts(&home.get()));
    home.log_in();
    home.run(&["store"], "site=us5\naccess_token=other\nexpires_in=3600\n").succeeds_quietly();
    assert_eq!(home.run(&["use", "us5"], "").code, Some(0));
    assert_eq!(home.run(&["get"], "site=us5\n").value("access_token"), "other");
    assert_eq!(home.installation(), record, "the earlier version can read it as before");
    for place in ["sessions", "registrations", "selected"] {
        assert!(home.state().join(place).exists(), "{place}");
    }
    let token = home.get();
    let logout = home.run(&["logout", "--all"], "");
    assert_eq!(logout.code, Some(0), "{logout:?}");
    assert!(!peer.accepts(&token));
    home.log_in();
    assert_ne!(home.installation()["id"], record["id"]);
    assert_eq!(home.sessions().parent(), Some(&*home.state()), "it has a directory of its own");
}

#[test]
fn an_earlier_version_leaves_a_new_installation_alone() {
    let home = home_with_session(Layout::Own);
    // It refuses every format that is newer than 1, and touches nothing.
    assert!(home.installation()["format"].as_u64() > Some(1));
    assert!(!home.state().join("sessions").exists());
}

#[test]
fn nothing_but_the_lock_of_the_installation_is_left() {
    for layout in LAYOUTS {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.run(&["login", "--org", ORG], "");
        home.make_stale();
        home.get();
        home.run(&["use", "--org", ORG], "");
        home.run(&["store"], "kind=api-key\nsite=eu1\norg=acme\napi_key=k\n").succeeds_quietly();
        lay_out(&home, layout);
        for killed in ["eu1@acme.session~new", "eu1@acme.login.outcome~new", "eu1@acme.new"] {
            std::fs::write(home.sessions().join(killed), "half").unwrap();
        }
        let logout = home.run(&["logout", "--all"], "");
        assert_eq!(logout.code, Some(0), "{logout:?}");
        let mut left = String::new();
        for path in files(&home) {
            let name = path.strip_prefix(home.path()).unwrap().to_str().unwrap();
            let is_lock = path.extension().is_some_and(|ending| {
                ["lock", "login", "lock-holder", "login-holder"].iter().any(|lock| ending == *lock)
            });
            let old_lock = is_lock || path.is_dir();
            let expected = match layout {
                Layout::Own => name.contains("/dd-oauth/installation.lock"),
                // An earlier version may hold one.
                Layout::Old => old_lock,
            };
            if !expected {
                writeln!(left, "{name}").unwrap();
            }
            let content = std::fs::read(&path).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&content).contains(ORG), "{name}");
        }
        assert_eq!(left, "", "{layout:?}");
    }
}

#[test]
fn a_keychain_is_not_asked_about_a_key_that_was_always_in_a_file() {
    let home = home_with_session(Layout::Own);
    let log = home.path().join("connects");
    let flags = ["-f", "-e", "trace=connect", "-o", log.to_str().unwrap()];
    let mut traced = home.any_program(Path::new("strace"), &flags);
    traced.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere");
    traced.args([env!("CARGO_BIN_EXE_dd-oauth"), "logout", "--all"]);
    assert_eq!(finish(start(traced, b"")).code, Some(0));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("connect("), "{log}");
}

#[test]
fn a_logout_that_is_killed_anywhere_leaves_whole_sessions_or_none() {
    for layout in LAYOUTS {
        for call in ["unlink", "rmdir", "fsync"] {
            for number in 1..=40 {
                let home = home_with_session(layout);
                let fault = format!("signal=KILL:when={number}");
                let run = finish(with_fault(&home, call, &fault, &["logout", "--all"], ""));
                let get = home.run(&["get"], "");
                match get.code {
                    Some(0) => assert_eq!(get.value("access_token"), "kept"),
                    Some(3) => {}
                    _ => panic!("{layout:?}, killed in {call} {number}: {get:?}"),
                }
                home.run(&["store"], SESSION).succeeds_quietly();
                assert_eq!(home.get(), "kept", "{layout:?}, killed in {call} {number}");
                assert_eq!(home.run(&["logout", "--all"], "").code, Some(0));
                let left =
                    files(&home).into_iter().filter(|path| path.parent() == Some(&home.state()));
                let left = left.filter(|path| path.is_dir() && layout == Layout::Own);
                assert_eq!(left.count(), 0, "killed in {call} {number}");
                if run.code == Some(0) {
                    break;
                }
            }
        }
    }
}

/// Runs a command that finds the installation, and comes to the lock of the session after it has ended.
fn comes_late(home: &Home, arguments: &[&str], input: &str) -> crate::support::process::Run {
    let late = with_fault(home, "flock", "delay_enter=4000000:when=1", arguments, input);
    let lock = home.session_file("lock");
    eventually("the late one at the lock", || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let descriptors =
            processes.filter_map(|process| std::fs::read_dir(process.path().join("fd")).ok());
        let mut files = descriptors.flat_map(Iterator::flatten);
        files.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|file| file == lock))
    });
    let logout = home.run(&["logout", "--all"], "");
    assert_eq!(logout.code, Some(0), "{logout:?}");
    finish(late)
}

#[test]
fn who_comes_to_a_lock_that_is_gone_looks_again() {
    for layout in LAYOUTS {
        let late = |arguments: &[&str], input: &str| {
            let home = home_with_session(layout);
            let run = comes_late(&home, arguments, input);
            (home, run)
        };
        let (home, run) = late(&["store"], &SESSION.replace("kept", "later"));
        run.succeeds_quietly();
        assert_eq!(home.get(), "later", "{layout:?}");
        assert_eq!(late(&["erase"], "").1.code, Some(0));
        late(&["logout"], "").1.fails(3, &["not logged in"]);
    }
}

#[test]
fn a_stale_get_that_comes_to_a_lock_that_is_gone_says_that_nobody_is_logged_in() {
    for layout in LAYOUTS {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.log_in();
        home.make_stale();
        lay_out(&home, layout);
        comes_late(&home, &["get"], "").fails(3, &["not logged in"]);
    }
}

#[test]
fn a_login_that_comes_back_after_the_logout_stores_nothing_and_revokes_its_tokens() {
    for layout in LAYOUTS {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.log_in();
        lay_out(&home, layout);
        let login = Login::start(&home);
        assert_eq!(home.run(&["logout", "--all"], "").code, Some(0));
        peer.clear_log();
        login.browse(&home);
        let run = login.finish();
        assert_eq!(run.code, Some(4), "{run:?}");
        assert!(run.stderr.contains("logged out of meanwhile"), "{run:?}");
        let revoked = peer.log().iter().filter(|event| event.endpoint == "revoke").count();
        assert_eq!(revoked, 2, "{layout:?}");
        home.run(&["get"], "").fails(3, &["not logged in"]);
    }
}
