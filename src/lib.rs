//! Named locks shared by every machine of an etcd cluster.
//!
//! Five verbs ([`connect`](Client::connect), [`lock`](Client::lock), [`unlock`](Guard::unlock), [`get`](Client::get),
//! [`watch`](Client::watch)) and five nouns ([`Client`], [`Guard`], [`Info`], [`Watcher`], [`Error`]) are all there is,
//! under the same names in every language that locker speaks.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! # async fn demo() -> locker::Result<()> {
//! let client = locker::Client::connect("http://127.0.0.1:2379").await?;
//! let guard = client.lock("db-migrate").value("node-3").timeout(Duration::from_secs(5)).await?;
//! tokio::select! {
//!     () = migrate(guard.token()) => guard.unlock().await?,
//!     reason = guard.lost() => eprintln!("lost: {reason}"),
//! }
//! client.disconnect().await
//! # }
//! # async fn migrate(_fence: i64) {}
//! ```
//!
//! Every function must be called within a tokio runtime that keeps turning while locks are held: leases are kept alive
//! on the runtime in which [`Client::connect`] was awaited.
#![forbid(unsafe_code)]

mod acquisition;
mod bell;
mod client;
mod clock;
mod commit;
mod context;
mod epoch;
mod error;
mod etcd;
mod feed;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod history;
mod holds;
mod info;
mod key;
mod lease;
mod leases;
mod line;
mod lock;
mod pauses;
mod queue;
mod share;
#[cfg(test)]
mod sim;
mod store;
mod view;
mod views;
mod watcher;

pub use client::{Client, Connect};
pub use error::{Error, ErrorKind, Loss, Result};
pub use guard::{Change, Guard, State};
pub use info::{Info, Mode};
pub use lock::Lock;
pub use watcher::Watcher;

/// The longest lock name, in bytes of UTF-8.
pub const NAME_MAX: usize = 255;
/// The longest value, in bytes of UTF-8.
pub const VALUE_MAX: usize = 1023;
/// The longest reason, in bytes of UTF-8.
pub const REASON_MAX: usize = 255;
