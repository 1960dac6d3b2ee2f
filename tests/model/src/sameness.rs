//! Which states are the same: what can make no difference any more is dropped, and revisions count by their order alone.

use crate::Rules;
use crate::client::{Call, Client, Phase};
use crate::etcd::{Key, Only, Reply, Request, Revision};
use crate::keys::Keys;
use crate::world::World;

impl World {
    pub fn tidy(&mut self, rules: &Rules) {
        self.clients.iter_mut().for_each(|client| client.send_what_is_due(rules));
        self.forget_late(rules);
        self.etcd.forget_before(self.earliest_read(rules));
        self.forget_when_one_looked();
        self.renumber();
    }

    /// No read that can still come is of an earlier revision.
    fn earliest_read(&self, rules: &Rules) -> Revision {
        let reads = self.phases().filter_map(|phase| match phase {
            Phase::Entering { epoch, .. } | Phase::InDoubt { epoch, .. } => Some(epoch),
            Phase::Waiting(own) => Some(own.created),
            _ => None,
        });
        match rules.read_is_fresh && rules.proof_after_enter && rules.look_is_fresh {
            true => reads.min().unwrap_or(self.etcd.revision),
            false => 0,
        }
    }

    /// Forgets the late requests that cannot do anything any more.
    fn forget_late(&mut self, rules: &Rules) {
        for request in &mut self.late {
            if let Request::Fused { leave, keys, epoch } = *request
                && rules.epoch
                && rules.fused_always_deletes
                && self.etcd.epoch(keys.lease()) != Some(epoch)
            {
                *request = Request::Delete { keys: leave };
            }
        }
        let mut late = std::mem::take(&mut self.late);
        late.retain(|request| match *request {
            Request::Enter { keys, epoch, .. } if rules.epoch => self.etcd.epoch(keys.lease()) == Some(epoch),
            Request::WriteEpoch { lease } => self.etcd.lives(lease),
            Request::Keep { keys, written } if rules.keep_compares => {
                keys.iter().all(|key| self.etcd.written_at(key) == Some(written))
            }
            _ => true,
        });
        let enters: Vec<_> = late.iter().filter_map(entered_by).flat_map(Keys::iter).collect();
        late.retain(|request| match *request {
            Request::Delete { keys } => keys.iter().any(|key| enters.contains(&key) || self.may_be_there(key)),
            _ => true,
        });
        late.sort();
        self.late = late;
    }

    /// Whether a key is in the queue, or may come there by what its client knows of it.
    fn may_be_there(&self, key: Key) -> bool {
        let knows = |client: &Client| {
            let in_phase = client.tasks.iter().any(|task| is_about(task.phase, key));
            let behind = client.chores.iter().any(|chore| chore.keys.contains(key));
            in_phase || behind || client.lease.as_ref().is_some_and(|lease| lease.free.contains(&key))
        };
        self.etcd.created_at(key, self.etcd.revision).is_some() || self.clients.iter().any(knows)
    }

    /// What entered last before one looked, that alone counts: nobody can enter there any more.
    fn forget_when_one_looked(&mut self) {
        let entered: Vec<_> = self.etcd.keys_at(self.etcd.revision).map(|(_, created)| created).collect();
        let last = |seen: Revision| entered.iter().copied().filter(|created| *created <= seen).max().unwrap_or(0);
        let of_request = |request: &mut Request| {
            if let Request::Enter { only: Only::IfAsAt(seen), .. } = request {
                *seen = last(*seen);
            }
        };
        self.late.iter_mut().for_each(of_request);
        for task in self.clients.iter_mut().flat_map(|client| &mut client.tasks) {
            match &mut task.phase {
                Phase::Looked { seen, .. } => *seen = last(*seen),
                Phase::Entering { call, .. } => of_request(&mut call.request),
                _ => (),
            }
        }
        self.late.sort();
    }

