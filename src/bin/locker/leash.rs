//! A command that is told when the process that started it ends, however that ends.
//!
//! Only the child itself can ask the kernel for a signal at its parent's death, between fork and exec. Safe Rust runs nothing
//! there, so we start ourselves again, ask, and become the command.

use crate::exit::{Failure, INTERNAL, NOT_EXECUTABLE, NOT_FOUND};
use rustix::process::{Pid, Signal};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What we are started with to be one: then the process id of the caller, the number of the signal, `--`, the command.
pub(crate) const WORD: &str = "leash";

/// `program`, to be sent `signal` when the thread that spawns it ends.
pub(crate) fn command(program: impl AsRef<OsStr>, signal: Signal) -> Command {
    // Not `current_exe`: that path is wrong once the file was replaced, as a build does.
    let mut command = Command::new("/proc/self/exe");
    let numbers = [std::process::id().to_string(), signal.as_raw().to_string()];
    command.arg0("locker").arg(WORD).args(numbers).arg("--").arg(program);
    command
}

/// Becomes the command. Returns only if that fails.
pub(crate) fn exec(mut words: impl Iterator<Item = OsString>) -> Failure {
    let (parent, signal) = (number(words.next()), number(words.next()));
    let (Some(parent), Some(signal), Some(_), Some(program)) = (parent, signal, words.next(), words.next()) else {
        return Failure::new(INTERNAL, "leash PID SIGNAL -- CMD... is for locker itself");
    };
    if let Err(error) = bind(parent, signal) {
        return error.into();
    }
    let error = Command::new(&program).args(words).exec();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(NOT_FOUND, format!("{}: command not found", program.display())),
        _ => Failure::new(NOT_EXECUTABLE, format!("{}: cannot be executed: {error}", program.display())),
    }
}

fn number(word: Option<OsString>) -> Option<i32> {
    word?.to_str()?.parse().ok()
}

fn bind(parent: i32, signal: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
    rustix::process::set_parent_process_death_signal(Some(signal))?;
    // It may have died before that call; then nobody is left to wait for us.
    if rustix::process::getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err(io::Error::other("the process that started this is gone"));
    }
    Ok(())
}
