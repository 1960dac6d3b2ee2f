//! What has to be true of every state.

use crate::Protocol;
use crate::client::{Client, Phase};
use crate::etcd::{Key, Reply, Revision};
use crate::world::World;
use stateright::Property;

pub const ONE_HOLDER: &str = "who believes to hold has the oldest key, on a lease that lives";
pub const TOKENS_RISE: &str = "the token of each holder is higher than all before";
pub const NOTHING_LEFT: &str = "when nothing more can happen, everybody is done and nothing is left";

/// The first three are the promises. The others make sure that the bounds are wide enough to get into trouble at all.
pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_HOLDER, |_, world: &World| {
            let oldest = world.etcd.oldest_at(world.etcd.revision);
            holders(world).all(|holder| oldest == Some(holder) && world.etcd.lives(holder.0.lease))
        }),
        Property::always(TOKENS_RISE, |_, world: &World| !world.token_fell),
        Property::always(NOTHING_LEFT, |protocol: &Protocol, world: &World| {
            let done = |client: &Client| client.tasks.iter().all(|task| task.phase == Phase::Done);
            let clean = || world.clients.iter().all(done) && world.etcd.oldest_at(world.etcd.revision).is_none();
            clean() || !protocol.is_over(world)
        }),
        Property::sometimes("one waits while another holds", |_, world| {
            holders(world).count() == 1 && phases(world).any(|phase| matches!(phase, Phase::Waiting { .. }))
        }),
        Property::sometimes("an enter is refused for its epoch", |_, world| {
            phases(world).any(|phase| match phase {
                Phase::Entering { call, .. } => matches!(call.reply, Some(Reply::OtherEpoch(_))),
                _ => false,
            })
        }),
    ]
}

/// Those who believe to hold the lock. That no two of them can have the oldest key is what exclusion means.
fn holders(world: &World) -> impl Iterator<Item = (Key, Revision)> {
    phases(world).filter_map(|phase| match phase {
        Phase::Holding { key, created } => Some((key, created)),
        _ => None,
    })
}

fn phases(world: &World) -> impl Iterator<Item = Phase> {
    world.clients.iter().flat_map(|client| &client.tasks).map(|task| task.phase)
}
