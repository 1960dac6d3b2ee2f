//! What has to be true of every state.

use crate::Protocol;
use crate::client::{Client, Phase};
use crate::etcd::{Key, Reply, Request, Revision};
use crate::world::World;
use stateright::Property;

pub const ONE_HOLDER: &str = "who believes to hold has the oldest key, on a lease that lives";
pub const TOKENS_RISE: &str = "the token of each holder is higher than all before";
pub const NOTHING_LEFT: &str = "when nothing more can happen, everybody is done and nothing is left";

/// The first three are the promises. That no two can have the oldest key is what exclusion means; that everybody is done,
/// that nobody waits for a turn that never comes. The others make sure that the bounds are wide enough to get into trouble
/// at all.
pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_HOLDER, |_, world: &World| {
            let believes = |(key, created): (Key, Revision)| {
                let oldest = world.etcd.oldest_at(key.name, world.etcd.revision);
                oldest == Some((key, created)) && world.etcd.lives(key.lease)
            };
            let holds = world.holders().map(|own| (own.key, own.created));
            holds.filter(|hold| !world.robbed.contains(hold)).all(believes)
        }),
        Property::always(TOKENS_RISE, |_, world: &World| !world.token_fell),
        Property::always(NOTHING_LEFT, |protocol: &Protocol, world: &World| {
            let done = |client: &Client| client.tasks.iter().all(|task| task.phase == Phase::Done);
            let clean = world.etcd.keys_at(world.etcd.revision).next().is_none();
            clean && world.clients.iter().all(done) || !protocol.is_over(world)
        }),
        Property::sometimes("one waits while another holds", |_, world: &World| {
            let names: Vec<_> = world.holders().map(|own| own.key.name).collect();
            world.phases().any(|phase| matches!(phase, Phase::Waiting(own) if names.contains(&own.key.name)))
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

fn answered(world: &World) -> impl Iterator<Item = (Request, Reply)> {
    world.phases().filter_map(|phase| match phase {
        Phase::Entering { call, .. } => Some((call.request, call.reply?)),
        _ => None,
    })
}
