//! What this process has used: time, processor, memory.

use crate::Result;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

/// Measures the time and the processor time of this process.
pub(super) struct Clock {
    begun: Instant,
    used: f64,
}

impl Clock {
    pub(super) fn start() -> Result<Self> {
        Ok(Clock { begun: Instant::now(), used: used()? })
    }

    /// What has passed, in seconds.
    pub(super) fn stop(&self) -> Result<Value> {
        let seconds = self.begun.elapsed().as_secs_f64();
        Ok(json!({"seconds": seconds, "cpu": used()? - self.used}))
    }
}

/// The processor time of all threads, in seconds.
fn used() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6)
}

/// How much memory of this process there is, in bytes.
pub(super) fn resident() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("no Rss")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
