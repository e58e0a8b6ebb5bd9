//! Secrets leave by one door: after every command, with failures and kills in between, no file, no
//! message, no argument list, no environment and no core dump has one.
#![cfg(target_os = "linux")]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::deadline::eventually;
use crate::support::earlier_tools::{leave, seed_tokens};
use crate::support::home::Home;
use crate::support::keyring::{Keyring, installation_id, looked_up};
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Process, Run, finish, start};

/// How the secrets of the demo server begin, and those that the tests store.
const CANARIES: [&str; 4] = ["demo-at-", "demo-rt-", "canary-at-", "canary-rt-"];

/// A home in which each command runs under a tracer, which writes down what is executed with what
/// arguments and environment, in a file that is looked into like all others.
struct Watched {
    home: Home,
    secrets: Vec<String>,
    runs: u32,
}

impl Watched {
    fn new(mut home: Home) -> Self {
        let temporary = home.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        home.set("TMPDIR", temporary.to_str().unwrap());
        // Whatever our libraries would log, they log.
        home.set("RUST_LOG", "trace").set("RUST_BACKTRACE", "full");
        home.set("G_MESSAGES_DEBUG", "all");
        // So does our own trace, of the worker too.
        home.set("DD_OAUTH_LOG", home.path().join("trace.log").to_str().unwrap());
        Self { home, secrets: CANARIES.map(str::to_string).to_vec(), runs: 0 }
    }

    /// Takes the sealing key among the secrets, in each form that it may be written in.
    fn watch_for_key(&mut self) {
        let key = looked_up(&self.home, &installation_id(&self.home)).unwrap();
        self.secrets.push(key.lines().next().unwrap().to_string());
    }

    /// Runs a command; what it says on standard error is no secret, and standard output has one only
    /// where it `answers`.
    fn run(&mut self, arguments: &[&str], input: &str, answers: bool) -> Run {
        self.runs += 1;
        let log = format!("exec-{}.log", self.runs);
        let flags = ["-f", "-v", "-s", "100000", "-o", &log, "-e", "trace=execve"];
        let mut traced = self.home.any_program(Path::new("strace"), &flags);
        traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).args(arguments);
        let run = finish(start(traced, input.as_ref()));
        self.has_none(run.stderr.as_bytes(), &format!("the messages of {arguments:?}"));
        if !answers {
            self.has_none(run.stdout.as_bytes(), &format!("the output of {arguments:?}"));
        }
        run
    }

    #[track_caller]
    fn has_none(&self, bytes: &[u8], what: &str) {
        if let Some(secret) = self.secret_in(bytes) {
            panic!("{what}: {secret} is in {:?}", String::from_utf8_lossy(bytes));
        }
    }

    fn secret_in(&self, bytes: &[u8]) -> Option<&str> {
        let is_in = |secret: &&String| {
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        };
        self.secrets.iter().find(is_in).map(String::as_str)
    }

    /// Every file below the home that has a secret in it.
    fn files_with_secrets(&self) -> Vec<PathBuf> {
        let mut directories = vec![self.home.path().to_path_buf()];
        let mut found = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    directories.push(entry.path());
                } else if kind.is_file()
                    && self.secret_in(&std::fs::read(entry.path()).unwrap()).is_some()
                {
                    found.push(entry.path());
                }
            }
        }
        found
    }

    #[track_caller]
    fn no_file_has_one(&self) {
        assert_eq!(self.files_with_secrets(), Vec::<PathBuf>::new());
    }
}

#[test]
fn no_command_leaves_a_secret_anywhere() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    let _keyring = Keyring::start(&mut home);
    home.set("DD_OAUTH_KERNEL_KEYRING", "10m");
    let mut watched = Watched::new(home);
    assert_eq!(watched.run(&["login"], "", false).code, Some(0));
    watched.watch_for_key();
    let planted = watched.home.path().join("planted");
    std::fs::write(&planted, "x demo-rt-x").unwrap();
    assert_eq!(watched.files_with_secrets(), [planted.as_path()], "it is seen where it is");
    std::fs::remove_file(planted).unwrap();

    let answer = watched.run(&["get"], "", true);
    assert!(answer.value("access_token").starts_with("demo-at-"));
    watched.run(&["token"], "", true);
    for arguments in
        [&["status"][..], &["status", "--json"], &["list"], &["list", "--json"], &["refresh"]]
    {
        assert_eq!(watched.run(arguments, "", false).code, Some(0), "{arguments:?}");
    }
    let stored = "site=eu1\naccess_token=canary-at-1\nrefresh_token=canary-rt-1\nclient_id=c\n";
    assert_eq!(watched.run(&["store"], stored, false).code, Some(0));
    assert_eq!(watched.run(&["use", "eu1"], "", false).code, Some(0));
    watched.run(&["erase", "--site", "eu1"], "access_token=canary-at-1\n", false);
    watched.run(&["erase", "--site", "eu1"], "", false);
    // What cannot be understood is not shown either.
    for bad in [
        "access_token=canary-at-1 blank\n",
        "access_token\0=canary-at-1\n",
        "canary-at-1\n",
        "access_token=canary-at-1\naccess_token=canary-at-2\n",
        "refresh_token=canary-rt-1\n",
        "access_token=canary-at-1\nexpires_in=canary-rt-1\n",
    ] {
        assert_eq!(watched.run(&["store"], bad, false).code, Some(2), "{bad:?}");
    }
    for move_to in ["file", "keychain"] {
        let run = watched.run(&["key", "move", move_to], "", false);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    watched.run(&["key", "list"], "", false);
    watched.no_file_has_one();
    import_everything(&mut watched);
    watched.no_file_has_one();

    for fault in [
        json!({"kind": "status", "status": 500}),
        json!({"kind": "patch", "patch": {"access_token": "canary-at-1 with a blank"}}),
        json!({"kind": "patch", "patch": {"error_description": "canary-rt-1"}}),
        json!({"kind": "body", "body": "canary-at-1"}),
        json!({"kind": "cut"}),
    ] {
        peer.set(&json!({"grant_repetition": true}));
        watched.home.make_stale_quietly();
        let mut fault = fault;
        fault["endpoint"] = json!("token");
        peer.fault(&fault);
        watched.run(&["get"], "", true);
        watched.run(&["refresh"], "", false);
        watched.run(&["status"], "", false);
        peer.mend();
    }
    watched.no_file_has_one();
    assert_eq!(watched.run(&["logout", "--all"], "", false).code, Some(0));
    watched.no_file_has_one();
}

