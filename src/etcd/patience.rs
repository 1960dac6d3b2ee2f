//! How long an attempt may take before there is another, or, where there is none, before it is in doubt.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The limit of an attempt: so many usual round trips, and at least this long.
const ATTEMPT: (u32, Duration) = (4, Duration::from_millis(300));
/// However short the leases are: who gives up sooner is never answered by an etcd that is far away.
const LEAST: u32 = 2;
/// However slow etcd seems, an enter is not waited for longer before it is in doubt.
const LONGEST_ENTER: Duration = Duration::from_secs(32);

/// The patience of one client.
#[derive(Debug)]
pub(super) struct Patience {
    /// An attempt takes no longer than this in the first round, so that a lease survives a few of them.
    longest_first: Duration,
    /// How long an enter may take at least, and since when that is known. It is not asked twice, and what one that was given
    /// up leaves to be done takes several answers: so one that had none in time has the next waited for twice as long.
    enters: Mutex<(Duration, Instant)>,
}

impl Patience {
    /// `ttl` is that of the leases to come.
    pub(super) fn new(ttl: Duration) -> Self {
        let longest_first = (ttl / 6).clamp(ATTEMPT.1, Duration::from_secs(1));
        Patience { longest_first, enters: Mutex::new((Duration::ZERO, Instant::now())) }
    }

    pub(super) fn longest_first(&self) -> Duration {
        self.longest_first
    }

    /// With an attempt in this round over all endpoints, of which the first is 0, where so long is usual. It doubles with each
    /// second round: in the first two a new leader is found as soon as it is elected, and those after them do not crowd a
    /// cluster that is merely slow.
    pub(super) fn with(&self, usual: Duration, round: usize) -> Duration {
        self.first(usual) * 2u32.saturating_pow((round / 2) as u32)
    }

    pub(super) fn with_enter(&self, usual: Duration) -> Duration {
        self.first(usual).max(self.enters().0)
    }

    /// An enter was answered, after so long.
    pub(super) fn enter_was_answered(&self, took: Duration) {
        let mut enters = self.enters();
        *enters = (enters.0.min(took * 2), Instant::now());
    }

    /// An enter that began then had no answer for so long: those that were under way with it say the same.
    pub(super) fn enter_was_silent(&self, begun: Instant, patience: Duration) {
        let mut enters = self.enters();
        if begun >= enters.1 {
            *enters = (LONGEST_ENTER.min(patience * 2), Instant::now());
        }
    }

    fn first(&self, usual: Duration) -> Duration {
        (usual * ATTEMPT.0).clamp(ATTEMPT.1, self.longest_first).max(usual * LEAST)
    }

    fn enters(&self) -> MutexGuard<'_, (Duration, Instant)> {
        self.enters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
