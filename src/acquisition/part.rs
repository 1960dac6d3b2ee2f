//! What an acquisition holds of one lock at one time, where it is not all that it ever holds.

use super::Acquisition;
use crate::Error;
use crate::holds::Held;
use crate::lease::Status;
use std::sync::Arc;

/// One of several locks: all of it is lost with any part. Or one hold of a lock that is had again and again: who has heard of
/// an earlier one says nothing of this.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) of: Arc<Acquisition>,
    /// Which of the locks.
    pub(super) index: usize,
    /// The create revision of the place.
    pub(super) created: i64,
}

impl Held for Part {
    fn held(&self) -> Option<(String, i64)> {
        self.of.held_at(self.index).filter(|(_, created)| *created == self.created)
    }

    /// It is told of that once.
    fn lease_is(&self, status: &Status) {
        if self.index == 0 {
            self.of.lease_of_is(Some(self.created), status);
        }
    }

    fn lose(&self, why: Error) {
        self.of.lose_it(Some(self.created), why);
    }
}
