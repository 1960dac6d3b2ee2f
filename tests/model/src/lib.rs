//! The protocol of a lock, small enough to try everything that can happen.
//!
//! This is how clients of one lock speak to etcd, without the clock, the transport and the programming. A checker goes
//! through *all* orders in which a few clients, etcd and a bad network can act, and looks at every state in between.
//! What the core (`src/`) does in `queue.rs`, `epoch.rs` and `acquisition.rs` is here in the same words:
//!
//! 1. **Enter.** One transaction: if the key is absent and the client's epoch is the one carried, put the key and read
//!    the oldest of the queue. If that is ours, the lock is held.
//! 2. **Doubt.** No answer. The request may be lost, done, or under way for as long as it likes. The client writes its
//!    epoch until one write is acknowledged; an enter that carries the older epoch is refused from then on. Then it
//!    reads, at a revision not below that write, whether its key is there; if not, it enters again with the same key.
//! 3. **Wait.** Until a read at a revision not below the key's own shows the key as the oldest. Any member may answer,
//!    from any revision that it has: no older key can appear later.
//! 4. **Hold,** until it is released, or the client's own clock says that the lease may end.
//! 5. **Leave.** Delete the key, by its name, until that is acknowledged or the lease has ended. Who gives up in doubt
//!    waits for the fence first.
//! 6. **Lease lost.** Keys and epoch go with it. Who waited enters again, with a new lease and a new key.
//!
//! [`Rules`] can be broken one by one, and each one broken gives a counterexample: that is how one knows that the rule
//! is needed and that the model can find anything at all.
//!
//! What is assumed, not shown, here: a client knows of the end of its lease before etcd acts on it (that is the
//! deadline, in `lease.rs`; [`Rules::ends_first`] shows why), etcd loses nothing that it has acknowledged, and nobody
//! deletes keys by hand.
//!
//! Modes that are still to come have their place here before they have one in the core: `shared` and `limit` change
//! what [`Etcd::first_at`](etcd::Etcd::first_at) asks for; a release fused with the next enter and `lock_all` are new
//! [`Request`](etcd::Request)s; a persistent lock is a [`Phase`](client::Phase) between waiting and holding.
#![allow(missing_docs)]

pub mod client;
mod effects;
pub mod etcd;
pub mod properties;
pub mod protocol;
pub mod rules;
mod sameness;
pub mod world;

pub use protocol::{Bounds, Protocol};
pub use rules::Rules;
