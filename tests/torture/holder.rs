//! Rows 1 to 4 and 13: the process that holds or waits is paused, killed, or ends.

use crate::fenced;
use crate::measure::{Times, millis, now, random, side_by_side};
use crate::row::{Figure, Outcome, Trials};
use crate::worker::Task;
use locker::Client;
use locker_harness::{Etcd, Process, eventually, program};
use rustix::process::Signal;
use std::time::Duration;

const TTL: u32 = 2;
/// What the table allows until etcd has ended the lease of one that died.
const TAKEOVER: Duration = Duration::from_millis(1000 * TTL as u64 + 1000);

/// Where holders of many locks meet one who wants them too.
struct Scene {
    etcd: Etcd,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        let etcd = Etcd::start();
        let client = Client::connect(etcd.endpoint()).await.unwrap();
        Scene { etcd, client }
    }

    fn task(&self, what: &'static str, name: &str, more: &str) -> Task {
        Task { what, endpoints: self.etcd.endpoint(), name: name.into(), ttl: TTL, more: more.into() }
    }

    /// Another process that holds the lock.
    fn holder(&self, what: &'static str, name: &str, more: &str) -> Process {
        let process = Process::start(self.task(what, name, more).command());
        process.line_with("held ");
        process
    }
}

fn nanos(line: &str) -> Duration {
    Duration::from_nanos(line.split(' ').nth(1).and_then(|nanos| nanos.parse().ok()).expect("a time"))
}

pub(crate) async fn paused(trials: Trials) -> Outcome {
    let scene = Scene::new().await;
    let directory = tempfile::tempdir().unwrap();
    let notices = side_by_side(8, trials.count, async |n| {
        let (name, file) = (format!("paused-{n}"), directory.path().join(n.to_string()));
        let holder = scene.holder("spin", &name, file.to_str().unwrap());
        let heir = scene.client.lock(&name).start().unwrap();
        tokio::time::sleep(random(millis(1000))).await;
        holder.signal(Signal::STOP);
        let stopped = now();
        heir.wait(TAKEOVER + millis(2000)).await.unwrap();
        assert!(fenced::write(&file, heir.token()));
        let paused = millis(1000 * TTL + 1000) + random(millis(2000));
        tokio::time::sleep(paused.saturating_sub(now() - stopped)).await;
        let woken = now();
        holder.signal(Signal::CONT);
        let told = nanos(&holder.line_with("lost "));
        assert_eq!(holder.line_with("held afterwards"), "held afterwards false");
        assert_eq!(holder.line_with("fenced"), "fenced false");
        assert_eq!(holder.line_with("guarded"), "guarded false");
        assert!(heir.held());
        told - woken
    });
    let notices: Times = notices.into_iter().collect();
    assert!(notices.p99() <= millis(trials.limit(100)), "{notices}");
    Ok(Figure(format!("told after {notices}; {} stale writes refused", 2 * trials.count)))
}

pub(crate) async fn killed(trials: Trials) -> Outcome {
    let scene = Scene::new().await;
    let takeovers = side_by_side(8, trials.count, async |n| {
        let name = format!("killed-{n}");
        let holder = scene.holder("hold", &name, "");
        let heir = scene.client.lock(&name).start().unwrap();
        let first = nanos(&holder.line_with("until "));
        tokio::time::sleep(random(millis(1000 * TTL))).await;
        holder.signal(Signal::KILL);
        let killed = now();
        heir.wait(locker_harness::PATIENCE).await.unwrap();
        let taken = now();
        let said = holder.end().stdout;
        let until = said.lines().filter(|line| line.starts_with("until ")).map(nanos).fold(first, Duration::max);
        assert!(taken > until, "taken over {:?} before its end", until - taken);
        taken - killed
    });
    let takeovers: Times = takeovers.into_iter().collect();
    assert!(takeovers.longest() <= TAKEOVER, "{takeovers}");
    Ok(Figure(format!("taken over after {takeovers}; none before the holder's deadline")))
}

