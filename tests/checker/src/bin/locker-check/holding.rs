//! What a worker holds, as it records it itself.

use crate::Result;
use locker_check::record::{Kind, Record, SIZE};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long to wait for a worker to have a lock.
const PATIENCE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(1);

/// Follows the history from its present end on.
pub(crate) struct Holding {
    history: File,
    place: u64,
    pid: u32,
    tokens: HashSet<(u32, u64)>,
}

impl Holding {
    pub(crate) fn of(pid: u32, history: &Path) -> Result<Self> {
        let mut history = File::open(history)?;
        let place = history.seek(SeekFrom::End(0))?;
        Ok(Holding { history, place, pid, tokens: HashSet::new() })
    }

    /// Whether it has a lock, as far as it has recorded.
    pub(crate) fn now(&mut self) -> Result<bool> {
        let mut bytes = [0; SIZE];
        self.history.seek(SeekFrom::Start(self.place))?;
        while self.history.read_exact(&mut bytes).is_ok() {
            self.place += SIZE as u64;
            match Record::from_bytes(&bytes) {
                Ok(record) if record.pid == self.pid => self.learn(&record),
                _ => (),
            }
        }
        Ok(!self.tokens.is_empty())
    }

    fn learn(&mut self, record: &Record) {
        let hold = (record.lock, record.token);
        match record.kind {
            Kind::AcqRet => _ = self.tokens.insert(hold),
            Kind::RelCall | Kind::Lost => _ = self.tokens.remove(&hold),
            _ => (),
        }
    }

    /// Waits until it has one, if it soon has.
    pub(crate) fn begun(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.now()? && Instant::now() < until {
            sleep(TICK);
        }
        Ok(())
    }
}
