//! A state of it all: the clients, etcd, and what is still under way.

use crate::client::{Call, Client, Phase};
use crate::etcd::{Etcd, LeaseId, Place, Request, Revision};
use crate::protocol::Bounds;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub etcd: Etcd,
    pub clients: Vec<Client>,
    /// Requests that their senders have given up, and that may yet be done.
    pub late: Vec<Request>,
    /// The highest token so far, and whether one was not higher than all before.
    pub token: Revision,
    pub token_fell: bool,
    /// How much may still go wrong.
    pub losses: u8,
    pub give_ups: u8,
    pub lease_ends: u8,
    pub crashes: u8,
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
            token: 0,
            token_fell: false,
            losses: bounds.losses,
            give_ups: bounds.give_ups,
            lease_ends: bounds.lease_ends,
            crashes: bounds.crashes,
        }
    }

    pub fn grant(&mut self, client: usize) {
        let lease = self.clients[client].take_lease(client as u8);
        self.etcd.grant(lease);
    }

    /// The lease on which the client still relies.
    pub fn own_lease(&self, client: usize) -> Option<LeaseId> {
        self.clients[client].lease.map(|lease| lease.id)
    }

    /// No read that can still come is of an earlier revision.
    pub fn earliest_read(&self) -> Revision {
        let reads = self.clients.iter().flat_map(|client| &client.tasks).filter_map(|task| match task.phase {
            Phase::Entering { epoch, .. } | Phase::InDoubt { epoch, .. } => Some(epoch),
            Phase::Waiting { created, .. } => Some(created),
            _ => None,
        });
        reads.min().unwrap_or(self.etcd.revision)
    }

    /// An enter has led to a place.
    pub fn entered(&mut self, (client, task): Who, request: Request, place: Place) {
        let phase = Phase::Waiting { key: request.key(), created: place.created };
        self.clients[client].tasks[task].phase = phase;
        if place.first {
            self.hold((client, task));
        }
    }

    /// The doubt is over.
    pub fn settle(&mut self, (client, task): Who) {
        let Phase::InDoubt { key, looked: Some(looked), .. } = self.clients[client].tasks[task].phase else { return };
        self.clients[client].tasks[task].phase = match looked {
            Some(Place { created, .. }) => Phase::Waiting { key, created },
            None => Phase::Ready { key: Some(key) },
        };
        if looked.is_some_and(|place| place.first) {
            self.hold((client, task));
        }
    }

    pub fn hold(&mut self, (client, task): Who) {
        let phase = &mut self.clients[client].tasks[task].phase;
        if let Phase::Waiting { key, created } = *phase {
            *phase = Phase::Holding { key, created };
            self.token_fell |= created <= self.token;
            self.token = self.token.max(created);
        }
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
                Phase::Entering { call, .. } => Some(call),
                _ => None,
            },
        }
    }

    pub fn call_mut(&mut self, caller: Caller) -> Option<&mut Call> {
        match caller {
            Caller::Epoch(client) => self.clients[client].epoch_write.as_mut(),
            Caller::Chore(client, number) => self.clients[client].chores[number].call.as_mut(),
            Caller::Task(client, task) => match &mut self.clients[client].tasks[task].phase {
                Phase::Entering { call, .. } => Some(call),
                _ => None,
            },
        }
    }
}

impl Caller {
    pub fn client(self) -> usize {
        match self {
            Caller::Task(client, _) | Caller::Epoch(client) | Caller::Chore(client, _) => client,
        }
    }
}
