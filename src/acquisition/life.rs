//! The life of an acquisition: it comes to hold, is told how its lease stands, and leaves.

use super::{Acquisition, Phase};
use crate::context::Context;
use crate::info::Info;
use crate::lease::Status;
use crate::line::{Joined, Sent, Turn, Waiter};
use crate::queue::{Entered, Lapse, Place, Queue};
use crate::store::Deleted;
use crate::{Change, Error, ErrorKind, Loss, Result, State};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

/// However short the wait for other holders may be, etcd itself is given this long to answer.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// The pause before somebody who has lost his place tries again to enter, when etcd does not take him.
const PAUSE: Duration = Duration::from_millis(250);
/// As good as for ever.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long is waited, and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    started: Instant,
    /// How long to wait for other holders; `None`: as long as it takes.
    timeout: Option<Duration>,
}

impl Ask {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Ask { started: Instant::now(), timeout }
    }

    /// Until when to wait for other holders.
    fn limit(&self) -> Option<Instant> {
        self.timeout.and_then(|timeout| self.started.checked_add(timeout.min(FOR_EVER)))
    }

    /// Until when etcd has to answer for the first time.
    fn first_answer_by(&self, context: &Context) -> Instant {
        let patience = match self.timeout {
            Some(timeout) if !timeout.is_zero() => context.timeout.min(timeout.max(LEAST_PATIENCE)),
            _ => context.timeout,
        };
        self.started + patience
    }

    /// Whether only a lock that is free is wanted. Who wants that does not stand behind others.
    pub(super) fn only_if_free(&self) -> bool {
        self.timeout == Some(Duration::ZERO)
    }
}

/// One way to hold a lock, as a task goes it.
struct Way<'a> {
    it: &'a Arc<Acquisition>,
    queue: Queue,
    ask: Ask,
    /// Whether there was a place in etcd's queue. The first time etcd has to answer in the client's time limit. Once
    /// there was one, only this acquisition's own limit counts.
    had_place: bool,
    /// Why etcd has not confirmed that a place was given up.
    unconfirmed: Option<Error>,
}

impl Acquisition {
    /// The task from the beginning until it holds, or has ended without.
    pub(super) async fn come_to_hold(self: Arc<Self>, queue: Queue, ask: Ask, joined: Joined, abandoned: Abandoned) {
        let mut way = Way { it: &self, queue, ask, had_place: false, unconfirmed: None };
        let held = match way.to_the_front(joined).await {
            Some(place) => match self.hold(place) {
                Ok(()) => true,
                Err(place) => {
                    way.withdraw(&place).await;
                    false
                }
            },
            None => false,
        };
        if !held {
            self.step_aside(way.had_place);
            self.finish(way.end_of_wait());
        }
        abandoned.not();
    }

    /// Holds from now on; gives the place back if its owner has given up meanwhile.
    fn hold(self: &Arc<Self>, place: Place) -> Result<(), Place> {
        let (lease, number, token) = (place.lease.clone(), place.number, place.created);
        lease.holds.hold(number, self.clone());
        // Whoever looks at the lease only now has not missed its end.
        let status = lease.status().borrow().clone();
        let held = self.course.alter(|course| {
            if course.has_ended() {
                return Err(place);
            }
            course.phase = Phase::Held(place);
            let (state, error) = match &status {
                Status::AtRisk(error) => (State::AtRisk, Some(error.clone())),
                _ => (State::Held, None),
            };
            course.changes.push(Change { state, token, error });
            Ok(())
        });
        match (&held, status) {
            (Err(_), _) => lease.holds.release(number),
            (Ok(()), Status::Ended(why)) => self.lose_it(why),
            _ => (),
        }
        held
    }

    /// That it is held, at risk for that reason if there is one.
    pub(super) fn tell_held(&self, risk: Option<Error>) {
        self.course.alter(|course| {
            if let Phase::Held(place) = &course.phase {
                let (state, token) = (if risk.is_some() { State::AtRisk } else { State::Held }, place.created);
                course.changes.push(Change { state, token, error: risk });
            }
        });
    }

