//! The figures of a run.

use crate::checks::{Rule, Violation, load, loss, queue};
use crate::faults::What;
use crate::record::{Kind, Lang};
use crate::run::{Name, Run};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// The figures of a run.
#[derive(Debug)]
pub struct Figures {
    records: usize,
    holds: BTreeMap<Lang, usize>,
    lost: usize,
    faults: BTreeMap<What, usize>,
    overlaps: (usize, usize),
    fenced: (usize, usize, usize),
    guarded: (usize, usize, usize),
    naked: (usize, usize),
    handover: Spread,
    takeover: Spread,
    notice: Spread,
    rates: (f64, f64),
    left: usize,
}

/// The middle, the 99th of a hundred and the worst of some times.
#[derive(Debug)]
struct Spread(Vec<u64>);

impl Figures {
    /// Counted from a run and what its checks found.
    pub fn new(run: &Run, violations: &[Violation]) -> Self {
        let count = |kind| run.records.iter().filter(|record| record.kind == kind).count();
        let broken = |rule| violations.iter().filter(|violation| violation.rule == rule).count();
        let mut holds = BTreeMap::new();
        run.holds
            .iter()
            .filter(|hold| hold.belief().is_some())
            .for_each(|hold| *holds.entry(hold.lang).or_default() += 1);
        let mut faults = BTreeMap::new();
        run.faults.list.iter().for_each(|fault| *faults.entry(fault.what).or_default() += 1);
        Figures {
            records: run.records.len(),
            holds,
            lost: run.holds.iter().filter(|hold| hold.lost.is_some()).count(),
            faults,
            overlaps: (broken(Rule::Tokens) + broken(Rule::Order), broken(Rule::Exclusion) + broken(Rule::HeldAlone)),
            fenced: (count(Kind::FencedOk), count(Kind::FencedStale), broken(Rule::Fence)),
            guarded: (count(Kind::GuardOk), count(Kind::GuardLost), broken(Rule::Guarded)),
            naked: naked(run),
            handover: handovers(run),
            takeover: Spread::new(queue::deaths(run).filter_map(|death| death.delay(run)).collect()),
            notice: notices(run),
            rates: load::rates(run),
            left: run.keys.values().filter(|key| key.gone.is_none()).count(),
        }
    }

    /// How many holds there were.
    pub fn holds(&self) -> usize {
        self.holds.values().sum()
    }

    /// How many faults the nemesis has made.
    pub fn faults(&self) -> usize {
        self.faults.iter().filter(|(what, _)| **what != What::Lag).map(|(_, count)| count).sum()
    }

    /// In how many languages locks were held.
    pub fn languages(&self) -> usize {
        self.holds.len()
    }
}

/// How often the naked counters were written, and how many of these writes are not in their last numbers.
fn naked(run: &Run) -> (usize, usize) {
    let (mut writes, mut last): (usize, HashMap<u32, u64>) = (0, HashMap::new());
    for record in run.records.iter().filter(|record| record.kind == Kind::Naked) {
        writes += 1;
        last.insert(record.lock, record.revision);
    }
    (writes, writes.saturating_sub(last.values().sum::<u64>() as usize))
}

/// From when a key was seen to go, to when the next in the queue had the lock, while nothing was wrong.
fn handovers(run: &Run) -> Spread {
    let held = run.by_name();
    let calm = |(name, from): (Name, u64)| {
        let hold = held.get(&name)?;
        let had = hold.returned?;
        run.faults.felt(hold.pid, from, had).is_none().then(|| had.saturating_sub(from))
    };
    Spread::new(queue::turns(run).into_iter().filter_map(calm).collect())
}

/// From when a held key was freed by hand to when its holder was told, while nothing else was wrong.
fn notices(run: &Run) -> Spread {
    let calm = |hold: &crate::hold::Hold| {
        let (freed, lost) = (hold.freed?, hold.lost?);
        loss::gone_before_release(run, hold)?;
        let told = hold.lang != Lang::Command && run.faults.felt(hold.pid, freed, lost).is_none();
        told.then(|| lost.saturating_sub(freed))
    };
    Spread::new(run.holds.iter().filter_map(calm).collect())
}

impl Spread {
    fn new(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        Spread(times)
    }

    fn at(&self, part: f64) -> f64 {
        let place = (self.0.len() as f64 * part) as usize;
        self.0.get(place.min(self.0.len().saturating_sub(1))).map_or(0.0, |time| *time as f64 / 1e6)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [middle, most, worst] = [0.5, 0.99, 1.0].map(|part| self.at(part));
        write!(f, "{middle:.1} ms in the middle, {most:.1} p99, {worst:.1} at worst, of {}", self.0.len())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: Vec<String>| items.join(", ");
        let holds = list(self.holds.iter().map(|(lang, count)| format!("{lang:?} {count}")).collect());
        let faults = list(self.faults.iter().map(|(what, count)| format!("{what} {count}")).collect());
        writeln!(f, "holds              {} ({holds}), {} of them lost", self.holds(), self.lost)?;
        writeln!(f, "faults             {} ({faults})", self.faults())?;
        writeln!(f, "overlaps           {} by token, {} by time", self.overlaps.0, self.overlaps.1)?;
        let (ok, stale, wrong) = self.fenced;
        writeln!(f, "fenced file        {ok} writes taken, {stale} stale ones refused, {wrong} stale ones taken")?;
        let (ok, stale, wrong) = self.guarded;
        writeln!(f, "guarded key        {ok} writes taken, {stale} refused, {wrong} taken without the lock")?;
        writeln!(f, "naked counter      {} updates, {} of them lost", self.naked.0, self.naked.1)?;
        writeln!(f, "handover           {}", self.handover)?;
        writeln!(f, "free after a kill  {} (beyond the TTL)", self.takeover)?;
        writeln!(f, "notice of a loss   {}", self.notice)?;
        writeln!(
            f,
            "load               {:.1} holds/s before the faults, {:.1} from then on",
            self.rates.0, self.rates.1
        )?;
        write!(f, "left behind        {} keys; {} records", self.left, self.records)
    }
}
