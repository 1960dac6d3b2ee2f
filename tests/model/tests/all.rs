//! Who wants more than one lock at once: the protocol goes well, and badly once any of its rules is broken.
#![allow(missing_docs)]

mod common;

use common::{Threads, bounds, explore, explore_by, refute};
use locker_model::ask::Ask::{All, Try, TryAll, Wait};
use locker_model::etcd::Name::{A, B, C};
use locker_model::properties::{ALL_AT_ONCE, BUSY_BY_OTHERS, NOTHING_LEFT, ONE_HOLDER, TOKENS_RISE};
use locker_model::{Bounds, Protocol, Rules};
use stateright::{Checker, Model};

fn all() -> Threads {
    vec![vec![All(A, B)]]
}

fn all_twice() -> Threads {
    vec![vec![All(A, B), All(A, B)]]
}

fn try_all() -> Threads {
    vec![vec![TryAll(A, B)]]
}

fn a() -> Threads {
    vec![vec![Wait(A)]]
}

fn b() -> Threads {
    vec![vec![Wait(B)]]
}

/// One thread wants both, another stands in the line of one of them.
fn all_and_a() -> Threads {
    vec![vec![All(A, B)], vec![Wait(A)]]
}

/// Both at once, then one of them by a key that was used for both.
fn all_then_a() -> Threads {
    vec![vec![All(A, B), Wait(A)]]
}

/// One thread wants both, two others stand in the line of one of them.
fn all_and_line() -> Threads {
    vec![vec![All(A, B)], vec![Wait(A)], vec![Wait(A)]]
}

/// One wants both at once, and one does not wait for them.
fn all_and_try() -> Threads {
    vec![vec![All(A, B)], vec![TryAll(A, B)]]
}

/// Of three, each wants what two others want, too.
fn ring() -> [Threads; 3] {
    [(A, B), (B, C), (C, A)].map(|(one, other)| vec![vec![All(one, other)]])
}

/// Two that stand in one line.
fn line() -> Threads {
    vec![vec![Wait(A)], vec![Wait(A)]]
}

#[test]
fn requests_get_lost_and_waits_are_given_up() {
    let lossy = |clients| Bounds { losses: 1, give_ups: 1, ..clients };
    explore("two that want both", Bounds { losses: 2, give_ups: 2, ..bounds([all(), all()]) });
    explore("three that want both", lossy(bounds([all(), all(), all()])));
    explore("one for both, one for each", lossy(bounds([all(), a(), b()])));
    explore("both twice, and another client", lossy(bounds([all_twice(), a()])));
    explore("both and a line, and another client", lossy(bounds([all_and_a(), b()])));
    explore("both and a line, and another for both", lossy(bounds([all_and_a(), all()])));
    explore("both, and a line of another client", lossy(bounds([all(), line()])));
    explore("both, and a line of two", lossy(bounds([all_and_line()])));
    explore("both, then one of them, and another client", lossy(bounds([all_then_a(), a()])));
    explore("both, one without waiting", Bounds { losses: 2, give_ups: 1, ..bounds([all_and_try()]) });
    explore("both without waiting, and another client", lossy(bounds([try_all(), all_twice()])));
}

#[test]
fn those_who_want_what_others_want_take_turns() {
    explore("a ring of three", Bounds { losses: 1, give_ups: 1, ..bounds(ring()) });
    explore("a ring of three, a lease", Bounds { lease_ends: 1, ..bounds(ring()) });
    explore("a ring of three, deleted by hand", Bounds { robberies: 1, ..bounds(ring()) });
}

#[test]
fn leases_end_and_clients_crash() {
    let ending = |clients| Bounds { lease_ends: 1, ..clients };
    explore("two that want both", Bounds { losses: 1, ..ending(bounds([all(), all()])) });
    explore("two that want both crash", Bounds { crashes: 1, ..ending(bounds([all(), all()])) });
    explore("one for both, one for each", ending(bounds([all(), a(), b()])));
}

