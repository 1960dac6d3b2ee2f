//! C2: tokens.

use super::{Rule, Violation};
use crate::run::Run;
use std::collections::HashSet;

/// The tokens of a lock are unique, rise from holder to holder, and are what etcd says.
pub(super) fn unique_and_rising(run: &Run) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut seen = HashSet::new();
    for hold in run.holds.iter().filter(|hold| hold.token != 0) {
        let mut say = |text| {
            let at = hold.returned.unwrap_or(hold.called);
            violations.push(Violation { rule: Rule::Tokens, at, lock: Some(hold.lock), text });
        };
        if !seen.insert(hold.name()) {
            say(format!("token {} was given twice", hold.token));
        }
        if run.key(hold).is_none() {
            say(format!("etcd knows of no key with the create revision {}", hold.token));
        }
    }
    for (lock, holds) in run.beliefs() {
        for (earlier, later) in holds.iter().zip(&holds[1..]).filter(|(a, b)| a.2.token > b.2.token) {
            let text = format!("token {} came after {}", later.2.token, earlier.2.token);
            violations.push(Violation { rule: Rule::Tokens, at: later.0, lock: Some(lock), text });
        }
    }
    violations
}
