//! `locker run`: a command under a lock.

use crate::args::Run;
use crate::connection::Connection;
use crate::exit::{self, Code, Failure};
use crate::guardian::Guardian;
use crate::hold::Hold;
use crate::job::{Finished, Job};
use crate::leash;
use crate::output;
use crate::show;
use crate::signals::Signals;
use locker::{Client, ErrorKind, Guard, Lock, State};
use rustix::process::Signal;
use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// After how long somebody at a terminal is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Variables that carry a password, alone or behind the user's name.
const SECRET: [&str; 2] = ["LOCKER_PASSWORD", "ETCDCTL_PASSWORD"];
const HALF_SECRET: [&str; 2] = ["LOCKER_USER", "ETCDCTL_USER"];

/// How a command has ended that ran under the lock.
struct Ended {
    code: Code,
    finished: Finished,
    /// etcd did not answer in time when the lock was to be released, and is not asked again.
    silence: bool,
}

pub(crate) async fn run(run: Run, connection: Connection) -> Result<Code, Failure> {
    let mut signals = Signals::listen()?;
    let client = tokio::select! {
        client = connect(&connection, &run) => client?,
        signal = signals.next() => return Ok(exit::by_signal(signal.as_raw())),
    };
    let guard = tokio::select! {
        guard = acquire(&client, &run) => guard,
        signal = signals.next() => Err(Failure::quiet(exit::by_signal(signal.as_raw()))),
    };
    let outcome = match guard {
        Ok(guard) => under(&guard, &run, &mut signals).await,
        Err(failure) => Err(failure),
    };
    let silent = outcome.as_ref().map_or_else(|failure| failure.silence, |ended| ended.silence);
    let cut_short = if silent { None } else { disconnect(&client, &mut signals).await };
    let Ended { code, finished, .. } = outcome?;
    match cut_short {
        // That the lock was lost is not to be hidden by this.
        Some(signal) if code != exit::LOST => Ok(exit::by_signal(signal.as_raw())),
        _ => {
            finished.echo();
            Ok(code)
        }
    }
}

/// Leaves the queue, ends the lease. What etcd does not confirm now ends with the lease.
async fn disconnect(client: &Client, signals: &mut Signals) -> Option<Signal> {
    tokio::select! {
        _ = client.disconnect() => None,
        // Asked twice to end: not even for that.
        signal = signals.next() => Some(signal),
    }
}

/// Connects in the command's name: that is what others want to read.
async fn connect(connection: &Connection, run: &Run) -> Result<Client, Failure> {
    let words = run.words();
    let program = Path::new(&words[0]).file_name().unwrap_or(&words[0]);
    Ok(connection.options()?.program(program.to_string_lossy()).await?)
}

/// Waits for the lock.
async fn acquire(client: &Client, run: &Run) -> Result<Guard, Failure> {
    let lock = request(client, run);
    let acquired = match run.limit() {
        Some(Duration::ZERO) => lock.await,
        _ => wait(client, lock, &run.name).await,
    };
    acquired.map_err(|error| match error.kind() {
        ErrorKind::Timeout => {
            let holder = error.holder().map_or_else(|| error.to_string(), show::holding);
            Failure::new(run.busy_code, format!("{} is busy: {holder}", run.name))
        }
        _ => error.into(),
    })
}

fn request(client: &Client, run: &Run) -> Lock {
    let mut lock = client.lock(&run.name);
    if let Some(limit) = run.limit() {
        lock = lock.timeout(limit);
    }
    if let Some(reason) = &run.reason {
        lock = lock.reason(reason);
    }
    if let Some(value) = &run.value {
        lock = lock.value(value);
    }
    lock
}

/// Queues, and after a while tells somebody who looks on behind whom.
async fn wait(client: &Client, lock: Lock, name: &str) -> locker::Result<Guard> {
    let guard = lock.start()?;
    if io::stderr().is_terminal() {
        match guard.wait(PATIENCE).await {
            Err(error) if error.kind() == ErrorKind::Timeout && guard.state() == State::Waiting => {}
            waited => return waited.map(|()| guard),
        }
        if let Ok(info) = client.get(name).await {
            output::say(format_args!("waiting for {name}: {}", show::line(&info)));
        }
    }
    guard.wait(None).await.map(|()| guard)
}

/// Runs the command while the lock is held, then releases it.
async fn under(guard: &Guard, run: &Run, signals: &mut Signals) -> Result<Ended, Failure> {
    signals.add_stop()?;
    let guardian = Guardian::start().await;
    // Stopped for long just now, we have no guardian since there is no lock.
    guard.check()?;
    let guardian = guardian?;
    let job = Job::spawn(prepare(guard, run))?;
    let (finished, stopped) = Hold::new(job, guardian, guard, run.kill_after).until_ended(signals).await?;
    if stopped {
        return Ok(Ended { code: exit::LOST, finished, silence: false });
    }
    let code = exit::of(finished.status);
    match release(guard, signals).await? {
        Ok(()) => Ok(Ended { code, finished, silence: false }),
        Err(error) if error.kind() == ErrorKind::Lost => {
            let what = format!("{}: the lock was lost before the command ended with {code}: {error}", run.name);
            Err(Failure::new(exit::LOST, what))
        }
        // The command's own code says more than that the lock lives on until its lease ends.
        Err(error) => {
            output::say(format_args!("{}: not released, it ends with its lease: {error}", run.name));
            Ok(Ended { code, finished, silence: error.kind() == ErrorKind::Unavailable })
        }
    }
}

async fn release(guard: &Guard, signals: &mut Signals) -> Result<locker::Result<()>, Failure> {
    tokio::select! {
        released = guard.unlock() => Ok(released),
        signal = signals.next() => Err(Failure::quiet(exit::by_signal(signal.as_raw()))),
    }
}

/// The command with what it may know of the lock, and without what it must not.
fn prepare(guard: &Guard, run: &Run) -> Command {
    let words = run.words();
    let mut command = leash::command(&words[0], Signal::KILL);
    command.args(&words[1..]);
    let (key, token) = (guard.key(), guard.token().to_string());
    command.env("LOCKER_NAME", &run.name).env("LOCKER_TOKEN", &token).env("LOCKER_KEY", &key);
    command.env("ETCD_LOCK_KEY", &key).env("ETCD_LOCK_REV", &token);
    for variable in SECRET {
        command.env_remove(variable);
    }
    for variable in HALF_SECRET {
        if let Some((user, _)) = env::var(variable).ok().as_deref().and_then(|value| value.split_once(':')) {
            command.env(variable, user);
        }
    }
    command
}
