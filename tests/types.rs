//! What the types promise to the compiler. It is checked when this is compiled; what is left to run only says so.
#![allow(missing_docs)]

use futures_core::Stream;
use locker::{Change, Client, Connect, Error, ErrorKind, Guard, Info, Lock, Loss, Mode, Result, State, Watcher};
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

fn is_send_and_sync<T: Send + Sync + Unpin + 'static>() {}
fn is_clone<T: Clone>() {}
fn is_value<T: Copy + Eq + std::hash::Hash + std::fmt::Debug>() {}
fn is_send<T: Send>(_: T) {}
fn is_send_alone<T: Send + 'static>(_: T) {}

#[test]
fn all_types_may_be_sent_and_shared() {
    is_send_and_sync::<Client>();
    is_send_and_sync::<Connect>();
    is_send_and_sync::<Lock>();
    is_send_and_sync::<Guard>();
    is_send_and_sync::<Change>();
    is_send_and_sync::<Info>();
    is_send_and_sync::<Watcher>();
    is_send_and_sync::<Error>();
    is_clone::<Client>();
    is_clone::<Connect>();
    is_clone::<Change>();
    is_clone::<Info>();
    is_clone::<Error>();
    is_value::<State>();
    is_value::<Mode>();
    is_value::<Loss>();
    is_value::<ErrorKind>();
}

/// Never called: that it compiles is all.
#[expect(dead_code)]
fn all_futures_may_be_sent(client: Client, guard: Guard, mut watcher: Watcher) {
    is_send_alone(Client::connect("").into_future());
    is_send_alone(client.lock("x").into_future());
    is_send_alone(client.lock_all(["x"]).into_future());
    is_send(client.try_lock("x"));
    is_send(client.get("x"));
    is_send(client.watch("x"));
    // It does not borrow the client.
    is_send_alone(client.disconnect());
    is_send(guard.wait(Duration::ZERO));
    is_send(guard.changed());
    is_send(guard.lost());
    is_send(guard.unlock());
    is_send(watcher.next());
    is_stream(watcher);
}

fn is_stream(_: impl Stream<Item = Result<Arc<Info>>> + Send + 'static) {}
