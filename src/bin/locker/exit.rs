//! Exit codes, and failures that carry one.

use locker::ErrorKind;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// What the process ends with.
pub(crate) type Code = u8;

pub(crate) const OK: Code = 0;
/// The command line is wrong. clap says it with the same number.
pub(crate) const USAGE: Code = 2;
/// etcd cannot be reached or started, or has lost its data.
pub(crate) const UNAVAILABLE: Code = 69;
/// A bug in locker.
pub(crate) const INTERNAL: Code = 70;
/// Somebody else holds the lock.
pub(crate) const BUSY: Code = 75;
/// The lock was lost while the command ran.
pub(crate) const LOST: Code = 76;
/// etcd refused.
pub(crate) const DENIED: Code = 77;
/// The configuration file is wrong.
pub(crate) const CONFIG: Code = 78;
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

/// Why a command fails: one line for people, unless they know already, and one code for scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: Option<String>,
    /// It is that etcd did not answer in time.
    pub(crate) silence: bool,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, message: Some(message.into()), silence: false }
    }

    /// One that needs no words.
    pub(crate) fn quiet(code: Code) -> Self {
        Failure { code, message: None, silence: false }
    }
}

impl From<locker::Error> for Failure {
    fn from(error: locker::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Timeout => BUSY,
            ErrorKind::Lost => LOST,
            // The command ends no client by itself: etcd was wiped, or restored from a backup.
            ErrorKind::Unavailable | ErrorKind::Cancelled => UNAVAILABLE,
            ErrorKind::Denied => DENIED,
            ErrorKind::Invalid => USAGE,
            _ => INTERNAL,
        };
        Failure { silence: error.kind() == ErrorKind::Unavailable, ..Failure::new(code, error.to_string()) }
    }
}

/// What the operating system refuses us without a better explanation.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::new(INTERNAL, error.to_string())
    }
}
