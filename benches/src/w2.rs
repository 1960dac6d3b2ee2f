//! W2: many callers of one process, each with a lock of its own.

use crate::Result;
use crate::bench::Bench;
use crate::child::Timed;
use crate::ratio::take_turns;
use crate::row::{RATE, Row, Sides, TIME};
use crate::who::Who;

/// All but the last take part in every size. The last is what one caller must not pay more than.
const CREW: [Who; 3] = [Who::Rust, Who::Concurrency, Who::Raw];

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let etcd = bench.etcd();
    let mut children = CREW.iter().map(|who| who.start(&etcd.endpoint())).collect::<Result<Vec<_>>>()?;
    let (mut rows, mut names) = (Vec::new(), 0);
    for callers in bench.pick(vec![1, 16, 128], vec![1, 4, 16, 64, 128, 512]) {
        let contestants = if callers == 1 { 3 } else { 2 };
        // So many that the slow side takes a second and the fast one is no mere blink.
        let count = if callers == 1 { bench.pick(500, 1500) } else { (64 * callers).clamp(1024, 4096) };
        let rates = take_turns(contestants, bench.pick(5, 15), |n| {
            names += 1;
            let timed: Timed = children[n].ask(&format!("keys w2-{names} {callers} {count}"))?;
            Ok(count as f64 / timed.seconds)
        })?;
        rows.extend(rows_of(callers, &rates));
    }
    Ok(rows)
}

fn rows_of(callers: usize, rates: &[Vec<f64>]) -> Vec<Row> {
    let (id, what) = (format!("w2_{callers}"), format!("distinct locks, {callers} at once"));
    let sides = Sides { ours: &rates[0], theirs: &rates[1], unit: "1/s" };
    let row = Row::ratio(&id, &what, CREW[1].name(), RATE, sides).of_callers(callers);
    match callers {
        1 => {
            let times =
                rates.iter().map(|rates| rates.iter().map(|rate| 1e6 / rate).collect()).collect::<Vec<Vec<_>>>();
            let sides = Sides { ours: &times[0], theirs: &times[2], unit: "µs" };
            vec![row, Row::ratio(&id, &what, CREW[2].name(), TIME, sides).at_most(1.03)]
        }
        16 => vec![row.at_least(5.0)],
        128 => vec![row.at_least(15.0)],
        _ => vec![row],
    }
}
