//! Whether the clock that deadlines are told by runs as fast as time does.

use super::finding::Finding;
use crate::exit;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// Long enough to tell a hundredth of a percent from the time it takes to look.
const LEAST: Duration = Duration::from_millis(300);
/// What exclusion by time allows.
const MOST: f64 = 0.01;
/// The year 2020, before which this program was not there.
const EARLIEST: Duration = Duration::from_secs(1_577_836_800);

/// The clocks, since some moment.
pub(crate) struct Watch {
    deadlines: Duration,
    hardware: Duration,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Watch { deadlines: now(ClockId::Boottime), hardware: now(ClockId::MonotonicRaw) }
    }

    /// What the clocks say of each other by now, or as soon as enough time has passed.
    pub(crate) async fn finding(self) -> Finding {
        sleep(LEAST.saturating_sub(now(ClockId::Boottime).saturating_sub(self.deadlines))).await;
        let passed = |clock, since| now(clock).saturating_sub(since).as_secs_f64();
        let off = passed(ClockId::Boottime, self.deadlines) / passed(ClockId::MonotonicRaw, self.hardware) - 1.0;
        let percent = off.abs() * 100.0;
        if off.abs() > MOST {
            let detail = format!("it runs {percent:.2} % off the hardware's: holders know their deadline wrongly");
            let advice = "see to what adjusts it (chronyc tracking, ntpq -p), or to the virtual machine's clock";
            return Finding::problem("clock", "", exit::INTERNAL, detail, advice);
        }
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) if since > EARLIEST => {
                Finding::ok("clock", "", format!("it runs within {percent:.3} % of the hardware's"))
            }
            _ => {
                let detail = "the date is wrong: others read a wrong time since when a lock is held";
                Finding::warning("clock", "", detail, "set it")
            }
        }
    }
}

fn now(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
