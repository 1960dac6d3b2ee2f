//! What has to be true of every state.

use crate::Protocol;
use crate::client::{Client, Own, Phase};
use crate::etcd::{Key, Reply, Request, Revision};
use crate::keys::Keys;
use crate::mode::{ANY, Mode};
use crate::world::World;
use stateright::Property;

pub const ONE_HOLDER: &str = "who believes to hold has its key, on a lease that lives, and it is its turn";
pub const HELD_ALONE: &str = "nobody holds together with who is exclusive";
pub const WITHIN_LIMIT: &str = "of a limit, no more than that many hold";
pub const ONE_LIMIT: &str = "those who hold together agree on the limit";
pub const FIRST_COME: &str = "who waits alone is passed by nobody younger";
pub const NOBODY_SLEEPS: &str = "when nothing more can happen before a release, nobody waits whose turn it is";
pub const TOKENS_RISE: &str = "a token is higher than all before, of who shares than all of who was exclusive";
pub const ALL_AT_ONCE: &str = "who comes to hold has had its turn in all of its queues at once";
pub const BUSY_BY_OTHERS: &str = "who is told that a lock is not free could not have held it";
pub const KEPT_IN_TURN: &str = "what is on no lease is what holds";
pub const NOTHING_LEFT: &str = "when nothing more can happen, everybody is done and nothing is left";

/// That no two can have the oldest key is what exclusion means; that everybody is done, that nobody waits for a turn that
/// never comes.
pub fn promises() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_HOLDER, |_, world: &World| {
            let believes = |(key, created): (Key, Revision)| {
                let now = world.etcd.revision;
                let lasts = world.etcd.lives(key.lease) || world.etcd.kept().any(|kept| kept == key);
                let has = world.etcd.created_at(key, now) == Some(created) && lasts;
                has && world.etcd.is_turn_at(key, now)
            };
            held(world).all(believes)
        }),
        Property::always(HELD_ALONE, |_, world: &World| {
            pairs(world).all(|(one, other)| one.mode.is_shared() && other.mode.is_shared())
        }),
        Property::always(WITHIN_LIMIT, |_, world: &World| {
            held(world).all(|(key, _)| match key.mode {
                Mode::Exclusive | Mode::Shared(ANY) => true,
                Mode::Shared(limit) => {
                    let with = |other: Key| other.name == key.name && other.mode == key.mode;
                    held(world).filter(|(other, _)| with(*other)).count() <= usize::from(limit)
                }
            })
        }),
        Property::always(ONE_LIMIT, |_, world: &World| {
            !pairs(world).any(|(one, other)| one.mode.contradicts(other.mode))
        }),
        Property::always(FIRST_COME, |_, world: &World| {
            let is_passed = |(key, created): (Key, Revision)| {
                !key.mode.is_shared() && held(world).any(|(other, at)| other.name == key.name && at > created)
            };
            !waiting(world).flat_map(|own| left_alone(world, own)).any(is_passed)
        }),
        Property::always(NOBODY_SLEEPS, |protocol: &Protocol, world: &World| {
            let is_turn = |key: Key| world.etcd.is_turn_at(key, world.etcd.revision);
            !waiting(world).any(|own| own.keys.iter().all(is_turn)) || !protocol.is_quiet(world)
        }),
        Property::always(TOKENS_RISE, |_, world: &World| !world.token_fell),
        Property::always(ALL_AT_ONCE, |_, world: &World| !world.held_in_part),
        Property::always(BUSY_BY_OTHERS, |_, world: &World| !world.busy_by_itself),
        Property::always(KEPT_IN_TURN, |_, world: &World| {
            world.etcd.kept().all(|key| world.etcd.is_turn_at(key, world.etcd.revision))
        }),
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
            let first =
                |own: Own| own.keys.iter().filter(|key| world.etcd.is_turn_at(*key, world.etcd.revision)).count();
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

