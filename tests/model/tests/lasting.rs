//! Those who ask again after a loss, and those who want to outlive their lease: the protocol goes well, and badly once any
//! of its rules is broken.
#![allow(missing_docs)]

mod common;

use common::{Threads, bounds, explore, explore_by, refute};
use locker_model::ask::Ask::{Persist, Standby, Try, Wait};
use locker_model::etcd::Name::{A, B};
use locker_model::properties::{KEPT_IN_TURN, NOTHING_LEFT, troubles_of_keeping, troubles_of_standing_by};
use locker_model::{Bounds, Protocol, Rules};
use stateright::{Checker, Model};
use std::collections::BTreeSet;

fn wait() -> Threads {
    vec![vec![Wait(A)]]
}

fn standby() -> Threads {
    vec![vec![Standby(A)]]
}

fn persist() -> Threads {
    vec![vec![Persist(A)]]
}

/// Two that stand in one line.
fn line_of<const N: usize>(asks: [locker_model::ask::Ask; N]) -> Threads {
    asks.map(|ask| vec![ask]).into()
}

#[test]
fn requests_get_lost_and_waits_are_given_up() {
    let lossy = |clients| Bounds { losses: 1, give_ups: 1, ..clients };
    explore("one outlives, two do not", lossy(bounds([persist(), wait(), wait()])));
    explore("two outlive", lossy(bounds([persist(), persist()])));
    explore("one outlives twice", Bounds { losses: 2, give_ups: 1, ..bounds([vec![vec![Persist(A), Persist(A)]]]) });
    explore("a line in which the first outlives", lossy(bounds([line_of([Persist(A), Wait(A)]), wait()])));
    explore("a line in which the second outlives", lossy(bounds([line_of([Wait(A), Persist(A)])])));
    explore("a try beside one that outlives", lossy(bounds([line_of([Persist(A), Try(A)])])));
    explore("two names of one client", Bounds { losses: 1, ..bounds([line_of([Persist(A), Wait(B)])]) });
    explore("one stands by, two do not", lossy(bounds([standby(), wait(), wait()])));
}

#[test]
fn leases_end_and_clients_crash() {
    let at_once = |clients| Bounds { losses: 1, give_ups: 1, lease_ends: 1, ..clients };
    explore("one outlives, another waits", at_once(bounds([persist(), wait()])));
    explore(
        "a line in which the first outlives",
        Bounds { lease_ends: 1, losses: 1, ..bounds([line_of([Persist(A), Wait(A)])]) },
    );
    explore("one outlives two leases", Bounds { lease_ends: 2, losses: 1, ..bounds([persist()]) });
    explore("one outlives, or crashes", Bounds { crashes: 1, losses: 1, lease_ends: 1, ..bounds([persist(), wait()]) });
    explore("one stands by, another waits", at_once(bounds([standby(), wait()])));
    explore("two stand by", Bounds { lease_ends: 1, losses: 1, ..bounds([standby(), standby()]) });
    explore(
        "a line in which both stand by",
        Bounds { lease_ends: 1, losses: 1, ..bounds([line_of([Standby(A), Standby(A)])]) },
    );
}

#[test]
fn keys_are_deleted_by_hand() {
    let robbed = |clients| Bounds { robberies: 1, losses: 1, ..clients };
    explore("one outlives, another waits", robbed(bounds([persist(), wait()])));
    explore("one stands by, another waits", robbed(bounds([standby(), wait()])));
    explore("both in one line", Bounds { robberies: 1, losses: 1, ..bounds([line_of([Standby(A), Persist(A)])]) });
}

#[test]
fn the_bounds_are_wide_enough_for_every_trouble() {
    let every = Bounds { losses: 1, lease_ends: 1, crashes: 1, robberies: 1, ..bounds([persist(), wait()]) };
    meets(every, troubles_of_keeping().into_iter().map(|trouble| trouble.name).collect());
    let every = Bounds { lease_ends: 1, ..bounds([standby(), wait()]) };
    meets(every, troubles_of_standing_by().into_iter().map(|trouble| trouble.name).collect());
}

fn meets(bounds: Bounds, troubles: BTreeSet<&'static str>) {
    let searching = Protocol { rules: Rules::ALL, bounds }.checker().threads(2);
    let checker = searching.finish_when(stateright::HasDiscoveries::AllOf(troubles.clone())).spawn_bfs().join();
    for trouble in troubles {
        assert!(checker.discovery(trouble).is_some(), "it never happens that {trouble}");
    }
}

/// Who dies in the queue would stand in it for ever.
#[test]
fn who_outlives_its_lease_before_its_turn_stands_in_the_way_of_others() {
    refute(KEPT_IN_TURN, Rules { keep_when_first: false, ..Rules::ALL }, bounds([persist(), wait()]));
}

/// What is done late makes a key that nobody deletes.
#[test]
fn who_puts_its_key_without_a_compare_leaves_a_ghost_for_ever() {
    let rules = Rules { keep_compares: false, ..Rules::ALL };
    refute(NOTHING_LEFT, rules, Bounds { losses: 1, ..bounds([persist()]) });
    refute(NOTHING_LEFT, rules, Bounds { give_ups: 1, ..bounds([persist()]) });
}

/// The end of the lease is no end of what may have been taken from it.
#[test]
fn who_trusts_in_the_end_of_the_lease_leaves_a_lock_held_for_ever() {
    let rules = Rules { kept_until_deleted: false, ..Rules::ALL };
    refute(NOTHING_LEFT, rules, Bounds { lease_ends: 1, ..bounds([persist()]) });
}

/// Who enters anew while its former key is still being deleted waits behind that.
#[test]
fn who_enters_anew_at_once_harms_nobody() {
    let rules = Rules { kept_before_anew: false, ..Rules::ALL };
    explore_by(rules, "at once", Bounds { give_ups: 1, lease_ends: 1, ..bounds([persist(), wait()]) });
}
