//! Callers without a home directory, or with one that is no good: users of the system, containers,
//! and programs that hand no environment on.
#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::home::Home;
use crate::support::network::{bind, leave_the_mounts};
use crate::support::process::{Run, finish, start};

const SESSION: &str = "site=eu1\naccess_token=kept\nexpires_in=3600\n";

/// A home with one session.
fn home_with_session() -> Home {
    let home = Home::new();
    home.run(&["store"], SESSION).succeeds_quietly();
    home
}

/// Runs `there` where the user database has `line` alone.
fn where_users_are<T: Send>(line: &str, there: impl FnOnce() -> T + Send) -> T {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
        directory.path().join(name)
    };
    let users = file("passwd", line);
    // Others would make up an entry for root.
    let sources = file("nsswitch.conf", "passwd: files\n");
    std::thread::scope(|scope| {
        let machine = scope.spawn(|| {
            leave_the_mounts();
            bind(&users, Path::new("/etc/passwd"));
            if Path::new("/etc/nsswitch.conf").exists() {
                bind(&sources, Path::new("/etc/nsswitch.conf"));
            }
            there()
        });
        machine.join().unwrap()
    })
}

/// Runs `there` where we are at `home`, as the user database says.
fn at_home_on_record<T: Send>(home: &Path, there: impl FnOnce() -> T + Send) -> T {
    where_users_are(&format!("root:x:0:0::{}:/bin/sh\n", home.display()), there)
}

/// The program with no variables but these, whatever home has.
fn bare(home: &Home, variables: &[(&str, &OsStr)], arguments: &[&str]) -> Command {
    let mut command = home.program(arguments);
    command.env_clear().envs(variables.iter().copied());
    command
}

fn run(home: &Home, variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Run {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (*name, OsStr::new(*value))).collect();
    finish(start(bare(home, &variables, arguments), input.as_bytes()))
}

/// The name of the program in a helper protocol, as a link to it.
fn named(home: &Home, name: &str) -> PathBuf {
    let path = home.path().join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dd-oauth"), &path).unwrap();
    path
}

