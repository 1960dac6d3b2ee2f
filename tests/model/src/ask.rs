//! What an acquisition asks for.

use crate::etcd::Name;

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
}

impl Ask {
    pub fn names(self) -> impl Iterator<Item = Name> {
        let (one, other) = match self {
            Ask::Wait(one) | Ask::Try(one) => (one, None),
            Ask::All(one, other) | Ask::TryAll(one, other) => (one, Some(other)),
        };
        [one].into_iter().chain(other)
    }

    /// The line in which it stands.
    pub fn line(self) -> Option<Name> {
        match self {
            Ask::Wait(name) => Some(name),
            Ask::Try(_) | Ask::All(..) | Ask::TryAll(..) => None,
        }
    }

    /// Whether it waits for nobody.
    pub fn alone(self) -> bool {
        matches!(self, Ask::Try(_) | Ask::TryAll(..))
    }

    pub fn is_for_all(self) -> bool {
        matches!(self, Ask::All(..) | Ask::TryAll(..))
    }
}
