//! The numbers of keys that are to enter.

use super::{Place, Queue};
use crate::lease::Lease;
use crate::store::RangeReply;
use std::sync::Arc;

/// One for each queue.
pub(super) struct Numbers<'a> {
    pub(super) lease: &'a Arc<Lease>,
    queues: &'a [Queue],
    first: u32,
    others: Vec<u32>,
    pub(super) doubted: bool,
    /// What they were used for before was created no later.
    former: i64,
}

impl<'a> Numbers<'a> {
    /// With the number that the first was `given`, if it was.
    pub(super) fn new(lease: &'a Arc<Lease>, queues: &'a [Queue], given: Option<(u32, i64)>) -> Self {
        let first = given.map_or_else(|| lease.holds.take(&queues[0].name), |(number, _)| number);
        let others = queues[1..].iter().map(|queue| lease.holds.take(&queue.name)).collect();
        // Asked only now that they are taken.
        let former = given.map_or_else(|| lease.holds.youngest(), |(_, former)| former);
        Numbers { lease, queues, first, others, doubted: false, former }
    }

    fn of_each(&self) -> impl Iterator<Item = (&'a Queue, u32)> {
        self.queues.iter().zip(std::iter::once(self.first).chain(self.others.iter().copied()))
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.of_each().map(|(queue, number)| queue.key(self.lease, number)).collect()
    }

    pub(super) fn place(self, created: i64) -> Place {
        let Numbers { lease, first: number, others, doubted, .. } = self;
        let others = (!others.is_empty()).then(|| Arc::new(others));
        lease.holds.had(created);
        Place { lease: lease.clone(), number, doubted, created, outlives: false, others }
    }

    /// Whether that is how they were once, in an answer from the past: some releases of etcd give one now and then.
    pub(super) fn were_used(&self, own: &[RangeReply]) -> bool {
        own.iter().flat_map(|own| &own.kvs).any(|kv| kv.created <= self.former)
    }

    /// They have not entered, and will not.
    pub(super) fn give_back(self) {
        if !self.doubted {
            self.of_each().for_each(|(queue, number)| self.lease.holds.give_back(number, &queue.name));
        }
    }
}
