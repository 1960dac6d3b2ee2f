//! The links between the members of a cluster, each a thing of its own.
//!
//! Every member has a SOCKS proxy to itself and is told, by the environment, to reach other members through it. So it is
//! known of each connection who has made it and to whom, which a proxy in front of a member could not tell. The
//! addresses that members advertise to each other are of a network for documentation (RFC 5737): they lead nowhere but
//! through this proxy.

use crate::proxy::listen;
use crate::relay::{Mood, relay, runtime};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The moods of the links that start at one member, by the member where they end.
type Moods = Arc<Vec<watch::Sender<Mood>>>;

/// The links between members that listen on these ports.
#[derive(Debug)]
pub(crate) struct Links {
    from: Vec<(Moods, u16, JoinHandle<()>)>,
}

impl Links {
    pub(crate) fn start(ports: &[u16]) -> Self {
        let from = ports.iter().map(|_| {
            let moods: Moods = Arc::new(ports.iter().map(|_| watch::Sender::new(Mood::NORMAL)).collect());
            let (listener, port) = listen();
            let accepting = runtime().spawn(accept(listener, ports.to_vec(), moods.clone()));
            (moods, port, accepting)
        });
        Links { from: from.collect() }
    }

    /// What a member advertises to the others.
    pub(crate) fn address(member: usize) -> String {
        format!("http://192.0.2.{}:2380", member + 1)
    }

    /// The proxy through which a member is to reach the others.
    pub(crate) fn proxy_of(&self, member: usize) -> String {
        format!("socks5://127.0.0.1:{}", self.from[member].1)
    }

    /// Sets all links from and to a member.
    pub(crate) fn set(&self, member: usize, mood: Mood) {
        for (start, (moods, ..)) in self.from.iter().enumerate() {
            for (end, link) in moods.iter().enumerate() {
                if (start == member) != (end == member) {
                    link.send_replace(mood);
                }
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.from.iter().for_each(|(.., accepting)| accepting.abort());
    }
}

async fn accept(listener: TcpListener, ports: Vec<u16>, moods: Moods) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(serve(client, ports.clone(), moods.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut client: TcpStream, ports: Vec<u16>, moods: Moods) {
    if let Ok(member) = greet(&mut client).await
        && let (Some(port), Some(mood)) = (ports.get(member), moods.get(member))
    {
        relay(client, format!("127.0.0.1:{port}"), mood.subscribe(), Arc::default()).await;
    }
}

/// The handshake (RFC 1928), as far as a member needs it. Gives the member that is wanted.
async fn greet(client: &mut TcpStream) -> io::Result<usize> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await?;
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods).await?;
    client.write_all(&[5, 0]).await?;
    // CONNECT to an IPv4 address: four bytes of request, four of address, two of port.
    let mut request = [0; 10];
    client.read_exact(&mut request).await?;
    if request[..4] != [5, 1, 0, 1] || request[4..7] != [192, 0, 2] {
        return Err(io::Error::other(format!("not a member: {request:?}")));
    }
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    usize::from(request[7]).checked_sub(1).ok_or_else(|| io::Error::other("no such member"))
}
