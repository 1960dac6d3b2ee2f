//! Which reads prove something, and which may be made at all.

use crate::Rules;
use crate::client::{Client, Own};
use crate::etcd::{Key, Revision};
use crate::protocol::Protocol;
use crate::world::World;

impl Protocol {
    /// The revision of a read that proves that it is one's turn. (Which of them makes no difference.)
    ///
    /// Who waits in two queues waits in each until it is the first there, and then reads both at once. What it saw before
    /// that read decides nothing: so the read alone is played here. Who does without it holds by one read for each queue.
    pub(crate) fn proof(&self, world: &World, own: Own) -> Option<Revision> {
        let rules = &self.rules;
        let is_turn = |key: Key, revision: Revision| match rules.proof_has_own_key {
            true => world.etcd.shows_turn_at(key, revision, rules),
            false => !world.etcd.is_barred_at(key, own.created, revision, rules),
        };
        let is_told = |key: Key, revision: Revision| {
            let is_older = |(_, created): (Key, Revision)| created < own.created;
            rules.woken_by_each || !key.mode.is_shared() || !world.etcd.queue_at(key.name, revision).any(is_older)
        };
        let after_enter = rules.proof_has_own_key && rules.proof_after_enter;
        let mut reads = if after_enter { own.created } else { 0 }..=world.etcd.revision;
        let one_each = || own.keys.iter().map(|key| reads.clone().find(|revision| is_turn(key, *revision)));
        match rules.one_read_for_all {
            true => {
                reads.find(|revision| own.keys.iter().all(|key| is_turn(key, *revision) && is_told(key, *revision)))
            }
            false if own.keys.iter().any(|key| key.mode.is_shared()) => self.proof_by_two(world, own),
            false => one_each().collect::<Option<Vec<_>>>()?.into_iter().max(),
        }
    }

    /// Who shares, and breaks that rule, holds by a read that shows nobody older who is exclusive, and another that shows
    /// its key and how many are before it.
    fn proof_by_two(&self, world: &World, own: Own) -> Option<Revision> {
        let but_exclusive = Rules { shared_waits_for_exclusive: false, ..self.rules };
        let but_limit = Rules { limit_counts: false, ..self.rules };
        let key = own.keys.iter().next()?;
        let mut reads = own.created..=world.etcd.revision;
        let one = reads.clone().find(|at| world.etcd.shows_turn_at(key, *at, &but_exclusive))?;
        let other = reads.find(|at| !world.etcd.is_barred_at(key, own.created, *at, &but_limit))?;
        Some(one.max(other))
    }

    /// The revisions at which one may look after a doubt.
    pub(crate) fn looks(&self, world: &World, client: &Client, epoch: Revision) -> impl Iterator<Item = Revision> {
        let now = world.etcd.revision;
        let (known, freed) = client.lease.as_ref().map_or((now, now), |lease| (lease.epoch, lease.freed));
        let from = match () {
            () if !client.fenced(epoch, &self.rules) && self.rules.read_after_fence => now + 1,
            () if !client.fenced(epoch, &self.rules) || !self.rules.epoch => now,
            () if !self.rules.read_is_fresh => 0,
            () if !self.rules.read_after_former_use => known,
            () => known.max(freed),
        };
        from..=now
    }
}
