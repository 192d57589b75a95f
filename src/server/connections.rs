//! Connections: how many there may be, and when a silent one is closed.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::tls::{PortStream, Protocols, TlsSource};

/// Time between two lines of the log about connections that cannot be accepted.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Pause after the system could not accept a connection: it is out of descriptors, most likely.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Event that gives a connection more time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeadlineRenewal {
    /// The client sent a byte, such as an answer to a keepalive ping.
    OnReceive(Duration),
    /// The server sent a byte. A client that sends its request byte by byte gains nothing by it.
    OnSend(Duration),
}

/// A listener that limits the number of connections and closes silent ones.
#[derive(Debug)]
pub(super) struct Incoming {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    /// Time for the first byte.
    first: Duration,
    renewal: DeadlineRenewal,
    tls: Option<(TlsSource, Protocols)>,
    resting: Option<Pin<Box<Sleep>>>,
    /// Time of the last line of the log about connections that could not be accepted.
    logged: Option<Instant>,
}

impl Incoming {
    pub(super) fn new(listener: TcpListener, connections: usize, first: Duration, renewal: DeadlineRenewal) -> Self {
        let permits = Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)));
        Self { listener, permits, first, renewal, tls: None, resting: None, logged: None }
    }

    /// Begins each connection with a TLS handshake that offers these protocols, if there are certificates.
    pub(super) fn with_tls(self, tls: Option<&TlsSource>, protocols: Protocols) -> Self {
        Self { tls: tls.map(|tls| (tls.clone(), protocols)), ..self }
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<(PortStream, SocketAddr)> {
        loop {
            if let Some(resting) = &mut self.resting {
                ready!(resting.as_mut().poll(context));
                self.resting = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Ok((stream, address)) => match Arc::clone(&self.permits).try_acquire_owned() {
                    Ok(permit) => return Poll::Ready((self.connection(stream, permit), address)),
                    // The stream is closed as it is dropped.
                    Err(_) => {
                        tracing::warn!(%address, "too many connections: a new one was closed; see the setting limits.connections");
                    }
                },
                Err(why) if is_of_client(&why) => {}
                Err(why) => {
                    if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
                        tracing::error!(%why, "no connection can be accepted; trying again");
                        self.logged = Some(Instant::now());
                    }
                    self.resting = Some(Box::pin(sleep(BACK_OFF)));
                }
            }
        }
    }

    fn connection(&self, stream: TcpStream, permit: OwnedSemaphorePermit) -> PortStream {
        // Small answers must not wait for more of them. If this cannot be set they are slower, not wrong.
        let _ = stream.set_nodelay(true);
        let connection =
            LimitedConnection { stream, renewal: self.renewal, deadline: Box::pin(sleep(self.first)), _permit: permit };
        match &self.tls {
            None => PortStream::plain(connection),
            Some((tls, protocols)) => PortStream::encrypted(connection, &tls.acceptor(protocols)),
        }
    }
}

/// Returns `true` if a failure to accept concerns one client, which has left already.
fn is_of_client(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(why.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl Stream for Incoming {
    type Item = io::Result<PortStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_accept(context).map(|(connection, _)| Some(Ok(connection)))
    }
}

impl axum::serve::Listener for Incoming {
    type Io = PortStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (PortStream, SocketAddr) {
        std::future::poll_fn(|context| self.poll_accept(context)).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts, and that ends once its time is over.
#[derive(Debug)]
pub(super) struct LimitedConnection {
    stream: TcpStream,
    renewal: DeadlineRenewal,
    deadline: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

fn after(duration: Duration) -> Instant {
    Instant::now() + duration
}

impl AsyncRead for LimitedConnection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let (DeadlineRenewal::OnReceive(more), true) = (this.renewal, buffer.filled().len() > before) {
            this.deadline.as_mut().reset(after(more));
        }
        if polled.is_pending() && this.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection was silent for too long")));
        }
        polled
    }
}

impl AsyncWrite for LimitedConnection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let DeadlineRenewal::OnSend(more) = this.renewal {
            this.deadline.as_mut().reset(after(more));
        }
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let DeadlineRenewal::OnSend(more) = this.renewal {
            this.deadline.as_mut().reset(after(more));
        }
        Pin::new(&mut this.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for LimitedConnection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
