//! The file of records.

use crate::record::{Flaw, Record, SIZE};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The file, to be appended to. Each record is one `write`, which the kernel appends whole, so that processes share it.
#[derive(Debug)]
pub struct History(File);

impl History {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(History(File::options().append(true).create(true).open(path)?))
    }

    /// Appends one record.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        match (&self.0).write(&record.to_bytes())? {
            SIZE => Ok(()),
            length => Err(io::Error::other(format!("only {length} bytes of a record were written"))),
        }
    }
}

/// Why a file is no history.
#[derive(Debug)]
pub enum Damage {
    /// It cannot be read.
    Io(io::Error),
    /// It does not end with a whole record.
    Torn,
    /// The record at this place is none.
    Flawed(usize, Flaw),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Io(error) => write!(f, "cannot be read: {error}"),
            Damage::Torn => write!(f, "ends within a record"),
            Damage::Flawed(place, flaw) => write!(f, "record {place} is damaged: {flaw:?}"),
        }
    }
}

/// All records of a file, in the file's order.
pub fn read(path: &Path) -> Result<Vec<Record>, Damage> {
    let bytes = std::fs::read(path).map_err(Damage::Io)?;
    let (whole, rest) = bytes.as_chunks::<SIZE>();
    if !rest.is_empty() {
        return Err(Damage::Torn);
    }
    let parse = |(place, bytes)| Record::from_bytes(bytes).map_err(|flaw| Damage::Flawed(place, flaw));
    whole.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::{Damage, History, read};
    use crate::record::{Flaw, Kind, Lang, Record};
    use std::fs;

    #[test]
    fn what_threads_append_at_once_comes_back_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        std::thread::scope(|scope| {
            for lock in 0..4 {
                let history = History::open(&path).unwrap();
                scope.spawn(move || {
                    for seq in 0..1000 {
                        history.append(&Record { lock, seq, ..Record::new(Lang::Rust, Kind::HeldTrue) }).unwrap();
                    }
                });
            }
        });
        let records = read(&path).unwrap();
        assert_eq!(records.len(), 4000);
        for lock in 0..4 {
            assert!(records.iter().filter(|record| record.lock == lock).map(|record| record.seq).eq(0..1000));
        }
    }

    #[test]
    fn a_torn_or_damaged_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let good = Record::new(Lang::C, Kind::Start).to_bytes();
        fs::write(&path, [&good[..], &good[..63]].concat()).unwrap();
        assert!(matches!(read(&path), Err(Damage::Torn)));
        let mut bad = good;
        bad[20] ^= 1;
        fs::write(&path, [good, bad].concat()).unwrap();
        assert!(matches!(read(&path), Err(Damage::Flawed(1, Flaw::Checksum))));
        assert!(matches!(read(&directory.path().join("absent")), Err(Damage::Io(_))));
    }
}
