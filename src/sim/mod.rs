//! The core under a network that delays, loses, refuses and applies late, with clients that are stopped, cut off and
//! disconnected, on clocks that run wrong, while keys and leases are deleted by hand.
//!
//! On a model of etcd in memory and tokio's paused clock, a history takes milliseconds, and each is known by its seed.
//! What is checked after every single step of the model: that of one lock never two guards are held, that a guard that
//! is held has its key, and that tokens rise. What is checked at the end, when the network is well again: that everybody
//! comes to an end and nothing is left. The same is played on a real etcd, and [`likeness`] compares the two call by
//! call: so the model is known to be right.
//!
//! `scripts/sim` plays 2000 histories, `scripts/sim 100000` more, `LOCKER_SEED=7 scripts/sim` that one alone. It builds
//! with `--cfg tokio_unstable`, without which tokio has dice of its own: the order in which some of the waiting are woken.
//! A plain `cargo test` plays a few, each time others.

mod agents;
mod batches;
mod etcd;
mod keys;
mod lasting;
mod likeness;
mod model;
mod moments;
mod network;
mod peer;
mod register;
mod scenes;
mod several;
mod staged;
mod uses;
mod weather;

use crate::etcd::{Access, Cluster};
use agents::Stage;
use keys::keys_over_a_bad_network;
use locker_harness::Etcd as RealEtcd;
use model::Model;
use moments::{
    a_stop_while_a_beat_is_answered, an_enter_comes_right_after_the_look, an_enter_comes_right_before_the_epoch,
};
use scenes::{a_hold_that_is_over_goes_when_it_is_given_up, history_goes_back, sleep_of_the_machine};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use weather::Weather;

/// How many histories are played, unless LOCKER_SEEDS says otherwise.
const SEEDS: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Runs one history on a clock that does not wait. It takes the same course each time: one thread, dice with a seed, and
/// nothing in the core that is random by itself (every `select!` is biased, no hash map is walked through).
fn simulate(seed: u64, history: impl Future<Output = ()>) {
    fastrand::seed(seed);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
    builder.enable_time().start_paused(true).build().unwrap().block_on(history);
}

/// Runs a history for each of so many seeds, or for the one that was asked for.
fn for_each_seed(seeds: u64, history: impl AsyncFn(u64) + Sync) {
    let (from, to) = number("LOCKER_SEED").map_or((0, seeds), |seed| (seed, seed + 1));
    let next = AtomicU64::new(from);
    let one_after_the_other = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= to {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| simulate(seed, history(seed)))) {
                next.store(to, Ordering::Relaxed);
                eprintln!("that was seed {seed}: LOCKER_SEED={seed} scripts/sim");
                resume_unwind(panic);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| _ = scope.spawn(one_after_the_other));
    });
}

#[test]
fn requests_are_gathered() {
    simulate(1, batches::many_travel_together_and_of_each_queue_one());
    simulate(1, batches::sixty_at_most_travel_together());
    simulate(1, batches::a_doubt_of_many_is_a_doubt_of_each());
    simulate(1, batches::what_is_refused_together_is_asked_one_by_one());
    simulate(1, batches::what_is_about_several_queues_goes_alone());
    simulate(1, batches::what_never_was_sent_is_not_done());
    simulate(1, batches::who_comes_back_at_once_travels_along());
    simulate(1, batches::beside_one_that_takes_long_another_goes());
}

#[test]
fn whatever_the_network_does_never_two_hold_and_nothing_is_left() {
    for_each_seed(number("LOCKER_SEEDS").unwrap_or(SEEDS), async |seed| _ = play(seed).await);
}

/// Plays one history on the model, and gives the revision at which it ends.
async fn play(seed: u64) -> i64 {
    let weather = Arc::new(Weather::new(seed, 1));
    let model = Model::new(weather.clone());
    Stage::new(Arc::new(model.clone()), Some(model.clone()), weather, Duration::from_secs(60)).play().await;
    model.step(|etcd| etcd.revision)
}

#[cfg(tokio_unstable)]
#[test]
fn a_seed_always_gives_the_same_history() {
    for seed in 0..20 {
        let ends = [(); 2].map(|()| {
            let mut end = 0;
            simulate(seed, async { end = play(seed).await });
            end
        });
        assert_eq!(ends[0], ends[1], "seed {seed}");
    }
}

