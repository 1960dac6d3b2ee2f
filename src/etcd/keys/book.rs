//! Which keys are watched over a stream, under which ids, and what is yet to be asked of etcd.

use super::Create;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

/// Below this many a map is never made smaller.
const SMALL: usize = 64;

/// The watches of one stream. None of their ids is ever used twice.
#[derive(Default)]
pub(super) struct Book {
    /// The id that was given last.
    last: i64,
    keys: HashMap<i64, Arc<str>>,
    ids: HashMap<Arc<str>, i64>,
    /// What is yet to be asked for, and from which revision on.
    to_create: BTreeMap<i64, Option<i64>>,
    to_cancel: VecDeque<i64>,
    /// What was asked for, in that order: so it is answered. An answer that refuses a watch does not tell its id.
    unanswered: VecDeque<i64>,
}

/// Something to ask of etcd.
pub(super) enum Request {
    Create(Create),
    Cancel(i64),
}

impl Book {
    pub(super) fn add(&mut self, key: &str, from: Option<i64>) {
        self.remove(key);
        self.last += 1;
        let key: Arc<str> = key.into();
        self.keys.insert(self.last, key.clone());
        self.ids.insert(key, self.last);
        self.to_create.insert(self.last, from);
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(&id) = self.ids.get(key) {
            self.forget(id);
            // Without the id of its watch etcd has not been asked for it yet.
            if self.to_create.remove(&id).is_none() {
                self.to_cancel.push_back(id);
            }
        }
    }

    /// The key of a watch that has come to its end. etcd keeps a little of each until it is cancelled.
    pub(super) fn end(&mut self, id: i64) -> Option<Arc<str>> {
        let key = self.forget(id)?;
        self.to_cancel.push_back(id);
        Some(key)
    }

    /// The key of a watch that never began.
    pub(super) fn forget(&mut self, id: i64) -> Option<Arc<str>> {
        let key = self.keys.remove(&id)?;
        self.ids.remove(&key);
        fit(&mut self.keys);
        fit(&mut self.ids);
        Some(key)
    }

    /// The key of a watch, unless it was removed.
    pub(super) fn key(&self, id: i64) -> Option<&Arc<str>> {
        self.keys.get(&id)
    }

    /// What is to be asked next. Those that are no more go first.
    pub(super) fn request(&self) -> Option<Request> {
        match self.to_cancel.front() {
            Some(id) => Some(Request::Cancel(*id)),
            None => self.create().map(Request::Create),
        }
    }

    /// What is to be watched next.
    pub(super) fn create(&self) -> Option<Create> {
        let (&id, &from) = self.to_create.first_key_value()?;
        Some(Create { id, key: self.keys[&id].clone(), from })
    }

    /// Remembers that this was asked.
    pub(super) fn asked(&mut self, request: &Request) {
        match request {
            Request::Create(create) => {
                self.to_create.remove(&create.id);
                self.unanswered.push_back(create.id);
            }
            Request::Cancel(_) => _ = self.to_cancel.pop_front(),
        }
    }

    /// Which watch an answer is about that says how one began.
    pub(super) fn answered(&mut self) -> Option<i64> {
        self.unanswered.pop_front()
    }
}

/// Gives back what a map has taken for many more than are left.
fn fit<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > SMALL.max(map.len() * 4) {
        map.shrink_to(map.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(book: &mut Book) -> Option<String> {
        let request = book.request()?;
        book.asked(&request);
        Some(match request {
            Request::Create(Create { id, key, from }) => format!("create {id} {key} {from:?}"),
            Request::Cancel(id) => format!("cancel {id}"),
        })
    }

    #[test]
    fn what_is_removed_before_it_was_asked_for_is_never_asked_for() {
        let mut book = Book::default();
        book.add("a", None);
        book.add("b", Some(7));
        book.remove("a");
        assert_eq!(ask(&mut book).unwrap(), "create 2 b Some(7)");
        book.remove("b");
        book.add("b", None);
        assert_eq!(ask(&mut book).unwrap(), "cancel 2");
        assert_eq!(ask(&mut book).unwrap(), "create 3 b None");
        assert_eq!(ask(&mut book), None);
        assert_eq!((book.answered(), book.answered(), book.answered()), (Some(2), Some(3), None));
        assert_eq!((book.key(2), book.key(3)), (None, Some(&"b".into())));
    }

    #[test]
    fn what_has_ended_is_cancelled_once() {
        let mut book = Book::default();
        book.add("a", None);
        ask(&mut book);
        assert_eq!(book.end(1), Some("a".into()));
        assert_eq!((book.end(1), book.forget(1)), (None, None));
        book.remove("a");
        assert_eq!(ask(&mut book).unwrap(), "cancel 1");
        assert_eq!(ask(&mut book), None);
    }

    #[test]
    fn many_that_are_gone_leave_nothing() {
        let mut book = Book::default();
        for n in 0..10_000 {
            book.add(&n.to_string(), None);
        }
        for n in 0..9_999 {
            book.remove(&n.to_string());
        }
        assert!(book.keys.capacity() <= 2 * SMALL && book.ids.capacity() <= 2 * SMALL);
        assert!(book.to_cancel.is_empty());
        assert_eq!(ask(&mut book).unwrap(), "create 10000 9999 None");
    }
}
