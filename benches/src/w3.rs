//! W3: one lock that everybody wants.

use crate::Result;
use crate::bench::Bench;
use crate::child::{Child, ask_all};
use crate::ratio::{fairness, quantile, take_turns};
use crate::row::{RATE, Row, Sides};
use crate::who::{Who, start_all};
use serde::Deserialize;

/// How many processes with how many waiters each.
const QUICK: [(usize, usize); 3] = [(2, 1), (8, 8), (1, 64)];
const FULL: [(usize, usize); 7] = [(2, 1), (4, 2), (8, 8), (1, 2), (1, 8), (1, 64), (1, 256)];
/// Milliseconds before it counts.
const WARM_UP: usize = 200;
const SIDES: [Who; 2] = [Who::Rust, Who::Concurrency];

#[derive(Deserialize)]
struct Count {
    count: f64,
}

#[derive(Deserialize)]
struct Spans {
    spans: Vec<[i64; 2]>,
}

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let shapes = bench.pick(&QUICK[..], &FULL[..]);
    let mut rows = Vec::new();
    for (processes, waiters) in shapes {
        rows.extend(handover(bench, *processes, *waiters)?);
    }
    rows.extend(section(bench)?);
    Ok(rows)
}

/// How often the lock changes hands. Each side has the same time, and beside two processes there is a third side: two
/// that only wake each other up, by a put and its event.
fn handover(bench: &Bench, processes: usize, waiters: usize) -> Result<Vec<Row>> {
    let etcd = bench.etcd();
    let mut crews =
        SIDES.map(|who| start_all(who, processes, &etcd.endpoint())).into_iter().collect::<Result<Vec<_>>>()?;
    if processes == 2 {
        crews.push(start_all(Who::Raw, processes, &etcd.endpoint())?);
    }
    let millis = bench.pick(500, 1000);
    let mut names = 0;
    let counts = take_turns(crews.len(), bench.pick(6, 15), |n| {
        names += 1;
        match n {
            2 => ping_pong(&mut crews[n], millis),
            _ => counts(ask_all(&mut crews[n], &format!("handover w3-{names} {waiters} {WARM_UP} {millis}"))?),
        }
    })?;
    Ok(handover_rows(processes, waiters, millis, &counts))
}

/// `counts` by side, round and process.
fn handover_rows(processes: usize, waiters: usize, millis: usize, counts: &[Vec<Vec<f64>>]) -> Vec<Row> {
    let rate = |counts: &Vec<f64>| counts.iter().sum::<f64>() * 1000.0 / millis as f64;
    let rates: Vec<Vec<f64>> = counts.iter().map(|rounds| rounds.iter().map(rate).collect()).collect();
    let id = format!("w3_{processes}x{waiters}");
    let what = format!("one lock, {processes} × {waiters} waiters");
    let compare = |other: usize, name: &str| {
        let sides = Sides { ours: &rates[0], theirs: &rates[other], unit: "1/s" };
        Row::ratio(&id, &what, name, RATE, sides)
    };
    let row = compare(1, SIDES[1].name()).of_callers(processes * waiters);
    match (processes, waiters) {
        (2, 1) => vec![row.at_least(40.0), compare(2, "raw put and event").at_least(0.4)],
        (8, 8) => {
            let fair = |n: usize| counts[n].iter().map(|counts| fairness(counts)).collect::<Vec<_>>();
            let sides = Sides { ours: &fair(0), theirs: &fair(1), unit: "Jain" };
            vec![row.at_least(3.0), Row::figure(&id, &what, sides).at_least(0.95)]
        }
        (1, 64) => vec![row.at_least(7.0)],
        _ => vec![row],
    }
}

fn counts(answers: Vec<Count>) -> Result<Vec<f64>> {
    Ok(answers.into_iter().map(|answer| answer.count).collect())
}

fn ping_pong(pair: &mut [Child], millis: usize) -> Result<Vec<f64>> {
    pair[1].tell(&format!("pong w3 {millis}"))?;
    pair[0].tell(&format!("ping w3 {millis}"))?;
    counts(pair.iter().map(Child::answer).collect::<Result<_>>()?)
}

/// Four processes work for 5 ms each under the lock. What is lost from one to the next: from the moment that one begins to
/// give it back to the moment that the next one has it.
fn section(bench: &Bench) -> Result<Vec<Row>> {
    let etcd = bench.etcd();
    let mut crews = SIDES.map(|who| start_all(who, 4, &etcd.endpoint())).into_iter().collect::<Result<Vec<_>>>()?;
    let millis = bench.pick(1000, 2000);
    let lost = take_turns(crews.len(), bench.pick(4, 15), |n| {
        let answers = ask_all::<Spans>(&mut crews[n], &format!("section w3-5ms 5 {millis}"))?;
        losses(answers.into_iter().flat_map(|answer| answer.spans).collect())
    })?;
    let what = "one lock, 4 × 1 waiters, 5 ms of work";
    let row = |unit: &str, part: f64| {
        let side = |n: usize| lost[n].iter().map(|all| quantile(all, part)).collect::<Vec<_>>();
        let sides = Sides { ours: &side(0), theirs: &side(1), unit };
        // Of all handovers: a rare long one is not to be lost in the rounds.
        Row::figure("w3_5ms", what, sides).in_all(quantile(&lost[0].concat(), part))
    };
    Ok(vec![row("ms lost, median", 0.5).at_most(1.0), row("ms lost, p99", 0.99).at_most(5.0)])
}

/// The times between holds, in milliseconds. Fails if two were at once.
fn losses(mut spans: Vec<[i64; 2]>) -> Result<Vec<f64>> {
    spans.sort();
    let losses: Vec<_> = spans.windows(2).map(|pair| (pair[1][0] - pair[0][1]) as f64 / 1e6).collect();
    match losses.iter().any(|lost| *lost < 0.0) {
        true => Err("two processes held one lock at the same time".into()),
        false => Ok(losses),
    }
}
