//! What etcd does with the requests of the protocol, each in one step.

use crate::Rules;
use std::collections::BTreeMap;

pub type Revision = u8;

/// The `n`th lease of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId {
    pub client: u8,
    pub n: u8,
}

/// The key of the acquisition `n` on a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
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
    /// Not entered: the epoch is this one.
    OtherEpoch(Revision),
    EpochWritten(Revision),
    Deleted,
    LeaseGone,
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
    /// All that ever were in the queue, the oldest first.
    history: Vec<Life>,
    /// The leases that live, each with the revision of its epoch key (0: not written).
    leases: BTreeMap<LeaseId, Revision>,
}

impl Etcd {
    pub fn apply(&mut self, request: Request, rules: &Rules) -> Reply {
        match request {
            Request::Enter { key, epoch, alone } => self.enter(key, epoch, alone, rules),
            Request::WriteEpoch { lease } => self.write_epoch(lease),
            Request::Delete { key } => {
                self.delete(|life| life.key == key);
                Reply::Deleted
            }
        }
    }

    fn enter(&mut self, key: Key, epoch: Revision, alone: bool, rules: &Rules) -> Reply {
        if let Some(place) = self.place_at(key, self.revision) {
            return Reply::In(place);
        }
        let Some(&now) = self.leases.get(&key.lease) else { return Reply::LeaseGone };
        if rules.epoch && now != epoch {
            return Reply::OtherEpoch(now);
        }
        if alone && self.oldest_at(self.revision).is_some() {
            return Reply::Busy;
        }
        self.revision += 1;
        self.history.push(Life { key, created: self.revision, deleted: None });
        Reply::In(self.place_at(key, self.revision).expect("just created"))
    }

    fn write_epoch(&mut self, lease: LeaseId) -> Reply {
        let Some(epoch) = self.leases.get_mut(&lease) else { return Reply::LeaseGone };
        self.revision += 1;
        *epoch = self.revision;
        Reply::EpochWritten(self.revision)
    }

    fn delete(&mut self, which: impl Fn(&Life) -> bool) {
        let next = self.revision + 1;
        for life in self.history.iter_mut().filter(|life| life.deleted.is_none() && which(life)) {
            life.deleted = Some(next);
            self.revision = next;
        }
    }

    pub fn grant(&mut self, lease: LeaseId) {
        self.leases.insert(lease, 0);
    }

    /// Ends a lease, and with it the keys on it, its epoch too.
    pub fn expire(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
        self.delete(|life| life.key.lease == lease);
    }

    pub fn leases(&self) -> impl Iterator<Item = LeaseId> {
        self.leases.keys().copied()
    }

    pub fn lives(&self, lease: LeaseId) -> bool {
        self.leases.contains_key(&lease)
    }

    /// Forgets what no read from `revision` on can show.
    pub fn forget_before(&mut self, revision: Revision) {
        self.history.retain(|life| life.deleted.is_none_or(|deleted| deleted > revision));
    }

    /// The keys in the queue at a revision, the oldest first.
    pub fn queue_at(&self, revision: Revision) -> impl Iterator<Item = (Key, Revision)> {
        let was_there =
            move |life: &&Life| life.created <= revision && life.deleted.is_none_or(|deleted| deleted > revision);
        self.history.iter().filter(was_there).map(|life| (life.key, life.created))
    }

    pub fn oldest_at(&self, revision: Revision) -> Option<(Key, Revision)> {
        self.queue_at(revision).next()
    }

    /// Whether a read at this revision proves that `key` holds the lock.
    pub fn first_at(&self, key: Key, revision: Revision) -> bool {
        self.oldest_at(revision).is_some_and(|(oldest, _)| oldest == key)
    }

    pub fn place_at(&self, key: Key, revision: Revision) -> Option<Place> {
        let (_, created) = self.queue_at(revision).find(|(there, _)| *there == key)?;
        Some(Place { created, first: self.first_at(key, revision) })
    }
}

impl Request {
    /// The key that it is about.
    pub fn key(&self) -> Key {
        match self {
            Request::Enter { key, .. } | Request::Delete { key } => *key,
            Request::WriteEpoch { .. } => unreachable!("an epoch has no place in a queue"),
        }
    }
}
