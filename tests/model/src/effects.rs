//! What comes of what happens.

use crate::Rules;
use crate::client::{Own, Phase};
use crate::etcd::{LeaseId, Place, Reply, Revision};
use crate::protocol::{Action, Protocol};
use crate::world::{Caller, Who, World};

impl Protocol {
    pub(crate) fn act(&self, world: &mut World, action: Action) {
        match action {
            Action::StandInLine((client, task)) => world.clients[client].stand_in_line(task),
            Action::SendEnter((client, task)) => {
                let client = &mut world.clients[client];
                if client.tasks[task].asks[0].line().is_some() && !client.in_line(task) {
                    client.stand_in_line(task);
                }
                client.enter(task, None);
            }
            Action::Apply(batch) => {
                let call = |caller: &Caller| world.call(*caller).expect("of those who called").request;
                let requests: Vec<_> = batch.iter().map(call).collect();
                let replies = world.etcd.apply(&requests, &self.rules);
                for (caller, reply) in batch.into_iter().zip(replies) {
                    self.answer(world, caller, reply);
                }
            }
            Action::Refuse(caller) => {
                world.refusals -= 1;
                world.call_mut(caller).expect("of those who called").reply = Some(Reply::Refused);
            }
            Action::Receive(caller) => self.receive(world, caller),
            Action::Lose(batch) => {
                world.losses -= 1;
                // From the last to the first: chores that are lost may be removed.
                batch.into_iter().rev().for_each(|caller| self.lose(world, caller));
            }
            Action::ApplyLate(index) => {
                let request = world.late.remove(index);
                world.etcd.apply(&[request], &self.rules);
            }
            Action::LookAhead(who, revision) => self.look_ahead(world, who, revision),
            Action::Look(who, revision) => self.look(world, who, revision),
            Action::Settle(who) => world.settle(who, &self.rules),
            Action::Prove(who, _) => world.come_first(who),
            Action::Miss(who) => self.miss(world, who),
            Action::Release((client, task)) => {
                let client = &mut world.clients[client];
                if let Phase::Holding(own) = client.tasks[task].phase {
                    client.end(task, Some(own), &self.rules);
                }
            }
            Action::GiveUp(who) => self.give_up(world, who),
            Action::Grant(client) => world.grant(client),
            Action::EndLease(client) => {
                world.lease_ends = world.lease_ends.saturating_sub(1);
                let under_way = world.clients[client].end_lease(&self.rules);
                world.late.extend(under_way);
            }
            Action::Expire(lease) => self.expire(world, lease),
            Action::Crash(client) => {
                world.crashes -= 1;
                let under_way = world.clients[client].crash();
                world.late.extend(under_way);
            }
            Action::DeleteByHand(key) => {
                world.robberies -= 1;
                let created = world.etcd.created_at(key, world.etcd.revision).expect("it is there");
                world.robbed.push((key, created));
                world.etcd.remove(key);
            }
            Action::ReleaseByToken(key) => world.etcd.remove(key),
        }
    }

    /// etcd has done what was asked for, and says so. Who is told that a lock is not free, and goes by it, should be right.
    fn answer(&self, world: &mut World, caller: Caller, reply: Reply) {
        if let Caller::Task(client, task) = caller
            && (reply == Reply::Busy || reply == Reply::Changed && !self.rules.looks_again)
        {
            world.busy_by_itself |= world.is_free_for((client, task));
        }
        world.call_mut(caller).expect("still").reply = Some(reply);
    }

    /// The answer to a call arrives.
    fn receive(&self, world: &mut World, caller: Caller) {
        let reply = world.call(caller).and_then(|call| call.reply).expect("answered");
        let client = &mut world.clients[caller.client()];
        if reply == Reply::LeaseGone {
            let under_way = client.end_lease(&self.rules);
            world.late.extend(under_way);
            return;
        }
        match (caller, reply) {
            (Caller::Task(_, task), Reply::Kept) => world.keep((caller.client(), task), &self.rules),
            (Caller::Task(_, task), Reply::NotThere) => client.tasks[task].phase = Phase::Ready { keys: None },
            (Caller::Task(_, task), _) => self.receive_enter(world, (caller.client(), task), reply),
            (Caller::Epoch(_), Reply::EpochWritten(epoch)) => {
                client.epoch_write = None;
                client.adopt(epoch);
            }
            (Caller::Chore(_, number), Reply::Deleted(revision)) => {
                let chore = client.chores.remove(number);
                client.deleted(chore.keys, chore.reusable, revision);
            }
            _ => unreachable!("no answer to that"),
        }
    }

    /// The answer to an enter arrives. If it was fused with a leave, that is done too.
    fn receive_enter(&self, world: &mut World, who: Who, reply: Reply) {
        let client = &mut world.clients[who.0];
        let Phase::Entering { keys, leaving, .. } = client.tasks[who.1].phase else { return };
        match (leaving, reply) {
            (Some(own), Reply::Refused) if self.rules.delete_after_fused => {
                client.leave(own.keys, own.reusable, None, &self.rules);
            }
            (Some(own), Reply::In(Place { created: at, .. }) | Reply::OtherEpoch(_, at)) => {
                client.deleted(own.keys, own.reusable, at);
            }
            _ => (),
        }
        match reply {
            Reply::In(place) => {
                let own = Own { keys, created: place.created, reusable: true, outlives: false };
                world.entered(who, own, place.first, &self.rules);
            }
            Reply::OtherEpoch(epoch, at) => {
                client.adopt(epoch);
                client.tasks[who.1].phase = Phase::Ready { keys: Some(keys) };
                if leaving.is_some() && !self.rules.refused_is_no_place {
                    let own = Own { keys, created: at, reusable: true, outlives: false };
                    world.entered(who, own, true, &self.rules);
                }
            }
            Reply::Changed if self.rules.looks_again => client.tasks[who.1].phase = Phase::Ready { keys: Some(keys) },
            Reply::Busy | Reply::Changed | Reply::OtherLimit => {
                client.deleted(keys, true, 0);
                client.end(who.1, None, &self.rules);
            }
            _ => client.tasks[who.1].phase = Phase::Ready { keys: Some(keys) },
        }
    }

