//! A throw-away etcd.

use crate::child::Child;
use crate::exit::{Failure, UNAVAILABLE};
use crate::leash;
use crate::scratch::Scratch;
use rustix::process::Signal;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

/// A start takes half a second on an idle machine; an overloaded one may take much longer.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often a starting etcd is asked whether it is healthy. It has no event for that.
const POLL: Duration = Duration::from_millis(20);

/// An etcd of one member on free ports of the loopback interface, in a temporary directory. Dropping it ends it and
/// removes all of it.
pub(crate) struct Etcd {
    // Ended before its directory is removed: fields are dropped in this order.
    process: Child,
    directory: Scratch,
    client: SocketAddr,
}

impl Etcd {
    /// Starts one and waits until it is healthy.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let program = program()?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let mut etcd = Etcd::spawn(&program)?;
            let healthy = healthy(name(etcd.directory.path()), etcd.client);
            let outcome = tokio::select! {
                healthy = timeout_at(deadline, healthy) => match healthy {
                    Ok(()) => return Ok(etcd),
                    Err(_) => "was not healthy after 20 s",
                },
                ended = etcd.process.ended() => ended.map(|()| "did not start")?,
            };
            let log = etcd.log();
            // Somebody else took a port between our choice and etcd's use of it.
            if !log.contains("address already in use") || Instant::now() >= deadline {
                return Err(Failure::new(UNAVAILABLE, format!("{} {outcome}:\n{log}", program.display())));
            }
        }
    }

    /// Where clients find it.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.client)
    }

    /// Returns when it has ended, which it does not do by itself.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        self.process.ended().await
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).trim_end().to_owned()
    }

    fn spawn(program: &Path) -> Result<Self, Failure> {
        let directory = Scratch::new()
            .map_err(|error| Failure::new(UNAVAILABLE, format!("no temporary directory for etcd: {error}")))?;
        let (client, peer) = free_ports()?;
        let log = File::create(directory.path().join("log"))?;
        let mut command = leash::command(program, Signal::KILL);
        command.args(arguments(directory.path(), client, peer)).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        isolate(&mut command);
        Ok(Etcd { process: Child::spawn(command)?, directory, client })
    }
}

/// Returns when the etcd of this name serves requests on this port; if another one has got the port, never.
async fn healthy(name: String, client: SocketAddr) {
    loop {
        let members = http(client, "POST /v3/cluster/member/list", "{}").await.unwrap_or_default();
        let health = http(client, "GET /health", "").await.unwrap_or_default();
        if members.contains(&name) && health.contains(r#""health":"true""#) {
            return;
        }
        sleep(POLL).await;
    }
}

fn arguments(directory: &Path, client: SocketAddr, peer: SocketAddr) -> Vec<OsString> {
    let name = name(directory);
    let client = format!("http://{client}");
    let peer = format!("http://{peer}");
    let mut arguments: Vec<OsString> = vec!["--data-dir".into(), directory.join("data").into()];
    let others = [
        ("--name", name.as_str()),
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", &peer),
        ("--initial-advertise-peer-urls", &peer),
        ("--initial-cluster", &format!("{name}={peer}")),
        ("--initial-cluster-token", &name),
        ("--auto-compaction-mode", "periodic"),
        ("--auto-compaction-retention", "5m"),
        ("--logger", "zap"),
        ("--log-level", "warn"),
    ];
    arguments.extend(others.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]));
    arguments.push("--unsafe-no-fsync".into());
    arguments
}

/// Keeps the settings of another etcd, which every flag reads from the environment, away from this one.
fn isolate(command: &mut Command) {
    for (variable, _) in env::vars_os() {
        if variable.as_encoded_bytes().starts_with(b"ETCD_") {
            command.env_remove(variable);
        }
    }
    if cfg!(target_arch = "aarch64") {
        // etcd 3.4 runs there only when told so.
        command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
    }
}

/// The member's name: its directory's, which nobody else on this machine has.
fn name(directory: &Path) -> String {
    directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Two ports that are free now.
fn free_ports() -> io::Result<(SocketAddr, SocketAddr)> {
    let client = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((client.local_addr()?, peer.local_addr()?))
}

/// The answer to one request, headers and all.
async fn http(address: SocketAddr, request: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("{request} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The etcd to run: `$LOCKER_ETCD`, else the one on the PATH.
fn program() -> Result<PathBuf, Failure> {
    if let Some(path) = env::var_os("LOCKER_ETCD").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        let why = |error| Failure::new(UNAVAILABLE, format!("LOCKER_ETCD={}: {error}", path.display()));
        executable(&path).map_err(why)?;
        return Ok(path);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|directory| directory.join("etcd")).find(|path| executable(path).is_ok());
    found.ok_or_else(|| Failure::new(UNAVAILABLE, not_installed()))
}

fn executable(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(rustix::fs::access(path, rustix::fs::Access::EXEC_OK)?)
}

fn not_installed() -> String {
    let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo " };
    format!(
        "no etcd on the PATH. On Debian and Ubuntu install it with\n    \
         {sudo}apt-get install --yes --no-install-recommends etcd-server\n\
         or name another one in LOCKER_ETCD."
    )
}
