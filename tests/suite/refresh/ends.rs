//! What really ends processes: polite signals, containers, limits, places without `/proc`. Only `SIGKILL`
//! may cost a session, and nothing is begun that may not be finished.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::worker::Stage;
use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Process, Run, finish, signal, start};

const POLITE: [&str; 4] = ["TERM", "INT", "HUP", "QUIT"];
const PROGRAM: &str = env!("CARGO_BIN_EXE_dd-oauth");

#[test]
fn a_worker_that_is_asked_to_end_ends_when_it_is_done() {
    for name in POLITE {
        let stage = Stage::stale();
        let caller = stage.get_under_way();
        let worker = i64::from(stage.worker().unwrap());
        // As a service manager does it: everything at once, and once more.
        for _ in 0..2 {
            assert!(signal(name, worker));
        }
        stage.peer.mend();
        finish(caller).succeeds_quietly();
        stage.renewed_once();
    }
}

#[test]
fn a_worker_is_nobodys_child() {
    let stage = Stage::stale();
    let caller = stage.get_under_way();
    let parent = parent_of(stage.worker().unwrap().into());
    assert!(parent.is_some_and(|parent| parent != i64::from(caller.id())), "{parent:?}");
    stage.peer.mend();
    finish(caller).succeeds_quietly();
    stage.renewed_once();
}

/// Runs a script of a shell that is the first process of a container; `$0` is the program.
fn in_container(home: &Home, script: &str) -> Run {
    let flags = ["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, PROGRAM];
    finish(start(home.any_program(Path::new("unshare"), &flags), b""))
}

#[test]
fn a_caller_that_ignores_its_dead_children_is_served() {
    let stage = Stage::stale();
    let script = "trap '' CHLD; exec \"$0\" get";
    let run = finish(start(stage.home.any_program(Path::new("sh"), &["-c", script, PROGRAM]), b""));
    run.succeeds_quietly();
    stage.renewed_once();
    let script = "trap '' CHLD; exec \"$0\" exec --live -- true";
    let live = stage.home.any_program(Path::new("sh"), &["-c", script, PROGRAM]);
    finish(start(live, b"")).succeeds_quietly();
}

#[test]
fn a_container_whose_first_process_waits_for_nothing_gathers_no_dead_workers() {
    let stage = Stage::stale();
    // The shell waits for nothing between its two commands.
    let script = "\"$0\" get >/dev/null; grep -l '^State:.Z' /proc/[0-9]*/status; exit 0";
    let run = in_container(&stage.home, script);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    stage.renewed_once();
}

#[test]
fn a_stale_token_is_renewed_to_the_end_before_its_container_can_end() {
    for script in
        ["exec \"$0\" get", "T=$(\"$0\" token); echo \"$T\"", "sh -c '\"$0\" get; exit $?' \"$0\""]
    {
        let stage = Stage::stale();
        stage.peer.fault(&json!({"endpoint": "token", "kind": "late", "ms": 2500}));
        let run = in_container(&stage.home, script);
        assert_eq!(run.code, Some(0), "{script}: {run:?}");
        stage.peer.mend();
        stage.renewed_once();
    }
}

/// Runs the program where `/proc` is empty.
fn without_proc(home: &Home, arguments: &[&str]) -> Command {
    let script = "mount -t tmpfs none /proc && exec \"$@\"";
    let mut command =
        home.any_program(Path::new("unshare"), &["--mount", "sh", "-c", script, "sh", PROGRAM]);
    command.args(arguments);
    command
}

#[test]
fn without_proc_the_caller_refreshes_by_itself() {
    let stage = Stage::stale();
    let run = finish(start(without_proc(&stage.home, &["get"]), b""));
    run.succeeds_quietly();
    assert!(stage.peer.accepts(&run.value("access_token")));
    stage.renewed_once();
    // As does one whose caller waits for a few seconds only.
    stage.home.make_stale();
    stage.peer.clear_log();
    let uri = format!("{{\"uri\":\"{}\"}}", stage.peer.origin);
    let run =
        finish(start(without_proc(&stage.home, &["--protocol", "bazel", "get"]), uri.as_bytes()));
    assert_eq!(run.code, Some(0), "{run:?}");
    stage.renewed_once();
}

#[test]
fn who_refreshes_by_itself_ends_only_when_that_is_done() {
    for name in POLITE {
        let stage = Stage::stale();
        stage.peer.hold_refreshes();
        let mut caller = start(without_proc(&stage.home, &["get"]), b"");
        stage.peer.holds_one();
        assert!(signal(name, i64::from(caller.id())));
        stage.peer.mend();
        let status = caller.wait();
        assert_eq!(status.code(), None, "{name} ends it at last");
        assert!(status.signal().is_some());
        stage.renewed_once();
    }
}

#[test]
fn a_sandbox_that_forbids_new_processes_lets_the_caller_refresh() {
    let stage = Stage::stale();
    // The first process that it would start is the worker.
    let flags = ["-qq", "-o", "/dev/null", "-e", "trace=clone,clone3,fork,vfork"];
    let mut sandbox = stage.home.any_program(Path::new("strace"), &flags);
    sandbox.args(["-e", "inject=clone,clone3,fork,vfork:error=EPERM:when=1", PROGRAM, "get"]);
    let run = finish(start(sandbox, b""));
    run.succeeds_quietly();
    assert!(stage.peer.accepts(&run.value("access_token")));
    stage.renewed_once();
}

#[test]
fn a_full_table_of_processes_is_temporary() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer).of_ordinary_user("games");
    let program = home.path().join("dd-oauth");
    home.run(&["store"], "access_token=a\nrefresh_token=r\nclient_id=c\nexpires_at=1000000000\n")
        .succeeds_quietly();
    let limited = |arguments: &[&str]| {
        let mut limited = home.any_program(Path::new("prlimit"), &["--nproc=1"]);
        limited.arg(&program).args(arguments);
        finish(start(limited, b""))
    };
    if home.is_of_another_user() {
        limited(&["get"]).fails(4, &["could not start a process", "try again"]);
        limited(&["refresh"]).fails(4, &["could not start a process", "try again"]);
        assert_eq!(peer.refreshes().len(), 0);
    }
    assert_eq!(home.status()["state"], "stale");
    if home.is_of_another_user() {
        // Nor is there room for a thread that looks up a name.
        let login = ["login", "--no-browser", "--site", "dd-oauth.invalid", "--trust-site"];
        limited(&login).fails(4, &["could not reach", "no thread"]);
    }
}

