//! C3 and C4: what the locks protect.

use super::{Rule, Violation};
use crate::faults::What;
use crate::record::Kind;
use crate::run::Run;
use std::collections::HashMap;

/// So many pauses hit a holder at least once.
const PAUSES: usize = 10;

/// The fenced file took no write with a lower token than the one before.
pub(super) fn fence(run: &Run) -> Vec<Violation> {
    let mut highest: HashMap<u32, u64> = HashMap::new();
    let mut violations = Vec::new();
    for record in run.records.iter().filter(|record| record.kind == Kind::FencedOk) {
        let highest = highest.entry(record.lock).or_default();
        if record.token < *highest {
            let text = format!("token {} wrote after {highest}", record.token);
            violations.push(Violation { rule: Rule::Fence, at: record.at, lock: Some(record.lock), text });
        }
        *highest = record.token.max(*highest);
    }
    violations
}

/// A run with pauses has had stale writes: else it has not shown that they are refused.
pub(super) fn fence_tried(run: &Run) -> Vec<Violation> {
    let pauses = run.faults.list.iter().filter(|fault| fault.what == What::Pause).count();
    if pauses < PAUSES || run.records.iter().any(|record| record.kind == Kind::FencedStale) {
        return Vec::new();
    }
    let text = format!("{pauses} pauses, and not one stale write");
    vec![Violation { rule: Rule::FenceTried, at: run.records.last().map_or(0, |last| last.at), lock: None, text }]
}

/// A write on condition of the lock's key was done at a revision at which the key was there.
pub(super) fn guarded(run: &Run) -> Vec<Violation> {
    let mut violations = Vec::new();
    for hold in &run.holds {
        let gone = run.key(hold).and_then(|key| key.gone).map_or(u64::MAX, |gone| gone.0);
        for revision in hold.guarded.iter().filter(|revision| !(hold.token..gone).contains(revision)) {
            let text = format!("token {} wrote at revision {revision}, its key went at {gone}", hold.token);
            let at = hold.returned.unwrap_or(hold.called);
            violations.push(Violation { rule: Rule::Guarded, at, lock: Some(hold.lock), text });
        }
    }
    violations
}
