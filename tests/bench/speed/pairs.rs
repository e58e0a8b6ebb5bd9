//! Two commands in turn, many times, and what came of it.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs that are not counted, first.
const WARM_UP: usize = 5;

/// How long each of many runs took, in milliseconds, in order of length.
pub struct Sample(Vec<f64>);

/// A line of the table.
pub struct Row {
    what: String,
    ours: String,
    beside: String,
    ratio: String,
    aim: String,
}

impl Sample {
    pub fn of(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value with so many quarters of all below it.
    fn at(&self, quarters: usize) -> f64 {
        self.0[(self.0.len() - 1) * quarters / 4]
    }
}

/// The median, and the quartiles around it.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.at(2), self.at(1), self.at(3))
    }
}

impl Row {
    /// What was measured in turn, in milliseconds, and the ratio pair by pair.
    pub fn of(what: &str, ours: &[f64], name: &str, beside: &[f64], aim: &str) -> Self {
        let ratios = ours.iter().zip(beside).map(|(ours, beside)| ours / beside).collect();
        let (ours, beside) = (Sample::of(ours.to_vec()), Sample::of(beside.to_vec()));
        Self {
            what: what.into(),
            ours: format!("{ours} ms"),
            beside: format!("{name}: {beside} ms"),
            ratio: Sample::of(ratios).to_string(),
            aim: aim.into(),
        }
    }

    /// As [`Row::of`], where it is the difference that counts and not the ratio.
    pub fn of_difference(what: &str, ours: &[f64], name: &str, beside: &[f64], aim: &str) -> Self {
        let differences = ours.iter().zip(beside).map(|(ours, beside)| ours - beside).collect();
        let mut row = Self::of(what, ours, name, beside, aim);
        row.ratio = format!("{} ms more", Sample::of(differences));
        row
    }

    /// A size in bytes beside its bound.
    pub fn bound(what: &str, bytes: u64, most: u64) -> Self {
        let mebibytes = |bytes: u64| {
            let thousandths = bytes * 1000 / (1 << 20);
            format!("{}.{:02} MiB", thousandths / 1000, thousandths % 1000 / 10)
        };
        Self {
            what: what.into(),
            ours: mebibytes(bytes),
            beside: String::new(),
            ratio: String::new(),
            aim: format!("≤ {}", mebibytes(most)),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { what, ours, beside, ratio, aim } = self;
        write!(f, "| {what} | {ours} | {beside} | {ratio} | {aim} |")
    }
}

/// Runs all commands in turn, `rounds` times, and gives the milliseconds of each.
pub fn in_turn<const N: usize>(
    rounds: usize,
    mut commands: [&mut dyn FnMut() -> Duration; N],
) -> [Vec<f64>; N] {
    let mut times = [const { Vec::new() }; N];
    for round in 0..WARM_UP + rounds {
        for (command, times) in commands.iter_mut().zip(&mut times) {
            let took = command();
            if round >= WARM_UP {
                times.push(took.as_secs_f64() * 1000.0);
            }
        }
    }
    times
}

/// From the start of a program until it is gone. Standard input is what is in the file `input`.
pub fn time(command: &mut Command, input: &std::path::Path) -> Duration {
    let input = std::fs::File::open(input).unwrap();
    command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let took = started.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}
