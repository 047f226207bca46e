//! The PostgreSQL of `etl-host demo`.
//!
//! Owns a PostgreSQL 17 compiled to WebAssembly, its temporary cluster and the
//! port that leads to it. Invariant: a server that has started answers, and
//! once it is gone so is its cluster. Deliberately not here: any table, and
//! the rule of one client at a time, which is the turnstile's.
//!
//! The WebAssembly is unpacked once into the user's cache directory (about
//! 100 MB, `pglite-oxide/` below `XDG_CACHE_HOME` or `~/.cache`); clusters go
//! below `TMPDIR`.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use pglite_oxide::PgliteServer;

use super::turnstile::Turnstile;

const USER: &str = "postgres";
const DATABASE: &str = "postgres";

/// How long the first session may take to start, in seconds. It takes under
/// one; unpacking on a slow disk is done by then.
const FIRST_SESSION_SECS_MAX: u64 = 60;

/// How long a shutdown waits for a statement that is still running, in
/// seconds. PostgreSQL in WebAssembly cannot be interrupted.
const SHUTDOWN_SECS_MAX: u64 = 5;

/// A running PostgreSQL on a free loopback port, for one client at a time.
/// Its data end with it.
#[derive(Debug)]
pub struct DatabaseServer {
    address: SocketAddr,
    /// Present until it is stopped.
    turnstile: Option<Turnstile>,
    backend: Arc<Backend>,
}

impl DatabaseServer {
    /// Starts PostgreSQL on a fresh cluster and waits until it has answered
    /// once. Blocks, for about a second; needs no async runtime around it.
    ///
    /// # Errors
    /// When the cache or the temporary directory cannot be written, when no
    /// loopback port can be had, or when PostgreSQL does not start.
    pub fn start() -> anyhow::Result<Self> {
        let backend = Arc::new(Backend::start()?);
        let turnstile = Turnstile::open({
            let backend = Arc::clone(&backend);
            move || backend.connect()
        })
        .context("open a port for PostgreSQL's clients")?;
        let started = Self {
            address: turnstile.address(),
            turnstile: Some(turnstile),
            backend,
        };
        open_session(started.address).context("open PostgreSQL's first session")?;
        Ok(started)
    }

    /// The database's URL, with user, no password and `sslmode=disable`.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgresql://{USER}@{}/{DATABASE}?sslmode=disable",
            self.address
        )
    }

    /// Cuts off the client, if there is one, and removes the cluster. Dropping
    /// the server does the same and keeps the error to itself.
    ///
    /// # Errors
    /// When a statement is still running after five seconds. It runs on until
    /// the process ends, over files that are already removed.
    pub fn shutdown(mut self) -> anyhow::Result<()> {
        self.stop()
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        let Some(turnstile) = self.turnstile.take() else {
            return Ok(());
        };
        // First, so that PostgreSQL's client is gone: its own shutdown waits
        // for that.
        drop(turnstile);
        let (done, stopped) = mpsc::channel();
        let backend = Arc::clone(&self.backend);
        thread::Builder::new()
            .name("demo-database-stop".to_owned())
            .spawn(move || {
                backend.stop();
                // The receiver has gone only if it has stopped waiting.
                let _ = done.send(());
            })
            .context("start the thread that stops PostgreSQL")?;
        let stopped = stopped.recv_timeout(Duration::from_secs(SHUTDOWN_SECS_MAX));
        if stopped.is_err() {
            // Nothing to do about a file that will not go.
            let _ = fs::remove_dir_all(&self.backend.cluster);
        }
        stopped.context("wait for PostgreSQL to end its statement")
    }
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            let error = format!("{error:#}");
            tracing::warn!(error, "the demo's PostgreSQL did not stop");
        }
    }
}

/// PostgreSQL itself, reachable through the turnstile only.
#[derive(Debug)]
struct Backend {
    cluster: PathBuf,
    servers: Mutex<Servers>,
}

/// A server that meets a malformed start of a session ends with it. Its
/// cluster is unharmed, so another server takes it over.
#[derive(Debug)]
struct Servers {
    /// Owns the cluster's directory, whether it still serves or not.
    first: Option<PgliteServer>,
    successor: Option<PgliteServer>,
}

