//! One etcd: on free loopback ports, in a temporary directory, gone when dropped.

use crate::http::{Metrics, is_healthy};
use crate::tls::Authority;
use crate::{PATIENCE, ctl, free_port, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One etcd process: alone, or a member of a [`Cluster`](crate::Cluster).
#[derive(Debug)]
pub struct Etcd {
    process: Child,
    directory: TempDir,
    plan: Plan,
    pub(crate) has_users: bool,
}

/// How it is started, each time.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) port: u16,
    pub(crate) peer_port: u16,
    /// Who it is in its cluster: its name and what it advertises to the others.
    pub(crate) identity: Vec<String>,
    pub(crate) flags: Vec<String>,
    /// The proxy to other members.
    pub(crate) proxy: Option<String>,
    /// Where it speaks TLS, too.
    pub(crate) secure_port: Option<u16>,
}

impl Etcd {
    /// Starts one and waits until it answers. It does not wait for its disk.
    pub fn start() -> Self {
        Etcd::with(&[])
    }

    /// The same with flags, which go before ours.
    pub fn with(flags: &[&str]) -> Self {
        Etcd::start_with(|| Plan::alone(flags))
    }

    /// One that speaks TLS, too, at an address of its own, and says there to be `host`, an IP address. Who asks there must
    /// show a certificate of the same authority if it is `mutual`.
    pub fn with_tls(authority: &Authority, host: &str, mutual: bool) -> Self {
        let server = authority.issue("server", &format!("IP:{host}"));
        let mut files = vec![("--cert-file", &server.cert), ("--key-file", &server.key)];
        if mutual {
            files.push(("--trusted-ca-file", &authority.cert));
        }
        let mut flags: Vec<_> = files.iter().map(|(flag, path)| format!("{flag}={}", path.display())).collect();
        flags.push(format!("--client-cert-auth={mutual}"));
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        Etcd::start_with(|| Plan { secure_port: Some(free_port()), ..Plan::alone(&flags) })
    }

    fn start_with(plan: impl Fn() -> Plan) -> Self {
        for _ in 0..5 {
            let mut etcd = Etcd::spawn(plan());
            if etcd.becomes_healthy() {
                return etcd;
            }
            // A port may have been taken meanwhile.
            etcd.show_log();
        }
        panic!("etcd does not start; its log is above");
    }

    /// Starts one that may have to wait for others.
    pub(crate) fn spawn(plan: Plan) -> Self {
        let directory = tempfile::Builder::new().prefix("locker-test-").tempdir().expect("a temporary directory");
        let process = plan.spawn(directory.path());
        Etcd { process, directory, plan, has_users: false }
    }

    /// Where it answers, past all proxies.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.plan.port)
    }

    /// Where it answers with TLS, if it does.
    pub fn secure_endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.plan.secure_port.expect("it speaks TLS"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.plan.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its counters now.
    pub fn metrics(&self) -> Metrics {
        Metrics::read(self.plan.port)
    }

    /// Kills it as `kill -9` does. Its data stays for `restart`.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on the same ports and data, and waits until it answers.
    pub fn restart(&mut self) {
        self.spawn_again();
        assert!(self.becomes_healthy(), "etcd does not come back");
    }

    /// Starts it again, and waits only until it listens: alone it may have no quorum.
    pub fn spawn_again(&mut self) {
        self.kill();
        self.process = self.plan.spawn(self.directory.path());
        let port = self.plan.port;
        wait_until("etcd listens again", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// Kills it, removes all its data, and starts it again as it was started first.
    pub fn wipe(&mut self) {
        self.kill();
        fs::remove_dir_all(data(self.directory.path())).expect("its data can be removed");
        self.restart();
    }

    /// Kills it, and starts it again with what it was when the snapshot was saved.
    pub fn restore(&mut self, snapshot: &Path) {
        self.kill();
        let data = data(self.directory.path());
        fs::remove_dir_all(&data).expect("its data can be removed");
        ctl::restore(snapshot, &data, &self.plan.identity);
        self.restart();
    }

    /// Stops all its threads as `kill -STOP` does, and waits until they stand.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let stands = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        };
        let tasks = format!("/proc/{}/task", self.pid());
        wait_until("etcd stands", || fs::read_dir(&tasks).expect("its threads").flatten().all(stands));
    }

    /// Has it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }

    /// Whether it answers within some seconds; false also if it has ended.
    pub(crate) fn becomes_healthy(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.process.try_wait().expect("it is ours").is_none() {
            if is_healthy(self.plan.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub(crate) fn show_log(&self) {
        eprintln!("{}", fs::read_to_string(log(self.directory.path())).unwrap_or_default());
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_log();
        }
        self.kill();
    }
}

impl Plan {
    fn alone(flags: &[&str]) -> Self {
        let peer_port = free_port();
        let peer = format!("http://127.0.0.1:{peer_port}");
        let identity = identity("test", &peer, &format!("test={peer}"));
        Plan::new(peer_port, identity, flags)
    }

    pub(crate) fn new(peer_port: u16, identity: Vec<String>, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| flag.to_string()).collect();
        Plan { port: free_port(), peer_port, identity, flags, proxy: None, secure_port: None }
    }

    fn spawn(&self, directory: &Path) -> Child {
        let log = fs::File::options().create(true).append(true).open(log(directory)).expect("its log can be written");
        let etcd = program();
        let client = format!("http://127.0.0.1:{}", self.port);
        let mut command = Command::new(&etcd);
        command.args(["--log-level", "error", "--unsafe-no-fsync"]).args(&self.flags).args(&self.identity);
        command.arg("--data-dir").arg(data(directory));
        let secure = self.secure_port.map(|port| format!(",https://127.0.0.1:{port}")).unwrap_or_default();
        command.args(["--listen-client-urls", &format!("{client}{secure}"), "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &format!("http://127.0.0.1:{}", self.peer_port)]);
        for variable in ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(variable);
        }
        if let Some(proxy) = &self.proxy {
            command.env("HTTP_PROXY", proxy);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `apt-get install etcd-server` gives one", etcd.display()))
    }
}

/// The flags that say who a member is, for etcd and for the restoring of a snapshot.
pub(crate) fn identity(name: &str, peer: &str, cluster: &str) -> Vec<String> {
    ["--name", name, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster].map(String::from).to_vec()
}

fn program() -> PathBuf {
    std::env::var_os("LOCKER_ETCD").unwrap_or_else(|| "etcd".into()).into()
}

/// Which etcd it is that is started: its version, such as `3.4.23`.
pub fn installed() -> String {
    let output = Command::new(program()).arg("--version").output().expect("etcd is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("etcd Version: ")).expect("a version").trim().into()
}

fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}
