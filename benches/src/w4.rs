//! W4: a process that holds very many locks and does nothing.

use crate::Result;
use crate::bench::Bench;
use crate::ratio::each_round;
use crate::row::{FASTER, Row, Sides};
use crate::who::Who;
use serde::Deserialize;

const COUNT: usize = 50_000;
/// How many at once, until it has them all.
const CALLERS: usize = 128;
/// Milliseconds: first until it has come to rest, then long enough for whatever it does now and then.
const SETTLE: usize = 3000;
const IDLE: usize = 15_000;
const MIB: f64 = 1_048_576.0;
const SIDES: [Who; 2] = [Who::Rust, Who::Concurrency];

#[derive(Deserialize)]
struct Taken {
    seconds: f64,
    before: f64,
}

#[derive(Deserialize)]
struct Idle {
    seconds: f64,
    cpu: f64,
    resident: f64,
}

/// What one process came to.
struct Figures {
    seconds: f64,
    bytes_each: f64,
    mib: f64,
    idle: f64,
}

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let results = each_round(SIDES.len(), bench.pick(1, 3), |n| turn(bench, SIDES[n]))?;
    let what = format!("{COUNT} locks held by one client");
    let side = |n: usize, figure: fn(&Figures) -> f64| -> Vec<f64> { results[n].iter().map(figure).collect() };
    let row = |id: &str, unit: &str, figure: fn(&Figures) -> f64| {
        Row::figure(id, &what, Sides { ours: &side(0, figure), theirs: &side(1, figure), unit })
    };
    let (ours, theirs) = (side(0, |figures| figures.seconds), side(1, |figures| figures.seconds));
    let sides = Sides { ours: &ours, theirs: &theirs, unit: "s" };
    Ok(vec![
        row("w4_bytes", "bytes each", |figures| figures.bytes_each).at_most(250.0),
        row("w4_bytes", "MiB in all", |figures| figures.mib).at_most(30.0),
        row("w4_idle", "ms CPU per s", |figures| figures.idle).at_most(10.0),
        Row::ratio("w4_acquire", &what, SIDES[1].name(), FASTER, sides).at_least(10.0),
    ])
}

/// A new process on a new etcd: what memory was used before would be used again.
fn turn(bench: &Bench, who: Who) -> Result<Figures> {
    let etcd = bench.etcd();
    let mut child = who.start(&etcd.endpoint())?;
    let taken: Taken = child.ask(&format!("hold w4 {CALLERS} {COUNT}"))?;
    let _: Idle = child.ask(&format!("idle {SETTLE}"))?;
    let idle: Idle = child.ask(&format!("idle {IDLE}"))?;
    Ok(Figures {
        seconds: taken.seconds,
        bytes_each: (idle.resident - taken.before) / COUNT as f64,
        mib: idle.resident / MIB,
        idle: idle.cpu / idle.seconds * 1000.0,
    })
}