#[test]
fn without_variables_the_home_is_the_one_on_record_in_every_dialect() {
    let home = home_with_session();
    at_home_on_record(home.path(), || {
        for variables in [&[][..], &[("HOME", "")]] {
            let got = run(&home, variables, &["get"], "");
            got.succeeds_quietly();
            assert_eq!(got.value("access_token"), "kept");
            assert_eq!(run(&home, variables, &["token"], "").stdout, "kept\n");
            assert!(run(&home, variables, &["status"], "").stdout.contains("datadoghq.eu"));
        }
        let requests = [
            ("git-credential-dd-oauth", "protocol=https\nhost=api.datadoghq.eu\n"),
            ("docker-credential-dd-oauth", "https://api.datadoghq.eu"),
            ("bazel-credential-dd-oauth", r#"{"uri":"https://api.datadoghq.eu/x"}"#),
        ];
        for (name, request) in requests {
            let mut command = Command::new(named(&home, name));
            command.arg("get").env_clear();
            command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            command.stderr(std::process::Stdio::piped());
            let got = finish(start(command, request.as_bytes()));
            assert!(got.code == Some(0) && got.stdout.contains("kept"), "{name}: {got:?}");
        }
        let stored =
            run(&home, &[("DD_TOKEN_STORAGE", "file")], &["store"], "site=us5\naccess_token=b\n");
        stored.succeeds_quietly();
    });
    assert_eq!(home.run(&["get"], "site=us5\n").value("access_token"), "b");
}

#[test]
fn a_user_without_an_entry_needs_a_home_only_for_what_is_in_it() {
    let home = Home::new();
    let (state, key) = (home.path().join("state"), home.path().join("key"));
    std::fs::write(&key, "ab".repeat(32)).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let (state, key) = (state.to_str().unwrap(), key.to_str().unwrap());
    where_users_are("", || {
        let both = [("DD_OAUTH_STATE_DIR", state), ("DD_OAUTH_KEY_FILE", key)];
        for command in [&["completions", "bash"][..], &["man"], &["--help"], &["--version"]] {
            let printed = run(&home, &[], command, "");
            assert!(
                printed.code == Some(0) && !printed.stdout.is_empty(),
                "{command:?} {printed:?}"
            );
        }
        let outside = [("DD_BEARER_TOKEN", "given")];
        for dialect in [&["get"][..], &["token"], &["get", "--format", "token"]] {
            let got = run(&home, &outside, dialect, "");
            assert!(got.code == Some(0) && got.stdout.contains("given"), "{got:?}");
        }
        let shown = run(&home, &outside, &["status"], "");
        assert!(shown.code == Some(0) && shown.stdout.contains("DD_BEARER_TOKEN"), "{shown:?}");
        run(&home, &both, &["store"], SESSION).succeeds_quietly();
        let got = run(&home, &both, &["get"], "");
        got.succeeds_quietly();
        assert_eq!(got.value("access_token"), "kept");
        run(&home, &both, &["status"], "").succeeds_quietly();
        // A configuration that cannot be anywhere says nothing.
        run(&home, &both, &["get"], "site=us5\n").fails(3, &["not logged in"]);
        let elsewhere = [both[0], both[1], ("HOME", "relative")];
        assert_eq!(run(&home, &elsewhere, &["get"], "").value("access_token"), "kept");
        let doctor = run(&home, &both, &["doctor"], "");
        assert!(doctor.stdout.contains("there is no home directory"), "{doctor:?}");
    });
}

#[test]
fn a_missing_home_is_told_with_what_to_set() {
    let home = Home::new();
    let state = home.path().join("state");
    where_users_are("", || {
        let commands: &[&[&str]] =
            &[&["get"], &["token"], &["status"], &["login"], &["logout"], &["list"], &["refresh"]];
        for arguments in commands {
            for variables in [&[][..], &[("HOME", "")], &[("XDG_STATE_HOME", "relative")]] {
                let words = ["there is no home directory", "set HOME or DD_OAUTH_STATE_DIR"];
                run(&home, variables, arguments, "").fails(2, &words);
            }
            let relative = [("HOME", "some/where")];
            let words = ["HOME is \"some/where\"", "absolute", "DD_OAUTH_STATE_DIR"];
            run(&home, &relative, arguments, "").fails(2, &words);
        }
        run(&home, &[], &["import"], "").fails(2, &["there is no home directory", "set HOME"]);
        let unkept =
            [("DD_OAUTH_STATE_DIR", state.to_str().unwrap()), ("DD_TOKEN_STORAGE", "file")];
        run(&home, &unkept, &["store"], SESSION)
            .fails(2, &["there is no home directory", "set HOME or XDG_DATA_HOME"]);
        assert!(!state.join("installation").exists());
        let git = run(
            &home,
            &[],
            &["--protocol", "git", "get"],
            "protocol=https\nhost=git.example.org\n",
        );
        git.succeeds_quietly();
        assert_eq!(git.stdout, "", "git asks its next helper");
    });
    let doctor = where_users_are("", || run(&home, &[], &["doctor", "--json"], ""));
    assert!(doctor.code == Some(2) && doctor.stdout.contains("set HOME"), "{doctor:?}");
}

#[test]
fn a_home_on_record_that_is_none_is_told_as_missing() {
    let home = Home::new();
    for entry in ["relative", ""] {
        at_home_on_record(Path::new(entry), || {
            run(&home, &[], &["get"], "").fails(2, &["there is no home directory", "set HOME"]);
        });
    }
}

#[test]
fn a_home_directory_that_does_not_exist_is_never_made() {
    let home = Home::new();
    let missing = home.path().join("missing");
    let variables = [("HOME", missing.to_str().unwrap()), ("DD_TOKEN_STORAGE", "file")];
    run(&home, &variables, &["get"], "").fails(3, &["not logged in"]);
    let words = [missing.to_str().unwrap(), "does not exist", "set HOME or DD_OAUTH_STATE_DIR"];
    run(&home, &variables, &["store"], SESSION).fails(2, &words);
    run(&home, &variables, &["login", "--no-browser"], "").fails(2, &words);
    at_home_on_record(&missing, || {
        run(&home, &variables[1..], &["store"], SESSION).fails(2, &words);
    });
    let state = home.path().join("state");
    let named = [variables[0], variables[1], ("DD_OAUTH_STATE_DIR", state.to_str().unwrap())];
    run(&home, &named, &["store"], SESSION)
        .fails(2, &["does not exist", "set HOME or XDG_DATA_HOME"]);
    assert!(!missing.exists());
    // A directory of the XDG specification is made, as it says.
    let data = home.path().join("data");
    let named = [named[0], named[1], named[2], ("XDG_DATA_HOME", data.to_str().unwrap())];
    run(&home, &named, &["store"], SESSION).succeeds_quietly();
    assert!(!missing.exists());
}

#[test]
fn a_home_in_which_nothing_can_be_made_is_told_with_what_to_set() {
    let home = Home::new();
    std::os::unix::fs::symlink("/nonexistent/x", home.path().join(".local")).unwrap();
    let words = [".local/state/dd-oauth", "set DD_OAUTH_STATE_DIR to a directory that you can"];
    home.run(&["store"], SESSION).fails(5, &words);
    home.run(&["login"], "").fails(5, &words);
    let state = home.path().join("state");
    home.run_with(("DD_OAUTH_STATE_DIR", state.to_str().unwrap()), &["store"], SESSION)
        .fails(5, &[".local/share/dd-oauth", "set XDG_DATA_HOME to a directory that you can"]);
}
