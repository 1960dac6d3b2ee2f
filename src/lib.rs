#![doc = include_str!("../docs/rust.md")]
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
