//! `dd-oauth reset`: whatever is damaged, lost or in the way, a login works afterwards.

use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use crate::support::asked::AtTerminal;
use crate::support::home::Home;
use crate::support::login::Login;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{finish, start};

fn key_file(home: &Home) -> PathBuf {
    let mut files = std::fs::read_dir(home.data()).unwrap();
    files.next().unwrap().unwrap().path()
}

fn installation(home: &Home) -> PathBuf {
    home.state().join("installation")
}

/// Insists that a reset leads to a state in which a login works.
#[track_caller]
fn is_reset(home: &Home, peer: &Peer, what: &str) {
    let reset = home.run(&["reset", "--yes"], "");
    assert_eq!(reset.code, Some(0), "{what}: {reset:?}");
    assert!(reset.stderr.contains("everything is forgotten: run `dd-oauth login`"), "{reset:?}");
    assert!(!reset.stderr.contains("panicked"), "{reset:?}");
    let run = home.run(&["login"], "");
    assert_eq!(run.code, Some(0), "{what}: {run:?}");
    assert!(peer.accepts(&home.get()), "{what}");
}

/// A directory in the place of a file, with somebody's file in it.
fn directory_at(path: &Path) {
    std::fs::remove_file(path).unwrap();
    std::fs::create_dir(path).unwrap();
    std::fs::write(path.join("kept"), "kept").unwrap();
}

