//! A row of the fault table: what is done to locker how often, and what must come of it.

use locker_harness::installed;
use std::any::Any;
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};
use tokio::runtime::Runtime;

/// How many of the trials that the table asks for are run by default: those of a few minutes in all.
const SCALE: f64 = 0.03;

/// Told by a row that went well.
pub(crate) struct Figure(pub(crate) String);

/// Told by a row that could not be run: why.
pub(crate) struct Skipped(pub(crate) String);

pub(crate) type Outcome = Result<Figure, Skipped>;

/// Rows that keep the machine busy run alone, or they would spoil what others measure.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Load {
    Light,
    Heavy,
}

pub(crate) struct Row {
    pub(crate) number: &'static str,
    pub(crate) name: &'static str,
    /// How many trials the table asks for, of what.
    pub(crate) asked: (u32, &'static str),
    /// The figure to reach.
    pub(crate) goal: &'static str,
    pub(crate) load: Load,
    pub(crate) run: Box<dyn Fn(Trials) -> Outcome + Send + Sync>,
}

/// How many trials to run, and how strictly to judge what time they took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trials {
    pub(crate) count: u32,
    scale: f64,
}

impl Trials {
    /// So many, less in proportion.
    pub(crate) fn of(self, asked: u32) -> u32 {
        ((f64::from(asked) * self.scale).round() as u32).max(1)
    }

    /// A limit of the table on something that takes milliseconds. Where not all trials are run, neither is it alone on
    /// the machine: then only what is out of all proportion fails.
    pub(crate) fn limit(self, millis: u32) -> u32 {
        if self.scale < 1.0 { millis * 5 } else { millis }
    }
}

/// A row that runs `run` on a runtime of its own. It may block the thread that runs it: what it has spawned goes on.
pub(crate) fn row(
    number: &'static str,
    name: &'static str,
    asked: (u32, &'static str),
    goal: &'static str,
    run: impl AsyncFn(Trials) -> Outcome + Send + Sync + 'static,
) -> Row {
    let run = move |trials| runtime().block_on(run(trials));
    Row { number, name, asked, goal, load: Load::Light, run: Box::new(run) }
}

impl Row {
    pub(crate) fn heavy(self) -> Self {
        Row { load: Load::Heavy, ..self }
    }

    /// Runs it and adds a line to the report.
    pub(crate) fn report(&self) -> Outcome {
        static MACHINE: RwLock<()> = RwLock::new(());
        let share = (self.load == Load::Light).then(|| MACHINE.read().unwrap_or_else(PoisonError::into_inner));
        let whole = (self.load == Load::Heavy).then(|| MACHINE.write().unwrap_or_else(PoisonError::into_inner));
        let scale = scale();
        let trials = Trials { count: 0, scale };
        let trials = Trials { count: trials.of(self.asked.0), ..trials };
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.run)(trials)));
        drop((share, whole));
        let (run, figure, verdict) = match &outcome {
            Ok(Ok(Figure(figure))) => (trials.count, figure.clone(), "ok".into()),
            Ok(Err(Skipped(why))) => (0, "not run".into(), format!("SKIPPED {why}")),
            Err(panic) => (trials.count, message(&**panic), "FAILED".into()),
        };
        let (asked, unit) = self.asked;
        let (run, asked, etcd) = (run.to_string(), format!("{asked} {unit}"), format!("etcd {}", installed()));
        tell(&[self.number, self.name, &run, &asked, &figure, &verdict, self.goal, &etcd]);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// What a panic said, in one line.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").replace(['\n', '\t'], " ")
}

/// A line on standard output, and in the file that LOCKER_REPORT names: those of tests/c have the same columns.
fn tell(columns: &[&str]) {
    let line = columns.join("\t");
    println!("{line}");
    if let Some(path) = std::env::var_os("LOCKER_REPORT") {
        let file = File::options().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("the report can be written");
    }
}

/// What part of the trials is run, as LOCKER_TRIALS says.
fn scale() -> f64 {
    match std::env::var("LOCKER_TRIALS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("LOCKER_TRIALS={text} is not a number")),
        Err(_) => SCALE,
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
