//! What lies between HTTP/2 and the socket (or TLS): it counts what is heard and used, and lets answers to pings wait.
//!
//! gRPC in Go measures the connection by a PING behind each message that it gets, as long as none is unanswered. Answered
//! at once, each request costs both sides two wake-ups more than it needs: a fifth of the time of a lock. Answered a
//! little later, by one PING for many requests.

use bytes::{Buf, Bytes};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What a connection runs on.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// How much a connection is used.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    reads: AtomicUsize,
    streams: AtomicUsize,
}

impl Traffic {
    /// How often something was read.
    pub(super) fn heard(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Whether anything is under way.
    pub(super) fn is_in_use(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }
}

/// Something is under way as long as this is there.
#[derive(Debug)]
pub(super) struct InUse(Arc<Traffic>);

impl InUse {
    pub(super) fn new(traffic: &Arc<Traffic>) -> Self {
        traffic.streams.fetch_add(1, Ordering::Relaxed);
        InUse(traffic.clone())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For how long the answer to a ping waits. Who pings to see whether we are alive waits for seconds.
const HOLD: Duration = Duration::from_millis(20);
/// A PING with ACK set: its length, kind, flags and stream; eight bytes follow.
const PONG_HEAD: [u8; 9] = [0, 0, 8, 6, 1, 0, 0, 0, 0];
const PONG: usize = PONG_HEAD.len() + 8;

pub(super) struct Wire {
    socket: Box<dyn Socket>,
    traffic: Arc<Traffic>,
    /// An answer to a ping, what is left of it, and until when it waits.
    held: Option<(Bytes, Pin<Box<Sleep>>)>,
    /// Whether what was written last ends with a frame: nothing may come between the parts of one.
    is_between_frames: bool,
}

impl Wire {
    pub(super) fn new(socket: Box<dyn Socket>, traffic: Arc<Traffic>) -> Self {
        Wire { socket, traffic, held: None, is_between_frames: true }
    }

    /// Takes an answer to a ping that is written by itself. Only one waits at a time.
    fn hold(&mut self, from: &[u8]) -> bool {
        let is_held =
            self.held.is_none() && from.len() == PONG && from.starts_with(&PONG_HEAD) && self.is_between_frames;
        if is_held {
            self.held = Some((Bytes::copy_from_slice(from), Box::pin(sleep(HOLD))));
        }
        is_held
    }

    /// Writes what has waited long enough, where it may come. Ready when there is nothing to be done now.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((pong, until)) = &mut self.held else { return Poll::Ready(Ok(())) };
        let may_begin = self.is_between_frames || pong.len() < PONG;
        if !may_begin || until.as_mut().poll(cx).is_pending() {
            return Poll::Ready(Ok(()));
        }
        while !pong.is_empty() {
            match ready!(Pin::new(&mut *self.socket).poll_write(cx, pong))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => pong.advance(written),
            }
        }
        ready!(Pin::new(&mut *self.socket).poll_flush(cx))?;
        self.held = None;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // So that it is woken when the time has come; an error will be seen by who writes next.
        let _written = self.poll_held(cx);
        let before = into.filled().len();
        let read = Pin::new(&mut *self.socket).poll_read(cx, into);
        if into.filled().len() > before {
            self.traffic.reads.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_held(cx))?;
        if self.hold(from) {
            return Poll::Ready(Ok(from.len()));
        }
        self.is_between_frames = false;
        Pin::new(&mut *self.socket).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_held(cx))?;
        if let [only] = from
            && self.hold(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        self.is_between_frames = false;
        Pin::new(&mut *self.socket).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // HTTP/2 flushes after whole frames.
        self.is_between_frames = true;
        ready!(self.poll_held(cx))?;
        Pin::new(&mut *self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::yield_now;
    use tokio::time::timeout;

    const PONG: &[u8] = &[0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    /// A wire of which somebody always reads, as of a connection, and so much room for what is written to it.
    async fn wire(room: usize) -> (tokio::io::WriteHalf<Wire>, DuplexStream) {
        let (near, far) = duplex(room);
        let (mut read, write) = tokio::io::split(Wire::new(Box::new(near), Arc::default()));
        tokio::spawn(async move { read.read_u8().await });
        (write, far)
    }

    async fn write(to: &mut (impl AsyncWriteExt + Unpin), what: &[u8]) {
        to.write_all(what).await.unwrap();
        to.flush().await.unwrap();
    }

    async fn read(from: &mut DuplexStream, count: usize) -> Vec<u8> {
        let mut read = vec![0; count];
        from.read_exact(&mut read).await.unwrap();
        read
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_a_ping_waits_and_what_else_there_is_goes_first() {
        let (mut near, mut far) = wire(1000).await;
        let begun = tokio::time::Instant::now();
        write(&mut near, PONG).await;
        write(&mut near, b"request").await;
        assert_eq!(read(&mut far, 7).await, b"request");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(read(&mut far, PONG.len()).await, PONG);
        assert!(begun.elapsed() >= HOLD && begun.elapsed() < HOLD * 2, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_one_does_not_wait_and_nothing_is_lost() {
        let (mut near, mut far) = wire(1000).await;
        write(&mut near, PONG).await;
        write(&mut near, PONG).await;
        assert_eq!(read(&mut far, PONG.len()).await, PONG);
        assert_eq!(timeout(HOLD * 2, read(&mut far, PONG.len())).await.unwrap(), PONG);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_comes_between_the_parts_of_a_frame() {
        let (mut near, mut far) = wire(10).await;
        write(&mut near, PONG).await;
        let writing = tokio::spawn(async move {
            write(&mut near, &[7; 100]).await;
            near
        });
        yield_now().await;
        // Its time has come, and a tenth of the frame is written.
        tokio::time::advance(HOLD * 2).await;
        let mut all = [vec![7; 100], PONG.to_vec()].concat();
        assert_eq!(read(&mut far, all.len()).await, all);
        write(&mut writing.await.unwrap(), b"more").await;
        all = read(&mut far, 4).await;
        assert_eq!(all, b"more");
    }
}
