//! Rows 5 to 9 and 12: a member, most often the leader, dies, stands still, or is cut off.

use crate::measure::{Times, millis, now};
use crate::row::{Figure, Outcome, Skipped, Trials};
use crate::traffic::{Steady, Tally, Traffic};
use crate::witness::Witness;
use locker::{Client, ErrorKind, Guard, Loss};
use locker_harness::{Cluster, PATIENCE, Stall, eventually};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The margin of a lease of a few seconds: so long before its end a holder must know of it.
const MARGIN: Duration = Duration::from_millis(500);
/// With less than this to go to the end of its lease, a TTL of 10 s has missed renewals for more than 4 s.
const LEAST: Duration = Duration::from_millis(9000 - 3333 - 4000);

async fn connect(endpoints: &str, ttl: u64) -> Client {
    Client::connect(endpoints).ttl(Duration::from_secs(ttl)).await.unwrap()
}

/// Eight locks are held and one changes hands while leader after leader is harmed.
async fn harm_leaders(
    trials: Trials,
    harm: impl Fn(&mut Cluster, usize),
    undo: impl Fn(&mut Cluster, usize),
) -> Outcome {
    let mut cluster = Cluster::start();
    let endpoints = cluster.endpoints();
    let steady = Steady::hold(&endpoints, 8, 10).await;
    let writer = Client::connect(&endpoints).await.unwrap();
    let traffic = Traffic::start(vec![writer], "written", millis(20));
    for _ in 0..trials.count {
        let leader = cluster.healthy();
        harm(&mut cluster, leader);
        cluster.leader_after(leader);
        steady.renewed().await;
        undo(&mut cluster, leader);
        cluster.healthy();
        steady.renewed().await;
    }
    let tallies = traffic.end().await;
    let steadiness = steady.end().await;
    assert!(steadiness.lost.is_empty(), "{} of 8 locks were lost: {:?}", steadiness.lost.len(), steadiness.lost);
    Tally::assert_none_failed(&tallies);
    let (gap, least) = (Tally::silence(&tallies), steadiness.least);
    assert!(gap <= millis(trials.limit(4000)), "no writes for {gap:?}");
    assert!(least >= LEAST, "only {least:?} remained");
    assert!(steadiness.risks <= 8 * trials.count as usize, "told of risk {} times", steadiness.risks);
    let risks = steadiness.risks;
    Ok(Figure(format!(
        "0 lost; longest write gap {:.1} s; at least {:.1} s remained; at risk {risks} times",
        gap.as_secs_f64(),
        least.as_secs_f64()
    )))
}

pub(crate) async fn killed(trials: Trials) -> Outcome {
    harm_leaders(
        trials,
        |cluster, leader| cluster.member(leader).kill(),
        |cluster, leader| cluster.member(leader).restart(),
    )
    .await
}

pub(crate) async fn stopped(trials: Trials) -> Outcome {
    harm_leaders(
        trials,
        |cluster, leader| cluster.member(leader).stop(),
        |cluster, leader| cluster.member(leader).go_on(),
    )
    .await
}

pub(crate) async fn isolated(trials: Trials) -> Outcome {
    harm_leaders(trials, |cluster, leader| cluster.isolate(leader), |cluster, leader| cluster.heal(leader)).await
}

/// A leader whose disk hangs is followed by another; when it goes on, an etcd before 3.4.31 and 3.5.13 revokes leases that
/// were kept alive all the time. Nobody can know of that before it happens; it must be known soon after.
pub(crate) async fn stalled(trials: Trials) -> Outcome {
    const STALL: Duration = Duration::from_secs(8);
    let mut cluster = Cluster::with(&["--unsafe-no-fsync=false"]);
    let mut notices = Times::default();
    for n in 0..trials.count {
        let leader = cluster.healthy();
        let majority = cluster.doors((0..cluster.size()).filter(|member| *member != leader));
        let client = connect(&majority, 3).await;
        let guard = client.lock(format!("stalled-{n}")).await.unwrap();
        let mut witness = Witness::of(&majority, &guard.key()).await;
        // A disk that has nothing to write does not hang.
        let writer = Traffic::start(vec![connect(&cluster.endpoints(), 10).await], "written", millis(20));
        let stall = Stall::begin(cluster.member(leader), STALL).map_err(Skipped)?;
        let hangs_until = Instant::now() + STALL;
        cluster.leader_after(leader);
        let early = timeout_at(hangs_until, guard.lost()).await;
        drop(stall);
        // What the old leader has to say it says when it goes on.
        let ended = match early {
            Err(_) => timeout(STALL / 2, guard.lost()).await,
            early => early,
        };
        if let Ok(error) = ended {
            let told = now();
            assert_ne!(error.loss(), Some(Loss::Expired), "it could be renewed: {error}");
            notices.add(told.saturating_sub(witness.gone().await));
        }
        writer.end().await;
    }
    let (version, early) = (locker_harness::installed(), notices.count());
    let shows = early * 10 >= trials.count as usize * 9;
    match has_lease_fix(&version) {
        true => assert_eq!(early, 0, "etcd {version} has ended leases that were kept alive"),
        false => assert!(shows, "etcd {version} has its bug, and it did not show: is the disk stalled?"),
    }
    assert!(notices.longest() <= millis(trials.limit(250)), "{notices}");
    Ok(Figure(format!("etcd {version} ended {early} leases too early; told after {notices}")))
}

/// Whether a leader that was deposed keeps its hands off leases: from 3.4.31 and 3.5.13 on.
fn has_lease_fix(version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').map(|number| number.parse().expect("a version")).collect();
    match numbers[..] {
        [3, 4, patch] => patch >= 31,
        [3, 5, patch] => patch >= 13,
        _ => true,
    }
}

