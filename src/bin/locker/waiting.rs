//! The wait for a lock, and what people are told of it meanwhile.

use crate::output;
use crate::show;
use locker::{Client, ErrorKind, Guard, Info, Lock, State};
use std::future::pending;
use std::io::{self, IsTerminal};
use std::process;
use std::time::Duration;
use tokio::task::JoinSet;

/// After how long somebody at a terminal is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Queues until the lock comes. Tells each change of what is waited for, if that is wanted; else, after a while, somebody who
/// looks on.
pub(crate) async fn wait(client: &Client, lock: Lock, verbose: bool) -> locker::Result<Guard> {
    let guard = lock.start()?;
    let told = async {
        match verbose {
            true => tell_each(client, &guard).await,
            false if io::stderr().is_terminal() => tell_once(client, &guard).await,
            false => {}
        }
        pending().await
    };
    tokio::select! {
        biased;
        waited = guard.wait(None) => waited?,
        () = told => {}
    }
    Ok(guard)
}

/// Tells once what is waited for, unless it comes soon.
async fn tell_once(client: &Client, guard: &Guard) {
    match guard.wait(PATIENCE).await {
        Err(error) if error.kind() == ErrorKind::Timeout && guard.state() == State::Waiting => {}
        _ => return,
    }
    // Of several locks the one that is in the way.
    if let Ok(info) = client.get(guard.info().name).await {
        tell(&info);
    }
}

/// Tells who is in the way, each time that changes, until it is dropped.
async fn tell_each(client: &Client, guard: &Guard) {
    let mut watchers = JoinSet::new();
    for name in guard.names() {
        let (client, name) = (client.clone(), name.to_owned());
        watchers.spawn(async move {
            // What keeps it from being watched keeps the lock from coming, which is told.
            let Ok(mut watcher) = client.watch(name).await else { return };
            while let Some(Ok(info)) = watcher.next().await {
                if info.held() && !is_ours(&info) {
                    tell(&info);
                }
            }
        });
    }
    while watchers.join_next().await.is_some() {}
}

fn tell(info: &Info) {
    output::say(format_args!("waiting for {}: {}", info.name, show::line(info)));
}

/// Whether we hold it ourselves: the one of several that came first, or the one that has just come.
fn is_ours(info: &Info) -> bool {
    info.pid == process::id() && info.host.as_bytes() == rustix::system::uname().nodename().to_bytes()
}
