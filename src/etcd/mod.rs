//! etcd over the network: the one implementation of [`Store`](crate::store::Store).
//!
//! [`etcd_client`] gives the messages; the channel, the choice among endpoints, time limits and retries are ours. Its
//! own balanced channel fails a fifth of all calls while one endpoint of three is down, and hangs for seconds on one
//! that swallows packets.

mod channel;
mod classify;
mod cluster;
mod connection;
mod convert;
mod endpoint;
mod keys;
mod late;
mod patience;
mod proto;
mod rpc;
mod stream;
mod tls;
mod version;
mod wire;

pub(crate) use cluster::Cluster;
pub(crate) use tls::Access;
#[cfg(feature = "fuzzing")]
pub(crate) use {endpoint::Endpoint, tls::secure_now};