/// What is done to a home, and its name.
type Damage = (&'static str, fn(&Home));

#[test]
fn whatever_is_damaged_a_login_works_after_it() {
    let peer = Peer::start(Kind::Demo);
    let damages: &[Damage] = &[
        ("nothing", |_| ()),
        ("the key is gone", |home| std::fs::remove_file(key_file(home)).unwrap()),
        ("the key is another", |home| std::fs::write(key_file(home), "0f".repeat(32)).unwrap()),
        ("the key is no key", |home| std::fs::write(key_file(home), "rubbish").unwrap()),
        ("the key is a directory", |home| directory_at(&key_file(home))),
        ("no installation", |home| std::fs::remove_file(installation(home)).unwrap()),
        ("an empty installation", |home| std::fs::write(installation(home), "").unwrap()),
        ("a newer installation", |home| {
            let text = std::fs::read_to_string(installation(home)).unwrap();
            let newer = text.replace("\"format\":2", "\"format\":3");
            assert_ne!(newer, text);
            std::fs::write(installation(home), newer).unwrap();
        }),
        ("the installation is a directory", |home| directory_at(&installation(home))),
        ("a session cut short", |home| {
            std::fs::write(home.session_file("session"), "dd-oauth session 1\n{").unwrap();
        }),
        ("a newer session", |home| {
            std::fs::write(home.session_file("session"), "dd-oauth session 2\n").unwrap();
        }),
        ("a long session", |home| {
            std::fs::write(home.session_file("session"), vec![b'x'; 100_000]).unwrap();
        }),
        ("the session is a directory", |home| directory_at(&home.session_file("session"))),
        ("a session of another key", |home| {
            let session = std::fs::read(home.session_file("session")).unwrap();
            std::fs::remove_dir_all(home.state()).unwrap();
            home.log_in();
            std::fs::write(home.session_file("session"), session).unwrap();
        }),
        ("a damaged journal", |home| {
            home.make_stale();
            home.get();
            std::fs::write(home.session_file("journal"), "dd-oauth journal 2\n").unwrap();
        }),
        ("the journal is a directory", |home| {
            home.make_stale();
            home.get();
            directory_at(&home.session_file("journal"));
        }),
        ("a lock is a directory", |home| directory_at(&home.session_file("lock"))),
        ("the sessions are a file", |home| {
            std::fs::remove_dir_all(home.sessions()).unwrap();
            std::fs::write(home.sessions(), "").unwrap();
        }),
        ("the registrations are a file", |home| {
            std::fs::remove_dir_all(home.registrations()).unwrap();
            std::fs::write(home.registrations(), "").unwrap();
        }),
        ("a registration is a directory", |home| {
            let directory = home.registrations();
            let mut files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
            let is_json = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
            directory_at(&files.find(is_json).unwrap());
        }),
        ("the state is a file", |home| {
            std::fs::remove_dir_all(home.state()).unwrap();
            std::fs::write(home.state(), "kept").unwrap();
        }),
        ("the data is a file", |home| {
            std::fs::remove_dir_all(home.data()).unwrap();
            std::fs::write(home.data(), "kept").unwrap();
        }),
        ("an installation of an earlier version", |home| home.use_old_layout()),
        ("the same without its key", |home| {
            home.use_old_layout();
            std::fs::remove_file(key_file(home)).unwrap();
        }),
        ("two installations, one of which has ended", |home| {
            let (own, id) = (home.sessions(), "0".repeat(32));
            let ended = own.with_file_name(id);
            std::fs::create_dir(&ended).unwrap();
            std::fs::copy(home.session_file("session"), ended.join("x.session")).unwrap();
        }),
        ("everything is gone", |home| std::fs::remove_dir_all(home.state()).unwrap()),
    ];
    for (what, damage) in damages {
        let home = Home::at(&peer);
        home.log_in();
        damage(&home);
        is_reset(&home, &peer, what);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn modes_that_keep_its_user_out_or_let_others_in_are_mended() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new().of_ordinary_user("nobody");
    let store = || home.run(&["store"], "site=eu1\naccess_token=kept\nexpires_in=3600\n");
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    for mode in [0o000, 0o400, 0o777] {
        store().succeeds_quietly();
        let key = key_file(&home);
        let lock = home.session_file("lock");
        let file_mode = mode & 0o666;
        for path in [&key, &home.session_file("session"), &installation(&home), &lock] {
            set(path, file_mode);
        }
        for path in [&home.sessions(), &home.data(), &home.state()] {
            set(path, mode);
        }
        let reset = home.run(&["reset", "--yes"], "");
        assert_eq!(reset.code, Some(0), "{mode:o}: {reset:?}");
        store().succeeds_quietly();
        assert_eq!(home.get(), "kept");
        home.run(&["reset", "--yes"], "");
    }
}

#[test]
fn what_can_be_opened_is_revoked_and_what_cannot_is_told() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let token = home.get();
    home.run(&["store"], "site=us5\naccess_token=other\nexpires_in=3600\n").succeeds_quietly();
    home.run(&["store"], "kind=api-key\nsite=eu1\napi_key=a\n").succeeds_quietly();
    let other = home.sessions().join("us5.datadoghq.com@.session");
    std::fs::write(other, "nonsense").unwrap();
    let run = home.run(&["reset", "--yes"], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    for words in ["logged out of", "warning: US5 could not be opened and was not revoked"] {
        assert!(run.stderr.contains(words), "no {words:?} in {run:?}");
    }
    assert!(!peer.accepts(&token), "it is revoked");
    home.run(&["get"], "").fails(3, &["not logged in"]);
    assert!(!installation(&home).exists() && std::fs::read_dir(home.data()).unwrap().count() == 0);
    home.run(&["get"], "kind=api-key\nsite=eu1\n").fails(3, &["no API key"]);
    let again = home.run(&["reset", "--yes"], "");
    assert!(again.code == Some(0) && again.stderr.contains("there is no installation in"));
}

#[test]
fn a_server_that_is_not_there_is_told_and_keeps_nothing() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    drop(peer);
    let run = home.run(&["reset", "--yes"], "");
    assert!(run.code == Some(0) && run.stderr.contains("was not revoked"), "{run:?}");
    home.run(&["get"], "").fails(3, &["not logged in"]);
}

#[test]
fn nothing_is_forgotten_unasked() {
    let home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=kept\nexpires_in=3600\n").succeeds_quietly();
    let stored = home.stored();
    let run = home.run(&["reset"], "y\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
    for words in ["EU1", "nothing was forgotten", "`dd-oauth reset --yes`"] {
        assert!(run.stderr.contains(words), "no {words:?} in {run:?}");
    }
    assert_eq!(home.stored(), stored);
    assert_eq!(home.get(), "kept");
}

#[cfg(target_os = "linux")]
#[test]
fn a_person_is_asked_once() {
    let home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=kept\nexpires_in=3600\n").succeeds_quietly();
    for (answer, words) in [("n\n", "nothing was forgotten"), ("\n", "nothing was forgotten")] {
        let mut terminal = AtTerminal::start(&home, "reset");
        terminal.asks("forget all sessions");
        assert!(terminal.shown.contains("EU1"), "{}", terminal.shown);
        terminal.types(answer);
        let (code, shown) = terminal.ends();
        assert!(code == Some(0) && shown.contains(words), "{shown}");
        assert_eq!(home.get(), "kept");
    }
    let mut terminal = AtTerminal::start(&home, "reset");
    terminal.asks("forget all sessions");
    terminal.types("y\n");
    let (code, shown) = terminal.ends();
    assert!(code == Some(0) && shown.contains("everything is forgotten"), "{shown}");
    home.run(&["get"], "").fails(3, &["not logged in"]);
}

#[test]
fn the_messages_about_a_key_lead_to_it() {
    let home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=kept\nexpires_in=3600\n").succeeds_quietly();
    let key = key_file(&home);
    let commands: &[&[&str]] = &[&["get"], &["status"], &["logout", "--all"], &["login"]];
    for damage in [Some("0f".repeat(32)), Some("rubbish".into()), None] {
        match &damage {
            Some(text) => std::fs::write(&key, text).unwrap(),
            None => std::fs::remove_file(&key).unwrap(),
        }
        for arguments in commands {
            home.run(arguments, "").fails(5, &["restore", "`dd-oauth reset`"]);
        }
    }
}

#[test]
fn a_refresh_that_is_under_way_ends_first() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    peer.hold_refreshes();
    let get = start(home.program(&["get"]), b"");
    peer.holds_one();
    let reset = start(home.program(&["reset", "--yes"]), b"");
    peer.mend();
    let (got, reset) = (finish(get), finish(reset));
    assert!(reset.code == Some(0) && reset.stderr.contains("logged out of"), "{reset:?}");
    // Its caller may look for the token when it is gone again.
    assert!([Some(0), Some(3), Some(4)].contains(&got.code), "{got:?}");
    home.run(&["get"], "").fails(3, &["not logged in"]);
}

#[test]
fn a_login_from_before_it_destroys_nothing_that_came_after_it() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let login = Login::start(&home);
    assert_eq!(home.run(&["reset", "--yes"], "").code, Some(0));
    home.run(&["store"], "access_token=newer\nexpires_in=3600\n").succeeds_quietly();
    login.browse(&home);
    login.finish().fails(4, &["everything was logged out of meanwhile", "try again"]);
    assert_eq!(home.get(), "newer");
    is_reset(&home, &peer, "after all");
}
