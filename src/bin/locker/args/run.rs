//! The arguments of `locker run`.

use crate::duration;
use crate::exit::{BUSY, Code};
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::time::Duration;

/// Run a command while holding a lock.
///
/// Waits for the lock, runs CMD, releases the lock, and ends with CMD's exit code (128 + n if signal n ended it, 126 if
/// it cannot be executed, 127 if it was not found). CMD finds LOCKER_NAME, LOCKER_TOKEN and LOCKER_KEY in its
/// environment, and etcdctl's ETCD_LOCK_KEY and ETCD_LOCK_REV. Of several locks these are the first one's; LOCKER_NAMES
/// and LOCKER_KEYS have all of them, one a line, and LOCKER_TOKEN is the token of each.
///
/// NAME is one word, and all behind it that is no option of ours is CMD, with or without `--` between them. Further locks
/// are therefore named by --and.
///
/// CMD runs in a process group of its own. INT, TERM, HUP, QUIT, USR1 and USR2 are passed on to that group; while
/// waiting each of them leaves the queue and ends with 128 + n. When the lock is at risk or lost, the group is stopped
/// (see --on-lost); of what is left of it when CMD has ended, the second of INT, TERM, HUP and QUIT makes an end. CMD and
/// its group are killed when this process is, and (but for --on-lost warn) when it stands still until the lock runs out.
///
/// What leaves the group (by setsid, by timeout, by the job control of an interactive shell) is out of reach: it goes on
/// without the lock.
///
/// Exit codes of its own: 2 wrong usage, 69 etcd cannot be reached or was wiped, 70 a bug, 75 busy, 76 the lock was lost
/// while CMD ran, 77 refused by etcd, 78 the configuration file is wrong.
#[derive(Args, Debug)]
#[command(override_usage = "locker run [OPTIONS] NAME [--] CMD...\n       locker run [OPTIONS] NAME -c STRING")]
pub(crate) struct Run {
    /// The name of the lock.
    name: String,
    /// What to run, with its arguments; its options are left alone, with or without `--` before it.
    #[arg(value_name = "CMD", trailing_var_arg = true, required_unless_present = "shell")]
    command: Vec<OsString>,
    /// Run this by `/bin/sh -c`.
    #[arg(short = 'c', long = "shell", value_name = "STRING", allow_hyphen_values = true, conflicts_with = "command")]
    shell: Option<OsString>,
    /// One more lock to hold, up to 59 times: all of them are taken in one step, or none.
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true, conflicts_with_all = ["shared", "limit"])]
    and: Vec<String>,
    /// Hold the lock together with all others who say so, but with nobody else: as a reader.
    #[arg(short, long)]
    pub(crate) shared: bool,
    /// Hold the lock together with up to N - 1 others. All must say the same N.
    #[arg(short, long, value_name = "N", conflicts_with = "shared", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
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
    /// What to do to CMD and its group when the lock is at risk or lost.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnLost::Term)]
    pub(crate) on_lost: OnLost,
    /// When the lock is lost, how long after SIGTERM to send SIGKILL, if the lock lasts that long.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse, allow_hyphen_values = true)]
    pub(crate) kill_after: Duration,
    /// Tell what is waited for, each time that changes, and when the lock has come.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What becomes of the command without its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLost {
    /// End it as soon as the lock is at risk: SIGTERM, and SIGKILL after --kill-after or when the lock runs out.
    Term,
    /// Have it stand still (SIGSTOP) while the lock is at risk, and go on when it is sure again; when it is lost, SIGKILL.
    Freeze,
    /// Only say so: it goes on without the lock, and its own exit code comes back.
    Warn,
}

impl Run {
    /// The locks to hold.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.and).map(String::as_str)
    }

    /// The same for people.
    pub(crate) fn title(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    /// The program and its arguments.
    pub(crate) fn words(&self) -> Vec<OsString> {
        match &self.shell {
            Some(script) => vec!["/bin/sh".into(), "-c".into(), script.clone()],
            None => self.command.clone(),
        }
    }

    /// How long to wait for other holders.
    pub(crate) fn patience(&self) -> Option<Duration> {
        if self.nonblock { Some(Duration::ZERO) } else { self.wait }
    }
}

#[cfg(test)]
mod tests {
    use super::{OnLost, Run};
    use crate::args::{Cli, Command};
    use clap::Parser;
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
    fn options_of_the_command_are_its_own() {
        assert_eq!(words("x make -n -j2 --ttl 5"), ["make", "-n", "-j2", "--ttl", "5"]);
        assert_eq!(words("x -- make -n"), ["make", "-n"]);
        assert_eq!(words("-n x make --help -E"), ["make", "--help", "-E"]);
        assert_eq!(words("x -n -- -odd"), ["-odd"]);
        assert_eq!(words("x -- git log -- file"), ["git", "log", "--", "file"]);
        assert_eq!(words("x git log -- file"), ["git", "log", "--", "file"]);
        assert_eq!(words("x kubectl exec pod -- rm -rf /x"), ["kubectl", "exec", "pod", "--", "rm", "-rf", "/x"]);
        assert_eq!(words("x -c true"), ["/bin/sh", "-c", "true"]);
    }

    #[test]
    fn options_stand_anywhere_before_the_command() {
        for line in ["-w 1m30s x true", "x -w 1m30s true", "x --wait=90 -- true", "x -w90 true"] {
            let run = run(line).unwrap();
            assert_eq!((run.title().as_str(), run.patience()), ("x", Some(Duration::from_secs(90))), "{line}");
        }
        assert_eq!(run("x -n true").unwrap().patience(), Some(Duration::ZERO));
        assert_eq!(run("x true").unwrap().patience(), None);
        assert_eq!(run("x --on-lost freeze true").unwrap().on_lost, OnLost::Freeze);
        assert_eq!(run("x true --on-lost freeze").unwrap().on_lost, OnLost::Term);
    }

    #[test]
    fn several_locks_are_named_one_by_one() {
        for line in ["x --and y -a -z true", "-a y x -a -z -- true", "-ay -a-z x true"] {
            let run = run(line).unwrap();
            assert_eq!((run.names().collect::<Vec<_>>(), run.words()), (vec!["x", "y", "-z"], vec!["true".into()]));
        }
        assert_eq!(run("x y -- true").unwrap().title(), "x");
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
            ("x --limit 0 true", "--limit"),
            ("x --limit 4294967296 true", "--limit"),
            ("x --limit 3 --shared true", "--shared"),
            ("x --and y --shared true", "--shared"),
            ("x --and y --limit 3 true", "--limit"),
            ("x --on-lost panic true", "[possible values: term, freeze, warn]"),
        ];
        for (line, named) in cases {
            let error = run(line).expect_err(line);
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
