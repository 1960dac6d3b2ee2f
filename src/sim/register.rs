//! What is known of all guards, and what must be so at every moment.

use super::etcd::Etcd;
use crate::Guard;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

#[derive(Default)]
pub(super) struct Register {
    guards: Vec<Weak<Guard>>,
    /// The highest token so far of each lock.
    tokens: BTreeMap<String, i64>,
    /// Parts of keys that somebody deleted by hand: no promise covers the moment until their guards are told.
    by_hand: Vec<String>,
}

impl Register {
    pub(super) fn add(&mut self, guard: &Arc<Guard>) {
        self.guards.push(Arc::downgrade(guard));
    }

    /// Keys with this in them may go at any moment from now on.
    pub(super) fn excuse(&mut self, part_of_key: String) {
        self.by_hand.push(part_of_key);
    }

    /// Looks at all guards at one moment: of one lock never two are held, those that are held have their key, and tokens
    /// rise.
    pub(super) fn look(&mut self, etcd: Option<&Etcd>) {
        let Register { guards, tokens, by_hand } = self;
        guards.retain(|guard| guard.strong_count() > 0);
        let mut holders = BTreeMap::new();
        for guard in guards.iter().filter_map(Weak::upgrade) {
            let (keys, token) = (guard.keys(), guard.token());
            if token == 0 || !guard.held() {
                continue;
            }
            for (name, key) in guard.names().zip(keys).filter(|(_, key)| !by_hand.iter().any(|part| key.contains(part)))
            {
                let other = holders.insert(name.to_string(), token);
                assert!(other.is_none(), "two hold {name:?}: {other:?} and {token}");
                if let Some(etcd) = etcd {
                    assert_eq!(etcd.key(&key), Some(token), "the key of a lock that is held");
                }
                let highest = tokens.entry(name.into()).or_default();
                assert!(token >= *highest, "the token of {name:?} fell from {highest} to {token}");
                *highest = token;
            }
        }
    }
}

/// Shared by those who lock and those who look.
pub(super) type Registered = Arc<Mutex<Register>>;