fn within(home: &Home, limit: &str, arguments: &[&str], input: &str) -> Run {
    let mut limited = home.any_program(Path::new("prlimit"), &[limit, PROGRAM]);
    limited.args(arguments);
    finish(start(limited, input.as_bytes()))
}

#[test]
fn a_limit_on_the_size_of_files_that_can_be_raised_is() {
    let stored = "access_token=a\nrefresh_token=r\nclient_id=c\nexpires_in=3600\n";
    for size in [0, 100, 800, 9000] {
        let stage = Stage::stale();
        let limit = format!("--fsize={size}:");
        let run = within(&stage.home, &limit, &["get"], "");
        run.succeeds_quietly();
        assert!(stage.peer.accepts(&run.value("access_token")), "{size}");
        stage.renewed_once();
        within(&stage.home, &limit, &["store"], stored).succeeds_quietly();
        assert_eq!(stage.home.get(), "a");
        let mut new = Home::at(&stage.peer);
        // The browser is under the limit too, and would write its log.
        new.unset("BROWSER_LOG");
        let login = within(&new, &limit, &["login"], "");
        assert_eq!(login.code, Some(0), "{size}: {login:?}");
        assert!(stage.peer.accepts(&new.get()));
    }
}

#[test]
fn a_limit_on_the_size_of_files_that_stays_is_told_and_costs_nothing() {
    for size in [0, 100] {
        let limit = format!("--fsize={size}:{size}");
        let stage = Stage::stale();
        within(&stage.home, &limit, &["get"], "").fails(5, &["file too large"]);
        within(&stage.home, &limit, &["refresh"], "").fails(5, &["file too large"]);
        assert_eq!(stage.peer.refreshes().len(), 0);
        let stored = stage.home.stored();
        within(&stage.home, &limit, &["store"], "access_token=a\n").fails(5, &["file too large"]);
        assert_eq!(stage.home.stored(), stored);
        stage.renewed_once();
    }
}

