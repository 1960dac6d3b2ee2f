//! Which keys are watched over a stream, under which ids, and what is yet to be asked of etcd.

use super::Create;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Below this many the map is never made smaller.
const SMALL: usize = 64;
/// An id is the number of the add, and below it so many bits with the number of the slot where its key is: so it takes
/// no second map to find that.
const SLOT_BITS: u32 = 24;

/// The watches of one stream. None of their ids is ever used twice.
#[derive(Default)]
pub(super) struct Book {
    /// How often something was added.
    adds: i64,
    ids: HashMap<Arc<str>, i64>,
    slots: Vec<Option<Arc<str>>>,
    /// The slots that are not in use.
    free: Vec<usize>,
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
        let key: Arc<str> = key.into();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(key.clone());
        self.adds += 1;
        let id = self.adds << SLOT_BITS | slot as i64;
        self.ids.insert(key, id);
        self.to_create.insert(id, from);
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
        let key = self.key(id)?.clone();
        self.ids.remove(&key);
        self.slots[slot(id)] = None;
        self.free.push(slot(id));
        if self.ids.capacity() > SMALL.max(self.ids.len() * 4) {
            self.ids.shrink_to(self.ids.len() * 2);
        }
        Some(key)
    }

    /// The key of a watch, unless it was removed.
    pub(super) fn key(&self, id: i64) -> Option<&Arc<str>> {
        self.slots.get(slot(id))?.as_ref().filter(|key| self.ids.get(*key) == Some(&id))
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
        Some(Create { id, key: self.key(id)?.clone(), from })
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

fn slot(id: i64) -> usize {
    (id & ((1 << SLOT_BITS) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked next, with the number of the add.
    fn ask(book: &mut Book) -> Option<String> {
        let request = book.request()?;
        book.asked(&request);
        Some(match request {
            Request::Create(Create { id, key, from }) => format!("create {} {key} {from:?}", id >> SLOT_BITS),
            Request::Cancel(id) => format!("cancel {}", id >> SLOT_BITS),
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
        let (before, now) = (book.answered().unwrap(), book.answered().unwrap());
        assert_eq!(slot(before), slot(now), "it has the place of the one before");
        assert_eq!((book.key(before), book.key(now)), (None, Some(&"b".into())));
        assert_eq!((book.forget(before), book.answered()), (None, None));
    }

    #[test]
    fn what_has_ended_is_cancelled_once() {
        let mut book = Book::default();
        book.add("a", None);
        ask(&mut book);
        let id = book.answered().unwrap();
        assert_eq!(book.end(id), Some("a".into()));
        assert_eq!((book.end(id), book.forget(id)), (None, None));
        book.remove("a");
        assert_eq!(ask(&mut book).unwrap(), "cancel 1");
        assert_eq!(ask(&mut book), None);
    }

    #[test]
    fn many_that_are_gone_leave_little() {
        let mut book = Book::default();
        for n in 0..10_000 {
            book.add(&n.to_string(), None);
        }
        for n in 0..9_999 {
            book.remove(&n.to_string());
        }
        assert!(book.ids.capacity() <= 2 * SMALL && book.to_cancel.is_empty());
        assert_eq!(ask(&mut book).unwrap(), "create 10000 9999 None");
        for n in 0..9_999 {
            book.add(&n.to_string(), None);
        }
        assert_eq!(book.slots.len(), 10_000);
    }
}
