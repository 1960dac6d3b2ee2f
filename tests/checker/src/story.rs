//! Histories written by hand: one in which all is well, and for each check some in which one thing is not.

use crate::MS;
use crate::checks::{self, Rule};
use crate::faults::What;
use crate::record::{Kind, Lang, Record};
use crate::run::Run;
use std::collections::BTreeSet;

/// How many holds there are, one each 40 ms.
const HOLDS: u64 = 200;
const LAST: u64 = HOLDS - 1;
const LOCK: u32 = 1;
/// The two that take turns: even holds are of the first.
const PIDS: [u32; 2] = [101, 102];

struct Story(Vec<Record>);

fn record(lang: Lang, kind: Kind, pid: u32, seq: u64, ms: u64) -> Record {
    let (seq, at) = (seq as u32, (1000 + ms) * MS);
    Record { lang, kind, pid, lock: LOCK, seq, token: 0, at, deadline: 0, revision: 0 }
}

/// The revision at which the key of a hold came; it goes when the next is there, 15 later.
fn token(hold: u64) -> u64 {
    10 + 10 * hold
}

/// Of a hold.
fn of(hold: u64, kind: Kind, ms: u64) -> Record {
    let place = (hold % 2) as usize;
    let record = record([Lang::Rust, Lang::C][place], kind, PIDS[place], hold + 1, hold * 40 + ms);
    Record { token: token(hold), ..record }
}

fn fault(number: u64, kind: Kind, what: What, pid: u32, ms: u64) -> Record {
    Record { revision: what as u64, ..record(Lang::Nemesis, kind, pid, number, ms) }
}

impl Story {
    /// Two workers take turns; each waits while the other holds. Early on a member of the cluster is killed.
    fn good() -> Self {
        let mut records: Vec<Record> = Vec::new();
        let worker = |place: usize, kind, ms| record([Lang::Rust, Lang::C][place], kind, PIDS[place], 0, ms);
        records.extend([0, 1].map(|place| Record { token: 2000, ..worker(place, Kind::Start, 0) }));
        records.extend(
            [(Kind::FaultOn, 1000), (Kind::FaultOff, 1100)].map(|(k, ms)| fault(1, k, What::MemberKill, 0, ms)),
        );
        for hold in 0..HOLDS {
            let deadline = (1000 + hold * 40 + 1500) * MS;
            let revision = token(hold);
            records.extend([
                Record { token: 0, ..of(hold, Kind::AcqCall, 5) },
                Record { lang: Lang::Witness, pid: 1, seq: 0, revision, ..of(hold, Kind::Put, 8) },
                Record { deadline, ..of(hold, Kind::AcqRet, 50) },
                Record { deadline, ..of(hold, Kind::HeldTrue, 60) },
                of(hold, Kind::FencedOk, 61),
                Record { revision: revision + 12, ..of(hold, Kind::GuardOk, 62) },
                of(hold, Kind::RelCall, 80),
                Record { lang: Lang::Witness, pid: 1, seq: 0, revision: revision + 15, ..of(hold, Kind::Delete, 83) },
                of(hold, Kind::RelRet, 84),
            ]);
        }
        records.extend([0, 1].map(|place| worker(place, Kind::Done, HOLDS * 40 + 1000)));
        Story(records)
    }

    fn add(mut self, record: Record) -> Self {
        self.0.push(record);
        self
    }

    fn without(mut self, unwanted: impl Fn(&Record) -> bool) -> Self {
        self.0.retain(|record| !unwanted(record));
        self
    }

    /// Changes one record of a hold.
    fn edit(mut self, hold: u64, kind: Kind, change: impl Fn(&mut Record)) -> Self {
        let mut found = self.0.iter_mut().filter(|record| record.token == token(hold) && record.kind == kind);
        change(found.next().expect("such a record"));
        self
    }

    /// Has it happen so many milliseconds after the hold's beginning.
    fn moved(self, hold: u64, kind: Kind, ms: u64) -> Self {
        self.edit(hold, kind, |record| record.at = of(hold, kind, ms).at)
    }

    fn broken(self) -> BTreeSet<Rule> {
        checks::all(&Run::new(self.0)).iter().map(|violation| violation.rule).collect()
    }

    /// Breaks this promise, and no other.
    fn breaks(self, rule: Rule) {
        assert_eq!(self.broken(), BTreeSet::from([rule]));
    }

    fn keeps_all(self) {
        assert_eq!(self.broken(), BTreeSet::new());
    }
}

#[test]
fn a_good_history_is_well() {
    Story::good().keeps_all();
}