#[tokio::test]
async fn nor_on_a_real_etcd() {
    let etcd = RealEtcd::start();
    let (ttl, by) = (Duration::from_secs(10), Instant::now() + Duration::from_secs(10));
    let store = Cluster::open(&etcd.endpoint(), &Access::default(), ttl, by).await.unwrap();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let weather = Arc::new(Weather::new(seed, 4));
    Stage::new(Arc::new(store), None, weather, ttl).play().await;
}

#[test]
fn when_the_history_goes_back_everything_ends_and_nothing_begins() {
    for_each_seed(100, history_goes_back);
}

#[test]
fn no_key_is_said_to_be_gone_that_is_there() {
    for_each_seed(100, keys_over_a_bad_network);
}

#[test]
fn a_loss_in_the_sleep_of_the_machine_is_told_soon_after() {
    simulate(1, sleep_of_the_machine());
}

#[test]
fn a_hold_that_is_over_goes_when_its_owner_gives_it_up() {
    simulate(1, a_hold_that_is_over_goes_when_it_is_given_up());
}

#[test]
fn an_enter_that_comes_when_nobody_expects_it_comes_to_nothing() {
    simulate(1, an_enter_comes_right_after_the_look());
    simulate(1, an_enter_comes_right_before_the_epoch());
}

#[test]
fn a_stop_while_a_beat_is_answered_is_time_that_has_passed() {
    for_each_seed(20, a_stop_while_a_beat_is_answered);
}

#[test]
fn a_key_whose_enter_was_in_doubt_is_not_used_again() {
    simulate(1, uses::a_key_that_entered_in_doubt());
    simulate(1, uses::a_key_that_did_not_enter_after_a_doubt());
}

#[test]
fn several_are_held_only_if_all_are_at_one_moment() {
    simulate(1, several::a_key_that_goes_from_a_queue_that_was_won());
}

#[test]
fn with_one_of_several_all_are_lost_and_free() {
    simulate(1, several::a_key_that_goes_from_one_that_is_held());
}

#[test]
fn what_is_left_of_a_torn_enter_is_in_nobodys_way() {
    simulate(1, several::an_enter_in_doubt_that_is_torn());
}

#[test]
fn a_leave_of_several_that_comes_late_hurts_nobody() {
    simulate(1, several::a_leave_that_comes_late());
}

#[test]
fn a_former_use_of_a_key_is_not_taken_for_the_present_one() {
    simulate(1, uses::a_doubt_that_is_fenced_off_before_it_begins());
}

#[test]
fn an_earlier_use_of_a_key_is_no_proof() {
    simulate(1, uses::a_proof_from_an_earlier_use());
}

#[test]
fn who_follows_the_one_before_misses_no_end_of_it() {
    simulate(1, uses::an_end_before_the_watch_of_it());
}

#[test]
fn a_hold_that_comes_after_the_end_of_its_lease_is_lost_at_once() {
    simulate(1, uses::a_hold_after_the_end_of_its_lease());
}

#[test]
fn who_gives_up_as_the_next_in_line_passes_the_turn_on() {
    simulate(1, uses::a_turn_of_one_who_has_given_up());
}

#[test]
fn a_line_given_up_from_the_front_enters_no_more() {
    simulate(1, uses::a_line_that_is_given_up_from_the_front());
}

#[test]
fn what_is_left_of_several_goes_however_late() {
    simulate(1, several::the_rest_of_a_loss_goes_however_late());
}

#[test]
fn who_gives_up_a_lost_place_in_several_keeps_his_limit() {
    simulate(1, several::the_limit_of_one_who_gives_up_a_lost_place_is_kept());
}

#[test]
fn an_enter_that_was_refused_and_done_leaves_nothing() {
    simulate(1, uses::an_enter_that_was_refused_and_done());
}

#[test]
fn a_lease_is_taken_from_a_key_once_and_for_its_owner_only() {
    simulate(1, lasting::a_lease_that_is_taken_in_doubt());
    simulate(1, lasting::a_lease_that_is_taken_for_nobody());
    simulate(1, lasting::a_lease_that_ends_while_it_is_taken());
    simulate(1, lasting::a_receipt_that_nobody_has());
}

#[test]
fn a_loss_in_standby_is_made_good() {
    simulate(1, lasting::a_loss_that_is_made_good());
}
