//! A TCP proxy in front of an endpoint, to lose, hold and delay requests and answers on purpose.

use crate::relay::{Mood, relay, runtime};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A proxy in front of an endpoint. It goes, with its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    endpoint: String,
    mood: watch::Sender<Mood>,
    carried: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of `endpoint`, `http://HOST:PORT`.
    pub fn start(endpoint: &str) -> Self {
        let (listener, port) = listen();
        let mood = watch::Sender::new(Mood::NORMAL);
        let target = endpoint.trim_start_matches("http://").to_string();
        let carried = Arc::default();
        let accepting = runtime().spawn(accept(listener, target, mood.subscribe(), Arc::clone(&carried)));
        Proxy { endpoint: format!("http://127.0.0.1:{port}"), mood, carried, accepting }
    }

    /// Where to connect to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How many bytes of requests it has carried: who is in use carries more than others.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// From now on everything is so.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A free port of the loopback, listened on.
pub(crate) fn listen() -> (tokio::net::TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    listener.set_nonblocking(true).expect("a socket can be");
    let _runtime = runtime().enter();
    (tokio::net::TcpListener::from_std(listener).expect("a listener"), port)
}

async fn accept(
    listener: tokio::net::TcpListener,
    target: String,
    mood: watch::Receiver<Mood>,
    carried: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(relay(client, target.clone(), mood.clone(), carried.clone()));
        while connections.try_join_next().is_some() {}
    }
}
