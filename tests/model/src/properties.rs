//! What has to be true of every state.

use crate::Protocol;
use crate::client::{Client, Own, Phase};
use crate::etcd::{Key, Reply, Request, Revision};
use crate::keys::Keys;
use crate::world::World;
use stateright::Property;

pub const ONE_HOLDER: &str = "who believes to hold has the oldest key, on a lease that lives";
pub const TOKENS_RISE: &str = "the token of each holder is higher than all before";
pub const ALL_AT_ONCE: &str = "who comes to hold has been the first in all of its queues at once";
pub const BUSY_BY_OTHERS: &str = "who is told that a lock is not free was not alone in its queue";
pub const NOTHING_LEFT: &str = "when nothing more can happen, everybody is done and nothing is left";

/// That no two can have the oldest key is what exclusion means; that everybody is done, that nobody waits for a turn that
/// never comes.
pub fn promises() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_HOLDER, |_, world: &World| {
            let believes = |(key, created): (Key, Revision)| {
                let oldest = world.etcd.oldest_at(key.name, world.etcd.revision);
                oldest == Some((key, created)) && world.etcd.lives(key.lease)
            };
            let places = |own: Own| own.keys.iter().map(move |key| (key, own.created));
            let holds = world.holders().flat_map(places);
            holds.filter(|hold| !world.robbed.contains(hold)).all(believes)
        }),
        Property::always(TOKENS_RISE, |_, world: &World| !world.token_fell),
        Property::always(ALL_AT_ONCE, |_, world: &World| !world.held_in_part),
        Property::always(BUSY_BY_OTHERS, |_, world: &World| !world.busy_by_itself),
        Property::always(NOTHING_LEFT, |protocol: &Protocol, world: &World| {
            let done = |client: &Client| client.tasks.iter().all(|task| task.phase == Phase::Done);
            let clean = world.etcd.keys_at(world.etcd.revision).next().is_none();
            clean && world.clients.iter().all(done) || !protocol.is_over(world)
        }),
    ]
}

/// That they happen shows that the bounds are wide enough to get into trouble at all.
pub fn troubles_of_lines() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("one waits while another holds", |_, world: &World| {
            let waits = |own: Own| world.holders().any(|holder| holder.keys.share_a_queue_with(own.keys));
            waiting(world).any(waits)
        }),
        Property::sometimes("an enter is refused for its epoch", |_, world: &World| {
            answered(world)
                .any(|(request, reply)| matches!((request, reply), (Request::Enter { .. }, Reply::OtherEpoch(..))))
        }),
        Property::sometimes("a fused request is refused for its epoch", |_, world: &World| {
            answered(world)
                .any(|(request, reply)| matches!((request, reply), (Request::Fused { .. }, Reply::OtherEpoch(..))))
        }),
        Property::sometimes("who is next in line holds at once", |_, world: &World| {
            answered(world).any(
                |(request, reply)| matches!((request, reply), (Request::Fused { .. }, Reply::In(place)) if place.first),
            )
        }),
        Property::sometimes("a fused request is late", |_, world: &World| {
            world.late.iter().any(|request| matches!(request, Request::Fused { .. }))
        }),
        Property::sometimes("a key is used again", |_, world: &World| world.etcd.knows_two_lives()),
    ]
}

/// The same, where somebody wants all locks at once.
pub fn troubles_of_all() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("who holds both lets two wait, each for one of them", |_, world: &World| {
            let waits_for = |keys: Keys| {
                waiting(world).filter(|own| !own.keys.are_two() && keys.share_a_queue_with(own.keys)).count()
            };
            world.holders().any(|own| own.keys.are_two() && waits_for(own.keys) > 1)
        }),
        Property::sometimes("who waits for both is the first in one queue only", |_, world: &World| {
            let first = |own: Own| own.keys.iter().filter(|key| world.etcd.first_at(*key, world.etcd.revision)).count();
            waiting(world).any(|own| own.keys.are_two() && first(own) == 1)
        }),
        Property::sometimes("an enter of both is refused for its epoch", |_, world: &World| {
            answered(world).any(|(request, reply)| is_of_two(request) && matches!(reply, Reply::OtherEpoch(..)))
        }),
        Property::sometimes("after a doubt both keys are there", |_, world: &World| {
            waiting(world).any(|own| own.keys.are_two() && !own.reusable)
        }),
        Property::sometimes("an enter of both is late", |_, world: &World| {
            world.late.iter().any(|request| matches!(request, Request::Enter { .. }) && is_of_two(*request))
        }),
        Property::sometimes("a delete of both is late", |_, world: &World| {
            world.late.iter().any(|request| matches!(request, Request::Delete { .. }) && is_of_two(*request))
        }),
    ]
}

fn is_of_two(request: Request) -> bool {
    request.keys().is_some_and(Keys::are_two)
}

fn waiting(world: &World) -> impl Iterator<Item = Own> {
    world.phases().filter_map(|phase| match phase {
        Phase::Waiting(own) => Some(own),
        _ => None,
    })
}

fn answered(world: &World) -> impl Iterator<Item = (Request, Reply)> {
    world.phases().filter_map(|phase| match phase {
        Phase::Entering { call, .. } => Some((call.request, call.reply?)),
        _ => None,
    })
}
