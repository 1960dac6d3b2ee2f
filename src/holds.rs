//! The keys on one lease: their numbers, and what is held with them.
//!
//! A key is told from others of its lock by its number, see `key.rs`. A number is used again once etcd has confirmed,
//! without a doubt, what was done with it before: as long as its history is not compacted etcd keeps a trace of each key,
//! and to read a queue it walks over all of them. One about which there was a doubt is never used again.

use crate::Error;
use crate::lease::Status;
use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// How old a hold is before its key is watched: most are over by then.
const WATCH_AFTER: Duration = Duration::from_millis(100);
/// Of so many names at most the last number is remembered.
const LAST: usize = 1024;
/// So many holds may wait to be watched: of more at once the list of the lease's keys alone tells.
const YOUNG: usize = 10_000;

/// Something that is held on a lease.
pub(crate) trait Held: Debug + Send + Sync {
    /// Its key and that key's create revision; `None` if it is not held any more.
    fn held(&self) -> Option<(String, i64)>;
    /// How its lease stands, when that has changed.
    fn lease_is(&self, status: &Status);
    /// It is lost.
    fn lose(&self, why: Error);
}

/// What there is to do for the one who watches the keys.
pub(crate) enum Work {
    Watch(u32),
    LetGo(u32),
}

#[derive(Debug)]
pub(crate) struct Holds {
    begun: Instant,
    numbers: Mutex<Numbers>,
    /// Rings when there is work again.
    stirred: Notify,
    /// The youngest place that a key of this lease has had: what a number was used for before is no younger.
    youngest: AtomicI64,
}

#[derive(Debug, Default)]
struct Numbers {
    /// By number.
    held: Vec<Option<Arc<dyn Held>>>,
    free: Free,
    /// The numbers that were given back last, by the names of their locks: so that each has few keys.
    last: Vec<u32>,
    /// Those that are to be watched, and since when they are held, in milliseconds.
    young: VecDeque<(u32, u32)>,
    watched: HashSet<u32>,
    /// Those that need not be watched any more.
    let_go: Vec<u32>,
}

impl Default for Holds {
    fn default() -> Self {
        Holds { begun: Instant::now(), numbers: Mutex::default(), stirred: Notify::new(), youngest: AtomicI64::new(0) }
    }
}

impl Holds {
    /// Milliseconds since the beginning. That they begin anew after 49 days has some watched early or late once.
    fn now(&self) -> u32 {
        self.begun.elapsed().as_millis() as u32
    }

    /// A number for a key of the lock `name`: if possible the one that it had last.
    pub(crate) fn take(&self, name: &str) -> u32 {
        let mut numbers = self.numbers();
        let last = numbers.last.get(place_of(name)).copied().unwrap_or(0);
        if numbers.free.take(last) {
            return last;
        }
        numbers.free.pop().unwrap_or_else(|| {
            numbers.held.push(None);
            numbers.free.grow();
            u32::try_from(numbers.held.len()).expect("memory is less")
        })
    }

    /// Gives a number back: of its key nothing is under way any more.
    pub(crate) fn give_back(&self, number: u32, name: &str) {
        let mut numbers = self.numbers();
        numbers.last.resize(LAST, 0);
        numbers.last[place_of(name)] = number;
        numbers.free.put(number);
    }

    /// A place was had, with this create revision.
    pub(crate) fn had(&self, created: i64) {
        self.youngest.fetch_max(created, Ordering::AcqRel);
    }

    pub(crate) fn youngest(&self) -> i64 {
        self.youngest.load(Ordering::Acquire)
    }

    pub(crate) fn hold(&self, number: u32, what: Arc<dyn Held>) {
        let mut numbers = self.numbers();
        *numbers.slot(number) = Some(what);
        if numbers.young.len() < YOUNG {
            numbers.young.push_back((self.now(), number));
        }
        if numbers.young.len() == 1 {
            drop(numbers);
            self.stirred.notify_one();
        }
    }

    /// It is not held any more.
    pub(crate) fn release(&self, number: u32) {
        let mut numbers = self.numbers();
        let released = numbers.slot(number).take();
        if numbers.watched.remove(&number) {
            numbers.let_go.push(number);
            self.stirred.notify_one();
        }
        drop(numbers);
        // Outside the lock: it may be the last to hold a client.
        drop(released);
    }

    pub(crate) fn get(&self, number: u32) -> Option<Arc<dyn Held>> {
        self.numbers().held.get(number.checked_sub(1)? as usize)?.clone()
    }

    /// All that is held now, by number.
    pub(crate) fn all(&self) -> Vec<Arc<dyn Held>> {
        self.numbers().held.iter().flatten().cloned().collect()
    }

