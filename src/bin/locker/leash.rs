//! A command that is told when the process that started it ends, however that ends.
//!
//! Only the child itself can ask the kernel for a signal at its parent's death, between fork and exec. Safe Rust runs nothing
//! there, so we start ourselves again, ask, and become the command.

use crate::args::Leash;
use crate::exit::{Failure, NOT_EXECUTABLE, NOT_FOUND};
use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `program`, to be sent `signal` when the thread that spawns it ends.
pub(crate) fn command(program: impl AsRef<OsStr>, signal: Signal) -> Command {
    // Not `current_exe`: that path is wrong once the file was replaced, as a build does.
    let mut command = Command::new("/proc/self/exe");
    let numbers = [std::process::id().to_string(), signal.as_raw().to_string()];
    command.arg0("locker").arg("leash").args(numbers).arg("--").arg(program);
    command
}

/// Becomes the command. Returns only if that fails.
pub(crate) fn exec(leash: Leash) -> Failure {
    if let Err(error) = bind(&leash) {
        return error.into();
    }
    let program = &leash.command[0];
    let error = Command::new(program).args(&leash.command[1..]).exec();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(NOT_FOUND, format!("{}: command not found", program.display())),
        _ => Failure::new(NOT_EXECUTABLE, format!("{}: cannot be executed: {error}", program.display())),
    }
}

fn bind(leash: &Leash) -> io::Result<()> {
    let signal = Signal::from_named_raw(leash.signal).ok_or(io::ErrorKind::InvalidInput)?;
    rustix::process::set_parent_process_death_signal(Some(signal))?;
    // It may have died before that call; then nobody is left to wait for us.
    if rustix::process::getppid().map(Pid::as_raw_pid) != Some(leash.parent) {
        return Err(io::Error::other("the process that started this is gone"));
    }
    Ok(())
}
