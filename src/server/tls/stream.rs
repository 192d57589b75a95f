//! Stream of a connection, with TLS or without it.
//!
//! The handshake goes on whenever the server reads or writes, so that a slow one keeps nobody waiting but itself. The deadline of
//! the connection below bounds it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::server::connections::LimitedConnection;

/// Stream of a connection to one of the ports.
pub(in crate::server) struct PortStream {
    peer: TcpConnectInfo,
    state: StreamState,
}

enum StreamState {
    Plain(LimitedConnection),
    Handshake(Box<Accept<LimitedConnection>>),
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
        Self { peer, state: StreamState::Handshake(Box::new(acceptor.accept(connection))) }
    }

    /// Goes on with the handshake, if there is one that has not ended.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            StreamState::Plain(_) | StreamState::Encrypted(_) => Poll::Ready(Ok(())),
            StreamState::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            StreamState::Handshake(accept) => match ready!(Pin::new(accept.as_mut()).poll(context)) {
                Ok(stream) => {
                    self.state = StreamState::Encrypted(Box::new(stream));
                    Poll::Ready(Ok(()))
                }
                Err(why) => {
                    tracing::debug!(%why, peer = ?self.peer.remote_addr(), "a TLS handshake failed");
                    self.state = StreamState::Closed;
                    Poll::Ready(Err(why))
                }
            },
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
            StreamState::Handshake(_) | StreamState::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
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
        if matches!(self.state, StreamState::Handshake(_) | StreamState::Closed) {
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
            StreamState::Handshake(_) | StreamState::Closed => false,
        }
    }
}

impl Connected for PortStream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.peer.clone()
    }
}