    /// Which numbers are held now; `None` if there are none.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let held: Vec<_> = self.numbers().held.iter().map(Option::is_some).collect();
        held.contains(&true).then_some(Snapshot(held))
    }

    /// What there is to do next. Cancel safe.
    pub(crate) async fn work(&self) -> Work {
        loop {
            let now = self.now();
            if let Some(work) = self.numbers().work(now) {
                return work;
            }
            let has_young = !self.numbers().young.is_empty();
            let pause = async {
                match has_young {
                    true => sleep(WATCH_AFTER).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! { biased;
                () = self.stirred.notified() => (),
                () = pause => (),
            }
        }
    }

    /// There are too many to watch this one.
    pub(crate) fn do_not_watch(&self, number: u32) {
        self.numbers().watched.remove(&number);
    }

    /// Nothing is watched any more: all that is held has to be, anew.
    pub(crate) fn watch_anew(&self) {
        let mut numbers = self.numbers();
        let now = self.now();
        let held = (1..).zip(&numbers.held).filter(|(_, held)| held.is_some());
        let young: VecDeque<_> = held.map(|(number, _)| (now, number)).take(YOUNG).collect();
        numbers.young = young;
        numbers.watched.clear();
        numbers.let_go.clear();
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbers {
    fn work(&mut self, now: u32) -> Option<Work> {
        if let Some(number) = self.let_go.pop() {
            return Some(Work::LetGo(number));
        }
        while let Some((since, number)) = self.young.front().copied() {
            if Duration::from_millis(now.wrapping_sub(since).into()) < WATCH_AFTER {
                return None;
            }
            self.young.pop_front();
            if self.slot(number).is_some() && self.watched.insert(number) {
                return Some(Work::Watch(number));
            }
        }
        None
    }

    /// They count from 1.
    fn slot(&mut self, number: u32) -> &mut Option<Arc<dyn Held>> {
        &mut self.held[number as usize - 1]
    }
}

/// Where a name has its place among the last numbers. The same in each run: the simulation counts on it.
fn place_of(name: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() as usize % LAST
}

/// Numbers that are free. One that was taken by name stays in the list until it comes to its end.
#[derive(Debug, Default)]
struct Free {
    list: Vec<u32>,
    /// By number: whether it is free, and whether it is in the list.
    state: Vec<(bool, bool)>,
}

impl Free {
    fn grow(&mut self) {
        self.state.push((false, false));
    }

    fn put(&mut self, number: u32) {
        let (is_free, is_listed) = &mut self.state[number as usize - 1];
        *is_free = true;
        if !std::mem::replace(is_listed, true) {
            self.list.push(number);
        }
    }

    fn take(&mut self, number: u32) -> bool {
        let state = number.checked_sub(1).and_then(|index| self.state.get_mut(index as usize));
        state.is_some_and(|(is_free, _)| std::mem::take(is_free))
    }

    fn pop(&mut self) -> Option<u32> {
        while let Some(number) = self.list.pop() {
            let state = &mut self.state[number as usize - 1];
            if std::mem::take(state).0 {
                return Some(number);
            }
        }
        None
    }
}

/// The numbers that were held at some moment, less those that were found.
pub(crate) struct Snapshot(Vec<bool>);

impl Snapshot {
    pub(crate) fn found(&mut self, number: u32) {
        if let Some(missing) = number.checked_sub(1).and_then(|index| self.0.get_mut(index as usize)) {
            *missing = false;
        }
    }

    pub(crate) fn missing(&self) -> impl Iterator<Item = u32> {
        (1..).zip(&self.0).filter(|(_, missing)| **missing).map(|(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_once_they_are_given_back() {
        let holds = Holds::default();
        let taken: Vec<_> = (0..3).map(|_| holds.take("a")).collect();
        assert_eq!(taken, [1, 2, 3]);
        holds.give_back(2, "a");
        assert_eq!([holds.take("b"), holds.take("b")], [2, 4]);
    }

    #[test]
    fn a_name_gets_its_last_number_again_if_it_is_free() {
        let holds = Holds::default();
        let names: Vec<_> = ["a", "b", "c"].map(|name| (name, holds.take(name))).into();
        for _ in 0..100 {
            names.iter().for_each(|(name, number)| holds.give_back(*number, name));
            names.iter().rev().for_each(|(name, number)| assert_eq!(holds.take(name), *number));
        }
        assert!(holds.numbers().free.list.len() <= 3);
        holds.give_back(1, "a");
        assert_eq!([holds.take("b"), holds.take("a"), holds.take("c")], [1, 4, 5]);
    }

    #[test]
    fn what_is_held_and_not_found_is_missing() {
        #[derive(Debug)]
        struct Nothing;
        impl Held for Nothing {
            fn held(&self) -> Option<(String, i64)> {
                None
            }
            fn lease_is(&self, _: &Status) {}
            fn lose(&self, _: Error) {}
        }
        let holds = Holds::default();
        assert!(holds.snapshot().is_none());
        let numbers: Vec<_> = (0..4).map(|_| holds.take("a")).collect();
        numbers.iter().for_each(|number| holds.hold(*number, Arc::new(Nothing)));
        holds.release(numbers[1]);
        let mut snapshot = holds.snapshot().unwrap();
        [numbers[0], 77, 0].into_iter().for_each(|number| snapshot.found(number));
        assert_eq!(snapshot.missing().collect::<Vec<_>>(), [numbers[2], numbers[3]]);
    }
}
