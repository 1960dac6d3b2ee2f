//! Those who lock and unlock in a simulation, and those who disturb them.

use super::etcd::Etcd;
use super::model::Model;
use super::peer::Peer;
use super::register::{Register, Registered};
use super::weather::Weather;
use crate::lock::Lock;
use crate::store::{Range, Store};
use crate::{ErrorKind, Guard};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long everything may take to come to an end after the storm.
const AFTERMATH: Duration = Duration::from_secs(120);

/// Where it all takes place.
pub(super) struct Stage {
    pub(super) store: Arc<dyn Store>,
    pub(super) weather: Arc<Weather>,
    /// The same store, if it is a model into which one can look.
    pub(super) model: Option<Model>,
    pub(super) storm: Duration,
    register: Registered,
    peers: Vec<Peer>,
}

impl Stage {
    pub(super) fn new(
        store: Arc<dyn Store>,
        model: Option<Model>,
        weather: Arc<Weather>,
        storm: Duration,
    ) -> Arc<Stage> {
        let peers = (0..3).map(|_| Peer::new(store.clone(), &weather)).collect();
        Arc::new(Stage { store, weather, model, storm, register: Arc::new(Mutex::new(Register::default())), peers })
    }

    fn register(&self) -> std::sync::MutexGuard<'_, Register> {
        self.register.lock().unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        let by = Instant::now() + AFTERMATH;
        let reply = self.store.range(Range::all("/"), by).await.unwrap();
        reply.kvs.into_iter().map(|kv| String::from_utf8(kv.key).unwrap()).collect()
    }

    /// What whoever has the receipt of a persistent lock does to end it.
    async fn release(&self, keys: Vec<String>, token: i64) {
        for key in keys {
            // Not by a read of the model: that may be an old one.
            if let Some(model) = &self.model {
                model.step(|etcd| etcd.key(&key) == Some(token) && etcd.delete(&key));
                continue;
            }
            let by = Instant::now() + AFTERMATH;
            let own = self.store.range(Range::key(&*key), by).await.unwrap();
            if own.kvs.first().is_some_and(|kv| kv.created == token) {
                self.store.delete(key, by).await.unwrap();
            }
        }
    }

    /// The leases that have an epoch.
    async fn leases(&self) -> Vec<i64> {
        let of_key = |key: &String| i64::from_str_radix(key.strip_prefix("/%!/epoch/")?, 16).ok();
        self.keys().await.iter().filter_map(of_key).collect()
    }

    async fn until_no_keys(&self, what: &str, which: impl Fn(&str) -> bool) {
        let end = Instant::now() + AFTERMATH;
        loop {
            let left: Vec<_> = self.keys().await.into_iter().filter(|key| which(key)).collect();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{what} are left behind: {left:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Everything, from the first lock until nothing is left.
    pub(super) async fn play(self: Arc<Self>) {
        let looking = self.look_all_the_time();
        let agents = (0..self.peers.len() * 2).map(|n| tokio::spawn(agent(self.clone(), n / 2)));
        let agents: Vec<_> = agents.collect();
        let trouble = tokio::spawn(trouble(self.clone()));
        for agent in agents {
            timeout(self.storm + AFTERMATH, agent).await.expect("everybody comes to an end").unwrap();
        }
        trouble.await.unwrap();
        self.until_no_keys("places", |key| !key.starts_with("/%!/")).await;
        for peer in &self.peers {
            peer.context().close().await.unwrap();
        }
        // A grant that was given up and came late ends with its TTL.
        self.until_no_keys("keys", |_| true).await;
        assert!(!looking.is_finished(), "the one who looks has found something");
        looking.abort();
        if let Some(model) = &self.model {
            model.inspect(None);
            sleep(AFTERMATH).await;
            assert_eq!(model.step(|etcd| etcd.leases()), [0; 0], "leases are left behind");
        }
    }

    /// On the model after every step, which here also come by themselves; on a real etcd again and again.
    fn look_all_the_time(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        let (stage, register) = (self.clone(), self.register.clone());
        match self.model.clone() {
            Some(model) => {
                model.inspect(Some(Box::new(move |etcd| register.lock().unwrap().look(Some(etcd)))));
                tokio::spawn(async move {
                    loop {
                        sleep(Duration::from_millis(100)).await;
                        model.step(|_| ());
                    }
                })
            }
            None => tokio::spawn(async move {
                loop {
                    sleep(Duration::from_millis(1)).await;
                    stage.register().look(None);
                }
            }),
        }
    }
}

/// Locks and unlocks, in all the ways there are, until the storm is over; then once more, well-behaved.
async fn agent(stage: Arc<Stage>, peer: usize) {
    let begun = Instant::now();
    while begun.elapsed() < stage.storm {
        let limit = match stage.weather.number(0..4) {
            0 => None,
            1 => Some(Duration::ZERO),
            _ => Some(stage.weather.millis(1..8000)),
        };
        let patience = stage.weather.millis(1..20_000);
        once(&stage, peer, limit, patience).await;
    }
    while !once(&stage, peer, None, AFTERMATH).await {}
}

/// One acquisition: given up after `patience`, by dropping it. Says whether it was held.
async fn once(stage: &Stage, peer: usize, limit: Option<Duration>, patience: Duration) -> bool {
    // Both at once, too, now and then, in either order.
    let names = ["a", "b", "c", "a b", "b a", "a c", "c b a", "b c a", "a b c", "s", "s", "s", "s s"];
    let names = stage.weather.pick(&names).unwrap();
    // One that is shared by most, in one way or another.
    let (names, shared) = if names == "s s" { ("s", false) } else { (names, names == "s") };
    let mut lock = Lock::all(stage.peers[peer].context(), names.split(' ').map(String::from).collect());
    if shared {
        lock = match stage.weather.number(0..8) {
            0 => lock.shared(),
            1 => lock.limit(1),
            _ => lock.limit(2),
        };
    }
    // What needs no lease, and what is to be had again.
    let lasting = stage.weather.number(0..6);
    lock = match lasting {
        0 => lock.persistent(),
        1 => lock.standby(),
        _ => lock,
    };
    if let Some(limit) = limit {
        lock = lock.timeout(limit);
    }
    let guard = Arc::new(lock.start().unwrap());
    stage.register().add(&guard);
    let held = match timeout(patience, guard.wait(None)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            use ErrorKind::{Cancelled, Denied, Invalid, Lost, Timeout, Unavailable};
            let other_limit = error.kind() == Invalid && shared && error.to_string().contains("those who are in");
            let known = [Timeout, Unavailable, Lost, Denied, Cancelled].contains(&error.kind());
            assert!(known || other_limit, "{error:?}");
            assert!(!error.to_string().contains("went back"), "{error:?}");
            let was_held = has_been_held(&guard).await;
            assert!(was_held || error.kind() != Lost, "never held, and yet: {error:?}");
            false
        }
        Err(_) => false,
    };
    if held {
        let (keys, token) = (guard.keys(), guard.token());
        let hold = stage.weather.millis(0..3000);
        let _ = timeout(hold, guard.lost()).await;
        // It may have been lost, and be held anew.
        let again = lasting == 1 && timeout(stage.weather.millis(0..8000), guard.wait(None)).await.is_ok();
        if again || stage.weather.number(0..2) == 0 {
            let _ = guard.unlock().await;
        }
        drop(guard);
        if lasting == 0 {
            stage.release(keys, token).await;
        }
    }
    held
}

async fn has_been_held(guard: &Guard) -> bool {
    let mut held = false;
    while let Some(change) = guard.changed().await {
        held |= change.state.held();
    }
    held
}

/// Does harm until the storm is over.
async fn trouble(stage: Arc<Stage>) {
    let begun = Instant::now();
    while begun.elapsed() < stage.storm {
        sleep(stage.weather.millis(100..5000)).await;
        harm(&stage).await;
    }
    stage.weather.calm_down();
}

/// Cuts a client off, stops its process, disconnects it, or does what an operator does behind its back.
async fn harm(stage: &Stage) {
    let weather = &stage.weather;
    let peer = &stage.peers[weather.number(0..stage.peers.len() as u64) as usize];
    let by = Instant::now() + AFTERMATH;
    match weather.number(0..8) {
        7 => {
            let (connection, end) = (peer.connection.clone(), weather.millis(0..40_000));
            connection.stalled.store(true, Ordering::Relaxed);
            tokio::spawn(async move {
                sleep(end).await;
                connection.stalled.store(false, Ordering::Relaxed);
            });
        }
        0 => {
            peer.connection.cut.store(true, Ordering::Relaxed);
            sleep(weather.millis(0..12_000)).await;
            peer.connection.cut.store(false, Ordering::Relaxed);
        }
        1 => stop_process(stage, peer),
        2 => {
            if let Some(lease) = weather.pick(&stage.leases().await) {
                stage.register().excuse(format!("/{lease:x}-"));
                // It may have ended meanwhile.
                let _ = stage.store.revoke(lease, by).await;
            }
        }
        3 => {
            if let Some(key) = weather.pick(&stage.keys().await) {
                stage.register().excuse(key.clone());
                stage.store.delete(key, by).await.unwrap();
            }
        }
        4 => _ = stage.model.as_ref().map(|model| model.step(Etcd::compact)),
        5 => drop(peer.reconnect()),
        _ => {
            let _ = timeout(weather.millis(0..500), peer.reconnect().close()).await;
        }
    }
}

/// As SIGSTOP and, later, SIGCONT: time has passed for its lease and its clock, and none of its code has run. The lease
/// of a real etcd cannot be made older; then the client alone believes that.
fn stop_process(stage: &Stage, peer: &Peer) {
    let by = stage.weather.millis(0..15_000);
    peer.clock.jump(by);
    if let (Some(model), Some(lease)) = (&stage.model, peer.context().leases.current()) {
        model.step(|etcd| etcd.age(lease.id, by));
    }
}
