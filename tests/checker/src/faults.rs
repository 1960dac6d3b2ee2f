//! The faults of a run, and whom they excuse.

use crate::record::{Kind, Record};
use std::collections::HashMap;
use std::fmt;

/// What the nemesis did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// A worker, with all that it had started, stood still.
    Pause = 1,
    /// A worker was killed.
    Kill,
    /// A lock's key was deleted by hand.
    Delete,
    /// A lease was revoked by hand.
    Revoke,
    /// A member of the cluster was killed, later started.
    MemberKill,
    /// A member stood still.
    MemberStop,
    /// The leader was cut from its peers.
    Isolate,
    /// What is sent to an endpoint vanished.
    Hole,
    /// The connections to an endpoint were cut.
    Reset,
    /// Not the nemesis's: the machine itself was late.
    Lag,
}

impl What {
    const ALL: [What; 10] = [
        What::Pause,
        What::Kill,
        What::Delete,
        What::Revoke,
        What::MemberKill,
        What::MemberStop,
        What::Isolate,
        What::Hole,
        What::Reset,
        What::Lag,
    ];

    fn from_number(number: u64) -> Option<Self> {
        What::ALL.into_iter().find(|what| *what as u64 == number)
    }

    /// Somebody has freed a lock without asking its holder.
    pub fn by_hand(self) -> bool {
        matches!(self, What::Delete | What::Revoke)
    }

    /// It makes everybody slow, not only one process.
    pub fn of_all(self) -> bool {
        !matches!(self, What::Pause | What::Kill) && !self.by_hand()
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Its kind.
    pub what: What,
    /// The worker that it hit, else 0.
    pub pid: u32,
    /// The token of the key that went by hand, else 0.
    pub token: u64,
    /// From before it was made.
    pub from: u64,
    /// Until after it was undone; for ever if that was not said.
    pub until: u64,
    /// The revision at which it deleted something by hand; 0: not known, `MAX`: nothing.
    pub revision: u64,
}

/// All faults, and when they were there.
#[derive(Debug, Default)]
pub struct Faults {
    /// In the order in which they began.
    pub list: Vec<Fault>,
    /// Of all processes.
    everywhere: Spans,
    /// Of one process each.
    own: HashMap<u32, Spans>,
    /// Of anybody.
    any: Spans,
}

impl Faults {
    /// From the nemesis's records.
    pub fn new(records: &[Record]) -> Self {
        let mut open: HashMap<u32, usize> = HashMap::new();
        let mut list: Vec<Fault> = Vec::new();
        for record in records {
            match (record.kind, What::from_number(record.revision)) {
                (Kind::FaultOn, Some(what)) => {
                    open.insert(record.seq, list.len());
                    let Record { pid, token, at, .. } = *record;
                    list.push(Fault { what, pid, token, from: at, until: u64::MAX, revision: 0 });
                }
                (Kind::FaultOff, _) => {
                    if let Some(index) = open.remove(&record.seq) {
                        (list[index].until, list[index].revision) = (record.at, record.token);
                    }
                }
                _ => {}
            }
        }
        list.sort_by_key(|fault| fault.from);
        let spans = |wanted: &dyn Fn(&Fault) -> bool| {
            Spans::new(list.iter().filter(|fault| wanted(fault)).map(|fault| (fault.from, fault.until)).collect())
        };
        let everywhere = spans(&|fault| fault.what.of_all());
        let any = spans(&|fault| !fault.what.by_hand());
        let pids: std::collections::HashSet<u32> = list.iter().map(|fault| fault.pid).filter(|pid| *pid != 0).collect();
        let own =
            pids.into_iter().map(|pid| (pid, spans(&|fault| fault.pid == pid && !fault.what.by_hand()))).collect();
        Faults { list, everywhere, own, any }
    }

    /// The end of the last fault that `pid` may have felt in this time; `pid` 0: that anybody may have felt.
    pub fn felt(&self, pid: u32, from: u64, until: u64) -> Option<u64> {
        match pid {
            0 => self.any.meets(from, until),
            _ => {
                let own = self.own.get(&pid).and_then(|spans| spans.meets(from, until));
                own.max(self.everywhere.meets(from, until))
            }
        }
    }

    /// When something that began at `from` should be over at the latest, if it may take `bound` when all is well, and
    /// `recovery` after the end of a fault that `pid` feels.
    pub fn limit(&self, pid: u32, from: u64, bound: u64, recovery: u64) -> u64 {
        let mut limit = from.saturating_add(bound);
        // Each round finds a later fault, of which there are so many.
        while let Some(end) = self.felt(pid, from.saturating_sub(recovery), limit) {
            let later = end.saturating_add(recovery);
            if later <= limit {
                break;
            }
            limit = later;
        }
        limit
    }

    /// Those that hit one worker.
    pub fn of(&self, pid: u32, what: What) -> impl Iterator<Item = &Fault> + Clone {
        self.list.iter().filter(move |fault| fault.pid == pid && fault.what == what)
    }
}

/// Stretches of time, in order and apart from each other.
#[derive(Debug, Default)]
struct Spans(Vec<(u64, u64)>);

impl Spans {
    fn new(mut spans: Vec<(u64, u64)>) -> Self {
        spans.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (from, until) in spans {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(until),
                _ => merged.push((from, until)),
            }
        }
        Spans(merged)
    }

    /// The end of the last of them that has a moment in common with this time.
    fn meets(&self, from: u64, until: u64) -> Option<u64> {
        let before = self.0.partition_point(|span| span.0 <= until);
        self.0[..before].last().map(|span| span.1).filter(|end| *end >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::Spans;

    #[test]
    fn spans_are_merged_and_found() {
        let spans = Spans::new(vec![(30, 40), (5, 10), (8, 20)]);
        assert_eq!(spans.0, [(5, 20), (30, 40)]);
        for (from, until, end) in
            [(0, 4, None), (0, 5, Some(20)), (20, 25, Some(20)), (21, 29, None), (0, 99, Some(40))]
        {
            assert_eq!(spans.meets(from, until), end, "{from}..{until}");
        }
    }
}
