//! Many processes that need the same login: one browser opens, and all share its end.

use std::path::Path;

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::login::Login;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};
use crate::support::tmux::Tmux;

const PROCESSES: usize = 20;

/// A home in which `get` may log in at `peer`, where a terminal or a variable allows it.
fn trusting_home(peer: &Peer) -> Home {
    let home = Home::at(peer);
    let config = home.configuration().join("config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(config, format!("trusted_sites = [{:?}]", peer.origin)).unwrap();
    home
}

/// Runs `get` many times at once on one terminal; exit codes and answers.
fn crowd_on_a_terminal(home: &Home) -> Vec<(String, String)> {
    let program = env!("CARGO_BIN_EXE_dd-oauth");
    let terminal = Tmux::run(
        home,
        &format!(
            "for i in $(seq {PROCESSES}); do \
               (echo get | {program} >answer.$i; echo $? >code.$i) & \
             done; wait; touch finished"
        ),
    );
    eventually("the end of all processes", || home.path().join("finished").exists());
    drop(terminal);
    let read = |name: String| std::fs::read_to_string(home.path().join(name)).unwrap();
    let one = |i| (read(format!("code.{i}")).trim().to_string(), read(format!("answer.{i}")));
    (1..=PROCESSES).map(one).collect()
}

#[test]
fn twenty_processes_on_one_terminal_open_one_browser_and_all_answer() {
    for kind in [Kind::Demo, Kind::Judge] {
        let peer = Peer::start(kind);
        let home = trusting_home(&peer);
        let ends = crowd_on_a_terminal(&home);
        let (code, answer) = &ends[0];
        assert_eq!(code, "0");
        assert!(answer.starts_with("access_token="), "{answer}");
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
        assert_eq!(home.browsers_opened(), 1);
        assert!(peer.accepts(&home.get()));
    }
}

#[test]
fn twenty_processes_share_a_refusal_too() {
    let peer = Peer::start(Kind::Judge);
    let mut home = trusting_home(&peer);
    home.set("BROWSER_DENY", "1");
    let ends = crowd_on_a_terminal(&home);
    assert!(ends.iter().all(|end| *end == ("3".to_string(), String::new())), "{ends:?}");
    assert_eq!(home.browsers_opened(), 1);
}

#[test]
fn a_typed_login_shares_the_end_of_another_one_for_the_same() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let first = Login::start(&home);
    let port = first.port;
    let mut second = start(home.program(&["login"]), b"");
    // It says for whom it waits.
    let notice = second.line_of_stderr().unwrap();
    assert!(notice.contains("waiting for process") && notice.contains("login"), "{notice}");
    first.complete(&home);
    let second = finish(second);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(second.stderr.contains("logged in to"), "{second:?}");
    assert_eq!(home.browsers_opened(), 1, "the person's own, at port {port}");
}

#[test]
fn who_may_not_ask_a_person_fails_at_once_while_a_login_is_under_way() {
    let peer = Peer::start(Kind::Demo);
    let home = trusting_home(&peer);
    let login = Login::start(&home);
    home.run_with(("DD_OAUTH_INTERACTIVE", "never"), &[], "get\n").fails(3, &["not logged in"]);
    let in_ci: Run = {
        let mut program = home.any_program(Path::new("setsid"), &["-w"]);
        program.arg(env!("CARGO_BIN_EXE_dd-oauth")).env("CI", "1");
        finish(start(program, b"get\n"))
    };
    in_ci.fails(3, &["not logged in"]);
    login.complete(&home);
}

#[test]
fn a_login_that_was_killed_lets_the_next_one_begin() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let first = Login::start(&home);
    first.kill();
    home.log_in();
    assert!(peer.accepts(&home.get()));
}
