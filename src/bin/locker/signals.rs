//! The signals that a command passes on or ends by, as one stream.

use rustix::process::Signal;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind};

const HANDLED: [Signal; 6] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// What has been sent to us. From its making on, these signals no longer end the process by themselves.
pub(crate) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Listens to all but those that were ignored when we started: `nohup` and a shell's `&` mean it.
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let wanted = HANDLED.into_iter().filter(|signal| ignored & (1 << (signal.as_raw() - 1)) == 0);
        let streams = wanted.map(|signal| Ok((signal, unix::signal(SignalKind::from_raw(signal.as_raw()))?)));
        Ok(Signals { streams: streams.collect::<io::Result<_>>()? })
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

/// The set of ignored signals as the kernel shows it, bit n - 1 for signal n; none where it shows nothing.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
