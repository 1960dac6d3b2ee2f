//! The life of an acquisition: it comes to hold, is told how its lease stands, and leaves.

use super::part::Part;
use super::way::{Ask, Way};
use super::{Acquisition, Lasting, Phase};
use crate::holds::Held;
use crate::info::Info;
use crate::lease::Status;
use crate::line::{Joined, Sent, Turn, Waiter};
use crate::queue::{Place, Queues};
use crate::store::Deleted;
use crate::{Change, Error, ErrorKind, Loss, Result, State};
use std::sync::Arc;

impl Acquisition {
    /// The task from the beginning until it holds, or has ended without; of what is held without a lease, or to be had
    /// again when it is lost, until its end.
    pub(super) async fn come_to_hold(
        self: Arc<Self>,
        queues: Queues,
        ask: Ask,
        mut joined: Joined,
        abandoned: Abandoned,
    ) {
        let mut way = Way::new(&self, queues, ask);
        loop {
            let Some(place) = self.come_to_a_place(&mut way, joined).await else {
                self.step_aside(way.had_place);
                self.finish(way.end_of_wait());
                break;
            };
            match self.lasting() {
                Lasting::Lease => break,
                Lasting::Persistent => break way.watch_over(&place).await,
                Lasting::Standby => drop(place),
            }
            if !self.is_to_be_had_again().await {
                break;
            }
            way.begin_again();
            joined = self.join(false);
        }
        abandoned.not();
    }

    async fn come_to_a_place(self: &Arc<Self>, way: &mut Way<'_>, joined: Joined) -> Option<Place> {
        let place = way.get_to_the_front(joined).await?;
        if self.hold(&place) {
            return Some(place);
        }
        way.withdraw(&place).await;
        None
    }

    /// Returns when what was held is not any more: true if it was lost before its owner gave it up. He may have done so
    /// since.
    async fn is_to_be_had_again(&self) -> bool {
        let again = self.course.when(|course| match std::mem::take(&mut course.more().again) {
            true => Some(true),
            false => course.has_ended().then_some(false),
        });
        again.await
    }

    /// Holds from now on; false if its owner has given up meanwhile, and the place is to be given back.
    fn hold(self: &Arc<Self>, place: &Place) -> bool {
        if !place.outlives {
            self.enlist(place);
        }
        let held = self.course.alter(|course| {
            let goes_on = !course.has_ended();
            if goes_on {
                course.phase = Phase::Held(place.clone());
                course.tell(Change { state: State::Held, token: place.created, error: None });
            }
            goes_on
        });
        match held {
            false => release(place),
            true if place.outlives => (),
            // Only now: of what has changed before nobody could tell it.
            true => self.lease_of_is(Some(place.created), &place.lease.status().borrow().clone()),
        }
        held
    }

    /// Has those who keep the lease know what is held.
    fn enlist(self: &Arc<Self>, place: &Place) {
        let is_all = self.lasting() == Lasting::Lease;
        for (index, number) in place.numbers().enumerate() {
            let held: Arc<dyn Held> = match index {
                0 if is_all => self.clone(),
                _ => Arc::new(Part { of: self.clone(), index, created: place.created }),
            };
            place.lease.holds.hold(number, held);
        }
    }

    /// How the lease of what is held stands; of the hold of that create revision alone, if it is said.
    pub(super) fn lease_of_is(&self, created: Option<i64>, status: &Status) {
        match status {
            Status::Alive => self.tell_held(created, None),
            Status::AtRisk(error) => self.tell_held(created, Some(error.clone())),
            Status::Ended(error) => self.lose_it(created, error.clone()),
        }
    }

    /// That it is held, at risk for that reason if there is one.
    fn tell_held(&self, created: Option<i64>, risk: Option<Error>) {
        self.course.alter(|course| {
            if let Some(place) = course.held(created) {
                let (state, token) = (if risk.is_some() { State::AtRisk } else { State::Held }, place.created);
                course.tell(Change { state, token, error: risk });
            }
        });
    }

    /// It is lost, if it was held; if it is said, by that create revision.
    pub(super) fn lose_it(&self, created: Option<i64>, why: Error) {
        let lost = self.course.alter(|course| {
            let place = course.held(created)?.clone();
            // After another end there is no client with which to have it again.
            let is_for_now = why.kind() == ErrorKind::Lost && why.loss() != Some(Loss::WentBack);
            match course.stands_by() && is_for_now {
                true => course.wait_again(why.clone()),
                false => {
                    course.end(Some(why.clone()));
                    course.more().finished = Some(Err(why.clone()));
                }
            }
            if why.loss() == Some(Loss::Expired) {
                course.more().left_over = Some(place.clone());
            }
            let nobody_knows = place.outlives && !course.more().known;
            Some((place, nobody_knows))
        });
        if let Some((place, nobody_knows)) = lost {
            release(&place);
            let others_are_there = place.is_in_several() && why.loss() == Some(Loss::KeyDeleted);
            if others_are_there || nobody_knows {
                self.queues().leave_behind(&place);
            }
            self.step_aside(true);
        }
    }

