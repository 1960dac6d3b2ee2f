//! The life of an acquisition: a task that enters the queue, waits, holds, and leaves.

use super::{Acquisition, Phase};
use crate::info::Info;
use crate::lease::Status;
use crate::queue::{Entered, Lapse, Place};
use crate::store::Deleted;
use crate::{Change, Error, ErrorKind, Loss, Result, State};
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

/// However short the wait for other holders may be, etcd itself is given this long to answer.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// The pause before somebody who has lost his place tries again to enter, when etcd does not take him.
const PAUSE: Duration = Duration::from_millis(250);

impl Acquisition {
    pub(super) async fn live(self: Arc<Self>, _abandoned: Abandoned) {
        let Some(place) = self.acquire().await else { return self.finish(self.end_of_wait()) };
        self.finish(self.hold(&place).await);
        self.clear_away(&place).await;
    }

    fn finish(&self, result: Result<()>) {
        self.finished.send_replace(Some(result));
    }

    /// What `unlock` says of a wait that has ended: that nothing is held, nor a place in the queue.
    fn end_of_wait(&self) -> Result<()> {
        match &*self.phase.borrow() {
            Phase::Ended(Some(why)) if why.kind() == ErrorKind::Cancelled => Err(why.clone()),
            _ => self.unconfirmed.get().map_or(Ok(()), |error| Err(error.clone())),
        }
    }

    /// Gives up a place that does not hold.
    async fn withdraw(&self, place: &Place) {
        if let Err(error) = self.queue.leave(place).await {
            let _ = self.unconfirmed.set(error);
        }
    }

    /// Enters and waits until the lock is held; enters again if the place is lost. `None`: it has ended.
    async fn acquire(&self) -> Option<Place> {
        let mut had_place = false;
        loop {
            let (place, first) = self.enter(had_place).await?;
            if first {
                return Some(place);
            }
            had_place = true;
            match self.wait(&place).await? {
                Ok(()) => return Some(place),
                Err(lapse) => {
                    debug!(name = self.name(), reason = %lapse, "lost the place in the queue");
                    self.tell(Phase::Waiting, Some(lapse));
                }
            }
        }
    }

    /// Enters the queue. Says whether it holds at once.
    ///
    /// The first time etcd has to answer in the client's time limit. Once there was a place, only this acquisition's
    /// own limit counts.
    async fn enter(&self, had_place: bool) -> Option<(Place, bool)> {
        let lost = || Error::new(ErrorKind::Unavailable, "etcd has not answered since the place in the queue was lost");
        let mut silence = had_place.then(lost);
        loop {
            let by = if had_place { self.queue.context().by() } else { self.first_answer_by() };
            let mut entering = pin!(self.enter_once(by));
            let entered = tokio::select! { biased;
                entered = &mut entering => entered,
                why = self.interruption(had_place) => {
                    self.end(rather(why, silence));
                    // It may still have come to a place.
                    if let Ok(Entered::First(place) | Entered::Behind(place, _)) = entering.await {
                        self.withdraw(&place).await;
                    }
                    return None;
                }
            };
            match entered {
                Ok(Entered::First(place)) => return Some((place, true)),
                Ok(Entered::Behind(place, holder)) => {
                    self.set_holder(holder);
                    return Some((place, false));
                }
                Ok(Entered::Busy(holder)) => {
                    self.set_holder(holder);
                    self.end(Some(self.timed_out()));
                    return None;
                }
                Err(error) if had_place && error.kind() == ErrorKind::Unavailable => {
                    silence = Some(error);
                    tokio::select! { biased;
                        why = self.interruption(true) => {
                            self.end(rather(why, silence));
                            return None;
                        }
                        () = sleep(PAUSE) => (),
                    }
                }
                Err(error) => {
                    self.end(Some(error));
                    return None;
                }
            }
        }
    }

