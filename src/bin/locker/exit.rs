//! Exit codes, and failures that carry one.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// What the process ends with.
pub(crate) type Code = u8;

pub(crate) const OK: Code = 0;
/// etcd cannot be reached or started.
pub(crate) const UNAVAILABLE: Code = 69;
/// A bug in locker.
pub(crate) const INTERNAL: Code = 70;
/// The command was found but cannot be executed.
pub(crate) const NOT_EXECUTABLE: Code = 126;
/// The command was not found.
pub(crate) const NOT_FOUND: Code = 127;

/// 128 + n, as a shell says it of a process that a signal ended.
pub(crate) fn by_signal(signal: i32) -> Code {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// The code that says the same as `status`.
pub(crate) fn of(status: ExitStatus) -> Code {
    match status.signal() {
        Some(signal) => by_signal(signal),
        None => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(INTERNAL),
    }
}

/// Why a command fails: one line for people, one code for scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What the operating system refuses us without a better explanation.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::new(INTERNAL, error.to_string())
    }
}
