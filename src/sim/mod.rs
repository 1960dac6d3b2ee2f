//! The core on a model of etcd, on a clock of its own, with a network that delays, loses and applies late.
//!
//! Thousands of histories in the time that real ones take minutes for, each known by its seed. What is checked after
//! every single step of the model: that of one lock never two guards are held, that a guard that is held has its key,
//! and that tokens rise. What is checked at the end, when the network is well again: that everybody comes to an end and
//! nothing is left.
//!
//! `LOCKER_SEEDS=100000 cargo test --lib sim` runs more of them, `LOCKER_SEED=7 cargo test --lib sim` that one alone.

mod agents;
mod etcd;
mod network;
mod scenes;

use agents::run;
use scenes::{history_goes_back, sleep_of_the_machine};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn simulate(history: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(history);
}

fn simulate_seed(seed: u64, history: impl Future<Output = ()>) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| simulate(history))) {
        eprintln!("that was seed {seed}: LOCKER_SEED={seed} cargo test --lib sim");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn whatever_the_network_does_never_two_hold_and_nothing_is_left() {
    let seeds = match number("LOCKER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LOCKER_SEEDS").unwrap_or(200),
    };
    for seed in seeds {
        simulate_seed(seed, run(seed));
    }
}

#[test]
fn when_the_history_goes_back_everything_ends_and_nothing_begins() {
    for seed in 0..100 {
        simulate_seed(seed, history_goes_back(seed));
    }
}

#[test]
fn a_loss_in_the_sleep_of_the_machine_is_told_soon_after() {
    simulate(sleep_of_the_machine());
}
