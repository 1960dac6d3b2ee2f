//! What etcd does with the requests of the protocol, each transaction in one step.

use crate::Rules;
use std::collections::BTreeMap;

pub type Revision = u8;

/// A lock: the prefix of its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    A,
    B,
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
    /// `alone`: only if nobody is in the queue (a lock with no time to wait).
    Enter {
        key: Key,
        epoch: Revision,
        alone: bool,
    },
    /// One place is left and the next one taken, in one transaction. `leave` is deleted also when `key` is refused.
    Fused {
        leave: Key,
        key: Key,
        epoch: Revision,
    },
    WriteEpoch {
        lease: LeaseId,
    },
    Delete {
        key: Key,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// The key is there, by this enter or by an earlier one.
    In(Place),
    /// Somebody else is in the queue.
    Busy,
    /// Not entered: the epoch is this one. (Read at this revision.)
    OtherEpoch(Revision, Revision),
    EpochWritten(Revision),
    /// The key is not there at this revision.
    Deleted(Revision),
    LeaseGone,
    /// Not done, nor will it be: etcd has no space, say.
    Refused,
}

/// A key in the queue, as one read shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub created: Revision,
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
        let (Request::Enter { key, epoch, .. } | Request::Fused { key, epoch, .. }) = *request else { return false };
        let alone = matches!(request, Request::Enter { alone: true, .. });
        let absent = match alone {
            true => self.oldest_at(key.name, self.revision).is_none(),
            false => self.place_at(key, self.revision).is_none(),
        };
        absent && self.leases.get(&key.lease).is_some_and(|now| !rules.epoch || *now == epoch)
    }

    fn act(&mut self, request: &Request, may_enter: bool, next: Revision, rules: &Rules) -> Reply {
        match *request {
            Request::Enter { key, epoch, .. } => self.enter(key, epoch, may_enter, next),
            Request::Fused { leave, key, epoch } => {
                if may_enter || rules.fused_always_deletes {
                    self.delete(next, |life| life.key == leave);
                }
                self.enter(key, epoch, may_enter, next)
            }
            Request::WriteEpoch { lease } => {
                let Some(epoch) = self.leases.get_mut(&lease) else { return Reply::LeaseGone };
                (self.revision, *epoch) = (next, next);
                Reply::EpochWritten(next)
            }
            Request::Delete { key } => {
                self.delete(next, |life| life.key == key);
                Reply::Deleted(self.revision)
            }
        }
    }

    fn enter(&mut self, key: Key, epoch: Revision, may_enter: bool, next: Revision) -> Reply {
        if may_enter {
            self.revision = next;
            self.history.push(Life { key, created: next, deleted: None });
            self.history.sort_by_key(|life| (life.created, life.key));
        }
        match (self.place_at(key, self.revision), self.leases.get(&key.lease)) {
            (Some(place), _) => Reply::In(place),
            (None, None) => Reply::LeaseGone,
            (None, Some(now)) if *now != epoch => Reply::OtherEpoch(*now, self.revision),
            (None, Some(_)) => Reply::Busy,
        }
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

    /// Whether a read at this revision proves that `key` holds the lock.
    pub fn first_at(&self, key: Key, revision: Revision) -> bool {
        self.oldest_at(key.name, revision).is_some_and(|(oldest, _)| oldest == key)
    }

    pub fn place_at(&self, key: Key, revision: Revision) -> Option<Place> {
        let (_, created) = self.keys_at(revision).find(|(there, _)| *there == key)?;
        Some(Place { created, first: self.first_at(key, revision) })
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
    /// The lock that it is about.
    pub fn name(&self) -> Option<Name> {
        match self {
            Request::Enter { key, .. } | Request::Fused { key, .. } | Request::Delete { key } => Some(key.name),
            Request::WriteEpoch { .. } => None,
        }
    }
}
