//! What we print: data to standard output, one line each, messages to standard error.

use crate::exit::{self, Failure};
use crate::show;
use locker::Info;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::retry_on_intr;
use rustix::process::Signal;
use std::fmt::Display;
use std::future::pending;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// Prints who holds a lock, for people or for programs.
pub(crate) async fn info(info: &Info, json: bool) -> Result<(), Failure> {
    line(if json { show::json(info) } else { show::line(info) }).await
}

/// Prints a line at once, also into a pipe or a file.
///
/// A thread of its own writes it: for a reader that stalls it may take for ever, and a signal must end us meanwhile.
pub(crate) async fn line(line: String) -> Result<(), Failure> {
    spawn_blocking(move || write(&line)).await.map_err(io::Error::other)?.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => unread(),
        _ => Failure::new(exit::INTERNAL, format!("standard output: {error}")),
    })
}

fn write(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Tells people something. That nobody may hear it is no failure.
///
/// It never waits: whoever does not read our messages, or holds the terminal with Ctrl-S, must not keep us from stopping
/// a command whose lock is lost. A thread of its own writes them.
pub(crate) fn say(message: impl Display) {
    SPOKEN.store(true, Ordering::Relaxed);
    let _ = MESSAGES.send(Message::Line(format!("locker: {message}\n")));
}

/// Gives what was said a moment to be written: before we end, or stand still.
pub(crate) fn flush() {
    if !SPOKEN.load(Ordering::Relaxed) {
        return;
    }
    let (done, written) = mpsc::channel();
    let _ = MESSAGES.send(Message::Flush(done));
    let _ = written.recv_timeout(Duration::from_secs(1));
}

static SPOKEN: AtomicBool = AtomicBool::new(false);

enum Message {
    Line(String),
    Flush(mpsc::Sender<()>),
}

static MESSAGES: LazyLock<mpsc::Sender<Message>> = LazyLock::new(|| {
    let (say, said) = mpsc::channel();
    // Without a thread nothing can be said, and nothing else is amiss.
    let _ = thread::Builder::new().name("messages".into()).spawn(move || {
        for message in said {
            match message {
                Message::Line(line) => drop(io::stderr().write_all(line.as_bytes())),
                Message::Flush(done) => drop(done.send(())),
            }
        }
    });
    say
});

/// Returns when whoever read our output is gone; never if the output is no pipe.
pub(crate) async fn abandoned() -> Failure {
    // A thread waits: for the runtime the pipe would have to be non-blocking, also for others who have it.
    if is_pipe(io::stdout()) && matches!(spawn_blocking(await_error).await, Ok(Ok(_))) {
        return unread();
    }
    pending().await
}

/// Returns when standard output has an error, which need not be asked for to be told.
fn await_error() -> rustix::io::Result<usize> {
    let stdout = io::stdout();
    retry_on_intr(|| poll(&mut [PollFd::new(&stdout, PollFlags::empty())], None))
}

fn is_pipe(file: impl AsFd) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// How a program ends that writes to nobody: without a word, as by SIGPIPE.
fn unread() -> Failure {
    Failure::quiet(exit::by_signal(Signal::PIPE.as_raw()))
}
