//! What lies between HTTP/2 and the socket (or TLS): it counts what is heard and used.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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

pub(super) struct Wire {
    socket: Box<dyn Socket>,
    traffic: Arc<Traffic>,
}

impl Wire {
    pub(super) fn new(socket: Box<dyn Socket>, traffic: Arc<Traffic>) -> Self {
        Wire { socket, traffic }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
        Pin::new(&mut *self.socket).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.socket).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_shutdown(cx)
    }
}
