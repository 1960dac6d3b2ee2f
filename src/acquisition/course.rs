//! How far an acquisition has come, and what there is to tell of that.

use super::{Lasting, Words};
use crate::info::Info;
use crate::queue::Place;
use crate::{Change, Error, Result, State};
use std::collections::VecDeque;

/// So many changes wait for a slow reader. More are merged: the oldest goes.
const UNREAD: usize = 64;

/// How far it has come. Kept small.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) phase: Phase,
    /// Whether its owner wants no more of it.
    pub(super) given_up: bool,
    /// Whether it has, or had, a place in etcd's queue.
    pub(super) placed: bool,
    /// Whether that it is held was not read yet, and is all that there is to read.
    pub(super) held_unread: bool,
    /// The last change of state, and the last that was read; nothing before the first.
    pub(super) last: Option<State>,
    pub(super) told: Option<State>,
    /// What most guards that are held do not have.
    pub(super) more: Option<Box<More>>,
}

#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) words: Words,
    /// With how many it is to be shared at most, if at all; 0: with any number.
    pub(super) share: Option<u32>,
    pub(super) lasting: Lasting,
    /// The changes of state that were not read yet.
    pub(super) unread: VecDeque<Change>,
    /// What `unlock` has to say, once nothing of it is left in etcd or it is known that this cannot be confirmed.
    pub(super) finished: Option<Result<()>>,
    /// Who is in the way, as far as known.
    pub(super) holder: Option<Info>,
    /// What was lost by our clock alone: its key is still there.
    pub(super) left_over: Option<Place>,
    /// Why it was lost, of one that waits to have it again.
    pub(super) lost: Option<Error>,
    /// Whether it is to be had again, which its task has not seen yet.
    pub(super) again: bool,
    /// Whether its owner has been told that it is held.
    pub(super) known: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    Waiting,
    Held(Place),
    /// Why; `None`: unlocked.
    Ended(Option<Error>),
}

impl Course {
    /// The state now: reads the clock.
    pub(super) fn state(&self) -> State {
        match &self.phase {
            Phase::Waiting => State::Waiting,
            Phase::Held(place) if place.remaining().is_zero() => match self.stands_by() {
                true => State::Waiting,
                false => State::Ended,
            },
            Phase::Held(place) if place.at_risk() => State::AtRisk,
            Phase::Held(_) => State::Held,
            Phase::Ended(_) => State::Ended,
        }
    }

    /// Whether it waits anew when it is lost.
    pub(super) fn stands_by(&self) -> bool {
        !self.given_up && self.lasting() == Lasting::Standby
    }

    pub(super) fn lasting(&self) -> Lasting {
        self.more.as_ref().map_or(Lasting::Lease, |more| more.lasting)
    }

    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Tells a change of state. The same is not told twice running, but WAITING.
    pub(super) fn tell(&mut self, change: Change) {
        if self.last == Some(change.state) && change.state != State::Waiting || self.last == Some(State::Ended) {
            return;
        }
        self.last = Some(change.state);
        let is_first = self.more.as_ref().is_none_or(|more| more.unread.is_empty()) && !self.held_unread;
        if is_first && change.state == State::Held && change.error.is_none() {
            self.held_unread = true;
            return;
        }
        if let Some(held) = self.take_held_unread() {
            self.more().unread.push_back(held);
        }
        let unread = &mut self.more().unread;
        if unread.len() == UNREAD {
            unread.pop_front();
        }
        unread.push_back(change);
    }

    pub(super) fn take_held_unread(&mut self) -> Option<Change> {
        let token = match &self.phase {
            Phase::Held(place) => place.created,
            _ => 0,
        };
        std::mem::take(&mut self.held_unread).then_some(Change { state: State::Held, token, error: None })
    }

    /// The next change to read; `Some(None)`: there will be no more.
    pub(super) fn next_change(&mut self) -> Option<Option<Change>> {
        loop {
            let next = self.take_held_unread().or_else(|| self.more.as_mut()?.unread.pop_front());
            let Some(change) = next else { return (self.told == Some(State::Ended)).then_some(None) };
            // Those in between may have been merged.
            if self.told != Some(change.state) || change.state == State::Waiting {
                self.told = Some(change.state);
                return Some(Some(change));
            }
        }
    }

    /// It ends, for its owner.
    pub(super) fn end(&mut self, why: Option<Error>) {
        self.tell(Change { state: State::Ended, token: 0, error: why.clone() });
        self.phase = Phase::Ended(why);
    }

    /// It was held, and waits to be so again.
    pub(super) fn wait_again(&mut self, lost: Error) {
        self.tell_waiting(lost.clone());
        self.phase = Phase::Waiting;
        let more = self.more();
        (more.lost, more.holder, more.again) = (Some(lost), None, true);
    }

    pub(super) fn tell_waiting(&mut self, why: Error) {
        self.tell(Change { state: State::Waiting, token: 0, error: Some(why) });
    }

    /// Why what was held is not any more, if nobody has told yet.
    pub(super) fn end_of_lease(&self) -> Option<Error> {
        match &self.phase {
            Phase::Held(place) => place.ended(),
            _ => None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// The place that is held, whatever the clock says; if it is said, of that create revision.
    pub(super) fn held(&self, created: Option<i64>) -> Option<&Place> {
        match &self.phase {
            Phase::Held(place) if created.is_none_or(|created| created == place.created) => Some(place),
            _ => None,
        }
    }

    /// The place while it is held by the clock.
    pub(super) fn place(&self) -> Option<&Place> {
        match &self.phase {
            Phase::Held(place) if !place.remaining().is_zero() => Some(place),
            _ => None,
        }
    }
}
