//! C1: of one lock never two are held at a time.

use super::{Rule, Violation};
use crate::hold::Hold;
use crate::run::Run;

/// No hold begins before the end of what all earlier ones believed.
pub(super) fn no_two_at_a_time(run: &Run) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (lock, holds) in run.beliefs() {
        let mut latest: Option<(u64, &Hold)> = None;
        for (from, until, hold) in holds {
            if let Some((end, other)) = latest.filter(|(end, _)| from < *end) {
                violations.push(overlap(lock, from, end.min(until), hold, other));
            }
            if latest.is_none_or(|(end, _)| end < until) {
                latest = Some((until, hold));
            }
        }
    }
    violations
}

fn overlap(lock: u32, from: u64, until: u64, hold: &Hold, other: &Hold) -> Violation {
    let who = |hold: &Hold| format!("{:?} {}/{} (token {})", hold.lang, hold.pid, hold.seq, hold.token);
    let text = format!("{} and {} for {:.3} ms", who(other), who(hold), (until - from) as f64 / 1e6);
    Violation { rule: Rule::Exclusion, at: from, lock: Some(lock), text }
}

/// No guard says that it is held at a moment that belongs to another.
pub(super) fn held_alone(run: &Run) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (lock, beliefs) in run.beliefs() {
        for hold in beliefs.iter().map(|belief| belief.2) {
            let said = |sample: u64| hold.freed.is_none_or(|freed| sample < freed);
            for sample in hold.samples.iter().filter(|sample| said(sample.at)) {
                let before = beliefs.partition_point(|belief| belief.0 <= sample.at);
                let other = beliefs[..before].last().filter(|last| last.2.token != hold.token && sample.at < last.1);
                if let Some((_, _, other)) = other {
                    let text = format!("token {} said held, it was token {}'s time", hold.token, other.token);
                    violations.push(Violation { rule: Rule::HeldAlone, at: sample.at, lock: Some(lock), text });
                }
            }
        }
    }
    violations
}
