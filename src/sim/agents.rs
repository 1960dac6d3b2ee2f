//! Those who lock and unlock in a simulation, those who disturb them, and the one who looks at it all.

use super::etcd::Etcd;
use super::network::{Connection, OwnClock, World};
use crate::context::{Context, Identity};
use crate::key::Keys;
use crate::lock::Lock;
use crate::{ErrorKind, Guard};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long the storm lasts, and how long everything may take to come to an end after it.
const STORM: Duration = Duration::from_secs(60);
const AFTERMATH: Duration = Duration::from_secs(120);
/// By how much a client's clock may run wrong: the default margin of a tenth of the TTL covers it.
const RATES: [f64; 3] = [0.97, 1.0, 1.03];

/// One client of the simulation.
pub(super) struct Peer {
    /// Now and then it is disconnected, and another takes its place.
    context: Mutex<Arc<Context>>,
    pub(super) connection: Arc<Connection>,
    pub(super) clock: Arc<OwnClock>,
}

impl Peer {
    pub(super) fn new(world: &Arc<World>) -> Self {
        let rate = world.pick(&RATES).unwrap();
        let (connection, clock) = (Connection::new(world.clone()), OwnClock::new(rate));
        let context = Mutex::new(connect(world, &connection, &clock));
        Peer { context, connection, clock }
    }

    pub(super) fn context(&self) -> Arc<Context> {
        self.context.lock().unwrap().clone()
    }

    /// A new client in the place of the present one, which is given.
    pub(super) fn reconnect(&self, world: &World) -> Arc<Context> {
        let new = connect(world, &self.connection, &self.clock);
        std::mem::replace(&mut *self.context.lock().unwrap(), new)
    }
}

fn connect(world: &World, connection: &Arc<Connection>, clock: &Arc<OwnClock>) -> Arc<Context> {
    let me = Identity { host: "h".into(), pid: 1, program: "p".into() };
    let ttl = Duration::from_secs(world.number(2..11));
    let keys = Keys::new("/".into()).unwrap();
    Context::new(Arc::new(connection.clone()), clock.clone(), keys, ttl, Duration::from_secs(5), me)
}

/// What is known of all guards.
#[derive(Default)]
struct Register {
    guards: Vec<Weak<Guard>>,
    /// The highest token so far of each lock.
    tokens: BTreeMap<String, i64>,
    /// Keys that somebody deleted by hand: their guards are told a little later.
    deleted: Vec<String>,
}

pub(super) async fn run(seed: u64) {
    let world = World::new(seed);
    let register = Arc::new(Mutex::new(Register::default()));
    *world.inspect.lock().unwrap() = Some(inspector(register.clone()));
    let peers: Vec<_> = (0..3).map(|_| Arc::new(Peer::new(&world))).collect();

    let mut agents = Vec::new();
    for peer in &peers {
        for _ in 0..2 {
            agents.push(tokio::spawn(agent(world.clone(), peer.clone(), register.clone())));
        }
    }
    let trouble = tokio::spawn(trouble(world.clone(), peers.clone(), register.clone()));
    let ticking = tokio::spawn(tick(world.clone()));

    for agent in agents {
        timeout(STORM + AFTERMATH, agent).await.expect("everybody comes to an end").unwrap();
    }
    trouble.await.unwrap();
    until_none(&world, "places", |etcd| etcd.keys().into_iter().filter(|key| !key.starts_with("/%!/")).collect()).await;
    for peer in &peers {
        peer.context().close().await.unwrap();
    }
    // A grant that was given up and came late ends with its TTL.
    until_none(&world, "keys", |etcd| etcd.keys()).await;
    until_none(&world, "leases", |etcd| etcd.leases()).await;
    ticking.abort();
    *world.inspect.lock().unwrap() = None;
}

/// Locks and unlocks, in all the ways there are, until the storm is over; then once more, well-behaved.
async fn agent(world: Arc<World>, peer: Arc<Peer>, register: Arc<Mutex<Register>>) {
    let begun = Instant::now();
    while begun.elapsed() < STORM {
        let limit = match world.number(0..4) {
            0 => None,
            1 => Some(Duration::ZERO),
            _ => Some(world.millis(1..8000)),
        };
        let patience = world.millis(1..20_000);
        once(&world, &peer, &register, limit, patience).await;
    }
    while !once(&world, &peer, &register, None, AFTERMATH).await {}
}

