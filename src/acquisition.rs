//! One acquisition: what was asked for and how far it has come.
//!
//! All that is done to etcd is done by one task, see [`life`], and never in a future that a caller can drop. The
//! [`Guard`](crate::Guard) reads what this task tells and asks it to stop.

mod life;

use crate::feed::Feed;
use crate::info::{Info, Record};
use crate::queue::{Place, Queue};
use crate::{Change, Error, ErrorKind, Result, State};
use life::Abandoned;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// As good as for ever.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) record: Record,
    /// How long to wait for other holders; `None`: as long as it takes.
    pub(crate) timeout: Option<Duration>,
}

/// What the guard and the task share.
#[derive(Debug)]
pub(crate) struct Acquisition {
    queue: Queue,
    request: Request,
    started: Instant,
    phase: watch::Sender<Phase>,
    pub(crate) changes: Feed<Change>,
    /// Set by the guard: the task is to come to its end.
    stop: watch::Sender<bool>,
    /// Set by the task at its end: what `unlock` has to say.
    finished: watch::Sender<Option<Result<()>>>,
    /// Who is in the way, as far as known.
    holder: Mutex<Option<Info>>,
    /// Why etcd has not confirmed that its place in the queue was given up.
    unconfirmed: OnceLock<Error>,
}

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Waiting,
    Held(Place),
    /// Why; `None`: unlocked.
    Ended(Option<Error>),
}

impl Phase {
    /// The state now: reads the clock.
    pub(crate) fn state(&self) -> State {
        match self {
            Phase::Waiting => State::Waiting,
            Phase::Held(place) if place.lease.remaining().is_zero() => State::Ended,
            Phase::Held(place) if place.lease.at_risk() => State::AtRisk,
            Phase::Held(_) => State::Held,
            Phase::Ended(_) => State::Ended,
        }
    }
}

impl Acquisition {
    /// Starts the task.
    pub(crate) fn start(queue: Queue, request: Request) -> Arc<Self> {
        let runtime = queue.context().runtime.clone();
        let acquisition = Arc::new(Acquisition {
            queue,
            request,
            started: Instant::now(),
            phase: watch::Sender::new(Phase::Waiting),
            changes: Feed::new(),
            stop: watch::Sender::new(false),
            finished: watch::Sender::new(None),
            holder: Mutex::new(None),
            unconfirmed: OnceLock::new(),
        });
        runtime.spawn(acquisition.clone().live(Abandoned(acquisition.clone())));
        acquisition
    }

    pub(crate) fn name(&self) -> &str {
        &self.queue.name
    }

    pub(crate) fn record(&self) -> &Record {
        &self.request.record
    }

    /// The phase now. One that was asked to stop has ended for its owner, whatever is still to be done in etcd.
    pub(crate) fn phase(&self) -> Phase {
        match &*self.phase.borrow() {
            Phase::Ended(why) => Phase::Ended(why.clone()),
            _ if *self.stop.borrow() => Phase::Ended(None),
            phase => phase.clone(),
        }
    }

    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Who is in the way, as far as known.
    pub(crate) fn holder(&self) -> Option<Info> {
        let seen = self.queue.open_view().and_then(|view| view.holder());
        seen.filter(Info::held).or_else(|| self.holder.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Asks the task to stop. False if that has been asked before.
    pub(crate) fn stop(&self) -> bool {
        self.stop.send_if_modified(|stop| !std::mem::replace(stop, true))
    }

    /// Waits until nothing of it is left in etcd, or it is known that this cannot be confirmed.
    pub(crate) async fn finished(&self) -> Result<()> {
        let mut finished = self.finished.subscribe();
        let result = finished.wait_for(Option::is_some).await.expect("the sender lives in self");
        result.clone().expect("waited for")
    }

    pub(crate) fn timed_out(&self) -> Error {
        let holder = self.holder();
        let message = match &holder {
            Some(holder) => format!("{:?} is {}", self.name(), holder.describe_holder(self.is_ours(holder))),
            None => format!("{:?} is not held yet, and who holds it is not known", self.name()),
        };
        Error::new(ErrorKind::Timeout, message).with_holder(holder)
    }

    /// Whether a guard of the same client holds it: who waits for that without end waits for himself.
    fn is_ours(&self, holder: &Info) -> bool {
        let lease = self.queue.context().leases.current();
        lease.is_some_and(|lease| lease.holds.contains(&holder.key))
    }

    /// Until when to wait for other holders.
    fn limit(&self) -> Option<Instant> {
        self.request.timeout.and_then(|timeout| self.started.checked_add(timeout.min(FOR_EVER)))
    }

    /// The place while it is held by the clock.
    pub(crate) fn place(&self) -> Option<Place> {
        match self.phase() {
            Phase::Held(place) if !place.lease.remaining().is_zero() => Some(place),
            _ => None,
        }
    }

    /// `Ok` while held; else why not, of what was held or waited for.
    pub(crate) fn check(&self) -> Result<()> {
        match self.phase() {
            Phase::Held(place) => place.lease.ended().map_or(Ok(()), Err),
            Phase::Waiting => Err(Error::new(ErrorKind::Timeout, format!("{:?} is not held yet", self.name()))),
            Phase::Ended(why) => Err(why.unwrap_or_else(|| self.unlocked())),
        }
    }

    pub(crate) fn unlocked(&self) -> Error {
        Error::new(ErrorKind::Cancelled, format!("{:?} was unlocked", self.name()))
    }
}
