//! The worker itself gets signals, phase by phase: one that kills it, or one that only asks.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::counts::Counts;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{finish, start};

/// How far the worker came.
struct Phase {
    name: &'static str,
    /// The system call at whose entry it is killed; which one of them.
    call: &'static str,
    /// Whether the server acts on the request of this phase.
    acts: bool,
    /// Whether its end may cost the session where the server grants no repetition.
    may_lose: bool,
}

const PHASES: [Phase; 6] = [
    Phase { name: "started", call: "setsid:when=1", acts: true, may_lose: false },
    Phase { name: "announced", call: "connect:when=1", acts: true, may_lose: false },
    Phase { name: "sent", call: "recvfrom:when=1", acts: false, may_lose: false },
    Phase { name: "rotated", call: "recvfrom:when=1", acts: true, may_lose: true },
    Phase { name: "secured", call: "rename:when=1", acts: true, may_lose: false },
    Phase { name: "committed", call: "fdatasync:when=3", acts: true, may_lose: false },
];

/// What a service manager, a terminal and a runner that cleans up send.
const POLITE: [&str; 4] = ["TERM", "INT", "HUP", "QUIT"];

/// Kills so many workers in each phase.
pub fn run(seed: u64, kills: u64, repetition: bool) -> Counts {
    let peer = Peer::start(Kind::Demo);
    peer.set(&json!({"grant_repetition": repetition}));
    let home = Home::at(&peer);
    home.log_in();
    let mut counts = Counts::default();
    for phase in shuffled(seed, kills) {
        kill_one(phase, repetition, &peer, &home, &mut counts);
    }
    counts
}

/// Asks so many workers in each phase to end, which none does before its session is safe: one request is
/// made, and its answer is there for the next caller.
pub fn ask_to_end(seed: u64, times: u64) -> Counts {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let mut counts = Counts::default();
    for (number, phase) in shuffled(seed, times).into_iter().enumerate() {
        let name = POLITE[number % POLITE.len()];
        home.make_stale();
        peer.clear_log();
        // In some phases the caller makes the same system call, and is asked to end, too.
        finish(start(traced(&home, phase, name), b""));
        counts.add(&format!("SIG{name} to a worker"), 1);
        let run = home.run(&["get"], "");
        let results: Vec<_> = peer.refreshes().into_iter().map(|event| event.result).collect();
        if run.code != Some(0) || results != ["issued"] {
            let phase = phase.name;
            counts.complaints.push(format!("{name} when {phase}: {run:?}; {results:?}"));
        }
    }
    counts
}

fn shuffled(seed: u64, times: u64) -> Vec<&'static Phase> {
    let mut order: Vec<_> = (0..times).flat_map(|_| &PHASES).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    order
}

/// A refresh whose worker gets a signal when it comes so far.
fn traced(home: &Home, phase: &Phase, name: &str) -> Command {
    let (call, when) = phase.call.split_once(':').expect("it has both");
    let injection = format!("inject={call}:signal={name}:{when}");
    let trace = format!("trace={call}");
    let flags = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &injection];
    let mut traced = home.any_program(Path::new("strace"), &flags);
    traced.args([env!("CARGO_BIN_EXE_dd-oauth"), "refresh"]);
    traced
}

fn kill_one(phase: &Phase, repetition: bool, peer: &Peer, home: &Home, counts: &mut Counts) {
    home.make_stale();
    peer.clear_log();
    if !phase.acts {
        let fault = json!({"endpoint": "token", "kind": "status", "status": 503});
        peer.fault(&fault);
    }
    // Its own worker is killed, and so is the one that it starts in that one's place.
    finish(start(traced(home, phase, "KILL"), b""));
    peer.mend();
    counts.add(&format!("killed {}", phase.name), 1);

    let run = home.run(&["refresh"], "");
    let lost = run.code == Some(3);
    if lost {
        counts.add(&format!("lost when {}", phase.name), 1);
        home.log_in();
    }
    let excused = phase.may_lose && !repetition;
    let named = run.stderr.contains("a refresh was interrupted at");
    if run.code != Some(0) && !(lost && excused && named) {
        let log: Vec<_> = peer.log().into_iter().map(|event| event.result).collect();
        let name = phase.name;
        counts.complaints.push(format!("killed when {name}: {run:?}; the server saw {log:?}"));
    }
}
