//! Rows 17 to 20 and 23: etcd forgets, restarts, compacts, defragments, and has no space left.

use crate::measure::{Times, millis, now, side_by_side};
use crate::row::{Figure, Outcome, Trials};
use crate::traffic::{Steady, Tally, Traffic};
use etcd_client::DeleteOptions;
use futures_util::{StreamExt, stream};
use locker::{Client, ErrorKind, Loss};
use locker_harness::{Cluster, Etcd, PATIENCE, eventually};
use std::time::Duration;
use tokio::time::{Instant, interval, timeout};

async fn connect(etcd: &Etcd, ttl: u64) -> Client {
    Client::connect(etcd.endpoint()).ttl(Duration::from_secs(ttl)).await.unwrap()
}

/// etcd is wiped, or restored from a snapshot, under a client that holds, waits and watches.
pub(crate) async fn forgotten(trials: Trials) -> Outcome {
    const TTL: u64 = 6;
    let notices = side_by_side(4, trials.count, async |n| {
        let mut etcd = Etcd::start();
        let client = connect(&etcd, TTL).await;
        let guard = client.lock("x").await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let snapshot = directory.path().join("snapshot");
        etcd.snapshot(&snapshot);
        // So that there is something to be forgotten in either case, with a token.
        let later = client.lock("y").await.unwrap();
        let seen = later.token();
        match n % 2 {
            0 => etcd.wipe(),
            _ => etcd.restore(&snapshot),
        }
        let back = now();
        for guard in [&guard, &later] {
            let error = timeout(PATIENCE, guard.lost()).await.unwrap();
            assert_eq!((error.kind(), error.loss()), (ErrorKind::Lost, Some(Loss::WentBack)), "{error}");
        }
        let told = now();
        // Nothing that it would give could be trusted to have a greater token.
        for _ in 0..10 {
            let again = client.lock("z").await.map(|guard| guard.token());
            assert!(again.is_err(), "token {again:?} after {seen}");
        }
        let anew = connect(&etcd, TTL).await;
        anew.lock("z").await.unwrap().unlock().await.unwrap();
        told.saturating_sub(back)
    });
    let notices: Times = notices.into_iter().collect();
    assert!(notices.longest() <= Duration::from_secs(TTL) / 3 + millis(trials.limit(100)), "{notices}");
    Ok(Figure(format!("told after {notices}, with the reason; no token given after")))
}

/// etcd is killed and comes back after two seconds with all it had.
pub(crate) async fn restarted(trials: Trials) -> Outcome {
    let times = side_by_side(4, trials.count, async |_| {
        let mut etcd = Etcd::start();
        let client = connect(&etcd, 10).await;
        let (held, other) = (client.lock("held").await.unwrap(), client.lock("watched").await.unwrap());
        let mut watcher = client.watch("watched").await.unwrap();
        assert_eq!(watcher.next().await.unwrap().unwrap().token, other.token());
        etcd.kill();
        tokio::time::sleep(Duration::from_secs(2)).await;
        etcd.restart();
        let listens = now();
        other.unlock().await.unwrap();
        // The events come by a stream that has been opened again.
        assert_eq!(timeout(PATIENCE, watcher.next()).await.unwrap().unwrap().unwrap().token, 0);
        let watched = now();
        let until = now() + held.remaining();
        eventually("renewed", async || now() + held.remaining() > until + millis(100) || !held.held()).await;
        assert!(held.held());
        watched - listens
    });
    let times: Times = times.into_iter().collect();
    assert!(times.longest() <= millis(trials.limit(1000)), "{times}");
    Ok(Figure(format!("0 lost; events again after {times}")))
}

