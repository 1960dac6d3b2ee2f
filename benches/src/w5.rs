//! W5: one change, of which many watchers of one client are told; and what is known from watching, asked for from memory.

use crate::Result;
use crate::bench::Bench;
use crate::child::Timed;
use crate::ratio::{median, quantile, take_turns};
use crate::row::{FASTER, Row, Sides};
use crate::who::Who;
use serde::Deserialize;

const WATCHERS: usize = 1000;
const CHANGES: usize = 20;
const SIDES: [Who; 2] = [Who::Rust, Who::Concurrency];
/// How often it is asked for, in a turn: not so long that others get the processor meanwhile.
const ASKED: usize = 20_000;

#[derive(Deserialize)]
struct Times {
    times: Vec<f64>,
}

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = cached(bench)?;
    rows.push(fan_out(bench)?);
    Ok(rows)
}

fn cached(bench: &Bench) -> Result<Vec<Row>> {
    let etcd = bench.etcd();
    let languages = [(Who::Rust, "ns", 1e9, 100.0), (Who::Python, "µs", 1e6, 1.0)];
    let children = languages.iter().map(|(who, ..)| who.start(&etcd.endpoint()));
    let mut children = children.collect::<Result<Vec<_>>>()?;
    let seconds = take_turns(languages.len(), bench.pick(5, 31), |n| {
        let asked: Timed = children[n].ask(&format!("cached w5-cached {ASKED}"))?;
        Ok(asked.seconds / ASKED as f64)
    })?;
    let rows = languages.iter().zip(seconds).map(|((who, unit, scale, goal), seconds)| {
        let times: Vec<_> = seconds.iter().map(|seconds| seconds * scale).collect();
        let what = format!("cached get by {} (best round)", who.name());
        // It is processor time and nothing else: what makes it longer is what others do.
        Row::new("w5_cached", &what, "", unit, &times).in_all(quantile(&times, 0.0)).at_most(*goal)
    });
    Ok(rows.collect())
}

fn fan_out(bench: &Bench) -> Result<Row> {
    let etcd = bench.etcd();
    let mut children = SIDES.iter().map(|who| who.start(&etcd.endpoint())).collect::<Result<Vec<_>>>()?;
    let millis = take_turns(SIDES.len(), bench.pick(3, 31), |n| {
        let told: Times = children[n].ask(&format!("fanout w5 {WATCHERS} {CHANGES}"))?;
        Ok(median(&told.times) * 1000.0)
    })?;
    let sides = Sides { ours: &millis[0], theirs: &millis[1], unit: "ms" };
    let what = format!("one change told to {WATCHERS} watchers");
    Ok(Row::ratio("w5_fanout", &what, "Go client v3", FASTER, sides).at_least(30.0))
}
