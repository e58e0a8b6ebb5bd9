//! Flags, variables and a configuration file that mean nothing, or that must not be obeyed.

use std::ffi::OsString;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

/// A home with one session, which needs no server and is the one that is meant by default.
fn home_with_session() -> Home {
    let home = Home::new();
    home.run(&["store"], "site=eu1\naccess_token=kept\nexpires_in=3600\n").succeeds_quietly();
    home
}

fn configure(home: &Home, text: &str) {
    let directory = home.configuration();
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), text).unwrap();
}

/// A value that need not be text.
#[cfg(unix)]
fn raw(value: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(value.to_vec())
}

/// A value that need not be text: half of a pair of surrogates, where the bytes are none.
#[cfg(windows)]
fn raw(value: &[u8]) -> OsString {
    let text = str::from_utf8(value).map(OsString::from);
    text.unwrap_or_else(|_| std::os::windows::ffi::OsStringExt::from_wide(&[0xd800]))
}

/// Asks for a token with a variable that need not be text.
fn token_with(home: &Home, variable: &str, value: &[u8]) -> Run {
    let mut command = home.program(&["token"]);
    command.env(variable, raw(value));
    finish(start(command, b""))
}

#[test]
fn a_variable_that_means_nothing_is_named() {
    let home = home_with_session();
    let stored = home.stored();
    let long_org = "x".repeat(129);
    let bad: &[(&str, &[u8], &[&str])] = &[
        ("DD_SITE", b"us9", &["is not a site", "EU1"]),
        ("DD_SITE", b" ", &["is not a site"]),
        ("DD_SITE", b"a\nb\x1b[31m", &["is not a site"]),
        ("DD_SITE", b"\xff", &["not UTF-8"]),
        ("DD_SITE", b"http://datadoghq.eu", &["is not https"]),
        ("DD_SITE", b"https://datadoghq.eu/path", &["leave out path, port and user"]),
        ("DD_SITE", b"https://user@datadoghq.eu", &["leave out path, port and user"]),
        ("DD_ORG", b" ", &["1 to 128 bytes"]),
        ("DD_ORG", long_org.as_bytes(), &["1 to 128 bytes"]),
        ("DD_ORG", b"a\nb", &["1 to 128 bytes"]),
        ("DD_ORG", b"\xff", &["not UTF-8"]),
        ("DD_OAUTH_STATE_DIR", b"relative/path", &["not an absolute path"]),
        ("DD_OAUTH_STATE_DIR", b".", &["not an absolute path"]),
        ("DD_OAUTH_KEY_FILE", b"relative", &["not an absolute path"]),
        ("DD_OAUTH_LOG", b"relative", &["not an absolute path"]),
    ];
    for (variable, value, words) in bad {
        let run = token_with(&home, variable, value);
        run.fails(2, &[variable]);
        run.fails(2, words);
    }
    assert_eq!(home.stored(), stored);
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_variable_that_is_empty_is_one_that_is_not_set() {
    let home = home_with_session();
    for variable in ["DD_SITE", "DD_ORG", "DD_OAUTH_STATE_DIR", "DD_OAUTH_KEY_FILE"] {
        let run = token_with(&home, variable, b"");
        run.succeeds_quietly();
        assert_eq!(run.stdout, "kept\n");
    }
}

#[test]
fn a_command_line_that_means_nothing_is_told_in_one_line() {
    let home = home_with_session();
    let bad: &[(&[&str], &[&str])] = &[
        (&["fetch"], &["fetch"]),
        (&["token", "--surprise"], &["--surprise"]),
        (&["token", "surprise"], &["surprise"]),
        (&["use"], &["<SITE>"]),
        (&["--site", "us9", "token"], &["--site", "is not a site", "EU1"]),
        (&["--site", "a\nb\u{1b}[31m", "token"], &["--site", "is not a site"]),
        (&["--site", "http://datadoghq.eu", "token"], &["--site", "is not https"]),
        (&["--site", "https://datadoghq.eu/x", "token"], &["--site", "leave out path"]),
        (&["--org", "", "token"], &["--org", "1 to 128 bytes"]),
        (&["token", "--min-ttl", "soon"], &["--min-ttl", "90s, 30m or 1h"]),
        (&["token", "--min-ttl=-1"], &["--min-ttl"]),
        (&["login", "--scopes", "\"a\""], &["--scopes", "is not a scope"]),
        (&["login", "--callback-port", "0"], &["--callback-port"]),
        (&["login", "--callback-port", "65536"], &["--callback-port"]),
    ];
    for (arguments, words) in bad {
        let run = home.run(arguments, "");
        run.fails(2, words);
        assert!(!run.stderr.trim_end().contains(char::is_control), "{run:?}");
    }
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_path_with_a_line_end_is_told_in_one_line() {
    let home = home_with_session();
    // The parent is a file, so nothing can be there.
    let below = format!("{}/a\nb\u{1b}[31m", env!("CARGO_BIN_EXE_dd-oauth"));
    let run = token_with(&home, "DD_OAUTH_STATE_DIR", below.as_bytes());
    run.fails(5, &["Not a directory"]);
    assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
}

#[test]
fn a_login_names_the_variable_that_means_nothing() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    for port in ["0", "x", "65536", "-1"] {
        let run = home.run_with(("DD_OAUTH_CALLBACK_PORT", port), &["login"], "");
        run.fails(2, &["DD_OAUTH_CALLBACK_PORT", "not a port"]);
    }
    let run = home.run_with(("DD_OAUTH_INTERACTIVE", "maybe"), &["get"], "");
    run.fails(2, &["DD_OAUTH_INTERACTIVE", "auto, never or always"]);
    assert!(peer.log().is_empty());
}

#[test]
fn a_site_that_nobody_trusts_is_refused_however_it_is_named() {
    let home = home_with_session();
    let stored = home.stored();
    let foreign = [
        "dd.example.org",
        "https://dd.example.org",
        "datadoghq.com.example.org",
        "evil-datadoghq.com",
        "d\u{e4}tadoghq.com",
    ];
    for site in foreign {
        let words = ["not one of Datadog's", "--trust-site", "trusted_sites"];
        home.run(&[], format!("get\nsite={site}\n")).fails(6, &words);
        home.run(&[], format!("store\nsite={site}\naccess_token=a\n")).fails(6, &words);
        home.run(&["--site", site, "get"], "").fails(6, &words);
        home.run(&["--site", site, "token"], "").fails(6, &words);
        home.run(&["--site", site, "login"], "").fails(6, &words);
        home.run_with(("DD_SITE", site), &["token"], "").fails(6, &words);
        home.run_with(("DD_SITE", site), &["login"], "").fails(6, &words);
    }
    assert_eq!(home.stored(), stored);
    assert_eq!(home.get(), "kept");
}

#[test]
fn a_configuration_that_cannot_be_used_is_named_with_the_mistake() {
    let home = home_with_session();
    let bad: &[(&str, &[&str])] = &[
        ("surprise = 1\n", &["surprise", "line 1"]),
        ("interactive = 'never'\nsurprise = 1\n", &["surprise", "line 2"]),
        ("=\n", &["line 1"]),
        ("interactive = 'maybe'\n", &["maybe"]),
        ("interactive = 1\n", &["line 1"]),
        ("trusted_sites = 'dd.example.org'\n", &["line 1"]),
        ("trusted_sites = ['us9']\n", &["trusted_sites", "us9"]),
        ("trusted_sites = ['http://dd.example.org']\n", &["trusted_sites", "is not https"]),
    ];
    let asking: &[&[&str]] = &[
        &["--site", "us5", "token"],
        &["--site", "dd.example.org", "token"],
        &["--site", "http://127.0.0.1:9", "token"],
        &["--site", "dd.example.org", "login"],
    ];
    for (text, words) in bad {
        configure(&home, text);
        for arguments in asking {
            for interactive in ["auto", "always"] {
                // The variable answers for the file where nobody needs to be trusted.
                if interactive == "always" && arguments[1] == "us5" {
                    continue;
                }
                let mut command = home.program(arguments);
                if interactive == "always" {
                    command.env("DD_OAUTH_INTERACTIVE", interactive);
                }
                let run = finish(start(command, b""));
                run.fails(2, &["config.toml"]);
                run.fails(2, words);
            }
        }
        assert_eq!(home.get(), "kept", "who is logged in needs no configuration");
    }
}

#[test]
fn a_configuration_that_is_no_text_is_named() {
    let home = home_with_session();
    configure(&home, "");
    let path = home.configuration().join("config.toml");
    std::fs::write(&path, b"interactive = '\xff'").unwrap();
    home.run(&["--site", "us5", "token"], "").fails(2, &["config.toml", "UTF-8"]);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    home.run(&["--site", "us5", "token"], "").fails(2, &["config.toml", "not a plain file"]);
    std::fs::remove_dir(&path).unwrap();
    // Reading it would wait for somebody who writes.
    #[cfg(unix)]
    {
        home.run_program("mkfifo", &[path.to_str().unwrap()]);
        home.run(&["--site", "us5", "token"], "").fails(2, &["config.toml", "not a plain file"]);
    }
    assert_eq!(home.get(), "kept");
}

#[cfg(unix)]
#[test]
fn a_configuration_that_others_can_write_makes_no_site_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let mut home = home_with_session();
    configure(&home, "trusted_sites = ['http://127.0.0.1:9']");
    home.set("DD_OAUTH_INTERACTIVE", "always");
    let path = home.configuration().join("config.toml");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let run = home.run(&["--site", "http://127.0.0.1:9", "token"], "");
    run.fails(6, &["config.toml", "chmod go-w"]);
}

// Windows has another variable, and a test of its own; Linux tests of missing ones, in `homes`.
#[cfg(unix)]
#[test]
fn a_home_directory_that_is_relative_is_none() {
    let home = home_with_session();
    for arguments in [&["token"], &["login"], &["status"]] {
        let words = ["HOME", "not an absolute path", "DD_OAUTH_STATE_DIR"];
        home.run_with(("HOME", "relative"), arguments, "").fails(2, &words);
    }
    assert_eq!(home.get(), "kept");
}

#[test]
fn no_configuration_is_read_from_the_working_directory() {
    let home = home_with_session();
    std::fs::write(home.path().join("config.toml"), "surprise = 1\n").unwrap();
    std::fs::create_dir(home.path().join("dd-oauth")).unwrap();
    std::fs::write(home.path().join("dd-oauth/config.toml"), "surprise = 1\n").unwrap();
    home.run(&["--site", "us5", "token"], "").fails(3, &["not logged in"]);
}