#[test]
fn keys_are_deleted_by_hand() {
    let robbed = |clients| Bounds { robberies: 1, ..clients };
    explore("two that want both", Bounds { losses: 2, give_ups: 1, ..robbed(bounds([all(), all()])) });
    let both_keys = Bounds { robberies: 2, ..bounds([all(), all()]) };
    explore("both keys of two that want both", Bounds { losses: 1, give_ups: 1, ..both_keys });
    explore("one for both, one for each", robbed(bounds([all(), a(), b()])));
    explore("both twice", Bounds { losses: 2, give_ups: 1, ..robbed(bounds([all_twice()])) });
    explore("both, then one of them, and another client", Bounds { losses: 1, ..robbed(bounds([all_then_a(), a()])) });
    explore("both and a line, and another for both", robbed(bounds([all_and_a(), all()])));
    explore("both, one without waiting", Bounds { losses: 1, ..robbed(bounds([all_and_try()])) });
}

/// Who was the first once stays so until its key is gone: the last read is there for the operator alone.
#[test]
fn a_read_for_each_queue_would_do_if_nobody_deleted_keys_by_hand() {
    let rules = Rules { one_read_for_all: false, ..Rules::ALL };
    let bounds = Bounds { losses: 1, lease_ends: 1, ..bounds([all(), all()]) };
    explore_by(rules, "two that want both", bounds);
}

/// A part of them that is left longer only lets others wait longer.
#[test]
fn the_keys_could_be_deleted_one_by_one() {
    let rules = Rules { leave_in_one: false, ..Rules::ALL };
    explore_by(rules, "two that want both", Bounds { robberies: 1, ..bounds([all(), all()]) });
    explore_by(rules, "both twice", Bounds { losses: 1, give_ups: 1, ..bounds([all_twice()]) });
}

/// Else that nothing goes wrong would say little.
#[test]
fn the_bounds_are_wide_enough_for_trouble() {
    let bounds = Bounds { losses: 1, ..bounds([all_and_a(), b()]) };
    Protocol { rules: Rules::ALL, bounds }.checker().threads(2).spawn_bfs().join().assert_properties();
}

#[test]
#[ignore = "some twelve million states: run it with --ignored"]
fn more_clients_and_lines() {
    let lossy = |clients| Bounds { losses: 2, give_ups: 1, ..clients };
    explore("three that want both", lossy(bounds([all(), all(), all()])));
    explore("one for both, one for each", lossy(bounds([all(), a(), b()])));
    explore("both and a line, and another for both", lossy(bounds([all_and_a(), all()])));
    explore("both, and a line of two, and another client", Bounds { losses: 1, ..bounds([all_and_line(), b()]) });
}

#[test]
#[ignore = "some twenty million states: run it with --ignored"]
fn more_goes_wrong_at_once() {
    let at_once = Bounds { losses: 1, give_ups: 1, robberies: 1, ..Bounds::default() };
    explore("two that want both", Bounds { clients: vec![all(), all()], lease_ends: 1, ..at_once.clone() });
    explore("a ring of three", Bounds { clients: ring().into(), ..at_once });
    explore("a ring of three, two deleted by hand", Bounds { robberies: 2, ..bounds(ring()) });
    explore("one for both, one for each", Bounds { losses: 1, robberies: 1, ..bounds([all(), a(), b()]) });
    explore("one for both, one for each, a lease", Bounds { losses: 1, lease_ends: 1, ..bounds([all(), a(), b()]) });
    explore("both and a line", Bounds { losses: 1, robberies: 1, ..bounds([all_and_a(), all()]) });
}

#[test]
fn who_enters_one_queue_after_the_other_waits_for_who_waits_for_it() {
    let rules = Rules { all_in_one: false, anew_in_all: false, ..Rules::ALL };
    refute(NOTHING_LEFT, rules, bounds([all(), all()]));
    refute(NOTHING_LEFT, rules, bounds(ring()));
}

#[test]
fn who_enters_anew_only_where_it_has_no_place_waits_for_who_waits_for_it() {
    let bounds = Bounds { robberies: 1, ..bounds([all(), all(), b()]) };
    refute(NOTHING_LEFT, Rules { anew_in_all: false, ..Rules::ALL }, bounds);
}

#[test]
fn two_of_one_queue_in_a_batch_have_the_same_token() {
    let rules = Rules { all_alone: false, ..Rules::ALL };
    refute(TOKENS_RISE, rules, bounds([all_and_a()]));
    refute(ONE_HOLDER, rules, bounds([vec![vec![All(A, B)], vec![Try(A), Wait(A)]]]));
}

