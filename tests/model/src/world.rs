//! A state of it all: the clients, etcd, and what is still under way.

use crate::Rules;
use crate::client::{Call, Client, Own, Phase};
use crate::etcd::{Etcd, Key, LeaseId, Place, Request, Revision};
use crate::mode::Mode;
use crate::protocol::Bounds;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub etcd: Etcd,
    pub clients: Vec<Client>,
    /// Requests that their senders have given up, and that may yet be done.
    pub late: Vec<Request>,
    /// The tokens of each lock so far, and whether one was not higher than all before that count against it.
    pub tokens: [Tokens; 3],
    pub token_fell: bool,
    /// Whether somebody came to hold who never was the first in all of its queues at once.
    pub held_in_part: bool,
    /// Whether somebody was told that a lock is not free to whom it was.
    pub busy_by_itself: bool,
    /// The keys that somebody deleted by hand: whose they were cannot know it at once.
    pub robbed: Vec<(Key, Revision)>,
    /// How much may still go wrong.
    pub losses: u8,
    pub refusals: u8,
    pub give_ups: u8,
    pub lease_ends: u8,
    pub crashes: u8,
    pub robberies: u8,
}

/// The highest token of those who held a lock alone, and of all who held it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tokens {
    exclusive: Revision,
    any: Revision,
}

/// A task of a client.
pub type Who = (usize, usize);

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Task(usize, usize),
    Epoch(usize),
    Chore(usize, usize),
}

impl World {
    pub fn new(bounds: &Bounds) -> Self {
        World {
            etcd: Etcd::default(),
            clients: bounds.clients.iter().map(|tasks| Client::new(tasks)).collect(),
            late: Vec::new(),
            tokens: [Tokens::default(); 3],
            token_fell: false,
            held_in_part: false,
            busy_by_itself: false,
            robbed: Vec::new(),
            losses: bounds.losses,
            refusals: bounds.refusals,
            give_ups: bounds.give_ups,
            lease_ends: bounds.lease_ends,
            crashes: bounds.crashes,
            robberies: bounds.robberies,
        }
    }

    pub fn grant(&mut self, client: usize) {
        let lease = self.clients[client].take_lease(client as u8);
        self.etcd.grant(lease);
    }

    /// The lease on which the client still relies.
    pub fn own_lease(&self, client: usize) -> Option<LeaseId> {
        self.clients[client].lease.as_ref().map(|lease| lease.id)
    }

    /// The phases of all tasks.
    pub fn phases(&self) -> impl Iterator<Item = Phase> {
        self.clients.iter().flat_map(|client| &client.tasks).map(|task| task.phase)
    }

    /// Those who believe to hold a lock.
    pub fn holders(&self) -> impl Iterator<Item = Own> {
        self.phases().filter_map(|phase| match phase {
            Phase::Holding(own) => Some(own),
            _ => None,
        })
    }

    /// An enter has led to a place.
    pub fn entered(&mut self, (client, task): Who, own: Own, first: bool, rules: &Rules) {
        let task_of = &mut self.clients[client].tasks[task];
        task_of.phase = Phase::Waiting(own);
        if first || task_of.asks[0].persists() && !rules.keep_when_first {
            self.come_first((client, task));
        }
    }

    /// The turn of one who waits has come.
    pub fn come_first(&mut self, (client, task): Who) {
        let Phase::Waiting(own) = self.clients[client].tasks[task].phase else { return };
        let mut since_enter = own.created..=self.etcd.revision;
        let is_turn = |revision| own.keys.iter().all(|key| self.etcd.is_turn_at(key, revision));
        self.held_in_part |= !since_enter.any(is_turn);
        match self.clients[client].tasks[task].asks[0].persists() && !own.outlives {
            true => self.clients[client].ask_to_keep(task),
            false => self.hold((client, task)),
        }
    }

    /// What one holds from now on is on no lease.
    pub fn keep(&mut self, (client, task): Who, rules: &Rules) {
        let Phase::Keeping { own, .. } = self.clients[client].tasks[task].phase else { return };
        self.clients[client].tasks[task].phase = Phase::Waiting(own);
        if rules.keep_when_first {
            self.hold((client, task));
        }
    }

