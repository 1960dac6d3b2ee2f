//! One connection to one address: TCP, TLS if it is wanted, and HTTP/2 on top.

use super::wire::{InUse, Socket, Traffic, Wire};
use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{error, fmt};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::ConnectError;

/// How long a connection may take to come up, TLS included, before it is tried anew.
const CONNECT: Duration = Duration::from_secs(2);
/// After how long a host that has several addresses is tried at the next one, too.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// HTTP/2 pings: etcd closes connections that ping more often than every 5 s. Dead endpoints are found by the time
/// limit of each attempt; these pings only find connections that died while nothing was asked.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// How much etcd may send before it is told that it was read: so much that small answers never make us say so.
const WINDOW: u32 = 8 << 20;

/// Where to connect to, and how.
pub(super) struct Address {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// How often it was dialled.
    dials: AtomicUsize,
}

impl Address {
    /// `host` as it is in a URL: an IPv6 address is in brackets.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Address { host: bare.unwrap_or(host).to_string(), port, tls: None, dials: AtomicUsize::new(0) }
    }

    /// Has its connections use TLS.
    pub(super) fn secure(&mut self, config: Arc<ClientConfig>) -> Result<(), impl error::Error + use<>> {
        ServerName::try_from(self.host.clone()).map(|name| self.tls = Some((TlsConnector::from(config), name)))
    }

    pub(super) async fn connect(&self) -> Result<Connection, ConnectError> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection in time").into();
        timeout(CONNECT, self.open()).await.unwrap_or_else(|_| Err(late())).map_err(ConnectError)
    }

    async fn open(&self) -> Result<Connection, Box<dyn error::Error + Send + Sync>> {
        let socket = self.dial().await?;
        socket.set_nodelay(true)?;
        SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(PING.0))?;
        let Some((tls, name)) = &self.tls else {
            return Ok(Connection::start(Box::new(socket)).await?);
        };
        let socket = tls.connect(name.clone(), socket).await?;
        match socket.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(Connection::start(Box::new(socket)).await?),
            _ => Err("HTTP/2 was not negotiated".into()),
        }
    }

    /// Of several addresses the first that answers, beginning with another each time: one that takes connections and says
    /// nothing is not come back to again and again.
    async fn dial(&self) -> io::Result<TcpStream> {
        let unknown = |error| io::Error::new(io::ErrorKind::NotFound, format!("dns error: {error}"));
        let mut addresses: Vec<_> = lookup_host((&*self.host, self.port)).await.map_err(unknown)?.collect();
        let first = self.dials.fetch_add(1, Ordering::Relaxed) % addresses.len().max(1);
        addresses.rotate_left(first);
        let mut addresses = addresses.into_iter().peekable();
        let mut dialling = JoinSet::new();
        let mut failure = unknown(io::Error::other("it has no address"));
        loop {
            if let Some(address) = addresses.next() {
                dialling.spawn(TcpStream::connect::<SocketAddr>(address));
            }
            let patience = if addresses.peek().is_some() { NEXT_ADDRESS } else { CONNECT };
            match timeout(patience, dialling.join_next()).await {
                Ok(Some(dialled)) => match dialled? {
                    Ok(socket) => return Ok(socket),
                    Err(error) => failure = error,
                },
                Ok(None) => return Err(failure),
                // Silent, so far.
                Err(_) => (),
            }
        }
    }
}

/// A connection that is up. Cloning it is cheap; it ends when nobody has it any more and nothing is under way.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    traffic: Arc<Traffic>,
    /// Why it has ended, if it has.
    ended: Arc<OnceLock<String>>,
}

impl Connection {
    pub(super) async fn start(socket: Box<dyn Socket>) -> Result<Self, h2::Error> {
        let traffic = Arc::new(Traffic::default());
        let wire = Wire::new(socket, traffic.clone());
        let (requests, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(wire)
            .await?;
        let pings = connection.ping_pong().expect("nobody else has taken it");
        let (heard, ended) = (traffic.clone(), Arc::new(OnceLock::new()));
        let end = ended.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                // What was under way has been told why; what comes too late for that can ask.
                why = connection => if let Err(why) = why {
                    let _ = end.set(why.to_string());
                },
                // Whatever is under way breaks when the connection is dropped.
                () = until_dead(pings, &heard) => {}
            }
        });
        Ok(Connection { requests, traffic, ended })
    }

    /// Whether it takes requests: it has neither broken nor been ended by etcd.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.requests.clone().poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }

    /// Why it has ended, if that was an error.
    pub(super) fn why_ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// Begins a stream. It is reset when all that it gives is dropped before its end.
    pub(super) fn begin(&self, head: Request<()>) -> Result<(ResponseFuture, SendStream<Bytes>, InUse), Unsent> {
        let (response, body) = self.requests.clone().send_request(head, false).map_err(Unsent)?;
        Ok((response, body, InUse::new(&self.traffic)))
    }
}

/// Pings while something is under way and nothing has been heard for a while, until there is no answer.
async fn until_dead(mut pings: PingPong, traffic: &Traffic) {
    let mut heard = traffic.heard();
    let mut silent = Duration::ZERO;
    while silent < PING.0 || timeout(PING.1, pings.ping(Ping::opaque())).await.is_ok_and(|pong| pong.is_ok()) {
        sleep(PING.1).await;
        let now = traffic.heard();
        silent = if now == heard && traffic.is_in_use() { silent + PING.1 } else { Duration::ZERO };
        heard = now;
    }
}

/// A request that certainly was not sent, since the connection no longer takes any.
#[derive(Debug)]
pub(super) struct Unsent(h2::Error);

/// Why a connection ended before a stream was begun: a server that refuses a certificate says so after the handshake.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

/// A stream that broke.
#[derive(Debug)]
pub(super) struct Broken(pub(super) h2::Error);

impl Broken {
    /// Whether etcd has said that it has not looked at it.
    pub(super) fn is_untouched(&self) -> bool {
        self.0.is_remote() && (self.0.is_go_away() || self.0.reason() == Some(h2::Reason::REFUSED_STREAM))
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transport error: {}", self.0)
    }
}

impl error::Error for Refused {}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("transport error")
    }
}

impl error::Error for Unsent {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0)
    }
}

impl error::Error for Broken {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_gone_silent_breaks_what_is_under_way() {
        let (near, _silent) = tokio::io::duplex(1 << 16);
        let connection = Connection::start(Box::new(near)).await.unwrap();
        // Nothing is under way: nothing is found out.
        sleep(PING.0 * 5).await;
        assert!(connection.is_open());
        let begun = Instant::now();
        let (response, _body, _in_use) = connection.begin(Request::post("http://etcd:1/x").body(()).unwrap()).unwrap();
        let broken = Broken(response.await.unwrap_err());
        assert!(begun.elapsed() >= PING.0 && begun.elapsed() <= PING.0 + PING.1 * 2, "{:?}", begun.elapsed());
        assert!(!broken.is_untouched() && !connection.is_open(), "{broken:?}");
    }

    #[tokio::test]
    async fn of_several_addresses_one_that_answers_is_enough() {
        // Usually ::1 is asked first, where nobody listens.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::new("localhost", listener.local_addr().unwrap().port());
        let (connected, accepted) = tokio::join!(address.connect(), listener.accept());
        assert!(connected.unwrap().is_open());
        drop(accepted.unwrap());
    }
}
