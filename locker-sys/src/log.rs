//! The library's log, told to a function of the host.

use crate::boundary::{Callback, UserData, getter};
use crate::context;
use crate::fail::Fail;
use crate::thread::{self, Thread};
use crate::types::{locker_free_fn, locker_log_fn};
use once_cell::sync::OnceCell;
use std::ffi::{CString, c_void};
use std::fmt::{self, Write};
use std::mem;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Once, PoisonError, RwLock};
use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, LevelFilter, Metadata, Subscriber, dispatcher};

/// Sends the library's log to `log`, up to `level`; NULL turns it off, which is the default. It does not
/// wait for a `log` that was set before: that one may still be running until its user data is freed.
/// When it is slow lines are dropped, and their number is told.
#[unsafe(no_mangle)]
pub extern "C" fn locker_set_log(
    level: i32,
    log: locker_log_fn,
    user_data: *mut c_void,
    free_user_data: locker_free_fn,
) {
    let callback = Callback::new(log, UserData::new(user_data, free_user_data));
    getter((), || {
        let wanted = log.is_some() && level > 0;
        replace(level, wanted.then(|| Sink::new(callback)));
        Ok(())
    })
}

/// Where the log goes. A line is told by a thread of its own, made for the first one: the thread that keeps leases alive
/// must not wait for the host.
static SINK: RwLock<Option<Sink>> = RwLock::new(None);
/// The greatest level that is told; 0 while nothing is.
static LEVEL: AtomicI32 = AtomicI32::new(0);

/// How many lines may wait for a slow host. What comes then is counted, and the count is told.
const WAITING_LINES: usize = 1024;

struct Sink {
    callback: Arc<Callback<locker_log_fn>>,
    /// False once it was replaced.
    wanted: Arc<AtomicBool>,
    lost: AtomicU64,
    lines: OnceCell<(SyncSender<Line>, Thread)>,
}

struct Line {
    level: i32,
    text: CString,
}

impl Sink {
    fn new(callback: Callback<locker_log_fn>) -> Self {
        let wanted = Arc::new(AtomicBool::new(true));
        Sink { callback: Arc::new(callback), wanted, lost: AtomicU64::new(0), lines: OnceCell::new() }
    }

    fn tell(&self, level: i32, text: String) {
        let Ok((lines, _)) = self.lines.get_or_try_init(|| self.start()) else { return };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && lines.try_send(Line::new(2, format!("{lost} lines of the log were lost: log is slow"))).is_err()
        {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if lines.try_send(Line::new(level, text)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn start(&self) -> Result<(SyncSender<Line>, Thread), Fail> {
        let (lines, due) = sync_channel(WAITING_LINES);
        let (callback, wanted) = (self.callback.clone(), self.wanted.clone());
        Ok((lines, Thread::spawn("locker-log", move || forward(due, &callback, &wanted))?))
    }
}

fn forward(lines: Receiver<Line>, callback: &Callback<locker_log_fn>, wanted: &AtomicBool) {
    context::mark_callback_thread(context::this_thread());
    for line in lines {
        if wanted.load(Ordering::SeqCst) {
            callback.call(line.level, &line.text);
        }
    }
}

impl Line {
    fn new(level: i32, text: String) -> Self {
        Line { level, text: CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default() }
    }
}

/// Puts another sink in place. The thread of the one before ends after its running call.
fn replace(level: i32, sink: Option<Sink>) {
    if sink.is_some() {
        listen();
    }
    let before = {
        let mut place = SINK.write().unwrap_or_else(PoisonError::into_inner);
        LEVEL.store(if sink.is_some() { level } else { 0 }, Ordering::SeqCst);
        mem::replace(&mut *place, sink)
    };
    rebuild_interest_cache();
    let Some(before) = before else { return };
    before.wanted.store(false, Ordering::SeqCst);
    thread::will_end(before.lines.into_inner().map(|(_, thread)| thread));
}

/// Turns the log off.
pub(crate) fn end() {
    replace(0, None);
}

/// Tells a line, if anybody listens.
pub(crate) fn tell(level: i32, text: String) {
    if let Some(sink) = SINK.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
        sink.tell(level, text);
    }
}

/// Has panics, which are bugs of ours, told here and not on the host's standard error.
pub(crate) fn take_panics() {
    static ONCE: Once = Once::new();
    if !cfg!(test) {
        ONCE.call_once(|| panic::set_hook(Box::new(|panic| tell(1, panic.to_string()))));
    }
}

/// Subscribes to the core's events, once; until then each of them costs one comparison.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // In a static library the host may have subscribed before us; then it gets the events.
        let _ = dispatcher::set_global_default(Dispatch::new(Bridge));
    });
}

/// The core's events as lines.
struct Bridge;

impl Subscriber for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("locker") && number(metadata.level()) <= level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match level() {
            ..=0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        tell(number(event.metadata().level()), text.message + &text.fields);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn level() -> i32 {
    LEVEL.load(Ordering::Relaxed).min(4)
}

/// The header's number of a level.
fn number(level: &Level) -> i32 {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
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
