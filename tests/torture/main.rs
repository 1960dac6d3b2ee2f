//! The fault table: each row does something to locker, as often as the table asks, and measures what comes of it.
//!
//! `LOCKER_TRIALS` says what part of the trials is run (1: all), `LOCKER_REPORT` names a file to which each row adds a
//! line. `make torture` runs all of them and shows the table. Not here are rows 14 to 16 (clocks: the simulation in
//! src/sim), 24, 25 and 49 (what only a made-up etcd does), 29 to 45 (the C boundary and the languages: tests/c,
//! tests/cli, bindings), and 46 (a limit on holds), which is not built.
#![allow(missing_docs)]

mod access;
mod doubt;
mod endpoint;
mod fenced;
mod holder;
mod leader;
mod measure;
mod row;
mod scale;
mod storage;
mod traffic;
mod weather;
mod witness;
mod worker;

use libtest_mimic::{Arguments, Completion, Trial};
use row::{Row, row};
use std::process::ExitCode;

#[rustfmt::skip] // a table
fn rows() -> Vec<Row> {
    vec![
        row("1", "holder paused", (200, "pauses"), "never held after it, told <= 100 ms (p99), 0 stale writes", holder::paused),
        row("2", "holder killed", (100, "kills"), "taken over <= TTL + 1 s, never before the deadline", holder::killed),
        row("3", "holder asked to end", (100, "ends"), "next holder <= 100 ms (p99)", holder::terminated),
        row("4", "exit without a word", (60, "ends"), "exit <= 200 ms, taken over <= TTL + 1 s", holder::ended_without_a_word),
        row("5", "leader killed", (30, "kills"), "0 of 8 lost at TTL 10, writes again <= 3 s", leader::killed),
        row("6a", "leader stopped", (30, "stops"), "0 of 8 lost at TTL 10, renewed <= 4 s late", leader::stopped),
        row("6b", "leader isolated", (30, "cuts"), "0 of 8 lost at TTL 10, renewed <= 4 s late", leader::isolated),
        row("7", "leader's disk stalled", (20, "stalls"), "a lease that etcd ends early is noticed <= 250 ms", leader::stalled),
        row("8", "minority with the holder cut off", (50, "cuts"), "told >= 450 ms before the key goes, 0 overlaps", leader::minority),
        row("9", "majority lost", (20, "times"), "unavailable <= timeout + 1 s, lost <= 50 ms after its deadline, acquired again <= 5 s", leader::majority_lost),
        row("10", "one endpoint of three dead", (60, "s"), "0 failed calls, p99 <= 50 ms", endpoint::dead),
        row("11", "one endpoint of three a black hole", (20, "holes"), "0 failed calls, stall <= 2.5 s, 0 lost", endpoint::hole),
        row("12", "watch through a cut-off follower", (20, "cuts"), "handover <= 5.5 s", leader::cut_off_follower),
        row("13", "waiter paused", (20, "pauses"), "told <= 1 s, place dropped, 0 false holds", holder::waiter_paused),
        row("17", "etcd wiped or restored", (20, "times"), "told why <= one renewal, no lower token", storage::forgotten),
        row("18", "etcd restarted", (50, "restarts"), "0 lost, events again <= 1 s", storage::restarted),
        row("19", "compaction all the time", (60, "s"), "0 waits > 5.5 s, 0 lost", storage::compacted),
        row("21", "tokens lost", (20, "times"), "0 errors, <= 1 s", access::token_lost),
        row("22", "credentials refused", (20, "times"), "denied <= 1 s, not tried often, no password told", access::refused),
        row("23", "no space", (10, "times"), "0 lost, released, newcomers told <= 1 s, no lease left", storage::full),
        row("47", "answer to a release lost", (1000, "releases"), "no other's key deleted, 0 keys and leases left after 2 s", doubt::release),
        row("48", "answer to an acquire lost, or given up", (2000, "acquires"), "0 double holds, 0 ghosts, 0 keys and leases left after 2 s", doubt::acquire),
        row("50", "5 % of packets lost", (300, "s"), "0 overlaps, 0 lost at TTL 10", weather::loss),
        row("20", "defragmentation of the leader", (500, "MiB"), "0 of 8 lost at TTL 10", storage::defragmented).heavy(),
        row("26", "watcher that does not read", (100_000, "events"), "renewed <= 200 ms late, memory <= 20 MiB, the newest wins", scale::slow_watcher).heavy(),
        row("27", "thousands of locks in a client", (10_000, "locks"), "<= 20 s, 0 lost, <= 15 % of a processor, <= 200 MiB, free <= TTL + 11 s", scale::many_locks).heavy(),
        row("28", "1000 waiters on a lock", (500, "handovers"), "<= 6 calls and <= 2 watch messages a handover", scale::many_waiters).heavy(),
    ]
}

fn main() -> ExitCode {
    // Rows start this program again, as another process that they may harm.
    if let Some(task) = std::env::var_os("LOCKER_WORKER") {
        return worker::work(&task.to_string_lossy());
    }
    let mut arguments = Arguments::from_args();
    // They mostly wait.
    arguments.test_threads.get_or_insert(4);
    let tests = rows().into_iter().map(|row| {
        let name = format!("row {}: {}", row.number, row.name);
        Trial::ignorable_test(name, move || match row.report() {
            Ok(_) => Ok(Completion::Completed),
            Err(row::Skipped(why)) => Ok(Completion::ignored_with(why)),
        })
    });
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}
