//! One event, in 64 bytes: what `workers/record.h` and `workers/worker.py` write too.

use rustix::time::{ClockId, clock_gettime};
use std::fmt;

/// The length of a record.
pub const SIZE: usize = 64;
/// The bytes that the checksum covers; what follows it is zero.
const COVERED: usize = 48;
const MAGIC: u16 = 0x4b4c;

/// Whose record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Lang {
    Rust = 1,
    C,
    Cpp,
    Go,
    Python,
    /// `locker run`; what it runs writes the records.
    Command,
    /// `etcdctl lock`, in place of `locker run`.
    Etcdctl,
    Nemesis,
    Witness,
}

/// What happened. What is not said here of a field is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A worker begins. Token: its TTL in milliseconds.
    Start = 1,
    /// A worker has ended of itself.
    Done,
    /// Before the lock is asked for. Deadline: when its wait is to end.
    AcqCall,
    /// After that call has given a guard. Deadline: when it would end if etcd were silent from now on.
    AcqRet,
    /// After that call has failed. Revision: the code.
    AcqFail,
    /// The guard said that it is held; the clock was read *before*, so that a pause in between accuses nobody.
    HeldTrue,
    /// Before the release.
    RelCall,
    /// After it. Revision: the code, 0 for released.
    RelRet,
    /// The guard said that the lock is lost; the clock was read after.
    Lost,
    /// The fenced file took a write, in the file's order.
    FencedOk,
    /// The fenced file refused a stale write.
    FencedStale,
    /// A transaction on condition of the lock's key was done, at the revision.
    GuardOk,
    /// It was refused.
    GuardLost,
    /// The naked counter was written. Revision: the number.
    Naked,
    /// A fault begins. Revision: its [`Fault`](crate::faults::What); seq: its number; pid: whom it hits, else 0.
    FaultOn,
    /// It is over. Token: the revision at which something was deleted by hand; 0: not known, `MAX`: nothing.
    FaultOff,
    /// A key came under a lock's name. Token and revision: its create revision.
    Put,
    /// A key went. Token: its create revision. Time 0: found at the end, by reading all again.
    Delete,
}

const LANGS: [Lang; 9] = [
    Lang::Rust,
    Lang::C,
    Lang::Cpp,
    Lang::Go,
    Lang::Python,
    Lang::Command,
    Lang::Etcdctl,
    Lang::Nemesis,
    Lang::Witness,
];

const KINDS: [Kind; 18] = [
    Kind::Start,
    Kind::Done,
    Kind::AcqCall,
    Kind::AcqRet,
    Kind::AcqFail,
    Kind::HeldTrue,
    Kind::RelCall,
    Kind::RelRet,
    Kind::Lost,
    Kind::FencedOk,
    Kind::FencedStale,
    Kind::GuardOk,
    Kind::GuardLost,
    Kind::Naked,
    Kind::FaultOn,
    Kind::FaultOff,
    Kind::Put,
    Kind::Delete,
];

impl Lang {
    /// The language with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        LANGS.into_iter().find(|lang| *lang as u8 == number)
    }
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub lang: Lang,
    /// What.
    pub kind: Kind,
    /// The process.
    pub pid: u32,
    /// The number of the lock.
    pub lock: u32,
    /// Which acquisition of the process.
    pub seq: u32,
    /// The fencing token.
    pub token: u64,
    /// When, in nanoseconds of CLOCK_BOOTTIME.
    pub at: u64,
    /// See [`Kind`].
    pub deadline: u64,
    /// See [`Kind`].
    pub revision: u64,
}

/// Why 64 bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// They do not begin as one.
    Magic,
    /// The checksum is another.
    Checksum,
    /// No such language or kind.
    Unknown,
}

impl Record {
    /// An event of now, to be filled in.
    pub fn new(lang: Lang, kind: Kind) -> Self {
        let pid = std::process::id();
        Record { lang, kind, pid, lock: 0, seq: 0, token: 0, at: now(), deadline: 0, revision: 0 }
    }