    /// Enters with the lease there is, or with a new one if that turns out to be gone.
    async fn enter_once(&self, by: Instant) -> Result<Entered> {
        let only_if_free = self.request.timeout == Some(Duration::ZERO);
        loop {
            let lease = self.queue.lease(by).await?;
            match self.queue.enter(&lease, self.request.record.encode(), only_if_free, by).await {
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

    /// Waits for the turn of a place. `Some(Err)`: the place is gone, and one may enter again. `None`: it has ended.
    async fn wait(&self, place: &Place) -> Option<Result<()>> {
        let why = tokio::select! { biased;
            turn = self.queue.turn(place) => match turn {
                Ok(()) => return Some(Ok(())),
                Err(Lapse::Gone(error)) if error.kind() != ErrorKind::Cancelled => return Some(Err(error)),
                Err(Lapse::Gone(error) | Lapse::Failed(error)) => Some(error),
            },
            why = self.interruption(true) => rather(why, place.lease.silence()),
        };
        self.end(why);
        self.withdraw(place).await;
        None
    }

    /// Holds until it is unlocked or lost. Gives what `unlock` has to say.
    async fn hold(&self, place: &Place) -> Result<()> {
        let mut status = place.lease.status();
        status.mark_changed();
        self.tell(Phase::Held(place.clone()), None);
        let lost = {
            let mut deleted = pin!(self.queue.deleted(place));
            let mut stopped = pin!(self.stopped());
            loop {
                tokio::select! { biased;
                    () = &mut stopped => break None,
                    _ = status.changed() => if let Some(error) = self.look_at(&mut status) { break Some(error) },
                    error = &mut deleted => break Some(error),
                }
            }
        };
        // Who unlocks too late may come before the news of it.
        let lost = lost.or_else(|| place.lease.ended());
        self.end(lost.clone());
        match lost {
            Some(error) => Err(error),
            None => self.release(place).await,
        }
    }

    /// The key of a hold that has ended by our clock is still there, and would keep us out, too. It goes once the owner
    /// has given up the guard, and not before: he may have something to stop.
    async fn clear_away(&self, place: &Place) {
        if place.lease.ended().is_some_and(|error| error.loss() == Some(Loss::Expired)) {
            self.stopped().await;
            self.queue.discard(place).await;
        }
    }

    /// Tells what the lease's status means for this hold. `Some`: its end.
    fn look_at(&self, status: &mut watch::Receiver<Status>) -> Option<Error> {
        let status = status.borrow_and_update().clone();
        match status {
            Status::Ended(error) => return Some(error),
            Status::AtRisk(error) => self.changes.push(self.change(State::AtRisk, Some(error))),
            Status::Alive => self.changes.push(self.change(State::Held, None)),
        }
        None
    }

    async fn release(&self, place: &Place) -> Result<()> {
        match self.queue.leave(place).await? {
            Deleted::Now | Deleted::Unclear => Ok(()),
            Deleted::Absent => {
                let message = format!("{:?} was lost before it was unlocked", self.name());
                Err(Error::lost(Loss::KeyDeleted, message))
            }
        }
    }

    /// What ends a wait before its time: `None` if the guard does, else the error: the end of the client; with `limited`,
    /// also the time limit.
    async fn interruption(&self, limited: bool) -> Option<Error> {
        let limit = async {
            match self.limit() {
                Some(limit) if limited => sleep_until(limit).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! { biased;
            () = self.stopped() => None,
            error = self.queue.context().views.wait_closed() => Some(error),
            () = limit => Some(self.timed_out()),
        }
    }

    async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        stop.wait_for(|stop| *stop).await.expect("the sender lives in self");
    }

    fn first_answer_by(&self) -> Instant {
        let patience = self.queue.context().timeout;
        let patience = match self.request.timeout {
            Some(timeout) if !timeout.is_zero() => patience.min(timeout.max(LEAST_PATIENCE)),
            _ => patience,
        };
        self.started + patience
    }

    fn set_holder(&self, holder: Info) {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = Some(holder);
    }

    /// The state changes before anybody is told.
    fn tell(&self, phase: Phase, error: Option<Error>) {
        let (held, state) = (matches!(phase, Phase::Held(_)), phase.state());
        self.phase.send_replace(phase);
        // The lease's status, looked at next, tells HELD or AT_RISK.
        if !held {
            self.changes.push(self.change(state, error));
        }
    }

    fn end(&self, why: Option<Error>) {
        self.tell(Phase::Ended(why.clone()), why);
        self.changes.close();
    }

    fn change(&self, state: State, error: Option<Error>) -> Change {
        let token = match &*self.phase.borrow() {
            Phase::Held(place) if state.held() => place.created,
            _ => 0,
        };
        Change { state, token, error }
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
pub(super) struct Abandoned(pub(super) Arc<Acquisition>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if self.0.finished.borrow().is_none() {
            let error = Error::new(ErrorKind::Cancelled, "the runtime of the client is gone");
            self.0.end(Some(error.clone()));
            self.0.finished.send_replace(Some(Err(error)));
        }
    }
}