/// One acquisition: given up after `patience`, by dropping it. Says whether it was held.
async fn once(
    world: &World,
    peer: &Peer,
    register: &Mutex<Register>,
    limit: Option<Duration>,
    patience: Duration,
) -> bool {
    let name = world.pick(&["a", "b"]).unwrap();
    let mut lock = Lock::new(peer.context(), name.into());
    if let Some(limit) = limit {
        lock = lock.timeout(limit);
    }
    let guard = Arc::new(lock.start().unwrap());
    register.lock().unwrap().guards.push(Arc::downgrade(&guard));
    let held = match timeout(patience, guard.wait(None)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            use ErrorKind::{Cancelled, Denied, Lost, Timeout, Unavailable};
            assert!([Timeout, Unavailable, Lost, Denied, Cancelled].contains(&error.kind()), "{error:?}");
            let was_held = has_been_held(&guard).await;
            assert!(was_held || error.kind() != ErrorKind::Lost, "never held, and yet: {error:?}");
            false
        }
        Err(_) => false,
    };
    if held {
        let hold = world.millis(0..3000);
        let _ = timeout(hold, guard.lost()).await;
        if world.number(0..2) == 0 {
            let _ = guard.unlock().await;
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

/// Cuts clients off, stops their processes, revokes leases and deletes keys, until the storm is over.
async fn trouble(world: Arc<World>, peers: Vec<Arc<Peer>>, register: Arc<Mutex<Register>>) {
    let begun = Instant::now();
    while begun.elapsed() < STORM {
        sleep(world.millis(100..5000)).await;
        let peer = world.pick(&peers).unwrap();
        let kind = world.number(0..7);
        match kind {
            0 => {
                peer.connection.cut.store(true, Ordering::Relaxed);
                sleep(world.millis(0..12_000)).await;
                peer.connection.cut.store(false, Ordering::Relaxed);
            }
            1 => stop_process(&world, &peer),
            2 => {
                let leases = world.step(|etcd| etcd.leases());
                if let Some(lease) = world.pick(&leases) {
                    by_hand(&world, &register, |etcd| _ = etcd.revoke(lease));
                }
            }
            3 => {
                let keys = world.step(|etcd| etcd.keys());
                if let Some(key) = world.pick(&keys) {
                    by_hand(&world, &register, |etcd| _ = etcd.delete(&key));
                }
            }
            4 => world.step(Etcd::compact),
            5 => drop(peer.reconnect(&world)),
            _ => {
                let _ = timeout(world.millis(0..500), peer.reconnect(&world).close()).await;
            }
        }
    }
    world.stormy.store(false, Ordering::Relaxed);
}

/// What an operator does to keys behind their holders' backs: no promise covers the moment until they are told.
fn by_hand(world: &World, register: &Mutex<Register>, act: impl FnOnce(&mut Etcd)) {
    let before = world.step(|etcd| etcd.keys());
    register.lock().unwrap().deleted.extend(before);
    world.step(act);
    let after = world.step(|etcd| etcd.keys());
    register.lock().unwrap().deleted.retain(|key| !after.contains(key));
}

/// As SIGSTOP and, later, SIGCONT: time has passed for its lease and its clock, and none of its code has run.
fn stop_process(world: &World, peer: &Peer) {
    let by = world.millis(0..15_000);
    peer.clock.jump(by);
    if let Some(lease) = peer.context().leases.current() {
        world.step(|etcd| etcd.age(lease.id, by));
    }
}

/// Leases end by themselves, also when nobody asks. (Every step ends those that are due to the moment.)
async fn tick(world: Arc<World>) {
    loop {
        sleep(Duration::from_millis(100)).await;
        world.step(|_| ());
    }
}

async fn until_none<T: Debug>(world: &World, what: &str, look: impl Fn(&mut Etcd) -> Vec<T>) {
    let end = Instant::now() + AFTERMATH;
    while let left @ [_, ..] = &*world.step(&look) {
        assert!(Instant::now() < end, "{what} are left behind: {left:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Looks at all guards at one moment.
fn inspector(register: Arc<Mutex<Register>>) -> Box<dyn FnMut(&Etcd) + Send> {
    Box::new(move |etcd| {
        let mut register = register.lock().unwrap();
        let Register { guards, tokens, deleted } = &mut *register;
        guards.retain(|guard| guard.strong_count() > 0);
        let mut holders = BTreeMap::new();
        for guard in guards.iter().filter_map(Weak::upgrade) {
            let (key, token) = (guard.key(), guard.token());
            if !guard.held() || deleted.contains(&key) {
                continue;
            }
            let other = holders.insert(guard.name().to_string(), token);
            assert!(other.is_none(), "two hold {:?}: {other:?} and {token}", guard.name());
            assert_eq!(etcd.key(&key), Some(token), "the key of a lock that is held");
            let highest = tokens.entry(guard.name().into()).or_default();
            assert!(token >= *highest, "the token of {:?} fell from {highest} to {token}", guard.name());
            *highest = token;
        }
    })
}
