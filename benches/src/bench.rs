//! A run.

use crate::row::Row;
use crate::{Result, multi, plot, report, w1, w2, w3, w4, w5, w6, w7, weight};
use clap::Args;
use locker_harness::{Etcd, installed};
use std::path::PathBuf;
use std::time::Instant;

/// The workloads. One more is a function like these, and its rows; `true`: also in a quick run.
const WORKLOADS: [(&str, bool, Workload); 9] = [
    ("w1", true, w1::run),
    ("w2", true, w2::run),
    ("w3", true, w3::run),
    ("w4", false, w4::run),
    ("w5", false, w5::run),
    ("w6", false, w6::run),
    ("w7", false, w7::run),
    ("multi", false, multi::run),
    ("so", false, weight::run),
];

type Workload = fn(&Bench) -> Result<Vec<Row>>;

/// What was asked for.
#[derive(Args)]
pub(crate) struct Run {
    /// Only the first three workloads, and fewer rounds.
    #[arg(long)]
    quick: bool,
    /// Only these workloads, such as `w1,w4`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the table goes as JSON, and the pictures beside it.
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
}

/// What all workloads of a run have in common.
pub(crate) struct Bench {
    quick: bool,
}

impl Run {
    pub(crate) fn run(self) -> Result<()> {
        locker_harness::interrupt::listen()?;
        let (bench, server, machine) = (Bench { quick: self.quick }, installed(), machine());
        let wanted = self.wanted()?;
        let mut rows = Vec::new();
        print!("{}", report::head(&server));
        for (name, workload) in wanted {
            let begun = Instant::now();
            let done = workload(&bench)?.into_iter().map(|row| Row {
                server: server.clone(),
                machine: machine.clone(),
                ..row
            });
            let done: Vec<_> = done.collect();
            print!("{}", report::body(&done));
            eprintln!("{name}: {:.0} s", begun.elapsed().as_secs_f64());
            rows.extend(done);
        }
        print!("{}", report::foot(&rows));
        report::write(&rows, &self.json)?;
        plot::draw(&rows, &self.json)
    }

    fn wanted(&self) -> Result<Vec<(&'static str, Workload)>> {
        if let Some(unknown) = self.only.iter().find(|only| WORKLOADS.iter().all(|(name, _, _)| name != only)) {
            return Err(format!("there is no workload {unknown:?}").into());
        }
        let is_wanted = |name: &str, in_quick: bool| match self.only.is_empty() {
            true => in_quick || !self.quick,
            false => self.only.iter().any(|only| only == name),
        };
        let wanted = WORKLOADS.iter().filter(|(name, in_quick, _)| is_wanted(name, *in_quick));
        Ok(wanted.map(|(name, _, workload)| (*name, *workload)).collect())
    }
}

impl Bench {
    /// An etcd of its own for each workload: none finds the history of another. What is over is forgotten after a
    /// minute, as in any etcd that is cared for.
    pub(crate) fn etcd(&self) -> Etcd {
        Etcd::with(&["--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1m"])
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.quick
    }

    /// One thing in a quick run, another in a full one.
    pub(crate) fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// How many processors of which kind.
fn machine() -> String {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{count} processors ({})", model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()))
}
