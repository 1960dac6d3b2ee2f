//! What an acquisition asks for.

use crate::etcd::Name;
use crate::mode::{ANY, Limit, Mode};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// One's turn: behind those of the same client in its line, behind others in etcd's queue.
    Wait(Name),
    /// Only if the lock is free. It stands in no line.
    Try(Name),
    /// One's turn with both locks at once. It stands in no line either.
    All(Name, Name),
    /// Only if both are free.
    TryAll(Name, Name),
    /// To hold it together with others, with so many of them at most. It stands in no line.
    Share(Name, Limit),
    /// Only if that is so at once.
    TryShare(Name, Limit),
    /// One's turn, and again after each loss.
    Standby(Name),
    /// One's turn, and from then on without a lease.
    Persist(Name),
}

impl Ask {
    pub fn names(self) -> impl Iterator<Item = Name> {
        let (one, other) = match self {
            Ask::Wait(one) | Ask::Try(one) | Ask::Share(one, _) | Ask::TryShare(one, _) => (one, None),
            Ask::Standby(one) | Ask::Persist(one) => (one, None),
            Ask::All(one, other) | Ask::TryAll(one, other) => (one, Some(other)),
        };
        [one].into_iter().chain(other)
    }

    pub fn mode(self) -> Mode {
        match self {
            Ask::Share(_, limit) | Ask::TryShare(_, limit) => Mode::Shared(limit),
            _ => Mode::Exclusive,
        }
    }

    /// The line in which it stands.
    pub fn line(self) -> Option<Name> {
        match self {
            Ask::Wait(name) | Ask::Standby(name) | Ask::Persist(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it asks again after a loss.
    pub fn stands_by(self) -> bool {
        matches!(self, Ask::Standby(_))
    }

    /// Whether it wants no lease once its turn has come.
    pub fn persists(self) -> bool {
        matches!(self, Ask::Persist(_))
    }

    /// Whether it waits for nobody.
    pub fn alone(self) -> bool {
        matches!(self, Ask::Try(_) | Ask::TryAll(..) | Ask::TryShare(..))
    }

    /// Whether it has to see how many there are before it enters: no compare can count.
    pub fn looks_ahead(self) -> bool {
        matches!(self, Ask::TryShare(_, limit) if limit != ANY)
    }

    pub fn is_for_all(self) -> bool {
        matches!(self, Ask::All(..) | Ask::TryAll(..))
    }
}
