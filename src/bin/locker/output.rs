//! What we print: data to standard output, one line each, messages to standard error.

use crate::exit::{self, Failure};
use crate::show;
use locker::Info;
use rustix::process::Signal;
use std::fmt::Display;
use std::future::pending;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::unix::pipe;

/// Prints who holds a lock, for people or for programs.
pub(crate) fn info(info: &Info, json: bool) -> Result<(), Failure> {
    line(&if json { show::json(info) } else { show::line(info) })
}

/// Prints a line at once, also into a pipe or a file.
pub(crate) fn line(line: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => unread(),
        _ => Failure::new(exit::INTERNAL, format!("standard output: {error}")),
    })
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
    // Opened anew: what makes it fit to be waited for must not change it for others.
    if let Ok(stdout) = pipe::OpenOptions::new().open_sender("/proc/self/fd/1")
        && stdout.ready(Interest::ERROR).await.is_ok()
    {
        return unread();
    }
    pending().await
}

/// How a program ends that writes to nobody: without a word, as by SIGPIPE.
fn unread() -> Failure {
    Failure::quiet(exit::by_signal(Signal::PIPE.as_raw()))
}
