//! One client: its lease, its acquisitions, and what it still has to do behind them.

use crate::Rules;
use crate::ask::Ask;
use crate::etcd::{Key, LeaseId, Name, Only, Place, Reply, Request, Revision};
use crate::keys::Keys;
use crate::mode::Mode;

/// A request and what has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    pub request: Request,
    /// `None`: not yet done.
    pub reply: Option<Reply>,
}

/// A place in etcd's queue, or in more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Own {
    pub keys: Keys,
    pub created: Revision,
    /// Whether the keys may be used again once they are deleted: nothing that was asked about them is without an answer.
    pub reusable: bool,
    /// Whether they outlive the lease, or may.
    pub outlives: bool,
}

/// Where an acquisition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// About to enter, or behind others in its client's line; with keys, once more.
    Ready {
        keys: Option<Keys>,
    },
    /// There was room at this revision: about to enter, unless somebody has done so since.
    Looked {
        keys: Option<Keys>,
        seen: Revision,
    },
    /// `leaving`: the place of the one before in the line, left with the same request.
    Entering {
        keys: Keys,
        epoch: Revision,
        leaving: Option<Own>,
        call: Call,
    },
    /// No answer came. `looked`: what was read of the keys too early, by who breaks that rule.
    InDoubt {
        keys: Keys,
        epoch: Revision,
        looked: Option<Option<Place>>,
    },
    Waiting(Own),
    /// Its turn has come, and it has asked for its key to be taken from the lease.
    Keeping {
        own: Own,
        call: Call,
    },
    Holding(Own),
    /// Nothing more is asked for.
    Done,
}

/// One after the other, what one thread of a program locks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub asks: Vec<Ask>,
    pub phase: Phase,
}

/// Keys to be deleted behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chore {
    pub keys: Keys,
    /// The epoch of an enter of them that is in doubt.
    pub in_doubt: Option<Revision>,
    pub reusable: bool,
    /// The acquisition that has lost one of them, and does not go on before all of them are deleted.
    pub rest_of: Option<usize>,
    /// Whether the end of the lease is no end of them.
    pub outlives: bool,
    pub call: Option<Call>,
}

/// A lease that lasts by the client's own clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub id: LeaseId,
    /// The highest revision of the epoch key that is known; 0: not yet written.
    pub epoch: Revision,
    /// The highest revision at which a key was known to be deleted that may be used again; 0: not above the epoch.
    pub freed: Revision,
    /// Keys that may be used again.
    pub free: Vec<Key>,
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
    /// The tasks that stand in line, those of one name first come first served. Only the first has a place in etcd.
    pub line: Vec<usize>,
    pub chores: Vec<Chore>,
}

impl Client {
    pub fn new(tasks: &[Vec<Ask>]) -> Self {
        let tasks = tasks.iter().map(|asks| Task { asks: asks.clone(), phase: Phase::Ready { keys: None } }).collect();
        let (line, chores) = (Vec::new(), Vec::new());
        Client { crashed: false, leases: 0, lease: None, epoch_write: None, tasks, line, chores }
    }

    pub fn take_lease(&mut self, client: u8) -> LeaseId {
        self.leases += 1;
        let id = LeaseId { client, n: self.leases };
        self.lease = Some(Lease { id, epoch: 0, freed: 0, free: Vec::new(), places: 0 });
        id
    }

    pub fn adopt(&mut self, epoch: Revision) {
        let lease = self.lease.as_mut().expect("it answered about the lease");
        lease.epoch = lease.epoch.max(epoch);
        lease.freed = if lease.freed > lease.epoch { lease.freed } else { 0 };
    }

    /// Whether no enter that carries `epoch` can succeed any more, as far as the client knows.
    pub fn fenced(&self, epoch: Revision, rules: &Rules) -> bool {
        !rules.epoch || self.lease.as_ref().is_some_and(|lease| lease.epoch > epoch)
    }

