//! The keys of one acquisition: one, or one in each of two queues.

use crate::etcd::{Key, LeaseId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keys {
    one: Key,
    other: Option<Key>,
}

impl Keys {
    pub fn iter(self) -> impl Iterator<Item = Key> {
        [self.one].into_iter().chain(self.other)
    }

    pub fn contains(self, key: Key) -> bool {
        self.iter().any(|own| own == key)
    }

    /// The one that all of them are on.
    pub fn lease(self) -> LeaseId {
        self.one.lease
    }

    pub fn are_two(self) -> bool {
        self.other.is_some()
    }

    pub fn share_a_queue_with(self, others: Keys) -> bool {
        self.iter().any(|own| others.iter().any(|other| own.name == other.name))
    }
}

impl From<Key> for Keys {
    fn from(one: Key) -> Self {
        Keys { one, other: None }
    }
}

impl FromIterator<Key> for Keys {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut keys = keys.into_iter();
        let one = keys.next().expect("whoever asks for a lock names it");
        Keys { one, other: keys.next() }
    }
}
