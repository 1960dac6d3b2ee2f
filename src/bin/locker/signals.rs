//! The signals that a command passes on or ends by, as one stream.

use rustix::process::Signal;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind};

const ENDING: [Signal; 6] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// What has been sent to us. From its making on, these signals no longer end the process by themselves.
pub(crate) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Listens to all that would end us.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Signals { streams: streams(&ENDING)? })
    }

    /// Listens also to the one that would stop us: what we run has to be stopped first.
    pub(crate) fn add_stop(&mut self) -> io::Result<()> {
        self.streams.extend(streams(&[Signal::TSTP])?);
        Ok(())
    }

    /// The next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|cx| {
            let ready =
                self.streams.iter_mut().find_map(|(signal, stream)| stream.poll_recv(cx).is_ready().then_some(*signal));
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// All but those that were ignored when we started: `nohup` and a shell's `&` mean it.
fn streams(signals: &[Signal]) -> io::Result<Vec<(Signal, unix::Signal)>> {
    let ignored = ignored();
    let wanted = signals.iter().filter(|signal| ignored & (1 << (signal.as_raw() - 1)) == 0);
    wanted.map(|&it| Ok((it, unix::signal(SignalKind::from_raw(it.as_raw()))?))).collect()
}

/// The set of ignored signals as the kernel shows it, bit n - 1 for signal n; none where it shows nothing.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
