//! What can happen next. What comes of it: see [`effects`](crate::effects).

use crate::Rules;
use crate::ask::Ask;
use crate::client::{Client, Phase};
use crate::etcd::{Key, LeaseId, Reply, Request, Revision};
use crate::keys::Keys;
use crate::properties;
use crate::world::{Caller, Who, World};
use stateright::{Model, Property};

/// How many clients there are, what they do, and how much may go wrong.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// For each client, for each of its tasks, what it asks for.
    pub clients: Vec<Vec<Vec<Ask>>>,
    /// Requests, or batches of them, that get no answer.
    pub losses: u8,
    /// Fused requests that etcd refuses for good.
    pub refusals: u8,
    /// Acquisitions that are given up.
    pub give_ups: u8,
    /// Leases that cannot be renewed.
    pub lease_ends: u8,
    pub crashes: u8,
    /// Keys that are deleted by hand.
    pub robberies: u8,
}

#[derive(Clone, Debug)]
pub struct Protocol {
    pub rules: Rules,
    pub bounds: Bounds,
}

/// Calls of one client that travel together: one alone, or some for different names.
///
/// What was once together is not kept together: the answers to a batch may come one by one, and calls that were sent one
/// by one may lose their answers together. That is more than can happen to a batch, not less.
pub type Batch = Vec<Caller>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    StandInLine(Who),
    SendEnter(Who),
    /// etcd does what was asked for, all at once.
    Apply(Batch),
    /// It does not, and says so.
    Refuse(Caller),
    /// The answer arrives.
    Receive(Caller),
    /// It does not; nor will it, if the request is still under way.
    Lose(Batch),
    /// A request is done that its sender has given up. That may never happen.
    ApplyLate(usize),
    /// Before an enter, a read at this revision.
    LookAhead(Who, Revision),
    /// After a doubt, a read at this revision.
    Look(Who, Revision),
    Settle(Who),
    /// A waiter's read at this revision proves that it is the first.
    Prove(Who, Revision),
    /// A read shows that one's key has gone.
    Miss(Who),
    Release(Who),
    GiveUp(Who),
    Grant(usize),
    /// By the client's own clock.
    EndLease(usize),
    /// By etcd's.
    Expire(LeaseId),
    Crash(usize),
    DeleteByHand(Key),
    /// Somebody ends what a client has left that crashed: a key on no lease.
    ReleaseByToken(Key),
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(&self.bounds);
        // The first leases are there already: how one is made is seen at the second.
        for client in 0..world.clients.len() {
            world.grant(client);
            let lease = world.own_lease(client).expect("just granted");
            if let Reply::EpochWritten(epoch) = world.etcd.apply(&[Request::WriteEpoch { lease }], &self.rules)[0] {
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
        self.network_actions(world, actions);
        let may_end = |lease: &LeaseId| world.own_lease(lease.client as usize) != Some(*lease);
        let early = !self.rules.ends_first && world.lease_ends > 0;
        actions.extend(world.etcd.leases().filter(|lease| early || may_end(lease)).map(Action::Expire));
        let is_left = |key: &Key| world.clients[key.lease.client as usize].crashed;
        actions.extend(world.etcd.kept().filter(is_left).map(Action::ReleaseByToken));
        if world.robberies > 0 {
            actions.extend(world.etcd.keys_at(world.etcd.revision).map(|(key, _)| Action::DeleteByHand(key)));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        self.act(&mut world, action);
        world.tidy(&self.rules);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let asks = || self.bounds.clients.iter().flatten().flatten();
        let troubles = match () {
            () if asks().any(|ask| ask.is_for_all()) => properties::troubles_of_all(),
            () if asks().any(|ask| ask.mode().is_shared()) => properties::troubles_of_sharing(),
            () if asks().any(|ask| ask.persists()) => properties::troubles_of_keeping(),
            () if asks().any(|ask| ask.stands_by()) => properties::troubles_of_standing_by(),
            () => properties::troubles_of_lines(),
        };
        properties::promises().into_iter().chain(troubles).collect()
    }
}

impl Protocol {
    fn network_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let callers = world.callers();
        let not_done = |caller: &Caller| world.call(*caller).is_some_and(|call| call.reply.is_none());
        for batch in self.batches(world, &callers) {
            if batch.iter().all(not_done) {
                actions.push(Action::Apply(batch.clone()));
            }
            if world.losses > 0 {
                actions.push(Action::Lose(batch));
            }
        }
        for caller in callers {
            let call = world.call(caller).expect("of those who called");
            if call.reply.is_some() {
                actions.push(Action::Receive(caller));
            } else if world.refusals > 0 && matches!(call.request, Request::Fused { .. }) {
                actions.push(Action::Refuse(caller));
            }
        }
        actions.extend((0..world.late.len()).map(Action::ApplyLate));
    }

    /// Each call alone, and each two that can be in one batch.
    fn batches(&self, world: &World, callers: &[Caller]) -> Vec<Batch> {
        let keys = |caller: Caller| world.call(caller).and_then(|call| call.request.keys());
        let mut batches: Vec<_> = callers.iter().map(|caller| vec![*caller]).collect();
        for (number, one) in callers.iter().enumerate() {
            for other in &callers[number + 1..] {
                if one.client() == other.client()
                    && let (Some(one_has), Some(other_has)) = (keys(*one), keys(*other))
                    && self.may_travel_together(one_has, other_has)
                {
                    batches.push(vec![*one, *other]);
                }
            }
        }
        batches
    }

    fn may_travel_together(&self, one: Keys, other: Keys) -> bool {
        match one.are_two() || other.are_two() {
            true => !self.rules.all_alone,
            false => !self.rules.one_of_a_name || !one.share_a_queue_with(other),
        }
    }

    fn client_actions(&self, world: &World, index: usize, actions: &mut Vec<Action>) {
        let client = &world.clients[index];
        if client.crashed {
            return;
        }
        let busy = client.tasks.iter().any(|task| task.phase != Phase::Done);
        match &client.lease {
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
        let task = &client.tasks[who.1];
        match task.phase {
            Phase::Ready { .. } if task.asks[0].looks_ahead() => {
                let now = world.etcd.revision;
                let from = if self.rules.look_is_fresh { now } else { 0 };
                actions.extend((from..=now).filter(|_| client.lease.is_some()).map(|at| Action::LookAhead(who, at)));
            }
            Phase::Ready { .. } | Phase::Looked { .. } => self.entrance(client, who, actions),
            Phase::InDoubt { looked: None, epoch, .. } => {
                actions.extend(self.looks(world, client, epoch).map(|revision| Action::Look(who, revision)));
            }
            Phase::InDoubt { looked: Some(_), epoch, .. } if client.fenced(epoch, &self.rules) => {
                actions.push(Action::Settle(who));
            }
            Phase::Waiting(own) => {
                actions.extend(self.proof(world, own).map(|revision| Action::Prove(who, revision)));
            }
            Phase::Holding(_) => actions.push(Action::Release(who)),
            _ => (),
        }
        if let Phase::Waiting(own) | Phase::Holding(own) = task.phase
            && own.keys.iter().any(|key| world.has_lost(key, own.created))
        {
            actions.push(Action::Miss(who));
        }
        // Who gives up while its enter is under way waits for what becomes of it: as if it gave up right after.
        let can_give_up = !matches!(task.phase, Phase::Entering { .. } | Phase::Holding(_) | Phase::Done);
        if can_give_up && world.give_ups > 0 && client.lease.is_some() {
            actions.push(Action::GiveUp(who));
        }
    }

    /// Who tries enters at any time; who waits, if nobody of the same client is before it.
    fn entrance(&self, client: &Client, who: Who, actions: &mut Vec<Action>) {
        let ask = client.tasks[who.1].asks[0];
        let front = ask.line().and_then(|name| client.front(name));
        let may_enter = front.is_none_or(|front| front == who.1);
        let has_rest = self.rules.rest_before_anew && client.rest(who.1).next().is_some();
        if may_enter && !has_rest && client.lease.is_some() && client.fenced(0, &self.rules) {
            actions.push(Action::SendEnter(who));
        }
        if !may_enter && !client.in_line(who.1) {
            actions.push(Action::StandInLine(who));
        }
    }

    /// Whether nothing more has to happen: what is left are troubles that may as well stay away.
    pub fn is_over(&self, world: &World) -> bool {
        world.holders().next().is_none() && self.is_quiet(world)
    }

    /// Whether nothing has to happen before somebody releases.
    pub fn is_quiet(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        let is_trouble = |action: &Action| {
            use Action::*;
            matches!(action, Crash(_) | EndLease(_) | Lose(_) | Refuse(_) | GiveUp(_) | ApplyLate(_) | DeleteByHand(_))
        };
        actions.iter().all(|action| is_trouble(action) || matches!(action, Action::Release(_)))
    }
}
