//! `locker dev`: a throw-away etcd.

use crate::args::Dev;
use crate::config;
use crate::etcd::Etcd;
use crate::exit::{self, Code, Failure};
use crate::job::{Event, Job};
use crate::leash;
use crate::output;
use crate::signals::Signals;
use rustix::process::Signal;
use std::env;
use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::io;
use std::process::Command;

pub(crate) async fn run(dev: Dev) -> Result<Code, Failure> {
    let mut signals = Signals::listen()?;
    let alone = dev.command.is_empty();
    let etcd = tokio::select! {
        etcd = Etcd::start() => etcd?,
        signal = until_ended(&mut signals) => return Ok(if alone { exit::OK } else { exit::by_signal(signal.as_raw()) }),
    };
    if alone { serve(etcd, signals).await } else { accompany(etcd, signals, dev.command).await }
}

/// Prints the endpoint and stays until told to end.
async fn serve(mut etcd: Etcd, mut signals: Signals) -> Result<Code, Failure> {
    let endpoint = etcd.endpoint();
    let told = async {
        output::line(endpoint).await?;
        pending().await
    };
    tokio::select! {
        ended = etcd.ended() => Err(died(&etcd, ended)),
        unread = told => unread,
        _ = until_ended(&mut signals) => Ok(exit::OK),
    }
}

/// Runs the command while etcd lives, and etcd while the command lives.
async fn accompany(mut etcd: Etcd, mut signals: Signals, command: Vec<OsString>) -> Result<Code, Failure> {
    signals.add_stop()?;
    let mut job = Job::spawn(prepare(&command, &etcd.endpoint()))?;
    let mut etcd_ended = None;
    loop {
        tokio::select! {
            event = job.next() => match event? {
                Event::Ended => break,
                Event::Suspended => {
                    job.suspend().await;
                    job.resume();
                }
            },
            signal = signals.next() => drop(job.signal(signal)),
            ended = etcd.ended(), if etcd_ended.is_none() => {
                etcd_ended = Some(ended);
                job.signal(Signal::TERM);
            }
        }
    }
    // What the command left behind has no etcd any more.
    job.signal(Signal::KILL);
    let finished = job.reap()?;
    if let Some(ended) = etcd_ended {
        return Err(died(&etcd, ended));
    }
    drop(etcd);
    finished.echo();
    Ok(exit::of(finished.status))
}

fn prepare(command: &[OsString], endpoint: &str) -> Command {
    let mut prepared = leash::command(&command[0], Signal::TERM);
    prepared.args(&command[1..]);
    for (variable, _) in env::vars_os() {
        if of_another_cluster(&variable) {
            prepared.env_remove(&variable);
        }
    }
    // Nor may the file, which has no say where these do not.
    prepared.env(config::VARIABLE, "");
    prepared.env("LOCKER_ENDPOINTS", endpoint).env("ETCDCTL_ENDPOINTS", endpoint).env("ETCDCTL_API", "3");
    prepared
}

/// Whether a variable says how to reach some other etcd: its certificates, say, would be an error with this one.
fn of_another_cluster(variable: &OsStr) -> bool {
    const OURS: [&str; 6] =
        ["LOCKER_CACERT", "LOCKER_CERT", "LOCKER_CERT_KEY", "LOCKER_USER", "LOCKER_PASSWORD", "LOCKER_PASSWORD_FILE"];
    OURS.iter().any(|ours| variable == *ours) || variable.as_encoded_bytes().starts_with(b"ETCDCTL_")
}

/// The first signal that asks for an end.
async fn until_ended(signals: &mut Signals) -> Signal {
    loop {
        let signal = signals.next().await;
        if ![Signal::USR1, Signal::USR2].contains(&signal) {
            return signal;
        }
    }
}

fn died(etcd: &Etcd, ended: io::Result<()>) -> Failure {
    let why = ended.err().map(|error| format!(" ({error})")).unwrap_or_default();
    Failure::new(exit::UNAVAILABLE, format!("etcd has ended by itself{why}:\n{}", etcd.log()))
}
