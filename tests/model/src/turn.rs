//! What one read shows: whose turn it is.

use crate::Rules;
use crate::etcd::{Etcd, Key, Place, Revision};
use crate::keys::Keys;
use crate::mode::Mode;

impl Etcd {
    /// Whether a read at this revision shows that older keys than `key`, which was put at `created`, keep it from holding.
    /// Of two with one revision an exclusive one is the first by its name; who shares counts those of lower revisions.
    pub fn is_barred_at(&self, key: Key, created: Revision, revision: Revision, rules: &Rules) -> bool {
        let is_older = |(other, at): &(Key, Revision)| match key.mode {
            Mode::Exclusive => (*at, *other) < (created, key),
            Mode::Shared(_) => *at < created,
        };
        key.is_barred_by(self.keys_at(revision).filter(is_older).map(|(other, _)| other), rules)
    }

    /// Whether a read at this revision shows `key`, and that it is its turn.
    pub fn shows_turn_at(&self, key: Key, revision: Revision, rules: &Rules) -> bool {
        let created = self.created_at(key, revision);
        created.is_some_and(|created| !self.is_barred_at(key, created, revision, rules))
    }

    /// Whether it is the turn of `key`, and not just taken for that.
    pub fn is_turn_at(&self, key: Key, revision: Revision) -> bool {
        self.shows_turn_at(key, revision, &Rules::ALL)
    }

    /// The place that one has with these keys. With a part of them it is one still: that something is missing, and what
    /// has to be done about the others, is found out as in any other place.
    pub fn place_of(&self, keys: Keys, revision: Revision, rules: &Rules) -> Option<Place> {
        let created = keys.iter().filter_map(|key| self.created_at(key, revision)).max()?;
        let counts = rules.part_is_a_place || keys.iter().all(|key| self.created_at(key, revision).is_some());
        let is_turn = |key: Key| self.shows_turn_at(key, revision, rules);
        let first = match rules.first_in_all {
            true => keys.iter().all(is_turn),
            false => keys.iter().any(is_turn),
        };
        counts.then_some(Place { created, first })
    }
}
