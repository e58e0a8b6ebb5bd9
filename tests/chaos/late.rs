//! Answers that come when every usual client has given up: after 15 to 40 s. The server rotated the
//! token long before, so whoever hangs up and asks again loses the session.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::json;

use crate::counts::Counts;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{finish, start};

/// Milliseconds: the limit of a usual client, and what a refresh is waited for.
const LATE: std::ops::Range<u64> = 15_000..40_000;
/// As many callers wait for one answer.
const CALLERS: usize = 5;

/// Lets one session after the other wait for its answer, so many of them at once, so many times.
pub fn run(seed: u64, sessions: u64, times: u64) -> Counts {
    std::thread::scope(|scope| {
        let arms = (0..sessions).map(|session| {
            scope.spawn(move || wait_for(&mut Rng::with_seed(seed ^ session), session, times))
        });
        let arms: Vec<_> = arms.collect();
        arms.into_iter().map(|arm| arm.join().expect("it does not panic")).sum()
    })
}

fn wait_for(random: &mut Rng, session: u64, times: u64) -> Counts {
    let kind = [Kind::Demo, Kind::Judge][usize::from(session % 2 == 1)];
    let peer = Peer::start(kind);
    let home = Home::at(&peer);
    home.log_in();
    let mut counts = Counts::default();
    for _ in 0..times {
        home.make_stale();
        peer.clear_log();
        let milliseconds = random.u64(LATE);
        peer.fault(&json!({"endpoint": "token", "kind": "late", "ms": milliseconds, "times": 1}));
        let callers: Vec<_> = (0..CALLERS).map(|_| start(home.program(&["get"]), b"")).collect();
        let runs: Vec<_> = callers.into_iter().map(finish).collect();
        counts.add("answers after 15 to 40 s", 1);
        let answers: BTreeSet<_> = runs.iter().map(|run| &run.stdout).collect();
        let refreshes = peer.refreshes();
        if refreshes.len() != 1 || answers.len() != 1 || runs.iter().any(|run| run.code != Some(0))
        {
            let results: Vec<_> = refreshes.into_iter().map(|event| event.result).collect();
            counts.complaints.push(format!(
                "an answer after {milliseconds} ms: {runs:?}; the server saw {results:?}"
            ));
        }
    }
    counts
}
