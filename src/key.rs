//! The layout of keys in etcd. No other file knows it.
//!
//! ```text
//! {prefix}{name}/{lease}-{n}             a client in a queue; the lowest create revision under {prefix}{name}/ holds the lock
//! {prefix}{name}/s/{limit}/{lease}-{n}   one who shares it with others, see share.rs
//! {prefix}%!/epoch/{lease}               a client's epoch, see epoch.rs
//! ```
//!
//! It is the layout of Go's `clientv3/concurrency`, which looks only at the prefix `{prefix}{name}/` and at create
//! revisions; so `etcdctl lock`, `etcdctl elect` and every Go program wait in the same queue. In a name `/`, `%` and
//! control bytes are written `%XX`: no lock lies under another, and no name reaches the bookkeeping under `%!/`.

use crate::{Error, NAME_MAX, Result};

/// The keys of one client.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// Fails with `Invalid` if `prefix` cannot be part of a key.
    pub(crate) fn new(prefix: String) -> Result<Self> {
        no_nul("prefix", &prefix)?;
        if prefix.len() > 1024 {
            return Err(Error::invalid(format!("prefix is too long: {} bytes of at most 1024", prefix.len())));
        }
        Ok(Keys { prefix })
    }

    /// The common start of all keys in the queue of the lock `name`.
    pub(crate) fn queue(&self, name: &str) -> Result<String> {
        check_text("name", name, NAME_MAX)?;
        if name.is_empty() {
            return Err(Error::invalid("name is empty"));
        }
        Ok(format!("{}{}/", self.prefix, encode(name)))
    }

    /// The key of a client's epoch.
    pub(crate) fn epoch(&self, lease: i64) -> String {
        format!("{}%!/epoch/{lease:x}", self.prefix)
    }

    /// A key that never exists, to ask whether etcd answers and lets us read under the prefix.
    pub(crate) fn probe(&self) -> String {
        format!("{}%!/", self.prefix)
    }
}

/// The key number `number` of the client with `lease`, in the queue that starts with `queue`.
pub(crate) fn place(queue: &str, lease: i64, number: u32) -> String {
    format!("{queue}{lease:x}-{number}")
}

/// The start of the queue in which a key lies; of two keys of one queue the same. A prefix and a name can look like those
/// who share another lock: what could be either is one queue here.
pub(crate) fn queue_of(key: &str) -> &str {
    let room = &key[..key.rfind('/').map_or(0, |slash| slash + 1)];
    let shared = || {
        let (queue, limit) = room.strip_suffix('/')?.rsplit_once("/s/")?;
        limit.parse::<u32>().ok()?;
        Some(&room[..queue.len() + 1])
    };
    shared().map_or(room, queue_of)
}

/// Where the keys of those lie who share a lock, in the queue that starts with `queue`.
pub(crate) fn shared(queue: &str, limit: u32) -> String {
    format!("{queue}s/{limit}/")
}

/// Where all those lie who share a lock, whatever their limit: from the first on, and before the second.
pub(crate) fn all_shared(queue: &str) -> (String, String) {
    (format!("{queue}s/"), format!("{queue}s0"))
}

/// The limit that a key says, if it is of one who shares the lock of this queue.
pub(crate) fn limit(queue: &str, key: &[u8]) -> Option<u32> {
    let rest = std::str::from_utf8(key.strip_prefix(queue.as_bytes())?).ok()?;
    let (limit, _) = rest.strip_prefix("s/")?.split_once('/')?;
    limit.parse().ok()
}

/// The number of a key that is of the client with `lease`.
pub(crate) fn number(key: &[u8], lease: i64) -> Option<u32> {
    let last = key.rsplit(|byte| *byte == b'/').next()?;
    let (of, number) = std::str::from_utf8(last).ok()?.split_once('-')?;
    if i64::from_str_radix(of, 16) != Ok(lease) {
        return None;
    }
    number.parse().ok()
}

/// Refuses text that is too long or that C could not carry.
pub(crate) fn check_text(argument: &str, text: &str, max: usize) -> Result<()> {
    no_nul(argument, text)?;
    match text.len() {
        length if length > max => {
            Err(Error::invalid(format!("{argument} is too long: {length} bytes of at most {max}")))
        }
        _ => Ok(()),
    }
}

fn no_nul(argument: &str, text: &str) -> Result<()> {
    match text.find('\0') {
        Some(at) => Err(Error::invalid(format!("{argument} contains a NUL at byte {at}"))),
        None => Ok(()),
    }
}