/// The same, where somebody shares a lock.
pub fn troubles_of_sharing() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("two hold together", |_, world: &World| pairs(world).next().is_some()),
        Property::sometimes("one waits for those of its limit alone", |_, world: &World| {
            let is_full = |key: Key| {
                let now = world.etcd.revision;
                let inside = world.etcd.queue_at(key.name, now).all(|(other, _)| other.mode == key.mode);
                inside && key.mode.is_shared() && !world.etcd.is_turn_at(key, now)
            };
            waiting(world).any(|own| own.keys.iter().all(is_full))
        }),
        Property::sometimes("who is exclusive waits for who shares", |_, world: &World| {
            waiting(world).any(|own| !is_sharing(own.keys) && waits_for(world, own).any(|key| key.mode.is_shared()))
        }),
        Property::sometimes("who shares waits for who is exclusive", |_, world: &World| {
            waiting(world).any(|own| is_sharing(own.keys) && waits_for(world, own).any(|key| !key.mode.is_shared()))
        }),
        Property::sometimes("a limit is not that of the others", |_, world: &World| {
            answered(world).any(|(_, reply)| reply == Reply::OtherLimit)
        }),
        Property::sometimes("somebody has entered since one looked", |_, world: &World| {
            answered(world).any(|(_, reply)| reply == Reply::Changed)
        }),
        Property::sometimes("an enter that shares is late", |_, world: &World| {
            world.late.iter().any(|request| matches!(request, Request::Enter { keys, .. } if is_sharing(*keys)))
        }),
        Property::sometimes("after a doubt a key that shares is there", |_, world: &World| {
            world.holders().any(|own| is_sharing(own.keys) && !own.reusable)
        }),
    ]
}

/// The same, where somebody wants to outlive its lease.
pub fn troubles_of_keeping() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes("somebody holds whose lease has ended", |_, world: &World| {
            world.holders().any(|own| own.outlives && !world.etcd.lives(own.keys.lease()))
        }),
        Property::sometimes("a request to outlive is late", |_, world: &World| {
            world.late.iter().any(|request| matches!(request, Request::Keep { .. }))
        }),
        Property::sometimes("who asked to outlive has no key any more", |_, world: &World| {
            let answer =
                |phase: Phase| matches!(phase, Phase::Keeping { call, .. } if call.reply == Some(Reply::NotThere));
            world.phases().any(answer)
        }),
        Property::sometimes("a client has crashed and its key is there for good", |_, world: &World| {
            world.etcd.kept().any(|key| world.clients[key.lease.client as usize].crashed)
        }),
    ]
}

/// The same, where somebody asks again after a loss.
pub fn troubles_of_standing_by() -> Vec<Property<Protocol>> {
    vec![Property::sometimes("who stands by holds with another lease", |_, world: &World| {
        let is_anew = |client: &Client| {
            let again = |own: Own| own.keys.lease().n > 1;
            client.tasks.iter().any(|task| {
                let stands_by = task.asks.first().is_some_and(|ask| ask.stands_by());
                matches!(task.phase, Phase::Holding(own) if stands_by && again(own))
            })
        };
        world.clients.iter().any(is_anew)
    })]
}

fn is_sharing(keys: Keys) -> bool {
    keys.iter().any(|key| key.mode.is_shared())
}

/// The keys of those who hold in the queues of one who waits.
fn waits_for(world: &World, own: Own) -> impl Iterator<Item = Key> {
    held(world).map(|(key, _)| key).filter(move |key| own.keys.share_a_queue_with(Keys::from(*key)))
}

/// The keys of a place, but for those that somebody deleted by hand: whose they were cannot know it at once.
fn left_alone(world: &World, own: Own) -> impl Iterator<Item = (Key, Revision)> {
    own.keys.iter().map(move |key| (key, own.created)).filter(|place| !world.robbed.contains(place))
}

fn held(world: &World) -> impl Iterator<Item = (Key, Revision)> {
    world.holders().flat_map(|own| left_alone(world, own))
}

/// Each two who hold the same lock.
fn pairs(world: &World) -> impl Iterator<Item = (Key, Key)> {
    let rest = |number: usize| held(world).skip(number + 1);
    let each =
        held(world).enumerate().flat_map(move |(number, (one, _))| rest(number).map(move |(other, _)| (one, other)));
    each.filter(|(one, other)| one.name == other.name)
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
