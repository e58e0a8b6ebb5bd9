//! The end of a login's time, on a clock that is put forward.

use std::path::{Path, PathBuf};

use crate::support::home::Home;
use crate::support::login::Login;
use crate::support::peers::{Kind, Peer};
use crate::support::tmux::Tmux;

/// The clock of a program that is linked dynamically, by way of `libfaketime`.
struct Clock {
    file: PathBuf,
}

impl Clock {
    fn of(home: &Home) -> Self {
        let clock = Self { file: home.path().join("clock") };
        clock.put_forward(0);
        clock
    }

    /// To this many seconds ahead of the real time.
    fn put_forward(&self, seconds: u32) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("+{seconds}\n")).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }

    /// What a shell puts before the name of a program.
    fn assignments(&self) -> String {
        let directory = format!("/usr/lib/{}-linux-gnu/faketime", std::env::consts::ARCH);
        let library = Path::new(&directory).join("libfaketime.so.1");
        assert!(library.exists(), "faketime is not installed: no {}", library.display());
        let (library, file) = (library.display(), self.file.display());
        format!("LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={file} FAKETIME_NO_CACHE=1")
    }
}

#[test]
fn a_login_counts_down_and_ends_after_five_minutes() {
    let peer = Peer::start(Kind::Demo);
    let screen = end_of_a_login(&remote_home(&peer));
    assert!(!screen.contains("forget-client"), "{screen}");
}

#[test]
fn a_login_that_nobody_finished_names_the_way_out_where_the_client_may_be_forgotten() {
    let peer = Peer::start(Kind::Demo);
    let home = remote_home(&peer);
    let login = Login::start(&home);
    login.complete(&home);
    let screen = end_of_a_login(&home).replace(['\n', '\r'], "");
    assert!(screen.contains("dd-oauth logout --forget-client"), "{screen}");
}

/// A home in which no browser opens.
fn remote_home(peer: &Peer) -> Home {
    let mut home = Home::at(peer);
    home.set("BROWSER", "").set("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    home
}

/// What the terminal shows at the end of a login to which nobody came back.
fn end_of_a_login(home: &Home) -> String {
    let clock = Clock::of(home);
    let (assignments, program) = (clock.assignments(), env!("CARGO_BIN_EXE_dd-oauth"));
    let terminal = Tmux::run(home, &format!("{assignments} {program} login; echo ended with $?"));
    terminal.shows("[4:5");
    clock.put_forward(4 * 60);
    let screen = terminal.shows("[0:5");
    assert!(!screen.contains("ended with"), "{screen}");
    clock.put_forward(5 * 60);
    let end = terminal.shows("ended with");
    assert!(end.contains("ended with 3"), "{end}");
    assert!(end.contains("nobody finished the login within 300 s"), "{end}");
    drop(terminal);
    // Nothing of it is in the way of the next one.
    Tmux::run(home, &format!("{program} login")).shows("[4:5");
    end
}
