//! Logins where no browser can come back by itself: over ssh, in a container.

use std::io::Write;
use std::path::Path;

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::login::Login;
#[cfg(target_os = "linux")]
use crate::support::network::on_another_machine;
use crate::support::peers::{Kind, Peer, source};
use crate::support::process::{finish, start};
use crate::support::tmux::Tmux;

/// As it is over ssh: no display, and no browser named.
fn remote_home(peer: &Peer) -> Home {
    let mut home = Home::at(peer);
    home.set("BROWSER", "").set("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    home
}

/// The address to open, off a screen.
fn address_on(screen: &str) -> String {
    let (_, rest) = screen.split_once(", open ").unwrap_or_else(|| panic!("{screen}"));
    rest.split_whitespace().next().unwrap().to_string()
}

/// The time that is left, off a screen.
fn countdown_on(screen: &str) -> String {
    let (before, _) = screen.rsplit_once("] paste").unwrap_or_else(|| panic!("{screen}"));
    before.rsplit_once('[').unwrap().1.to_string()
}

/// Lets a person log in on another machine; the address at which the browser ended.
fn log_in_elsewhere(home: &Home, address: &str) -> String {
    let browser = source("tests/peers/browser.mjs");
    let mut node = home.any_program(Path::new("node"), &[browser.to_str().unwrap(), address]);
    node.env("BROWSER_CALLBACK_ONLY", "1");
    assert_eq!(finish(start(node, b"")).code, Some(0));
    let log = std::fs::read_to_string(home.path().join("browser.log")).unwrap();
    log.lines().rev().find_map(|line| line.strip_prefix("redirect ")).unwrap().to_string()
}

#[test]
fn over_ssh_the_address_at_which_the_browser_ended_is_pasted() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = remote_home(&peer);
        let program = env!("CARGO_BIN_EXE_dd-oauth");
        let terminal = Tmux::run(&home, &format!("{program} login; echo ended with $?"));
        // The countdown runs, and the way out is named.
        let screen = terminal.shows("] paste the address here:");
        let left = countdown_on(&screen);
        assert!(left.starts_with("4:5") || left == "5:00", "{screen}");
        eventually("the next second", || countdown_on(&terminal.screen()) != left);
        assert!(screen.contains("ssh -L"), "{screen}");
        let address = address_on(&screen);

        terminal.type_in("what now?");
        terminal.press("Enter");
        terminal.shows("neither the address at which the browser ended");
        terminal.type_in(&address);
        terminal.press("Enter");
        terminal.shows("that is the address to open");
        terminal.type_in("not-the-code");
        terminal.press("Enter");
        terminal.shows("invalid_grant");
        terminal.press("Enter");

        terminal.type_in(&log_in_elsewhere(&home, &address));
        terminal.press("Enter");
        let screen = terminal.shows("ended with");
        assert!(screen.contains("logged in to") && screen.contains("ended with 0"), "{screen}");
        drop(terminal);
        assert!(peer.accepts(&home.get()));
    }
}

#[test]
fn the_bare_code_will_do_and_so_will_a_pipe() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    let (mut login, mut input) = Login::start_for_pasting(&home);
    let ended_at = url::Url::parse(&login.redirected(&home)).unwrap();
    input.write_all(b"\n  \nhttps://example.org/\n").unwrap();
    assert!(login.next_line().contains("neither the address"));
    let wrong = ended_at.as_str().replace("state=", "state=x");
    input.write_all(format!("{wrong}\r\n").as_bytes()).unwrap();
    assert!(login.next_line().contains("belongs to another login"));
    let code = ended_at.query_pairs().find(|(name, _)| name == "code").unwrap().1;
    input.write_all(format!("{code}\n").as_bytes()).unwrap();
    let run = login.finish();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(peer.accepts(&home.get()));
}

#[test]
fn a_pasted_refusal_ends_the_login() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let (login, mut input) = Login::start_for_pasting(&home);
    let refusal = format!("?error=access_denied&error_description=no&state={}\n", login.state());
    input.write_all(refusal.as_bytes()).unwrap();
    login.finish().fails(3, &["refused: access_denied (no)"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_browser_on_another_machine_comes_back_through_a_forwarded_port() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = remote_home(&peer);
        let login = Login::start(&home);
        let server = url::Url::parse(&peer.origin).unwrap().port().unwrap();
        let browser = on_another_machine(&[login.port, server], || login.browse(&home));
        assert_eq!(browser.code, Some(0), "{browser:?}");
        assert_eq!(login.finish().code, Some(0));
        assert!(peer.accepts(&home.get()));
    }
}

#[test]
fn what_comes_first_wins_while_a_terminal_waits_for_a_paste() {
    let peer = Peer::start(Kind::Demo);
    let home = remote_home(&peer);
    let program = env!("CARGO_BIN_EXE_dd-oauth");
    let terminal = Tmux::run(&home, &format!("{program} login; echo ended with $?"));
    let address = address_on(&terminal.shows("paste the address here:"));
    let browser = source("tests/peers/browser.mjs");
    let node = home.any_program(Path::new("node"), &[browser.to_str().unwrap(), &address]);
    assert_eq!(finish(start(node, b"")).code, Some(0));
    terminal.shows("ended with 0");
}

#[test]
fn a_job_in_the_background_never_reads_the_terminal() {
    let peer = Peer::start(Kind::Demo);
    let home = remote_home(&peer);
    let program = env!("CARGO_BIN_EXE_dd-oauth");
    let terminal = Tmux::shell(&home);
    terminal.type_in(&format!("{program} login"));
    terminal.press("Enter");
    let address = address_on(&terminal.shows("paste the address here:"));
    terminal.press("C-z");
    terminal.shows("Stopped");
    terminal.type_in("bg");
    terminal.press("Enter");
    // What is typed now is the shell's.
    for number in 1..=3 {
        terminal.type_in(&format!("echo typed $(({number} * 11))"));
        terminal.press("Enter");
        terminal.shows(&format!("typed {}", number * 11));
    }
    terminal.type_in("clear; jobs");
    terminal.press("Enter");
    terminal.shows("Running");
    let browser = source("tests/peers/browser.mjs");
    let node = home.any_program(Path::new("node"), &[browser.to_str().unwrap(), &address]);
    assert_eq!(finish(start(node, b"")).code, Some(0));
    terminal.shows("logged in to");
    drop(terminal);
    assert!(peer.accepts(&home.get()));
}
