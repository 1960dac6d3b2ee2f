//! One acquisition: what was asked for and how far it has come.
//!
//! All that is done to etcd is done by tasks, see [`life`], and never in a future that a caller can drop: one comes to hold,
//! another leaves. Between the two there is none: a client may hold very many locks.

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
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use life::Abandoned;
pub(crate) use way::Ask;

/// So many changes wait for a slow reader. More are merged: the oldest goes.
const UNREAD: usize = 64;

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

/// What its owner has to say to others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Words {
    pub(crate) value: Option<String>,
    pub(crate) reason: String,
}

/// How far it has come. Kept small.
#[derive(Debug)]
struct Course {
    phase: Phase,
    /// Whether its owner wants no more of it.
    given_up: bool,
    /// Whether it has, or had, a place in etcd's queue.
    placed: bool,
    /// Whether that it is held was not read yet, and is all that there is to read.
    held_unread: bool,
    /// The last change of state, and the last that was read; nothing before the first.
    last: Option<State>,
    told: Option<State>,
    /// What most guards that are held do not have.
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    words: Words,
    /// With how many it is to be shared at most, if at all; 0: with any number.
    share: Option<u32>,
    /// The changes of state that were not read yet.
    unread: VecDeque<Change>,
    /// What `unlock` has to say, once nothing of it is left in etcd or it is known that this cannot be confirmed.
    finished: Option<Result<()>>,
    /// Who is in the way, as far as known.
    holder: Option<Info>,
    /// What was lost by our clock alone: its key is still there.
    left_over: Option<Place>,
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
    fn state(&self) -> State {
        match self {
            Phase::Waiting => State::Waiting,
            Phase::Held(place) if place.lease.remaining().is_zero() => State::Ended,
            Phase::Held(place) if place.lease.at_risk() => State::AtRisk,
            Phase::Held(_) => State::Held,
            Phase::Ended(_) => State::Ended,
        }
    }
}

impl Course {
    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Tells a change of state. The same is not told twice running, but WAITING.
    fn tell(&mut self, change: Change) {
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

    fn take_held_unread(&mut self) -> Option<Change> {
        let token = match &self.phase {
            Phase::Held(place) => place.created,
            _ => 0,
        };
        std::mem::take(&mut self.held_unread).then_some(Change { state: State::Held, token, error: None })
    }

    /// The next change to read; `Some(None)`: there will be no more.
    fn next_change(&mut self) -> Option<Option<Change>> {
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
    fn end(&mut self, why: Option<Error>) {
        self.tell(Change { state: State::Ended, token: 0, error: why.clone() });
        self.phase = Phase::Ended(why);
    }

    /// Why what was held is not any more, if nobody has told yet.
    fn end_of_lease(&self) -> Option<Error> {
        match &self.phase {
            Phase::Held(place) => place.lease.ended(),
            _ => None,
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// The place while it is held by the clock.
    fn place(&self) -> Option<&Place> {
        match &self.phase {
            Phase::Held(place) if !place.lease.remaining().is_zero() => Some(place),
            _ => None,
        }
    }
}

impl Acquisition {
    /// Starts the task.
    pub(crate) fn start(queues: Queues, words: Words, ask: Ask) -> Arc<Self> {
        let (context, share) = (queues.context().clone(), queues.limit());
        let course = Course {
            phase: Phase::Waiting,
            given_up: false,
            placed: false,
            held_unread: false,
            last: None,
            told: None,
            more: (words != Words::default() || share.is_some())
                .then(|| Box::new(More { words, share, ..More::default() })),
        };
        let runtime = context.runtime.clone();
        let acquisition = Arc::new(Acquisition {
            context,
            names: queues.names().collect::<Vec<_>>().join("\0").into(),
            since: crate::context::millis_since_1970(),
            course: Bell::new(course),
        });
        // Here and not in the task: first come, first served.
        let joined = match acquisition.is_of_several() || share.is_some() {
            true => Joined::Beside,
            false => acquisition.context.lines.join(&acquisition, ask.only_if_free()),
        };
        let abandoned = Abandoned::new(&acquisition);
        runtime.spawn(acquisition.clone().come_to_hold(queues, ask, joined, abandoned));
        acquisition
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
        self.course.see(|course| course.phase.state())
    }

    /// Returns when it does not wait any more.
    pub(crate) async fn settled(&self) {
        self.course.when(|course| (!matches!(course.phase, Phase::Waiting)).then_some(())).await;
    }

    /// Whether it waits no more.
    pub(crate) fn is_settled(&self) -> bool {
        self.course.see(|course| !matches!(course.phase, Phase::Waiting))
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
        self.place().and_then(|place| place.lease.silence())
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
        match self.course.see(|course| course.phase.clone()) {
            Phase::Held(place) => place.lease.ended().map_or(Ok(()), Err),
            Phase::Waiting => Err(Error::new(ErrorKind::Timeout, format!("{} is not held yet", self.title()))),
            Phase::Ended(why) => Err(why.unwrap_or_else(|| self.unlocked())),
        }
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
        match status {
            Status::Alive => self.tell_held(None),
            Status::AtRisk(error) => self.tell_held(Some(error.clone())),
            Status::Ended(error) => self.lose(error.clone()),
        }
    }

    fn lose(&self, why: Error) {
        self.lose_it(why);
    }
}
