//! A listener on the loopback address that can be closed and opened again on
//! the same port, and the connections that came in through it, which can all
//! be reset at once. While it is closed it keeps the port to itself, so that
//! connections are refused and nobody else takes its place.
//!
//! What is said over a connection is not its business.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::own_runtime::OwnRuntime;

/// Connections that the kernel completes before they are accepted.
const BACKLOG: u32 = 1024;
/// The kernel may need a moment before it gives the port again.
const BIND_ATTEMPTS_MAX: u32 = 500;
const BIND_PAUSE_MS: u64 = 10;

pub struct Door {
    address: SocketAddr,
    orders: mpsc::UnboundedSender<(Order, oneshot::Sender<usize>)>,
}

#[derive(Clone, Copy)]
enum Order {
    Close,
    Open,
    ResetAll,
}

impl Door {
    /// Listens, and serves each connection that comes in.
    pub fn open<F, S>(runtime: &OwnRuntime, serve: S) -> Door
    where
        S: Fn(Guest) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (orders, received) = mpsc::unbounded_channel();
        let address = runtime.run(async move {
            let listener = listen((Ipv4Addr::LOCALHOST, 0).into());
            let listener = listener.expect("listen on the loopback address");
            let address = listener.local_addr().expect("a bound address");
            tokio::spawn(keep(listener, address, serve, received));
            address
        });
        Door { address, orders }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses connections and resets those that are there. Returns how many.
    pub fn close(&self, runtime: &OwnRuntime) -> usize {
        self.order(runtime, Order::Close)
    }

    /// Takes connections again, on the same port.
    pub fn reopen(&self, runtime: &OwnRuntime) {
        self.order(runtime, Order::Open);
    }

    /// Resets the connections that are there. Returns how many.
    pub fn reset_all(&self, runtime: &OwnRuntime) -> usize {
        self.order(runtime, Order::ResetAll)
    }

    fn order(&self, runtime: &OwnRuntime, order: Order) -> usize {
        let (sender, done) = oneshot::channel();
        let sent = self.orders.send((order, sender));
        assert!(sent.is_ok(), "the door is still kept");
        runtime.run(done).expect("the door obeys")
    }
}

/// Either of two sockets, both bound to the same port.
enum Socket {
    Listening(TcpListener),
    /// Bound only: the kernel refuses connections.
    Reserved(TcpSocket),
}

async fn keep<F, S>(
    listener: TcpListener,
    address: SocketAddr,
    serve: S,
    mut orders: mpsc::UnboundedReceiver<(Order, oneshot::Sender<usize>)>,
) where
    S: Fn(Guest) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut socket = Socket::Listening(listener);
    let mut guests = JoinSet::new();
    let mut all = Arc::default();
    loop {
        tokio::select! {
            stream = accept(&socket) => {
                guests.spawn(serve(Guest { stream, abrupt: Abrupt::among(&all) }));
            }
            Some(_) = guests.join_next(), if !guests.is_empty() => {}
            order = orders.recv() => {
                let Some((order, done)) = order else { return };
                let mut reset = 0;
                match order {
                    Order::ResetAll => reset = reset_all(&mut guests, &mut all).await,
                    Order::Close => {
                        socket = reserve(socket, address).await;
                        reset = reset_all(&mut guests, &mut all).await;
                    }
                    Order::Open => socket = listen_again(socket, address).await,
                }
                // Whoever gave the order may have given up waiting.
                let _ = done.send(reset);
            }
        }
    }
}

async fn accept(socket: &Socket) -> TcpStream {
    loop {
        match socket {
            Socket::Reserved(_) => std::future::pending::<()>().await,
            Socket::Listening(listener) => match listener.accept().await {
                Ok((stream, _)) => {
                    // Small answers must not wait for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return stream;
                }
                // A client that went away before it was accepted.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}

async fn reset_all(guests: &mut JoinSet<()>, all: &mut Arc<AtomicBool>) -> usize {
    // Those that come later are none of these.
    std::mem::take(all).store(true, Ordering::SeqCst);
    let mut reset = 0;
    guests.abort_all();
    while let Some(ended) = guests.join_next().await {
        reset += usize::from(ended.is_err());
    }
    reset
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn reserve(socket: Socket, address: SocketAddr) -> Socket {
    let Socket::Listening(listener) = socket else {
        return socket;
    };
    drop(listener);
    let bind = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    Socket::Reserved(persistently(bind).await)
}

async fn listen_again(socket: Socket, address: SocketAddr) -> Socket {
    let Socket::Reserved(reserved) = socket else {
        return socket;
    };
    Socket::Listening(match reserved.listen(BACKLOG) {
        Ok(listener) => listener,
        Err(_) => persistently(|| listen(address)).await,
    })
}

async fn persistently<T>(mut bind: impl FnMut() -> io::Result<T>) -> T {
    for _ in 1..BIND_ATTEMPTS_MAX {
        if let Ok(bound) = bind() {
            return bound;
        }
        tokio::time::sleep(Duration::from_millis(BIND_PAUSE_MS)).await;
    }
    bind().expect("bind to the same port again")
}

/// Whether a connection ends with a reset rather than in peace: because it is
/// told to, or because all are.
#[derive(Clone)]
pub struct Abrupt {
    own: Arc<AtomicBool>,
    all: Arc<AtomicBool>,
}

impl Abrupt {
    fn among(all: &Arc<AtomicBool>) -> Abrupt {
        Abrupt {
            own: Arc::default(),
            all: Arc::clone(all),
        }
    }

    pub fn set(&self) {
        self.own.store(true, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.own.load(Ordering::SeqCst) || self.all.load(Ordering::SeqCst)
    }
}

/// A connection that came in.
pub struct Guest {
    stream: TcpStream,
    abrupt: Abrupt,
}

impl Guest {
    /// What makes its end a reset.
    pub fn abrupt(&self) -> Abrupt {
        self.abrupt.clone()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.abrupt.is_set() {
            // Without it the other side would see an orderly end.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl Deref for Guest {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.abrupt.is_set() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