    /// Gives the revisions the numbers 1, 2, 3.
    fn renumber(&mut self) {
        let mut known = [false; Revision::MAX as usize + 1];
        self.each_revision(&mut |revision| known[*revision as usize] = true);
        let mut number = [0; Revision::MAX as usize + 1];
        let mut next = 0;
        for revision in 1..known.len() {
            next += known[revision] as Revision;
            number[revision] = next;
        }
        self.each_revision(&mut |revision| *revision = number[*revision as usize]);
    }

    fn each_revision(&mut self, visit: &mut impl FnMut(&mut Revision)) {
        self.etcd.each_revision(visit);
        self.tokens.iter_mut().for_each(|tokens| tokens.each_revision(visit));
        self.robbed.iter_mut().for_each(|(_, created)| visit(created));
        self.late.iter_mut().for_each(|request| of_request(request, visit));
        self.clients.iter_mut().for_each(|client| of_client(client, visit));
    }
}

fn entered_by(request: &Request) -> Option<Keys> {
    match *request {
        Request::Enter { keys, .. } | Request::Fused { keys, .. } => Some(keys),
        _ => None,
    }
}

fn is_about(phase: Phase, this: Key) -> bool {
    match phase {
        Phase::Ready { keys } | Phase::Looked { keys, .. } => keys.is_some_and(|keys| keys.contains(this)),
        Phase::Entering { keys, leaving, .. } => {
            keys.contains(this) || leaving.is_some_and(|own| own.keys.contains(this))
        }
        Phase::InDoubt { keys, .. } => keys.contains(this),
        Phase::Waiting(own) | Phase::Holding(own) | Phase::Keeping { own, .. } => own.keys.contains(this),
        Phase::Done => false,
    }
}

fn of_client(client: &mut Client, visit: &mut impl FnMut(&mut Revision)) {
    if let Some(lease) = &mut client.lease {
        visit(&mut lease.epoch);
        visit(&mut lease.freed);
    }
    client.epoch_write.iter_mut().for_each(|call| of_call(call, visit));
    for chore in &mut client.chores {
        chore.in_doubt.iter_mut().for_each(&mut *visit);
        chore.call.iter_mut().for_each(|call| of_call(call, visit));
    }
    for task in &mut client.tasks {
        match &mut task.phase {
            Phase::Entering { epoch, leaving, call, .. } => {
                visit(epoch);
                leaving.iter_mut().for_each(|own| visit(&mut own.created));
                of_call(call, visit);
            }
            Phase::InDoubt { epoch, looked, .. } => {
                visit(epoch);
                looked.iter_mut().flatten().for_each(|place| visit(&mut place.created));
            }
            Phase::Waiting(own) | Phase::Holding(own) => visit(&mut own.created),
            Phase::Keeping { own, call } => {
                visit(&mut own.created);
                of_call(call, visit);
            }
            Phase::Looked { seen, .. } => visit(seen),
            Phase::Ready { .. } | Phase::Done => (),
        }
    }
}

fn of_call(call: &mut Call, visit: &mut impl FnMut(&mut Revision)) {
    of_request(&mut call.request, visit);
    match &mut call.reply {
        Some(Reply::In(place)) => visit(&mut place.created),
        Some(Reply::OtherEpoch(epoch, at)) => {
            visit(epoch);
            visit(at);
        }
        Some(Reply::EpochWritten(revision) | Reply::Deleted(revision)) => visit(revision),
        Some(Reply::Busy | Reply::Changed | Reply::OtherLimit | Reply::LeaseGone) => (),
        Some(Reply::Refused | Reply::Kept | Reply::NotThere) | None => (),
    }
}

fn of_request(request: &mut Request, visit: &mut impl FnMut(&mut Revision)) {
    if let Request::Enter { epoch, .. } | Request::Fused { epoch, .. } = request {
        visit(epoch);
    }
    if let Request::Enter { only: Only::IfAsAt(seen), .. } | Request::Keep { written: seen, .. } = request {
        visit(seen);
    }
}
