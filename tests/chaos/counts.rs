//! What happened, and what should not have.

use std::collections::BTreeMap;
use std::fmt;

/// The counts of one arm.
#[derive(Default)]
pub struct Counts {
    numbers: BTreeMap<String, u64>,
    /// What fails the run, each with what is needed to look into it.
    pub complaints: Vec<String>,
}

impl Counts {
    pub fn add(&mut self, what: &str, number: u64) {
        *self.numbers.entry(what.to_string()).or_default() += number;
    }

    pub fn of(&self, what: &str) -> u64 {
        self.numbers.get(what).copied().unwrap_or_default()
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, counts| {
            for (what, number) in counts.numbers {
                sum.add(&what, number);
            }
            sum.complaints.extend(counts.complaints);
            sum
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.numbers.iter().map(|(what, number)| format!("{number} {what}"));
        f.write_str(&numbers.collect::<Vec<_>>().join(", "))
    }
}
