//! The clock that deadlines are counted on.

use std::fmt::Debug;
use std::time::Duration;

/// A clock that goes on while the machine sleeps, as a lease in etcd does. `std::time::Instant` does not.
///
/// A trait so that tests can bend it.
pub(crate) trait Clock: Debug + Send + Sync {
    /// The time since some fixed point in the past.
    fn now(&self) -> Duration;
}

/// The machine's own clock: CLOCK_BOOTTIME on Linux; on macOS CLOCK_MONOTONIC, which counts sleep there.
#[derive(Debug)]
pub(crate) struct MachineClock;

#[cfg(target_os = "linux")]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

impl Clock for MachineClock {
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(CLOCK);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
}
