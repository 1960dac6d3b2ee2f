//! The command line.

mod run;

pub(crate) use self::run::{OnLost, Run};

use crate::connection::Connection;
use crate::exit::{Failure, USAGE};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;

/// Without the flags that say how to reach an etcd.
const ALONE_HELP: &str = "{about-with-newline}\n{usage-heading} {usage}\n\nArguments:\n{positionals}";

/// The command line, or why it is wrong. Ends here for `--help` and `--version`.
pub(crate) fn parse() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| match error.render().to_string().strip_prefix("error: ") {
        Some(text) => Failure::new(USAGE, text.trim_end()),
        None => error.exit(),
    })
}

/// Named locks shared by every machine of an etcd cluster.
///
/// What the flags do not say the environment does, and what neither says the configuration file: $LOCKER_CONFIG, else
/// /etc/locker/locker.yaml. Its keys are named as the flags below are, such as `ttl: 30s`. A LOCKER_CONFIG that is empty
/// stands for no file.
#[derive(Debug, Parser)]
#[command(name = "locker", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Run),
    Get(Get),
    Watch(Watch),
    Doctor(Doctor),
    Dev(Dev),
    Completions(Completions),
    Man(Man),
}

/// Show who holds a lock.
///
/// A free lock is `free`, and no error. The exit code is 0 whenever etcd has answered.
#[derive(Args, Debug)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) look: Look,
}

/// Show who holds a lock, now and at each change.
///
/// One line for each state, at once. It goes on until a signal n ends it, with 128 + n, or until nobody reads its
/// output any more, with 141 as by SIGPIPE.
#[derive(Args, Debug)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) look: Look,
}

#[derive(Args, Debug)]
pub(crate) struct Look {
    /// The name of the lock.
    pub(crate) name: String,
    /// Print JSON objects, one a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Find out whether locks work from here, and what to do if not.
///
/// One line for each thing that was looked at: the configuration file; each endpoint, with etcd's version and the usual time
/// of a read; whether all endpoints are of one cluster; a lock under the prefix, taken on trial; its time to live; the
/// clock. A line begins with `ok`, `warning` or `problem`, and ends with what to do about it.
///
/// The exit code is 0 if there is no problem, else what the other commands would end with: 69 no endpoint answers, or not
/// all, 77 refused by etcd, 78 the configuration is wrong, 2 a flag or a variable is.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Print JSON objects, one a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print a script that has a shell complete our command line.
///
/// For this shell only: source <(locker completions bash). For all: write it where the shell looks for such scripts, as
/// /usr/share/bash-completion/completions/locker, _locker in a directory of zsh's $fpath, or
/// ~/.config/fish/completions/locker.fish.
#[derive(Args, Debug)]
#[command(override_usage = "locker completions SHELL", help_template = ALONE_HELP)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Print a page of the manual, for `man -l -`.
#[derive(Args, Debug)]
#[command(override_usage = "locker man [COMMAND]", help_template = ALONE_HELP)]
pub(crate) struct Man {
    /// One of our commands, such as `run`; without it, the page of all.
    pub(crate) command: Option<String>,
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
#[command(override_usage = "locker dev [[--] CMD...]", help_template = ALONE_HELP)]
pub(crate) struct Dev {
    /// What to run, with its arguments.
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
