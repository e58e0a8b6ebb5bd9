//! A refresh outlives whoever asked for it. Each trap on the way there has a test.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Process, Run, finish, run, signal, start};

/// A session that is refreshed.
pub struct Stage {
    pub peer: Peer,
    pub home: Home,
}

impl Stage {
    pub fn stale() -> Self {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.log_in();
        home.make_stale();
        Self { peer, home }
    }

    /// A `get` whose refresh is under way: its worker waits for the server until [`Peer::mend`].
    pub fn get_under_way(&self) -> Process {
        self.peer.hold_refreshes();
        let caller = start(self.home.program(&[]), b"get\n");
        eventually("a worker", || self.worker().is_some_and(|pid| pid != caller.id()));
        self.peer.holds_one();
        caller
    }

    /// The process that holds the session's lock for a refresh, as it says itself.
    pub fn worker(&self) -> Option<u32> {
        let path = self.home.session_file("lock-holder");
        let holder: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        if holder["purpose"] != "refresh" {
            return None;
        }
        u32::try_from(holder["pid"].as_u64()?).ok()
    }

    /// Insists that the refresh that is under way came to a good end, once.
    pub fn renewed_once(&self) {
        let token = self.home.get();
        assert!(token != "stale" && self.peer.accepts(&token));
        let results: Vec<_> = self.peer.refreshes().into_iter().map(|event| event.result).collect();
        assert_eq!(results, ["issued"]);
    }
}

#[test]
fn a_caller_that_is_killed_with_its_group_costs_nothing() {
    for name in ["KILL", "TERM", "INT", "HUP"] {
        let stage = Stage::stale();
        let mut caller = stage.get_under_way();
        assert!(signal(name, -i64::from(caller.id())));
        caller.wait();
        stage.peer.mend();
        stage.renewed_once();
    }
}

#[test]
fn a_caller_that_is_stopped_does_not_keep_the_lock() {
    let stage = Stage::stale();
    let caller = stage.get_under_way();
    assert!(signal("STOP", -i64::from(caller.id())));
    stage.peer.mend();
    stage.renewed_once();
    assert!(signal("CONT", -i64::from(caller.id())));
    finish(caller).succeeds_quietly();
}

#[test]
fn the_worker_leaves_session_directory_and_descriptors_of_its_caller() {
    let stage = Stage::stale();
    stage.peer.hold_refreshes();
    let held = stage.home.path().join("cron.lock");
    let script = format!("exec 9>{}; flock 9; exec \"$0\" get", held.display());
    let mut shell = stage.home.any_program(Path::new("sh"), &["-c", &script]);
    shell.arg(env!("CARGO_BIN_EXE_dd-oauth"));
    let mut caller = start(shell, b"");
    eventually("a worker", || stage.worker().is_some_and(|pid| pid != caller.id()));
    stage.peer.holds_one();
    let worker = stage.worker().unwrap();
    let entry = |name: &str| PathBuf::from(format!("/proc/{worker}/{name}"));
    eventually("its own session", || session_of(worker) == Some(worker));
    assert_eq!(std::fs::read_link(entry("cwd")).unwrap(), Path::new("/"));
    for stream in ["fd/0", "fd/1", "fd/2"] {
        eventually("null streams", || {
            std::fs::read_link(entry(stream)).is_ok_and(|file| file == Path::new("/dev/null"))
        });
    }
    caller.kill();
    let free = run(Command::new("flock").arg("--nonblock").arg(&held).arg("true"));
    assert_eq!(free.code, Some(0), "the cron job's lock went with its process");
    stage.peer.mend();
    stage.renewed_once();
}

/// Field 6 of `/proc/PID/stat`, after the name in parentheses.
fn session_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[test]
fn a_program_that_was_replaced_while_it_ran_starts_itself_and_not_the_new_one() {
    let stage = Stage::stale();
    let copy = stage.home.path().join("dd-oauth");
    std::fs::copy(env!("CARGO_BIN_EXE_dd-oauth"), &copy).unwrap();
    let mut waiting = Process::spawn(&mut stage.home.any_program(&copy, &[]));
    eventually("the program to run", || {
        let image = std::fs::read_link(format!("/proc/{}/exe", waiting.id()));
        image.is_ok_and(|image| image == copy)
    });
    let newer = stage.home.path().join("newer");
    std::fs::write(&newer, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::rename(&newer, &copy).unwrap();
    let mut input = waiting.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"get\n").unwrap();
    drop(input);
    finish(waiting).succeeds_quietly();
    stage.renewed_once();
}

