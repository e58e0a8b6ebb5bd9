//! Stored files that were cut short, changed, exchanged, or opened to others: each is told apart,
//! and nothing is deleted because of it.

use std::path::PathBuf;

use serde_json::json;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

/// A home with one session, which needs no server.
fn home_with_session() -> Home {
    with_session(Home::new())
}

fn with_session(home: Home) -> Home {
    let tokens = "site=eu1\naccess_token=kept\nexpires_in=3600\nrefresh_token=r\nclient_id=c\n";
    home.run(&["store"], tokens).succeeds_quietly();
    home
}

fn key_file(home: &Home) -> PathBuf {
    let mut files = std::fs::read_dir(home.data()).unwrap();
    files.next().unwrap().unwrap().path()
}

fn state(home: &Home) -> PathBuf {
    home.state()
}

#[cfg(unix)]
fn set_mode(path: &std::path::Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).unwrap();
}

/// Insists that every command about the session fails alike and leaves everything as it is.
#[track_caller]
fn all_commands_fail(home: &Home, code: i32, words: &[&str]) {
    let stored = home.stored();
    let commands: &[(&[&str], &str)] = &[
        (&["get"], ""),
        (&["token"], ""),
        (&["status"], ""),
        (&["status", "--json"], ""),
        (&["refresh"], ""),
        (&["logout"], ""),
        (&["store"], "site=eu1\naccess_token=new\n"),
        (&["erase"], "access_token=kept\n"),
    ];
    for (arguments, input) in commands {
        home.run(arguments, input).fails(code, words);
    }
    assert_eq!(home.stored(), stored, "nothing is deleted or replaced");
}

#[test]
fn directories_that_were_removed_are_made_again() {
    let home = home_with_session();
    std::fs::remove_dir_all(home.sessions()).unwrap();
    home.run(&["store"], "site=eu1\naccess_token=new\n").succeeds_quietly();
    assert_eq!(home.get(), "new");
}

#[test]
fn a_damaged_session_file_is_an_error_until_it_is_mended() {
    let home = home_with_session();
    let path = home.session_file("session");
    let whole = std::fs::read(&path).unwrap();
    let head_end = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    let with = |position: usize, byte: u8| {
        let mut changed = whole.clone();
        changed[position] = byte;
        changed
    };
    let damaged: &[(Vec<u8>, &str)] = &[
        (Vec::new(), "is not a session file"),
        (whole[..5].to_vec(), "is not a session file"),
        (whole[..18].to_vec(), "was cut short"),
        (whole[..head_end - 1].to_vec(), "was cut short"),
        (whole[..=head_end].to_vec(), "was cut short or changed"),
        (whole[..whole.len() - 1].to_vec(), "was cut short or changed"),
        ([whole.as_slice(), b"x"].concat(), "was cut short or changed"),
        (with(whole.len() - 1, !whole[whole.len() - 1]), "was cut short or changed"),
        (with(19, b'x'), "head that cannot be read"),
        (vec![0; 4096], "is not a session file"),
        (b"dd-oauth session x\n{}\n".to_vec(), "is not a session file"),
        (b"dd-oauth session 1\n{}\n".to_vec(), "head that cannot be read"),
        (vec![b'x'; 100_000], "file too large"),
    ];
    for (bytes, words) in damaged {
        std::fs::write(&path, bytes).unwrap();
        all_commands_fail(&home, 5, &["datadoghq.eu@.session", words]);
    }
    // The head is sealed with the rest, so a token cannot be made to look fresh.
    let text = String::from_utf8_lossy(&whole[..head_end]).into_owned();
    let expires = text.split_once("\"expires\":").unwrap().1.split_once(',').unwrap().0;
    let mut later = text.replace(expires, "9999999999999").into_bytes();
    later.extend_from_slice(&whole[head_end..]);
    std::fs::write(&path, later).unwrap();
    all_commands_fail(&home, 5, &["was cut short or changed", "dd-oauth erase"]);
    let list = home.run(&["list"], "");
    assert!(list.code == Some(0) && list.stderr.contains("was cut short or changed"), "{list:?}");
    assert!(list.stdout.contains("datadoghq.eu") && !list.stdout.contains("2286"), "{list:?}");
    let list = home.run(&["list", "--json"], "");
    assert!(list.stdout.contains("\"expires_at\":null"), "{list:?}");

    std::fs::write(&path, &whole).unwrap();
    assert_eq!(home.get(), "kept");
}

