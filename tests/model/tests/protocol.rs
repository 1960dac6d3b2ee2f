//! The protocol goes well in all that can happen within the bounds, and badly once any of its rules is broken.
#![allow(missing_docs)]

use locker_model::client::Ask::{self, Try, Wait};
use locker_model::properties::{NOTHING_LEFT, ONE_HOLDER, TOKENS_RISE};
use locker_model::{Bounds, Protocol, Rules};
use stateright::{Checker, Model};
use std::time::Instant;

/// One client that locks once.
fn once() -> Vec<Vec<Ask>> {
    vec![vec![Wait]]
}

/// One client that locks twice, one after the other.
fn twice() -> Vec<Vec<Ask>> {
    vec![vec![Wait, Wait]]
}

/// One client of which two threads lock, the second without waiting.
fn threads() -> Vec<Vec<Ask>> {
    vec![vec![Wait], vec![Try]]
}

fn bounds<const N: usize>(clients: [Vec<Vec<Ask>>; N]) -> Bounds {
    Bounds { clients: clients.into(), ..Bounds::default() }
}

/// Goes through everything that can happen.
fn explore(what: &str, bounds: Bounds) {
    let begun = Instant::now();
    let checker = Protocol { rules: Rules::ALL, bounds }.checker().threads(2).spawn_bfs().join();
    println!("{what}: {} states in {:.1?}", checker.unique_state_count(), begun.elapsed());
    for property in [ONE_HOLDER, TOKENS_RISE, NOTHING_LEFT] {
        checker.assert_no_discovery(property);
    }
}

/// Goes on until the property turns out to be violated.
#[track_caller]
fn refute(property: &'static str, rules: Rules, bounds: Bounds) {
    let searching = Protocol { rules, bounds }.checker().threads(2);
    let checker = searching.finish_when(stateright::HasDiscoveries::AllOf([property].into())).spawn_bfs().join();
    let path =
        checker.discovery(property).unwrap_or_else(|| panic!("without the rule, it is still so that {property}"));
    println!("not so: {property}");
    path.into_actions().iter().enumerate().for_each(|(step, action)| println!("{:3}. {action:?}", step + 1));
}

#[test]
fn requests_get_lost_and_waits_are_given_up() {
    explore("three clients", Bounds { losses: 1, give_ups: 1, ..bounds([once(), once(), once()]) });
    explore("two that lock twice", Bounds { losses: 1, give_ups: 1, ..bounds([twice(), twice()]) });
    explore("two threads and another client", Bounds { losses: 1, give_ups: 1, ..bounds([threads(), once()]) });
    explore("two threads", Bounds { losses: 3, give_ups: 1, ..bounds([threads()]) });
}

#[test]
fn leases_end_and_clients_crash() {
    explore("three clients", Bounds { lease_ends: 1, crashes: 1, ..bounds([once(), once(), once()]) });
    explore("two clients", Bounds { losses: 1, give_ups: 1, lease_ends: 1, ..bounds([once(), once()]) });
    explore("two threads", Bounds { losses: 1, give_ups: 1, lease_ends: 1, ..bounds([threads()]) });
    explore("the same thread again", Bounds { losses: 2, give_ups: 1, lease_ends: 1, ..bounds([twice()]) });
}

/// Else that nothing goes wrong would say little.
#[test]
fn the_bounds_are_wide_enough_for_trouble() {
    let bounds = Bounds { losses: 1, ..bounds([threads(), once()]) };
    Protocol { rules: Rules::ALL, bounds }.checker().spawn_bfs().join().assert_properties();
}

#[test]
#[ignore = "some forty million states: a part of `make torture`"]
fn more_of_everything() {
    explore("three clients", Bounds { losses: 2, give_ups: 1, ..bounds([once(), once(), once()]) });
    explore("two threads and another client", Bounds { losses: 2, give_ups: 1, ..bounds([threads(), once()]) });
    explore("two that lock twice", Bounds { losses: 1, lease_ends: 1, ..bounds([twice(), twice()]) });
    explore("all at once", Bounds { losses: 1, give_ups: 1, lease_ends: 1, crashes: 1, ..bounds([once(), once()]) });
}

fn lossy() -> Bounds {
    Bounds { losses: 1, give_ups: 1, ..bounds([once(), once()]) }
}

#[test]
fn without_the_epoch_a_late_enter_is_a_ghost() {
    refute(NOTHING_LEFT, Rules { epoch: false, ..Rules::ALL }, lossy());
}

#[test]
fn a_read_before_the_epoch_is_acknowledged_misses_a_late_enter() {
    refute(NOTHING_LEFT, Rules { read_after_fence: false, ..Rules::ALL }, lossy());
}

#[test]
fn a_read_below_the_epoch_misses_an_enter_that_was_done() {
    refute(NOTHING_LEFT, Rules { read_is_fresh: false, ..Rules::ALL }, lossy());
}

#[test]
fn a_delete_before_the_epoch_is_acknowledged_may_come_before_the_enter() {
    refute(NOTHING_LEFT, Rules { delete_after_fence: false, ..Rules::ALL }, lossy());
}

#[test]
fn a_proof_from_before_ones_own_key_proves_nothing() {
    refute(ONE_HOLDER, Rules { proof_has_own_key: false, ..Rules::ALL }, bounds([once(), once()]));
}

#[test]
fn a_key_that_is_used_again_can_be_deleted_by_an_old_release() {
    refute(ONE_HOLDER, Rules { fresh_keys: false, ..Rules::ALL }, Bounds { losses: 1, ..bounds([twice()]) });
}

#[test]
fn who_gives_up_and_leaves_its_key_blocks_all_others() {
    refute(NOTHING_LEFT, Rules { leave_on_give_up: false, ..Rules::ALL }, lossy());
}

#[test]
fn a_release_that_is_sent_once_may_never_arrive() {
    refute(NOTHING_LEFT, Rules { delete_until_acknowledged: false, ..Rules::ALL }, lossy());
}

#[test]
fn a_client_that_learns_too_late_of_the_end_of_its_lease_holds_beside_another() {
    let bounds = Bounds { lease_ends: 1, ..bounds([once(), once()]) };
    refute(ONE_HOLDER, Rules { ends_first: false, ..Rules::ALL }, bounds);
}
