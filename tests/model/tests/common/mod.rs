//! Goes through all that can happen, or until something goes wrong.

use locker_model::ask::Ask;
use locker_model::properties::promises;
use locker_model::{Bounds, Protocol, Rules};
use stateright::{Checker, Model};
use std::time::Instant;

/// What the threads of one client lock, each one after the other.
pub(crate) type Threads = Vec<Vec<Ask>>;

pub(crate) fn bounds<const N: usize>(clients: [Threads; N]) -> Bounds {
    Bounds { clients: clients.into(), ..Bounds::default() }
}

/// Goes through everything that can happen.
pub(crate) fn explore_by(rules: Rules, what: &str, bounds: Bounds) {
    let begun = Instant::now();
    let checker = Protocol { rules, bounds }.checker().threads(2).spawn_bfs().join();
    println!("{what}: {} states in {:.1?}", checker.unique_state_count(), begun.elapsed());
    for property in promises() {
        checker.assert_no_discovery(property.name);
    }
}

pub(crate) fn explore(what: &str, bounds: Bounds) {
    explore_by(Rules::ALL, what, bounds);
}

/// Goes on until the property turns out to be violated.
#[track_caller]
pub(crate) fn refute(property: &'static str, rules: Rules, bounds: Bounds) {
    let begun = Instant::now();
    let searching = Protocol { rules, bounds }.checker().threads(2);
    let checker = searching.finish_when(stateright::HasDiscoveries::AllOf([property].into())).spawn_bfs().join();
    let path =
        checker.discovery(property).unwrap_or_else(|| panic!("without the rule, it is still so that {property}"));
    println!("not so: {property} ({} states in {:.1?})", checker.unique_state_count(), begun.elapsed());
    path.into_actions().iter().enumerate().for_each(|(step, action)| println!("{:3}. {action:?}", step + 1));
}
