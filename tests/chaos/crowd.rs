//! A crowd on one stale session: one refresh, and everybody answers.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::counts::Counts;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

/// Starts so many processes at once, first on a fresh session and then on a stale one.
pub fn run(processes: usize) -> Counts {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let mut counts = Counts::default();
    counts.add("processes at once", processes as u64);
    let mut timed = |what: &str| {
        let started = Instant::now();
        let runs = all_at_once(&home, processes);
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        counts.add(&format!("ms for all on a {what} session"), millis);
        runs
    };
    timed("fresh");
    home.make_stale();
    peer.clear_log();
    let runs = timed("stale");
    let answers: BTreeSet<_> = runs.iter().map(|run| &run.stdout).collect();
    let refreshes = peer.refreshes().len();
    counts.add("refresh requests", refreshes as u64);
    if refreshes != 1 || answers.len() != 1 || runs.iter().any(|run| run.code != Some(0)) {
        let failures: BTreeSet<_> = runs.iter().map(|run| (run.code, &run.stderr)).collect();
        counts
            .complaints
            .push(format!("{} answers, {refreshes} refresh requests, {failures:?}", answers.len()));
    }
    counts
}

fn all_at_once(home: &Home, processes: usize) -> Vec<Run> {
    let started: Vec<_> = (0..processes).map(|_| start(home.program(&["get"]), b"")).collect();
    started.into_iter().map(finish).collect()
}
