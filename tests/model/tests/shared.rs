//! Those who share a lock, with a limit or without: the protocol goes well, and badly once any of its rules is broken.
#![allow(missing_docs)]

mod common;

use common::{Threads, bounds, explore, explore_by, refute};
use locker_model::ask::Ask::{All, Share, Try, TryShare, Wait};
use locker_model::etcd::Name::{A, B};
use locker_model::mode::ANY;
use locker_model::properties::{
    ALL_AT_ONCE, BUSY_BY_OTHERS, FIRST_COME, HELD_ALONE, NOBODY_SLEEPS, NOTHING_LEFT, ONE_HOLDER, ONE_LIMIT,
    TOKENS_RISE, WITHIN_LIMIT, troubles_of_sharing,
};
use locker_model::{Bounds, Protocol, Rules};
use stateright::{Checker, Model};
use std::collections::BTreeSet;

fn alone() -> Threads {
    vec![vec![Wait(A)]]
}

/// One that shares, with any number of others.
fn any() -> Threads {
    vec![vec![Share(A, ANY)]]
}

fn any_twice() -> Threads {
    vec![vec![Share(A, ANY), Share(A, ANY)]]
}

fn any_try() -> Threads {
    vec![vec![TryShare(A, ANY)]]
}

/// One at a time, but with a key of those who share.
fn one() -> Threads {
    vec![vec![Share(A, 1)]]
}

fn one_twice() -> Threads {
    vec![vec![Share(A, 1), Share(A, 1)]]
}

fn one_try() -> Threads {
    vec![vec![TryShare(A, 1)]]
}

/// One of two who may hold together.
fn two() -> Threads {
    vec![vec![Share(A, 2)]]
}

fn two_try() -> Threads {
    vec![vec![TryShare(A, 2)]]
}

/// Threads of one client, each with a place of its own.
fn two_of_two() -> Threads {
    vec![vec![Share(A, 2)], vec![Share(A, 2)]]
}

/// One thread shares, another stands in the client's line.
fn any_and_alone() -> Threads {
    vec![vec![Share(A, ANY)], vec![Wait(A)]]
}

/// First together with others, then alone.
fn any_then_alone() -> Threads {
    vec![vec![Share(A, ANY), Wait(A)]]
}

/// A line in which a place is handed over, and one that shares beside it.
fn line_and_any() -> Threads {
    vec![vec![Wait(A)], vec![Wait(A)], vec![Share(A, ANY)]]
}

/// Two whose requests may travel together.
fn two_names() -> Threads {
    vec![vec![Share(A, 1)], vec![Share(B, ANY)]]
}

#[test]
fn requests_get_lost_and_waits_are_given_up() {
    let lossy = |clients| Bounds { losses: 1, give_ups: 1, ..clients };
    explore("two share, one is alone", lossy(bounds([any(), any(), alone()])));
    explore("three of a limit of two", lossy(bounds([two(), two(), two()])));
    explore("two of a limit of one, one is alone", lossy(bounds([one(), one(), alone()])));
    explore("one client with both, and another alone", Bounds { losses: 1, ..bounds([any_and_alone(), alone()]) });
    explore("one client first with others, then alone", lossy(bounds([any_then_alone(), any()])));
    explore("two places of one client, and another", Bounds { losses: 1, ..bounds([two_of_two(), two()]) });
    explore("a line, and who shares beside it", Bounds { losses: 1, ..bounds([line_and_any()]) });
    explore("two locks of one client, and another", Bounds { losses: 1, ..bounds([two_names(), one()]) });
    explore("twice of one", Bounds { losses: 2, give_ups: 1, ..bounds([one_twice()]) });
    explore("twice of one, and another client", Bounds { losses: 1, ..bounds([one_twice(), one()]) });
    explore("twice of any, and one alone", Bounds { losses: 1, ..bounds([any_twice(), alone()]) });
}