/// Takes over what an earlier tool left behind, after it was refused, and was no session at all.
fn import_everything(watched: &mut Watched) {
    let tokens = json!({
        "accessToken": "canary-at-1", "refreshToken": "canary-rt-1", "clientId": "c",
    });
    for (left, code) in [
        (json!({"us5.datadoghq.com": "canary-rt-1"}).to_string(), 5),
        (json!({"us5.datadoghq.com": {"accessToken": "canary-at-1 blank"}}).to_string(), 5),
        (json!({"us5.datadoghq.com": tokens}).to_string(), 0),
    ] {
        leave(&seed_tokens(&watched.home), &left);
        for (flags, code) in [
            (&["import"][..], code),
            (&["import", "--yes"], if code == 0 { 2 } else { code }),
            (&["import", "--yes", "--remove-original"], code),
        ] {
            let run = watched.run(flags, "", false);
            assert_eq!(run.code, Some(code), "{run:?}");
        }
    }
}

#[test]
fn who_is_killed_at_any_moment_leaves_no_secret_behind() {
    let peer = Peer::start(Kind::Demo);
    let mut home = Home::at(&peer);
    home.set("DD_TOKEN_STORAGE", "file");
    let mut watched = Watched::new(home);
    watched.run(&["login"], "", false);
    peer.set(&json!({"grant_repetition": true}));
    for call in ["write", "fsync", "rename", "unlink", "sendto", "pwrite64"] {
        for number in 1..6 {
            watched.home.make_stale_quietly();
            let trace = format!("trace={call}");
            let injection = format!("inject={call}:signal=KILL:when={number}");
            let flags = ["-f", "-o", "/dev/null", "-e", &trace, "-e", &injection];
            let mut traced = watched.home.any_program(Path::new("strace"), &flags);
            traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).arg("refresh");
            finish(start(traced, b""));
        }
    }
    watched.no_file_has_one();
}

/// A `get` that waits for its worker, and the worker that waits for the server.
fn at_work(home: &Home, peer: &Peer, get: Command) -> (Process, String) {
    peer.fault(&json!({"endpoint": "token", "kind": "delay", "ms": 60_000}));
    let get = start(get, b"");
    let caller = get.id().to_string();
    let mut worker = String::new();
    eventually("a worker", || {
        let bytes = std::fs::read(home.session_file("lock-holder")).unwrap_or_default();
        let holder: Option<Value> = serde_json::from_slice(&bytes).ok();
        worker = holder.map(|holder| holder["pid"].to_string()).unwrap_or_default();
        worker != caller && Path::new("/proc").join(&worker).join("fd").exists()
    });
    (get, worker)
}

#[test]
fn a_crash_dumps_no_core_of_caller_or_worker() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    let dumping = |program: &str, argument: &str| {
        let script = "ulimit -c unlimited; exec \"$0\" \"$@\"";
        let mut shell = home.any_program(Path::new("sh"), &["-c", script, program, argument]);
        shell.stderr(Stdio::null());
        shell
    };
    // Otherwise it would be no wonder that ours dumps none.
    let mut other =
        home.any_program(Path::new("sh"), &["-c", "ulimit -c unlimited; kill -s ABRT $$"]);
    assert!(Process::spawn(&mut other).wait().core_dumped(), "cores are dumped here");

    let get = dumping(env!("CARGO_BIN_EXE_dd-oauth"), "get");
    let (mut get, worker) = at_work(&home, &peer, get);
    home.run_program("kill", &["-s", "ABRT", &get.id().to_string()]);
    let ended = get.wait();
    assert!(ended.signal() == Some(6) && !ended.core_dumped(), "{ended:?}");
    home.run_program("kill", &["-s", "ABRT", &worker]);
    let process = PathBuf::from("/proc").join(&worker);
    eventually("the worker to die", || !process.join("fd/0").exists());
    // Where it was when it died.
    assert!(!Path::new("/core").exists() && !Path::new(&format!("/core.{worker}")).exists());
}

#[test]
fn another_process_of_the_same_user_cannot_look_into_ours() {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer).of_ordinary_user("nobody");
    home.log_in();
    home.make_stale();
    let (mut get, worker) = at_work(&home, &peer, home.program(&["get"]));
    for pid in [get.id().to_string(), worker.clone()] {
        let memory = format!("/proc/{pid}/mem");
        let looked = home.run_program_freely("head", &["-c", "1", &memory], "");
        // In a user namespace we are root, from whom nothing is hidden.
        assert!(looked.stderr.contains("Permission denied") || !home.is_of_another_user());
    }
    home.run_program("kill", &[&worker]);
    get.kill();
}
