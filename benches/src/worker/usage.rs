//! What this process has used: time, processor, memory.

use crate::Result;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

/// Measures the time and the processor time of this process.
pub(super) struct Clock {
    begun: Instant,
    used: f64,
}

impl Clock {
    pub(super) fn start() -> Self {
        Clock { used: used(), begun: Instant::now() }
    }

    /// What has passed, in seconds.
    pub(super) fn stop(&self) -> Value {
        let seconds = self.begun.elapsed().as_secs_f64();
        json!({"seconds": seconds, "cpu": used() - self.used})
    }
}

/// The processor time of all threads, in seconds: what getrusage says too, but finer.
fn used() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// How much memory of this process there is, in bytes.
pub(super) fn resident() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("no Rss")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