    /// Its guard is dropped. What needs no client stays as it is, if somebody knows that it is there.
    pub(crate) fn let_go(self: &Arc<Self>) {
        let stays = self.course.alter(|course| {
            let outlives = matches!(&course.phase, Phase::Held(place) if place.outlives);
            let stays = !course.given_up && outlives && course.more().known;
            if stays {
                course.given_up = true;
                course.end(None);
            }
            stays
        });
        match stays {
            true => self.step_aside(true),
            false => _ = self.give_up(),
        }
    }

    /// Its owner wants no more of it. False if that has been said before.
    pub(crate) fn give_up(self: &Arc<Self>) -> bool {
        let (first, end_of_lease) =
            self.course.alter(|course| (!std::mem::replace(&mut course.given_up, true), course.end_of_lease()));
        // Who unlocks too late may come before the news of it.
        if let Some(why) = end_of_lease {
            self.lose_it(None, why);
        }
        let (held, left_over) = self.course.alter(|course| {
            let held = match &course.phase {
                Phase::Held(place) => Some(place.clone()),
                _ => None,
            };
            if !course.has_ended() {
                course.end(None);
            }
            (held, course.more.as_mut().and_then(|more| more.left_over.take()))
        });
        if let Some(place) = held {
            release(&place);
            self.context.runtime.spawn(self.clone().leave(place, Abandoned::new(self)));
        }
        // It would keep us out, too. Its owner may have had something to stop until now.
        if let Some(place) = left_over {
            let queues = self.queues();
            self.context.runtime.spawn(async move { queues.discard(&place).await });
        }
        first
    }

    /// The task that leaves what was held until now.
    async fn leave(self: Arc<Self>, place: Place, abandoned: Abandoned) {
        let left = self.depart(&self.queues(), &place).await;
        // The end of its client may have come before.
        let is_ours = || place.lease.ended().is_some_and(|why| why.kind() == ErrorKind::Cancelled);
        self.finish(match left {
            Ok(Deleted::Absent) if !place.outlives && is_ours() => Ok(()),
            Ok(Deleted::Absent) => {
                let message = format!("{} was lost before it was unlocked", self.title());
                Err(Error::lost(Loss::KeyDeleted, message))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        });
        abandoned.not();
    }

    /// Takes a place out of etcd's queue, in one request with the enter of the next in line if there is one.
    pub(super) async fn depart(&self, queues: &Queues, place: &Place) -> Result<Deleted> {
        match self.context.lines.next(self) {
            // What no lease ends is deleted by a request that does not depend on one.
            Some(next) if !place.outlives && place.lease.ended().is_none() => hand_over(queues, place, next).await,
            next => {
                if let Some(next) = next {
                    next.come_forward(Turn::Enter { placed: true });
                }
                let left = queues.leave(place).await;
                self.step_aside(true);
                left
            }
        }
    }

    /// Lets the next in line come to the front; `placed`: this one had a place in etcd's queue.
    fn step_aside(&self, placed: bool) {
        if let Some(next) = self.context.lines.end(self) {
            next.come_forward(Turn::Enter { placed });
        }
    }

    fn finish(&self, result: Result<()>) {
        self.course.alter(|course| course.more().finished = Some(result));
    }

    pub(super) async fn given_up(&self) {
        self.course.when(|course| course.given_up.then_some(())).await;
    }

    /// It ends, unless it has ended before.
    pub(super) fn end(&self, why: Option<Error>) {
        self.course.alter(|course| {
            if !course.has_ended() {
                course.end(why);
            }
        });
    }

    pub(super) fn set_holder(&self, holder: Info) {
        self.course.alter(|course| course.more().holder = Some(holder));
    }

    /// It is in etcd's queue now.
    pub(super) fn is_in(&self) {
        self.course.alter(|course| course.placed = true);
    }

    /// It lost its place, and waits for another.
    pub(super) fn wait_again(&self, lapse: Error) {
        self.course.alter(|course| {
            if !course.has_ended() {
                course.tell_waiting(lapse);
            }
        });
    }
}

/// Nobody need keep it any more.
fn release(place: &Place) {
    place.numbers().for_each(|number| place.lease.holds.release(number));
}

/// Leaves a place, and enters for the next in line, in one request.
async fn hand_over(queues: &Queues, place: &Place, next: Waiter) -> Result<Deleted> {
    let lease = place.lease.clone();
    let (number, former, epoch) = (lease.holds.take(next.who.name()), lease.holds.youngest(), lease.epoch.value());
    let answer = queues.leave_for(place, number, epoch, next.who.record().encode()).await;
    let deleted = answer.as_ref().ok().map(|reply| reply.deleted[0]);
    next.come_forward(Turn::Sent(Sent { lease, number, former, epoch, answer }));
    match deleted {
        Some(deleted) => Ok(queues.left(place, deleted)),
        None => queues.leave_in_doubt(place).await,
    }
}

/// Ends an acquisition whose task is dropped (its runtime went) or panics.
#[must_use]
pub(super) struct Abandoned(Option<Arc<Acquisition>>);

impl Abandoned {
    pub(super) fn new(it: &Arc<Acquisition>) -> Self {
        Abandoned(Some(it.clone()))
    }

    /// The task has come to its end.
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let Some(it) = self.0.take() else { return };
        let error = Error::new(ErrorKind::Cancelled, "the runtime of the client is gone");
        it.end(Some(error.clone()));
        it.finish(Err(error));
        if !it.context.lines.quit(&it) {
            it.step_aside(false);
        }
    }
}
