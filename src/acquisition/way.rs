//! The way to hold a lock: in line, into etcd's queue, and until one's turn has come.

use super::{Acquisition, Lasting, Phase};
use crate::context::Context;
use crate::lease::deleted;
use crate::line::{Joined, Turn};
use crate::queue::{Entered, Lapse, Place, Queues};
use crate::store::Fault;
use crate::{Error, ErrorKind, Result};
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
pub(super) struct Way<'a> {
    it: &'a Arc<Acquisition>,
    queues: Queues,
    ask: Ask,
    /// Whether there was a place in etcd's queue. The first time etcd has to answer in the client's time limit. Once
    /// there was one, only this acquisition's own limit counts.
    pub(super) had_place: bool,
    /// Why etcd has not confirmed that a place was given up.
    unconfirmed: Option<Error>,
}

impl<'a> Way<'a> {
    pub(super) fn new(it: &'a Arc<Acquisition>, queues: Queues, ask: Ask) -> Self {
        Way { it, queues, ask, had_place: false, unconfirmed: None }
    }

    /// What was held is lost, and to be had again, however long that takes.
    pub(super) fn begin_again(&mut self) {
        (self.ask, self.had_place, self.unconfirmed) = (Ask::new(None), true, None);
    }

    /// Stands in line, enters and waits until the lock is held; enters again if the place is lost. `None`: it has ended.
    pub(super) async fn get_to_the_front(&mut self, joined: Joined) -> Option<Place> {
        let mut turn = self.line_up(joined).await?;
        loop {
            let (place, before) = self.enter(turn).await?;
            self.had_place = true;
            self.it.is_in();
            let first = if before == 0 { Ok(()) } else { self.wait(&place, before).await? };
            let held = match first {
                Ok(()) if self.it.lasting() == Lasting::Persistent => self.outlive(place).await?,
                first => first.map(|()| place.clone()).map_err(|lapse| (place, lapse)),
            };
            let (place, lapse) = match held {
                Ok(place) => return Some(place),
                Err(lapsed) => lapsed,
            };
            debug!(name = self.it.name(), reason = %lapse, "lost the place in the queue");
            if place.is_in_several() || place.outlives {
                // Something of it may be there still.
                self.leave_the_rest(&place).await?;
            }
            self.it.wait_again(lapse);
            turn = Turn::Enter { placed: true };
        }
    }

    /// Stands in the client's own line until it is at the front of it.
    async fn line_up(&mut self, joined: Joined) -> Option<Turn> {
        match joined {
            Joined::Front | Joined::Beside => (!self.it.has_given_up()).then_some(Turn::Enter { placed: false }),
            Joined::Behind(turn) => self.wait_in_line(turn).await,
        }
    }

