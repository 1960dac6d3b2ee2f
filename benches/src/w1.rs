//! W1: one caller takes one free lock again and again.

use crate::Result;
use crate::bench::Bench;
use crate::child::{Child, Timed};
use crate::ratio::{each_round, take_turns};
use crate::row::{CPU, FASTER, Row, Sides, TIME};
use crate::who::{Who, is_installed};
use locker_harness::{Etcd, free_port};
use std::process::{Command, Stdio};

/// How often a name was locked that is no longer new.
const AGE: usize = 20_000;
const CREW: [Who; 9] =
    [Who::Rust, Who::C, Who::Go, Who::Python, Who::Raw, Who::Limit, Who::Concurrency, Who::V3Lock, Who::Etcd3];

pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let etcd = bench.etcd();
    let redis = Redis::start()?;
    let mut crew = CREW.to_vec();
    let mut children = crew.iter().map(|who| who.start(&etcd.endpoint())).collect::<Result<Vec<_>>>()?;
    if let Some(redis) = &redis {
        crew.push(Who::Redis);
        children.push(Who::Redis.start(&redis.port.to_string())?);
    }
    let (count, rounds) = bench.pick((300, 15), (400, 61));
    let mut names = 0;
    let results = take_turns(crew.len(), rounds, |n| {
        // A new name for each turn: what becomes of one that was locked very often is another question, see `aged`.
        names += 1;
        loop_once(&mut children[n], &format!("w1-{names}"), count)
    })?;
    let mut rows = rows(&crew, &results, count as f64);
    if !bench.is_quick() {
        rows.extend(aged(count, rounds)?);
    }
    Ok(rows)
}

fn loop_once(child: &mut Child, name: &str, count: usize) -> Result<Timed> {
    child.ask(&format!("loop {name} {count}"))
}

/// A name that was locked very often, in an etcd that keeps its history, as it does if nobody says otherwise.
fn aged(count: usize, rounds: usize) -> Result<Vec<Row>> {
    const OLD: &str = "w1-old";
    let etcd = Etcd::start();
    let crew = [Who::Rust, Who::Concurrency];
    let mut children = crew.iter().map(|who| who.start(&etcd.endpoint())).collect::<Result<Vec<_>>>()?;
    for child in &mut children {
        loop_once(child, OLD, AGE)?;
    }
    // Both with the old name, then both with a new one.
    let mut names = 0;
    let times = each_round(4, rounds / 2, |n| {
        names += 1;
        let name = if n < 2 { OLD.into() } else { format!("w1-new-{names}") };
        Ok(loop_once(&mut children[n % 2], &name, count / 4)?.seconds / (count / 4) as f64 * 1e6)
    })?;
    let what = format!("the same of a name that was locked {AGE} times");
    let compare = |other: usize, name: &str| {
        let sides = Sides { ours: &times[0], theirs: &times[other], unit: "µs" };
        Row::ratio("w1_aged", &what, name, TIME, sides)
    };
    Ok(vec![compare(1, crew[1].name()), compare(2, "locker, a new name")])
}

fn rows(crew: &[Who], results: &[Vec<Timed>], count: f64) -> Vec<Row> {
    let figures = |who: Who, figure: fn(&Timed) -> f64| -> Vec<f64> {
        let place = crew.iter().position(|one| *one == who).expect("it took part");
        results[place].iter().map(|timed| figure(timed) / count * 1e6).collect()
    };
    let compare = |id: &str, ours: Who, theirs: Who, unit: &str| {
        let figure: fn(&Timed) -> f64 = if unit == CPU { |timed| timed.cpu } else { |timed| timed.seconds };
        let what = format!("lock + unlock by {}, one caller", ours.name());
        let (our, their) = (figures(ours, figure), figures(theirs, figure));
        Row::ratio(id, &what, theirs.name(), unit, Sides { ours: &our, theirs: &their, unit: "µs" })
    };
    let mut rows = vec![
        compare("w1_rust", Who::Rust, Who::Concurrency, TIME).at_most(0.80),
        compare("w1_rust", Who::Rust, Who::V3Lock, TIME),
        compare("w1_rust", Who::Rust, Who::Raw, TIME),
        compare("w1_rust", Who::Rust, Who::Limit, TIME),
        compare("w1_c", Who::C, Who::Rust, TIME).at_most(1.05),
        compare("w1_go", Who::Go, Who::Concurrency, TIME).at_most(1.0),
        compare("w1_python", Who::Python, Who::Rust, TIME).at_most(1.2),
        compare("w1_python", Who::Python, Who::Etcd3, FASTER).at_least(4.0),
        compare("w1_cpu", Who::Rust, Who::Concurrency, CPU).at_most(0.5),
    ];
    if crew.contains(&Who::Redis) {
        rows.push(compare("w1_rust", Who::Rust, Who::Redis, TIME));
    }
    rows
}

/// For context only: what it promises is less.
struct Redis {
    process: std::process::Child,
    port: u16,
}

impl Redis {
    fn start() -> Result<Option<Self>> {
        if !is_installed("redis-server") {
            eprintln!("redis-py: left out, since there is no redis-server on this machine");
            return Ok(None);
        }
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let redis = Redis { process, port };
        std::iter::repeat_with(|| std::net::TcpStream::connect(("127.0.0.1", port)))
            .take(500)
            .find(|connected| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                connected.is_ok()
            })
            .ok_or("redis-server does not listen")??;
        Ok(Some(redis))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
