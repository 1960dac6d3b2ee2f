//! A history of what the users of locks saw, and the checks that hold it against what locker promises.
//!
//! Programs in all languages append [`Record`](record::Record)s to one file, a witness adds what etcd's own watch shows,
//! a nemesis adds the faults that it made. All run on one machine, thus on one clock, so the order of what they say is
//! known and needs no search. [`Run`](run::Run) puts the records together; [`checks`] has one function for each promise.

pub mod checks;
pub mod faults;
pub mod figures;
pub mod history;
pub mod hold;
pub mod record;
pub mod report;
pub mod run;
#[cfg(test)]
mod story;

/// Nanoseconds in a millisecond, the unit in which bounds are written.
pub const MS: u64 = 1_000_000;
