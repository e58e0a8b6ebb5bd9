//! Rounds: several processes around the expiry of one session, with something in their way.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::counts::Counts;
use crate::support::home::Home;
use crate::support::keyring::{Keyring, drop_from_kernel, installation_id};
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Process, finish, signal, start};

/// The longest that a process may take by its own promise: a waiter's 60 s and some.
const PROMISED: Duration = Duration::from_secs(70);
/// More than a refresh takes, however unlucky it is.
const MOST_ROUNDS: u64 = 20;
/// Seconds of an access token's life: short enough that it expires while the rounds go on.
const ACCESS_TTL: u64 = 2;

/// What may become of a session whose reply was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Losses {
    /// No reply is lost.
    None,
    /// The server grants a repetition.
    Repeated,
    /// The server grants none.
    Final,
}

#[derive(Clone, Copy)]
pub struct Arm {
    pub name: &'static str,
    pub kind: Kind,
    pub losses: Losses,
    pub key: KeyPlace,
}

/// Where the sealing key rests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    File,
    Keychain,
}

impl Arm {
    /// Drives one session until it was refreshed so many times.
    pub fn run(self, seed: u64, refreshes: u64) -> Counts {
        let mut random = Rng::with_seed(seed);
        let peer = Peer::start_with(self.kind, &["--access-ttl", &ACCESS_TTL.to_string()]);
        if self.losses == Losses::Repeated {
            peer.set(&json!({"grant_repetition": true}));
        }
        let mut home = Home::at(&peer);
        let mut keyring = (self.key == KeyPlace::Keychain).then(|| Keyring::start(&mut home));
        if keyring.is_some() {
            home.set("DD_OAUTH_KERNEL_KEYRING", ["off", "10m"][random.usize(..2)]);
        }
        home.log_in();
        let mut counts = Counts::default();
        while counts.of("refreshes") < refreshes && counts.complaints.is_empty() {
            let mut round = Round {
                arm: self,
                peer: &peer,
                home: &home,
                keyring: keyring.as_mut(),
                counts: &mut counts,
            };
            round.play(&mut random);
            counts.add("rounds", 1);
            if counts.of("rounds") > MOST_ROUNDS * (refreshes + 5) {
                counts.complaints.push("too few rounds refresh: this would not end".into());
            }
        }
        if keyring.is_some() {
            drop_from_kernel(&home, &installation_id(&home));
        }
        counts
    }
}

/// A program that asks for a token, or renews it.
struct Caller {
    process: Process,
    /// Alone with its worker in a namespace, which ends with it.
    is_contained: bool,
}

impl Caller {
    fn outside(command: Command) -> Self {
        Self { process: start(command, b""), is_contained: false }
    }

    /// As the first process of a container, or the child of a child of the first. When the first ends,
    /// the kernel kills whatever else is there.
    fn in_container(home: &Home, arguments: &[&str], random: &mut Rng) -> Self {
        let mut command =
            home.any_program(Path::new("unshare"), &["--pid", "--fork", "--mount-proc"]);
        if random.bool() {
            // What follows keeps a shell from becoming the program that it runs.
            let last = "\"$@\"; exit $?";
            command.args(["sh", "-c", &format!("sh -c '{last}' sh \"$@\"; exit $?"), "sh"]);
        }
        command.arg(env!("CARGO_BIN_EXE_dd-oauth")).args(arguments);
        Self { process: start(command, b""), is_contained: true }
    }
}

struct Round<'a> {
    arm: Arm,
    peer: &'a Peer,
    home: &'a Home,
    keyring: Option<&'a mut Keyring>,
    counts: &'a mut Counts,
}

