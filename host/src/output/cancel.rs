//! Cancelling a statement as libpq does: the connection that asks for it stays
//! open until the server closes it.
//!
//! The driver's own way closes it first. A pooler then drops the request, and
//! pgbouncer 1.18 ends itself over it, for all of its clients ("bad client
//! state" in `disconnect_client`, four times in thirty).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// PostgreSQL's own default.
const PORT_DEFAULT: u16 = 5432;
/// What is read at once of an answer that should not come.
const DISCARD_BYTES: usize = 64;

/// Asks the server that the configuration names to cancel what runs over the
/// connection of the token. Whether it does is not said.
///
/// # Errors
/// The server cannot be asked.
pub(super) async fn cancel(
    token: &CancelToken,
    server: &Config,
    tls: &MakeRustlsConnect,
) -> io::Result<()> {
    let port = server.get_ports().first().copied().unwrap_or(PORT_DEFAULT);
    let address = server.get_hostaddrs().first();
    match (server.get_hosts().first(), address) {
        (Some(Host::Unix(folder)), _) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            ask(token, UnixStream::connect(path).await?, "", tls).await
        }
        (Some(Host::Tcp(name)), None) => {
            let stream = TcpStream::connect((name.as_str(), port)).await?;
            ask(token, stream, name, tls).await
        }
        (name, Some(address)) => {
            let stream = TcpStream::connect(SocketAddr::new(*address, port)).await?;
            let name = match name {
                Some(Host::Tcp(name)) => name,
                _ => "",
            };
            ask(token, stream, name, tls).await
        }
        (None, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

async fn ask<S>(
    token: &CancelToken,
    stream: S,
    name: &str,
    tls: &MakeRustlsConnect,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut tls = tls.clone();
    let tls = MakeTlsConnect::<Patient<S>>::make_tls_connect(&mut tls, name);
    let asked = token.cancel_query_raw(Patient(stream), tls.map_err(io::Error::other)?);
    asked.await.map_err(io::Error::other)
}

/// A stream that is shut down by its other end.
struct Patient<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut bytes = [0; DISCARD_BYTES];
            let mut answer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.0).poll_read(context, &mut answer))?;
            if answer.filled().is_empty() {
                return Pin::new(&mut self.0).poll_shutdown(context);
            }
        }
    }
}
