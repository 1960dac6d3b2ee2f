//! `locker run`: a command under a lock.

use crate::args::{OnLost, Run};
use crate::connection::Connection;
use crate::exit::{self, Code, Failure};
use crate::guardian::Guardian;
use crate::hold::Hold;
use crate::job::{Finished, Job};
use crate::leash;
use crate::output;
use crate::show;
use crate::signals::Signals;
use crate::waiting;
use locker::{Client, Error, ErrorKind, Guard, Info, Lock, Mode};
use rustix::process::Signal;
use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

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
    connection.open_as(|connect| connect.program(program.to_string_lossy())).await
}

/// Waits for the lock.
async fn acquire(client: &Client, run: &Run) -> Result<Guard, Failure> {
    let lock = request(client, run);
    let acquired = match run.patience() {
        Some(Duration::ZERO) => lock.await,
        _ => waiting::wait(client, lock, run.verbose).await,
    };
    let guard = match acquired {
        Err(error) if error.kind() == ErrorKind::Timeout => return Err(busy(client, run, &error).await),
        acquired => acquired?,
    };
    if run.verbose {
        output::say(format_args!("{}: held, token {}", run.title(), guard.token()));
    }
    Ok(guard)
}

/// Who has it, of several locks the one that is in the way.
async fn busy(client: &Client, run: &Run, error: &Error) -> Failure {
    let Some(holder) = error.holder() else {
        return Failure::new(run.busy_code, format!("{} is busy: {error}", run.title()));
    };
    // How many share it was not needed to know that one cannot have it.
    let all = match holder.mode {
        Mode::Shared => client.get(&holder.name).await.ok().filter(Info::held),
        _ => None,
    };
    let holder = all.as_ref().unwrap_or(holder);
    let tried = run.patience() == Some(Duration::ZERO);
    // Who has waited may still be among those who wait.
    let who = if tried { show::line(holder) } else { show::holding(holder) };
    Failure::new(run.busy_code, format!("{} is busy: {who}", holder.name))
}

fn request(client: &Client, run: &Run) -> Lock {
    let mut lock = client.lock_all(run.names());
    if run.shared {
        lock = lock.shared();
    }
    if let Some(limit) = run.limit {
        lock = lock.limit(limit);
    }
    if let Some(patience) = run.patience() {
        lock = lock.timeout(patience);
    }
    if let Some(reason) = &run.reason {
        lock = lock.reason(reason);
    }
    if let Some(value) = &run.value {
        lock = lock.value(value);
    }
    lock
}

/// Runs the command while the lock is held, then releases it.
async fn under(guard: &Guard, run: &Run, signals: &mut Signals) -> Result<Ended, Failure> {
    signals.add_stop()?;
    let guardian = Guardian::start().await;
    // Stopped for long just now, we have no guardian since there is no lock.
    guard.check()?;
    let guardian = guardian?;
    let job = Job::spawn(prepare(guard, run))?;
    let (finished, stopped) = Hold::new(job, guardian, guard, run).until_ended(signals).await?;
    if stopped {
        return Ok(Ended { code: exit::LOST, finished, silence: false });
    }
    let code = exit::of(finished.status);
    match release(guard, signals).await? {
        Ok(()) => Ok(Ended { code, finished, silence: false }),
        Err(error) if error.kind() == ErrorKind::Lost => {
            let what = format!("{}: the lock was lost before the command ended with {code}: {error}", run.title());
            match run.on_lost {
                OnLost::Warn => {
                    output::say(what);
                    Ok(Ended { code, finished, silence: false })
                }
                _ => Err(Failure::new(exit::LOST, what)),
            }
        }
        // The command's own code says more than that the lock lives on until its lease ends.
        Err(error) => {
            output::say(format_args!("{}: not released, it ends with its lease: {error}", run.title()));
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
    command.env("LOCKER_NAME", guard.name()).env("LOCKER_TOKEN", &token).env("LOCKER_KEY", &key);
    command.env("ETCD_LOCK_KEY", &key).env("ETCD_LOCK_REV", &token);
    let names: Vec<_> = guard.names().collect();
    command.env("LOCKER_NAMES", names.join("\n")).env("LOCKER_KEYS", guard.keys().join("\n"));
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
