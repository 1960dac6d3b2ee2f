//! C6: losses.

use super::{Rule, Violation};
use crate::MS;
use crate::hold::Hold;
use crate::record::Lang;
use crate::run::{NOTICE, Run};

/// How long after a fault a holder may be blind: it has to open its watch anew.
const RECOVERY: u64 = 3000 * MS;

/// Whose key went is told so in time, and nobody is told so without a cause.
pub(super) fn told_in_time(run: &Run) -> Vec<Violation> {
    let mut violations = Vec::new();
    for hold in run.holds.iter().filter(|hold| hold.belief().is_some() || hold.freed.is_some()) {
        let text = late(run, hold).or_else(|| groundless(run, hold));
        let at = hold.lost.or(hold.returned).unwrap_or(hold.called);
        violations.extend(text.map(|text| Violation { rule: Rule::Loss, at, lock: Some(hold.lock), text }));
    }
    violations
}

/// It went on to say that it is held long after its key had gone.
fn late(run: &Run, hold: &Hold) -> Option<String> {
    let gone = gone_before_release(run, hold)?;
    let limit = run.faults.limit(hold.pid, gone, NOTICE, RECOVERY);
    // A deadline that is reached is a loss too, whether etcd can be asked or not: that is a matter of exclusion.
    let sample = hold.samples.iter().rfind(|sample| sample.at > limit)?;
    Some(format!("token {} said held {} ms after its key had gone", hold.token, (sample.at - gone) / MS))
}

/// When the key went of a hold that had not begun to release it.
pub(crate) fn gone_before_release(run: &Run, hold: &Hold) -> Option<u64> {
    let (_, at) = run.key(hold)?.gone.filter(|gone| gone.1 != 0)?;
    hold.release.is_none_or(|release| at < release).then_some(at)
}

/// It was told of a loss though its key was there, and nothing had kept it from renewing its lease.
fn groundless(run: &Run, hold: &Hold) -> Option<String> {
    let lost = hold.lost?;
    if hold.lang == Lang::Command {
        return None; // what is told of it is told at its end
    }
    let gone = run.key(hold).and_then(|key| key.gone).is_some_and(|(_, at)| at <= lost.saturating_add(NOTICE));
    let ttl = run.workers.get(&hold.pid).map_or(0, |worker| worker.ttl * MS);
    let disturbed = run.faults.felt(hold.pid, lost.saturating_sub(ttl + RECOVERY), lost).is_some();
    (!gone && !disturbed).then(|| format!("token {} was told lost, and nothing was wrong", hold.token))
}
