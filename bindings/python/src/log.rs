//! The core's log, for Python's `logging`.

use crate::error::Result;
use crate::outbox::Outbox;
use crate::runtime::Runtime;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, LevelFilter, Metadata, Subscriber, dispatcher};

/// How many lines may wait for slow handlers. What comes then is counted, and the count is told.
pub(crate) const WAITING_LINES: usize = 1024;

/// The least of Python's levels that anybody wants to have; 0 while nobody does.
static LEVEL: AtomicU8 = AtomicU8::new(0);

thread_local! {
    /// Where the lines of this thread go. Only the thread of the runtime has such a place: what it tells is all there is.
    static LINES: Cell<Option<&'static Outbox<Line>>> = const { Cell::new(None) };
}

pub(crate) struct Line {
    level: u8,
    text: String,
    file: &'static str,
    number: u32,
    time: SystemTime,
}

/// What Python gets of a line: level, text, file, number, and seconds since 1970.
type Told = (u8, String, &'static str, u32, f64);

impl Line {
    fn told(self) -> Told {
        let time = self.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        (self.level, self.text, self.file, self.number, time)
    }
}

/// Has the lines of the calling thread go there.
pub(crate) fn collect(lines: &'static Outbox<Line>) {
    LINES.set(Some(lines));
}

/// Asks Python how much it wants to have. In the calls that ask etcd for much more: nothing tells when somebody configures
/// logging, and a line that nobody wants should cost one comparison.
/// It fails if a signal handler raises meanwhile.
pub(crate) fn follow(py: Python<'_>) -> Result<()> {
    static WANTED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if Runtime::existing().is_none() {
        return Ok(()); // The object that is called was inherited, and the call will say so.
    }
    set(WANTED.import(py, "locker._log", "wanted")?.call0()?.extract()?);
    Ok(())
}

fn set(level: u8) {
    static LISTEN: Once = Once::new();
    if LEVEL.swap(level, Ordering::SeqCst) == level {
        return;
    }
    // Nobody else subscribes: the core, and its copy of `tracing`, are linked into this module alone.
    LISTEN.call_once(|| dispatcher::set_global_default(Dispatch::new(Bridge)).unwrap_or_default());
    rebuild_interest_cache();
}

/// Wait for lines of the log, and how many were lost since; None in a child of fork.
#[pyfunction]
pub(crate) fn next_lines(py: Python<'_>) -> Option<(Vec<Told>, u64)> {
    let runtime = Runtime::existing()?;
    let lines = runtime.lines().fetch(py, runtime);
    Some((lines.waiting.into_iter().map(Line::told).collect(), lines.refused))
}

/// The lines that have come, and how many were lost since, for the exit of the interpreter.
#[pyfunction]
pub(crate) fn last_lines() -> (Vec<Told>, u64) {
    let lines = Runtime::existing().map(|runtime| runtime.lines().take()).unwrap_or_default();
    (lines.waiting.into_iter().map(Line::told).collect(), lines.refused)
}

/// The core's events as lines.
struct Bridge;

impl Subscriber for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = LEVEL.load(Ordering::Relaxed);
        wanted > 0
            && metadata.is_event()
            && metadata.target().starts_with("locker")
            && number(metadata.level()) >= wanted
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LEVEL.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1..=10 => LevelFilter::DEBUG,
            11..=20 => LevelFilter::INFO,
            21..=30 => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let Some(lines) = LINES.get() else { return };
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        lines.put(Line {
            level: number(metadata.level()),
            text: text.message + &text.fields,
            file: metadata.file().unwrap_or_default(),
            number: metadata.line().unwrap_or_default(),
            time: SystemTime::now(),
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Python's number of a level.
fn number(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// An event as text: what it says, then its fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
