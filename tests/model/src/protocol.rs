//! What can happen next, and what comes of it.

use crate::Rules;
use crate::client::{Ask, Client, Phase};
use crate::etcd::{LeaseId, Reply, Request, Revision};
use crate::properties;
use crate::world::{Caller, Who, World};
use stateright::{Model, Property};

/// How many clients there are, what they do, and how much may go wrong.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// For each client, for each of its tasks, what it asks for.
    pub clients: Vec<Vec<Vec<Ask>>>,
    /// Requests that get no answer.
    pub losses: u8,
    /// Acquisitions that are given up.
    pub give_ups: u8,
    /// Leases that cannot be renewed.
    pub lease_ends: u8,
    pub crashes: u8,
}

#[derive(Clone, Debug)]
pub struct Protocol {
    pub rules: Rules,
    pub bounds: Bounds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    SendEnter(Who),
    /// etcd does what was asked for.
    Apply(Caller),
    /// The answer arrives.
    Receive(Caller),
    /// It does not; nor will it, if the request is still under way.
    Lose(Caller),
    /// A request is done that its sender has given up. That may never happen.
    ApplyLate(usize),
    /// After a doubt, a read at this revision.
    Look(Who, Revision),
    Settle(Who),
    /// A waiter's read at this revision proves that it is the first.
    Prove(Who, Revision),
    Release(Who),
    GiveUp(Who),
    Grant(usize),
    /// By the client's own clock.
    EndLease(usize),
    /// By etcd's.
    Expire(LeaseId),
    Crash(usize),
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(&self.bounds);
        // The first leases are there already: how one is made is seen at the second.
        for client in 0..world.clients.len() {
            world.grant(client);
            let lease = world.clients[client].lease.expect("just granted").id;
            if let Reply::EpochWritten(epoch) = world.etcd.apply(Request::WriteEpoch { lease }, &self.rules) {
                world.clients[client].adopt(epoch);
            }
        }
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for client in 0..world.clients.len() {
            self.client_actions(world, client, actions);
            for task in 0..world.clients[client].tasks.len() {
                self.task_actions(world, (client, task), actions);
            }
        }
        for caller in world.callers() {
            let call = world.call(caller).expect("of those who called");
            match call.reply {
                None => actions.push(Action::Apply(caller)),
                Some(_) => actions.push(Action::Receive(caller)),
            }
            if world.losses > 0 {
                actions.push(Action::Lose(caller));
            }
        }
        actions.extend((0..world.late.len()).map(Action::ApplyLate));
        let may_end = |lease: &LeaseId| world.own_lease(lease.client as usize) != Some(*lease);
        let early = !self.rules.ends_first && world.lease_ends > 0;
        actions.extend(world.etcd.leases().filter(|lease| early || may_end(lease)).map(Action::Expire));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        self.act(&mut world, action);
        world.clients.iter_mut().for_each(|client| client.send_what_is_due(&self.rules));
        world.late.sort();
        world.etcd.forget_before(world.earliest_read());
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Protocol {
    fn client_actions(&self, world: &World, index: usize, actions: &mut Vec<Action>) {
        let client = &world.clients[index];
        if client.crashed {
            return;
        }
        let busy = client.tasks.iter().any(|task| task.phase != Phase::Done);
        match client.lease {
            None if busy => actions.push(Action::Grant(index)),
            Some(lease) if world.lease_ends > 0 || !world.etcd.lives(lease.id) => {
                actions.push(Action::EndLease(index));
            }
            _ => (),
        }
        if world.crashes > 0 {
            actions.push(Action::Crash(index));
        }
    }

    fn task_actions(&self, world: &World, who: Who, actions: &mut Vec<Action>) {
        let client = &world.clients[who.0];
        let phase = client.tasks[who.1].phase;
        match phase {
            Phase::Ready { .. } if client.lease.is_some() && client.fenced(0, &self.rules) => {
                actions.push(Action::SendEnter(who));
            }
            Phase::InDoubt { looked: None, epoch, .. } => {
                actions.extend(self.looks(world, client, epoch).map(|revision| Action::Look(who, revision)));
            }
            Phase::InDoubt { looked: Some(_), epoch, .. } if client.fenced(epoch, &self.rules) => {
                actions.push(Action::Settle(who));
            }
            Phase::Waiting { key, created } => {
                let proves = |revision: &Revision| match self.rules.proof_has_own_key {
                    true => world.etcd.first_at(key, *revision),
                    false => world.etcd.oldest_at(*revision).is_none_or(|(_, oldest)| oldest >= created),
                };
                // Which of the reads that prove it makes no difference.
                actions.extend((0..=world.etcd.revision).find(proves).map(|revision| Action::Prove(who, revision)));
            }
            Phase::Holding { .. } => actions.push(Action::Release(who)),
            _ => (),
        }
        // Who gives up while its enter is under way waits for what becomes of it: as if it gave up right after.
        let can_give_up = matches!(phase, Phase::Ready { .. } | Phase::InDoubt { .. } | Phase::Waiting { .. });
        if can_give_up && world.give_ups > 0 && client.lease.is_some() {
            actions.push(Action::GiveUp(who));
        }
    }

    /// The revisions at which one may look after a doubt.
    fn looks(&self, world: &World, client: &Client, epoch: Revision) -> impl Iterator<Item = Revision> {
        let now = world.etcd.revision;
        let known = client.lease.map_or(now, |lease| lease.epoch);
        let from = match () {
            () if !client.fenced(epoch, &self.rules) && self.rules.read_after_fence => now + 1,
            () if !client.fenced(epoch, &self.rules) || !self.rules.epoch => now,
            () if !self.rules.read_is_fresh => 0,
            () => known,
        };
        from..=now
    }

    fn act(&self, world: &mut World, action: Action) {
        match action {
            Action::SendEnter((client, task)) => world.clients[client].enter(task, &self.rules),
            Action::Apply(caller) => {
                let request = world.call(caller).expect("of those who called").request;
                let reply = world.etcd.apply(request, &self.rules);
                world.call_mut(caller).expect("still").reply = Some(reply);
            }
            Action::Receive(caller) => self.receive(world, caller),
            Action::Lose(caller) => self.lose(world, caller),
            Action::ApplyLate(index) => {
                let request = world.late.remove(index);
                world.etcd.apply(request, &self.rules);
            }
            Action::Look(who, revision) => self.look(world, who, revision),
            Action::Settle(who) => world.settle(who),
            Action::Prove((client, task), _) => world.hold((client, task)),
            Action::Release((client, task)) => {
                if let Phase::Holding { key, .. } = world.clients[client].tasks[task].phase {
                    world.clients[client].leave(key, None);
                    world.clients[client].tasks[task].next();
                }
            }
            Action::GiveUp(who) => self.give_up(world, who),
            Action::Grant(client) => world.grant(client),
            Action::EndLease(client) => {
                world.lease_ends = world.lease_ends.saturating_sub(1);
                let under_way = world.clients[client].end_lease();
                world.late.extend(under_way);
            }
            Action::Expire(lease) => {
                if world.own_lease(lease.client as usize) == Some(lease) {
                    world.lease_ends -= 1;
                }
                world.etcd.expire(lease);
            }
            Action::Crash(client) => {
                world.crashes -= 1;
                let under_way = world.clients[client].crash();
                world.late.extend(under_way);
            }
        }
    }

    /// The answer to a call arrives.
    fn receive(&self, world: &mut World, caller: Caller) {
        let call = world.call(caller).expect("of those who called");
        let reply = call.reply.expect("answered");
        let index = caller.client();
        let client = &mut world.clients[index];
        if reply == Reply::LeaseGone {
            let under_way = client.end_lease();
            world.late.extend(under_way);
            return;
        }
        match caller {
            Caller::Epoch(_) => client.epoch_write = None,
            Caller::Chore(_, number) => _ = client.chores.remove(number),
            Caller::Task(..) => (),
        }
        match (caller, reply) {
            (_, Reply::EpochWritten(epoch)) => client.adopt(epoch),
            (Caller::Task(_, task), Reply::Busy) => client.tasks[task].next(),
            (Caller::Task(_, task), Reply::OtherEpoch(epoch)) => {
                client.adopt(epoch);
                client.tasks[task].phase = Phase::Ready { key: Some(call.request.key()) };
            }
            (Caller::Task(_, task), Reply::In(place)) => world.entered((index, task), call.request, place),
            _ => (),
        }
    }

    /// No answer comes.
    fn lose(&self, world: &mut World, caller: Caller) {
        world.losses -= 1;
        let call = world.call(caller).expect("of those who called");
        if call.reply.is_none() {
            world.late.push(call.request);
        }
        let client = &mut world.clients[caller.client()];
        match caller {
            Caller::Epoch(_) => client.epoch_write = None,
            Caller::Chore(_, number) if self.rules.delete_until_acknowledged => client.chores[number].call = None,
            Caller::Chore(_, number) => _ = client.chores.remove(number),
            Caller::Task(_, task) => {
                if let Phase::Entering { key, epoch, .. } = client.tasks[task].phase {
                    client.tasks[task].phase = Phase::InDoubt { key, epoch, looked: None };
                }
            }
        }
    }

    fn look(&self, world: &mut World, (client, task): Who, revision: Revision) {
        let Phase::InDoubt { key, epoch, .. } = world.clients[client].tasks[task].phase else { return };
        let looked = Some(world.etcd.place_at(key, revision));
        world.clients[client].tasks[task].phase = Phase::InDoubt { key, epoch, looked };
        if world.clients[client].fenced(epoch, &self.rules) {
            world.settle((client, task));
        }
    }

    fn give_up(&self, world: &mut World, (client, task): Who) {
        world.give_ups -= 1;
        let client = &mut world.clients[client];
        match client.tasks[task].phase {
            _ if !self.rules.leave_on_give_up => (),
            Phase::InDoubt { key, epoch, .. } => client.leave(key, Some(epoch)),
            Phase::Waiting { key, .. } => client.leave(key, None),
            // Not there: nothing was sent, or a doubt was settled.
            _ => (),
        }
        client.tasks[task].next();
    }

    /// Whether nothing more has to happen: what is left are troubles that may as well stay away.
    pub fn is_over(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        let is_trouble = |action: &Action| {
            use Action::*;
            matches!(action, Crash(_) | EndLease(_) | Lose(_) | GiveUp(_) | ApplyLate(_))
        };
        actions.iter().all(is_trouble)
    }
}