fn encode(name: &str) -> String {
    name.chars().fold(String::with_capacity(name.len()), |mut encoded, c| {
        match c {
            '/' | '%' | '\0'..='\x1f' | '\x7f' => encoded.push_str(&format!("%{:02X}", c as u32)),
            _ => encoded.push(c),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn queue(name: &str) -> Result<String> {
        Keys::new("/locker/".into()).unwrap().queue(name)
    }

    #[test]
    fn plain_names_are_as_etcdctl_writes_them() {
        let keys = Keys::new(String::new()).unwrap();
        assert_eq!(keys.queue("db-migrate").unwrap(), "db-migrate/");
        assert_eq!(place("db-migrate/", 0x694d71ddacfda227, 7), "db-migrate/694d71ddacfda227-7");
    }

    #[test]
    fn the_number_of_a_key_is_read_back_from_our_own_alone() {
        let key = place("/a%2Fb/", 0x1f, 12);
        assert_eq!((number(key.as_bytes(), 0x1f), number(key.as_bytes(), 0x1e)), (Some(12), None));
        for other in ["/a/1f", "/a/1f-", "/a/1f-x", "1f", "", "/%!/epoch/1f"] {
            assert_eq!(number(other.as_bytes(), 0x1f), None, "{other}");
        }
        assert_eq!(queue_of(&key), "/a%2Fb/");
    }

    #[test]
    fn who_shares_a_lock_is_in_its_queue() {
        let queue = "/locker/s/";
        let room = shared(queue, 12);
        let key = place(&room, 0x1f, 3);
        assert_eq!(key, "/locker/s/s/12/1f-3");
        assert_eq!(
            (queue_of(&key), limit(queue, key.as_bytes()), number(key.as_bytes(), 0x1f)),
            (queue, Some(12), Some(3))
        );
        let (from, to) = all_shared(queue);
        assert!((from.as_str()..to.as_str()).contains(&key.as_str()));
        for exclusive in ["/locker/s/1f-3", "/locker/s/ff-3", "/locker/s/s", "/locker/s/s/1f", "/locker/s/s/x/1f-1"] {
            assert_eq!(limit(queue, exclusive.as_bytes()), None, "{exclusive}");
        }
        assert_eq!(queue_of("/locker/s/1f-3"), queue);
        // The lock 5 of those with this prefix, alone and shared.
        let [alone, together] = ["/svc/s/5/", &shared("/svc/s/5/", 2)].map(|room| place(room, 0x1f, 1));
        assert_eq!(queue_of(&alone), queue_of(&together));
    }

    #[test]
    fn no_queue_lies_under_another() {
        let names = ["a", "a/b", "a/", "/", "%", "a%2Fb", "%!", "é", "\n", "a b"];
        let queues: Vec<_> = names.iter().map(|name| queue(name).unwrap()).collect();
        for (i, one) in queues.iter().enumerate() {
            for (j, other) in queues.iter().enumerate() {
                assert!(i == j || !other.starts_with(one), "{other} lies under {one}");
            }
            assert!(!one.starts_with("/locker/%!/"), "{one} is bookkeeping");
        }
    }

    /// `%XX` as the character that it stands for.
    fn decode(text: &str) -> String {
        let mut parts = text.split('%');
        let first = parts.next().unwrap_or_default().to_string();
        parts.fold(first, |decoded, part| {
            let code = u8::from_str_radix(&part[..2], 16).unwrap();
            decoded + &char::from(code).to_string() + &part[2..]
        })
    }

    #[test]
    fn whatever_the_name_is_it_can_be_read_back_and_is_nobody_elses() {
        const PARTS: [&str; 14] = ["/", "%", "2", "F", "!", "%2F", "%!", "é", "\n", "\x7f", "\x1f", " ", "a", "epoch"];
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut any = || (0..random.usize(1..8)).map(|_| PARTS[random.usize(..PARTS.len())]).collect::<String>();
        for _ in 0..100_000 {
            let (one, other) = (any(), any());
            let (key, other_key) = (queue(&one).unwrap(), queue(&other).unwrap());
            let inner = key.strip_prefix("/locker/").and_then(|key| key.strip_suffix('/')).unwrap();
            assert_eq!(decode(inner), one, "seed {seed}");
            assert!(!inner.contains('/') && !key.starts_with("/locker/%!/"), "seed {seed}: {key}");
            assert_eq!(key.starts_with(&other_key), one == other, "seed {seed}: {key} {other_key}");
        }
    }

    #[test]
    fn bad_names_are_named() {
        for (name, message) in [
            ("", "name is empty"),
            (&"x".repeat(256), "name is too long: 256 bytes of at most 255"),
            ("a\0b", "name contains a NUL at byte 1"),
        ] {
            let error = queue(name).unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, message.into()));
        }
        assert!(queue(&"x".repeat(255)).is_ok());
        assert!(queue(&"é".repeat(128)).is_err());
    }
}