    /// It is lost, if it was held.
    pub(super) fn lose_it(&self, why: Error) {
        let lost = self.course.alter(|course| {
            let Phase::Held(place) = course.phase.clone() else { return None };
            course.end(Some(why.clone()));
            if why.loss() == Some(Loss::Expired) {
                course.left_over = Some(Box::new(place.clone()));
            }
            course.finished = Some(Box::new(Err(why)));
            Some(place)
        });
        if let Some(place) = lost {
            place.lease.holds.release(place.number);
            self.step_aside(true);
        }
    }

    /// Its owner wants no more of it. False if that has been said before.
    pub(crate) fn give_up(self: &Arc<Self>) -> bool {
        // Who unlocks too late may come before the news of it.
        if let Some(why) = self.course.see(|course| course.end_of_lease()) {
            self.lose_it(why);
        }
        let (first, held, left_over) = self.course.alter(|course| {
            let first = !std::mem::replace(&mut course.given_up, true);
            let held = match &course.phase {
                Phase::Held(place) => Some(place.clone()),
                _ => None,
            };
            if !course.has_ended() {
                course.end(None);
            }
            (first, held, course.left_over.take())
        });
        if let Some(place) = held {
            place.lease.holds.release(place.number);
            self.context.runtime.spawn(self.clone().leave(place, Abandoned::new(self)));
        }
        // It would keep us out, too. Its owner may have had something to stop until now.
        if let Some(place) = left_over {
            let queue = self.queue();
            self.context.runtime.spawn(async move { queue.discard(&place).await });
        }
        first
    }

