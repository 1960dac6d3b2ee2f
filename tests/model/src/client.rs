//! One client: its lease, its acquisitions, and what it still has to do behind them.

use crate::Rules;
use crate::etcd::{Key, LeaseId, Place, Reply, Request, Revision};

/// What an acquisition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    Wait,
    /// Only if the lock is free.
    Try,
}

/// A request and what has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    pub request: Request,
    /// `None`: not yet done.
    pub reply: Option<Reply>,
}

/// Where an acquisition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// About to enter; with a key, once more.
    Ready {
        key: Option<Key>,
    },
    Entering {
        key: Key,
        epoch: Revision,
        call: Call,
    },
    /// No answer came. `looked`: what was read of the key too early, by who breaks that rule.
    InDoubt {
        key: Key,
        epoch: Revision,
        looked: Option<Option<Place>>,
    },
    Waiting {
        key: Key,
        created: Revision,
    },
    Holding {
        key: Key,
        created: Revision,
    },
    /// Nothing more is asked for.
    Done,
}

/// One after the other, what one thread of a program locks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub asks: Vec<Ask>,
    pub phase: Phase,
}

/// A key to be deleted behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chore {
    pub key: Key,
    /// The epoch of an enter of it that is in doubt.
    pub in_doubt: Option<Revision>,
    pub call: Option<Call>,
}

/// A lease that lasts by the client's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub id: LeaseId,
    /// The highest revision of the epoch key that is known; 0: not yet written.
    pub epoch: Revision,
    /// How many keys there were on it.
    places: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    pub crashed: bool,
    pub leases: u8,
    pub lease: Option<Lease>,
    pub epoch_write: Option<Call>,
    pub tasks: Vec<Task>,
    pub chores: Vec<Chore>,
}

impl Client {
    pub fn new(tasks: &[Vec<Ask>]) -> Self {
        let tasks = tasks.iter().map(|asks| Task { asks: asks.clone(), phase: Phase::Ready { key: None } }).collect();
        Client { crashed: false, leases: 0, lease: None, epoch_write: None, tasks, chores: Vec::new() }
    }

    pub fn take_lease(&mut self, client: u8) -> LeaseId {
        self.leases += 1;
        let id = LeaseId { client, n: self.leases };
        self.lease = Some(Lease { id, epoch: 0, places: 0 });
        id
    }

    pub fn adopt(&mut self, epoch: Revision) {
        let lease = self.lease.as_mut().expect("it answered about the lease");
        lease.epoch = lease.epoch.max(epoch);
    }

    /// Whether no enter that carries `epoch` can succeed any more, as far as the client knows.
    pub fn fenced(&self, epoch: Revision, rules: &Rules) -> bool {
        !rules.epoch || self.lease.is_some_and(|lease| lease.epoch > epoch)
    }

    /// Whether somebody waits for a later epoch.
    pub fn wants_epoch(&self, rules: &Rules) -> bool {
        let in_doubt = self.tasks.iter().filter_map(|task| match task.phase {
            Phase::InDoubt { epoch, .. } => Some(epoch),
            _ => None,
        });
        let behind = self.chores.iter().filter_map(|chore| chore.in_doubt);
        self.lease.is_some() && in_doubt.chain(behind).chain([0]).any(|epoch| !self.fenced(epoch, rules))
    }

    /// Sends what nobody has to wait for. (Whether it is sent or done late makes no difference.)
    pub fn send_what_is_due(&mut self, rules: &Rules) {
        if self.epoch_write.is_none() && self.wants_epoch(rules) {
            let lease = self.lease.expect("it wants an epoch").id;
            self.epoch_write = Some(Call { request: Request::WriteEpoch { lease }, reply: None });
        }
        let known = self.lease.map_or(0, |lease| lease.epoch);
        for chore in self.chores.iter_mut().filter(|chore| chore.call.is_none()) {
            let may_come_later = rules.epoch && chore.in_doubt.is_some_and(|epoch| known <= epoch);
            if !(may_come_later && rules.delete_after_fence) {
                chore.call = Some(Call { request: Request::Delete { key: chore.key }, reply: None });
            }
        }
        self.chores.sort();
    }

    /// The enter that a task sends now.
    pub fn enter(&mut self, task: usize, rules: &Rules) {
        let Phase::Ready { key } = self.tasks[task].phase else { unreachable!() };
        let key = key.unwrap_or_else(|| self.next_key(task, rules));
        let epoch = self.lease.expect("ready").epoch;
        let alone = self.tasks[task].asks[0] == Ask::Try;
        let request = Request::Enter { key, epoch, alone };
        self.tasks[task].phase = Phase::Entering { key, epoch, call: Call { request, reply: None } };
    }

    fn next_key(&mut self, task: usize, rules: &Rules) -> Key {
        let lease = self.lease.as_mut().expect("ready");
        lease.places += 1;
        Key { lease: lease.id, n: if rules.fresh_keys { lease.places } else { 100 + task as u8 } }
    }

    /// Has a key deleted behind.
    pub fn leave(&mut self, key: Key, in_doubt: Option<Revision>) {
        self.chores.push(Chore { key, in_doubt, call: None });
    }

    /// The client's own clock says that its lease may end: nothing on it counts any more. Gives the requests that are
    /// under way.
    pub fn end_lease(&mut self) -> Vec<Request> {
        self.lease = None;
        let mut calls: Vec<_> = self.chores.drain(..).filter_map(|chore| chore.call).collect();
        calls.extend(self.epoch_write.take());
        for task in &mut self.tasks {
            match task.phase {
                Phase::Entering { call, .. } => calls.push(call),
                Phase::Holding { .. } => task.next(),
                _ => (),
            }
            if task.phase != Phase::Done {
                task.phase = Phase::Ready { key: None };
            }
        }
        calls.into_iter().filter(|call| call.reply.is_none()).map(|call| call.request).collect()
    }

    pub fn crash(&mut self) -> Vec<Request> {
        let under_way = self.end_lease();
        self.crashed = true;
        self.tasks.iter_mut().for_each(|task| *task = Task { asks: Vec::new(), phase: Phase::Done });
        under_way
    }
}

impl Task {
    /// Goes on to what is asked for next.
    pub fn next(&mut self) {
        self.asks.remove(0);
        self.phase = if self.asks.is_empty() { Phase::Done } else { Phase::Ready { key: None } };
    }
}
