//! C5 and C8: the queue, as etcd shows it.

use super::{Rule, Violation};
use crate::MS;
use crate::hold::Hold;
use crate::record::Lang;
use crate::run::{Key, Name, Run};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How long the next may take to have its turn when nothing is wrong.
const TURN: u64 = 1500 * MS;
/// How long after a fault: a leader has to be found, and a client to come back from its longest patience.
const RECOVERY: u64 = 3000 * MS;

/// How long after its end a lease may be found to have ended: etcd looks twice a second.
const EXPIRY: u64 = 1000 * MS;
/// Feels only what everybody does.
const NOBODY: u32 = u32::MAX;

/// A change of a queue, at a revision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// A key came.
    Come,
    /// A holder wrote on condition of its key.
    Wrote,
    /// A key went.
    Gone,
}

/// All that is known of the order of events in each queue: revision, change, token.
fn changes(run: &Run) -> BTreeMap<u32, Vec<(u64, Change, u64)>> {
    let mut queues: BTreeMap<u32, Vec<(u64, Change, u64)>> = BTreeMap::new();
    for Key { lock, token, gone } in run.keys.values().copied() {
        let queue = queues.entry(lock).or_default();
        queue.push((token, Change::Come, token));
        queue.extend(gone.map(|(revision, _)| (revision, Change::Gone, token)));
    }
    for hold in &run.holds {
        let wrote = |revision: &u64| (*revision, Change::Wrote, hold.token);
        queues.entry(hold.lock).or_default().extend(hold.guarded.iter().map(wrote));
    }
    for queue in queues.values_mut() {
        queue.sort_unstable();
    }
    queues
}

/// A key that was held is the oldest of its queue, when it writes and when it goes.
pub(super) fn order(run: &Run) -> Vec<Violation> {
    let held = run.by_name();
    let mut violations = Vec::new();
    for (lock, changes) in changes(run) {
        let mut queue = BTreeSet::new();
        for (revision, change, token) in changes {
            if let (Some(first), Some(hold), true) = (queue.first(), held.get(&(lock, token)), change != Change::Come)
                && *first < token
                && hold.belief().is_some()
            {
                let text = format!("token {token} was held before its turn: {first} was there at revision {revision}");
                let at = hold.returned.unwrap_or(hold.called);
                violations.push(Violation { rule: Rule::Order, at, lock: Some(lock), text });
            }
            match change {
                Change::Come => drop(queue.insert(token)),
                Change::Gone => drop(queue.remove(&token)),
                Change::Wrote => {}
            }
        }
    }
    violations
}

/// The time from which each key was the oldest of its queue because an older one went; of several that belong together, from
/// which all were: only then can they be held.
pub(crate) fn turns(run: &Run) -> Vec<(Name, u64)> {
    let (firsts, held) = (firsts(run), run.by_name());
    let locks: BTreeSet<u32> = run.keys.keys().map(|(lock, _)| *lock).collect();
    let from = |name: &Name| {
        let same = locks.iter().map(|lock| (*lock, name.1)).filter(|same| run.keys.contains_key(same));
        let all = together(&held, *name, same).into_iter().map(|name| firsts.get(&name).copied().flatten());
        all.collect::<Option<Vec<_>>>()?.into_iter().max().filter(|from| *from > 0)
    };
    firsts.keys().filter_map(|name| Some((*name, from(name)?))).collect()
}

/// When each key that came to be the oldest of its queue came to be that: 0 if it was from the beginning, `None` if that
/// is not known.
fn firsts(run: &Run) -> BTreeMap<Name, Option<u64>> {
    let mut firsts = BTreeMap::new();
    for (lock, changes) in changes(run) {
        let mut queue = BTreeSet::new();
        for (_, change, token) in changes {
            match change {
                Change::Come => {
                    if queue.is_empty() {
                        firsts.insert((lock, token), Some(0));
                    }
                    queue.insert(token);
                }
                Change::Gone if queue.first() == Some(&token) => {
                    queue.remove(&token);
                    let seen = run.keys[&(lock, token)].gone.map(|(_, at)| at).filter(|at| *at != 0);
                    firsts.extend(queue.first().map(|first| ((lock, *first), seen)));
                }
                Change::Gone => drop(queue.remove(&token)),
                Change::Wrote => {}
            }
        }
    }
    firsts
}

