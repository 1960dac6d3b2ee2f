//! C7 and C9: what calls return.

use super::{Rule, Violation};
use crate::MS;
use crate::hold::Hold;
use crate::run::Run;

/// How long after the end of its patience a call may take: it asks etcd who holds the lock, within the client's limit.
const BOUND: u64 = 6000 * MS;
/// And how long after a fault.
const RECOVERY: u64 = 6000 * MS;
/// How a call for a lock may fail: timeout, cancelled, lost, unavailable. All else is wrong of the worker or of locker.
const OUTCOMES: std::ops::RangeInclusive<u64> = 1..=4;

/// Nothing is held after its loss or its release was told.
pub(super) fn finality(run: &Run) -> Vec<Violation> {
    let broken = |hold: &Hold| {
        let over = hold.over()?;
        let sample = hold.samples.iter().find(|sample| sample.at > over)?;
        let text = format!("token {} said held {:.3} ms after its end", hold.token, (sample.at - over) as f64 / 1e6);
        Some(Violation { rule: Rule::Finality, at: sample.at, lock: Some(hold.lock), text })
    };
    run.holds.iter().filter_map(broken).collect()
}

/// Every call for a lock ends, in time and with an outcome that it may have, unless its worker was killed.
pub(super) fn calls_end(run: &Run) -> Vec<Violation> {
    let mut violations: Vec<Violation> = run.holds.iter().filter_map(|hold| endless(run, hold)).collect();
    for (pid, worker) in run.workers.iter().filter(|(_, worker)| !worker.done && worker.killed.is_none()) {
        let text = format!("the {:?} worker {pid} did not come to its end", worker.lang);
        violations.push(Violation { rule: Rule::Calls, at: worker.from, lock: None, text });
    }
    violations
}

fn endless(run: &Run, hold: &Hold) -> Option<Violation> {
    let text = match hold.answered() {
        None if run.killed(hold).is_none() => Some("a call has not ended".to_string()),
        Some(at) if at > run.faults.limit(hold.pid, hold.called.max(hold.patience), BOUND, RECOVERY) => {
            Some(format!("a call took {} ms", (at - hold.called) / MS))
        }
        _ => {
            hold.failed.filter(|failed| !OUTCOMES.contains(&failed.1)).map(|failed| format!("a call gave {}", failed.1))
        }
    }?;
    let text = format!("{:?} {}/{}: {text}", hold.lang, hold.pid, hold.seq);
    Some(Violation { rule: Rule::Calls, at: hold.called, lock: Some(hold.lock), text })
}