/// All history is thrown away ten times a second.
pub(crate) async fn compacted(trials: Trials) -> Outcome {
    let etcd = Etcd::start();
    let steady = Steady::hold(&etcd.endpoint(), 1, 10).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(connect(&etcd, 10).await);
    }
    let traffic = Traffic::start(clients, "x", Duration::ZERO);
    let mut raw = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    let (end, mut tick) = (Instant::now() + Duration::from_secs(trials.count.into()), interval(millis(100)));
    let mut compactions = 0;
    while Instant::now() < end {
        tick.tick().await;
        let revision = raw.get("/", None).await.unwrap().header().unwrap().revision();
        compactions += u32::from(raw.compact(revision, None).await.is_ok());
    }
    let tallies = traffic.end().await;
    Tally::assert_none_failed(&tallies);
    assert!(steady.end().await.lost.is_empty());
    let longest: Times = tallies.iter().map(|tally| Tally::silence(std::slice::from_ref(tally))).collect();
    assert!(longest.longest() <= millis(5500), "one of 20 waited {longest}");
    let holds: usize = tallies.iter().map(|tally| tally.holds.len()).sum();
    let waited = longest.longest().as_millis();
    Ok(Figure(format!("{holds} holds by 20 under {compactions} compactions; longest wait {waited} ms; 0 lost")))
}

/// The leader of a large database is defragmented, and answers nobody meanwhile.
pub(crate) async fn defragmented(trials: Trials) -> Outcome {
    let mut cluster = Cluster::with(&["--quota-backend-bytes", "2000000000"]);
    let size = trials.count.max(50);
    let leader = cluster.leader();
    let raw = etcd_client::Client::connect([cluster.member(leader).endpoint()], None).await.unwrap();
    let put = |n: u32| {
        let mut raw = raw.clone();
        async move { raw.put(format!("/large/{n}"), vec![b'x'; 1 << 20], None).await.unwrap() }
    };
    stream::iter(0..size).map(put).buffer_unordered(4).collect::<Vec<_>>().await;
    let steady = Steady::hold(&cluster.endpoints(), 8, 10).await;
    let writer = Client::connect(cluster.endpoints()).await.unwrap();
    let traffic = Traffic::start(vec![writer], "written", millis(20));
    raw.clone().delete("/large/", Some(DeleteOptions::new().with_prefix())).await.unwrap();
    let begun = now();
    cluster.member(leader).defragment();
    let took = (now() - begun).as_millis();
    steady.renewed().await;
    let tallies = traffic.end().await;
    Tally::assert_none_failed(&tallies);
    let steadiness = steady.end().await;
    assert!(steadiness.lost.is_empty(), "{:?}", steadiness.lost);
    let gap = Tally::silence(&tallies).as_millis();
    Ok(Figure(format!("0 of 8 lost; {size} MiB took {took} ms, longest write gap {gap} ms")))
}

/// etcd refuses whatever would make it grow. Who holds goes on, and can release; who comes is told.
pub(crate) async fn full(trials: Trials) -> Outcome {
    let etcd = Etcd::with(&["--quota-backend-bytes", "16777216"]);
    let mut refusals = Times::default();
    for _ in 0..trials.count {
        let client = connect(&etcd, 2).await;
        let (held, released) = (client.lock("held").await.unwrap(), client.lock("released").await.unwrap());
        etcd.fill_space();
        let newcomer = connect(&etcd, 10).await;
        for client in [&client, &newcomer] {
            let asked = now();
            let error = client.lock("new").await.unwrap_err();
            refusals.add(now() - asked);
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("space"), "{error}");
        }
        released.unlock().await.unwrap();
        // Three lives of its lease.
        assert!(timeout(Duration::from_secs(6), held.lost()).await.is_err());
        assert_eq!((etcd.leases(), etcd.keys("/locker/")), (1, vec![held.key()]));
        held.unlock().await.unwrap();
        etcd.free_space();
        newcomer.lock("new").await.unwrap().unlock().await.unwrap();
        client.disconnect().await.unwrap();
        newcomer.disconnect().await.unwrap();
    }
    assert!(refusals.longest() <= millis(1000), "{refusals}");
    Ok(Figure(format!("0 lost, all released; newcomers refused after {refusals}; 0 leases left")))
}