    /// The task that leaves what was held until now.
    async fn leave(self: Arc<Self>, place: Place, abandoned: Abandoned) {
        let left = self.depart(&self.queue(), &place).await;
        self.finish(match left {
            Ok(Deleted::Absent) => {
                let message = format!("{:?} was lost before it was unlocked", self.name());
                Err(Error::lost(Loss::KeyDeleted, message))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        });
        abandoned.not();
    }

    /// Takes a place out of etcd's queue, in one request with the enter of the next in line if there is one.
    async fn depart(&self, queue: &Queue, place: &Place) -> Result<Deleted> {
        match self.context.lines.next(self) {
            Some(next) if place.lease.ended().is_none() => hand_over(queue, place, next).await,
            next => {
                if let Some(next) = next {
                    next.come_forward(Turn::Enter { placed: true });
                }
                let left = queue.leave(place).await;
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
        self.course.alter(|course| course.finished = Some(Box::new(result)));
    }

    async fn given_up(&self) {
        self.course.when(|course| course.given_up.then_some(())).await;
    }

    /// It ends, unless it has ended before.
    fn end(&self, why: Option<Error>) {
        self.course.alter(|course| {
            if !course.has_ended() {
                course.end(why);
            }
        });
    }

    fn set_holder(&self, holder: Info) {
        self.course.alter(|course| course.holder = Some(Box::new(holder)));
    }

    /// It is in etcd's queue now.
    fn is_in(&self) {
        self.course.alter(|course| course.placed = true);
    }

    /// It lost its place, and waits for another.
    fn wait_again(&self, lapse: Error) {
        self.course.alter(|course| {
            if !course.has_ended() {
                course.changes.push(Change { state: State::Waiting, token: 0, error: Some(lapse) });
            }
        });
    }
}

/// Leaves a place, and enters for the next in line, in one request.
async fn hand_over(queue: &Queue, place: &Place, next: Waiter) -> Result<Deleted> {
    let lease = place.lease.clone();
    let (number, epoch) = (lease.holds.take(), lease.epoch.value());
    let answer = queue.leave_for(place, number, epoch, next.who.record().encode()).await;
    let deleted = answer.as_ref().ok().map(|reply| reply.deleted[0]);
    next.come_forward(Turn::Sent(Sent { lease, number, epoch, answer }));
    match deleted {
        Some(deleted) => Ok(queue.left(place, deleted)),
        None => queue.leave_in_doubt(place).await,
    }
}

impl Way<'_> {
    /// Stands in line, enters and waits until the lock is held; enters again if the place is lost. `None`: it has ended.
    async fn to_the_front(&mut self, joined: Joined) -> Option<Place> {
        let mut turn = self.line_up(joined).await?;
        loop {
            let (place, first) = self.enter(turn).await?;
            self.had_place = true;
            self.it.is_in();
            if first {
                return Some(place);
            }
            match self.wait(&place).await? {
                Ok(()) => return Some(place),
                Err(lapse) => {
                    debug!(name = self.it.name(), reason = %lapse, "lost the place in the queue");
                    self.it.wait_again(lapse);
                }
            }
            turn = Turn::Enter { placed: true };
        }
    }

    /// Stands in the client's own line until it is at the front of it.
    async fn line_up(&mut self, joined: Joined) -> Option<Turn> {
        match joined {
            Joined::Front | Joined::Beside => Some(Turn::Enter { placed: false }),
            Joined::Behind(turn) => self.wait_in_line(turn).await,
        }
    }

    async fn wait_in_line(&mut self, mut turn: oneshot::Receiver<Turn>) -> Option<Turn> {
        let why = loop {
            tokio::select! { biased;
                told = &mut turn => return Some(self.come_to_the_front(told.ok())),
                why = self.interruption(false) => break why,
                () = sleep_until(self.patience_in_line()) => if let Some(why) = self.lose_patience() {
                    break Some(why);
                },
            }
        };
        self.it.end(why);
        if !self.queue.context().lines.quit(self.it) {
            // Its turn has come meanwhile, and with it maybe a place.
            let turn = self.come_to_the_front(turn.await.ok());
            if let Turn::Sent(_) = turn {
                self.give_back(turn).await;
            }
        }
        None
    }

    fn come_to_the_front(&mut self, turn: Option<Turn>) -> Turn {
        let turn = turn.unwrap_or(Turn::Enter { placed: false });
        self.had_place |= !matches!(turn, Turn::Enter { placed: false });
        turn
    }

    /// Until when to wait in line before it is looked who stands in front.
    fn patience_in_line(&self) -> Instant {
        let now = Instant::now();
        let limit = self.ask.limit().unwrap_or(now + FOR_EVER);
        let answer_by = self.ask.first_answer_by(self.queue.context());
        match self.had_place {
            true => limit,
            false if limit > now => limit.min(answer_by),
            false => answer_by,
        }
    }

    /// What has run out: the patience with etcd, that has given nobody a place, or with those who have one.
    fn lose_patience(&mut self) -> Option<Error> {
        let (context, now) = (self.queue.context(), Instant::now());
        let front = context.lines.front(self.it.name());
        self.had_place |= front.as_ref().is_some_and(|front| front.is_placed());
        match self.had_place {
            true if self.ask.limit().is_some_and(|limit| limit <= now) => {
                rather(Some(self.it.timed_out()), front.and_then(|front| front.silence()))
            }
            false if self.ask.first_answer_by(context) <= now => {
                let what = format!("etcd is unavailable: it has not answered those who want {:?}, too", self.it.name());
                Some(Error::new(ErrorKind::Unavailable, what))
            }
            _ => None,
        }
    }

    /// Enters etcd's queue. Says whether it holds at once.
    async fn enter(&mut self, turn: Turn) -> Option<(Place, bool)> {
        let lost = || Error::new(ErrorKind::Unavailable, "etcd has not answered since the place in the queue was lost");
        let mut silence = self.had_place.then(lost);
        let mut turn = Some(turn);
        loop {
            let entered = {
                let mut entering = pin!(self.enter_once(turn.take()));
                tokio::select! { biased;
                    entered = &mut entering => Ok(entered),
                    why = self.interruption(self.had_place) => {
                        self.it.end(rather(why, silence.clone()));
                        Err(entering.await)
                    }
                }
            };
            let entered = match entered {
                Ok(entered) => entered,
                // It may still have come to a place.
                Err(late) => {
                    self.give_back_if_entered(late).await;
                    return None;
                }
            };
            match entered {
                Ok(Entered::First(place)) => return Some((place, true)),
                Ok(Entered::Behind(place, holder)) => {
                    self.it.set_holder(holder);
                    return Some((place, false));
                }
                Ok(Entered::Busy(holder)) => {
                    self.it.set_holder(holder);
                    self.it.end(Some(self.it.timed_out()));
                    return None;
                }
                Err(error) if self.had_place && error.kind() == ErrorKind::Unavailable => {
                    silence = Some(error);
                    tokio::select! { biased;
                        why = self.interruption(true) => {
                            self.it.end(rather(why, silence));
                            return None;
                        }
                        () = sleep(PAUSE) => (),
                    }
                }
                Err(error) => {
                    self.it.end(Some(error));
                    return None;
                }
            }
        }
    }

    /// Enters with the lease there is, or with a new one if that turns out to be gone.
    async fn enter_once(&self, turn: Option<Turn>) -> Result<Entered> {
        let context = self.queue.context();
        let by = if self.had_place { context.by() } else { self.ask.first_answer_by(context) };
        let mut sent = match turn {
            Some(Turn::Sent(sent)) => Some(sent),
            _ => None,
        };
        loop {
            let lease = match &sent {
                Some(sent) => sent.lease.clone(),
                None => self.queue.lease(by).await?,
            };
            let record = self.it.record().encode();
            match self.queue.enter(&lease, record, self.ask.only_if_free(), sent.take(), by).await {
                // The answer took longer than the lease lasts: that place holds nothing.
                Ok(Entered::First(_)) if lease.ended().is_some() && Instant::now() < by => (),
                Ok(entered) => return Ok(entered),
                Err(Lapse::Failed(error)) => return Err(error),
                Err(Lapse::Gone(error)) if Instant::now() >= by => {
                    return Err(match error.kind() {
                        ErrorKind::Lost => Error::new(ErrorKind::Unavailable, format!("etcd is unavailable: {error}")),
                        _ => error,
                    });
                }
                Err(Lapse::Gone(_)) => (),
            }
        }
    }

    /// Gives back the place to which a request may have come that was sent for it.
    async fn give_back(&mut self, turn: Turn) {
        let entered = self.enter_once(Some(turn)).await;
        self.give_back_if_entered(entered).await;
    }

    async fn give_back_if_entered(&mut self, entered: Result<Entered>) {
        if let Ok(Entered::First(place) | Entered::Behind(place, _)) = entered {
            self.withdraw(&place).await;
        }
    }

    /// Gives up a place that does not hold.
    async fn withdraw(&mut self, place: &Place) {
        if let Err(error) = self.it.depart(&self.queue, place).await {
            self.unconfirmed = Some(error);
        }
    }

    /// Waits for the turn of a place. `Some(Err)`: the place is gone, and one may enter again. `None`: it has ended.
    async fn wait(&mut self, place: &Place) -> Option<Result<()>> {
        let why = tokio::select! { biased;
            turn = self.queue.turn(place) => match turn {
                Ok(()) => return Some(Ok(())),
                Err(Lapse::Gone(error)) if error.kind() != ErrorKind::Cancelled => return Some(Err(error)),
                Err(Lapse::Gone(error) | Lapse::Failed(error)) => Some(error),
            },
            why = self.interruption(true) => rather(why, place.lease.silence()),
        };
        self.it.end(why);
        self.withdraw(place).await;
        None
    }

    /// What ends a wait before its time: `None` if the guard does, else the error: the end of the client; with `limited`,
    /// also the time limit.
    async fn interruption(&self, limited: bool) -> Option<Error> {
        let limit = async {
            match self.ask.limit() {
                Some(limit) if limited => sleep_until(limit).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! { biased;
            () = self.it.given_up() => None,
            error = self.queue.context().views.wait_closed() => Some(error),
            () = limit => Some(self.it.timed_out()),
        }
    }

    /// What `unlock` says of a wait that has ended: that nothing is held, nor a place in the queue.
    fn end_of_wait(&self) -> Result<()> {
        let cancelled = self.it.course.see(|course| match &course.phase {
            Phase::Ended(Some(why)) if why.kind() == ErrorKind::Cancelled => Some(why.clone()),
            _ => None,
        });
        cancelled.or(self.unconfirmed.clone()).map_or(Ok(()), Err)
    }
}

/// If etcd has not answered lately, that is why the time ran out, and not what was heard of a holder before.
fn rather(why: Option<Error>, silence: Option<Error>) -> Option<Error> {
    why.map(|why| match silence {
        Some(silence) if why.kind() == ErrorKind::Timeout => silence,
        _ => why,
    })
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
