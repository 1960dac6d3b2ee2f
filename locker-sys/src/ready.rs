//! A file descriptor that is readable while something is due, for the host's event loop.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

/// What makes it readable: a counter of 8 bytes, for an eventfd; a pipe has them as they are.
const ONE: [u8; 8] = 1u64.to_ne_bytes();

/// The descriptor, closed when this is dropped. It is made readable and unreadable only when that changes something, so
/// that a pipe never has more than one message in it.
pub(crate) struct Ready {
    reads: File,
    /// The other end of a pipe; an eventfd has none.
    writes: Option<File>,
    set: bool,
}

impl Ready {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Ready { reads: counter.into(), writes: None, set: false })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn new() -> io::Result<Self> {
        Ready::pipe()
    }

    /// Where there is no eventfd. Neither end blocks, should the host read what is not its to read.
    #[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
    fn pipe() -> io::Result<Self> {
        use std::os::fd::OwnedFd;
        let (reads, writes) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reads, true)?;
        rustix::io::ioctl_fionbio(&writes, true)?;
        Ok(Ready { reads: OwnedFd::from(reads).into(), writes: Some(OwnedFd::from(writes).into()), set: false })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.reads.as_raw_fd()
    }

    pub(crate) fn set(&mut self) {
        if !self.set {
            self.set = true;
            let mut end = self.writes.as_ref().unwrap_or(&self.reads);
            // There is room; what else could fail is that the host has closed it.
            let _ = end.write_all(&ONE);
        }
    }

    pub(crate) fn clear(&mut self) {
        if self.set {
            self.set = false;
            let _ = (&self.reads).read_exact(&mut [0; 8]);
        }
    }

    /// Tells those who look for a change that it is still set.
    pub(crate) fn again(&mut self) {
        if self.set {
            self.clear();
            self.set();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn readable(ready: &Ready) -> bool {
        let mut fds = [PollFd::new(&ready.reads, PollFlags::IN)];
        poll(&mut fds, Some(&Default::default())).unwrap() == 1
    }

    #[test]
    fn it_is_readable_while_it_is_set_as_an_eventfd_and_as_a_pipe() {
        for mut ready in [Ready::new().unwrap(), Ready::pipe().unwrap()] {
            assert!(!readable(&ready));
            for _ in 0..3 {
                ready.set();
                ready.set();
                assert!(readable(&ready));
                ready.again();
                assert!(readable(&ready));
                ready.clear();
                ready.clear();
                ready.again();
                assert!(!readable(&ready));
            }
        }
    }

    #[test]
    fn a_host_that_reads_it_hangs_nobody() {
        for mut ready in [Ready::new().unwrap(), Ready::pipe().unwrap()] {
            ready.set();
            (&ready.reads).read_exact(&mut [0; 8]).unwrap();
            ready.clear();
            ready.set();
            assert!(readable(&ready));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn each_time_that_it_is_told_again_is_an_edge() {
        use rustix::event::epoll;
        for mut ready in [Ready::new().unwrap(), Ready::pipe().unwrap()] {
            let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
            epoll::add(&set, &ready.reads, epoll::EventData::new_u64(0), epoll::EventFlags::IN | epoll::EventFlags::ET)
                .unwrap();
            let edges = || {
                let mut events = Vec::with_capacity(4);
                epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), Some(&Default::default())).unwrap()
            };
            ready.set();
            assert_eq!((edges(), edges()), (1, 0));
            ready.set();
            assert_eq!(edges(), 0);
            ready.again();
            assert_eq!((edges(), edges()), (1, 0));
        }
    }
}
