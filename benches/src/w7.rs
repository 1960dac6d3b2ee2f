//! W7: the leader of three members is killed while locks are taken.

use crate::Result;
use crate::bench::Bench;
use crate::child::Child;
use crate::interrupt;
use crate::row::{Row, Sides};
use crate::who::Who;
use locker_harness::Cluster;
use serde::Deserialize;
use std::time::Duration;

/// Milliseconds between two tries, and for how long.
const PAUSE: usize = 10;
const TIME: usize = 14_000;
/// So long all is well.
const BEFORE: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Gaps {
    gap: f64,
    errors: f64,
    #[serde(default)]
    kept: bool,
}

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    // With etcd's own times: a heartbeat of 100 ms, an election after 1 s.
    let mut cluster = Cluster::start();
    let endpoints = cluster.direct_endpoints();
    let mut both =
        [Who::Rust, Who::Concurrency].map(|who| who.start(&endpoints)).into_iter().collect::<Result<Vec<_>>>()?;
    let results = (0..bench.pick(2, 7)).map(|_| kill(&mut cluster, &mut both)).collect::<Result<Vec<_>>>()?;
    let side = |n: usize, figure: fn(&Gaps) -> f64| results.iter().map(|both| figure(&both[n])).collect::<Vec<_>>();
    let what = "lock + unlock while the leader of three is killed";
    let row = |unit: &str, figure: fn(&Gaps) -> f64| {
        Row::figure("w7_gap", what, Sides { ours: &side(0, figure), theirs: &side(1, figure), unit })
    };
    let (errors, lost) = (side(0, |gaps| gaps.errors), side(0, |gaps| f64::from(!gaps.kept)));
    Ok(vec![
        row("s without a lock", |gaps| gaps.gap).at_most(2.0),
        row("errors in all", |gaps| gaps.errors).in_all(errors.iter().sum()).at_most(0.0),
        Row::new("w7_gap", what, "", "held locks lost in all", &lost).in_all(lost.iter().sum()).at_most(0.0),
    ])
}

/// Both feel the same election.
fn kill(cluster: &mut Cluster, both: &mut [Child]) -> Result<Vec<Gaps>> {
    for (child, name) in both.iter_mut().zip(["w7-ours", "w7-theirs"]) {
        child.tell(&format!("gaps {name} {PAUSE} {TIME}"))?;
    }
    interrupt::sleep(BEFORE)?;
    let leader = cluster.leader();
    cluster.member(leader).kill();
    let gaps = both.iter().map(Child::answer).collect::<Result<_>>()?;
    cluster.member(leader).restart();
    cluster.healthy();
    Ok(gaps)
}
