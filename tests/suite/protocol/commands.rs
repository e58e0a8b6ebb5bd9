//! The commands around a session.

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{finish, start};

#[test]
fn a_check_says_by_its_exit_code_whether_a_token_can_be_had() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let check = || home.run(&["status", "--check"], "");
    check().fails(3, &["not logged in", "dd-oauth login"]);
    home.log_in();
    check().succeeds_quietly();
    home.make_stale();
    check().succeeds_quietly();
    assert_eq!(peer.refreshes().len(), 0, "it asks nobody");
    peer.decline_refreshes(503);
    assert_eq!(home.run(&[], "get\n").code, Some(4));
    check().fails(4, &["503", "the next attempt"]);
    home.run(&["logout"], "");
    home.run(&["store"], "access_token=stale\nexpires_at=1000000000\n").succeeds_quietly();
    check().fails(3, &["no refresh token"]);
}

#[test]
fn a_logout_can_forget_the_client_too() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    let registrations =
        || peer.log().into_iter().filter(|event| event.endpoint == "register").count();
    home.log_in();
    assert_eq!(home.run(&["logout"], "").code, Some(0));
    home.log_in();
    assert_eq!(registrations(), 1);
    let run = home.run(&["logout", "--forget-client"], "");
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("the OAuth client at"), "{run:?}");
    home.log_in();
    assert_eq!(registrations(), 2);
}

#[test]
fn a_client_is_forgotten_without_a_session_too() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let forget = || {
        let run = home.run(&["logout", "--forget-client"], "");
        assert_eq!(run.code, Some(0), "{run:?}");
        run.stderr
    };
    assert!(forget().contains("no OAuth client was registered at"));
    home.log_in();
    assert_eq!(home.run(&["logout"], "").code, Some(0));
    assert!(forget().contains("is forgotten"));
    assert!(forget().contains("no OAuth client was registered at"));
    home.log_in();
    let registrations = peer.log().into_iter().filter(|event| event.endpoint == "register");
    assert_eq!(registrations.count(), 2);
}

#[test]
fn completions_and_the_manual_come_from_the_command_line() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let run = home.run(&["completions", shell], "");
        run.succeeds_quietly();
        for word in ["dd-oauth", "add-scopes", "forget-client"] {
            assert!(run.stdout.contains(word), "no {word} for {shell}");
        }
        assert!(!run.stdout.contains("worker"), "{shell} offers what nobody types");
    }
    let script = home.run(&["completions", "bash"], "").stdout;
    let check = home.any_program(std::path::Path::new("bash"), &["-n"]);
    finish(start(check, script.as_bytes())).succeeds_quietly();
    let manual = home.run(&["man"], "");
    manual.succeeds_quietly();
    assert!(manual.stdout.contains(".TH dd-oauth 1"), "{}", manual.stdout);
}
