//! A refresh outlives whoever asked for it. Each trap on the way there has a test.
#![cfg(unix)]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::home::{Home, Run, eventually, finish, start};
use crate::support::peers::{Kind, Peer};

/// A stale session at a server that takes its time with the refresh.
struct Stage {
    peer: Peer,
    home: Home,
}

impl Stage {
    fn slow(millis: u64) -> Self {
        let peer = Peer::start(Kind::Demo);
        let home = Home::at(&peer);
        home.log_in();
        home.make_stale();
        peer.fault(&json!({"endpoint": "token", "kind": "delay", "ms": millis}));
        Self { peer, home }
    }

    /// A `get` at the head of a process group of its own, with the refresh under way.
    fn get_under_way(&self) -> Child {
        let mut command = self.home.program(&[]);
        command.process_group(0);
        let caller = start(command, b"get\n");
        eventually("a worker", || self.worker().is_some_and(|pid| pid != caller.id()));
        caller
    }

    /// The process that holds the session's lock for a refresh, as it says itself.
    fn worker(&self) -> Option<u32> {
        let path = self.home.session_file("lock-holder");
        let holder: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        if holder["purpose"] != "refresh" {
            return None;
        }
        u32::try_from(holder["pid"].as_u64()?).ok()
    }

    /// Insists that the refresh that is under way came to a good end, once.
    fn renewed_once(&self) {
        let token = self.home.get();
        assert!(token != "stale" && self.peer.accepts(&token));
        let results: Vec<_> = self.peer.refreshes().into_iter().map(|event| event.result).collect();
        assert_eq!(results, ["issued"]);
    }
}

/// Sends a signal to a process, or to the group of a negative number.
fn signal(name: &str, target: i64) {
    let sent = Command::new("kill").args(["-s", name, "--", &target.to_string()]).status();
    assert!(sent.unwrap().success(), "kill -s {name} {target}");
}

#[test]
fn a_caller_that_is_killed_with_its_group_costs_nothing() {
    for name in ["KILL", "TERM", "INT", "HUP"] {
        let stage = Stage::slow(100);
        let mut caller = stage.get_under_way();
        signal(name, -i64::from(caller.id()));
        caller.wait().unwrap();
        stage.renewed_once();
    }
}

#[test]
fn a_caller_that_is_stopped_does_not_keep_the_lock() {
    let stage = Stage::slow(100);
    let caller = stage.get_under_way();
    signal("STOP", -i64::from(caller.id()));
    stage.renewed_once();
    signal("CONT", -i64::from(caller.id()));
    finish(caller).succeeds_quietly();
}

#[test]
fn the_worker_leaves_session_directory_and_descriptors_of_its_caller() {
    let stage = Stage::slow(300);
    let held = stage.home.path().join("cron.lock");
    let script = format!("exec 9>{}; flock 9; exec \"$0\" get", held.display());
    let mut shell = stage.home.any_program(Path::new("sh"), &["-c", &script]);
    shell.arg(env!("CARGO_BIN_EXE_dd-oauth"));
    let mut caller = start(shell, b"");
    eventually("a worker", || stage.worker().is_some_and(|pid| pid != caller.id()));
    let worker = stage.worker().unwrap();
    let entry = |name: &str| PathBuf::from(format!("/proc/{worker}/{name}"));
    eventually("its own session", || session_of(worker) == Some(worker));
    assert_eq!(std::fs::read_link(entry("cwd")).unwrap(), Path::new("/"));
    for stream in ["fd/0", "fd/1", "fd/2"] {
        eventually("null streams", || {
            std::fs::read_link(entry(stream)).is_ok_and(|file| file == Path::new("/dev/null"))
        });
    }
    signal("KILL", i64::from(caller.id()));
    caller.wait().unwrap();
    let free = Command::new("flock").arg("--nonblock").arg(&held).arg("true").status().unwrap();
    assert!(free.success(), "the cron job's lock went with its process");
    assert_eq!(stage.peer.refreshes().len(), 0, "the worker is still waiting for its answer");
    stage.renewed_once();
}

