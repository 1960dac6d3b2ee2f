//! The keys on one lease: their numbers, and what is held with them.
//!
//! A key is told from others of its lock by its number, see `key.rs`. A number is used again once etcd has confirmed,
//! without a doubt, what was done with it before: as long as its history is not compacted etcd keeps a trace of each key,
//! and to read a queue it walks over all of them. One about which there was a doubt is never used again.

use crate::Error;
use crate::lease::Status;
use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// How old a hold is before its key is watched: most are over by then.
const WATCH_AFTER: Duration = Duration::from_millis(100);
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

#[derive(Debug, Default)]
pub(crate) struct Holds {
    numbers: Mutex<Numbers>,
    /// Rings when there is work again.
    stirred: Notify,
}

#[derive(Debug, Default)]
struct Numbers {
    /// By number.
    held: Vec<Option<Arc<dyn Held>>>,
    free: Vec<u32>,
    /// Those that are to be watched, and since when they are held.
    young: VecDeque<(Instant, u32)>,
    watched: HashSet<u32>,
    /// Those that need not be watched any more.
    let_go: Vec<u32>,
}

impl Holds {
    /// A number for a key.
    pub(crate) fn take(&self) -> u32 {
        let mut numbers = self.numbers();
        numbers.free.pop().unwrap_or_else(|| {
            numbers.held.push(None);
            u32::try_from(numbers.held.len()).expect("memory is less")
        })
    }

    /// Gives a number back: of its key nothing is under way any more.
    pub(crate) fn give_back(&self, number: u32) {
        self.numbers().free.push(number);
    }

    pub(crate) fn hold(&self, number: u32, what: Arc<dyn Held>) {
        let mut numbers = self.numbers();
        *numbers.slot(number) = Some(what);
        if numbers.young.len() < YOUNG {
            numbers.young.push_back((Instant::now(), number));
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
            if let Some(work) = self.numbers().work() {
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
        let now = Instant::now();
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
    fn work(&mut self) -> Option<Work> {
        if let Some(number) = self.let_go.pop() {
            return Some(Work::LetGo(number));
        }
        while let Some((since, number)) = self.young.front().copied() {
            if since.elapsed() < WATCH_AFTER {
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
        let taken: Vec<_> = (0..3).map(|_| holds.take()).collect();
        assert_eq!(taken, [1, 2, 3]);
        holds.give_back(2);
        assert_eq!([holds.take(), holds.take()], [2, 4]);
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
        let numbers: Vec<_> = (0..4).map(|_| holds.take()).collect();
        numbers.iter().for_each(|number| holds.hold(*number, Arc::new(Nothing)));
        holds.release(numbers[1]);
        let mut snapshot = holds.snapshot().unwrap();
        [numbers[0], 77, 0].into_iter().for_each(|number| snapshot.found(number));
        assert_eq!(snapshot.missing().collect::<Vec<_>>(), [numbers[2], numbers[3]]);
    }
}