#[test]
fn a_login_that_cannot_be_written_leaves_no_token_at_the_server() {
    // The registration can be written, and the session cannot.
    for size in [800, 1000] {
        let peer = Peer::start(Kind::Demo);
        let mut home = Home::at(&peer);
        home.unset("BROWSER_LOG");
        let login = within(&home, &format!("--fsize={size}:{size}"), &["login"], "");
        assert_eq!(login.code, Some(5), "{login:?}");
        assert!(login.stderr.to_lowercase().contains("file too large"), "{login:?}");
        let count = |endpoint: &str| {
            peer.log().into_iter().filter(|event| event.endpoint == endpoint).count()
        };
        assert_eq!((count("token"), count("revoke")), (1, 2));
        assert_eq!(home.run(&["login"], "").code, Some(0));
    }
}

/// A program under `exec` or `exec --live`, which is the first process of a container.
#[test]
fn the_first_process_of_a_container_can_be_a_program_under_exec() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    for flags in [&["exec"][..], &["exec", "--live"]] {
        let mut container = home.any_program(
            Path::new("unshare"),
            &["--pid", "--fork", "--kill-child", "--mount-proc", PROGRAM],
        );
        container.args(flags).args([
            "--",
            "sh",
            "-c",
            "echo \"$DD_BEARER_TOKEN as $$\"; ls -d /proc/[0-9]*",
        ]);
        let run = finish(start(container, b""));
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stdout.contains(" as 1\n"), "{run:?}");
        let processes = run.stdout.lines().filter(|line| line.starts_with("/proc/")).count();
        assert!(processes <= 3, "the program, `ls` and the proxy: {run:?}");
    }
}

#[test]
fn a_proxy_that_is_asked_to_end_serves_its_program_to_the_end() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    let script = "read _; curl -sS -o /dev/null -w '%{http_code}\\n' \
                  -H \"Authorization: Bearer $DD_BEARER_TOKEN\" \"$DD_HOST/api/v1/monitor\"";
    let mut program =
        Process::spawn(&mut home.program(&["exec", "--live", "--", "sh", "-c", script]));
    let proxy = proxy_of(program.id());
    for name in POLITE {
        assert!(signal(name, proxy));
    }
    std::io::Write::write_all(&mut program.stdin.take().unwrap(), b"\n").unwrap();
    let run = finish(program);
    assert_eq!(run.stdout, "200\n", "{run:?}");
    eventually("the end of the proxy", || !Path::new(&format!("/proc/{proxy}")).exists());
}

/// The proxy that attends a program, which may not have it yet.
fn proxy_of(program: u32) -> i64 {
    let attended = format!("--process\0{program}\0");
    let mut proxy = None;
    eventually("the proxy", || {
        proxy = processes().find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains(&attended))
        });
        proxy.is_some()
    });
    proxy.unwrap()
}

fn parent_of(pid: i64) -> Option<i64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

fn processes() -> impl Iterator<Item = i64> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Of a token that is expiring, and so needs no renewal yet.
#[cfg(feature = "test-clock")]
mod not_needed_yet {
    use super::*;

    /// A server that spends the refresh token at once, and answers after a second.
    fn expiring() -> Stage {
        let peer = Peer::start(Kind::Demo);
        let mut home = Home::at(&peer);
        home.log_in();
        home.set("DD_OAUTH_TEST_CLOCK", "3400000");
        peer.fault(&json!({"endpoint": "token", "kind": "late", "ms": 1000}));
        Stage { peer, home }
    }

