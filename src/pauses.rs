//! Pauses between tries, each twice as long as the one before, until a try has lasted for a while.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first and the longest.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// What has lasted so long was no failure.
const A_WHILE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Pauses {
    next: Duration,
    /// When the last one ended.
    last: Instant,
}

impl Pauses {
    pub(crate) fn new() -> Self {
        Pauses { next: FIRST, last: Instant::now() }
    }

    pub(crate) async fn pause(&mut self) {
        if self.last.elapsed() >= A_WHILE {
            self.next = FIRST;
        }
        sleep(self.next).await;
        self.next = LONGEST.min(self.next * 2);
        self.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn they_grow_while_tries_fail_at_once() {
        let mut pauses = Pauses::new();
        let mut took = Vec::new();
        for lasts in [0, 0, 0, 1, 0, 0, 5, 0] {
            sleep(Duration::from_secs(lasts)).await;
            let begun = Instant::now();
            pauses.pause().await;
            took.push(begun.elapsed().as_millis());
        }
        assert_eq!(took, [50, 100, 200, 400, 800, 1000, 50, 100]);
    }
}
