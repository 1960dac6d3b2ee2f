//! One acquisition: what was asked for, and who is told of it.
//!
//! All that is done to etcd is done by tasks, see [`life`], and never in a future that a caller can drop: one comes to hold,
//! another leaves. Between the two there is none: a client may hold very many locks.

mod course;
mod life;
mod part;
mod way;

use crate::bell::Bell;
use crate::context::Context;
use crate::holds::Held;
use crate::info::{Info, Record};
use crate::key;
use crate::lease::Status;
use crate::line::Joined;
use crate::queue::{Place, Queue, Queues};
use crate::{Change, Error, ErrorKind, Result, State};
use std::sync::Arc;
use std::time::Duration;

use course::{Course, More, Phase};
use life::Abandoned;
pub(crate) use way::Ask;

/// What the guard, the tasks and those who keep the lease share.
#[derive(Debug)]
pub(crate) struct Acquisition {
    context: Arc<Context>,
    /// The names of the locks, with NUL between them, which no name has: mostly it is one.
    names: Box<str>,
    /// When it was asked for, in milliseconds since 1970.
    since: u64,
    course: Bell<Course>,
}

/// For how long it is to last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Lasting {
    /// As long as its lease, and until its key is deleted.
    #[default]
    Lease,
    /// After a loss it queues again: until its owner wants no more of it.
    Standby,
    /// Without a lease: until its key is deleted.
    Persistent,
}

/// What its owner has to say to others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Words {
    pub(crate) value: Option<String>,
    pub(crate) reason: String,
}

impl Acquisition {
    /// Starts the task.
    pub(crate) fn start(queues: Queues, words: Words, lasting: Lasting, ask: Ask) -> Arc<Self> {
        let (context, share) = (queues.context().clone(), queues.limit());
        let more = More { words, share, lasting, ..More::default() };
        let is_plain = more.words == Words::default() && share.is_none() && lasting == Lasting::Lease;
        let course = Course {
            phase: Phase::Waiting,
            given_up: false,
            placed: false,
            held_unread: false,
            last: None,
            told: None,
            more: (!is_plain).then(|| Box::new(more)),
        };
        let runtime = context.runtime.clone();
        let acquisition = Arc::new(Acquisition {
            context,
            names: queues.names().collect::<Vec<_>>().join("\0").into(),
            since: crate::context::millis_since_1970(),
            course: Bell::new(course),
        });
        // Here and not in the task: first come, first served.
        let joined = acquisition.join(ask.only_if_free());
        let abandoned = Abandoned::new(&acquisition);
        runtime.spawn(acquisition.clone().come_to_hold(queues, ask, joined, abandoned));
        acquisition
    }

    /// Stands in its client's line, if that is for it.
    fn join(self: &Arc<Self>, not_behind: bool) -> Joined {
        match self.is_of_several() || self.share().is_some() {
            true => Joined::Beside,
            false => self.context.lines.join(self, not_behind),
        }
    }

    /// The name of the lock; of several the first.
    pub(crate) fn name(&self) -> &str {
        self.names().next().unwrap_or_default()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.split('\0')
    }

    pub(crate) fn is_of_several(&self) -> bool {
        self.names.contains('\0')
    }

