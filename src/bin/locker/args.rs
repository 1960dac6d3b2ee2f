//! The command line.

use crate::connection::Connection;
use crate::duration;
use crate::exit::{BUSY, Code, Failure, USAGE};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::time::Duration;

/// Without the flags that say how to reach an etcd.
const DEV_HELP: &str = "{about-with-newline}\n{usage-heading} {usage}\n\nArguments:\n{positionals}";

/// The command line, or why it is wrong. Ends here for `--help` and `--version`.
pub(crate) fn parse() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| match error.render().to_string().strip_prefix("error: ") {
        Some(text) => Failure::new(USAGE, text.trim_end()),
        None => error.exit(),
    })
}

/// Named locks shared by every machine of an etcd cluster.
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
    Dev(Dev),
    #[command(hide = true)]
    Leash(Leash),
    /// Kill the group of a command when the time is up that is told on standard input, or when that ends.
    #[command(hide = true)]
    Guardian,
}

/// Run a command while holding a lock.
///
/// Waits for the lock, runs CMD, releases the lock, and ends with CMD's exit code (128 + n if signal n ended it, 126 if
/// it cannot be executed, 127 if it was not found). CMD finds LOCKER_NAME, LOCKER_TOKEN and LOCKER_KEY in its
/// environment, and etcdctl's ETCD_LOCK_KEY and ETCD_LOCK_REV.
///
/// CMD runs in a process group of its own. INT, TERM, HUP, QUIT, USR1 and USR2 are passed on to that group; while
/// waiting each of them leaves the queue and ends with 128 + n. When the lock is at risk or lost, the group is stopped;
/// of what is left of it when CMD has ended, the second of INT, TERM, HUP and QUIT makes an end. CMD and its group are
/// killed when this process is, or stands still until the lock runs out.
///
/// What leaves the group (by setsid, by timeout, by the job control of an interactive shell) is out of reach: it goes on
/// without the lock.
///
/// Exit codes of its own: 2 wrong usage, 69 etcd cannot be reached or was wiped, 70 a bug, 75 busy, 76 the lock was lost
/// while CMD ran, 77 refused by etcd.
#[derive(Args, Debug)]
#[command(override_usage = "locker run [OPTIONS] NAME [--] CMD...\n       locker run [OPTIONS] NAME -c STRING")]
pub(crate) struct Run {
    /// The name of the lock.
    pub(crate) name: String,
    /// What to run, with its arguments; its options are left alone, with or without `--` before it.
    #[arg(value_name = "CMD", trailing_var_arg = true, required_unless_present = "shell")]
    command: Vec<OsString>,
    /// Run this by `/bin/sh -c`.
    #[arg(short = 'c', long = "shell", value_name = "STRING", allow_hyphen_values = true, conflicts_with = "command")]
    shell: Option<OsString>,
    /// Why; shown to those who find the lock busy.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) reason: Option<String>,
    /// What others read with `locker get`. Default: host and process id.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) value: Option<String>,
    /// How long to wait for the lock, such as 5, 1.5 or 1m30s. Default: as long as it takes.
    #[arg(short, long, value_name = "DURATION", value_parser = duration::parse, allow_hyphen_values = true)]
    wait: Option<Duration>,
    /// Do not wait; the same as `--wait 0`.
    #[arg(short, long, conflicts_with = "wait")]
    nonblock: bool,
    /// The exit code for a lock that stays busy.
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = BUSY)]
    pub(crate) busy_code: Code,
    /// When the lock is lost, how long after SIGTERM to send SIGKILL, if the lock lasts that long.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse, allow_hyphen_values = true)]
    pub(crate) kill_after: Duration,
}

impl Run {
    /// The program and its arguments.
    pub(crate) fn words(&self) -> Vec<OsString> {
        match &self.shell {
            Some(script) => vec!["/bin/sh".into(), "-c".into(), script.clone()],
            None => self.command.clone(),
        }
    }

    /// How long to wait for other holders.
    pub(crate) fn limit(&self) -> Option<Duration> {
        if self.nonblock { Some(Duration::ZERO) } else { self.wait }
    }
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

/// Start a throw-away etcd for development and tests.
///
/// Without CMD its endpoint is printed, and it stays until SIGINT, SIGTERM or SIGHUP; then the exit code is 0. With
/// CMD it lives as long as CMD, which finds it in LOCKER_ENDPOINTS and ETCDCTL_ENDPOINTS and whose exit code comes
/// back. Everything is removed at the end. If this process is killed with SIGKILL, etcd ends with it, and the next
/// `locker dev` removes the data directory that stayed behind.
///
/// The etcd is $LOCKER_ETCD, else `etcd` on the PATH. Its data are lost when it ends and not synced before.
#[derive(Args, Debug)]
#[command(override_usage = "locker dev [[--] CMD...]", help_template = DEV_HELP)]
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

#[cfg(test)]
mod tests {
    use super::{Cli, Command, Run};
    use clap::{CommandFactory, Parser};
    use std::ffi::OsString;
    use std::time::Duration;

    fn run(line: &str) -> Result<Run, String> {
        let words = ["locker", "run"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Run(run) => Ok(run),
            other => panic!("{other:?}"),
        }
    }

    fn words(line: &str) -> Vec<OsString> {
        run(line).unwrap_or_else(|error| panic!("{line}: {error}")).words()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_the_command_are_its_own() {
        assert_eq!(words("x make -n -j2 --ttl 5"), ["make", "-n", "-j2", "--ttl", "5"]);
        assert_eq!(words("x -- make -n"), ["make", "-n"]);
        assert_eq!(words("-n x make --help -E"), ["make", "--help", "-E"]);
        assert_eq!(words("x -n -- -odd"), ["-odd"]);
        assert_eq!(words("x -- git log -- file"), ["git", "log", "--", "file"]);
        assert_eq!(words("x git log -- file"), ["git", "log", "--", "file"]);
        assert_eq!(words("x -c true"), ["/bin/sh", "-c", "true"]);
    }

    #[test]
    fn options_stand_anywhere_before_the_command() {
        for line in ["-w 1m30s x true", "x -w 1m30s true", "x --wait=90 -- true", "x -w90 true"] {
            let run = run(line).unwrap();
            assert_eq!((run.name.as_str(), run.limit()), ("x", Some(Duration::from_secs(90))), "{line}");
        }
        assert_eq!(run("x -n true").unwrap().limit(), Some(Duration::ZERO));
        assert_eq!(run("x true").unwrap().limit(), None);
    }

    #[test]
    fn slips_are_named() {
        let cases = [
            ("", "<NAME>"),
            ("x", "<CMD>"),
            ("x --", "<CMD>"),
            ("x --wiat 5 true", "--wiat"),
            ("x -w -5 true", "--wait"),
            ("x -w nan true", "--wait"),
            ("x -w 5 -n true", "--nonblock"),
            ("x -E 256 true", "--busy-code"),
            ("x -E -1 true", "-1"),
            ("x --ttl 1e300 true", "--ttl"),
            ("x --kill-after soon true", "--kill-after"),
            ("x -c true -- false", "--shell"),
            ("x --password a --password-file b true", "--password-file"),
        ];
        for (line, named) in cases {
            let error = run(line).expect_err(line);
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
