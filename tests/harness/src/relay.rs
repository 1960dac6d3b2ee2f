//! Bytes carried between two connections, in the mood of the moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// How many chunks that were read may wait to be delivered.
const QUEUE: usize = 1024;

/// What becomes of the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// They are carried.
    Open,
    /// They are carried, each so much later.
    Late(Duration),
    /// They wait here until this is lifted.
    Held,
    /// They are thrown away. A connection that has lost some is of no more use, and is cut when this is lifted.
    Lost,
}

/// What becomes of connections, and of what they carry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mood {
    /// From the one who has connected.
    pub requests: Way,
    /// To the one who has connected.
    pub answers: Way,
    /// Connections are reset, also new ones.
    pub down: bool,
}

impl Mood {
    /// Everything is carried.
    pub const NORMAL: Mood = Mood { requests: Way::Open, answers: Way::Open, down: false };
    /// Requests arrive only when this is lifted.
    pub const HOLD_REQUESTS: Mood = Mood { requests: Way::Held, ..Mood::NORMAL };
    /// Requests arrive and are done, their answers never come.
    pub const LOSE_ANSWERS: Mood = Mood { answers: Way::Lost, ..Mood::NORMAL };
    /// Nothing comes through, not even the end of a connection, until this is lifted: then all that was sent, as TCP
    /// would send it again.
    pub const HOLE: Mood = Mood { requests: Way::Held, answers: Way::Held, down: false };
    /// Connections are reset, also new ones.
    pub const DOWN: Mood = Mood { down: true, ..Mood::NORMAL };

    /// Everything takes so much longer, each way.
    pub const fn late(delay: Duration) -> Mood {
        Mood { requests: Way::Late(delay), answers: Way::Late(delay), down: false }
    }
}

/// Where everything is carried: not on the runtime of a test, which may stand still and is part of what is tested.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("harness").enable_all().build().expect("a runtime")
    });
    &RUNTIME
}

/// Connects to `target` and carries both ways until one side has ended or the mood is down.
/// Counts the bytes of requests.
pub(crate) async fn relay(
    client: TcpStream,
    target: String,
    mut mood: watch::Receiver<Mood>,
    requested: Arc<AtomicU64>,
) {
    let _ = client.set_nodelay(true);
    // As the first packet of a connection, this waits too.
    let begun = mood.wait_for(|mood| mood.down || mood.requests != Way::Held).await.map(|mood| !mood.down);
    let server = match begun {
        Ok(true) => TcpStream::connect(&target).await,
        _ => return reset(client),
    };
    let Ok(server) = server else { return reset(client) };
    let _ = server.set_nodelay(true);
    carry_both(client, server, mood, &requested).await;
}

async fn carry_both(client: TcpStream, server: TcpStream, mood: watch::Receiver<Mood>, requested: &AtomicU64) {
    let answered = AtomicU64::new(0);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut changes = mood.clone();
    let cut = tokio::select! {
        () = carry(&mut from_client, &mut to_server, mood.clone(), |mood| mood.requests, requested) => false,
        () = carry(&mut from_server, &mut to_client, mood, |mood| mood.answers, &answered) => false,
        _ = changes.wait_for(|mood| mood.down) => true,
    };
    if cut {
        from_client.reunite(to_client).map_or_else(|_| unreachable!("halves of one"), reset);
        from_server.reunite(to_server).map_or_else(|_| unreachable!("halves of one"), reset);
    }
}

/// Ends a connection as a machine does that knows nothing of it.
fn reset(connection: TcpStream) {
    let _ = connection.set_zero_linger();
}

async fn carry(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mood: watch::Receiver<Mood>,
    way: fn(&Mood) -> Way,
    carried: &AtomicU64,
) {
    let (queue, queued) = mpsc::channel(QUEUE);
    tokio::join!(take(from, queue, carried), deliver(to, queued, mood, way));
}

/// Until the end of the connection, or of the delivery.
async fn take(from: &mut OwnedReadHalf, queue: mpsc::Sender<(Instant, Vec<u8>)>, carried: &AtomicU64) {
    loop {
        let mut chunk = vec![0; 64 * 1024];
        let length = tokio::select! {
            read = from.read(&mut chunk) => read.unwrap_or(0),
            () = queue.closed() => 0,
        };
        chunk.truncate(length);
        carried.fetch_add(length as u64, Ordering::Relaxed);
        if length == 0 || queue.send((Instant::now(), chunk)).await.is_err() {
            return;
        }
    }
}

async fn deliver(
    to: &mut OwnedWriteHalf,
    mut queued: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut mood: watch::Receiver<Mood>,
    way: fn(&Mood) -> Way,
) {
    loop {
        let next = queued.recv().await;
        // The end of a connection waits as what it carries does.
        let Ok(now) = mood.wait_for(|mood| way(mood) != Way::Held).await.map(|mood| way(&mood)) else { return };
        let Some((taken, chunk)) = next else { return };
        match now {
            Way::Lost => {
                let _ = mood.wait_for(|mood| way(mood) != Way::Lost).await;
                return;
            }
            Way::Late(delay) => sleep_until(taken + delay).await,
            Way::Open | Way::Held => (),
        }
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
}
