//! A thousand processes at once on a stale session, beside a thousand on a fresh one.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Programs;
use crate::pairs::{Row, in_turn, time};
use crate::refresh::logged_in;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};

const PROCESSES: usize = 1000;
const ROUNDS: usize = 5;

pub fn row(programs: &Programs) -> Row {
    let peer = Peer::start(Kind::Demo);
    let (home, _) = logged_in(programs, &peer);
    let mut refresh = home.program(&["refresh"]);
    let [stale, fresh, alone] = in_turn(
        ROUNDS,
        [
            &mut || {
                home.make_stale();
                peer.clear_log();
                let took = all_at_once(&home);
                assert_eq!(peer.refreshes().len(), 1, "they share one refresh");
                took
            },
            &mut || all_at_once(&home),
            &mut || time(&mut refresh, "/dev/null".as_ref()),
        ],
    );
    let beside: Vec<_> = fresh.iter().zip(&alone).map(|(fresh, alone)| fresh + alone).collect();
    let name = "1,000 on a fresh one, and one refresh";
    Row::of("1,000 `get` at once on a stale session", &stale, name, &beside, "≤ 1.3")
}

/// How long it takes until all have answered, and with the same token.
fn all_at_once(home: &Home) -> Duration {
    let answers = home.path().join("answers");
    let _ = std::fs::remove_file(&answers);
    let file = File::options().create(true).append(true).open(&answers).unwrap();
    let started = Instant::now();
    let processes: Vec<Child> = (0..PROCESSES)
        .map(|_| {
            let mut command = home.program(&["get"]);
            command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).spawn().unwrap()
        })
        .collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    let took = started.elapsed();
    let answers = std::fs::read_to_string(&answers).unwrap();
    let tokens: Vec<_> = answers.lines().filter(|line| line.starts_with("access_token=")).collect();
    assert_eq!(tokens.len(), PROCESSES);
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 1, "they share one token");
    took
}
