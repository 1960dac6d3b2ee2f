//! What a bad server, or a bad network, says to the transport: streams that go silent, answers that are old or wrong,
//! refusals. A [`Middleman`] in front of a real etcd says it.
#![allow(missing_docs)]

mod late;
mod middleman;

use etcd_client::proto::{PbLeaseGrantResponse, PbLeaseKeepAliveResponse, PbWatchResponse};
use locker::{Client, ErrorKind, Guard, State};
use locker_harness::{Etcd, Mood, PATIENCE, Proxy, eventually};
use middleman::{Edit, Fate, Middleman};
use prost::Message;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tonic::Code;
use tonic::codegen::Bytes;

/// By when a waiter finds out by itself, every 5 s, what its watch has not told: with 250 ms for events under way.
const REREAD: Duration = Duration::from_millis(5750);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

async fn client(endpoint: &str) -> Client {
    Client::connect(endpoint).await.unwrap()
}

/// The lease on which a guard's key is, as etcdctl writes it.
fn lease_of(guard: &Guard) -> String {
    let key = guard.key();
    key.rsplit('/').next().and_then(|last| last.split('-').next()).unwrap().to_string()
}

/// Changes a message of one kind.
fn edit<M: Message + Default>(change: impl Fn(&mut M) + Send + Sync + 'static) -> Fate {
    Fate::Edited(Arc::new(move |bytes| {
        let mut message = M::decode(bytes).unwrap();
        change(&mut message);
        Some(message.encode_to_vec())
    }))
}

/// A watch that begins, and of which no event ever arrives.
fn without_events() -> Fate {
    let omit: Edit = Arc::new(|bytes| {
        let message = PbWatchResponse::decode(bytes.clone()).unwrap();
        message.events.is_empty().then(|| bytes.to_vec())
    });
    Fate::Edited(omit)
}

/// Reads are answered, and what they say is remembered; until they are stopped: then what was said last is said again.
#[derive(Clone, Default)]
struct Reads(Arc<Mutex<(Bytes, bool)>>);

impl Reads {
    fn answer(&self) -> Fate {
        let reads = self.0.clone();
        Fate::Edited(Arc::new(move |bytes| {
            let (last, stopped) = &mut *reads.lock().unwrap();
            if !*stopped {
                *last = bytes;
            }
            Some(last.to_vec())
        }))
    }

    fn stop(&self, stopped: bool) {
        self.0.lock().unwrap().1 = stopped;
    }
}

#[tokio::test]
async fn a_member_without_a_leader_may_answer_nothing() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let (one, other) = (client(&middleman.endpoint).await, client(&middleman.endpoint).await);
    let held = one.lock("x").await.unwrap();
    let _watcher = one.watch("x").await.unwrap();
    let waiting = other.lock("x").start().unwrap();
    eventually("it waits", async || one.get("x").await.unwrap().waiters == 1).await;
    eventually("it is kept alive", async || middleman.count("LeaseKeepAlive") == 2).await;
    held.unlock().await.unwrap();
    timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap();
    one.disconnect().await.unwrap();

    for method in ["Range", "Txn", "DeleteRange", "LeaseGrant", "LeaseKeepAlive", "LeaseRevoke", "Watch"] {
        assert!(middleman.count(method) > 0, "{method} was not asked for");
    }
    for call in middleman.calls() {
        assert!(call.requires_leader, "{call:?}");
    }
}

#[tokio::test]
async fn a_watch_that_omits_what_happened_holds_a_waiter_up_for_five_seconds_only() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let (one, other) = (client(&etcd.endpoint()).await, client(&middleman.endpoint).await);
    middleman.set(|call| if call.method == "Watch" { without_events() } else { Fate::Passed });
    let held = one.lock("x").await.unwrap();
    let waiting = other.lock("x").start().unwrap();
    let mut watcher = other.watch("x").await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().token, held.token());
    eventually("it waits", async || one.get("x").await.unwrap().waiters == 1).await;
    held.unlock().await.unwrap();
    let released = Instant::now();
    timeout(REREAD + seconds(1), waiting.wait(None)).await.expect("by its re-read").unwrap();
    assert_eq!(timeout(REREAD, watcher.next()).await.unwrap().unwrap().unwrap().token, waiting.token());
    println!("held {:?} after the release", released.elapsed());
}