impl Backend {
    fn start() -> anyhow::Result<Self> {
        let first = PgliteServer::builder().temporary().start().context(
            "unpack PostgreSQL below the cache and the temporary directory \
             (HOME, XDG_CACHE_HOME and TMPDIR say where they are)",
        )?;
        Ok(Self {
            cluster: first.root().to_owned(),
            servers: Mutex::new(Servers {
                first: Some(first),
                successor: None,
            }),
        })
    }

    /// No code panics while it holds the lock, so a poisoned one is sound.
    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to the server, or to a new one over the same cluster.
    fn connect(&self) -> io::Result<TcpStream> {
        let mut servers = self.servers();
        let Servers { first, successor } = &mut *servers;
        let Some(serving) = successor.as_ref().or(first.as_ref()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if let Ok(stream) = connect(serving) {
            return Ok(stream);
        }
        // Before the next one starts: it holds the lock on the directory.
        *successor = None;
        let next = PgliteServer::builder().path(&self.cluster).start();
        connect(successor.insert(next.map_err(io::Error::other)?))
    }

    /// Waits for the statement that is running, if there is one.
    fn stop(&self) {
        let Servers { first, successor } = &mut *self.servers();
        // The directory's owner last. All that either can say is that it had
        // ended before.
        let _ = successor.take().map(PgliteServer::shutdown);
        let _ = first.take().map(PgliteServer::shutdown);
    }
}

fn connect(server: &PgliteServer) -> io::Result<TcpStream> {
    TcpStream::connect(server.tcp_addr().ok_or(io::ErrorKind::AddrNotAvailable)?)
}

/// Opens and ends one session, by hand because the driver is the output's. It
/// takes the slow part of a start, loading the code, out of the first real
/// connection, and shows that there is a PostgreSQL at all.
fn open_session(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(FIRST_SESSION_SECS_MAX)))?;
    stream.write_all(&startup_packet())?;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        // The length counts its own four bytes.
        let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
        stream.read_exact(&mut body)?;
        match kind {
            b'Z' => break,
            b'E' => anyhow::bail!(String::from_utf8_lossy(&body).replace('\0', " ")),
            _ => {}
        }
    }
    // An end of input ends the session; the server's own end says it is done.
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn startup_packet() -> Vec<u8> {
    let mut packet = vec![0, 0, 0, 0, 0, 3, 0, 0];
    packet.extend(format!("user\0{USER}\0database\0{DATABASE}\0\0").bytes());
    let length = packet.len() as u32;
    packet[..4].copy_from_slice(&length.to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connect(
        url: &str,
    ) -> Result<(tokio_postgres::Client, tokio::task::JoinHandle<()>), tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(async { drop(connection.await) });
        Ok((client, connection))
    }

    #[tokio::test]
    async fn what_one_client_commits_the_next_one_reads() -> anyhow::Result<()> {
        let server = DatabaseServer::start()?;
        let (client, connection) = connect(&server.url()).await?;
        client
            .batch_execute("CREATE TABLE t (n int4); INSERT INTO t VALUES (7)")
            .await?;
        drop(client);
        connection.await?;
        let (client, _connection) = connect(&server.url()).await?;
        let row = client.query_one("SELECT n FROM t", &[]).await?;
        assert_eq!(row.get::<_, i32>(0), 7);
        Ok(())
    }

    #[tokio::test]
    async fn a_client_that_ends_the_server_leaves_the_data_to_the_next() -> anyhow::Result<()> {
        let server = DatabaseServer::start()?;
        let (client, connection) = connect(&server.url()).await?;
        client
            .batch_execute("CREATE TABLE t (n int4); INSERT INTO t VALUES (7)")
            .await?;
        drop(client);
        connection.await?;
        for _ in 0..2 {
            // Names no user: PostgreSQL exits over it.
            let mut stream = TcpStream::connect(server.address)?;
            stream.write_all(&[0, 0, 0, 9, 0, 3, 0, 0, 0])?;
            let _ = stream.read_to_end(&mut Vec::new());
            let (client, connection) = connect(&server.url()).await?;
            let row = client.query_one("SELECT n FROM t", &[]).await?;
            assert_eq!(row.get::<_, i32>(0), 7);
            drop(client);
            connection.await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_shutdown_does_not_wait_for_an_idle_client() -> anyhow::Result<()> {
        let server = DatabaseServer::start()?;
        let (client, connection) = connect(&server.url()).await?;
        let cluster = server.backend.cluster.clone();
        server.shutdown()?;
        connection.await?;
        assert!(client.is_closed());
        assert!(!cluster.exists());
        Ok(())
    }
}
