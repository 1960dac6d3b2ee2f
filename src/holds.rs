//! The keys that hold locks on one lease, for the check that etcd still has them all.
//!
//! Each key is watched, but a watch can go silent. So once in a while the lease's own list of keys is read, in one
//! request for all, and who is missing from it is asked to look for itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<BTreeMap<String, Arc<Notify>>>);

/// A key in [`Holds`], until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold<'a> {
    holds: &'a Holds,
    key: String,
    doubted: Arc<Notify>,
}

impl Holds {
    pub(crate) fn add(&self, key: String) -> Hold<'_> {
        let doubted = Arc::new(Notify::new());
        self.keys().insert(key.clone(), doubted.clone());
        Hold { holds: self, key, doubted }
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.keys().contains_key(key)
    }

    /// The keys that are held now, if there are any.
    pub(crate) fn snapshot(&self) -> Option<Vec<String>> {
        let keys = self.keys();
        (!keys.is_empty()).then(|| keys.keys().cloned().collect())
    }

    /// Asks those of `held` that are not in `found` to look for themselves.
    pub(crate) fn doubt(&self, held: Vec<String>, found: Vec<Vec<u8>>) {
        let found: std::collections::HashSet<_> = found.into_iter().collect();
        let keys = self.keys();
        let missing = held.iter().filter(|key| !found.contains(key.as_bytes()));
        missing.filter_map(|key| keys.get(key)).for_each(|doubted| doubted.notify_one());
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold<'_> {
    /// Returns when the key was missing from the list.
    pub(crate) async fn doubted(&self) {
        self.doubted.notified().await;
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.holds.keys().remove(&self.key);
    }
}
