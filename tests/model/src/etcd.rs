//! What etcd does with the requests of the protocol, each transaction in one step.

use crate::Rules;
use crate::keys::Keys;
use std::collections::BTreeMap;

pub type Revision = u8;

/// A lock: the prefix of its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    A,
    B,
    C,
}

/// The `n`th lease of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId {
    pub client: u8,
    pub n: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub name: Name,
    pub lease: LeaseId,
    pub n: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// `alone`: only if nobody is in any of the queues (a lock with no time to wait).
    Enter {
        keys: Keys,
        epoch: Revision,
        alone: bool,
    },
    /// One place is left and the next one taken, in one transaction. `leave` is deleted also when `keys` are refused.
    Fused {
        leave: Keys,
        keys: Keys,
        epoch: Revision,
    },
    WriteEpoch {
        lease: LeaseId,
    },
    Delete {
        keys: Keys,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// The keys are there, by this enter or by an earlier one.
    In(Place),
    /// Somebody else is in the queue.
    Busy,
    /// Not entered: the epoch is this one. (Read at this revision.)
    OtherEpoch(Revision, Revision),
    EpochWritten(Revision),
    /// The keys are not there at this revision.
    Deleted(Revision),
    LeaseGone,
    /// Not done, nor will it be: etcd has no space, say.
    Refused,
}

/// What one read shows of a key, or of all keys of an acquisition: they are of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub created: Revision,
    /// Each of them is there, and the oldest in its queue.
    pub first: bool,
}

/// One life of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Life {
    key: Key,
    created: Revision,
    deleted: Option<Revision>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Etcd {
    pub revision: Revision,
    /// All that ever were in a queue, the oldest first.
    history: Vec<Life>,
    /// The leases that live, each with the revision of its epoch key (0: not written).
    leases: BTreeMap<LeaseId, Revision>,
}

impl Etcd {
    /// One transaction with these inside. All that any of them compares is compared before anything is done, and all
    /// that is done is of one revision.
    pub fn apply(&mut self, requests: &[Request], rules: &Rules) -> Vec<Reply> {
        let compared: Vec<_> = requests.iter().map(|request| self.may_enter(request, rules)).collect();
        let next = self.revision + 1;
        requests.iter().zip(compared).map(|(request, yes)| self.act(request, yes, next, rules)).collect()
    }

    /// What an enter compares.
    fn may_enter(&self, request: &Request, rules: &Rules) -> bool {
        let (Request::Enter { keys, epoch, .. } | Request::Fused { keys, epoch, .. }) = *request else { return false };
        let is_absent = |key: Key| self.place_at(key, self.revision).is_none();
        let is_free = |key: Key| self.oldest_at(key.name, self.revision).is_none();
        let may_put = match *request {
            Request::Enter { alone: true, .. } if rules.alone_in_all => keys.iter().all(is_free),
            Request::Enter { alone: true, .. } => keys.iter().any(is_free),
            _ if rules.anew_in_all => keys.iter().all(is_absent),
            _ => keys.iter().any(is_absent),
        };
        may_put && self.leases.get(&keys.lease()).is_some_and(|now| !rules.epoch || *now == epoch)
    }

    fn act(&mut self, request: &Request, may_enter: bool, next: Revision, rules: &Rules) -> Reply {
        match *request {
            // That it is the first everywhere is what it compared.
            Request::Enter { keys, alone: true, .. } if may_enter => {
                self.put(keys, next, rules);
                Reply::In(Place { created: next, first: true })
            }
            Request::Enter { keys, epoch, .. } => self.enter(keys, epoch, may_enter, next, rules),
            Request::Fused { leave, keys, epoch } => {
                if may_enter || rules.fused_always_deletes {
                    self.delete(next, |life| leave.contains(life.key));
                }
                self.enter(keys, epoch, may_enter, next, rules)
            }
            Request::WriteEpoch { lease } => {
                let Some(epoch) = self.leases.get_mut(&lease) else { return Reply::LeaseGone };
                (self.revision, *epoch) = (next, next);
                Reply::EpochWritten(next)
            }
            Request::Delete { keys } => {
                self.delete(next, |life| keys.contains(life.key));
                Reply::Deleted(self.revision)
            }
        }
    }

    fn enter(&mut self, keys: Keys, epoch: Revision, may_enter: bool, next: Revision, rules: &Rules) -> Reply {
        if may_enter {
            self.put(keys, next, rules);
        }
        match (self.place_of(keys, self.revision, rules), self.leases.get(&keys.lease())) {
            (Some(place), _) => Reply::In(place),
            (None, None) => Reply::LeaseGone,
            (None, Some(now)) if *now != epoch => Reply::OtherEpoch(*now, self.revision),
            (None, Some(_)) => Reply::Busy,
        }
    }