#[tokio::test]
async fn what_is_known_from_a_watch_that_omits_what_happened_is_wrong_for_five_seconds_only() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let (one, other) = (client(&etcd.endpoint()).await, client(&middleman.endpoint).await);
    middleman.set(|call| if call.method == "Watch" { without_events() } else { Fate::Passed });
    let _watcher = other.watch("x").await.unwrap();
    let held = one.lock("x").await.unwrap();
    let begun = Instant::now();
    assert_eq!(other.cached("x").unwrap().token, 0, "it is not told");
    eventually("its re-read has found it out", async || other.cached("x").is_none_or(|info| info.held())).await;
    assert!(begun.elapsed() < REREAD + seconds(1), "after {:?}", begun.elapsed());
    eventually("it is known", async || other.cached("x").is_some_and(|info| info.token == held.token())).await;
}

#[tokio::test]
async fn a_key_that_is_deleted_while_its_watch_is_silent_is_missed_within_some_seconds() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = client(&middleman.endpoint).await;
    middleman.set(|call| if call.method == "Watch" { without_events() } else { Fate::Passed });
    let held = client.lock("x").await.unwrap();
    eventually("its key is watched", async || middleman.count("Watch") > 0).await;
    etcd.ctl(&["del", &held.key()]);
    let error = timeout(REREAD + seconds(1), held.lost()).await.expect("by the list of the lease's keys");
    assert_eq!((error.kind(), held.held()), (ErrorKind::Lost, false));
}

#[tokio::test]
async fn a_beat_that_is_answered_with_no_time_left_ends_the_lease() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = Client::connect(&middleman.endpoint).ttl(seconds(3)).await.unwrap();
    middleman.set(|call| match call.method == "LeaseKeepAlive" {
        true => edit(|answer: &mut PbLeaseKeepAliveResponse| answer.ttl = 0),
        false => Fate::Passed,
    });
    let held = client.lock("x").await.unwrap();
    let error = timeout(seconds(2), held.lost()).await.expect("by the first beat, after a third of the TTL");
    assert_eq!((error.kind(), held.held()), (ErrorKind::Lost, false));
}

#[tokio::test]
async fn beats_that_are_answered_though_the_lease_is_gone_hide_no_loss() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = Client::connect(&middleman.endpoint).ttl(seconds(3)).await.unwrap();
    middleman.set(|call| match call.method == "LeaseKeepAlive" {
        true => edit(|answer: &mut PbLeaseKeepAliveResponse| answer.ttl = 3),
        false => Fate::Passed,
    });
    let held = client.lock("x").await.unwrap();
    eventually("its key is watched", async || middleman.count("Watch") > 0).await;
    etcd.ctl(&["lease", "revoke", &lease_of(&held)]);
    let error = timeout(PATIENCE, held.lost()).await.expect("by its key, if not by its lease");
    assert_eq!((error.kind(), held.held()), (ErrorKind::Lost, false));
}

#[tokio::test]
async fn a_grant_whose_answer_is_lost_leaves_no_second_lease() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = Client::connect(&middleman.endpoint).ttl(seconds(4)).await.unwrap();
    let first = AtomicBool::new(true);
    middleman.set(move |call| match call.method == "LeaseGrant" && first.swap(false, Ordering::Relaxed) {
        true => Fate::Unanswered,
        false => Fate::Passed,
    });
    let held = timeout(PATIENCE, client.lock("x")).await.unwrap().unwrap();
    assert_eq!((middleman.count("LeaseGrant"), middleman.count("LeaseTimeToLive")), (2, 1));
    assert_eq!(etcd.leases(), 1);
    // Counted from before the first of the two, on the TTL that etcd says.
    assert!(held.remaining() < Duration::from_millis(3500), "{:?}", held.remaining());
}

