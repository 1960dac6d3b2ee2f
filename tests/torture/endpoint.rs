//! Rows 10 and 11: one endpoint of three dies, or swallows what is sent to it.

use crate::measure::{Times, millis};
use crate::row::{Figure, Outcome, Trials};
use crate::traffic::{Steady, Tally, Traffic};
use locker::Client;
use locker_harness::{Cluster, Mood};
use std::time::Duration;
use tokio::time::sleep;

/// So many clients that each endpoint has one that stays with it, most likely.
const CLIENTS: usize = 9;

async fn clients(endpoints: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(endpoints).await.unwrap());
    }
    clients
}

/// Each client takes a lock of its own, ten times a second.
fn traffic(clients: Vec<Client>) -> Vec<Traffic> {
    let each = clients.into_iter().enumerate();
    each.map(|(n, client)| Traffic::start(vec![client], &format!("own-{n}"), millis(100))).collect()
}

async fn end(traffic: Vec<Traffic>) -> Vec<Tally> {
    let mut tallies = Vec::new();
    for traffic in traffic {
        tallies.extend(traffic.end().await);
    }
    Tally::assert_none_failed(&tallies);
    tallies
}

/// A follower is dead for two thirds of the time.
pub(crate) async fn dead(trials: Trials) -> Outcome {
    let mut cluster = Cluster::start();
    let dead = cluster.followers()[0];
    let traffic = traffic(clients(&cluster.direct_endpoints()).await);
    let third = Duration::from_secs(trials.count.into()) / 3;
    sleep(third).await;
    cluster.member(dead).kill();
    sleep(third * 2).await;
    let calls: Times = end(traffic).await.into_iter().flat_map(|tally| tally.calls).collect();
    assert!(calls.p99() <= millis(trials.limit(50)), "{calls}");
    Ok(Figure(format!("0 of {} calls failed; {calls}", calls.count())))
}

/// Endpoint after endpoint becomes a black hole: connections stay, and nothing comes through.
pub(crate) async fn hole(trials: Trials) -> Outcome {
    let cluster = Cluster::start();
    let steady = Steady::hold(&cluster.endpoints(), 3, 10).await;
    let traffic = traffic(clients(&cluster.endpoints()).await);
    for n in 0..trials.count as usize {
        let hole = cluster.door(n % cluster.size());
        hole.set(Mood::HOLE);
        steady.renewed().await;
        hole.set(Mood::NORMAL);
        steady.renewed().await;
    }
    let tallies = end(traffic).await;
    let steadiness = steady.end().await;
    assert!(steadiness.lost.is_empty(), "{:?}", steadiness.lost);
    let gap = tallies.iter().map(|tally| Tally::silence(std::slice::from_ref(tally))).max().unwrap();
    assert!(gap <= millis(2500), "no answer for {gap:?}");
    let least = steadiness.least.as_secs_f64();
    Ok(Figure(format!("0 failed; longest stall {} ms; 0 lost, at least {least:.1} s remained", gap.as_millis())))
}