/// Asked to end, a process gives its lock back: one of ours, and the command.
pub(crate) async fn terminated(trials: Trials) -> Outcome {
    let scene = Scene::new().await;
    let handovers = side_by_side(2, trials.count, async |n| {
        let name = format!("terminated-{n}");
        let holder = match n % 2 {
            0 => scene.holder("hold", &name, ""),
            _ => command(&scene.etcd.endpoint(), &name),
        };
        let heir = waiting(&scene.client, &name).await;
        let asked = now();
        holder.signal(Signal::TERM);
        heir.wait(locker_harness::PATIENCE).await.unwrap();
        now() - asked
    });
    let handovers: Times = handovers.into_iter().collect();
    assert!(handovers.p99() <= millis(trials.limit(100)), "{handovers}");
    Ok(Figure(format!("the next holds after {handovers}")))
}

/// `locker run` with a command that says when it runs.
fn command(endpoints: &str, name: &str) -> Process {
    let mut command = program(env!("CARGO_BIN_EXE_locker"));
    command.args(["run", name, "sh", "-c", "echo held; exec sleep 1000"]).env("LOCKER_ENDPOINTS", endpoints);
    let process = Process::start(command);
    process.line_with("held");
    process
}

async fn waiting(client: &Client, name: &str) -> locker::Guard {
    let guard = client.lock(name).start().unwrap();
    eventually("it waits", async || client.get(name).await.unwrap().waiters == 1).await;
    guard
}

pub(crate) async fn ended_without_a_word(trials: Trials) -> Outcome {
    let scene = Scene::new().await;
    let times = side_by_side(8, trials.count, async |n| {
        let name = format!("ended-{n}");
        let mut holder = scene.holder("hold", &name, "");
        let heir = waiting(&scene.client, &name).await;
        let asked = now();
        holder.write(["exit\n", "abort\n", "return\n"][n as usize % 3]);
        holder.end();
        let ended = now();
        heir.wait(locker_harness::PATIENCE).await.unwrap();
        (ended - asked, now() - asked)
    });
    let ends: Times = times.iter().map(|time| time.0).collect();
    let takeovers: Times = times.iter().map(|time| time.1).collect();
    assert!(ends.longest() <= millis(trials.limit(200)), "{ends}");
    assert!(takeovers.longest() <= TAKEOVER, "{takeovers}");
    Ok(Figure(format!("ended after {ends}; taken over after {takeovers}")))
}

/// One that waits is paused for longer than its lease lasts, while those before and behind it go on.
pub(crate) async fn waiter_paused(trials: Trials) -> Outcome {
    let scene = Scene::new().await;
    // Of one client only one guard has a place in the queue.
    let other = Client::connect(scene.etcd.endpoint()).await.unwrap();
    let notices = side_by_side(8, trials.count, async |n| {
        let name = format!("waiter-{n}");
        let held = scene.client.lock(&name).await.unwrap();
        let paused = Process::start(scene.task("wait", &name, "").command());
        paused.line_with("begun");
        eventually("it waits", async || scene.client.get(&name).await.unwrap().waiters == 1).await;
        let behind = other.lock(&name).start().unwrap();
        eventually("one waits behind", async || scene.client.get(&name).await.unwrap().waiters == 2).await;
        paused.signal(Signal::STOP);
        eventually("its place is gone", async || scene.client.get(&name).await.unwrap().waiters == 1).await;
        held.unlock().await.unwrap();
        behind.wait(millis(1000)).await.unwrap();
        let woken = now();
        paused.signal(Signal::CONT);
        let line = paused.line_with("waiting ");
        assert!(line.ends_with("Some(Lost)"), "{line}");
        eventually("it waits anew", async || scene.client.get(&name).await.unwrap().waiters == 1).await;
        assert!(behind.held() && paused.is_silent());
        behind.unlock().await.unwrap();
        paused.line_with("held ");
        nanos(&line) - woken
    });
    let notices: Times = notices.into_iter().collect();
    assert!(notices.longest() <= millis(1000), "{notices}");
    Ok(Figure(format!("told after {notices}; 0 false holds")))
}
