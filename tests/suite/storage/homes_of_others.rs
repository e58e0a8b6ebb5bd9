//! Root in the home directory of somebody else, as after `sudo` or in a container: whatever root
//! creates there locks the owner out.
#![cfg(target_os = "linux")]

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::support::home::Home;

const SESSION: &str = "site=eu1\naccess_token=kept\nexpires_in=3600\n";
const SOMEBODY: u32 = 12345;

/// A directory that belongs to somebody else.
fn home_of_somebody(home: &Home) -> PathBuf {
    let directory = home.path().join("somebody");
    std::fs::create_dir(&directory).unwrap();
    match chown(&directory, Some(SOMEBODY), None) {
        Ok(()) => directory,
        // Who may not give files away is root in a namespace, where the system's are somebody else's.
        Err(_) => "/usr".into(),
    }
}

fn names_in(directory: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn root_creates_nothing_in_the_home_of_another_user() {
    let mut home = Home::new();
    let foreign = home_of_somebody(&home);
    let owner = format!("belongs to user {}", foreign.metadata().unwrap().uid());
    let before = names_in(&foreign);
    home.set("HOME", foreign.to_str().unwrap());
    let words = [foreign.to_str().unwrap(), &owner, "without sudo", "or set DD_OAUTH_STATE_DIR"];
    home.run(&["store"], SESSION).fails(6, &words);
    home.run(&["login", "--no-browser"], "").fails(6, &words);
    home.run(&["store"], "kind=api-key\nsite=eu1\napi_key=a\n").fails(6, &words);
    let reset = home.run(&["reset", "--yes"], "");
    assert!(reset.code == Some(6) && reset.stderr.contains(&owner), "{reset:?}");
    // Looking for a session creates nothing.
    home.run(&["get"], "").fails(3, &["not logged in"]);
    let doctor = home.run(&["doctor"], "");
    assert!(doctor.code == Some(6) && doctor.stdout.contains(&owner), "{doctor:?}");
    let state = foreign.join("state");
    home.set("XDG_STATE_HOME", state.to_str().unwrap());
    home.run(&["store"], SESSION).fails(6, &words);
    assert_eq!(names_in(&foreign), before);
    // A place of one's own for the sessions is not yet one for the key.
    home.unset("XDG_STATE_HOME");
    let own = home.path().join("own");
    home.set("DD_OAUTH_STATE_DIR", own.to_str().unwrap());
    home.run(&["store"], SESSION).fails(6, &[&owner, "or set XDG_DATA_HOME"]);
    assert_eq!(names_in(&foreign), before);
    home.set("XDG_DATA_HOME", home.path().join("data").to_str().unwrap());
    home.run(&["store"], SESSION).succeeds_quietly();
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_directory_that_was_named_for_it_is_created_anywhere() {
    let mut home = Home::new();
    let foreign = home.path().join("somebody");
    std::fs::create_dir(&foreign).unwrap();
    // In a namespace it stays ours, and nothing is left to see.
    let _ = chown(&foreign, Some(SOMEBODY), None);
    home.set("DD_OAUTH_STATE_DIR", foreign.join("state").to_str().unwrap());
    home.run(&["store"], SESSION).succeeds_quietly();
    assert_eq!(home.get(), "kept");
}

#[test]
fn what_is_roots_own_there_goes_on() {
    let mut home = Home::new();
    let foreign = home.path().join("home");
    std::fs::create_dir_all(foreign.join(".local")).unwrap();
    // In a namespace it stays ours, and nothing is left to see.
    let _ = chown(&foreign, Some(SOMEBODY), None);
    home.set("HOME", foreign.to_str().unwrap());
    home.run(&["store"], SESSION).succeeds_quietly();
    assert_eq!(home.get(), "kept");
}

#[test]
fn who_was_let_into_a_directory_of_another_user_may_create_there() {
    let mut home = Home::new().of_ordinary_user("nobody");
    let shared = home.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o777)).unwrap();
    home.set("HOME", shared.to_str().unwrap());
    home.run(&["store"], SESSION).succeeds_quietly();
    assert_eq!(home.get(), "kept");
}