#[test]
fn c1_two_at_a_time() {
    Story::good().moved(3, Kind::RelCall, 100).breaks(Rule::Exclusion);
    // Nobody released it, but its time was over.
    let silent =
        |story: Story| story.without(|r| r.token == token(3) && matches!(r.kind, Kind::RelCall | Kind::RelRet));
    let ends = |ms| move |record: &mut Record| record.deadline = of(3, Kind::Lost, ms).at;
    let until = |ms| silent(Story::good()).edit(3, Kind::AcqRet, ends(ms)).edit(3, Kind::HeldTrue, ends(ms));
    until(89).keeps_all();
    until(91).breaks(Rule::Exclusion);
}

#[test]
fn c1_within_a_long_hold() {
    // Holds 4 and 5 both lie in hold 3, and 5 does not overlap 4.
    Story::good().moved(3, Kind::RelCall, 160).breaks(Rule::Exclusion);
}

#[test]
fn c1_a_lock_that_was_freed_by_hand() {
    let late = || Story::good().moved(3, Kind::RelCall, 100);
    let on = Record { token: token(3), ..fault(2, Kind::FaultOn, What::Delete, 0, 3 * 40 + 82) };
    let off = |token| Record { token, ..fault(2, Kind::FaultOff, What::Delete, 0, 3 * 40 + 84) };
    late().add(on).add(off(0)).keeps_all();
    late().add(Record { token: 0, ..on }).add(off(token(3) + 15)).keeps_all();
    // By hand, but another's.
    late().add(Record { token: token(9), ..on }).add(off(token(9) + 15)).breaks(Rule::Exclusion);
}

#[test]
fn c1_a_command_that_was_paused() {
    const HELD: u64 = 53;
    let command = || {
        let mut story =
            Story::good().without(|r| r.token == token(HELD) && matches!(r.kind, Kind::RelCall | Kind::RelRet));
        story.0.iter_mut().filter(|record| record.pid == PIDS[1] && u64::from(record.seq) == HELD + 1).for_each(
            |record| {
                (record.lang, record.deadline) = (Lang::Command, record.at);
            },
        );
        story.add(Record { lang: Lang::Command, ..of(HELD, Kind::HeldTrue, 131) })
    };
    let both = BTreeSet::from([Rule::Exclusion, Rule::HeldAlone]);
    assert_eq!(command().broken(), both);
    let pause = |kind, ms: u64| fault(2, kind, What::Pause, PIDS[1], HELD * 40 + ms);
    command().add(pause(Kind::FaultOn, 70)).add(pause(Kind::FaultOff, 120)).keeps_all();
    // But not for longer than it takes to stop it.
    let earlier =
        |kind, ms: i64| pause(kind, 0).at.checked_add_signed(ms * MS as i64).map(|at| Record { at, ..pause(kind, 0) });
    let [on, off] = [(Kind::FaultOn, -200), (Kind::FaultOff, 131 - 251)].map(|(kind, ms)| earlier(kind, ms).unwrap());
    assert_eq!(command().add(on).add(off).broken(), both);
}

#[test]
fn c1b_held_in_anothers_time() {
    let late = |ms| Story::good().moved(3, Kind::RelRet, 99).add(of(3, Kind::HeldTrue, ms));
    late(89).keeps_all();
    late(95).breaks(Rule::HeldAlone);
}

#[test]
fn c2_tokens() {
    let other = Story::good().edit(5, Kind::AcqRet, |record| record.token += 1);
    other.without(|r| r.kind == Kind::GuardOk && r.token == token(5)).breaks(Rule::Tokens);
    let swapped = Story::good().without(|r| r.kind == Kind::GuardOk && (token(5)..=token(6)).contains(&r.token));
    let swapped = swapped.edit(5, Kind::AcqRet, |record| record.token = 1);
    let swapped = swapped.edit(6, Kind::AcqRet, |record| record.token = token(5));
    let mut swapped = swapped;
    swapped.0.iter_mut().filter(|record| record.token == 1).for_each(|record| record.token = token(6));
    swapped.breaks(Rule::Tokens);
}

#[test]
fn c2_one_token_for_two() {
    let story = Story::good().edit(LAST, Kind::AcqRet, |record| record.token = token(LAST - 2));
    story.without(|r| r.kind == Kind::GuardOk && r.token == token(LAST)).breaks(Rule::Tokens);
}

#[test]
fn c3_a_stale_write_that_was_taken() {
    Story::good().add(of(5, Kind::FencedOk, 9000)).breaks(Rule::Fence);
}

#[test]
fn c3b_pauses_without_stale_writes() {
    let paused = |count: u64| {
        (2..2 + count).fold(Story::good(), |story, number| {
            let pause = |kind, ms| fault(number, kind, What::Pause, 999, 2000 + number * 100 + ms);
            story.add(pause(Kind::FaultOn, 0)).add(pause(Kind::FaultOff, 50))
        })
    };
    paused(9).keeps_all();
    paused(10).breaks(Rule::FenceTried);
    paused(10).add(of(5, Kind::FencedStale, 9000)).keeps_all();
}

