//! The connection's bytes: a socket of TCP or of the machine's own, opened as
//! the settings say. The driver's own socket could not be watched.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// PostgreSQL's own default.
const PORT_DEFAULT: u16 = 5432;

/// Where a server may be.
pub(super) enum Address {
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(std::path::PathBuf),
}

/// A socket.
pub(super) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Where the configuration's server may be, and what TLS is to call it.
///
/// # Errors
/// Its name has no address.
pub(super) async fn addresses(config: &Config) -> io::Result<(Vec<Address>, String)> {
    let port = config.get_ports().first().copied().unwrap_or(PORT_DEFAULT);
    let host = config.get_hosts().first();
    let name = match host {
        Some(Host::Tcp(name)) => name.clone(),
        _ => String::new(),
    };
    let found = match (host, config.get_hostaddrs().first()) {
        (_, Some(address)) => vec![Address::Tcp(SocketAddr::new(*address, port))],
        (Some(Host::Unix(folder)), None) => {
            vec![Address::Unix(folder.join(format!(".s.PGSQL.{port}")))]
        }
        (Some(Host::Tcp(name)), None) => lookup_host((name.as_str(), port))
            .await?
            .map(Address::Tcp)
            .collect(),
        (None, None) => Vec::new(),
    };
    Ok((found, name))
}

impl Wire {
    /// Connects, and keeps the connection alive as the configuration says.
    ///
    /// # Errors
    /// Nobody answers.
    pub(super) async fn open(address: &Address, config: &Config) -> io::Result<Self> {
        let stream = match address {
            Address::Unix(path) => return Ok(Self::Unix(UnixStream::connect(path).await?)),
            Address::Tcp(address) => TcpStream::connect(address).await?,
        };
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        #[cfg(target_os = "linux")]
        if let Some(timeout) = config.get_tcp_user_timeout() {
            socket.set_tcp_user_timeout(Some(*timeout))?;
        }
        if config.get_keepalives() {
            let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
            if let Some(interval) = config.get_keepalives_interval() {
                keepalive = keepalive.with_interval(interval);
            }
            if let Some(retries) = config.get_keepalives_retries() {
                keepalive = keepalive.with_retries(retries);
            }
            socket.set_tcp_keepalive(&keepalive)?;
        }
        Ok(Self::Tcp(stream))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
