//! What is said of a run.

use crate::checks::{Violation, all};
use crate::figures::Figures;
use crate::record::Record;
use crate::run::Run;
use std::fmt::{self, Write};

/// How many records are shown around a violation.
const AROUND: usize = 20;
/// How many violations are named.
const NAMED: usize = 20;

/// What is said of a run.
#[derive(Debug)]
pub struct Report {
    /// What was counted.
    pub figures: Figures,
    /// What was broken.
    pub violations: Vec<Violation>,
    context: String,
}

impl Report {
    /// Checks a run.
    pub fn new(run: &Run) -> Self {
        let violations = all(run);
        let figures = Figures::new(run, &violations);
        let context = violations.first().map(|first| context(run, first)).unwrap_or_default();
        Report { figures, violations, context }
    }
}

/// The records of the same lock, and the faults, around a violation.
fn context(run: &Run, violation: &Violation) -> String {
    let concerns = |record: &&Record| violation.lock.is_none_or(|lock| record.lock == lock || record.lock == 0);
    let mut records: Vec<&Record> = run.records.iter().filter(concerns).collect();
    records.sort_by_key(|record| record.at);
    let place = records.partition_point(|record| record.at < violation.at);
    let from = place.saturating_sub(AROUND / 2);
    let mut text = format!("the {AROUND} records around the first:\n");
    for record in records.iter().skip(from).take(AROUND) {
        let _ = writeln!(text, "  {record}");
    }
    text
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.figures)?;
        for violation in self.violations.iter().take(NAMED) {
            writeln!(f, "VIOLATION {violation}")?;
        }
        f.write_str(&self.context)?;
        match self.violations.len() {
            0 => write!(f, "verdict            every promise was kept"),
            count => write!(f, "verdict            {count} violations"),
        }
    }
}