    /// Nothing was begun; the session is good, and is renewed where it is not cut off.
    fn nothing_was_sent(stage: &Stage) {
        assert_eq!(stage.peer.refreshes().len(), 0);
        let run = stage.home.run(&["refresh"], "");
        assert_eq!(run.code, Some(0), "{run:?}");
        stage.renewed_once();
    }

    #[test]
    fn a_container_begins_nothing_that_its_end_would_cut_off() {
        for script in [
            "exec \"$0\" get",
            "T=$(\"$0\" token); echo \"$T\"",
            "sh -c '\"$0\" get; exit $?' \"$0\"; sleep 0.1",
            "sh -c 'sh -c \"\\\"\\$0\\\" get; exit \\$?\" \"$0\"; exit $?' \"$0\"",
            "\"$0\" get",
            "exec \"$0\" exec --live -- sh -c 'curl -sS -H \"Authorization: Bearer $DD_BEARER_TOKEN\" \"$DD_HOST/\"'",
        ] {
            let stage = expiring();
            let run = in_container(&stage.home, script);
            assert_eq!(run.code, Some(0), "{script}: {run:?}");
            if script.contains("--live") {
                // What keeps its token waits for the renewal before it begins.
                stage.renewed_once();
            } else {
                nothing_was_sent(&stage);
            }
        }
    }

    #[test]
    fn a_job_of_ci_begins_nothing_either() {
        let stage = expiring();
        stage.home.run_with(("CI", "true"), &["get"], "").succeeds_quietly();
        nothing_was_sent(&stage);
    }

    #[test]
    fn nor_does_a_service() {
        for group in [
            "0::/system.slice/backup.service\n",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service\n",
        ] {
            let stage = expiring();
            let file = stage.home.path().join("cgroup");
            std::fs::write(&file, group).unwrap();
            let script = "mount --bind \"$0\" /proc/$$/cgroup && exec \"$@\"";
            let flags = ["--mount", "sh", "-c", script, file.to_str().unwrap(), PROGRAM, "get"];
            let run = finish(start(stage.home.any_program(Path::new("unshare"), &flags), b""));
            run.succeeds_quietly();
            nothing_was_sent(&stage);
        }
    }

    #[test]
    fn a_proxy_keeps_no_dead_worker() {
        let peer = Peer::start_with(Kind::Demo, &["--access-ttl", "8"]);
        let mut home = Home::at(&peer);
        home.set("DD_OAUTH_TEST_PLACE", "lasting").log_in();
        // Longer than the proxy waits for a renewal that is not needed yet.
        peer.fault(&json!({"endpoint": "token", "kind": "late", "ms": 3000, "times": 1}));
        let script = "while curl -sS -o /dev/null -H \"Authorization: Bearer $DD_BEARER_TOKEN\" \
                      \"$DD_HOST/\"; do :; done & cat >/dev/null; kill $!";
        let arguments = ["exec", "--live", "--", "sh", "-c", script];
        let mut program = Process::spawn(&mut home.program(&arguments));
        let proxy = proxy_of(program.id());
        eventually("the second renewal", || peer.refreshes().len() == 2);
        let children: Vec<_> = processes().filter(|pid| parent_of(*pid) == Some(proxy)).collect();
        assert!(children.is_empty(), "children of the proxy: {children:?}");
        drop(program.stdin.take());
        program.wait();
    }

    #[test]
    fn a_program_under_exec_inherits_no_child() {
        let mut stage = expiring();
        stage.home.set("DD_OAUTH_TEST_PLACE", "lasting");
        stage.peer.mend();
        // Longer than `exec` waits.
        stage.peer.fault(&json!({"endpoint": "token", "kind": "late", "ms": 4000, "times": 1}));
        let script = "import os\ntry: print(os.waitpid(-1, os.WNOHANG))\n\
                      except ChildProcessError: print('no child')";
        let run = stage.home.run(&["exec", "--", "python3", "-c", script], "");
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), "no child\n"), "{run:?}");
        eventually("the renewal", || stage.peer.refreshes().len() == 1);
        stage.renewed_once();
    }
}
