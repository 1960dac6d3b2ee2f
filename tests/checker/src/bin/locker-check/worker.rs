//! The worker in Rust: many tasks with few clients, so that guards stand in line within a process and travel together. A task
//! waits for the loss, now and then the future of a lock is dropped, and now and then two locks are asked for at once.

use crate::Result;
use crate::settings::{PREFIX, Settings, patience, work};
use locker::{Client, Error, ErrorKind, Guard};
use locker_check::record::{Kind, Lang, Record, now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
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
    let settings = Arc::new(Settings::from_env()?);
    let mut term = signal(SignalKind::terminate())?;
    let mut clients = Vec::new();
    for _ in 0..settings.clients {
        clients.push(Client::connect(&settings.endpoints).prefix(PREFIX).ttl(settings.ttl).await?);
    }
    let token = settings.ttl.as_millis() as u64;
    settings.history.append(&Record { token, ..Record::new(Lang::Rust, Kind::Start) })?;
    let (end, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    let seq = Arc::new(AtomicU32::new(1));
    for task in 0..settings.tasks {
        let client = clients[task % clients.len()].clone();
        let (settings, seq, end) = (settings.clone(), seq.clone(), end.clone());
        tasks.spawn(async move {
            while !end.load(Ordering::Relaxed) {
                once(&client, &settings, &seq).await?;
            }
            Result::Ok(())
        });
    }
    term.recv().await;
    end.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    for client in clients {
        let _ = client.disconnect().await; // without etcd, the locks end with their lease
    }
    Ok(settings.history.append(&Record::new(Lang::Rust, Kind::Done))?)
}

/// What one guard holds: a record for each of its locks.
struct Holds<'a> {
    settings: &'a Settings,
    each: Vec<Record>,
}

impl Holds<'_> {
    /// Says the same of all locks.
    fn tell(&self, what: Record) -> std::io::Result<()> {
        let of = |hold: &Record| Record { lock: hold.lock, seq: hold.seq, token: hold.token, ..what };
        self.each.iter().try_for_each(|hold| self.settings.history.append(&of(hold)))
    }
}

async fn once(client: &Client, settings: &Settings, seq: &AtomicU32) -> Result<()> {
    let new =
        |lock| Record { lock, seq: seq.fetch_add(1, Ordering::Relaxed), ..Record::new(Lang::Rust, Kind::AcqCall) };
    let mut holds = Holds { settings, each: settings.locks().into_iter().map(new).collect() };
    let patience = patience();
    let record = |kind| Record::new(Lang::Rust, kind);
    holds.tell(Record { deadline: now() + patience.as_nanos() as u64, ..record(Kind::AcqCall) })?;
    let names: Vec<_> = holds.each.iter().map(|hold| format!("L{}", hold.lock)).collect();
    let lock = match &names[..] {
        [name] => client.lock(name),
        _ => client.lock_all(&names),
    };
    // Dropped while it waits, if it still does.
    let limit = if fastrand::u32(..10) == 0 { Duration::from_millis(fastrand::u64(1..30)) } else { Duration::MAX };
    let guard = match timeout(limit, lock.timeout(patience).into_future()).await {
        Err(_) => return Ok(holds.tell(Record { revision: 2, ..record(Kind::AcqFail) })?),
        Ok(Err(error)) => return Ok(holds.tell(Record { revision: code(&error), ..record(Kind::AcqFail) })?),
        Ok(Ok(guard)) => guard,
    };
    let at = now();
    let token = guard.token() as u64;
    let deadline = at + guard.remaining().as_nanos() as u64;
    holds.each.iter_mut().for_each(|hold| hold.token = token);
    holds.tell(Record { at, deadline, ..record(Kind::AcqRet) })?;
    if token != 0 {
        use_it(&holds, &guard).await?;
    }
    holds.tell(record(Kind::RelCall))?;
    let revision = guard.unlock().await.map_or_else(|error| code(&error), |()| 0);
    Ok(holds.tell(Record { revision, ..record(Kind::RelRet) })?)
}

/// Works under the locks, and at the end also on what they no longer protect: to be refused.
async fn use_it(holds: &Holds<'_>, guard: &Guard) -> Result<()> {
    let Holds { settings, each } = holds;
    let numbers = each.iter().map(|hold| settings.read_naked(hold.lock)).collect::<std::io::Result<Vec<_>>>()?;
    tokio::select! {
        done = stay(holds, guard, Instant::now() + work()) => done?,
        _ = guard.lost() => holds.tell(Record::new(Lang::Rust, Kind::Lost))?,
    }
    for (hold, number) in each.iter().zip(numbers) {
        settings.write_fenced(*hold)?;
        if fastrand::u32(..8) == 0 {
            settings.write_guarded(*hold).await?;
        }
        settings.write_naked(*hold, number + 1)?;
    }
    Ok(())
}

async fn stay(holds: &Holds<'_>, guard: &Guard, until: Instant) -> std::io::Result<()> {
    while Instant::now() < until {
        let at = now();
        if guard.held() {
            let deadline = at + guard.remaining().as_nanos() as u64;
            holds.tell(Record { at, deadline, ..Record::new(Lang::Rust, Kind::HeldTrue) })?;
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