/// etcd before 3.4.42, 3.5.28 and 3.6.9 could answer so after a change of leader.
#[tokio::test]
async fn old_answers_to_reads_take_nothing_away_from_who_knows_better() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let (one, other) = (client(&middleman.endpoint).await, client(&middleman.endpoint).await);
    let reads = Reads::default();
    let answering = reads.clone();
    middleman.set(move |call| if call.method == "Range" { answering.answer() } else { Fate::Passed });
    assert_eq!(one.get("x").await.unwrap().token, 0);
    reads.stop(true);
    let held = one.lock("x").await.unwrap();
    let waiting = other.lock("x").start().unwrap();
    eventually("it waits", async || etcd.keys("/locker/x/").len() == 2).await;
    assert_eq!(one.get("x").await.unwrap_err().kind(), ErrorKind::Unavailable, "an old answer is none");

    // Longer than anything needs to read again.
    assert!(timeout(seconds(6), held.lost()).await.is_err(), "lost by an old answer");
    assert_eq!((held.held(), waiting.state()), (true, State::Waiting));
    middleman.set(|_| Fate::Passed);
    held.unlock().await.unwrap();
    timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap();
    assert!(waiting.token() > 0);
}

#[tokio::test]
async fn neither_an_incomplete_watch_nor_an_old_answer_lets_anybody_hold_out_of_turn() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let (first, second) = (client(&etcd.endpoint()).await, client(&etcd.endpoint()).await);
    let third = client(&middleman.endpoint).await;
    let unseen = lease_of(&second.lock("warm").await.unwrap());
    let reads = Reads::default();
    let answering = reads.clone();
    middleman.set(move |call| match call.method.as_str() {
        "Range" => answering.answer(),
        "Watch" => {
            let unseen = unseen.clone();
            let is_seen = move |key: &[u8]| !String::from_utf8_lossy(key).contains(&unseen);
            edit(move |message: &mut PbWatchResponse| {
                message.events.retain(|event| event.kv.as_ref().is_none_or(|kv| is_seen(&kv.key)));
            })
        }
        _ => Fate::Passed,
    });
    let held = first.lock("x").await.unwrap();
    let _view = third.watch("x").await.unwrap();
    assert_eq!(third.get("y").await.unwrap().token, 0);
    let next = second.lock("x").start().unwrap();
    eventually("the second waits", async || etcd.keys("/locker/x/").len() == 2).await;
    let last = third.lock("x").start().unwrap();
    eventually("the third waits", async || etcd.keys("/locker/x/").len() == 3).await;

    // Nobody is there, the third is told from now on: by an answer from before it came.
    reads.stop(true);
    held.unlock().await.unwrap();
    timeout(PATIENCE, next.wait(None)).await.unwrap().unwrap();
    assert!(timeout(seconds(2), last.wait(None)).await.is_err() && next.held(), "two hold at once");
    reads.stop(false);
    next.unlock().await.unwrap();
    timeout(PATIENCE, last.wait(None)).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_happened_while_a_watch_was_down_is_told_once_it_is_up() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(&etcd.endpoint());
    let (near, far) = (client(&etcd.endpoint()).await, client(proxy.endpoint()).await);
    let held = near.lock("x").await.unwrap();
    let mut watcher = far.watch("x").await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().token, held.token());
    proxy.set(Mood::DOWN);
    held.unlock().await.unwrap();
    proxy.set(Mood::NORMAL);
    // Not only when it reads again, every 5 s.
    let info = timeout(seconds(4), watcher.next()).await.expect("at once").unwrap().unwrap();
    assert_eq!(info.token, 0);
}

#[tokio::test]
async fn the_time_that_counts_is_the_granted_one() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = Client::connect(&middleman.endpoint).ttl(seconds(10)).await.unwrap();
    middleman.set(|call| match call.method == "LeaseGrant" {
        true => edit(|answer: &mut PbLeaseGrantResponse| answer.ttl = 4),
        false => Fate::Passed,
    });
    let remaining = client.lock("x").await.unwrap().remaining();
    assert!(remaining > seconds(2) && remaining < seconds(4), "{remaining:?}");
}

