//! `logout --all` and `login` run into each other. Either may be the last one; but a login that said
//! that it is done has a session, or a logout that told the server so.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

use crate::counts::Counts;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{Run, finish, start};

/// Lets them run into each other so many times.
pub fn run(seed: u64, times: u64) -> Counts {
    let mut random = Rng::with_seed(seed);
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    let mut counts = Counts::default();
    for _ in 0..times {
        if random.bool() {
            home.log_in();
        }
        peer.clear_log();
        collide(&home, &mut random, &mut counts);
        counts.add("logouts of everything beside a login", 1);
        let run = home.run(&["refresh"], "");
        match run.code {
            Some(0) => counts.add("sessions that were there afterwards", 1),
            Some(3) => {
                for lost in not_revoked(&peer) {
                    complain(&mut counts, &peer, &format!("{lost} was forgotten, not revoked"));
                }
            }
            _ => complain(&mut counts, &peer, &format!("neither logged in nor out: {run:?}")),
        }
        let run = home.run(&["login"], "");
        if run.code != Some(0) {
            complain(&mut counts, &peer, &format!("no login afterwards: {run:?}"));
        }
    }
    counts
}

/// Both at once, and a caller beside them.
fn collide(home: &Home, random: &mut Rng, counts: &mut Counts) {
    let mut order = [&["logout", "--all"][..], &["login"], &["get"]];
    random.shuffle(&mut order);
    let mut processes = Vec::new();
    for arguments in order {
        processes.push((arguments, start(home.program(arguments), b"")));
        // As long as a login takes, or not at all.
        std::thread::sleep(Duration::from_millis(random.u64(0..400)));
    }
    for (arguments, process) in processes {
        let run = finish(process);
        if !is_honest(arguments, &run) {
            counts.complaints.push(format!("{arguments:?} ended with {run:?}"));
        }
    }
}

/// Whether it did what it says, or says that it was in somebody's way.
fn is_honest(arguments: &[&str], run: &Run) -> bool {
    match run.code {
        Some(0 | 4) => true,
        // There was nothing to log out of, or nothing to answer with.
        Some(3) => arguments != ["login"],
        _ => false,
    }
}

/// The refresh tokens that the server gave, and that nobody spent or revoked.
fn not_revoked(peer: &Peer) -> BTreeSet<String> {
    let log = peer.log();
    let ended: BTreeSet<_> = log.iter().filter_map(|event| event.token_sha256.clone()).collect();
    let given = log.iter().filter_map(|event| event.new_token_sha256.clone());
    given.filter(|token| !ended.contains(token)).collect()
}

fn complain(counts: &mut Counts, peer: &Peer, what: &str) {
    let log: Vec<_> = peer.log().into_iter().map(|event| (event.endpoint, event.result)).collect();
    counts.complaints.push(format!("{what}; the server saw {log:?}"));
}
