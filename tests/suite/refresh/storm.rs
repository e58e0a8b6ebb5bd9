//! Many processes that find the token stale at the same moment.

use std::collections::BTreeSet;

use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

const PROCESSES: usize = 50;

/// Starts all of them before it waits for the first.
fn storm(home: &Home) -> Vec<Run> {
    let started: Vec<_> = (0..PROCESSES).map(|_| start(home.program(&[]), b"get\n")).collect();
    started.into_iter().map(finish).collect()
}

#[test]
fn fifty_processes_on_a_stale_session_share_one_refresh() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    for round in 1..=2 {
        home.make_stale();
        let runs = storm(&home);
        for run in &runs {
            run.succeeds_quietly();
        }
        let answers: BTreeSet<_> = runs.iter().map(|run| run.stdout.clone()).collect();
        assert_eq!(answers.len(), 1, "all answers are equal");
        assert!(peer.accepts(&runs[0].value("access_token")));
        assert_eq!(peer.refreshes().len(), round, "one refresh a round");
    }
}

#[test]
fn fifty_processes_share_the_failure_of_one_refresh() {
    let peer = Peer::start(Kind::Judge);
    let home = Home::at(&peer);
    home.log_in();
    home.make_stale();
    peer.decline_refreshes(503);
    for run in storm(&home) {
        run.fails(4, &["503"]);
    }
    assert_eq!(peer.refreshes().len(), 1);
}
