//! Tries to lose sessions: processes killed at random moments, servers that fail, disks that
//! refuse; and lets the server's own log say what became of each session.
//!
//! Seeded and repeatable in what it injects (the machine decides the interleaving). Steered by
//! `CHAOS_SEED`, by `CHAOS_REFRESHES` for how long it goes on, and by `CHAOS_SESSIONS` for how many
//! sessions each arm drives side by side; prints its counts.
//!
//! Arms:
//! - `strict`, `judge`: faults after which no client may lose a session. No reuse, no loss.
//! - `repeating`: replies are lost, and the server grants a repetition. No loss.
//! - `losing`: replies are lost at the judge, which grants none. A session may end, and only in a
//!   round with a lost reply.
//! - `keychain`: as `strict`, with the key in a keychain that is locked, killed and frozen at random
//!   moments. No reuse, no loss.
//! - `killed callers`: `kill -9` of the caller and its group in each phase. No reuse, no loss.
//! - `worker`: the worker itself is killed, phase by phase. Only an answer that was rotated and
//!   not yet secured may cost a session. Asked to end by TERM, INT, HUP and QUIT, it costs none.
//! - `late`: answers come after 15 to 40 s. No repetition, no loss.
//! - `logouts`: `logout --all` and `login` run into each other. Nothing is forgotten without being revoked.
//! - `window`: how wide that window is.
//! - `crowd`: as many processes at once as there is patience for, on one stale session.

#[path = "../suite/support/mod.rs"]
#[allow(dead_code, reason = "the suite uses the rest of it")]
mod support;

mod counts;
mod crowd;
mod killed_callers;
mod killed_workers;
mod late;
mod logouts;
mod rounds;
mod window;

use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use counts::Counts;
use rounds::{Arm, KeyPlace, Losses};
use support::peers::Kind;

fn main() -> ExitCode {
    raise_file_limit();
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let now = || u64::from(UNIX_EPOCH.elapsed().expect("it is after 1970").subsec_nanos());
    let seed: u64 = number("CHAOS_SEED").unwrap_or_else(now);
    let refreshes: u64 = number("CHAOS_REFRESHES").unwrap_or(160);
    let sessions: u64 = number("CHAOS_SESSIONS").unwrap_or(4);
    println!("chaos: CHAOS_SEED={seed} CHAOS_REFRESHES={refreshes} CHAOS_SESSIONS={sessions}");
    let arms = [
        Arm { name: "strict", kind: Kind::Demo, losses: Losses::None, key: KeyPlace::File },
        Arm { name: "judge", kind: Kind::Judge, losses: Losses::None, key: KeyPlace::File },
        Arm { name: "repeating", kind: Kind::Demo, losses: Losses::Repeated, key: KeyPlace::File },
        Arm { name: "losing", kind: Kind::Judge, losses: Losses::Final, key: KeyPlace::File },
        Arm { name: "keychain", kind: Kind::Demo, losses: Losses::None, key: KeyPlace::Keychain },
    ];
    let mut failed = false;
    let mut conclude = |name: &str, counts: Counts| {
        println!("chaos: {name}: {counts}");
        for complaint in &counts.complaints {
            println!("chaos: {name}: FAILED: {complaint}");
        }
        failed |= !counts.complaints.is_empty();
    };
    // It waits, and nothing else of it: so it runs beside the others.
    let late = std::thread::spawn(move || late::run(seed, sessions, (refreshes / 1000).max(1)));
    for arm in arms {
        let share = refreshes.div_ceil(arms.len() as u64 * sessions);
        let counts = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..sessions)
                .map(|session| scope.spawn(move || arm.run(seed ^ (session << 32), share)))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
        });
        conclude(arm.name, counts);
    }
    let kills = (refreshes / 100).clamp(2, 100);
    conclude("killed callers", killed_callers::run(seed, kills));
    let kills = (kills / 2).max(2);
    conclude("worker, strict server", killed_workers::run(seed, kills, false));
    conclude("worker, repeating server", killed_workers::run(seed, kills, true));
    conclude("worker, asked to end", killed_workers::ask_to_end(seed, kills.max(4)));
    conclude("logouts", logouts::run(seed, kills * 5));
    conclude("late", late.join().expect("it does not panic"));
    conclude("window", window::measure());
    conclude("crowd", crowd::run(if refreshes < 1000 { 200 } else { 1000 }));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A crowd has two pipes for each of its processes.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
