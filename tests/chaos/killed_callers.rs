//! Callers are killed with their group while the worker is in each of its phases. A worker is
//! nobody's child, so this costs no session, ever.

use std::path::Path;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::counts::Counts;
use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Process, signal, start};

/// Where the worker is when its caller dies; each phase is stretched so that it is met.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Starting,
    Sent,
    Rotated,
    Secured,
    Committed,
}

const PHASES: [Phase; 5] =
    [Phase::Starting, Phase::Sent, Phase::Rotated, Phase::Secured, Phase::Committed];
/// For how long a phase is stretched, in milliseconds.
const STRETCH: u64 = 60;

/// Kills so many callers in each phase.
pub fn run(seed: u64, kills: u64) -> Counts {
    let mut random = Rng::with_seed(seed);
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let mut counts = Counts::default();
    let mut order: Vec<_> = (0..kills).flat_map(|_| PHASES).collect();
    random.shuffle(&mut order);
    for phase in order {
        home.make_stale();
        peer.clear_log();
        let mut caller = under_way(phase, &peer, &home, &mut random);
        signal("KILL", -i64::from(caller.id()));
        caller.wait();
        counts.add(&format!("callers killed when {phase:?}").to_lowercase(), 1);
        peer.mend();
        let run = home.run(&["refresh"], "");
        let results: Vec<_> = peer.refreshes().into_iter().map(|event| event.result).collect();
        if run.code != Some(0) || results.iter().any(|result| result != "issued") {
            counts.complaints.push(format!("{phase:?}: {run:?}; the server saw {results:?}"));
        }
    }
    counts
}

/// A `get` in a group of its own, with its worker in the phase.
fn under_way(phase: Phase, peer: &Peer, home: &Home, random: &mut Rng) -> Process {
    let fault = |kind: &str| {
        peer.fault(&json!({"endpoint": "token", "kind": kind, "ms": STRETCH, "times": 1}));
    };
    let delay = |call: &str| format!("{call}:delay_enter={}", STRETCH * 1000);
    let stretched = match phase {
        Phase::Starting | Phase::Sent | Phase::Rotated => None,
        Phase::Secured => Some(delay("rename")),
        Phase::Committed => Some(delay("fdatasync") + ":when=3"),
    };
    match phase {
        Phase::Sent => fault("delay"),
        Phase::Rotated => fault("late"),
        Phase::Starting | Phase::Secured | Phase::Committed => {}
    }
    let before = committed(home);
    let command = match &stretched {
        None => home.program(&["get"]),
        Some(injection) => {
            let call = injection.split(':').next().unwrap_or_default();
            let (trace, inject) = (format!("trace={call}"), format!("inject={injection}"));
            let flags = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let mut traced = home.any_program(Path::new("strace"), &flags);
            traced.args([env!("CARGO_BIN_EXE_dd-oauth"), "get"]);
            traced
        }
    };
    let caller = start(command, b"");
    match phase {
        Phase::Starting => {
            std::thread::sleep(std::time::Duration::from_micros(random.u64(0..6000)));
        }
        Phase::Sent => eventually("a worker", || holder_is_not(home, caller.id())),
        Phase::Rotated | Phase::Secured => {
            eventually("the server's answer", || !peer.refreshes().is_empty());
        }
        Phase::Committed => eventually("the commit", || committed(home) != before),
    }
    caller
}

/// Changes when the session's file is replaced.
fn committed(home: &Home) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(home.session_file("session")).map_or(0, |metadata| metadata.ino())
}

/// Whether the lock went on to a worker.
fn holder_is_not(home: &Home, caller: u32) -> bool {
    let bytes = std::fs::read(home.session_file("lock-holder")).unwrap_or_default();
    let holder: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    holder["purpose"] == "refresh" && holder["pid"].as_u64() != Some(caller.into())
}
