//! What we print: data to standard output, one line each, messages to standard error.

use crate::exit::{self, Failure};
use crate::show;
use locker::Info;
use rustix::process::Signal;
use std::fmt::Display;
use std::future::pending;
use std::io::{self, Write};
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
pub(crate) fn say(message: impl Display) {
    let _ = writeln!(io::stderr(), "locker: {message}");
}

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
