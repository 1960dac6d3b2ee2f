//! How one who ends a subscriber goes about it, and the subscribers whose handles are spent while a callback may still run.

use crate::thread::Latch;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

/// What of a line does not depend on what it tells.
pub(crate) trait Cut: Send + Sync {
    fn cut(&self);
}

/// How one who ends a subscriber goes about it.
#[derive(Clone)]
pub(crate) struct Ending {
    closed: Arc<Latch>,
    /// Of a client that the host dispatches.
    cut: Option<Weak<dyn Cut>>,
}

impl Ending {
    pub(crate) fn new(closed: Arc<Latch>, cut: Option<Weak<dyn Cut>>) -> Self {
        Ending { closed, cut }
    }

    /// Where the host dispatches, nothing more is told from here on: it could not run before the host, who may be waiting
    /// here, comes to it. The user data is freed now; but if a callback runs, then by that, when it returns.
    pub(crate) fn cut(&self) {
        if let Some(slot) = self.cut.as_ref().and_then(Weak::upgrade) {
            slot.cut();
        }
    }

    /// Whether the last callback has returned, and its user data is freed, until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        self.closed.wait_until(deadline)
    }

    fn is_over(&self) -> bool {
        self.closed.is_open()
    }
}

/// Subscribers whose handles are spent: nobody finds them there any more, and whoever ends all has to wait for them, too.
pub(crate) struct Leaving {
    endings: Vec<Ending>,
    /// With so many it is time to look which of them are over.
    full: usize,
}

impl Leaving {
    pub(crate) const fn new() -> Self {
        Leaving { endings: Vec::new(), full: 16 }
    }

    pub(crate) fn add(&mut self, ending: Ending) {
        if ending.is_over() {
            return;
        }
        if self.endings.len() >= self.full {
            self.endings.retain(|ending| !ending.is_over());
            self.full = 16 + 2 * self.endings.len();
        }
        self.endings.push(ending);
    }

    pub(crate) fn take(&mut self) -> Vec<Ending> {
        std::mem::take(&mut self.endings)
    }
}

/// Those of clients that are gone and that nobody has waited for.
static LEFT: Mutex<Leaving> = Mutex::new(Leaving::new());

/// Has a later `take_left` give those that are not over.
pub(crate) fn leave(endings: Vec<Ending>) {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    endings.into_iter().for_each(|ending| left.add(ending));
}

/// For `locker_shutdown`.
pub(crate) fn take_left() -> Vec<Ending> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_over_are_not_kept() {
        let (mut leaving, latches): (_, Vec<_>) =
            (Leaving::new(), (0..1000).map(|_| Arc::<Latch>::default()).collect());
        for latch in &latches {
            leaving.add(Ending::new(latch.clone(), None));
            latch.open();
        }
        assert!(leaving.endings.len() <= 17);
        leaving.take();
        let running = [(); 50].map(|()| Arc::<Latch>::default());
        running.iter().for_each(|latch| leaving.add(Ending::new(latch.clone(), None)));
        assert_eq!((leaving.take().len(), leaving.take().len()), (50, 0));
    }
}
