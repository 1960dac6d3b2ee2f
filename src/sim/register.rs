//! What is known of all guards, and what must be so at every moment.

use super::etcd::Etcd;
use crate::{Guard, Mode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

#[derive(Default)]
pub(super) struct Register {
    guards: Vec<Weak<Guard>>,
    /// The highest tokens so far of each lock: of those who had it alone, and of all.
    tokens: BTreeMap<String, (i64, i64)>,
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

    /// Looks at all guards at one moment: of one lock never two are held, unless they share it, and then no more than their
    /// limit; those that are held have their key; and tokens rise from one who has it alone, and to him.
    pub(super) fn look(&mut self, etcd: Option<&Etcd>) {
        let Register { guards, tokens, by_hand } = self;
        guards.retain(|guard| guard.strong_count() > 0);
        let mut holders: BTreeMap<String, Vec<(i64, Option<u32>)>> = BTreeMap::new();
        for guard in guards.iter().filter_map(Weak::upgrade) {
            let (keys, token) = (guard.keys(), guard.token());
            if token == 0 || !guard.held() {
                continue;
            }
            for (name, key) in guard.names().zip(keys).filter(|(_, key)| !by_hand.iter().any(|part| key.contains(part)))
            {
                let info = guard.info();
                let limit = (info.mode == Mode::Shared).then_some(info.limit);
                let all = holders.entry(name.to_string()).or_default();
                all.push((token, limit));
                assert!(all.iter().all(|(_, other)| *other == limit), "{name:?} is held in several ways: {all:?}");
                let most = limit.map_or(1, |limit| if limit == 0 { usize::MAX } else { limit as usize });
                assert!(all.len() <= most, "too many hold {name:?}: {all:?}");
                if let Some(etcd) = etcd {
                    assert_eq!(etcd.key(&key), Some(token), "the key of a lock that is held");
                }
                let (alone, any) = tokens.entry(name.into()).or_default();
                let highest = if limit.is_none() { *any } else { *alone };
                assert!(token >= highest, "the token of {name:?} fell from {highest} to {token}");
                *any = token.max(*any);
                if limit.is_none() {
                    *alone = token;
                }
            }
        }
    }
}

/// Shared by those who lock and those who look.
pub(super) type Registered = Arc<Mutex<Register>>;