    /// As it stands in the file.
    pub fn to_bytes(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0..2].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[2] = self.lang as u8;
        bytes[3] = self.kind as u8;
        for (i, number) in [self.pid, self.lock, self.seq].into_iter().enumerate() {
            bytes[4 + 4 * i..8 + 4 * i].copy_from_slice(&number.to_le_bytes());
        }
        for (i, number) in [self.token, self.at, self.deadline, self.revision].into_iter().enumerate() {
            bytes[16 + 8 * i..24 + 8 * i].copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes[..COVERED]);
        bytes[COVERED..COVERED + 4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// From the file.
    pub fn from_bytes(bytes: &[u8; SIZE]) -> Result<Self, Flaw> {
        let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if bytes[0..2] != MAGIC.to_le_bytes() {
            return Err(Flaw::Magic);
        }
        if short(COVERED) != crc32fast::hash(&bytes[..COVERED]) || bytes[COVERED + 4..] != [0; SIZE - COVERED - 4] {
            return Err(Flaw::Checksum);
        }
        Ok(Record {
            lang: Lang::from_number(bytes[2]).ok_or(Flaw::Unknown)?,
            kind: KINDS.into_iter().find(|kind| *kind as u8 == bytes[3]).ok_or(Flaw::Unknown)?,
            pid: short(4),
            lock: short(8),
            seq: short(12),
            token: long(16),
            at: long(24),
            deadline: long(32),
            revision: long(40),
        })
    }
}

/// CLOCK_BOOTTIME, which all processes of a machine share and which deadlines are counted on.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { lang, kind, pid, lock, seq, token, at, deadline, revision } = self;
        let seconds = |ns: &u64| *ns as f64 / 1e9;
        write!(f, "{:12.6} {lang:?} {pid}/{seq} L{lock} {kind:?}", seconds(at))?;
        write!(f, " token {token} until {:.6} revision {revision}", seconds(deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::{Flaw, KINDS, Kind, LANGS, Lang, Record, SIZE};

    fn sample() -> Record {
        Record { lock: 3, seq: 7, token: u64::MAX, deadline: 9, revision: 1 << 40, ..Record::new(Lang::Go, Kind::Lost) }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        for lang in LANGS {
            for kind in KINDS {
                let record = Record { lang, kind, ..sample() };
                assert_eq!(Record::from_bytes(&record.to_bytes()), Ok(record));
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let whole = sample().to_bytes();
        for bit in 0..SIZE * 8 {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::from_bytes(&bytes).is_err(), "bit {bit}");
        }
        assert_eq!(Record::from_bytes(&[0; SIZE]), Err(Flaw::Magic));
    }

    /// The workers in other languages have lists of their own.
    #[test]
    fn all_have_the_same_kinds_in_the_same_order() {
        let spelled = KINDS.map(|kind| format!("{kind:?}")).map(|name| {
            let parts =
                name.split_inclusive(|_: char| true).map(|letter| match letter.chars().all(char::is_uppercase) {
                    true => format!("_{letter}"),
                    false => letter.to_uppercase(),
                });
            parts.collect::<String>().trim_start_matches('_').to_string()
        });
        let workers = &spelled[..14];
        let words =
            |text: &str| text.split([',', ' ', '\n']).filter(|word| !word.is_empty()).map(String::from).collect();
        let c: Vec<String> =
            words(include_str!("../workers/record.h").split("START = 1").nth(1).unwrap().split('}').next().unwrap());
        assert_eq!(c, workers[1..]);
        let python: Vec<String> = words(
            include_str!("../workers/worker.py")
                .split("PYTHON = 5\n")
                .nth(1)
                .unwrap()
                .split(" = range(1, 12)")
                .next()
                .unwrap(),
        );
        assert_eq!(python, workers[..11]);
        assert!(include_str!("../workers/worker.py").contains("NAKED = 14\n"));
    }

    #[test]
    fn numbers_are_little_endian_at_fixed_places() {
        let bytes = sample().to_bytes();
        assert_eq!(bytes[..4], [0x4c, 0x4b, Lang::Go as u8, Kind::Lost as u8]);
        assert_eq!(bytes[8..16], [3, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(bytes[32..40], [9, 0, 0, 0, 0, 0, 0, 0]);
    }
}
