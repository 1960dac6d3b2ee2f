//! Who holds a lock, as others see it.

use crate::key;
use crate::store::KeyValue;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// Who holds a lock. A token of 0 says that nobody does.
///
/// Two are equal if they say the same of the lock, at whatever [`revision`](Info::revision).
#[derive(Clone, Debug, Default, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The lock.
    pub name: String,
    /// The holder's fencing token; 0 when the lock is free.
    pub token: i64,
    /// How it is held.
    pub mode: Mode,
    /// What its holder published with [`Lock::value`](crate::Lock::value). Of a foreign holder (`etcdctl lock`, Go's
    /// `concurrency`) the value of its key, as it is.
    pub value: String,
    /// Why it is held, if the holder said so with [`Lock::reason`](crate::Lock::reason).
    pub reason: String,
    /// The holder's host name.
    pub host: String,
    /// The holder's process id on that host; 0 when not known.
    pub pid: u32,
    /// The holder's program name.
    pub program: String,
    /// When its holder asked for it, by the clock of the holder's machine.
    pub since: Option<SystemTime>,
    /// How many hold it: more than one only if it is [shared](Mode::Shared). All else here is of the one who has held it
    /// for the longest time.
    pub holders: u32,
    /// How many may hold it at the same time, if it is shared with a [limit](crate::Lock::limit); else 0.
    pub limit: u32,
    /// How many wait behind those who hold it: clients, of which one may want it many times.
    pub waiters: u32,
    /// How long the holder's lease would last if it were not kept alive from now on. Not told by this release: always
    /// `None`.
    pub lease_left: Option<Duration>,
    /// The revision of etcd at which it was so; 0 when not known. It rises with every write to etcd, of whatever key. Of
    /// two that were told, the one with the higher revision is the later one.
    pub revision: i64,
    /// Of the holder, where it was read from etcd.
    pub(crate) key: String,
}

impl PartialEq for Info {
    fn eq(&self, other: &Self) -> bool {
        let Info { name, token, mode, value, reason, host, pid, program, since, holders, limit, .. } = self;
        let Info { waiters, lease_left, revision: _, key, .. } = self;
        (name, token, mode, value, reason, host)
            == (&other.name, &other.token, &other.mode, &other.value, &other.reason, &other.host)
            && (pid, program, since, holders, limit)
                == (&other.pid, &other.program, &other.since, &other.holders, &other.limit)
            && (waiters, lease_left, key) == (&other.waiters, &other.lease_left, &other.key)
    }
}

impl Info {
    /// Whether somebody holds the lock.
    pub fn held(&self) -> bool {
        self.token != 0
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Nobody holds it.
    #[default]
    Free,
    /// By one holder at a time.
    Exclusive,
    /// By several at the same time: see [`Lock::shared`](crate::Lock::shared).
    Shared,
    /// By something that is not locker: `etcdctl lock`, Go's `concurrency`, a key written by hand.
    Foreign,
}

impl Mode {
    /// The name of this mode, the same in every language: "free", "exclusive", "shared" or "foreign".
    pub fn name(self) -> &'static str {
        match self {
            Mode::Free => "free",
            Mode::Exclusive => "exclusive",
            Mode::Shared => "shared",
            Mode::Foreign => "foreign",
        }
    }
}

/// What a client writes into its key: one JSON object. Fields that a later release adds are kept when it is rewritten.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The version of this layout.
    pub(crate) v: u32,
    #[serde(default)]
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) host: String,
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) program: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// Milliseconds since 1970, when it was asked for.
    #[serde(default)]
    pub(crate) since: u64,
    #[serde(flatten)]
    pub(crate) unknown: serde_json::Map<String, serde_json::Value>,
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record is strings and numbers")
    }

    /// Who holds the lock `name` with this record.
    pub(crate) fn into_info(self, name: &str, token: i64) -> Info {
        Info {
            name: name.into(),
            token,
            mode: Mode::Exclusive,
            holders: 1,
            value: self.value,
            reason: self.reason,
            host: self.host,
            pid: self.pid,
            program: self.program,
            since: (self.since > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(self.since)),
            ..Info::default()
        }
    }
}