/// Field 6 of `/proc/PID/stat`, after the name in parentheses.
fn session_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[test]
fn a_program_that_was_replaced_while_it_ran_starts_itself_and_not_the_new_one() {
    let stage = Stage::slow(0);
    let copy = stage.home.path().join("dd-oauth");
    std::fs::copy(env!("CARGO_BIN_EXE_dd-oauth"), &copy).unwrap();
    let mut waiting = stage.home.any_program(&copy, &[]).spawn().unwrap();
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
    let stage = Stage::slow(300);
    let caller = stage.get_under_way();
    let lock = stage.home.session_file("lock");
    let stem = lock.file_stem().unwrap().to_str().unwrap();
    let script = format!("exec \"$0\" worker '{stem}' 9 9<>'{}'", lock.display());
    let mut shell = stage.home.any_program(Path::new("sh"), &["-c", &script]);
    shell.arg(env!("CARGO_BIN_EXE_dd-oauth"));
    let run = finish(start(shell, b""));
    assert_eq!(run.code, Some(1), "{run:?}");
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
    let stage = Stage::slow(0);
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
fn hold(lock: &Path) -> Child {
    let mut holder = Command::new("flock");
    holder.arg(lock).args(["sh", "-c", "echo held; exec cat"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
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
    drop(holder.stdin.take());
    holder.wait().unwrap();
    finish(caller)
}

#[test]
fn who_waited_for_a_stale_token_refreshes_and_does_not_answer_it() {
    let stage = Stage::slow(0);
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
    let stage = Stage::slow(2500);
    let caller = stage.get_under_way();
    let waiter = stage.home.run(&[], "get\n");
    assert_eq!(waiter.code, Some(0), "{waiter:?}");
    let line = format!("waiting for process {} (refresh) since 20", stage.worker().unwrap());
    assert!(waiter.stderr.contains(&line), "{waiter:?}");
    assert_eq!(waiter.stderr.lines().count(), 1, "{waiter:?}");
    assert_eq!(finish(caller).code, Some(0));
    stage.renewed_once();
}

#[cfg(feature = "test-clock")]
mod behind_the_answer {
    use super::*;

    /// A token of an hour that is expiring, for the clock that the runs see.
    const EXPIRING: &str = "3400000";

    fn expiring(millis: u64) -> Stage {
        let peer = Peer::start(Kind::Demo);
        let mut home = Home::at(&peer);
        home.log_in();
        home.set("DD_OAUTH_TEST_CLOCK", EXPIRING);
        peer.fault(&json!({"endpoint": "token", "kind": "delay", "ms": millis}));
        Stage { peer, home }
    }

    fn renewal_followed(stage: &Stage, token: &str) {
        eventually("the renewal", || stage.peer.refreshes().len() == 1);
        eventually("the new token", || stage.home.get() != token);
        assert_eq!(stage.peer.refreshes().len(), 1, "one worker renews");
    }

    #[test]
    fn nobody_waits_for_a_renewal_that_is_not_needed_yet() {
        let stage = expiring(500);
        let runs: Vec<Run> = (0..8).map(|_| stage.home.run(&[], "get\n")).collect();
        assert_eq!(stage.peer.refreshes().len(), 0, "all eight ended before the answer came");
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
        let mut stage = expiring(0);
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

    #[test]
    fn a_build_server_waits_a_moment_for_the_worker_that_would_die_with_it() {
        let stage = expiring(300);
        let run = stage.home.run_with(("CI", "true"), &[], "get\n");
        run.succeeds_quietly();
        assert_eq!(stage.peer.refreshes().len(), 1, "it was there before the job could end");
        assert_ne!(stage.home.get(), run.value("access_token"));
    }

    #[test]
    fn a_reader_has_the_whole_answer_before_anything_is_waited_for() {
        let stage = expiring(1000);
        let mut command = stage.home.program(&["get"]);
        command.env("CI", "true");
        let mut caller = start(command, b"");
        let mut answer = String::new();
        let mut output = caller.stdout.take().unwrap();
        std::io::Read::read_to_string(&mut output, &mut answer).unwrap();
        assert!(answer.ends_with("org=Demo\n"), "{answer}");
        assert_eq!(stage.peer.refreshes().len(), 0, "the server has not answered yet");
        assert!(caller.wait().unwrap().success());
        assert_eq!(stage.peer.refreshes().len(), 1);
    }

    #[test]
    fn the_first_process_of_a_container_waits_for_its_worker() {
        let stage = expiring(300);
        let flags = ["--pid", "--fork", "--kill-child", "--mount-proc"];
        let mut container = stage.home.any_program(Path::new("unshare"), &flags);
        container.args([env!("CARGO_BIN_EXE_dd-oauth"), "get"]);
        let run = finish(start(container, b""));
        run.succeeds_quietly();
        assert_ne!(stage.home.get(), run.value("access_token"));
        assert_eq!(stage.peer.refreshes().len(), 1);
    }
}
