//! The terminal that we were started on.

use nix::sys::signal::{SigSet, SigmaskHow, Signal::SIGTTOU};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::io;
use std::os::fd::OwnedFd;

/// The controlling terminal, whatever standard input is: programs ask for passwords on it directly.
pub(crate) struct Terminal {
    device: OwnedFd,
    /// Our group.
    own: Pid,
}

impl Terminal {
    /// The one we have, if we have one.
    pub(crate) fn controlling() -> Option<Self> {
        let device = open("/dev/tty", OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty()).ok()?;
        Some(Terminal { device, own: getpgrp() })
    }

    /// Puts another group into the foreground, if ours is there.
    pub(crate) fn lend(&self, group: Pid) -> bool {
        tcgetpgrp(&self.device).is_ok_and(|now| now == self.own) && tcsetpgrp(&self.device, group).is_ok()
    }

    /// Puts our group into the foreground, from the background.
    pub(crate) fn reclaim(&self) -> io::Result<()> {
        // The terminal would stop us for it, were that signal not blocked.
        let mut stop = SigSet::empty();
        stop.add(SIGTTOU);
        let before = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let reclaimed = tcsetpgrp(&self.device, self.own);
        before.thread_set_mask()?;
        Ok(reclaimed?)
    }
}