#[test]
fn who_does_not_wait_holds_at_once_or_not_at_all() {
    let lossy = |clients| Bounds { losses: 1, give_ups: 1, ..clients };
    explore("a try, one that shares, one alone", lossy(bounds([any_try(), any(), alone()])));
    explore("a try of one, one of one, one alone", lossy(bounds([one_try(), one(), alone()])));
    explore("a try of two, two of two", lossy(bounds([two_try(), two(), two()])));
    explore("three tries of two", lossy(bounds([two_try(), two_try(), two_try()])));
    explore("a try of one after the other", lossy(bounds([vec![vec![TryShare(A, 1), TryShare(A, 1)]], one()])));
    explore("a try alone, two that share", lossy(bounds([vec![vec![Try(A)]], any(), any()])));
}

#[test]
fn whoever_comes_with_another_limit_is_turned_away() {
    let lossy = |clients| Bounds { losses: 1, give_ups: 1, ..clients };
    explore("one, two and any", lossy(bounds([one(), two(), any()])));
    explore("two, and a try of any and of one", Bounds { losses: 1, ..bounds([two(), any_try(), one_try()]) });
    explore("one, then two, and two", lossy(bounds([vec![vec![Share(A, 1), Share(A, 2)]], two()])));
    explore("one, two and one alone", Bounds { losses: 1, ..bounds([one(), two(), alone()]) });
}

#[test]
fn leases_end_and_clients_crash() {
    let ending = |clients| Bounds { lease_ends: 1, ..clients };
    explore("two share, one is alone", ending(bounds([any(), any(), alone()])));
    explore("two share, one is alone, a crash", Bounds { crashes: 1, ..bounds([any(), any(), alone()]) });
    explore("two of one, one is alone, a crash", Bounds { crashes: 1, ..bounds([one(), one(), alone()]) });
    explore("one shares, one is alone", Bounds { losses: 1, give_ups: 1, ..ending(bounds([any(), alone()])) });
    explore("two of one", Bounds { losses: 1, give_ups: 1, ..ending(bounds([one(), one()])) });
    explore("a try of one, and one of one", Bounds { losses: 1, give_ups: 1, ..ending(bounds([one_try(), one()])) });
    explore("one client with both", ending(bounds([any_and_alone()])));
}

#[test]
fn keys_are_deleted_by_hand() {
    let robbed = |clients| Bounds { robberies: 1, ..clients };
    explore("two share, one is alone", Bounds { give_ups: 1, ..robbed(bounds([any(), any(), alone()])) });
    explore("two of one, one is alone", Bounds { give_ups: 1, ..robbed(bounds([one(), one(), alone()])) });
    explore("two of one", Bounds { losses: 1, give_ups: 1, ..robbed(bounds([one(), one()])) });
    explore("a try of one, and one of one", Bounds { losses: 1, ..robbed(bounds([one_try(), one()])) });
}

#[test]
fn who_wants_more_than_one_lock_at_once_meets_who_shares_one() {
    let all = || vec![vec![All(A, B)]];
    let b = || vec![vec![Share(B, 1)]];
    explore("both, one that shares, one of one", Bounds { losses: 1, give_ups: 1, ..bounds([all(), any(), b()]) });
    explore("both, deleted by hand", Bounds { robberies: 1, ..bounds([all(), any(), b()]) });
}

/// Else that nothing goes wrong would say little.
#[test]
fn the_bounds_are_wide_enough_for_trouble() {
    let names: Vec<_> = troubles_of_sharing().into_iter().map(|trouble| trouble.name).collect();
    let clients = [bounds([any(), any_then_alone(), two()]), bounds([one_try(), one_twice()])];
    let mut happened = BTreeSet::new();
    for clients in clients {
        let bounds = Bounds { losses: 1, ..clients };
        let checker = Protocol { rules: Rules::ALL, bounds }.checker().threads(2).spawn_bfs().join();
        println!("for trouble: {} states", checker.unique_state_count());
        happened.extend(checker.discoveries().into_keys());
    }
    assert_eq!(happened, names.into_iter().collect());
}

#[test]
#[ignore = "some twenty million states: run it with --ignored"]
fn more_clients_and_lines() {
    let lossy = |clients| Bounds { losses: 2, give_ups: 1, ..clients };
    explore("two share, one is alone", lossy(bounds([any(), any(), alone()])));
    explore("three of a limit of two", lossy(bounds([two(), two(), two()])));
    explore("a try of two, two of two", lossy(bounds([two_try(), two(), two()])));
    explore("two of two, one alone, a try", Bounds { losses: 1, ..bounds([two(), two(), alone(), two_try()]) });
    explore("two of one client, and two others", Bounds { losses: 1, ..bounds([two_of_two(), two(), alone()]) });
    explore("one client with both, and another", Bounds { losses: 1, ..bounds([any_and_alone(), any_and_alone()]) });
    explore("a line, and who shares beside it", Bounds { losses: 1, ..bounds([line_and_any(), any()]) });
}