    /// The doubt is over.
    pub fn settle(&mut self, who: Who, rules: &Rules) {
        let phase = &mut self.clients[who.0].tasks[who.1].phase;
        let Phase::InDoubt { keys, looked: Some(looked), .. } = *phase else { return };
        let reusable = !rules.spent_by_enter;
        match looked {
            Some(Place { created, first }) => {
                self.entered(who, Own { keys, created, reusable, outlives: false }, first, rules);
            }
            None => *phase = Phase::Ready { keys: Some(keys).filter(|_| reusable) },
        }
    }

    pub fn hold(&mut self, (client, task): Who) {
        let phase = &mut self.clients[client].tasks[task].phase;
        let Phase::Waiting(own) = *phase else { return };
        *phase = Phase::Holding(own);
        for key in own.keys.iter().filter(|key| !self.robbed.contains(&(*key, own.created))) {
            self.token_fell |= !self.tokens[key.name as usize].rise_to(own.created, key.mode);
        }
    }

    /// Whether a key has gone that was put at this revision, or earlier than the others of its acquisition.
    pub fn has_lost(&self, key: Key, created: Revision) -> bool {
        self.etcd.created_at(key, self.etcd.revision).is_none_or(|now| now > created)
    }

    /// Whether one would hold at once if it entered now, and had deleted the rest of its own former place.
    pub fn is_free_for(&self, (client, task): Who) -> bool {
        let is_rest = |key: &Key| self.clients[client].rest(task).any(|rest| rest == *key);
        let there = || self.etcd.keys_at(self.etcd.revision).map(|(key, _)| key);
        self.wants((client, task)).all(|key| !key.is_barred_by(there().filter(|key| !is_rest(key)), &Rules::ALL))
    }

    /// Keys such as a task would put, but that never are in a queue.
    pub fn wants(&self, (client, task): Who) -> impl Iterator<Item = Key> {
        let ask = self.clients[client].tasks[task].asks[0];
        let lease = LeaseId { client: client as u8, n: 0 };
        ask.names().map(move |name| Key { name, mode: ask.mode(), lease, n: 0 })
    }

    pub fn callers(&self) -> Vec<Caller> {
        let of_client = |(index, client): (usize, &Client)| {
            let tasks = (0..client.tasks.len()).map(move |task| Caller::Task(index, task));
            let chores = (0..client.chores.len()).map(move |chore| Caller::Chore(index, chore));
            tasks.chain(chores).chain([Caller::Epoch(index)]).collect::<Vec<_>>()
        };
        let mut callers: Vec<_> = self.clients.iter().enumerate().flat_map(of_client).collect();
        callers.retain(|caller| self.call(*caller).is_some());
        callers
    }

    pub fn call(&self, caller: Caller) -> Option<Call> {
        match caller {
            Caller::Epoch(client) => self.clients[client].epoch_write,
            Caller::Chore(client, number) => self.clients[client].chores[number].call,
            Caller::Task(client, task) => match self.clients[client].tasks[task].phase {
                Phase::Entering { call, .. } | Phase::Keeping { call, .. } => Some(call),
                _ => None,
            },
        }
    }

    pub fn call_mut(&mut self, caller: Caller) -> Option<&mut Call> {
        match caller {
            Caller::Epoch(client) => self.clients[client].epoch_write.as_mut(),
            Caller::Chore(client, number) => self.clients[client].chores[number].call.as_mut(),
            Caller::Task(client, task) => match &mut self.clients[client].tasks[task].phase {
                Phase::Entering { call, .. } | Phase::Keeping { call, .. } => Some(call),
                _ => None,
            },
        }
    }
}

impl Tokens {
    /// Tells whether a token is high enough. Those who share hold together, in any order: they count against who is
    /// exclusive alone.
    fn rise_to(&mut self, token: Revision, mode: Mode) -> bool {
        let before = if mode.is_shared() { self.exclusive } else { self.any };
        self.any = self.any.max(token);
        if !mode.is_shared() {
            self.exclusive = self.exclusive.max(token);
        }
        token > before
    }

    pub fn each_revision(&mut self, visit: &mut impl FnMut(&mut Revision)) {
        visit(&mut self.exclusive);
        visit(&mut self.any);
    }
}

impl Caller {
    pub fn client(self) -> usize {
        match self {
            Caller::Task(client, _) | Caller::Epoch(client) | Caller::Chore(client, _) => client,
        }
    }
}
