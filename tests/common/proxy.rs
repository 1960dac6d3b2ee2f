//! A TCP proxy in front of an endpoint, to lose requests and answers on purpose.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the proxy does with what it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mood {
    /// Requests wait in the proxy until this is lifted.
    pub hold_requests: bool,
    /// Answers are thrown away. A connection that has lost some is of no more use, and is cut when this is lifted.
    pub lose_answers: bool,
    /// Connections are cut, and new ones refused.
    pub down: bool,
}

pub struct Proxy {
    pub endpoint: String,
    mood: Arc<watch::Sender<Mood>>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// In front of `endpoint`, `http://HOST:PORT`.
    pub async fn start(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = endpoint.trim_start_matches("http://").to_string();
        let mood = Arc::new(watch::Sender::new(Mood::default()));
        let port = listener.local_addr().unwrap().port();
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, target, mood.clone()));
        Proxy { endpoint: format!("http://127.0.0.1:{port}"), mood, _connections: connections }
    }

    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

async fn accept(listener: TcpListener, target: String, mood: Arc<watch::Sender<Mood>>) {
    let mut pipes = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let Ok(server) = TcpStream::connect(&target).await else { continue };
        if mood.borrow().down {
            continue;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (requests, answers) = (mood.subscribe(), mood.subscribe());
        pipes.spawn(async move {
            tokio::select! {
                () = carry_requests(from_client, to_server, requests) => (),
                () = carry_answers(from_server, to_client, answers) => (),
            }
        });
    }
}

async fn carry_requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mood: watch::Receiver<Mood>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = mood.wait_for(|mood| mood.down) => return,
        };
        if length == 0 || mood.wait_for(|mood| !mood.hold_requests || mood.down).await.is_err() {
            return;
        }
        if mood.borrow().down || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn carry_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mood: watch::Receiver<Mood>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = mood.wait_for(|mood| mood.down) => return,
        };
        if length == 0 {
            return;
        }
        if mood.borrow().lose_answers {
            let _ = mood.wait_for(|mood| !mood.lose_answers).await;
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
