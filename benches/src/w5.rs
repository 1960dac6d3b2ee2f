//! W5: one change, of which many watchers of one client are told.

use crate::Result;
use crate::bench::Bench;
use crate::ratio::{median, take_turns};
use crate::row::{FASTER, Row, Sides};
use crate::who::Who;
use serde::Deserialize;

const WATCHERS: usize = 1000;
const CHANGES: usize = 20;
const SIDES: [Who; 2] = [Who::Rust, Who::Concurrency];

#[derive(Deserialize)]
struct Times {
    times: Vec<f64>,
}

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let etcd = bench.etcd();
    let mut children = SIDES.iter().map(|who| who.start(&etcd.endpoint())).collect::<Result<Vec<_>>>()?;
    let millis = take_turns(SIDES.len(), bench.pick(3, 31), |n| {
        let told: Times = children[n].ask(&format!("fanout w5 {WATCHERS} {CHANGES}"))?;
        Ok(median(&told.times) * 1000.0)
    })?;
    let sides = Sides { ours: &millis[0], theirs: &millis[1], unit: "ms" };
    let what = format!("one change told to {WATCHERS} watchers");
    Ok(vec![Row::ratio("w5_fanout", &what, "Go client v3", FASTER, sides).at_least(30.0)])
}
