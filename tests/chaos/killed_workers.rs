//! The worker itself is killed, phase by phase.

use std::path::Path;

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

/// Kills so many workers in each phase.
pub fn run(seed: u64, kills: u64, repetition: bool) -> Counts {
    let peer = Peer::start(Kind::Demo);
    peer.set(&json!({"grant_repetition": repetition}));
    let home = Home::at(&peer);
    home.log_in();
    let mut counts = Counts::default();
    let mut order: Vec<_> = (0..kills).flat_map(|_| &PHASES).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    for phase in order {
        kill_one(phase, repetition, &peer, &home, &mut counts);
    }
    counts
}

fn kill_one(phase: &Phase, repetition: bool, peer: &Peer, home: &Home, counts: &mut Counts) {
    home.make_stale();
    peer.clear_log();
    if !phase.acts {
        let fault = json!({"endpoint": "token", "kind": "status", "status": 503});
        peer.fault(&fault);
    }
    let (call, when) = phase.call.split_once(':').expect("it has both");
    let injection = format!("inject={call}:signal=KILL:{when}");
    let trace = format!("trace={call}");
    let flags = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &injection];
    let mut traced = home.any_program(Path::new("strace"), &flags);
    traced.args([env!("CARGO_BIN_EXE_dd-oauth"), "refresh"]);
    // Its own worker is killed, and so is the one that it starts in that one's place.
    finish(start(traced, b""));
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
