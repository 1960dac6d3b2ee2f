//! What etcdctl does for a test.

use crate::Etcd;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// Root of an etcd with users.
const ROOT: &str = "root:root-secret";

impl Etcd {
    /// Runs etcdctl against it and gives what it prints.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        succeed(self.ctl_command(arguments))
    }

    /// An etcdctl to be started.
    pub fn ctl_command(&self, arguments: &[&str]) -> Command {
        let mut command = tool("LOCKER_ETCDCTL", "etcdctl");
        command.arg("--endpoints").arg(self.endpoint());
        if self.has_users {
            command.args(["--user", ROOT]);
        }
        command.args(arguments);
        command
    }

    /// All keys under a prefix, without the bookkeeping.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self.ctl(&["get", "--prefix", "--keys-only", prefix]);
        keys.lines().filter(|key| !key.is_empty() && !key.contains("%!/")).map(String::from).collect()
    }

    /// How many leases there are.
    pub fn leases(&self) -> usize {
        self.ctl(&["lease", "list"]).lines().filter(|line| !line.starts_with("found")).count()
    }

    /// The revision it has come to.
    pub fn revision(&self) -> i64 {
        let fields = self.ctl(&["get", "/", "-w", "fields"]);
        let revision = fields.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
        revision.and_then(|revision| revision.trim().parse().ok()).expect("a revision")
    }

    /// Forgets all that was before now.
    pub fn compact(&self) {
        self.ctl(&["compaction", &self.revision().to_string()]);
    }

    /// Gives room back, and answers nobody meanwhile.
    pub fn defragment(&self) {
        self.ctl(&["--command-timeout", "120s", "defrag"]);
    }

    /// From now on there are users: root, and `name`, who may read and write under `prefix`.
    pub fn enable_users(&mut self, name: &str, password: &str, prefix: &str) {
        for arguments in [
            &["user", "add", ROOT][..],
            &["user", "grant-role", "root", "root"],
            &["role", "add", "ours"],
            &["role", "grant-permission", "--prefix=true", "ours", "readwrite", prefix],
            &["user", "add", &format!("{name}:{password}")],
            &["user", "grant-role", name, "ours"],
            &["auth", "enable"],
        ] {
            self.ctl(arguments);
        }
        self.has_users = true;
    }

    /// Writes until there is no space: start it with a small `--quota-backend-bytes`.
    pub fn fill_space(&self) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), vec![b'x'; 1 << 20]).expect("it can be written");
        for n in 0.. {
            assert!(n < 1000, "its quota is too large to be filled");
            let mut put = self.ctl_command(&["put", &format!("{FILLING}{n}")]);
            let output =
                put.stdin(File::open(file.path()).expect("it is there")).output().expect("etcdctl is installed");
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr);
                return assert!(why.contains("database space exceeded"), "{why}");
            }
        }
    }

    /// Gives the space back that `fill_space` took.
    pub fn free_space(&self) {
        self.ctl(&["del", "--prefix", FILLING]);
        self.compact();
        self.defragment();
        self.ctl(&["alarm", "disarm"]);
    }

    /// Saves all data in a file.
    pub fn snapshot(&self, file: &Path) {
        self.ctl(&["snapshot", "save", &file.display().to_string()]);
    }
}

const FILLING: &str = "/filling/";

/// Makes a data directory of a snapshot. In etcd 3.6 that has moved to a program of its own.
pub(crate) fn restore(file: &Path, directory: &Path, flags: &[String]) {
    let mut command = tool("LOCKER_ETCDUTL", "etcdctl");
    command.args(["snapshot", "restore"]).arg(file).arg("--data-dir").arg(directory).args(flags);
    succeed(command);
}

fn tool(variable: &str, name: &str) -> Command {
    let mut command = Command::new(std::env::var(variable).unwrap_or_else(|_| name.into()));
    command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default()).env("ETCDCTL_API", "3");
    command.stdin(Stdio::null());
    command
}

fn succeed(mut command: Command) -> String {
    let output = command.output().expect("etcdctl is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