    async fn wait_in_line(&mut self, mut turn: oneshot::Receiver<Turn>) -> Option<Turn> {
        let why = loop {
            tokio::select! { biased;
                told = &mut turn => return match told {
                    // It was passed over.
                    Err(_) if self.it.has_given_up() => None,
                    told => Some(self.come_to_the_front(told.ok())),
                },
                why = self.interruption(false) => break why,
                () = sleep_until(self.patience_in_line()) => if let Some(why) = self.lose_patience() {
                    break Some(why);
                },
            }
        };
        self.it.end(why);
        if !self.queues.context().lines.quit(self.it) {
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
        let answer_by = self.ask.first_answer_by(self.queues.context());
        match self.had_place {
            true => limit,
            false if limit > now => limit.min(answer_by),
            false => answer_by,
        }
    }

    /// What has run out: the patience with etcd, that has given nobody a place, or with those who have one.
    fn lose_patience(&mut self) -> Option<Error> {
        let (context, now) = (self.queues.context(), Instant::now());
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

    /// Enters etcd's queue. Says how many places are before; with none, it holds at once.
    async fn enter(&mut self, turn: Turn) -> Option<(Place, u32)> {
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
                Ok(Entered::First(place)) => return Some((place, 0)),
                Ok(Entered::Behind(place, holder)) => {
                    let before = holder.waiters.max(1);
                    self.it.set_holder(holder);
                    return Some((place, before));
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
        let context = self.queues.context();
        let by = if self.had_place { context.by() } else { self.ask.first_answer_by(context) };
        let mut sent = match turn {
            Some(Turn::Sent(sent)) => Some(sent),
            _ => None,
        };
        loop {
            let lease = match &sent {
                Some(sent) => sent.lease.clone(),
                None => self.queues.lease(by).await?,
            };
            let record = self.it.record().encode();
            match self.queues.enter(&lease, record, self.ask.only_if_free(), sent.take(), by).await {
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
    pub(super) async fn withdraw(&mut self, place: &Place) {
        if let Err(error) = self.it.depart(&self.queues, place).await {
            self.unconfirmed = Some(error);
        }
    }

    /// Gives up what is left of a place that was lost in one of several queues. `None`: the wait has ended meanwhile.
    async fn leave_the_rest(&mut self, place: &Place) -> Option<()> {
        let (left, goes_on) = {
            let mut leaving = pin!(self.queues.leave(place));
            tokio::select! { biased;
                left = &mut leaving => (left, Some(())),
                why = self.interruption(true) => {
                    self.it.end(rather(why, place.lease.silence()));
                    (leaving.await, None)
                }
            }
        };
        self.unconfirmed = left.err().or(self.unconfirmed.take());
        goes_on
    }

    /// Waits for the turn of a place. `Some(Err)`: the place is gone, and one may enter again. `None`: it has ended.
    async fn wait(&mut self, place: &Place, before: u32) -> Option<Result<()>> {
        let why = tokio::select! { biased;
            turn = self.queues.turn(place, before, |holder| self.it.set_holder(holder)) => match turn {
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

    /// Has a place that holds outlive the client. `Some(Err)`: it is lost, and one may enter again; something of it may be
    /// there still. `None`: it has ended.
    async fn outlive(&mut self, mut place: Place) -> Option<Result<Place, (Place, Error)>> {
        let (context, record) = (self.queues.context().clone(), self.it.record().encode());
        let lease = place.lease.clone();
        // Whatever is heard of it: from now on it may be so.
        place.outlives = true;
        let why = loop {
            tokio::select! { biased;
                done = self.queues.outlive(&mut place, &record, context.by()) => match done {
                    Ok(true) => return Some(Ok(place)),
                    Ok(false) => {
                        let gone = deleted(&self.queues.keys(&place).join(" or "));
                        return Some(Err((place, gone)));
                    }
                    Err(Fault::Refused(error)) => break Some(error),
                    Err(_) => (),
                },
                why = self.interruption(true) => break rather(why, lease.silence()),
                error = lease.wait_ended() => {
                    place.doubted = true;
                    match error.kind() {
                        ErrorKind::Cancelled => break Some(error),
                        _ => return Some(Err((place, error))),
                    }
                }
            }
            sleep(PAUSE).await;
        };
        place.doubted = true;
        let receipt = self.queues.receipt(&place);
        self.it.end(why.map(|why| why.hinted(&receipt)));
        self.withdraw(&place).await;
        None
    }

    /// Returns when what is held without a lease is not any more, or has nobody who holds it here.
    pub(super) async fn watch_over(&self, place: &Place) {
        tokio::select! { biased;
            () = self.it.given_up() => (),
            why = self.queues.context().views.wait_closed() => self.it.lose_it(None, why),
            why = self.queues.gone(place) => self.it.lose_it(None, why),
        }
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
            error = self.queues.context().views.wait_closed() => Some(error),
            () = limit => Some(self.it.timed_out()),
        }
    }

    /// What `unlock` says of a wait that has ended: that nothing is held, nor a place in the queue.
    pub(super) fn end_of_wait(&self) -> Result<()> {
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
