//! Many locks at once: all in one request, beside one after the other.

use crate::Result;
use crate::bench::Bench;
use crate::child::Timed;
use crate::ratio::take_turns;
use crate::row::{FASTER, Row, Sides};
use crate::who::Who;

/// In one request, and in one for each.
const WAYS: [&str; 2] = ["together", "singly"];

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let etcd = bench.etcd();
    let mut child = Who::Rust.start(&etcd.endpoint())?;
    let count = bench.pick(50, 100);
    let (mut rows, mut names) = (Vec::new(), 0);
    for many in bench.pick(vec![8], vec![2, 8, 32]) {
        let times = take_turns(WAYS.len(), bench.pick(9, 21), |way| {
            names += 1;
            let timed: Timed = child.ask(&format!("{} multi-{names} {many} {count}", WAYS[way]))?;
            Ok(timed.seconds / count as f64 * 1e6)
        })?;
        let what = format!("{many} locks in one request, all unlocked");
        let sides = Sides { ours: &times[0], theirs: &times[1], unit: "µs" };
        let row = Row::ratio(&format!("multi_{many}"), &what, "locker, one by one", FASTER, sides);
        rows.push(if many == 8 { row.at_least(4.0) } else { row });
    }
    Ok(rows)
}