    /// For messages.
    fn title(&self) -> String {
        self.names().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" and ")
    }

    /// The limit of what waits for etcd.
    pub(crate) fn timeout(&self) -> Duration {
        self.context.timeout
    }

    fn queues(&self) -> Queues {
        Queues::new(&self.context, self.names(), self.share()).expect("they were made before")
    }

    /// With how many it is shared at most, if at all; 0: with any number.
    fn share(&self) -> Option<u32> {
        self.course.see(|course| course.more.as_ref()?.share)
    }

    /// What its key says.
    pub(crate) fn record(&self) -> Record {
        let words = self.course.see(|course| course.more.as_ref().map(|more| more.words.clone()));
        let Words { value, reason } = words.unwrap_or_default();
        self.context.record(value, reason, self.since)
    }

    /// The state now: reads the clock.
    pub(crate) fn state(&self) -> State {
        self.course.see(Course::state)
    }

    /// Returns when it does not wait any more.
    pub(crate) async fn settled(&self) {
        self.course.when(|course| (course.state() != State::Waiting).then_some(())).await;
    }

    /// Its owner is told that it is held.
    pub(crate) fn owner_knows(&self) {
        if self.lasting() == Lasting::Persistent {
            self.course.alter(|course| course.more().known = true);
        }
    }

    pub(crate) fn lasting(&self) -> Lasting {
        self.course.see(Course::lasting)
    }

    /// Returns when it has ended, with the reason.
    pub(crate) async fn ended(&self) -> Error {
        let why = self.course.when(|course| match &course.phase {
            Phase::Ended(why) => Some(why.clone()),
            _ => None,
        });
        why.await.unwrap_or_else(|| self.unlocked())
    }

    /// The next change of state; `None` after ENDED was told.
    pub(crate) async fn changed(&self) -> Option<Change> {
        self.course.when(Course::next_change).await
    }

    /// Waits until nothing of it is left in etcd, or it is known that this cannot be confirmed.
    pub(crate) async fn finished(&self) -> Result<()> {
        self.course.when(|course| course.more.as_ref()?.finished.clone()).await
    }

    /// Who is in the way, as far as known. One that has not come to a place has only heard of him: that has to be of now.
    pub(crate) fn holder(&self) -> Option<Info> {
        let told = self.course.see(|course| course.more.as_ref()?.holder.clone());
        // Of several locks the one that was found to be in the way: another may be its own.
        let (name, views) = (told.as_ref().map_or(self.name(), |told| &told.name), &self.context.views);
        let in_front = self.context.lines.front(name).and_then(|front| front.held_info());
        let seen = || match self.is_placed() {
            true => views.named(name).and_then(|view| view.holder()),
            false => views.cached(name).map(Arc::unwrap_or_clone),
        };
        in_front.or_else(|| seen().filter(Info::held)).or(told)
    }

    /// While held, what others see.
    pub(crate) fn held_info(&self) -> Option<Info> {
        let place = self.place()?;
        let info = self.record().into_info(self.name(), place.created).shared(self.share());
        Some(Info { key: self.key(&place, 0), ..info })
    }

    pub(crate) fn timed_out(&self) -> Error {
        let holder = self.holder();
        let message = match &holder {
            Some(holder) => format!("{:?} is {}", holder.name, holder.describe_holder(self.is_ours(holder))),
            None => format!("{} is not held yet, and who holds it is not known", self.title()),
        };
        Error::new(ErrorKind::Timeout, message).with_holder(holder)
    }

    /// Whether a guard of the same client holds it: who waits for that without end waits for himself.
    fn is_ours(&self, holder: &Info) -> bool {
        let lease = self.context.leases.current();
        lease.is_some_and(|lease| key::number(holder.key.as_bytes(), lease.id).is_some())
    }

    /// The place while it is held by the clock.
    pub(crate) fn place(&self) -> Option<Place> {
        self.course.see(|course| course.place().cloned())
    }

    /// Whether its owner wants no more of it.
    pub(crate) fn has_given_up(&self) -> bool {
        self.course.see(|course| course.given_up)
    }

    /// Whether it has, or had, a place in etcd's queue.
    pub(crate) fn is_placed(&self) -> bool {
        self.course.see(|course| course.placed)
    }

    /// That etcd has not answered for long, if so: of what is held.
    pub(crate) fn silence(&self) -> Option<Error> {
        self.place().and_then(|place| place.silence())
    }

    /// The keys of a place of it, one for each name.
    pub(crate) fn keys(&self, place: &Place) -> Vec<String> {
        self.queues().keys(place)
    }

    /// The one for the name at this index.
    pub(crate) fn key(&self, place: &Place, index: usize) -> String {
        let (name, number) = self.names().zip(place.numbers()).nth(index).expect("there is one for each name");
        Queue::new(self.context.clone(), name, self.share()).expect("it was made before").key(&place.lease, number)
    }

    /// While held, the key for the name at this index and its create revision.
    fn held_at(&self, index: usize) -> Option<(String, i64)> {
        let place = self.course.see(|course| match &course.phase {
            Phase::Held(place) => Some(place.clone()),
            _ => None,
        })?;
        Some((self.key(&place, index), place.created))
    }

    /// `Ok` while held; else why not, of what was held or waited for.
    pub(crate) fn check(&self) -> Result<()> {
        let not_yet = || Error::new(ErrorKind::Timeout, format!("{} is not held yet", self.title()));
        let lost = |course: &Course| course.more.as_ref()?.lost.clone();
        let checked = self.course.see(|course| match &course.phase {
            Phase::Held(place) => place.ended().map_or(Ok(()), |why| Err(Some(why))),
            Phase::Waiting => Err(Some(lost(course).unwrap_or_else(not_yet))),
            Phase::Ended(why) => Err(why.clone()),
        });
        checked.map_err(|why| why.unwrap_or_else(|| self.unlocked()))
    }

    pub(crate) fn unlocked(&self) -> Error {
        Error::new(ErrorKind::Cancelled, format!("{} was unlocked", self.title()))
    }
}

impl Held for Acquisition {
    fn held(&self) -> Option<(String, i64)> {
        self.held_at(0)
    }

    fn lease_is(&self, status: &Status) {
        self.lease_of_is(None, status);
    }

    fn lose(&self, why: Error) {
        self.lose_it(None, why);
    }
}
