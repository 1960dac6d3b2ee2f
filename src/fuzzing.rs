//! What the targets of `tests/fuzz` reach of the inside. No part of the interface.
#![allow(missing_docs)]

use crate::etcd::{Access, Endpoint, secure_now};
use crate::info::Record;
use crate::key::Keys;
use crate::store::KeyValue;
use crate::{Info, Result};

/// The common start of the keys in the queue of a lock.
pub fn queue(prefix: &str, name: &str) -> Result<String> {
    Keys::new(prefix.into())?.queue(name)
}

/// Who holds a lock whose oldest key has this value, also in words.
pub fn holder(name: &str, value: &[u8]) -> (Info, String) {
    let info = Info::of_key(name, "", &KeyValue { key: Vec::new(), value: value.into(), created: 1, modified: 1 });
    let words = info.describe_holder(false);
    (info, words)
}

/// A record as it is written again; `None` for what is none.
pub fn rewritten(value: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<Record>(value).ok().map(|record| record.encode())
}

/// Whether these addresses are of use.
pub fn endpoints(text: &str) -> Result<()> {
    let access = Access::default();
    secure_now(Endpoint::list(text, &access)?, &access).map(drop)
}