    fn put(&mut self, keys: Keys, next: Revision, rules: &Rules) {
        let at_once = if rules.all_in_one { usize::MAX } else { 1 };
        let absent: Vec<_> = keys.iter().filter(|key| self.place_at(*key, self.revision).is_none()).collect();
        let lives = absent.into_iter().take(at_once).map(|key| Life { key, created: next, deleted: None });
        self.history.extend(lives);
        self.history.sort_by_key(|life| (life.created, life.key));
        self.revision = next;
    }

    fn delete(&mut self, next: Revision, which: impl Fn(&Life) -> bool) {
        for life in self.history.iter_mut().filter(|life| life.deleted.is_none() && which(life)) {
            life.deleted = Some(next);
            self.revision = next;
        }
    }

    /// By hand.
    pub fn remove(&mut self, key: Key) {
        self.delete(self.revision + 1, |life| life.key == key);
    }

    pub fn grant(&mut self, lease: LeaseId) {
        self.leases.insert(lease, 0);
    }

    /// Ends a lease, and with it the keys on it, its epoch too.
    pub fn expire(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
        self.delete(self.revision + 1, |life| life.key.lease == lease);
    }

    pub fn leases(&self) -> impl Iterator<Item = LeaseId> {
        self.leases.keys().copied()
    }

    pub fn epoch(&self, lease: LeaseId) -> Option<Revision> {
        self.leases.get(&lease).copied()
    }

    pub fn lives(&self, lease: LeaseId) -> bool {
        self.leases.contains_key(&lease)
    }

    /// Forgets what no read from `revision` on can show.
    pub fn forget_before(&mut self, revision: Revision) {
        self.history.retain(|life| life.deleted.is_none_or(|deleted| deleted > revision));
    }

    /// The keys that are there at a revision, the oldest first.
    pub fn keys_at(&self, revision: Revision) -> impl Iterator<Item = (Key, Revision)> {
        let was_there =
            move |life: &&Life| life.created <= revision && life.deleted.is_none_or(|deleted| deleted > revision);
        self.history.iter().filter(was_there).map(|life| (life.key, life.created))
    }

    pub fn oldest_at(&self, name: Name, revision: Revision) -> Option<(Key, Revision)> {
        self.keys_at(revision).find(|(key, _)| key.name == name)
    }

    /// Whether a read at this revision shows `key` as the oldest of its queue.
    pub fn first_at(&self, key: Key, revision: Revision) -> bool {
        self.oldest_at(key.name, revision).is_some_and(|(oldest, _)| oldest == key)
    }

    pub fn place_at(&self, key: Key, revision: Revision) -> Option<Place> {
        let (_, created) = self.keys_at(revision).find(|(there, _)| *there == key)?;
        Some(Place { created, first: self.first_at(key, revision) })
    }

    /// Whether a read at this revision proves that one holds the locks of all these keys.
    pub fn all_first_at(&self, keys: Keys, revision: Revision) -> bool {
        keys.iter().all(|key| self.first_at(key, revision))
    }

    /// The place that one has with these keys. With a part of them it is one still: that something is missing, and what
    /// has to be done about the others, is found out as in any other place.
    pub fn place_of(&self, keys: Keys, revision: Revision, rules: &Rules) -> Option<Place> {
        let there = |key: Key| self.place_at(key, revision);
        let created = keys.iter().filter_map(there).map(|place| place.created).max()?;
        let counts = rules.part_is_a_place || keys.iter().all(|key| there(key).is_some());
        let first = match rules.first_in_all {
            true => self.all_first_at(keys, revision),
            false => keys.iter().any(|key| self.first_at(key, revision)),
        };
        counts.then_some(Place { created, first })
    }

    pub fn each_revision(&mut self, visit: &mut impl FnMut(&mut Revision)) {
        visit(&mut self.revision);
        self.leases.values_mut().for_each(&mut *visit);
        for life in &mut self.history {
            visit(&mut life.created);
            life.deleted.iter_mut().for_each(&mut *visit);
        }
    }

    /// Whether some key has had more than one life.
    pub fn knows_two_lives(&self) -> bool {
        let mut keys: Vec<_> = self.history.iter().map(|life| life.key).collect();
        keys.sort();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl Request {
    /// The keys that it is about: of a fused one those that it puts, which are in the queue of those that it deletes.
    pub fn keys(&self) -> Option<Keys> {
        match *self {
            Request::Enter { keys, .. } | Request::Fused { keys, .. } | Request::Delete { keys } => Some(keys),
            Request::WriteEpoch { .. } => None,
        }
    }
}