impl Round<'_> {
    fn play(&mut self, random: &mut Rng) {
        self.peer.clear_log();
        if random.u8(..) < 100 {
            self.home.make_stale();
        } else {
            // Somewhere around the renewal window and the end of the token.
            std::thread::sleep(Duration::from_millis(random.u64(0..1800)));
        }
        let lossy = self.inject_fault(random);
        let disk = random.u8(..) < 40;
        let callers = self.start_some(random, disk);
        let upset = self.upset_keyring(random);
        self.molest(&callers, random);
        for caller in callers {
            self.judge_process(caller.process, disk || upset);
        }
        self.peer.mend();
        self.mend_keyring(upset);
        self.settle(lossy);
        self.count_log(lossy);
        self.look_for_leftovers();
    }

    /// Puts something in the server's way; whether a reply may be lost by it.
    fn inject_fault(&mut self, random: &mut Rng) -> bool {
        let harmless = [
            json!({"kind": "delay", "ms": random.u64(1..300)}),
            json!({"kind": "late", "ms": random.u64(1..300)}),
            json!({"kind": "status", "status": 503, "headers": {"Retry-After": "1"}}),
            json!({"kind": "status", "status": 500}),
            json!({"kind": "refuse"}),
            json!({"kind": "redirect", "location": "http://127.0.0.1:9/"}),
        ];
        let losing = [
            json!({"kind": "lost"}),
            json!({"kind": "cut"}),
            json!({"kind": "after-status", "status": 502}),
        ];
        let lossy = self.arm.losses != Losses::None && random.u8(..) < 60;
        let mut fault = match (lossy, random.u8(..)) {
            (true, _) => losing[random.usize(..losing.len())].clone(),
            (false, 0..150) => harmless[random.usize(..harmless.len())].clone(),
            (false, _) => return false,
        };
        self.counts.add(&format!("faults {}", fault["kind"].as_str().unwrap_or_default()), 1);
        fault["endpoint"] = json!("token");
        fault["grant"] = json!("refresh_token");
        fault["times"] = Value::from(random.u64(1..3));
        self.peer.fault(&fault);
        lossy
    }

    fn start_some(&mut self, random: &mut Rng, disk: bool) -> Vec<Caller> {
        let mut callers = Vec::new();
        for _ in 0..random.usize(1..6) {
            let arguments: &[&str] =
                [&["get"][..], &["token"], &["refresh"], &["get"]][random.usize(..4)];
            let caller = if disk && callers.is_empty() {
                self.counts.add("disk faults", 1);
                Caller::outside(self.on_bad_disk(arguments, random))
            } else if random.u8(..) < 40 {
                self.counts.add("callers in a container", 1);
                Caller::in_container(self.home, arguments, random)
            } else {
                Caller::outside(self.home.program(arguments))
            };
            callers.push(caller);
            std::thread::sleep(Duration::from_millis(random.u64(0..12)));
        }
        callers
    }

    /// One of the system calls that write fails, once or for good.
    fn on_bad_disk(&self, arguments: &[&str], random: &mut Rng) -> Command {
        let call = ["fsync", "fdatasync", "rename", "flock"][random.usize(..4)];
        let error = if call == "flock" { "ENOLCK" } else { ["ENOSPC", "EIO"][random.usize(..2)] };
        let when = random.usize(1..4);
        let injection = format!("inject={call}:error={error}:when={when}");
        let trace = format!("trace={call}");
        let flags = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &injection];
        let mut traced = self.home.any_program(Path::new("strace"), &flags);
        traced.arg(env!("CARGO_BIN_EXE_dd-oauth")).args(arguments);
        traced
    }

    /// Lets the keychain refuse in one of its ways; whether it did.
    fn upset_keyring(&mut self, random: &mut Rng) -> bool {
        let Some(keyring) = self.keyring.as_mut().filter(|_| random.u8(..) < 150) else {
            return false;
        };
        if random.bool() {
            drop_from_kernel(self.home, &installation_id(self.home));
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..40)));
        let what = match random.usize(..5) {
            0 => {
                keyring.freeze();
                "keychain frozen"
            }
            1 | 2 => {
                keyring.lock(self.home);
                "keychain locked"
            }
            _ => {
                keyring.kill();
                "keychain killed"
            }
        };
        self.counts.add(what, 1);
        true
    }

    fn mend_keyring(&mut self, upset: bool) {
        if let Some(keyring) = self.keyring.as_mut().filter(|_| upset) {
            keyring.unlock(self.home);
        }
    }

    /// Signals to callers, with their groups, and to the worker.
    fn molest(&mut self, callers: &[Caller], random: &mut Rng) {
        for Caller { process, .. } in callers.iter().filter(|caller| !caller.is_contained) {
            if random.u8(..) < 60 {
                self.ask_worker_to_end(random);
            }
            if random.u8(..) < 128 {
                continue;
            }
            std::thread::sleep(Duration::from_millis(random.u64(0..60)));
            let name = ["KILL", "KILL", "TERM", "INT", "HUP", "STOP"][random.usize(..6)];
            let group = -i64::from(process.id());
            self.counts.add(&format!("SIG{name}"), 1);
            signal(name, group);
            if name == "STOP" {
                std::thread::sleep(Duration::from_millis(random.u64(0..100)));
            }
            // Also after the others: a tracer that dies early leaves its child stopped.
            signal("CONT", group);
        }
    }

    /// What a service manager does that stops a unit, and a runner that cleans up.
    fn ask_worker_to_end(&mut self, random: &mut Rng) {
        if let Some(worker) = self.worker() {
            let name = ["TERM", "INT", "HUP", "QUIT"][random.usize(..4)];
            self.counts.add("signals to workers", 1);
            signal(name, worker);
        }
    }

    /// Who renews. One in a container has a number there that is another's here.
    fn worker(&self) -> Option<i64> {
        let holder = std::fs::read(self.home.session_file("lock-holder")).ok()?;
        let holder: Value = serde_json::from_slice(&holder).ok()?;
        let pid = holder["pid"].as_i64().filter(|_| holder["purpose"] == "refresh")?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let ours = env!("CARGO_BIN_EXE_dd-oauth").as_bytes();
        command.windows(ours.len()).any(|window| window == ours).then_some(pid)
    }

    /// A process keeps its promises, or a signal ended it.
    fn judge_process(&mut self, process: Process, storage: bool) {
        let started = Instant::now();
        let run = finish(process);
        if started.elapsed() > PROMISED {
            self.complain(&format!("a process outlived its deadline: {run:?}"));
        }
        let whole = match run.stdout.as_str() {
            "" => run.code != Some(0) || run.stderr.contains("renewed"),
            answer if answer.starts_with("access_token=") => answer.contains("\napi_url=http"),
            token => token.ends_with('\n') && token.lines().count() == 1,
        };
        if !whole {
            self.complain(&format!("half an answer: {run:?}"));
        }
        match run.code {
            // Signals, failures that say so, and whatever a bad disk or keychain is.
            None | Some(0 | 4) => {}
            Some(5) if storage => {}
            Some(3) if self.arm.losses == Losses::Final => {}
            Some(code) if code > 128 => {}
            _ => self.complain(&format!("not an exit code for this: {run:?}")),
        }
    }

    /// After the round, a *refresh* succeeds; an answer from an old token is not enough.
    fn settle(&mut self, lossy: bool) {
        let started = Instant::now();
        loop {
            let run = self.home.run(&["refresh"], "");
            match run.code {
                Some(0) => return,
                Some(3) if lossy && self.arm.losses == Losses::Final => {
                    self.counts.add("sessions lost to a lost reply", 1);
                    if !run.stderr.contains("a refresh was interrupted at") {
                        self.complain(&format!("the loss is not called by its name: {run:?}"));
                    }
                    self.home.log_in();
                    return;
                }
                // A recorded failure forbids the next request for a moment.
                Some(4) if started.elapsed() < PROMISED => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                _ => return self.complain(&format!("the session does not refresh: {run:?}")),
            }
        }
    }

    fn count_log(&mut self, lossy: bool) {
        for event in self.peer.refreshes() {
            match event.result.as_str() {
                "issued" => self.counts.add("refreshes", 1),
                "repeated" => self.counts.add("repetitions granted", 1),
                "reused" if lossy && self.arm.losses == Losses::Final => {
                    self.counts.add("reuses after a lost reply", 1);
                }
                "reused" => self.complain("a spent token was presented without a lost reply"),
                _ => {}
            }
        }
    }

    fn look_for_leftovers(&mut self) {
        let entries = std::fs::read_dir(self.home.sessions()).expect("it is there");
        for entry in entries {
            let path = entry.expect("it can be read").path();
            let name = path.to_string_lossy();
            if name.contains("/.new-") || name.ends_with("~new") {
                self.complain(&format!("{} is left behind", path.display()));
            }
        }
    }

    fn complain(&mut self, what: &str) {
        let log: Vec<_> =
            self.peer.log().into_iter().map(|event| (event.result, event.fault)).collect();
        self.counts.complaints.push(format!("{what}; the server saw {log:?}"));
    }
}
