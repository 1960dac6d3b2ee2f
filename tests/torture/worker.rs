//! This program as another process: it locks, says on its standard output what it sees, and can be harmed.

use crate::measure::now;
use crate::{fenced, scale, weather};
use locker::{Client, Guard};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// So much later than expected a thread goes on only after a pause of the whole process.
const PAUSE: Duration = Duration::from_millis(1000);

/// What a worker is to do, and where.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) what: &'static str,
    pub(crate) endpoints: String,
    pub(crate) name: String,
    pub(crate) ttl: u32,
    /// Whatever else the task needs.
    pub(crate) more: String,
}

impl Task {
    /// The command that does it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.env("LOCKER_WORKER", self.text());
        command
    }

    /// What `work` reads.
    pub(crate) fn text(&self) -> String {
        let Task { what, endpoints, name, ttl, more } = self;
        [what, endpoints.as_str(), name, &ttl.to_string(), more].join(" ")
    }
}

/// What `main` does in a worker.
pub(crate) fn work(task: &str) -> ExitCode {
    let [what, endpoints, name, ttl, more] = task.splitn(5, ' ').collect::<Vec<_>>()[..] else {
        panic!("not a task: {task}")
    };
    crate::row::runtime().block_on(async {
        if what == "weather" {
            return weather::work(more.parse().expect("seconds")).await;
        }
        let client = Client::connect(endpoints).ttl(Duration::from_secs(ttl.parse().expect("seconds")));
        let client = client.await.expect("etcd answers");
        match what {
            "hold" => hold(&client, name).await,
            "spin" => spin(&client, name, endpoints, Path::new(more)).await,
            "wait" => wait(&client, name).await,
            "watch" => scale::drain_late(&client, name).await,
            "many" => scale::hold_many(&client, more.parse().expect("a number")).await,
            _ => panic!("not a task: {what}"),
        }
    })
}

/// The lines of the standard input. Read by a thread that nobody waits for.
pub(crate) fn input() -> UnboundedReceiver<String> {
    let (tell, lines) = unbounded_channel();
    std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    lines
}

pub(crate) async fn lock(client: &Client, name: &str) -> Guard {
    let guard = client.lock(name).await.expect("the lock can be had");
    println!("held {} {}", guard.token(), guard.key());
    guard
}

/// Holds, and tells until when, until it is told how to end.
async fn hold(client: &Client, name: &str) -> ExitCode {
    let mut terminated = signal(SignalKind::terminate()).expect("signals can be waited for");
    let guard = Arc::new(lock(client, name).await);
    let (mut input, mut until) = (input(), Duration::ZERO);
    loop {
        let line = tokio::select! {
            line = input.recv() => line.unwrap_or_default(),
            _ = terminated.recv() => "disconnect".into(),
            () = tokio::time::sleep(Duration::from_millis(10)) => {
                let deadline = now() + guard.remaining();
                // What is computed anew differs by what that takes.
                if deadline > until + Duration::from_millis(100) {
                    until = deadline;
                    println!("until {}", until.as_nanos());
                }
                continue;
            }
        };
        match line.as_str() {
            "disconnect" => client.disconnect().await.expect("etcd confirms"),
            "exit" => std::process::exit(0),
            "abort" => std::process::abort(),
            // The destructors of what is in use do not run.
            "return" => std::mem::forget((guard, client.clone())),
            _ => panic!("not a way to end: {line}"),
        }
        return ExitCode::SUCCESS;
    }
}

/// Holds, asking all the time whether it does, until it is paused; then tells what it was told, and tries to go on.
async fn spin(client: &Client, name: &str, endpoints: &str, file: &Path) -> ExitCode {
    let guard = Arc::new(lock(client, name).await);
    let (token, key) = (guard.token(), guard.key());
    let spinning = guard.clone();
    let first = std::thread::spawn(move || {
        let mut last = now();
        loop {
            let asked = now();
            let held = spinning.held();
            if asked - last > PAUSE || !held {
                return held;
            }
            last = asked;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let error = guard.lost().await;
    println!("lost {} {:?}", now().as_nanos(), error.loss());
    println!("held afterwards {}", first.join().expect("it ends") || guard.held());
    println!("fenced {}", fenced::write(file, token));
    println!("guarded {}", fenced::put(endpoints, &key, token).await);
    ExitCode::SUCCESS
}

/// Waits for the lock, and tells each change until it has ended.
async fn wait(client: &Client, name: &str) -> ExitCode {
    let guard = client.lock(name).start().expect("a good name");
    println!("begun");
    while let Some(change) = guard.changed().await {
        println!("{} {} {:?}", change.state.name(), now().as_nanos(), change.error.map(|error| error.kind()));
    }
    ExitCode::SUCCESS
}