    /// Whether somebody waits for a later epoch.
    fn wants_epoch(&self, rules: &Rules) -> bool {
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
            let lease = self.lease.as_ref().expect("it wants an epoch").id;
            self.epoch_write = Some(Call { request: Request::WriteEpoch { lease }, reply: None });
        }
        let known = self.lease.as_ref().map_or(0, |lease| lease.epoch);
        for chore in self.chores.iter_mut().filter(|chore| chore.call.is_none()) {
            let may_come_later = rules.epoch && chore.in_doubt.is_some_and(|epoch| known <= epoch);
            if !(may_come_later && rules.delete_after_fence) {
                chore.call = Some(Call { request: Request::Delete { keys: chore.keys }, reply: None });
            }
        }
        self.chores.sort();
    }

    pub fn in_line(&self, task: usize) -> bool {
        self.line.contains(&task)
    }

    pub fn front(&self, name: Name) -> Option<usize> {
        self.line.iter().copied().find(|task| self.tasks[*task].line() == Some(name))
    }

    pub fn stand_in_line(&mut self, task: usize) {
        self.line.push(task);
        self.line.sort_by_key(|task| self.tasks[*task].line());
    }

    /// The enter that a task sends now, together with the leave of the one before.
    pub fn enter(&mut self, task: usize, leaving: Option<Own>) {
        let ask = self.tasks[task].asks[0];
        let (keys, only) = match self.tasks[task].phase {
            Phase::Ready { keys } if ask.alone() => (keys, Only::IfFree),
            Phase::Ready { keys } => (keys, Only::Always),
            Phase::Looked { keys, seen } => (keys, Only::IfAsAt(seen)),
            _ => unreachable!("it has a place"),
        };
        let keys = keys.unwrap_or_else(|| ask.names().map(|name| self.next_key(name, ask.mode())).collect());
        let epoch = self.lease.as_ref().expect("ready").epoch;
        let request = match leaving {
            Some(Own { keys: leave, .. }) => Request::Fused { leave, keys, epoch },
            None => Request::Enter { keys, epoch, only },
        };
        self.tasks[task].phase = Phase::Entering { keys, epoch, leaving, call: Call { request, reply: None } };
    }

    /// The request that takes the key of a task from the lease, for the first time or again.
    pub fn ask_to_keep(&mut self, task: usize) {
        let (mut own, again) = match self.tasks[task].phase {
            Phase::Waiting(own) => (own, false),
            Phase::Keeping { own, .. } => (own, true),
            _ => unreachable!("its turn has not come"),
        };
        (own.outlives, own.reusable) = (true, own.reusable && !again);
        let call = Call { request: Request::Keep { keys: own.keys, written: own.created }, reply: None };
        self.tasks[task].phase = Phase::Keeping { own, call };
    }

    /// A key of a former use that nothing is in doubt of, else one that was never used.
    fn next_key(&mut self, name: Name, mode: Mode) -> Key {
        let lease = self.lease.as_mut().expect("ready");
        if let Some(free) = lease.free.iter().position(|key| (key.name, key.mode) == (name, mode)) {
            return lease.free.remove(free);
        }
        lease.places += 1;
        Key { name, mode, lease: lease.id, n: lease.places }
    }

    /// Keys are deleted, as of this revision.
    pub fn deleted(&mut self, keys: Keys, reusable: bool, revision: Revision) {
        let Some(lease) = self.lease.as_mut().filter(|lease| reusable && lease.id == keys.lease()) else { return };
        lease.freed = if revision > lease.epoch { lease.freed.max(revision) } else { lease.freed };
        lease.free.extend(keys.iter());
        lease.free.sort();
    }

    /// Has keys deleted behind.
    pub fn leave(&mut self, keys: Keys, reusable: bool, in_doubt: Option<Revision>, rules: &Rules) {
        let together = if rules.leave_in_one { vec![keys] } else { keys.iter().map(Keys::from).collect() };
        self.chores.extend(together.into_iter().map(|keys| Chore {
            keys,
            in_doubt,
            reusable,
            rest_of: None,
            outlives: false,
            call: None,
        }));
    }

    /// Has a place left behind; if it may outlive the lease, also after the end of that.
    pub fn leave_place(&mut self, own: Own, rules: &Rules) {
        let before = self.chores.len();
        self.leave(own.keys, own.reusable, None, rules);
        self.chores[before..].iter_mut().for_each(|chore| chore.outlives = own.outlives && rules.kept_until_deleted);
    }

    /// Who waits has lost a part of its place: the rest is left before it goes on.
    pub fn leave_rest(&mut self, task: usize, own: Own, rules: &Rules) {
        let before = self.chores.len();
        self.leave_place(own, rules);
        self.chores[before..].iter_mut().for_each(|chore| chore.rest_of = Some(task));
    }

    pub fn rest(&self, task: usize) -> impl Iterator<Item = Key> {
        self.chores.iter().filter(move |chore| chore.rest_of == Some(task)).flat_map(|chore| chore.keys.iter())
    }

    /// An acquisition ends. If it had a place, that is left; if somebody is behind in the line, together with his enter.
    pub fn end(&mut self, task: usize, place: Option<Own>, rules: &Rules) {
        let line = self.tasks[task].line().filter(|_| self.in_line(task));
        self.line.retain(|other| *other != task);
        let rest = self.chores.iter_mut().filter(|chore| chore.rest_of == Some(task));
        rest.for_each(|chore| chore.rest_of = None);
        self.tasks[task].next();
        let Some(own) = place else { return };
        match line.and_then(|name| self.front(name)) {
            Some(next) if !own.outlives => self.enter(next, Some(own)),
            _ if rules.free_when_deleted => self.leave_place(own, rules),
            _ => {
                self.leave(own.keys, false, None, rules);
                self.deleted(own.keys, own.reusable, 0);
            }
        }
    }

    /// The client's own clock says that its lease may end: nothing on it counts any more. Gives the requests that are
    /// under way.
    pub fn end_lease(&mut self, rules: &Rules) -> Vec<Request> {
        self.lease = None;
        let (kept, gone): (Vec<_>, Vec<_>) = self.chores.drain(..).partition(|chore| chore.outlives);
        self.chores = kept;
        let mut calls: Vec<_> = gone.into_iter().filter_map(|chore| chore.call).collect();
        calls.extend(self.epoch_write.take());
        let mut left = Vec::new();
        for (number, task) in self.tasks.iter_mut().enumerate() {
            match task.phase {
                Phase::Holding(own) if own.outlives => continue,
                Phase::Entering { call, .. } => calls.push(call),
                Phase::Keeping { own, call } => {
                    calls.push(call);
                    left.push((number, own));
                }
                Phase::Holding(_) => {
                    self.line.retain(|other| *other != number);
                    task.lose();
                }
                _ => (),
            }
            if task.phase != Phase::Done {
                task.phase = Phase::Ready { keys: None };
            }
        }
        for (task, own) in left.into_iter().filter(|_| rules.kept_until_deleted) {
            match rules.kept_before_anew {
                true => self.leave_rest(task, own, rules),
                false => self.leave_place(own, rules),
            }
        }
        calls.into_iter().filter(|call| call.reply.is_none()).map(|call| call.request).collect()
    }

    pub fn crash(&mut self) -> Vec<Request> {
        let under_way = self.end_lease(&Rules::ALL);
        self.crashed = true;
        self.chores.clear();
        self.line.clear();
        self.tasks.iter_mut().for_each(|task| *task = Task { asks: Vec::new(), phase: Phase::Done });
        under_way
    }
}

impl Task {
    /// Goes on to what is asked for next.
    pub fn next(&mut self) {
        self.asks.remove(0);
        self.phase = if self.asks.is_empty() { Phase::Done } else { Phase::Ready { keys: None } };
    }

    /// What it held is lost: in standby it is asked for again.
    pub fn lose(&mut self) {
        match self.asks[0].stands_by() {
            true => self.phase = Phase::Ready { keys: None },
            false => self.next(),
        }
    }

    fn line(&self) -> Option<Name> {
        self.asks[0].line()
    }
}
