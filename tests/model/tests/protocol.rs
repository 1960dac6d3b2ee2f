//! The protocol goes well in all that can happen within the bounds, and badly once any of its rules is broken.
#![allow(missing_docs)]

mod common;

use common::{Threads, bounds, explore, explore_by, refute};
use locker_model::ask::Ask::{Try, Wait};
use locker_model::etcd::Name::{A, B};
use locker_model::properties::{NOTHING_LEFT, ONE_HOLDER, TOKENS_RISE};
use locker_model::{Bounds, Protocol, Rules};
use stateright::{Checker, Model};

fn once() -> Threads {
    vec![vec![Wait(A)]]
}

fn twice() -> Threads {
    vec![vec![Wait(A), Wait(A)]]
}

/// Two that stand in one line.
fn line() -> Threads {
    vec![vec![Wait(A)], vec![Wait(A)]]
}

/// Two, of which the first stands in it again.
fn line_again() -> Threads {
    vec![vec![Wait(A), Wait(A)], vec![Wait(A)]]
}

/// And a third that does not wait.
fn line_and_try() -> Threads {
    vec![vec![Wait(A)], vec![Wait(A)], vec![Try(A)]]
}

fn twice_and_try() -> Threads {
    vec![vec![Wait(A), Wait(A)], vec![Try(A)]]
}

/// Two, the second without waiting.
fn and_a_try() -> Threads {
    vec![vec![Wait(A)], vec![Try(A)]]
}

/// Two that stand in one line, and a third that locks something else.
fn two_names() -> Threads {
    vec![vec![Wait(A)], vec![Wait(A)], vec![Wait(B)]]
}

#[test]
fn requests_get_lost_and_waits_are_given_up() {
    let lossy = |clients| Bounds { losses: 1, give_ups: 1, ..clients };
    explore("three clients", lossy(bounds([once(), once(), once()])));
    explore("two that lock twice", Bounds { losses: 1, ..bounds([twice(), twice()]) });
    explore("a try, and another client", lossy(bounds([and_a_try(), once()])));
    explore("a line, and another client", lossy(bounds([line(), once()])));
    explore("a line and a try", lossy(bounds([line_and_try()])));
    explore("a line that is joined again", Bounds { losses: 2, give_ups: 1, ..bounds([line_again()]) });
    explore("the same thread again, and a try", Bounds { losses: 2, ..bounds([twice_and_try()]) });
}

#[test]
fn lines_of_three_clients_take_turns() {
    explore("a line, and two other clients", Bounds { give_ups: 1, ..bounds([line(), once(), once()]) });
    explore("two lines", Bounds { refusals: 1, ..bounds([line(), line()]) });
}

#[test]
fn requests_for_two_locks_travel_together() {
    explore("a line and another lock", Bounds { losses: 1, refusals: 1, ..bounds([two_names()]) });
    explore("two locks, and another client", bounds([two_names(), once()]));
}

#[test]
fn leases_end_and_clients_crash() {
    explore("three clients", Bounds { lease_ends: 1, crashes: 1, ..bounds([once(), once(), once()]) });
    explore("a line, and another client", Bounds { lease_ends: 1, ..bounds([line(), once()]) });
    explore("a line", Bounds { losses: 1, refusals: 1, give_ups: 1, lease_ends: 1, ..bounds([line()]) });
    explore("a try", Bounds { losses: 1, give_ups: 1, lease_ends: 1, ..bounds([and_a_try()]) });
    explore("the same thread again", Bounds { losses: 2, give_ups: 1, lease_ends: 1, ..bounds([twice()]) });
}

#[test]
fn keys_are_deleted_by_hand() {
    explore("a line, and another client", Bounds { robberies: 1, give_ups: 1, ..bounds([line(), once()]) });
    explore("a line", Bounds { losses: 1, robberies: 1, give_ups: 1, ..bounds([line()]) });
    explore("the same thread again", Bounds { losses: 2, robberies: 1, ..bounds([twice()]) });
}

/// What is fenced off cannot come later: that is why a key in doubt could be used again after the fence.
#[test]
fn an_enter_in_doubt_would_not_spoil_its_key_once_it_is_fenced_off() {
    let rules = Rules { spent_by_enter: false, ..Rules::ALL };
    explore_by(rules, "a line that is joined again", Bounds { losses: 2, give_ups: 1, ..bounds([line_again()]) });
    explore_by(
        rules,
        "the same thread again, and a try",
        Bounds { losses: 1, give_ups: 1, ..bounds([twice_and_try()]) },
    );
}

/// Else that nothing goes wrong would say little.
#[test]
fn the_bounds_are_wide_enough_for_trouble() {
    let bounds = Bounds { losses: 1, ..bounds([line_and_try(), once()]) };
    Protocol { rules: Rules::ALL, bounds }.checker().threads(2).spawn_bfs().join().assert_properties();
}