#[test]
fn c4_a_write_without_the_key() {
    Story::good().edit(5, Kind::GuardOk, |record| record.revision += 3).breaks(Rule::Guarded);
    Story::good().edit(LAST, Kind::GuardOk, |record| record.revision = 5).breaks(Rule::Guarded);
}

#[test]
fn c5_whose_turn_it_is() {
    let late = |ms| {
        let shift = |record: &mut Record| record.at += ms * MS;
        let kinds = [Kind::AcqRet, Kind::HeldTrue, Kind::RelCall, Kind::Delete, Kind::RelRet];
        kinds.into_iter().fold(Story::good(), |story, kind| story.edit(LAST, kind, shift))
    };
    late(1400).keeps_all();
    late(1600).breaks(Rule::Liveness);
    // A fault that ended meanwhile explains it.
    let pause = |kind, ms| fault(2, kind, What::Pause, PIDS[(LAST % 2) as usize], LAST * 40 + ms);
    late(1600).add(pause(Kind::FaultOn, 0)).add(pause(Kind::FaultOff, 900)).keeps_all();
}

#[test]
fn c5_a_dead_holder() {
    let dead = |ms| {
        let ended = |r: &Record| r.token == token(LAST) && matches!(r.kind, Kind::RelCall | Kind::RelRet);
        let killed = fault(2, Kind::FaultOn, What::Kill, PIDS[(LAST % 2) as usize], LAST * 40 + 70);
        Story::good().without(ended).moved(LAST, Kind::Delete, ms).add(killed)
    };
    dead(70 + 2990).keeps_all();
    dead(70 + 3010).breaks(Rule::Liveness);
}

#[test]
fn c6_a_loss_that_is_told_late() {
    let gone = |ms| {
        Story::good()
            .moved(LAST, Kind::Delete, 61)
            .moved(LAST, Kind::RelCall, 900)
            .moved(LAST, Kind::RelRet, 901)
            .add(of(LAST, Kind::HeldTrue, ms))
    };
    gone(300).keeps_all();
    gone(320).breaks(Rule::Loss);
}

#[test]
fn c6_a_loss_without_a_cause() {
    let lost =
        |ms| Story::good().moved(LAST, Kind::Delete, ms).moved(LAST, Kind::RelRet, ms).add(of(LAST, Kind::Lost, 70));
    lost(69).keeps_all();
    lost(400).breaks(Rule::Loss);
    let hole = |kind, ms| fault(2, kind, What::Hole, 0, LAST * 40 + ms);
    lost(400).add(hole(Kind::FaultOn, 0)).add(hole(Kind::FaultOff, 10)).keeps_all();
}

#[test]
fn c7_held_after_its_end() {
    let lost = |ms| {
        Story::good().moved(LAST, Kind::Delete, 65).add(of(LAST, Kind::Lost, 70)).add(of(LAST, Kind::HeldTrue, ms))
    };
    lost(69).keeps_all();
    lost(71).breaks(Rule::Finality);
}

#[test]
fn c8_not_its_turn() {
    let older = Record { token: 7, revision: 7, ..record(Lang::Witness, Kind::Put, 1, 0, 1) };
    Story::good().add(older).breaks(Rule::Order);
    let went = Record { kind: Kind::Delete, revision: 11, ..older };
    Story::good().add(older).add(went).keeps_all();
}

#[test]
fn c9_calls_that_do_not_end_well() {
    let call = || Story::good().add(record(Lang::Rust, Kind::AcqCall, PIDS[0], 999, 9000));
    let failed = |code, ms| Record { revision: code, ..record(Lang::Rust, Kind::AcqFail, PIDS[0], 999, ms) };
    call().breaks(Rule::Calls);
    call().add(failed(1, 14_000)).keeps_all();
    call().add(failed(9, 14_000)).breaks(Rule::Calls);
    call().add(failed(1, 15_100)).breaks(Rule::Calls);
    // Who is killed says nothing any more.
    call().add(fault(2, Kind::FaultOn, What::Kill, PIDS[0], 9500)).keeps_all();
    let unfinished = || Story::good().without(|r| r.kind == Kind::Done && r.pid == PIDS[0]);
    unfinished().breaks(Rule::Calls);
}

#[test]
fn c10_too_little_load() {
    Story::good()
        .without(|r| r.seq > 1 && r.seq % 2 == 1 && r.at < 2000 * MS && r.pid != 1)
        .without(|r| r.lang == Lang::Witness && r.token % 20 == 10 && r.token > 10 && r.at < 2000 * MS)
        .breaks(Rule::Load);
}
