//! The command line.

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;

/// Named locks shared by every machine of an etcd cluster.
#[derive(Debug, Parser)]
#[command(name = "locker", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dev(Dev),
    #[command(hide = true)]
    Leash(Leash),
}

/// Start a throw-away etcd for development and tests.
///
/// Without CMD its endpoint is printed, and it stays until SIGINT, SIGTERM or SIGHUP; then the exit code is 0. With
/// CMD it lives as long as CMD, which finds it in LOCKER_ENDPOINTS and ETCDCTL_ENDPOINTS and whose exit code comes
/// back. Everything is removed at the end. If this process is killed with SIGKILL, etcd ends with it, and the next
/// `locker dev` removes the data directory that stayed behind.
///
/// The etcd is $LOCKER_ETCD, else `etcd` on the PATH. Its data are lost when it ends and not synced before.
#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// What to run, with its arguments.
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

/// Run a command that gets a signal when the process that started it ends, however that ends.
#[derive(Args, Debug)]
pub(crate) struct Leash {
    /// The process id of the caller.
    pub(crate) parent: i32,
    /// The number of the signal.
    pub(crate) signal: i32,
    /// What to run, with its arguments.
    #[arg(value_name = "CMD", trailing_var_arg = true, required = true)]
    pub(crate) command: Vec<OsString>,
}
