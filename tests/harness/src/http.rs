//! What etcd tells over HTTP/1: asked directly, past all proxies, so that it does not disturb what is tested.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(1);

/// The body of the answer. Fails unless that is "200 OK".
pub(crate) fn ask(port: u16, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.into()),
        _ => Err(io::Error::other(answer)),
    }
}

/// Whether a quorum answers through this member.
pub(crate) fn is_healthy(port: u16) -> bool {
    ask(port, "GET", "/health", "").is_ok_and(|answer| answer.contains(r#""health":"true""#))
}

/// What a member says of its cluster.
pub(crate) struct Status {
    pub(crate) member: String,
    /// "0": none.
    pub(crate) leader: String,
    pub(crate) term: u64,
}

pub(crate) fn status(port: u16) -> Option<Status> {
    let answer = ask(port, "POST", "/v3/maintenance/status", "{}").ok()?;
    let answer: Value = serde_json::from_str(&answer).ok()?;
    // Numbers of 64 bits are strings, and those that are 0 are left out.
    let text = |value: &Value| value.as_str().unwrap_or("0").to_string();
    let term = text(&answer["raftTerm"]).parse().ok()?;
    Some(Status { member: text(&answer["header"]["member_id"]), leader: text(&answer["leader"]), term })
}

/// The counters of a member, as they were once.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    pub(crate) fn read(port: u16) -> Self {
        Metrics(ask(port, "GET", "/metrics", "").expect("etcd tells its metrics"))
    }

    /// The sum of all counters whose name, with its labels, starts with `name` and contains `label`.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let lines = self.0.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}