#[test]
fn what_is_no_plain_file_in_place_of_a_session_is_an_error_and_not_a_wait() {
    let home = home_with_session();
    let path = home.session_file("session");
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    std::fs::create_dir(&path).unwrap();
    for arguments in [&["get"], &["status"], &["refresh"], &["erase"], &["logout"]] {
        home.run(arguments, "").fails(5, &["datadoghq.eu@.session", "directory"]);
    }
    std::fs::remove_dir(&path).unwrap();
    #[cfg(unix)]
    {
        home.run_program("mkfifo", &[path.to_str().unwrap()]);
        for arguments in [&["get"], &["status"], &["refresh"], &["logout"]] {
            home.run(arguments, "").fails(5, &["datadoghq.eu@.session", "not a plain file"]);
        }
    }
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_session_of_a_newer_version_is_left_to_that_version() {
    let home = home_with_session();
    let path = home.session_file("session");
    let whole = std::fs::read(&path).unwrap();
    let newer = [b"dd-oauth session 2\n", &whole[19..]].concat();
    std::fs::write(&path, newer).unwrap();
    all_commands_fail(&home, 5, &["newer version of dd-oauth"]);
    std::fs::write(&path, whole).unwrap();
    assert_eq!(home.get(), "kept");

    let installation = state(&home).join("installation");
    let whole = std::fs::read_to_string(&installation).unwrap();
    std::fs::write(&installation, whole.replace("\"format\":2", "\"format\":3")).unwrap();
    all_commands_fail(&home, 5, &["installation", "newer version of dd-oauth"]);
    for damaged in ["", "{}", "nonsense", r#"{"format":1,"id":"../../../x"}"#] {
        std::fs::write(&installation, damaged).unwrap();
        all_commands_fail(&home, 5, &["installation", "dd-oauth reset"]);
    }
    std::fs::write(&installation, whole).unwrap();
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_session_cannot_be_exchanged_for_another() {
    let home = home_with_session();
    let path = home.session_file("session");
    home.run(&["store"], "site=us5\naccess_token=other\nexpires_in=3600\n").succeeds_quietly();
    let other = path.with_file_name("us5.datadoghq.com@.session");
    let whole = std::fs::read(&path).unwrap();
    std::fs::copy(&other, &path).unwrap();
    home.run(&["get"], "site=eu1\n").fails(5, &["datadoghq.eu@.session", "holds another session"]);
    home.run(&["--site", "eu1", "status"], "").fails(5, &["holds another session"]);
    assert_eq!(home.run(&["get"], "site=us5\n").value("access_token"), "other");
    std::fs::write(&path, whole).unwrap();
    assert_eq!(home.run(&["get"], "site=eu1\n").value("access_token"), "kept");
}

#[test]
fn a_damaged_session_keeps_no_other_from_answering() {
    let home = home_with_session();
    // So long that only the head of the file has the whole of it.
    let org = "x".repeat(120);
    let other = format!("site=us5\norg={org}\naccess_token=other\n");
    home.run(&["store"], other).succeeds_quietly();
    let mut files = std::fs::read_dir(home.sessions()).unwrap().map(|entry| entry.unwrap().path());
    let long = |path: &PathBuf| {
        path.to_str().unwrap().ends_with(".session") && !path.ends_with("datadoghq.eu@.session")
    };
    let damaged = files.find(long).unwrap();
    std::fs::write(&damaged, "nonsense").unwrap();
    assert_eq!(home.run(&["get"], "site=eu1\n").value("access_token"), "kept");
    assert_eq!(std::fs::read_to_string(damaged).unwrap(), "nonsense");
}

#[test]
fn a_key_that_is_not_the_right_one_is_told_apart() {
    let home = home_with_session();
    let path = key_file(&home);
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, "0f".repeat(32)).unwrap();
    let words = ["not the one of this installation", path.to_str().unwrap(), "restore"];
    all_commands_fail(&home, 5, &words);
    let digits = whole.lines().next().unwrap();
    let not_keys = [
        "",
        "\n",
        &digits[..63],
        &whole[1..],
        &format!("{digits}0"),
        &format!("\n{whole}"),
        &whole.replace(&whole[..1], "g"),
    ];
    for bad in not_keys {
        std::fs::write(&path, bad).unwrap();
        all_commands_fail(&home, 5, &[path.to_str().unwrap(), "64 hexadecimal digits"]);
    }
    std::fs::write(&path, vec![b'0'; 10_000]).unwrap();
    all_commands_fail(&home, 5, &[path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    all_commands_fail(&home, 5, &[path.to_str().unwrap(), "is missing", "restore it"]);
    assert!(!path.exists(), "a key is never made anew");
    std::fs::create_dir(&path).unwrap();
    all_commands_fail(&home, 5, &[path.to_str().unwrap(), "directory"]);
    std::fs::remove_dir(&path).unwrap();

    std::fs::write(&path, &whole).unwrap();
    #[cfg(unix)]
    set_mode(&path, 0o600);
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_key_file_that_is_named_but_not_there_is_never_made() {
    let mut home = home_with_session();
    let named = home.path().join("named-key");
    home.set("DD_OAUTH_KEY_FILE", named.to_str().unwrap());
    all_commands_fail(&home, 5, &["DD_OAUTH_KEY_FILE", "not there", "never created"]);
    assert!(!named.exists());
    home.set("DD_OAUTH_KEY_FILE", "");
    assert_eq!(home.get(), "kept");

    let mut fresh = Home::new();
    fresh.set("DD_OAUTH_KEY_FILE", named.to_str().unwrap());
    fresh.run(&["store"], "access_token=a\n").fails(5, &["DD_OAUTH_KEY_FILE", "never created"]);
    assert!(!named.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn what_others_could_have_written_or_read_is_refused() {
    what_others_could_change(&home_with_session());
    #[cfg(target_os = "linux")]
    what_others_could_change(&with_session(Home::new().of_ordinary_user("nobody")));
}

#[cfg(target_os = "linux")]
fn what_others_could_change(home: &Home) {
    let path = |name: &str| state(home).join(name);
    let cases = [
        (key_file(home), 0o600, 0o644, "chmod 600"),
        (key_file(home), 0o600, 0o640, "chmod 600"),
        (key_file(home), 0o600, 0o602, "chmod 600"),
        (state(home), 0o700, 0o777, "chmod go-w"),
        (state(home), 0o700, 0o770, "chmod go-w"),
        (state(home), 0o700, 0o1777, "chmod go-w"),
        (home.sessions(), 0o700, 0o777, "chmod go-w"),
        (path("installation"), 0o600, 0o666, "chmod go-w"),
        (home.session_file("session"), 0o600, 0o660, "chmod go-w"),
        (home.session_file("session"), 0o600, 0o602, "chmod go-w"),
    ];
    for (path, usual, open, advice) in cases {
        set_mode(&path, open);
        all_commands_fail(home, 6, &[path.to_str().unwrap(), advice]);
        set_mode(&path, usual);
        assert_eq!(home.get(), "kept");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_another_user_owns_is_refused_and_so_is_a_link_to_it() {
    let home = with_session(Home::new().of_ordinary_user("nobody"));
    let files = [key_file(&home), home.session_file("session"), state(&home).join("installation")];
    for path in files {
        let (whole, aside) = (std::fs::read(&path).unwrap(), path.with_extension("aside"));
        std::fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &path).unwrap();
        assert_eq!(home.get(), "kept", "a link that is the user's own is fine");
        // Ours, and not that of the user whose home it is.
        let foreign = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&foreign, &whole).unwrap();
        set_mode(foreign.path(), 0o644);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&foreign, &path).unwrap();
        // In a user namespace all files are the user's own.
        if home.is_of_another_user() {
            all_commands_fail(&home, 6, &[path.to_str().unwrap(), "belongs to user"]);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(home.get(), "kept");
    }
}

#[test]
fn a_login_finds_what_is_damaged_before_it_asks_a_person() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let path = home.session_file("session");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, "nonsense").unwrap();
    home.run(&["login"], "").fails(5, &["is not a session file", "dd-oauth erase"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"nonsense");
    std::fs::write(&path, whole).unwrap();
    let key = key_file(&home);
    std::fs::rename(&key, key.with_extension("aside")).unwrap();
    home.run(&["login"], "").fails(5, &["is missing"]);
    assert_eq!(home.browsers_opened(), 1, "only the first login came so far");

    // What the message says to do helps.
    std::fs::rename(key.with_extension("aside"), key).unwrap();
    std::fs::write(&path, "nonsense").unwrap();
    assert_eq!(home.run(&["erase"], "").code, Some(0));
    home.log_in();
    assert!(peer.accepts(&home.get()));
    assert_eq!(home.run(&["logout"], "").code, Some(0));
    std::fs::remove_file(key_file(&home)).unwrap();
    home.run(&["login"], "").fails(5, &["is missing"]);
    assert_eq!(home.browsers_opened(), 2);
}

#[test]
fn a_damaged_journal_or_registration_costs_no_session() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    assert_eq!(home.run(&["refresh"], "").code, Some(0));
    let journal = home.session_file("journal");
    let whole = std::fs::read(&journal).unwrap();
    let (zeros, ones) = (vec![0; 60_000], vec![0xff; 60_000]);
    for damaged in [&b""[..], b"nonsense", &whole[..100], &whole[..5000], &zeros, &ones] {
        home.make_stale();
        std::fs::write(&journal, damaged).unwrap();
        assert!(peer.accepts(&home.get()));
    }
    home.make_stale();
    std::fs::write(&journal, b"dd-oauth journal 2\nand more").unwrap();
    let stored = home.stored();
    home.run(&["get"], "").fails(5, &["journal", "newer version of dd-oauth"]);
    assert_eq!(home.stored(), stored);
    std::fs::remove_file(&journal).unwrap();
    assert!(peer.accepts(&home.get()));

    for entry in std::fs::read_dir(home.registrations()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "json") {
            std::fs::write(path, json!({"client_id": 5}).to_string()).unwrap();
        }
    }
    home.make_stale();
    assert!(peer.accepts(&home.get()), "a session has its own client");
    home.log_in();
    assert!(peer.accepts(&home.get()));
}
