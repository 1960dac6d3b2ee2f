//! A real etcd for tests: on free loopback ports, in a temporary directory, gone when the test is.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod proxy;

use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything that must happen may take before a test says that it did not. Generous: machines are slow.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One etcd process.
pub struct Etcd {
    process: Child,
    directory: tempfile::TempDir,
    port: u16,
    peer_port: u16,
}

impl Etcd {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        for _ in 0..5 {
            let (port, peer_port) = (free_port(), free_port());
            let directory = tempfile::Builder::new().prefix("locker-test-").tempdir().expect("a temporary directory");
            let process = spawn(&directory, port, peer_port);
            let mut etcd = Etcd { process, directory, port, peer_port };
            if etcd.becomes_healthy() {
                return etcd;
            }
            // A port may have been taken meanwhile.
            eprintln!("{}", std::fs::read_to_string(log_path(&etcd.directory)).unwrap_or_default());
        }
        panic!("etcd does not start; its log is above");
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills it as `kill -9` does. Its data stays for `restart`.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on the same ports and data.
    pub fn restart(&mut self) {
        self.process = spawn(&self.directory, self.port, self.peer_port);
        assert!(self.becomes_healthy(), "etcd does not come back");
    }

    /// Stops all its threads as `kill -STOP` does, and waits until they stand.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.process.id());
        let stands = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        };
        let end = Instant::now() + PATIENCE;
        while !std::fs::read_dir(&tasks).unwrap().all(|task| stands(task.unwrap())) {
            assert!(Instant::now() < end, "etcd does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Runs etcdctl against it and gives what it prints.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.ctl_command(arguments).output().expect("etcdctl is installed");
        assert!(output.status.success(), "etcdctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// An etcdctl to be started.
    pub fn ctl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var("LOCKER_ETCDCTL").unwrap_or_else(|_| "etcdctl".into()));
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("ETCDCTL_API", "3");
        command.arg("--endpoints").arg(self.endpoint()).args(arguments);
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

    fn becomes_healthy(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.process.try_wait().unwrap().is_none() {
            if is_healthy(self.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn log_path(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("log")
}

fn spawn(directory: &tempfile::TempDir, port: u16, peer_port: u16) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log_path(directory)).unwrap();
    let etcd: PathBuf = std::env::var_os("LOCKER_ETCD").unwrap_or_else(|| "etcd".into()).into();
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
    Command::new(&etcd)
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .args(["--name", "test", "--unsafe-no-fsync", "--log-level", "error"])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("test={peer}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; `apt-get install etcd-server` gives one", etcd.display()))
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(r#""health":"true""#))
}

/// A prefix that no other test has.
pub fn unique_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("/t/{}-{}/", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until `condition` holds, looking again and again: for what gives no event to wait for.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < end, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
