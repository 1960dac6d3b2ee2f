//! What ends a command when `locker` itself cannot, because it stands still while the lock runs out, or was killed.
//!
//! A process of its own, since what stops us stops all our threads. Over a pipe it is told, again and again, until when
//! the command may run. It does nothing else, and needs neither etcd nor a runtime.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

/// What we are started with to be one.
pub(crate) const WORD: &str = "guardian";
/// The number of a group, and the nanoseconds of CLOCK_BOOTTIME until which it may run, 0 for as long as it likes.
type Order = [u64; 2];
const ORDER: usize = size_of::<Order>();
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(5);

/// The guardian of a command. It goes, without a word, when this is dropped.
pub(crate) struct Guardian(Child);

impl Guardian {
    /// Starts it, and waits until it is on guard: before that, nothing must run.
    pub(crate) async fn start() -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        // Signals of the terminal's keys are for the command and for us.
        command.arg0("locker").arg(WORD).process_group(0).current_dir("/");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut guardian = Guardian(child);
        let (Some(orders), Some(ready)) = (&guardian.0.stdin, guardian.0.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        fcntl_setfl(orders, OFlags::NONBLOCK)?;
        timeout(PATIENCE, Receiver::from_owned_fd(ready.into())?.read_u8()).await??;
        Ok(guardian)
    }

    /// Has it kill this group unless told otherwise within `time`; `None`: not at all.
    pub(crate) fn allow(&mut self, group: Pid, time: Option<Duration>) {
        let until = time.map_or(0, |time| (now() + time).as_nanos() as u64);
        let order: Order = [group.as_raw_pid() as u64, until];
        if let Some(pipe) = &mut self.0.stdin {
            // If it stands still itself and the pipe is full, it has enough to read when it wakes; if it is gone, the
            // command is as safe as we are.
            let _ = pipe.write_all(order.map(u64::to_ne_bytes).as_flattened());
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Is a guardian: waits until time is up, or the one who gives the orders has gone, and kills the group.
pub(crate) fn watch() -> io::Result<()> {
    let (stdin, timer) = (io::stdin(), timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?);
    let mut group = None;
    io::stdout().write_all(b"!")?;
    io::stdout().flush()?;
    loop {
        let mut both = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&timer, PollFlags::IN)];
        match poll(&mut both, None) {
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        // Orders that came while we stood still go before a time that ran out meanwhile.
        if both[0].revents().is_empty() {
            break;
        }
        let Some([number, until]) = latest(&stdin)? else { break };
        group = Pid::from_raw(number as i32);
        let at = Duration::from_nanos(until);
        let it_value = Timespec { tv_sec: at.as_secs() as i64, tv_nsec: at.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value })?;
    }
    // It can only fail because nobody is left, or because the command has become another user.
    group.map_or(Ok(()), |group| kill_process_group(group, Signal::KILL).or(Ok(())))
}

/// The last of the orders that are there; `None` at their end. The kernel never tears one of them.
fn latest(stdin: &io::Stdin) -> io::Result<Option<Order>> {
    let mut orders = [0; ORDER * 64];
    let length = rustix::io::read(stdin, &mut orders)?;
    let (words, _) = orders[..length].as_chunks::<8>();
    Ok(words.as_chunks::<2>().0.last().map(|order| order.map(u64::from_ne_bytes)))
}
