//! The guards of one client that want one lock stand in line here, first come first served. Only the one at the front has
//! a place in etcd's queue; when it leaves, the next one enters in the same request.
//!
//! A lock changes hands in one process as fast as etcd answers, and others find one client in the queue and not a
//! thousand. It is no part of what keeps two from holding a lock: etcd's queue alone does that.

// The name of an acquisition, which alone is compared, never changes.
#![allow(clippy::mutable_key_type)]

use crate::acquisition::Acquisition;
use crate::lease::Lease;
use crate::store::{Fault, TxnReply};
use std::borrow::Borrow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The lines of one client.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<All>);

/// By themselves, since a client may hold very many locks: those at the front, and who stands behind those that are not
/// alone.
#[derive(Debug, Default)]
struct All {
    fronts: HashSet<Front>,
    behind: HashMap<Front, VecDeque<Waiter>>,
}

/// The one at the front, found by the name of its lock.
#[derive(Clone, Debug)]
struct Front(Arc<Acquisition>);

/// One who stands behind.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) who: Arc<Acquisition>,
    tell: oneshot::Sender<Turn>,
}

/// What a guard finds when it joins.
pub(crate) enum Joined {
    Front,
    /// It stands alone, and looks for itself: it wants no wait, or several locks at once.
    Beside,
    /// Its turn will be told.
    Behind(oneshot::Receiver<Turn>),
}

/// To be at the front.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It may enter etcd's queue; `placed`: whoever was there before had a place in it.
    Enter { placed: bool },
    /// Whoever was there before has sent a request for it.
    Sent(Sent),
}

/// A request to enter that was sent, and what came of it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) lease: Arc<Lease>,
    /// The number of the key.
    pub(crate) number: u32,
    /// What that was used for before was created no later.
    pub(crate) former: i64,
    /// The epoch that it carried.
    pub(crate) epoch: i64,
    pub(crate) answer: Result<TxnReply, Fault>,
}

impl Lines {
    /// Joins the line; who does `not_behind` others wants to stand, stands beside it.
    pub(crate) fn join(&self, who: &Arc<Acquisition>, not_behind: bool) -> Joined {
        let All { fronts, behind } = &mut *self.all();
        match fronts.get(who.name()) {
            Some(_) if not_behind => Joined::Beside,
            Some(front) => {
                let (tell, turn) = oneshot::channel();
                behind.entry(front.clone()).or_default().push_back(Waiter { who: who.clone(), tell });
                Joined::Behind(turn)
            }
            None => {
                fronts.insert(Front(who.clone()));
                Joined::Front
            }
        }
    }

    /// Leaves the line from behind. False if the turn has come meanwhile.
    pub(crate) fn quit(&self, who: &Arc<Acquisition>) -> bool {
        let mut all = self.all();
        let Some(behind) = all.behind.get_mut(who.name()) else { return false };
        let before = behind.len();
        behind.retain(|waiter| !Arc::ptr_eq(&waiter.who, who));
        behind.len() < before
    }

    /// Has the next one come to the front in the place of `who`. If there is none, nothing changes; nor if `who` is not at
    /// the front.
    pub(crate) fn next(&self, who: &Acquisition) -> Option<Waiter> {
        self.all().advance(who)
    }

    /// The same; if there is none, that was the end of the line.
    pub(crate) fn end(&self, who: &Acquisition) -> Option<Waiter> {
        let mut all = self.all();
        let next = all.advance(who);
        if next.is_none() && all.is_in_front(who) {
            all.fronts.remove(who.name());
        }
        next
    }

    /// The one at the front.
    pub(crate) fn front(&self, name: &str) -> Option<Arc<Acquisition>> {
        self.all().fronts.get(name).map(|front| front.0.clone())
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn advance(&mut self, who: &Acquisition) -> Option<Waiter> {
        if !self.is_in_front(who) {
            return None;
        }
        // Its key is the one that goes from the front.
        let mut waiting = self.behind.remove(who.name())?;
        // Who has given up hears that nobody will tell, and leaves by himself.
        let next = std::iter::from_fn(|| waiting.pop_front()).find(|waiter| !waiter.who.has_given_up())?;
        let front = Front(next.who.clone());
        self.fronts.replace(front.clone());
        if !waiting.is_empty() {
            self.behind.insert(front, waiting);
        }
        Some(next)
    }

    fn is_in_front(&self, who: &Acquisition) -> bool {
        self.fronts.get(who.name()).is_some_and(|front| std::ptr::eq(&*front.0, who))
    }
}

impl Waiter {
    /// Says to it that it is at the front. It listens until then, whatever else has become of it.
    pub(crate) fn come_forward(self, turn: Turn) {
        let _ = self.tell.send(turn);
    }
}

impl Borrow<str> for Front {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}

impl PartialEq for Front {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Front {}

impl Hash for Front {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}
