//! Chance, by a seed: what happens, when, and for how long.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The dice of one run, for all who take part in it.
pub(super) struct Weather {
    dice: Mutex<fastrand::Rng>,
    /// Whether faults happen.
    stormy: AtomicBool,
    /// All times are divided by this: on a real etcd nobody wants to wait for long.
    haste: u64,
}

impl Weather {
    pub(super) fn new(seed: u64, haste: u64) -> Self {
        let dice = Mutex::new(fastrand::Rng::with_seed(seed));
        Weather { dice, stormy: AtomicBool::new(true), haste }
    }

    /// From now on nothing bad happens.
    pub(super) fn calm_down(&self) {
        self.stormy.store(false, Ordering::Relaxed);
    }

    pub(super) fn number(&self, range: Range<u64>) -> u64 {
        self.dice.lock().unwrap().u64(range)
    }

    pub(super) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.number(range) / self.haste)
    }

    pub(super) fn pick<T: Clone>(&self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.number(0..of.len() as u64) as usize].clone())
    }

    /// True once in so many times, in stormy weather.
    pub(super) fn chance(&self, once_in: u64) -> bool {
        self.stormy.load(Ordering::Relaxed) && self.number(0..once_in) == 0
    }

    /// How long something is under way.
    pub(super) fn latency(&self) -> Duration {
        let slow = self.chance(20);
        Duration::from_micros(self.number(if slow { 10_000..400_000 } else { 100..3000 }))
    }
}
