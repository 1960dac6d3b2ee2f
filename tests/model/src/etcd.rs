//! What etcd does with the requests of the protocol, each transaction in one step.

use crate::Rules;
use crate::keys::Keys;
use crate::mode::Mode;
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
    pub mode: Mode,
    pub lease: LeaseId,
    pub n: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    Enter {
        keys: Keys,
        epoch: Revision,
        only: Only,
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
    /// The keys are written anew, without their lease, if they were last written at this revision.
    Keep {
        keys: Keys,
        written: Revision,
    },
}

/// On what condition one enters who has no time to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Only {
    /// There is time to wait.
    Always,
    /// Nobody is in any of the queues; for who shares: nobody exclusive.
    IfFree,
    /// Nobody has entered since this revision, at which there was room.
    IfAsAt(Revision),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// The keys are there, by this enter or by an earlier one.
    In(Place),
    /// Somebody else is in the queue.
    Busy,
    /// Somebody has entered since one looked.
    Changed,
    /// Somebody shares the lock with another limit.
    OtherLimit,
    /// Not entered: the epoch is this one. (Read at this revision.)
    OtherEpoch(Revision, Revision),
    EpochWritten(Revision),
    /// The keys are not there at this revision.
    Deleted(Revision),
    /// The keys are there, on no lease.
    Kept,
    /// Not kept, since they are not there.
    NotThere,
    LeaseGone,
    /// Not done, nor will it be: etcd has no space, say.
    Refused,
}

/// What one read shows of a key, or of all keys of an acquisition: they are of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub created: Revision,
    /// Each of them is there, and it is its turn: of an exclusive one, that it is the oldest in its queue.
    pub first: bool,
}

/// One life of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Life {
    key: Key,
    created: Revision,
    /// When it was last written.
    written: Revision,
    /// Whether it is on no lease.
    kept: bool,
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
        let is_absent = |key: Key| self.created_at(key, self.revision).is_none();
        let is_free = |key: Key| is_absent(key) && self.is_free_for(key, rules);
        let may_put = match *request {
            Request::Enter { only: Only::IfFree, .. } if rules.alone_in_all => keys.iter().all(is_free),
            Request::Enter { only: Only::IfFree, .. } => keys.iter().any(is_free),
            _ if rules.anew_in_all => keys.iter().all(is_absent),
            _ => keys.iter().any(is_absent),
        };
        let as_looked = match *request {
            Request::Enter { only: Only::IfAsAt(seen), .. } if rules.enter_as_looked => {
                keys.iter().all(|key| self.queue_at(key.name, self.revision).all(|(_, created)| created <= seen))
            }
            _ => true,
        };
        let may_share = !keys.iter().any(|key| self.has_other_limit(key, rules));
        let lives = self.leases.get(&keys.lease()).is_some_and(|now| !rules.epoch || *now == epoch);
        may_put && as_looked && may_share && lives
    }

    /// Whether nobody is in the queue with whom `key` cannot hold together, whatever the number.
    fn is_free_for(&self, key: Key, rules: &Rules) -> bool {
        let is_in_the_way = |mode: Mode| !key.mode.is_shared() || rules.free_of_exclusive && !mode.is_shared();
        !self.queue_at(key.name, self.revision).any(|(other, _)| is_in_the_way(other.mode))
    }

    /// Whether somebody is in the queue who shares the lock with another limit.
    fn has_other_limit(&self, key: Key, rules: &Rules) -> bool {
        rules.same_limit && self.queue_at(key.name, self.revision).any(|(other, _)| other.mode.contradicts(key.mode))
    }

    fn act(&mut self, request: &Request, may_enter: bool, next: Revision, rules: &Rules) -> Reply {
        match *request {
            // That it is its turn everywhere is what it compared.
            Request::Enter { keys, only: Only::IfFree | Only::IfAsAt(_), .. } if may_enter => {
                self.put(keys, next, rules);
                Reply::In(Place { created: next, first: true })
            }
            Request::Enter { keys, epoch, only } => match self.enter(keys, epoch, may_enter, next, rules) {
                Reply::Busy if matches!(only, Only::IfAsAt(_)) => Reply::Changed,
                reply => reply,
            },
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
            Request::Keep { keys, written } => self.keep(keys, written, next, rules),
        }
    }

    fn keep(&mut self, keys: Keys, written: Revision, next: Revision, rules: &Rules) -> Reply {
        let is_there = |life: &&mut Life| life.deleted.is_none() && keys.contains(life.key);
        let lives: Vec<_> = self.history.iter_mut().filter(is_there).collect();
        let are_all = lives.len() == keys.iter().count();
        match (are_all, lives.iter().all(|life| life.written == written), lives.iter().all(|life| life.kept)) {
            (true, true, _) => {
                lives.into_iter().for_each(|life| (life.written, life.kept) = (next, true));
                self.revision = next;
                Reply::Kept
            }
            (true, false, true) => Reply::Kept,
            (false, ..) if !rules.keep_compares => {
                self.put(keys, next, rules);
                self.history.iter_mut().filter(|life| keys.contains(life.key)).for_each(|life| life.kept = true);
                Reply::Kept
            }
            _ => Reply::NotThere,
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
            _ if keys.iter().any(|key| self.has_other_limit(key, rules)) => Reply::OtherLimit,
            (None, Some(_)) => Reply::Busy,
        }
    }

    fn put(&mut self, keys: Keys, next: Revision, rules: &Rules) {
        let at_once = if rules.all_in_one { usize::MAX } else { 1 };
        let absent: Vec<_> = keys.iter().filter(|key| self.created_at(*key, self.revision).is_none()).collect();
        let born = |key| Life { key, created: next, written: next, kept: false, deleted: None };
        self.history.extend(absent.into_iter().take(at_once).map(born));
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
        self.delete(self.revision + 1, |life| life.key.lease == lease && !life.kept);
    }

    /// The keys that are on no lease.
    pub fn kept(&self) -> impl Iterator<Item = Key> {
        self.history.iter().filter(|life| life.kept && life.deleted.is_none()).map(|life| life.key)
    }

    /// When a key that is there was last written.
    pub fn written_at(&self, key: Key) -> Option<Revision> {
        self.history.iter().find(|life| life.key == key && life.deleted.is_none()).map(|life| life.written)
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

    /// Those of one queue.
    pub fn queue_at(&self, name: Name, revision: Revision) -> impl Iterator<Item = (Key, Revision)> {
        self.keys_at(revision).filter(move |(key, _)| key.name == name)
    }

    pub fn created_at(&self, key: Key, revision: Revision) -> Option<Revision> {
        self.keys_at(revision).find(|(there, _)| *there == key).map(|(_, created)| created)
    }

    pub fn each_revision(&mut self, visit: &mut impl FnMut(&mut Revision)) {
        visit(&mut self.revision);
        self.leases.values_mut().for_each(&mut *visit);
        for life in &mut self.history {
            visit(&mut life.created);
            visit(&mut life.written);
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
            Request::Enter { keys, .. } | Request::Fused { keys, .. } => Some(keys),
            Request::Delete { keys } | Request::Keep { keys, .. } => Some(keys),
            Request::WriteEpoch { .. } => None,
        }
    }
}