/// Of the keys with the `same` token those of one request with this one. Those of several requests may have come in one
/// transaction: of one that was never held it is not known which.
fn together(held: &HashMap<Name, &Hold>, name: Name, same: impl Iterator<Item = Name>) -> Vec<Name> {
    let of_one = |hold: &Hold, other: &Hold| hold.pid == other.pid && hold.patience == other.patience;
    let belongs = |other: &Name| match (held.get(&name), held.get(other)) {
        (Some(hold), Some(other)) => of_one(hold, other),
        (Some(_), None) => false,
        (None, _) => true,
    };
    same.filter(belongs).collect()
}

/// Whose turn it is has the lock soon, or leaves; and what a dead holder had is free when its lease has ended.
pub(super) fn liveness(run: &Run) -> Vec<Violation> {
    let held = run.by_name();
    let end = run.records.iter().map(|record| record.at).max().unwrap_or(0);
    let late = turns(run).into_iter().filter_map(|(name, from)| late(run, &held, end, name, from));
    late.chain(deaths(run).filter_map(|death| overdue(run, &death))).collect()
}

/// A hold that was there when its worker was killed.
pub(crate) struct Death<'a> {
    hold: &'a Hold,
    killed: u64,
    /// When it would be free if its lease had been renewed just before.
    lease_end: u64,
    /// When it was.
    free: u64,
}

impl Death<'_> {
    /// How long after the end of its lease it was free, if no fault but this one was felt.
    pub(crate) fn delay(&self, run: &Run) -> Option<u64> {
        let calm = run.faults.felt(NOBODY, self.killed, self.free).is_none();
        calm.then(|| self.free.saturating_sub(self.lease_end))
    }
}

/// Those whose keys went by themselves. A command is not the process that has the lease.
pub(crate) fn deaths(run: &Run) -> impl Iterator<Item = Death<'_>> {
    run.holds.iter().filter(|hold| hold.lang != Lang::Command && hold.freed.is_none()).filter_map(|hold| {
        let killed = run.killed(hold).filter(|_| hold.release.is_none())?;
        let (_, free) = run.key(hold)?.gone?;
        let lease_end = killed + run.workers.get(&hold.pid)?.ttl * MS;
        (free > killed).then_some(Death { hold, killed, lease_end, free })
    })
}

fn overdue(run: &Run, death: &Death) -> Option<Violation> {
    let Death { hold, killed, lease_end, free } = *death;
    let limit = run.faults.limit(NOBODY, killed, lease_end - killed + EXPIRY, RECOVERY + longest_lease(run));
    (free > limit).then(|| {
        let text = format!("token {} was free {} ms after its worker was killed", hold.token, (free - killed) / MS);
        Violation { rule: Rule::Liveness, at: killed, lock: Some(hold.lock), text }
    })
}

fn late(run: &Run, held: &HashMap<Name, &Hold>, end: u64, name: Name, from: u64) -> Option<Violation> {
    let key = run.keys[&name];
    let hold = held.get(&name);
    // Of who never had it, nobody knows who it was: anybody's fault may have been its own, and its lease has to end.
    let (pid, recovery) = match hold {
        Some(hold) => (hold.pid, RECOVERY),
        None => (0, RECOVERY + longest_lease(run)),
    };
    let until = hold.and_then(|hold| hold.returned).or(key.gone.map(|(_, at)| at)).unwrap_or(end);
    let limit = run.faults.limit(pid, from, TURN, recovery);
    (until > limit).then(|| {
        let text = format!("it was token {}'s turn for {} ms", key.token, (until - from) / MS);
        Violation { rule: Rule::Liveness, at: from, lock: Some(key.lock), text }
    })
}

/// A new leader grants all leases once more.
fn longest_lease(run: &Run) -> u64 {
    2 * run.workers.values().map(|worker| worker.ttl).max().unwrap_or(0) * MS
}
