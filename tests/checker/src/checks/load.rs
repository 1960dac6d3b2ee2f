//! C10: the load.

use super::{Rule, Violation};
use crate::faults::What;
use crate::run::Run;

/// Acquisitions a second before the first fault, at least.
const BEFORE: f64 = 20.0;
/// And from then on.
const DURING: f64 = 5.0;

/// Acquisitions a second before the first fault, and from then on.
pub(crate) fn rates(run: &Run) -> (f64, f64) {
    let had: Vec<u64> = run.holds.iter().filter_map(|hold| hold.returned).collect();
    let (Some(first), Some(last)) = (had.iter().min(), had.iter().max()) else { return (0.0, 0.0) };
    let made = run.faults.list.iter().find(|fault| fault.what != What::Lag);
    let fault = made.map_or(*last, |fault| fault.from).clamp(*first, *last);
    let rate = |count: usize, time: u64| if time == 0 { 0.0 } else { count as f64 * 1e9 / time as f64 };
    let before = had.iter().filter(|at| **at <= fault).count();
    (rate(before, fault - first), rate(had.len() - before, last - fault))
}

/// A run with too little load shows nothing.
pub(super) fn floor(run: &Run) -> Vec<Violation> {
    let (before, during) = rates(run);
    if before >= BEFORE && (during >= DURING || run.faults.list.is_empty()) {
        return Vec::new();
    }
    let text = format!("{before:.1}/s before the faults, {during:.1}/s from then on: this run does not count");
    vec![Violation { rule: Rule::Load, at: run.records.first().map_or(0, |first| first.at), lock: None, text }]
}
