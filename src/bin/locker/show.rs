//! Who holds a lock, in words and in JSON.

use humantime::{format_duration, format_rfc3339_millis, format_rfc3339_seconds};
use locker::{Info, Mode};
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// One line for people: `free`, or who holds it and how many wait.
pub(crate) fn line(info: &Info) -> String {
    match (info.held(), info.waiters) {
        (false, _) => "free".into(),
        (true, 0) => holding(info),
        (true, waiters) => format!("{}, {waiters} waiting", holding(info)),
    }
}

/// Who holds it, since when, and why; of several the one who has held it for the longest time.
pub(crate) fn holding(info: &Info) -> String {
    let mut line = match (info.mode, info.limit) {
        (Mode::Shared, 0) => format!("shared by {}, first by {}", info.holders, holder(info)),
        (Mode::Shared, limit) => format!("shared by {} of {limit}, first by {}", info.holders, holder(info)),
        _ => format!("held by {}", holder(info)),
    };
    if let Some(since) = info.since {
        line += &format!(" since {}", format_rfc3339_seconds(since));
        if let Ok(age) = SystemTime::now().duration_since(since) {
            line += &format!(" ({})", format_duration(Duration::from_secs(age.as_secs())));
        }
    }
    for (what, text) in [("reason", &info.reason), ("value", &info.value)] {
        if !text.is_empty() && *text != default_value(info) {
            line += &format!(", {what}: {}", printable(text));
        }
    }
    line + &format!(", token {}", info.token)
}

/// One line for programs: a JSON object with the fields of [`Info`].
pub(crate) fn json(info: &Info) -> String {
    let record = Record {
        name: &info.name,
        token: info.token,
        mode: info.mode.name(),
        value: &info.value,
        reason: &info.reason,
        host: &info.host,
        pid: info.pid,
        program: &info.program,
        since: info.since.map(|since| format_rfc3339_millis(since).to_string()),
        holders: info.holders,
        limit: info.limit,
        waiters: info.waiters,
        lease_left: info.lease_left.map(|left| left.as_secs_f64()),
        revision: info.revision,
    };
    serde_json::to_string(&record).expect("texts and numbers are always JSON")
}

#[derive(Serialize)]
struct Record<'a> {
    name: &'a str,
    token: i64,
    mode: &'static str,
    value: &'a str,
    reason: &'a str,
    host: &'a str,
    pid: u32,
    program: &'a str,
    since: Option<String>,
    holders: u32,
    /// 0: none.
    limit: u32,
    waiters: u32,
    /// In seconds.
    lease_left: Option<f64>,
    revision: i64,
}

fn holder(info: &Info) -> String {
    let host = printable(&info.host);
    let mut what = Vec::new();
    if !info.program.is_empty() {
        what.push(printable(&info.program));
    }
    if info.pid != 0 {
        what.push(format!("pid {}", info.pid));
    }
    match (host.as_str(), what.join(", ").as_str()) {
        ("", "") if info.mode == Mode::Foreign => "something that is not locker".into(),
        ("", "") => "somebody unnamed".into(),
        ("", what) => what.into(),
        (host, "") => host.into(),
        (host, what) => format!("{host} ({what})"),
    }
}

/// What a holder that chose no value of its own publishes: nothing new.
fn default_value(info: &Info) -> String {
    format!("{}:{}", info.host, info.pid)
}

/// Others wrote it: no control characters onto somebody's terminal.
fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}