/// The leader and a holder are cut off together from the majority, where another waits.
pub(crate) async fn minority(trials: Trials) -> Outcome {
    let mut cluster = Cluster::start();
    let mut ahead = Times::default();
    for n in 0..trials.count {
        let leader = cluster.healthy();
        let majority = cluster.doors((0..cluster.size()).filter(|member| *member != leader));
        let (holder, heir) = (connect(&cluster.doors([leader]), 3).await, connect(&majority, 3).await);
        let name = format!("minority-{n}");
        let guard = holder.lock(&name).await.unwrap();
        let mut witness = Witness::of(&majority, &guard.key()).await;
        let waiting = heir.lock(&name).start().unwrap();
        cluster.isolate(leader);
        let error = timeout(PATIENCE, guard.lost()).await.unwrap();
        let told = now();
        assert_eq!((error.kind(), error.loss()), (ErrorKind::Lost, Some(Loss::Expired)), "{error}");
        waiting.wait(PATIENCE).await.unwrap();
        let taken = now();
        let gone = witness.gone().await;
        assert!(told < gone && told < taken, "told {:?} after the key had gone", told.saturating_sub(gone));
        ahead.add(gone - told);
        cluster.heal(leader);
    }
    let least = ahead.shortest();
    assert!(least >= MARGIN - millis(trials.limit(50)).min(MARGIN), "told only {least:?} before the key went");
    Ok(Figure(format!("told at least {} ms before the key went; 0 overlaps", least.as_millis())))
}

/// Two of three stand still.
pub(crate) async fn majority_lost(trials: Trials) -> Outcome {
    const LIMIT: Duration = Duration::from_secs(2);
    let mut cluster = Cluster::start();
    let (mut refusals, mut losses, mut returns) = (Times::default(), Times::default(), Times::default());
    for n in 0..trials.count {
        let leader = cluster.healthy();
        let other = (leader + 1) % cluster.size();
        let client = Client::connect(cluster.endpoints()).ttl(Duration::from_secs(4)).timeout(LIMIT).await.unwrap();
        let guard = client.lock("held").await.unwrap();
        cluster.member(leader).stop();
        cluster.member(other).stop();
        let asked = now();
        let asking = async {
            let error = client.lock(format!("asked-{n}")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            refusals.add(now() - asked);
        };
        let ((), until) = tokio::join!(asking, last_deadline(&guard));
        let error = timeout(PATIENCE, guard.lost()).await.unwrap();
        assert_eq!(error.loss(), Some(Loss::Expired), "{error}");
        losses.add(now().saturating_sub(until));
        cluster.member(leader).go_on();
        cluster.member(other).go_on();
        let back = now();
        let again = acquired(&client).await;
        returns.add(now() - back);
        again.unlock().await.unwrap();
        client.disconnect().await.unwrap();
    }
    assert!(refusals.longest() <= LIMIT + millis(1000), "unavailable after {refusals}");
    assert!(losses.p99() <= millis(trials.limit(50)), "lost {losses} after the deadline");
    assert!(returns.longest() <= millis(5000), "acquired again after {returns}");
    Ok(Figure(format!(
        "unavailable after {refusals}; lost {losses} after the deadline; acquired again after {returns}"
    )))
}

/// Until when it was held, once it no longer is.
async fn last_deadline(guard: &Guard) -> Duration {
    let mut until = now();
    loop {
        match guard.remaining() {
            Duration::ZERO => return until,
            remaining => until = now() + remaining,
        }
        sleep(millis(1)).await;
    }
}

/// Asks until it is given.
async fn acquired(client: &Client) -> Guard {
    loop {
        match client.lock("again").await {
            Ok(guard) => return guard,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
}

/// One waits through a follower that is cut off, and the holder on the other side goes.
pub(crate) async fn cut_off_follower(trials: Trials) -> Outcome {
    let mut cluster = Cluster::start();
    let mut handovers = Times::default();
    for n in 0..trials.count {
        let leader = cluster.healthy();
        let holder = connect(&cluster.doors([leader]), 10).await;
        let (waiter, follower) = client_at_follower(&cluster, leader).await;
        let name = format!("cut-{n}");
        let guard = holder.lock(&name).await.unwrap();
        let waiting = waiter.lock(&name).start().unwrap();
        eventually("it waits", async || holder.get(&name).await.unwrap().waiters == 1).await;
        // Its watch has begun when it has read the queue.
        let mut watcher = waiter.watch(&name).await.unwrap();
        assert!(watcher.next().await.unwrap().unwrap().held());
        cluster.isolate(follower);
        guard.unlock().await.unwrap();
        let released = now();
        waiting.wait(PATIENCE).await.unwrap();
        handovers.add(now() - released);
        // In 3.4, one that comes back deposes the leader by its higher term.
        cluster.heal(follower);
        cluster.healthy();
        waiting.unlock().await.unwrap();
    }
    assert!(handovers.longest() <= millis(5500), "{handovers}");
    Ok(Figure(format!("the waiter holds after {handovers}")))
}

/// A client of all members that has settled at a follower, and which one. It chooses at random.
async fn client_at_follower(cluster: &Cluster, leader: usize) -> (Client, usize) {
    for _ in 0..100 {
        let carried = |member: &usize| cluster.door(*member).carried();
        let before: Vec<_> = (0..cluster.size()).map(|member| carried(&member)).collect();
        let client = connect(&cluster.endpoints(), 10).await;
        let at = (0..cluster.size()).max_by_key(|member| carried(member) - before[*member]).unwrap();
        if at != leader {
            return (client, at);
        }
    }
    panic!("it never chose a follower");
}
