//! A place in an etcd to test against.

use crate::LOCKER;
use locker_harness::{Ended, Process, ended, program};
use rustix::process::{Pid, Signal};
use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use tempfile::NamedTempFile;

/// The etcd that a process has started.
pub(crate) fn etcd_of(parent: Pid) -> Pid {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let child = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok()).find_map(|stat| {
        let (head, rest) = stat.rsplit_once(')')?;
        let (pid, comm) = head.split_once(" (")?;
        let of: i32 = rest.split_whitespace().nth(1)?.parse().ok()?;
        (of == parent.as_raw_pid() && comm.starts_with("etcd")).then(|| pid.parse().ok())?
    });
    Pid::from_raw(child.expect("an etcd")).unwrap()
}

/// Which etcd and etcdctl to use, and whose processes these are.
const KEPT: [&str; 3] = ["LOCKER_ETCD", "LOCKER_ETCDCTL", "LOCKER_TEST_RUN"];

/// The etcdctl to test with.
pub(crate) fn etcdctl() -> String {
    std::env::var("LOCKER_ETCDCTL").unwrap_or_else(|_| "etcdctl".into())
}

/// A part of an etcd that nobody else uses: keys under a prefix.
pub(crate) struct Space {
    endpoint: String,
    pub(crate) prefix: String,
    /// Says "held".
    held: NamedTempFile,
}

impl Space {
    /// In the etcd that all tests share.
    pub(crate) fn new() -> Self {
        Space::at(shared())
    }

    /// In an etcd that belongs to one test.
    pub(crate) fn at(endpoint: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("/t/{}-{}/", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut held = NamedTempFile::new().unwrap();
        writeln!(held, "held").unwrap();
        Space { endpoint: endpoint.into(), prefix, held }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A command that finds its etcd and nobody's settings.
    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = program(name);
        command.args(arguments);
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if (name.starts_with("LOCKER_") || name.starts_with("ETCD")) && !KEPT.contains(&&*name) {
                command.env_remove(&variable);
            }
        }
        command.env("LOCKER_ENDPOINTS", &self.endpoint).env("LOCKER_PREFIX", &self.prefix);
        // Not the machine's.
        command.env("LOCKER_CONFIG", "");
        command.env("ETCDCTL_ENDPOINTS", &self.endpoint).env("ETCDCTL_API", "3");
        command
    }

    pub(crate) fn locker(&self, arguments: &[&str]) -> Command {
        self.command(LOCKER, arguments)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.locker(arguments))
    }

    /// Starts it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process::start(self.locker(arguments))
    }

    /// A file for `tail -f` to print "held" from, and then to rest: the shell is no command to send signals to, since it
    /// defers some, and cannot be stopped, while it starts another.
    pub(crate) fn held(&self) -> &str {
        self.held.path().to_str().unwrap()
    }

    /// Holds a lock until the process is dropped.
    pub(crate) fn hold(&self, name: &str, options: &[&str]) -> Process {
        let process = self.start(&[&["run", name], options, &["tail", "-f", self.held()]].concat());
        assert_eq!(process.line(), "held");
        process
    }

    /// What etcdctl prints.
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> String {
        let ended = ended(self.command(&etcdctl(), arguments));
        assert_eq!(ended.code, 0, "etcdctl {arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    /// The keys in a lock's queue, the holder's first.
    pub(crate) fn queue(&self, name: &str) -> Vec<String> {
        let prefix = format!("{}{name}/", self.prefix);
        let keys = self.etcdctl(&["get", "--prefix", "--keys-only", "--sort-by", "CREATE", &prefix]);
        keys.lines().filter(|line| !line.is_empty()).map(String::from).collect()
    }

    /// All keys in the space.
    pub(crate) fn keys(&self) -> String {
        self.etcdctl(&["get", "--prefix", "--keys-only", &self.prefix])
    }

    /// What happens in a lock's queue from now on.
    pub(crate) fn events(&self, name: &str) -> Events {
        let prefix = format!("{}{name}/", self.prefix);
        let fields = self.etcdctl(&["get", &prefix, "-w", "fields"]);
        let revision = fields.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).expect("a revision");
        let next = (revision.trim().parse::<u64>().unwrap() + 1).to_string();
        Events(Process::start(self.command(&etcdctl(), &["watch", "--prefix", "--rev", &next, &prefix])))
    }
}

/// etcd's own account of what happens in a queue.
pub(crate) struct Events(Process);

impl Events {
    /// Waits until somebody has entered, and gives the key.
    pub(crate) fn entered(&self) -> String {
        self.next("PUT")
    }

    /// Waits until somebody has left, and gives the key.
    pub(crate) fn left(&self) -> String {
        self.next("DELETE")
    }

    fn next(&self, what: &str) -> String {
        let next = self.0.line();
        let key = self.0.line();
        // The value's line.
        self.0.line();
        assert_eq!(next, what, "{key}");
        key
    }
}

/// The endpoint of an etcd that lives as long as this process.
fn shared() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| {
        let (tell, endpoint) = sync_channel(1);
        // Ended with the thread that started it, and that one lives as long as the process, however that ends.
        thread::spawn(move || {
            let pid = std::process::id().to_string();
            let mut command = program(LOCKER);
            command.args(["leash", &pid, &Signal::TERM.as_raw().to_string(), "--", LOCKER, "dev"]);
            let dev = Process::start(command);
            tell.send(dev.line()).unwrap();
            loop {
                thread::park();
            }
        });
        endpoint.recv().expect("an etcd")
    })
}
