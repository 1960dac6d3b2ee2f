//! Real etcds for locker's tests, alone ([`Etcd`]) or as a [`Cluster`], and what can go wrong with them.
//!
//! | fault | how |
//! |---|---|
//! | a process dies, stands still, comes back, forgets | signals; its data directory removed or restored |
//! | packets between members are lost | the members reach each other only through [SOCKS proxies](Cluster::isolate) of ours |
//! | packets between a client and etcd are lost or late, connections are reset | a [`Proxy`] in front of the endpoint |
//! | a disk that hangs | [`Stall`]: `strace` delays `fsync` and `fdatasync` |
//! | compaction, defragmentation, no space, users | what etcd itself has for it |
//! | packets lost in the kernel, so that TCP itself must cope | [`Lossy`]: a network namespace with a firewall |
//!
//! **Why proxies and not network namespaces:** a proxy needs no root, leaves nothing behind, works for any number of
//! tests at once, and can do what a firewall cannot: hold requests and lose answers, delay, and let go of what was held.
//! What it cannot do is to lose a packet of a connection that goes on: from both ends, data that it holds looks
//! acknowledged. So a black hole here is a little worse than a real one: the kernel never reports it, only time limits
//! of the application find out. For loss itself there is [`Lossy`].
//!
//! Everything that is started ends when it is dropped. Every fault has happened when the function that makes it returns.
#![forbid(unsafe_code)]

mod cluster;
mod ctl;
mod etcd;
mod http;
pub mod interrupt;
mod links;
mod lossy;
mod process;
mod proxy;
mod relay;
mod stall;
mod tls;

pub use cluster::Cluster;
pub use etcd::{Etcd, installed};
pub use http::Metrics;
pub use lossy::Lossy;
pub use process::{Ended, Process, ended, program};
pub use proxy::Proxy;
pub use relay::{Mood, Way};
pub use stall::Stall;
pub use tls::{Authority, Issued};

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// How long anything that must happen may take before a test says that it did not. Generous: machines are slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Says that something could not be tested, and why: on standard error itself, since what tests print may be hidden.
pub fn skip(what: &str, why: &str) {
    // The line may have been begun.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}: {why}");
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port()
}

/// Waits until `condition` holds, looking again and again: for what gives no event to wait for.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < end, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same where nothing else is to go on meanwhile.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not so after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