impl Info {
    /// A lock that nobody holds.
    pub(crate) fn free(name: &str) -> Self {
        Info { name: name.into(), ..Info::default() }
    }

    /// The same, of one who shares it if it has such a limit.
    pub(crate) fn shared(self, limit: Option<u32>) -> Self {
        match limit {
            Some(limit) => Info { mode: Mode::Shared, limit, ..self },
            None => self,
        }
    }

    /// The holder of the lock `name`, whose queue starts with `queue`, from its key.
    pub(crate) fn of_key(name: &str, queue: &str, kv: &KeyValue) -> Self {
        let info = match serde_json::from_slice::<Record>(&kv.value) {
            Ok(record) => record.into_info(name, kv.created).shared(key::limit(queue, &kv.key)),
            Err(_) => Info {
                name: name.into(),
                token: kv.created,
                mode: Mode::Foreign,
                holders: 1,
                value: String::from_utf8_lossy(&kv.value).into_owned(),
                ..Info::default()
            },
        };
        Info { key: String::from_utf8_lossy(&kv.key).into_owned(), ..info }
    }

    /// The holder of the lock `name`: that of its oldest key. So many hold it, of those who have a key.
    pub(crate) fn of_queue(name: &str, queue: &str, oldest: Option<&KeyValue>, holders: usize, count: usize) -> Self {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        match oldest {
            Some(kv) => Info {
                holders: number(holders),
                waiters: number(count.saturating_sub(holders)),
                ..Info::of_key(name, queue, kv)
            },
            None => Info::free(name),
        }
    }

    /// For messages: `held by node-3 pid 4711 (yum) since 2m, reason "upgrade"`; if it is `ours`, `held by a guard of
    /// this very client since 2m, reason "upgrade"`.
    pub(crate) fn describe_holder(&self, ours: bool) -> String {
        if self.mode == Mode::Foreign {
            return "held by something that is not locker".into();
        }
        let mut text = match ours {
            true => "held by a guard of this very client".into(),
            false => format!("held by {} pid {} ({})", self.host, self.pid, self.program),
        };
        if self.holders > 1 {
            text += &format!(" and {} more", self.holders - 1);
        }
        if let Some(age) = self.since.and_then(|since| since.elapsed().ok()) {
            text += &format!(" since {}", age_text(age));
        }
        if !self.reason.is_empty() {
            text += &format!(", reason {:?}", self.reason);
        }
        text
    }
}

fn age_text(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str) -> KeyValue {
        KeyValue { key: b"k".to_vec(), value: value.into(), created: 7, modified: 9, lease: 1 }
    }

    #[test]
    fn foreign_values_are_shown_as_they_are() {
        for value in ["", "proposal", "{}", "[1]", "1", r#"{"value":"x"}"#, "{\"v\":"] {
            let info = Info::of_key("x", "x/", &key(value));
            assert_eq!((info.mode, info.token, info.value.as_str()), (Mode::Foreign, 7, value));
        }
        let mut kv = key("");
        kv.value = vec![0xff, b'a'];
        assert_eq!(Info::of_key("x", "x/", &kv).value, "\u{fffd}a");
    }

    #[test]
    fn fields_of_a_later_release_are_kept() {
        let text = r#"{"v":2,"value":"x","host":"h","pid":1,"program":"p","since":1000,"new":{"a":[1]}}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!(String::from_utf8(record.encode()).unwrap(), text);
        let info = record.into_info("n", 3);
        assert_eq!(info.since, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
        assert_eq!((info.host.as_str(), info.pid, info.mode), ("h", 1, Mode::Exclusive));
    }

    #[test]
    fn the_holder_in_words() {
        let info = Info {
            host: "node-3".into(),
            pid: 4711,
            program: "yum".into(),
            reason: "up \"grade\"".into(),
            since: SystemTime::now().checked_sub(Duration::from_secs(130)),
            mode: Mode::Exclusive,
            ..Info::default()
        };
        assert_eq!(
            info.describe_holder(true),
            r#"held by a guard of this very client since 2m, reason "up \"grade\"""#
        );
        assert_eq!(info.describe_holder(false), r#"held by node-3 pid 4711 (yum) since 2m, reason "up \"grade\"""#);
    }
}
