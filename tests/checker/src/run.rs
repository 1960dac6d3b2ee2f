//! A whole history, put together.

use crate::MS;
use crate::faults::{Fault, Faults, What};
use crate::hold::Hold;
use crate::record::{Kind, Lang, Record};
use std::collections::{BTreeMap, HashMap};

/// How long a holder may take to be told that somebody has freed its lock, or that its time was over when it woke.
pub const NOTICE: u64 = 250 * MS;

/// A key that was under a lock's name, as etcd tells it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Of which lock.
    pub lock: u32,
    /// Its create revision.
    pub token: u64,
    /// The revision at which it went, and when the witness saw it.
    pub gone: Option<(u64, u64)>,
}

/// What a key goes by: its lock and its token. Keys of several locks that came in one transaction have the same token.
pub type Name = (u32, u64);

/// A process that asks for locks.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    /// Its language.
    pub lang: Lang,
    /// The TTL of its lease in milliseconds.
    pub ttl: u64,
    /// When it began.
    pub from: u64,
    /// Whether it came to its end.
    pub done: bool,
    /// When somebody began to kill it.
    pub killed: Option<u64>,
}

/// A whole history, put together.
#[derive(Debug)]
pub struct Run {
    /// In the file's order.
    pub records: Vec<Record>,
    /// In the order in which they were asked for.
    pub holds: Vec<Hold>,
    /// By lock and token, thus in the order in which they came into their queues.
    pub keys: BTreeMap<Name, Key>,
    /// What the nemesis did.
    pub faults: Faults,
    /// By process id.
    pub workers: HashMap<u32, Worker>,
}

impl Run {
    /// Puts records together.
    pub fn new(records: Vec<Record>) -> Self {
        let faults = Faults::new(&records);
        let keys = keys(&records);
        let workers = workers(&records, &faults);
        let mut holds = holds(&records);
        let freed = freed(&faults.list, &keys);
        for hold in &mut holds {
            hold.freed = freed.get(&hold.name()).copied();
            if hold.lang == Lang::Command {
                hold.forgive(faults.of(hold.pid, What::Pause), NOTICE);
            }
        }
        Run { records, holds, keys, faults, workers }
    }

    /// The holds of each lock in the order in which they were had, with the times in which they were believed in.
    pub fn beliefs(&self) -> BTreeMap<u32, Vec<(u64, u64, &Hold)>> {
        let mut locks: BTreeMap<u32, Vec<(u64, u64, &Hold)>> = BTreeMap::new();
        for hold in &self.holds {
            if let Some((from, until)) = hold.belief() {
                locks.entry(hold.lock).or_default().push((from, until, hold));
            }
        }
        for holds in locks.values_mut() {
            holds.sort_unstable_by_key(|hold| (hold.0, hold.1));
        }
        locks
    }

    /// The key of a hold.
    pub fn key(&self, hold: &Hold) -> Option<&Key> {
        self.keys.get(&hold.name())
    }

    /// The holds that were had, by lock and token.
    pub fn by_name(&self) -> HashMap<Name, &Hold> {
        self.holds.iter().filter(|hold| hold.token != 0).map(|hold| (hold.name(), hold)).collect()
    }

    /// When somebody began to kill the worker of a hold, if that was after the hold was asked for.
    pub fn killed(&self, hold: &Hold) -> Option<u64> {
        self.workers.get(&hold.pid).and_then(|worker| worker.killed).filter(|at| *at >= hold.called)
    }
}

fn keys(records: &[Record]) -> BTreeMap<Name, Key> {
    let mut keys = BTreeMap::new();
    for record in records {
        let Record { lock, token, .. } = *record;
        match record.kind {
            Kind::Put => drop(keys.entry((lock, token)).or_insert(Key { lock, token, gone: None })),
            Kind::Delete => {
                let key = keys.entry((lock, token)).or_insert(Key { lock, token, gone: None });
                // What was seen when it happened stands before what was found at the end.
                key.gone = key.gone.or(Some((record.revision, record.at)));
            }
            _ => {}
        }
    }
    keys
}

fn workers(records: &[Record], faults: &Faults) -> HashMap<u32, Worker> {
    let mut workers = HashMap::new();
    for record in records {
        match record.kind {
            Kind::Start => {
                let killed = faults.of(record.pid, What::Kill).next().map(|kill| kill.from);
                let Record { lang, token: ttl, at: from, .. } = *record;
                workers.insert(record.pid, Worker { lang, ttl, from, done: false, killed });
            }
            Kind::Done => {
                if let Some(worker) = workers.get_mut(&record.pid) {
                    worker.done = true;
                }
            }
            _ => {}
        }
    }
    workers
}

fn holds(records: &[Record]) -> Vec<Hold> {
    let mut index: HashMap<(u32, u32), usize> = HashMap::new();
    let mut holds: Vec<Hold> = Vec::new();
    let of_a_hold = |record: &&Record| record.seq != 0 && (Kind::AcqCall..=Kind::Naked).contains(&record.kind);
    for record in records.iter().filter(of_a_hold) {
        let place = *index.entry((record.pid, record.seq)).or_insert_with(|| {
            holds.push(Hold::new(record));
            holds.len() - 1
        });
        holds[place].tell(record);
    }
    holds.sort_by_key(|hold| hold.called);
    holds
}

/// When somebody began to free the holds that ended by hand, by lock and token: it is known which key it was, or else at which
/// revision some went.
fn freed(faults: &[Fault], keys: &BTreeMap<Name, Key>) -> HashMap<Name, u64> {
    // `MAX`: nothing was freed.
    let by_hand = || faults.iter().filter(|fault| fault.what.by_hand() && fault.revision != u64::MAX);
    let tokens: HashMap<u64, u64> = by_hand().map(|fault| (fault.token, fault.from)).collect();
    let revisions: HashMap<u64, u64> =
        by_hand().filter(|fault| fault.revision != 0).map(|fault| (fault.revision, fault.from)).collect();
    let when = |key: &Key| {
        let revision = key.gone?.0;
        revisions.get(&revision).or_else(|| tokens.get(&key.token)).map(|from| ((key.lock, key.token), *from))
    };
    keys.values().filter_map(when).collect()
}