#[test]
fn one_queue_that_is_empty_does_not_make_both_free() {
    refute(ONE_HOLDER, Rules { alone_in_all: false, ..Rules::ALL }, bounds([try_all(), b()]));
}

#[test]
fn who_enters_as_the_first_of_one_queue_does_not_hold_both() {
    refute(ONE_HOLDER, Rules { first_in_all: false, ..Rules::ALL }, bounds([all(), b()]));
}

#[test]
fn who_was_the_first_here_and_is_the_first_there_may_never_have_had_both() {
    let bounds = Bounds { robberies: 1, ..bounds([all(), a()]) };
    refute(ALL_AT_ONCE, Rules { one_read_for_all: false, ..Rules::ALL }, bounds);
}

#[test]
fn who_finds_a_part_of_its_keys_after_a_doubt_and_takes_it_for_nothing_leaves_a_ghost() {
    let bounds = Bounds { losses: 1, robberies: 1, ..bounds([all()]) };
    refute(NOTHING_LEFT, Rules { part_is_a_place: false, ..Rules::ALL }, bounds);
}

#[test]
fn who_waits_and_loses_one_place_blocks_the_other_queue_for_ever() {
    let bounds = Bounds { robberies: 1, ..bounds([all(), b()]) };
    refute(NOTHING_LEFT, Rules { rest_of_wait: false, ..Rules::ALL }, bounds);
}

/// For who waits that is no matter: it waits for itself, not for long.
#[test]
fn who_tries_anew_before_the_rest_is_deleted_finds_itself_in_the_way() {
    let rules = Rules { rest_before_anew: false, ..Rules::ALL };
    refute(BUSY_BY_OTHERS, rules, Bounds { losses: 1, robberies: 1, ..bounds([try_all()]) });
    explore_by(rules, "two that want both", Bounds { give_ups: 1, robberies: 1, ..bounds([all(), all()]) });
}

#[test]
fn who_holds_and_loses_one_lock_blocks_the_other_for_ever() {
    let bounds = Bounds { robberies: 1, ..bounds([all()]) };
    refute(NOTHING_LEFT, Rules { rest_of_hold: false, ..Rules::ALL }, bounds);
}

#[test]
fn who_leaves_the_rest_before_its_hold_is_over_holds_beside_another() {
    let bounds = Bounds { robberies: 1, ..bounds([all()]) };
    refute(ONE_HOLDER, Rules { hold_ends_first: false, ..Rules::ALL }, bounds);
}

/// What is needed for one lock is needed for two.
#[test]
fn the_rules_of_one_lock_are_needed_here_too() {
    let all_rules = Rules::ALL;
    let lossy = Bounds { losses: 1, give_ups: 1, ..bounds([all()]) };
    refute(NOTHING_LEFT, Rules { epoch: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { read_after_fence: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { read_is_fresh: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { delete_after_fence: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { leave_on_give_up: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { delete_until_acknowledged: false, ..all_rules }, lossy);
    let again = Bounds { losses: 1, give_ups: 1, ..bounds([all_twice()]) };
    refute(ONE_HOLDER, Rules { free_when_deleted: false, ..all_rules }, again.clone());
    refute(ONE_HOLDER, Rules { spent_by_delete: false, ..all_rules }, again.clone());
    refute(ONE_HOLDER, Rules { spent_until_fence: false, ..all_rules }, again);
    let and_a_try = Bounds { losses: 2, ..bounds([vec![vec![All(A, B), All(A, B)], vec![TryAll(A, B)]]]) };
    refute(ONE_HOLDER, Rules { read_after_former_use: false, ..all_rules }, and_a_try);
    refute(ONE_HOLDER, Rules { proof_has_own_key: false, ..all_rules }, bounds([all(), a()]));
    refute(ONE_HOLDER, Rules { proof_after_enter: false, ..all_rules }, bounds([all_twice(), a()]));
    let ends = Bounds { lease_ends: 1, ..bounds([all(), a()]) };
    refute(ONE_HOLDER, Rules { ends_first: false, ..all_rules }, ends);
}
