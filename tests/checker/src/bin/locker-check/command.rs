//! The worker that is a command: `locker run` again and again, and what it runs.
//!
//! What runs under the lock can ask nobody whether it is held, so what it says is only that it runs, and when.

use crate::Result;
use crate::settings::{PREFIX, Settings, number, patience, text, work};
use locker_check::record::{Kind, Lang, Record, now};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

/// What `locker run` ends with when etcd was out of reach, the lock was busy, or lost.
const UNREACHABLE: i32 = 69;
const BUSY: i32 = 75;
const LOST: i32 = 76;

/// Runs `locker` again and again.
pub(crate) async fn run() -> Result<()> {
    let settings = Settings::from_env()?;
    let mut term = signal(SignalKind::terminate())?;
    let token = settings.ttl.as_millis() as u64;
    settings.history.append(&Record { token, ..Record::new(Lang::Command, Kind::Start) })?;
    for seq in 1.. {
        if timeout(Duration::ZERO, term.recv()).await.is_ok() {
            break;
        }
        once(&settings, Record { lock: settings.lock(), seq, ..Record::new(Lang::Command, Kind::AcqCall) }).await?;
    }
    Ok(settings.history.append(&Record::new(Lang::Command, Kind::Done))?)
}

async fn once(settings: &Settings, hold: Record) -> Result<()> {
    let patience = patience();
    settings.history.append(&Record { deadline: hold.at + patience.as_nanos() as u64, ..hold })?;
    let program = std::env::current_exe()?;
    let mut command = Command::new(program.with_file_name("locker"));
    command.args(["--prefix", PREFIX, "--ttl", &settings.ttl.as_secs().to_string(), "run", &format!("L{}", hold.lock)]);
    command.args(["--wait", &format!("{}ms", patience.as_millis()), "--"]).arg(program).arg("held");
    command.args([hold.lang as u32, hold.pid, hold.lock, hold.seq].map(|number| number.to_string()));
    command.env("CHECK_SEED", fastrand::u64(..).to_string()).stdin(Stdio::null());
    let status = command.status().await?;
    let tell = |kind, revision| settings.history.append(&Record { kind, revision, at: now(), ..hold });
    // Whether it ever ran is in its own records.
    match status.code() {
        Some(0) => tell(Kind::RelRet, 0)?,
        Some(BUSY) => tell(Kind::AcqFail, 1)?,
        Some(UNREACHABLE) => tell(Kind::AcqFail, 4)?,
        Some(LOST) => tell(Kind::Lost, 0).and_then(|()| tell(Kind::RelRet, 3))?,
        // The nemesis kills.
        None => tell(Kind::RelRet, 2)?,
        Some(code) => tell(Kind::AcqFail, 100 + code as u64)?,
    }
    Ok(())
}

/// Runs under the lock. `hold` is the acquisition of the one who has asked for it.
pub(crate) async fn held(hold: Record) -> Result<()> {
    let settings = Settings::from_env()?;
    let token = if hold.lang == Lang::Etcdctl { number("ETCD_LOCK_REV")? } else { number("LOCKER_TOKEN")? };
    let hold = Record { token, ..hold };
    let is = |kind| {
        let at = now();
        settings.history.append(&Record { kind, at, deadline: at, ..hold })
    };
    is(Kind::AcqRet)?;
    // So that whoever comes before has something to be refused for.
    settings.write_fenced(hold)?;
    let naked = settings.read_naked(hold.lock)?;
    // The control has longer ones, so that a pause is certain to hit them.
    let time = text("CHECK_WORK_MS").ok().and_then(|ms| ms.parse().ok()).map_or_else(work, Duration::from_millis);
    let until = Instant::now() + time;
    while Instant::now() < until {
        is(Kind::HeldTrue)?;
        sleep(Duration::from_millis(5)).await;
    }
    settings.write_fenced(hold)?;
    if hold.lang == Lang::Command && fastrand::u32(..8) == 0 {
        settings.write_guarded(hold).await?;
    }
    settings.write_naked(hold, naked + 1)?;
    is(Kind::HeldTrue)?;
    Ok(is(Kind::RelCall)?)
}
