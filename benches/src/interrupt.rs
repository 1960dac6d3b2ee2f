//! A run that was asked to end ends what it has started first: so whatever takes long looks whether it was.

use crate::Result;
use locker_harness::interrupt::interrupted;
use std::thread;
use std::time::{Duration, Instant};

/// Fails once a signal has asked us to end.
pub(crate) fn check() -> Result<()> {
    match interrupted() {
        true => Err("interrupted".into()),
        false => Ok(()),
    }
}

/// Sleeps, unless a signal asks us to end.
pub(crate) fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        check()?;
        thread::sleep(Duration::from_millis(20).min(end.saturating_duration_since(Instant::now())));
    }
    Ok(())
}