#[test]
#[ignore = "some fifteen million states: run it with --ignored"]
fn more_goes_wrong_at_once() {
    let at_once = Bounds { losses: 1, lease_ends: 1, ..Bounds::default() };
    explore("two share, one is alone", Bounds { clients: vec![any(), any(), alone()], ..at_once.clone() });
    explore("a try of one, one of one, one alone", Bounds { clients: vec![one_try(), one(), alone()], ..at_once });
    explore("one client with both, and one alone", Bounds { lease_ends: 1, ..bounds([any_and_alone(), alone()]) });
    let at_once = Bounds { losses: 1, give_ups: 1, lease_ends: 1, robberies: 1, ..Bounds::default() };
    explore("one shares, one is alone", Bounds { clients: vec![any(), alone()], ..at_once.clone() });
    explore("two of one", Bounds { clients: vec![one(), one()], ..at_once.clone() });
    explore("a try of one, and one of one", Bounds { clients: vec![one_try(), one()], ..at_once });
}

#[test]
fn without_a_compare_of_the_limits_two_hold_by_different_ones() {
    refute(ONE_LIMIT, Rules { same_limit: false, ..Rules::ALL }, bounds([one(), two()]));
    refute(ONE_LIMIT, Rules { same_limit: false, ..Rules::ALL }, bounds([one_try(), any()]));
}

#[test]
fn who_shares_and_does_not_wait_for_who_is_exclusive_holds_beside_it() {
    refute(HELD_ALONE, Rules { shared_waits_for_exclusive: false, ..Rules::ALL }, bounds([any(), alone()]));
    refute(HELD_ALONE, Rules { shared_waits_for_exclusive: false, ..Rules::ALL }, bounds([one(), alone()]));
}

#[test]
fn who_shares_and_joins_those_who_hold_passes_who_waits_alone() {
    let rules = Rules { first_come: false, ..Rules::ALL };
    refute(FIRST_COME, rules, bounds([any(), any(), alone()]));
    refute(HELD_ALONE, rules, bounds([any(), any(), alone()]));
}

#[test]
fn who_does_not_count_the_older_ones_exceeds_the_limit() {
    refute(WITHIN_LIMIT, Rules { limit_counts: false, ..Rules::ALL }, bounds([one(), one()]));
    refute(WITHIN_LIMIT, Rules { limit_counts: false, ..Rules::ALL }, bounds([two(), two(), two()]));
}

#[test]
fn who_is_exclusive_and_does_not_wait_for_who_shares_holds_beside_it() {
    refute(HELD_ALONE, Rules { exclusive_waits_for_shared: false, ..Rules::ALL }, bounds([any(), alone()]));
}

/// It may be the turn of the third of two when the first leaves, and of the second of any when there is no exclusive one.
#[test]
fn who_shares_and_waits_until_nobody_is_before_it_sleeps_on_its_turn() {
    let rules = Rules { woken_by_each: false, ..Rules::ALL };
    refute(NOBODY_SLEEPS, rules, bounds([two(), two(), two()]));
    refute(NOBODY_SLEEPS, rules, bounds([any(), any(), alone()]));
}

#[test]
fn who_does_not_wait_and_compares_nothing_holds_beside_who_is_exclusive() {
    refute(HELD_ALONE, Rules { free_of_exclusive: false, ..Rules::ALL }, bounds([any_try(), alone()]));
}

#[test]
fn who_does_not_wait_and_enters_whatever_came_since_it_looked_exceeds_the_limit() {
    let rules = Rules { enter_as_looked: false, ..Rules::ALL };
    refute(WITHIN_LIMIT, rules, bounds([one_try(), one_try()]));
    refute(WITHIN_LIMIT, rules, bounds([two_try(), two(), two()]));
    refute(HELD_ALONE, rules, bounds([one_try(), alone()]));
}

