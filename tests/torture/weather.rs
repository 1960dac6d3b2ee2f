//! Row 50: a network that loses and so reorders packets, between members and to clients.

use crate::measure::millis;
use crate::row::{Figure, Outcome, Skipped, Trials};
use crate::traffic::{Steady, Traffic};
use crate::worker::Task;
use locker::Client;
use locker_harness::{Cluster, Lossy, Process};
use std::process::ExitCode;
use std::time::Duration;

const LOSS: u32 = 5;

pub(crate) async fn loss(trials: Trials) -> Outcome {
    let lossy = Lossy::new(LOSS).map_err(Skipped)?;
    let task = Task {
        what: "weather",
        endpoints: String::new(),
        name: String::new(),
        ttl: 10,
        more: trials.count.max(10).to_string(),
    };
    let mut command = lossy.command(&std::env::current_exe().unwrap().display().to_string());
    command.env("LOCKER_WORKER", task.text());
    let ended = Process::start(command).end_within(Duration::from_secs(u64::from(trials.count) + 120));
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    Ok(Figure(ended.stdout.lines().last().unwrap_or_default().into()))
}

/// What is done there: in a process of its own, since only a process can be in another network.
pub(crate) async fn work(seconds: u64) -> ExitCode {
    let cluster = Cluster::start();
    let steady = Steady::hold(&cluster.endpoints(), 4, 10).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(cluster.endpoints()).await.unwrap());
    }
    let traffic = Traffic::start(clients, "x", millis(10));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let tallies = traffic.end().await;
    let steadiness = steady.end().await;
    assert!(steadiness.lost.is_empty(), "{:?}", steadiness.lost);
    let failed: usize = tallies.iter().map(|tally| tally.failed.len()).sum();
    let holds: usize = tallies.iter().map(|tally| tally.holds.len()).sum();
    let least = steadiness.least.as_secs_f64();
    println!("{holds} holds, 0 overlaps, {failed} failed calls; 0 of 4 lost at TTL 10, at least {least:.1} s remained");
    ExitCode::SUCCESS
}