#[tokio::test]
async fn a_server_that_has_too_many_requests_gets_no_storm() {
    const ROUNDS: usize = 50;
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = client(&middleman.endpoint).await;
    let held = client.lock("kept").await.unwrap();
    let rounds = async || {
        let before = middleman.calls().len();
        for _ in 0..ROUNDS {
            client.lock("x").await.unwrap().unlock().await.unwrap();
        }
        middleman.calls().len() - before
    };
    let usual = rounds().await;
    let count = AtomicUsize::new(0);
    let busy = || Fate::Refused(Code::ResourceExhausted, "etcdserver: too many requests");
    middleman.set(move |_| if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { busy() } else { Fate::Passed });
    let refused = rounds().await;
    println!("{usual} calls, with every second one refused {refused}");
    // What is done behind, such as the beats, comes on top.
    assert!(refused <= 2 * usual + ROUNDS / 5, "{refused} calls instead of {usual}");

    // Refused all the time, one waiter asks no more than ten times in a second.
    middleman.set(move |_| busy());
    let (before, begun) = (middleman.count("Txn"), Instant::now());
    let error = client.lock("x").timeout(seconds(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let asked = middleman.count("Txn") - before;
    assert!(asked as f64 <= 10.0 * begun.elapsed().as_secs_f64(), "asked {asked} times in {:?}", begun.elapsed());
    assert!(held.held());
}

#[tokio::test]
async fn a_token_that_the_server_no_longer_takes_is_replaced_unseen() {
    let mut etcd = Etcd::start();
    etcd.enable_users("ann", "secret", "/locker/");
    let middleman = Middleman::start(&etcd.endpoint());
    let client = Client::connect(&middleman.endpoint).user("ann", "secret").await.unwrap();
    let held = client.lock("kept").await.unwrap();
    for (code, message) in [
        (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
        (Code::Unauthenticated, "etcdserver: invalid auth token"),
    ] {
        let (authenticated, stale) = (middleman.count("Authenticate"), AtomicBool::new(true));
        middleman.set(move |call| match call.method.as_str() {
            // From then on there is a new token.
            "Authenticate" => {
                stale.store(false, Ordering::Relaxed);
                Fate::Passed
            }
            _ if stale.load(Ordering::Relaxed) => Fate::Refused(code, message),
            _ => Fate::Passed,
        });
        timeout(PATIENCE, client.lock("x")).await.unwrap().unwrap().unlock().await.unwrap();
        assert_eq!(middleman.count("Authenticate"), authenticated + 1, "{message}");
    }
    assert!(held.held());
}

#[tokio::test]
async fn connections_that_the_server_ends_politely_cost_no_call() {
    let etcd = Etcd::start();
    let middleman = Middleman::with_short_connections(&etcd.endpoint(), Duration::from_millis(200));
    let (one, other) = (client(&middleman.endpoint).await, client(&middleman.endpoint).await);
    let held = one.lock("kept").await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < seconds(3) {
        let guard = one.lock("x").await.unwrap();
        let waiting = other.lock("x").start().unwrap();
        guard.unlock().await.unwrap();
        timeout(PATIENCE, waiting.wait(None)).await.unwrap().unwrap();
        waiting.unlock().await.unwrap();
    }
    assert!(held.held());
}

#[tokio::test]
async fn one_bad_endpoint_of_three_fails_no_call() {
    let etcd = Etcd::start();
    for trouble in ["has no leader", "swallows", "is a learner", "is dead"] {
        let mut middlemen: Vec<_> = (0..3).map(|_| Middleman::start(&etcd.endpoint())).collect();
        let endpoints = middlemen.iter().map(|middleman| middleman.endpoint.clone()).collect::<Vec<_>>().join(",");
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(client(&endpoints).await);
        }
        // The one that most of them have chosen.
        middlemen.sort_by_key(|middleman| middleman.calls().len());
        let bad = middlemen.pop().unwrap();
        match trouble {
            "has no leader" => bad.set(|_| Fate::Refused(Code::Unavailable, "etcdserver: no leader")),
            "swallows" => bad.set(|_| Fate::Swallowed),
            "is a learner" => {
                bad.set(|_| Fate::Refused(Code::FailedPrecondition, "etcdserver: rpc not supported for learner"));
            }
            _ => drop(bad),
        }
        let mut longest = Duration::ZERO;
        for round in 0..60 {
            let begun = Instant::now();
            let locking = clients[round % 6].lock("x").await;
            let guard = locking.unwrap_or_else(|error| panic!("{trouble}: {error}"));
            guard.unlock().await.unwrap_or_else(|error| panic!("{trouble}: {error}"));
            longest = longest.max(begun.elapsed());
        }
        println!("one endpoint of three {trouble}: the longest call took {longest:?}");
        assert!(longest < Duration::from_millis(2500), "{longest:?}");
    }
}

/// What goes through the log takes long, and nothing else does.
#[tokio::test]
async fn an_etcd_that_is_slow_to_write_is_waited_for() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    middleman.set(|call| match call.method.as_str() {
        "Txn" | "Put" | "DeleteRange" | "LeaseGrant" | "LeaseRevoke" => Fate::Delayed(Duration::from_millis(700)),
        _ => Fate::Passed,
    });
    let client = Client::connect(&middleman.endpoint).timeout(seconds(10)).await.unwrap();
    for name in ["a", "b", "c"] {
        let guard = client.lock(name).await.unwrap();
        guard.unlock().await.unwrap();
    }
    // It has learnt how long that takes.
    let before = middleman.count("Txn");
    client.lock("d").await.unwrap().unlock().await.unwrap();
    assert_eq!(middleman.count("Txn") - before, 1);
}

#[tokio::test]
async fn a_place_of_which_the_watch_told_nothing_is_missed_within_some_seconds() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    middleman.set(|call| if call.method == "Watch" { without_events() } else { Fate::Passed });
    let other = client(&etcd.endpoint()).await;
    let held = other.lock("x").await.unwrap();
    let client = client(&middleman.endpoint).await;
    let mut watcher = client.watch("x").await.unwrap();
    assert_eq!(watcher.next().await.unwrap().unwrap().token, held.token());
    let waiting = client.lock("x").start().unwrap();
    eventually("it waits", async || other.get("x").await.unwrap().waiters == 1).await;
    let keys = etcd.ctl(&["get", "--prefix", "--keys-only", "/locker/x/"]);
    let place = keys.lines().find(|key| !key.is_empty() && *key != held.key()).unwrap();
    etcd.ctl(&["del", place]);
    let told = timeout(REREAD + seconds(1), waiting.changed()).await.unwrap().unwrap();
    assert_eq!(told.state, State::Waiting);
    assert!(told.error.unwrap().to_string().contains("deleted"));
    eventually("it waits again", async || other.get("x").await.unwrap().waiters == 1).await;
}

#[tokio::test]
async fn who_waits_for_an_answer_hears_of_the_end_of_the_client() {
    let etcd = Etcd::start();
    let middleman = Middleman::start(&etcd.endpoint());
    let client = Client::connect(&middleman.endpoint).timeout(seconds(60)).await.unwrap();
    client.lock("x").await.unwrap().unlock().await.unwrap();
    middleman.set(|_| Fate::Swallowed);
    let (locking, getting) = (client.clone(), client.clone());
    let calls = middleman.calls().len();
    let lock = tokio::spawn(async move { locking.lock("x").await.unwrap_err().kind() });
    let get = tokio::spawn(async move { getting.get("x").await.unwrap_err().kind() });
    eventually("they ask", async || middleman.calls().len() >= calls + 2).await;
    let disconnecting = tokio::spawn(async move { client.disconnect().await });
    assert_eq!(timeout(PATIENCE, lock).await.unwrap().unwrap(), ErrorKind::Cancelled);
    assert_eq!(timeout(PATIENCE, get).await.unwrap().unwrap(), ErrorKind::Cancelled);
    disconnecting.abort();
}
