//! The worker in Rust: a task waits for the loss, and now and then the future of a lock is dropped.

use crate::Result;
use crate::settings::{PREFIX, Settings, patience, work};
use locker::{Client, Error, ErrorKind, Guard};
use locker_check::record::{Kind, Lang, Record, now};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

/// The code of an error, as in C.
fn code(error: &Error) -> u64 {
    match error.kind() {
        ErrorKind::Timeout => 1,
        ErrorKind::Cancelled => 2,
        ErrorKind::Lost => 3,
        ErrorKind::Unavailable => 4,
        _ => 9,
    }
}

pub(crate) async fn run() -> Result<()> {
    let settings = Settings::from_env()?;
    let mut term = signal(SignalKind::terminate())?;
    let client = Client::connect(&settings.endpoints).prefix(PREFIX).ttl(settings.ttl).await?;
    let token = settings.ttl.as_millis() as u64;
    settings.history.append(&Record { token, ..Record::new(Lang::Rust, Kind::Start) })?;
    for seq in 1.. {
        if timeout(Duration::ZERO, term.recv()).await.is_ok() {
            break;
        }
        once(&client, &settings, Record { lock: settings.lock(), seq, ..Record::new(Lang::Rust, Kind::AcqCall) })
            .await?;
    }
    let _ = client.disconnect().await; // without etcd, the locks end with their lease
    Ok(settings.history.append(&Record::new(Lang::Rust, Kind::Done))?)
}

async fn once(client: &Client, settings: &Settings, hold: Record) -> Result<()> {
    let patience = patience();
    let tell = |kind, revision| settings.history.append(&Record { kind, revision, at: now(), ..hold });
    let deadline = hold.at + patience.as_nanos() as u64;
    settings.history.append(&Record { deadline, ..hold })?;
    let lock = client.lock(format!("L{}", hold.lock)).timeout(patience).into_future();
    // Dropped while it waits, if it still does.
    let limit = if fastrand::u32(..10) == 0 { Duration::from_millis(fastrand::u64(1..30)) } else { Duration::MAX };
    let guard = match timeout(limit, lock).await {
        Err(_) => return Ok(tell(Kind::AcqFail, 2)?),
        Ok(Err(error)) => return Ok(tell(Kind::AcqFail, code(&error))?),
        Ok(Ok(guard)) => guard,
    };
    let at = now();
    let token = guard.token() as u64;
    let deadline = at + guard.remaining().as_nanos() as u64;
    settings.history.append(&Record { kind: Kind::AcqRet, token, at, deadline, ..hold })?;
    let hold = Record { token, ..hold };
    if token != 0 {
        use_it(settings, &guard, hold).await?;
    }
    settings.history.append(&Record { kind: Kind::RelCall, at: now(), ..hold })?;
    let revision = guard.unlock().await.map_or_else(|error| code(&error), |()| 0);
    Ok(settings.history.append(&Record { kind: Kind::RelRet, at: now(), revision, ..hold })?)
}

/// Works under the lock, and at the end also on what the lock no longer protects: to be refused.
async fn use_it(settings: &Settings, guard: &Guard, hold: Record) -> Result<()> {
    let number = settings.read_naked(hold.lock)?;
    tokio::select! {
        done = stay(settings, guard, hold, Instant::now() + work()) => done?,
        _ = guard.lost() => settings.history.append(&Record { kind: Kind::Lost, at: now(), ..hold })?,
    }
    settings.write_fenced(hold)?;
    if fastrand::u32(..8) == 0 {
        settings.write_guarded(hold).await?;
    }
    Ok(settings.write_naked(hold, number + 1)?)
}

async fn stay(settings: &Settings, guard: &Guard, hold: Record, until: Instant) -> std::io::Result<()> {
    while Instant::now() < until {
        let at = now();
        if guard.held() {
            let deadline = at + guard.remaining().as_nanos() as u64;
            settings.history.append(&Record { kind: Kind::HeldTrue, at, deadline, ..hold })?;
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