#[test]
fn a_worker_that_was_not_given_the_lock_sends_nothing() {
    let stage = Stage::stale();
    let caller = stage.get_under_way();
    let lock = stage.home.session_file("lock");
    let stem = lock.file_stem().unwrap().to_str().unwrap();
    let script = format!("exec \"$0\" worker '{stem}' 9 9<>'{}'", lock.display());
    let mut shell = stage.home.any_program(Path::new("sh"), &["-c", &script]);
    shell.arg(env!("CARGO_BIN_EXE_dd-oauth"));
    let run = finish(start(shell, b""));
    assert_eq!(run.code, Some(1), "{run:?}");
    stage.peer.mend();
    finish(caller).succeeds_quietly();
    stage.renewed_once();
}

/// Whether some process has the file open.
fn is_open(path: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let descriptors =
        processes.filter_map(|process| std::fs::read_dir(process.path().join("fd")).ok());
    let mut files = descriptors.flat_map(Iterator::flatten);
    files.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|file| file == path))
}

#[test]
fn who_gets_the_lock_reads_again_before_it_asks_the_server() {
    let stage = Stage::stale();
    let lock = stage.home.session_file("lock");
    let flags = ["-f", "-o", "/dev/null", "-e", "trace=flock", "-e"];
    let mut late = stage.home.any_program(Path::new("strace"), &flags);
    // It has found the token stale, and comes to the lock after somebody else is done.
    late.args(["inject=flock:delay_enter=2000000:when=1", env!("CARGO_BIN_EXE_dd-oauth"), "get"]);
    let late = start(late, b"");
    eventually("the late one at the lock", || is_open(&lock));
    let token = stage.home.get();
    let run = finish(late);
    assert_eq!((run.code, run.value("access_token")), (Some(0), token), "{run:?}");
    stage.renewed_once();
}

/// Holds the session's lock in another process until its standard input is closed.
fn hold(lock: &Path) -> Process {
    let mut holder = Command::new("flock");
    holder.arg(lock).args(["sh", "-c", "echo held; exec cat"]);
    let mut holder = Process::spawn(holder.stdin(Stdio::piped()).stdout(Stdio::piped()));
    assert_eq!(holder.line().as_deref(), Some("held"));
    holder
}

/// Runs a `get` that finds the session as it is, waits for the lock, and goes on after `meanwhile`.
fn get_around(stage: &Stage, meanwhile: impl FnOnce()) -> Run {
    let lock = stage.home.session_file("lock");
    let mut holder = hold(&lock);
    let caller = start(stage.home.program(&["get"]), b"");
    let descriptors = format!("/proc/{}/fd", caller.id());
    eventually("the caller at the lock", || {
        let mut open = std::fs::read_dir(&descriptors).into_iter().flatten().flatten();
        open.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|file| file == lock))
    });
    meanwhile();
    holder.wait();
    finish(caller)
}

#[test]
fn who_waited_for_a_stale_token_refreshes_and_does_not_answer_it() {
    let stage = Stage::stale();
    let file = stage.home.session_file("session");
    let seen = std::fs::read(&file).unwrap();
    stage.home.make_stale();
    let stored = std::fs::read(&file).unwrap();
    std::fs::write(&file, seen).unwrap();
    let run = get_around(&stage, || std::fs::write(&file, stored).unwrap());
    run.succeeds_quietly();
    assert!(stage.peer.accepts(&run.value("access_token")), "{run:?}");
    stage.renewed_once();
}

