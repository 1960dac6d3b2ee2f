//! What an acquisition of several locks holds of one of them.

use super::Acquisition;
use crate::Error;
use crate::holds::Held;
use crate::lease::Status;
use std::sync::Arc;

/// All of it is lost with any part.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) of: Arc<Acquisition>,
    /// Which of the locks.
    pub(super) index: usize,
}

impl Held for Part {
    fn held(&self) -> Option<(String, i64)> {
        self.of.held_at(self.index)
    }

    /// It is told of that itself.
    fn lease_is(&self, _: &Status) {}

    fn lose(&self, why: Error) {
        self.of.lose(why);
    }
}
