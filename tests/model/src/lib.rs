//! The protocol of a lock, small enough to try everything that can happen.
//!
//! This is how clients of a lock speak to etcd, without the clock, the transport and the programming. A checker goes
//! through *all* orders in which a few clients, etcd and a bad network can act, and looks at every state in between.
//!
//! 1. **Line.** Those of one client that wait for the same lock stand in its line, first come first served. Only the
//!    first of them has a place in etcd's queue, whether it waits there or holds. A try stands in no line.
//! 2. **Enter.** One transaction: if the key is absent (for a try: every key of the lock) and the client's epoch is the
//!    one carried, put the key and read the oldest of the queue. If that is ours, the lock is held.
//! 3. **Doubt.** No answer. The request may be lost, done, or under way for as long as it likes. The client writes its
//!    epoch until one write is acknowledged; an enter that carries the older epoch is refused from then on. Then it
//!    reads, at a revision not below that write, nor below the end of the key's former use, whether its key is there; if
//!    not, it enters again with another key. (A linearizable read is below neither.)
//! 4. **Wait.** Until a read at a revision not below the key's own shows the key as the oldest. Any member may answer,
//!    from any revision that it has: no older key can appear later.
//! 5. **Hold,** until it is released, or the client's own clock says that the lease may end.
//! 6. **Leave.** Delete the key, by its name, until that is acknowledged or the lease has ended. Who gives up in doubt
//!    waits for the fence first.
//! 7. **Fused.** If somebody is behind in the line, the leave and his enter are one transaction. Its compares are those of
//!    the enter; the delete is done in either case. Refused, he enters by himself. In doubt, or refused for good, the
//!    delete is sent alone until it is acknowledged, and the enter is a doubt like any other.
//! 8. **Keys** are used again, once all that was ever asked about them was answered, the delete last. Who had to ask
//!    twice, or got no answer, never uses that key again: an old delete could hit its new life.
//! 9. **Batch.** Requests of one client for *different* locks may be one transaction. etcd compares for all of them before
//!    it does anything, so two for one lock would not see each other.
//! 10. **Lease lost.** Keys and epoch go with it. Who waited enters again, with a new lease and a new key; so does, with
//!     another key, whose key was deleted by hand.
//! 11. **All.** Who wants more than one lock at once stands in no line, and its requests are in no batch. It enters all
//!     queues by one transaction, with a key in each: of two such one is before the other everywhere, so they cannot wait
//!     for each other. It holds when *one* read at a revision not below that of its keys shows each of them as the oldest.
//!     (That it was the first here, and is now the first there, is not enough: its key here may have been deleted by hand
//!     meanwhile.) If one key has gone, all is lost. A hold is over first, and the rest deleted behind; who waits deletes
//!     the rest, and enters all queues anew once that is acknowledged: a try would find its own key in the way. What is read
//!     after a doubt may be a part of the keys, by the same hand: it had entered, and has lost its place. It leaves all
//!     queues by one transaction.
//! 12. **Shared.** Who shares a lock stands in no line, and its enter and its leave are never one request with another's.
//!     Its key is in a part of the queue that is for those with the same limit alone (or for those without one). Its enter
//!     compares, beside what each enter compares, that nobody is in the part of another limit: else it is turned away, with
//!     nothing put, so two limits never meet in a queue, and no later read has to look for them. It holds when *one* read
//!     at a revision not below its key's shows that key, nobody older who is exclusive, and fewer of its limit that are
//!     older than the limit allows. Who is exclusive, and other people's programs, wait for all who are older, whoever they
//!     are: so nobody who comes later passes. Any older one that leaves may make it one's turn, not only the one right
//!     before, nor the last.
//! 13. **Shared, without waiting.** Without a limit its enter compares that nobody exclusive is in the queue. With one it
//!     has to count, and no compare can: so it looks first. If there is no room, or somebody exclusive, that is the answer.
//!     Else its enter compares that no key in the queue was created after the revision of that look, and if one was, it
//!     looks again. Keys that went meanwhile, or have another value, do not matter. (The look may be an old one as far as
//!     holding goes. Only the answer that there is no room has to come from a linearizable one.)
//! 14. **Standby.** After a loss it asks again, as if for the first time: in the line, with a new key, and with a new lease if it
//!     was that which ended.
//! 15. **Persistent.** It waits as others do. When it is its turn, one transaction writes the key anew without the lease, if
//!     the key is as it was put; that is sent until it is answered, and then it holds. From the first such request on the key
//!     may outlive the lease: whatever ends the wait, it is deleted until that is acknowledged, also after the end of the
//!     lease, and not by one request with an enter. What is left by who crashes is there until somebody ends it who has the
//!     token.
//!
//! [`Rules`] can be broken one by one, and each one broken gives a counterexample: that is how one knows that the rule
//! is needed and that the model can find anything at all. (Three do not, and tests say so: `spent_by_enter`, `leave_in_one`
//! and `kept_before_anew`.)
//!
//! What is assumed, not shown, here: a client knows of the end of its lease before etcd acts on it (that is the
//! deadline, in `lease.rs`; [`Rules::ends_first`] shows why), and etcd loses nothing that it has acknowledged. Whose key
//! was deleted by hand may believe to hold until it learns of it, and no longer.
//!
//! Of two that share, neither has to have the higher token: it rises from any to who is exclusive later, and from who is
//! exclusive to any.
#![allow(missing_docs)]

pub mod ask;
pub mod client;
mod effects;
pub mod etcd;
pub mod keys;
pub mod mode;
pub mod properties;
pub mod protocol;
mod reads;
pub mod rules;
mod sameness;
mod turn;
pub mod world;

pub use protocol::{Bounds, Protocol};
pub use rules::Rules;