    /// No answer comes.
    fn lose(&self, world: &mut World, caller: Caller) {
        let call = world.call(caller).expect("of those who called");
        if call.reply.is_none() {
            world.late.push(call.request);
        }
        let client = &mut world.clients[caller.client()];
        match caller {
            Caller::Epoch(_) => client.epoch_write = None,
            Caller::Chore(_, number) if self.rules.delete_until_acknowledged => {
                let chore = &mut client.chores[number];
                chore.call = None;
                chore.reusable &= !self.rules.spent_by_delete;
            }
            Caller::Chore(_, number) => _ = client.chores.remove(number),
            Caller::Task(_, task) if matches!(client.tasks[task].phase, Phase::Keeping { .. }) => {
                client.ask_to_keep(task);
            }
            Caller::Task(_, task) => {
                let Phase::Entering { keys, epoch, leaving, .. } = client.tasks[task].phase else { return };
                client.tasks[task].phase = Phase::InDoubt { keys, epoch, looked: None };
                if let Some(own) = leaving.filter(|_| self.rules.delete_after_fused) {
                    client.leave(own.keys, own.reusable && !self.rules.spent_by_fused, None, &self.rules);
                }
            }
        }
    }

    /// Who does not wait for one of a limit sees whether there is room.
    fn look_ahead(&self, world: &mut World, (client, task): Who, revision: Revision) {
        let Phase::Ready { keys } = world.clients[client].tasks[task].phase else { return };
        let mine = world.wants((client, task)).next().expect("it names a lock");
        let there: Vec<_> = world.etcd.queue_at(mine.name, revision).map(|(key, _)| key).collect();
        let has_other_limit = self.rules.same_limit && there.iter().any(|key| key.mode.contradicts(mine.mode));
        let rules = Rules { shared_waits_for_exclusive: self.rules.looks_outside, ..Rules::ALL };
        let is_full = mine.is_barred_by(there, &rules);
        world.busy_by_itself |= is_full && !has_other_limit && world.is_free_for((client, task));
        let client = &mut world.clients[client];
        match is_full || has_other_limit {
            true => {
                keys.into_iter().for_each(|keys| client.deleted(keys, true, 0));
                client.end(task, None, &self.rules);
            }
            false => client.tasks[task].phase = Phase::Looked { keys, seen: revision },
        }
    }

    fn look(&self, world: &mut World, (client, task): Who, revision: Revision) {
        let Phase::InDoubt { keys, epoch, .. } = world.clients[client].tasks[task].phase else { return };
        let looked = Some(world.etcd.place_of(keys, revision, &self.rules));
        world.clients[client].tasks[task].phase = Phase::InDoubt { keys, epoch, looked };
        if world.clients[client].fenced(epoch, &self.rules) {
            world.settle((client, task), &self.rules);
        }
    }

    fn give_up(&self, world: &mut World, (client, task): Who) {
        world.give_ups -= 1;
        let client = &mut world.clients[client];
        let phase = client.tasks[task].phase;
        match phase {
            Phase::Keeping { own, call } => {
                if call.reply.is_none() {
                    world.late.push(call.request);
                }
                return client.end(task, Some(own), &self.rules);
            }
            Phase::Waiting(own) if self.rules.leave_on_give_up => return client.end(task, Some(own), &self.rules),
            Phase::InDoubt { keys, epoch, .. } if self.rules.leave_on_give_up => {
                client.leave(keys, !self.rules.spent_by_enter, Some(epoch), &self.rules);
                client.deleted(keys, !self.rules.spent_until_fence, 0);
            }
            // Not there: nothing was sent, or a doubt was settled.
            _ => (),
        }
        client.end(task, None, &self.rules);
    }

    /// Who waited enters again, with other keys; a hold is over. If there are other keys, they are not left there.
    fn miss(&self, world: &mut World, (client, task): Who) {
        let rules = &self.rules;
        let phase = world.clients[client].tasks[task].phase;
        let (Phase::Waiting(own) | Phase::Holding(own)) = phase else { return };
        let has_rest = own.keys.iter().any(|key| !world.has_lost(key, own.created));
        let client = &mut world.clients[client];
        if matches!(phase, Phase::Waiting(_)) {
            client.tasks[task].phase = Phase::Ready { keys: Some(own.keys).filter(|_| !rules.anew_in_all) };
            if has_rest && rules.anew_in_all && rules.rest_of_wait {
                client.leave_rest(task, own, rules);
            }
            return;
        }
        let is_left = client.chores.iter().any(|chore| chore.keys == own.keys);
        if has_rest && rules.rest_of_hold && !is_left {
            client.leave(own.keys, own.reusable, None, rules);
        }
        if client.tasks[task].asks[0].stands_by() {
            client.line.retain(|other| *other != task);
            client.tasks[task].lose();
        } else if !has_rest || rules.hold_ends_first {
            client.end(task, None, rules);
        }
    }

    fn expire(&self, world: &mut World, lease: LeaseId) {
        if world.own_lease(lease.client as usize) == Some(lease) {
            world.lease_ends -= 1;
        }
        world.etcd.expire(lease);
    }
}