/// Who has entered since may have been one of two only, or have gone already.
#[test]
fn who_does_not_wait_and_does_not_look_again_is_told_of_a_limit_that_is_not_reached() {
    let rules = Rules { looks_again: false, ..Rules::ALL };
    refute(BUSY_BY_OTHERS, rules, bounds([two_try(), two()]));
}

#[test]
fn who_does_not_wait_and_looks_only_at_those_of_its_limit_holds_beside_who_is_exclusive() {
    refute(HELD_ALONE, Rules { looks_outside: false, ..Rules::ALL }, bounds([one_try(), alone()]));
}

#[test]
fn who_does_not_wait_and_looks_at_how_it_was_is_told_of_who_has_gone() {
    refute(BUSY_BY_OTHERS, Rules { look_is_fresh: false, ..Rules::ALL }, bounds([one_try(), one()]));
}

/// It harms nobody: what was free then, and where nobody has entered since, is free now.
#[test]
fn who_holds_after_a_look_at_how_it_was_holds_by_right() {
    let bounds = bounds([two_try(), two(), alone()]);
    let checker = Protocol { rules: Rules { look_is_fresh: false, ..Rules::ALL }, bounds }.checker().spawn_bfs().join();
    for property in [ONE_HOLDER, HELD_ALONE, WITHIN_LIMIT, FIRST_COME, TOKENS_RISE, NOTHING_LEFT] {
        checker.assert_no_discovery(property);
    }
}

/// Nobody older is there in one, one's own key in the other; it was deleted by hand between the two.
#[test]
fn two_reads_do_not_prove_what_one_does() {
    let rules = Rules { one_read_for_all: false, ..Rules::ALL };
    refute(ALL_AT_ONCE, rules, Bounds { robberies: 1, ..bounds([any(), alone()]) });
    explore_by(rules, "but for that", Bounds { losses: 1, lease_ends: 1, ..bounds([any(), alone()]) });
}

/// Two of one revision do not count each other, and two limits in one request are not compared.
#[test]
fn two_of_one_name_in_a_batch_do_not_see_each_other() {
    let rules = Rules { one_of_a_name: false, ..Rules::ALL };
    refute(WITHIN_LIMIT, rules, bounds([vec![vec![Share(A, 1)], vec![Share(A, 1)]]]));
    refute(ONE_LIMIT, rules, bounds([vec![vec![Share(A, 1)], vec![Share(A, 2)]]]));
    refute(HELD_ALONE, rules, bounds([any_and_alone()]));
    refute(TOKENS_RISE, rules, bounds([any_and_alone()]));
}

/// What is needed for who is exclusive is needed for who shares.
#[test]
fn the_rules_of_exclusive_locks_are_needed_here_too() {
    let all_rules = Rules::ALL;
    let lossy = Bounds { losses: 1, give_ups: 1, ..bounds([any()]) };
    refute(NOTHING_LEFT, Rules { epoch: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { read_after_fence: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { read_is_fresh: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { delete_after_fence: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { leave_on_give_up: false, ..all_rules }, lossy.clone());
    refute(NOTHING_LEFT, Rules { delete_until_acknowledged: false, ..all_rules }, lossy);
    let again = Bounds { losses: 1, give_ups: 1, ..bounds([one_twice()]) };
    refute(ONE_HOLDER, Rules { free_when_deleted: false, ..all_rules }, again.clone());
    refute(ONE_HOLDER, Rules { spent_by_delete: false, ..all_rules }, again.clone());
    refute(ONE_HOLDER, Rules { spent_until_fence: false, ..all_rules }, again);
    refute(WITHIN_LIMIT, Rules { proof_has_own_key: false, ..all_rules }, bounds([one(), one()]));
    refute(HELD_ALONE, Rules { proof_has_own_key: false, ..all_rules }, bounds([any(), alone()]));
    refute(WITHIN_LIMIT, Rules { proof_after_enter: false, ..all_rules }, bounds([one_twice(), one()]));
    refute(HELD_ALONE, Rules { proof_after_enter: false, ..all_rules }, bounds([any_twice(), alone()]));
    let ends = Bounds { lease_ends: 1, ..bounds([one(), one()]) };
    refute(WITHIN_LIMIT, Rules { ends_first: false, ..all_rules }, ends);
}
