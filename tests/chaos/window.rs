//! How wide the window is in which a killed worker may cost a session: from the arrival of the
//! server's answer to the journal. Once written, the answer survives the worker; once synced, the
//! machine too.

use std::path::Path;

use crate::counts::Counts;
use crate::support::home::Home;
use crate::support::peers::{Kind, Peer};
use crate::support::process::{finish, start};

const REFRESHES: usize = 21;
/// What the trace shows of the answer when it is read.
const ANSWER: &str = "\"HTTP/1.1 ";

/// Traces some refreshes, and takes the medians; the tracer's own time is in them.
pub fn measure() -> Counts {
    let peer = Peer::start(Kind::Demo);
    let home = Home::at(&peer);
    home.log_in();
    let (mut written, mut synced) = (Vec::new(), Vec::new());
    for _ in 0..REFRESHES {
        let log = home.path().join("trace");
        let calls = "trace=recvfrom,write,fdatasync";
        let mut traced = home.any_program(Path::new("strace"), &["-f", "-ttt", "-e", calls, "-o"]);
        traced.arg(&log).args([env!("CARGO_BIN_EXE_dd-oauth"), "refresh"]);
        finish(start(traced, b""));
        let log = std::fs::read_to_string(log).expect("strace writes it");
        // What follows the answer: the write of the journal, its sync, and the next record's.
        let (_, after) = log.split_once(ANSWER).expect("the answer is read");
        let answer = moment(&log, ANSWER, 1);
        written.extend(micros(answer, moment(after, "fdatasync(", 1)));
        synced.extend(micros(answer, moment(after, "write(", 2)));
    }
    let mut counts = Counts::default();
    counts.add("µs from the answer until it is written (traced, median)", median(written));
    counts.add("µs from the answer until it is synced (traced, median)", median(synced));
    counts
}

/// When the call that stands so manyth in the log began, in seconds.
fn moment(log: &str, call: &str, number: usize) -> Option<f64> {
    let line = log.lines().filter(|line| line.contains(call)).nth(number - 1)?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn micros(from: Option<f64>, to: Option<f64>) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(((to? - from?) * 1e6) as u64)
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
