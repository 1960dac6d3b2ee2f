//! One acquisition, as its worker told it.

use crate::faults::Fault;
use crate::record::{Kind, Lang, Record};
use crate::run::Name;

/// The guard said that it is held.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Not after it said so.
    pub at: u64,
    /// For how long that was to last.
    pub deadline: u64,
}

/// One acquisition. Times are those of the worker's records.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Its worker's language.
    pub lang: Lang,
    /// Its worker.
    pub pid: u32,
    /// Which of its worker's.
    pub seq: u32,
    /// Of which lock.
    pub lock: u32,
    /// 0 if it never was held.
    pub token: u64,
    /// When it was asked for.
    pub called: u64,
    /// When its wait was to end.
    pub patience: u64,
    /// When it was had.
    pub returned: Option<u64>,
    /// When it was refused, and the code.
    pub failed: Option<(u64, u64)>,
    /// When it was held, as often as that was asked.
    pub samples: Vec<Sample>,
    /// When its release began.
    pub release: Option<u64>,
    /// When its release was answered, and the code.
    pub released: Option<(u64, u64)>,
    /// When it was told that it is lost.
    pub lost: Option<u64>,
    /// The revisions of what it wrote on condition of its key.
    pub guarded: Vec<u64>,
    /// When somebody else began to free it by hand.
    pub freed: Option<u64>,
}

impl Hold {
    /// What its key goes by.
    pub fn name(&self) -> Name {
        (self.lock, self.token)
    }

    pub(crate) fn new(record: &Record) -> Self {
        Hold {
            lang: record.lang,
            pid: record.pid,
            seq: record.seq,
            lock: record.lock,
            token: 0,
            called: record.at,
            patience: 0,
            returned: None,
            failed: None,
            samples: Vec::new(),
            release: None,
            released: None,
            lost: None,
            guarded: Vec::new(),
            freed: None,
        }
    }

    /// Adds what one record says of it.
    pub(crate) fn tell(&mut self, record: &Record) {
        let Record { at, deadline, .. } = *record;
        match record.kind {
            Kind::AcqCall => (self.called, self.patience) = (at, deadline),
            Kind::AcqRet => {
                (self.returned, self.token) = (Some(at), record.token);
                self.samples.push(Sample { at, deadline });
            }
            Kind::AcqFail => self.failed = Some((at, record.revision)),
            Kind::HeldTrue => self.samples.push(Sample { at, deadline: deadline.max(at) }),
            Kind::RelCall => self.release = Some(at),
            Kind::RelRet => self.released = Some((at, record.revision)),
            // The first that told it.
            Kind::Lost => self.lost = Some(self.lost.map_or(at, |before| before.min(at))),
            Kind::GuardOk => self.guarded.push(record.revision),
            _ => {}
        }
    }

    /// A command cannot ask for its lock. One that was paused together with `locker` runs on until `locker` has looked
    /// at the clock and stopped it: for that long it does not count that it ran.
    pub(crate) fn forgive<'a>(&mut self, pauses: impl Iterator<Item = &'a Fault> + Clone, notice: u64) {
        self.samples.retain(|sample| {
            let excused = |pause: &Fault| pause.from <= sample.at && sample.at <= pause.until.saturating_add(notice);
            !pauses.clone().any(excused)
        });
    }

    /// From when until when it believed that it holds the lock; `None` if it never did.
    ///
    /// Its end is what its guard said of itself, the latest deadline, unless it was over earlier: by its own release, by
    /// its notice of the loss, or because somebody freed it by hand (then the belief is wrong for a moment, which is a
    /// matter of its own).
    pub fn belief(&self) -> Option<(u64, u64)> {
        let (from, told) = (self.returned?, self.samples.iter().map(|sample| sample.deadline).max()?);
        let until = [self.release, self.lost, self.freed].into_iter().flatten().fold(told, u64::min);
        (self.token != 0 && from < until).then_some((from, until))
    }

    /// When its worker knew how the call for it had ended.
    pub fn answered(&self) -> Option<u64> {
        self.returned.or(self.failed.map(|failed| failed.0)).or(self.released.map(|released| released.0))
    }

    /// When its worker had got rid of it.
    pub fn over(&self) -> Option<u64> {
        [self.lost, self.released.map(|released| released.0)].into_iter().flatten().min()
    }
}
