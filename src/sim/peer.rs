//! One client in a simulation.

use super::network::Connection;
use super::weather::Weather;
use crate::clock::Clock;
use crate::context::{Context, Identity};
use crate::key::Keys;
use crate::store::Store;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// By how much a client's clock may run wrong: the default margin of a tenth of the TTL covers it.
const RATES: [f64; 3] = [0.97, 1.0, 1.03];

pub(super) struct Peer {
    /// Now and then it is disconnected, and another takes its place.
    context: Mutex<Arc<Context>>,
    pub(super) connection: Arc<Connection>,
    pub(super) clock: Arc<OwnClock>,
    weather: Arc<Weather>,
}

impl Peer {
    pub(super) fn new(store: Arc<dyn Store>, weather: &Arc<Weather>) -> Self {
        let rate = weather.pick(&RATES).unwrap();
        let (connection, clock) = (Connection::new(store, weather.clone()), OwnClock::new(rate));
        let context = Mutex::new(connect(weather, &connection, &clock));
        Peer { context, connection, clock, weather: weather.clone() }
    }

    pub(super) fn context(&self) -> Arc<Context> {
        self.context.lock().unwrap().clone()
    }

    /// A new client in the place of the present one, which is given.
    pub(super) fn reconnect(&self) -> Arc<Context> {
        let new = connect(&self.weather, &self.connection, &self.clock);
        std::mem::replace(&mut *self.context.lock().unwrap(), new)
    }
}

fn connect(weather: &Weather, connection: &Arc<Connection>, clock: &Arc<OwnClock>) -> Arc<Context> {
    client(Arc::new(connection.clone()), clock, Duration::from_secs(weather.number(2..11)))
}

/// A client of this very store.
pub(super) fn client(store: Arc<dyn Store>, clock: &Arc<OwnClock>, ttl: Duration) -> Arc<Context> {
    let me = Identity { host: "h".into(), pid: 1, program: "p".into() };
    let keys = Keys::new("/".into()).unwrap();
    Context::new(store, clock.clone(), keys, ttl, Duration::from_secs(5), me)
}

/// A clock that runs at its own rate, and that jumps when its process was stopped.
#[derive(Debug)]
pub(super) struct OwnClock {
    begun: Instant,
    rate: f64,
    jumped: AtomicU64,
}

impl OwnClock {
    pub(super) fn new(rate: f64) -> Arc<Self> {
        Arc::new(OwnClock { begun: Instant::now(), rate, jumped: AtomicU64::new(0) })
    }

    pub(super) fn jump(&self, by: Duration) {
        self.jumped.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for OwnClock {
    fn now(&self) -> Duration {
        let jumped = Duration::from_nanos(self.jumped.load(Ordering::Relaxed));
        Duration::from_secs(1000) + self.begun.elapsed().mul_f64(self.rate) + jumped
    }
}