#[test]
fn who_waited_while_somebody_logged_in_anew_answers_that_session() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let file = home.session_file("session");
    let (token, login) = (home.get(), std::fs::read(&file).unwrap());
    home.make_stale();
    let stage = Stage { peer, home };
    // A login after an `erase` has the first generation again.
    let run = get_around(&stage, || std::fs::write(&file, login).unwrap());
    run.succeeds_quietly();
    assert_eq!(run.value("access_token"), token);
    assert_eq!(stage.peer.refreshes().len(), 0);
}

#[test]
fn who_waits_for_long_is_told_for_whom() {
    let stage = Stage::stale();
    let caller = stage.get_under_way();
    let mut waiter = start(stage.home.program(&[]), b"get\n");
    let told = waiter.line_of_stderr().unwrap();
    let line = format!("waiting for process {} (refresh) since 20", stage.worker().unwrap());
    assert!(told.contains(&line), "{told}");
    stage.peer.mend();
    let waiter = finish(waiter);
    assert_eq!((waiter.code, waiter.stderr.as_str()), (Some(0), ""), "it is told once");
    assert_eq!(finish(caller).code, Some(0));
    stage.renewed_once();
}

#[cfg(feature = "test-clock")]
mod behind_the_answer {
    use super::*;

    /// A token of an hour that is expiring, for the clock that the runs see.
    const EXPIRING: &str = "3400000";

    fn expiring() -> Stage {
        let peer = Peer::start(Kind::Demo);
        let mut home = Home::at(&peer);
        home.log_in();
        home.set("DD_OAUTH_TEST_CLOCK", EXPIRING).set("DD_OAUTH_TEST_PLACE", "lasting");
        Stage { peer, home }
    }

    fn renewal_followed(stage: &Stage, token: &str) {
        eventually("the renewal", || stage.peer.refreshes().len() == 1);
        eventually("the new token", || stage.home.get() != token);
        assert_eq!(stage.peer.refreshes().len(), 1, "one worker renews");
    }

    #[test]
    fn nobody_waits_for_a_renewal_that_is_not_needed_yet() {
        let stage = expiring();
        stage.peer.hold_refreshes();
        // If one waited, it would do so until its refresh has failed, and that would be seen below.
        let runs: Vec<Run> = (0..8).map(|_| stage.home.run(&[], "get\n")).collect();
        stage.peer.holds_one();
        stage.peer.mend();
        for run in &runs {
            run.succeeds_quietly();
            assert_eq!(run.stdout, runs[0].stdout);
        }
        renewal_followed(&stage, &runs[0].value("access_token"));
    }

    /// The system calls of a `get` up to its answer, and in all.
    fn calls(home: &Home, offset: &str) -> (usize, usize) {
        let log = home.path().join("calls.log");
        let mut traced = home.any_program(Path::new("strace"), &["-f", "-o"]);
        traced.arg(&log).args([env!("CARGO_BIN_EXE_dd-oauth"), "get"]);
        traced.env("DD_OAUTH_TEST_CLOCK", offset);
        assert_eq!(finish(start(traced, b"")).code, Some(0));
        let log = std::fs::read_to_string(log).unwrap();
        let answer = log.lines().position(|line| line.contains("write(1, \"access_token="));
        (answer.expect("an answer"), log.lines().count())
    }

    #[test]
    fn with_the_server_down_an_expiring_token_costs_what_a_fresh_one_does() {
        let mut stage = expiring();
        stage.peer.stop();
        let (warm, warm_in_all) = calls(&stage.home, "0");
        let (unrecorded, _) = calls(&stage.home, EXPIRING);
        assert_eq!(unrecorded, warm, "up to the answer nothing differs");
        stage.home.set("DD_OAUTH_TEST_CLOCK", "0");
        let journal = stage.home.session_file("lock").with_extension("journal");
        eventually("the failure on record", || {
            std::fs::read(&journal).is_ok_and(|bytes| bytes.get(8192..8196) != Some(&[0; 4]))
        });
        let (recorded, recorded_in_all) = calls(&stage.home, EXPIRING);
        assert_eq!(recorded, warm);
        // To look into the journal takes these; a lock, a process or a socket would take more.
        assert!(recorded_in_all <= warm_in_all + 14, "{recorded_in_all} and {warm_in_all}");
    }
}