#[test]
#[ignore = "some six million states: run it with --ignored"]
fn more_clients_and_lines() {
    explore("three clients", Bounds { losses: 2, give_ups: 1, ..bounds([once(), once(), once()]) });
    explore("two lines", Bounds { losses: 1, give_ups: 1, ..bounds([line(), line()]) });
    explore("a line that is joined again, and another", Bounds { losses: 1, ..bounds([line_again(), once()]) });
    explore("a line, and two others", Bounds { losses: 1, ..bounds([line(), once(), once()]) });
}

#[test]
#[ignore = "some millions of states: run it with --ignored"]
fn more_goes_wrong_at_once() {
    let at_once = Bounds { losses: 1, give_ups: 1, lease_ends: 1, robberies: 1, ..Bounds::default() };
    explore("a line", Bounds { clients: vec![line()], ..at_once });
    explore("a line and a try", Bounds { losses: 2, ..bounds([line_and_try()]) });
    explore("a line, and another client", Bounds { losses: 1, lease_ends: 1, ..bounds([line(), once()]) });
    explore("a line and another lock", Bounds { losses: 2, ..bounds([two_names()]) });
    let two_locks = vec![vec![Wait(A)], vec![Wait(B)]];
    explore("two locks, and another client", Bounds { losses: 1, give_ups: 1, ..bounds([two_locks, once()]) });
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

/// The epoch was written for a try in doubt, the key left and used again before its answer came, and the enter got lost:
/// the doubt is fenced off at once, and a read at the epoch shows the key as it was before.
#[test]
fn a_read_below_the_end_of_the_keys_former_use_takes_it_for_the_new_one() {
    let bounds = Bounds { losses: 2, ..bounds([twice_and_try()]) };
    refute(ONE_HOLDER, Rules { read_after_former_use: false, ..Rules::ALL }, bounds);
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
fn a_proof_from_the_keys_former_use_proves_nothing() {
    refute(ONE_HOLDER, Rules { proof_after_enter: false, ..Rules::ALL }, bounds([twice(), once()]));
}

#[test]
fn a_key_that_is_used_again_can_be_deleted_by_an_old_release() {
    refute(ONE_HOLDER, Rules { spent_by_delete: false, ..Rules::ALL }, Bounds { losses: 1, ..bounds([twice()]) });
}

#[test]
fn a_key_that_is_used_again_can_be_deleted_by_a_release_under_way() {
    refute(ONE_HOLDER, Rules { free_when_deleted: false, ..Rules::ALL }, bounds([twice()]));
}

#[test]
fn a_key_that_is_used_again_can_be_deleted_by_an_old_fused_request() {
    let bounds = Bounds { losses: 1, ..bounds([line_again()]) };
    refute(ONE_HOLDER, Rules { spent_by_fused: false, ..Rules::ALL }, bounds);
}

#[test]
fn a_key_that_is_used_again_before_the_fence_is_deleted_behind() {
    let bounds = Bounds { losses: 1, give_ups: 1, ..bounds([twice()]) };
    refute(ONE_HOLDER, Rules { spent_until_fence: false, ..Rules::ALL }, bounds);
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
fn a_fused_request_that_deletes_only_when_it_enters_leaves_a_ghost() {
    let bounds = Bounds { losses: 1, ..bounds([line_and_try()]) };
    refute(NOTHING_LEFT, Rules { fused_always_deletes: false, ..Rules::ALL }, bounds);
}

#[test]
fn a_fused_request_in_doubt_may_never_arrive() {
    let rules = Rules { delete_after_fused: false, ..Rules::ALL };
    refute(NOTHING_LEFT, rules, Bounds { losses: 1, ..bounds([line()]) });
    refute(NOTHING_LEFT, rules, Bounds { refusals: 1, ..bounds([line()]) });
}

#[test]
fn who_is_next_in_line_has_no_place_when_it_was_refused() {
    let bounds = Bounds { losses: 1, ..bounds([line_and_try()]) };
    refute(ONE_HOLDER, Rules { refused_is_no_place: false, ..Rules::ALL }, bounds);
}

#[test]
fn two_of_one_name_in_a_batch_have_the_same_token() {
    let rules = Rules { one_of_a_name: false, ..Rules::ALL };
    refute(TOKENS_RISE, rules, bounds([and_a_try()]));
    refute(ONE_HOLDER, rules, bounds([twice_and_try()]));
}

#[test]
fn a_client_that_learns_too_late_of_the_end_of_its_lease_holds_beside_another() {
    let bounds = Bounds { lease_ends: 1, ..bounds([once(), once()]) };
    refute(ONE_HOLDER, Rules { ends_first: false, ..Rules::ALL }, bounds);
}
