//! Stream of a connection, with TLS or without it.
//!
//! The handshake goes on whenever the server reads or writes, so that a slow one keeps nobody waiting but itself. It
//! has a time of its own, because the deadline of the connection below moves with every byte.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::server::connections::LimitedConnection;

/// Time that a handshake may take. It is two round trips, and a slow phone network takes a second for each; a client
/// that is slower holds one of the connections that others wait for.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Stream of a connection to one of the ports.
pub(in crate::server) struct PortStream {
    peer: TcpConnectInfo,
    state: StreamState,
}

enum StreamState {
    Plain(LimitedConnection),
    /// The handshake goes on, until the time is over.
    Handshake(Box<Accept<LimitedConnection>>, Pin<Box<Sleep>>),
    Encrypted(Box<TlsStream<LimitedConnection>>),
    /// The handshake failed.
    Closed,
}

impl PortStream {
    /// Stream without TLS.
    pub(in crate::server) fn plain(connection: LimitedConnection) -> Self {
        Self { peer: connection.connect_info(), state: StreamState::Plain(connection) }
    }

    /// Stream that begins with a handshake.
    pub(in crate::server) fn encrypted(connection: LimitedConnection, acceptor: &TlsAcceptor) -> Self {
        let peer = connection.connect_info();
        Self {
            peer,
            state: StreamState::Handshake(Box::new(acceptor.accept(connection)), Box::pin(sleep(HANDSHAKE_MAX))),
        }
    }

    /// Goes on with the handshake, if there is one that has not ended.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            StreamState::Plain(_) | StreamState::Encrypted(_) => Poll::Ready(Ok(())),
            StreamState::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            StreamState::Handshake(accept, time) => {
                let ended = match Pin::new(accept.as_mut()).poll(context) {
                    Poll::Ready(ended) => ended,
                    Poll::Pending => {
                        ready!(time.as_mut().poll(context));
                        Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"))
                    }
                };
                match ended {
                    Ok(stream) => {
                        self.state = StreamState::Encrypted(Box::new(stream));
                        Poll::Ready(Ok(()))
                    }
                    Err(why) => {
                        tracing::debug!(%why, peer = ?self.peer.remote_addr(), "a TLS handshake failed");
                        self.state = StreamState::Closed;
                        Poll::Ready(Err(why))
                    }
                }
            }
        }
    }
}

/// Calls a method of the stream below once the handshake is over.
macro_rules! through {
    ($self:ident, $context:ident, $stream:ident => $call:expr) => {{
        let this = $self.get_mut();
        ready!(this.poll_ready($context))?;
        match &mut this.state {
            StreamState::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            StreamState::Encrypted(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
            StreamState::Handshake(..) | StreamState::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }};
}

impl AsyncRead for PortStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        through!(self, context, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for PortStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        through!(self, context, stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self, context, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.state, StreamState::Handshake(..) | StreamState::Closed) {
            // The peer got no byte of TLS yet, so there is no session to close.
            return Poll::Ready(Ok(()));
        }
        through!(self, context, stream => stream.poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        through!(self, context, stream => stream.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.state {
            StreamState::Plain(stream) => stream.is_write_vectored(),
            StreamState::Encrypted(stream) => stream.is_write_vectored(),
            StreamState::Handshake(..) | StreamState::Closed => false,
        }
    }
}

impl Connected for PortStream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.peer.clone()
    }
}
