//! One client at a time, for a PostgreSQL that can serve only one.
//!
//! Owns the loopback port that the demo's clients connect to and the relay to
//! the server behind it. Invariant: the server has at most one client, and
//! what it meets at a client's end is an end of input, never a broken
//! connection, after which it would serve nobody. Deliberately not here: the
//! protocol beyond its first packets, TLS and passwords; the listener is
//! loopback's and the data invented.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a client waits for the one before it, in milliseconds. Long enough
/// for a reconnect to overtake the end of its own predecessor, short enough
/// that a person at a prompt learns why nothing happens.
const TURN_WAIT_MS_MAX: u64 = 3_000;

/// Connections that are served or wait; further ones are closed unanswered.
const CLIENTS_MAX: usize = 32;

/// How long a client may take over its first packets, in seconds.
const STARTUP_SECS_MAX: u64 = 10;

/// PostgreSQL's own limit on a startup packet, in bytes.
const STARTUP_BYTES_MAX: usize = 10_000;

/// Offers of encryption that a client makes before it starts: TLS and GSS.
const ENCRYPTION_REQUESTS_MAX: usize = 2;

/// Pause after a failed accept, in milliseconds.
const ACCEPT_RETRY_MS: u64 = 50;

/// A server that ends over one client's startup packet may still accept the
/// next client before its listener is gone: that one gets a second attempt.
const SESSION_ATTEMPTS_MAX: usize = 2;

/// Length and code, four bytes each, with which every first packet begins.
const STARTUP_HEAD_BYTES: usize = 8;
const CANCEL_REQUEST: u32 = 80_877_102;
const TLS_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// SQLSTATE `protocol_violation`.
const PROTOCOL_VIOLATION: &str = "08P01";
/// SQLSTATE `too_many_connections`.
const TOO_MANY_CONNECTIONS: &str = "53300";
/// SQLSTATE `cannot_connect_now`.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// The open port. Dropping it closes the port and cuts off the client that is
/// being served.
#[derive(Debug)]
pub(super) struct Turnstile {
    address: SocketAddr,
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

impl Turnstile {
    /// Lets clients of a free loopback port through to the server, one after
    /// the other; `connect` opens the connection for each.
    pub(super) fn open<C>(connect: C) -> io::Result<Self>
    where
        C: Fn() -> io::Result<TcpStream> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let gate = Arc::new(Gate::default());
        let thread = thread::Builder::new()
            .name("demo-turnstile".to_owned())
            .spawn({
                let gate = Arc::clone(&gate);
                move || accept(&listener, &Arc::new(connect), &gate)
            })?;
        Ok(Self {
            address,
            gate,
            thread: Some(thread),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Turnstile {
    fn drop(&mut self) {
        self.gate.close();
        // Wakes the accept, which cannot be interrupted otherwise.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            // A panic over there has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// Who is inside.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    /// A second handle on the client being served, with which to cut it off.
    served: Option<TcpStream>,
    clients: usize,
    closed: bool,
}

impl Gate {
    /// No code panics while it holds the lock, so a poisoned one is sound.
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        if let Some(client) = &state.served {
            let _ = client.shutdown(Shutdown::Both);
        }
        self.freed.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// A place among the clients that are served or wait, or none left.
    fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        if state.clients >= CLIENTS_MAX {
            return None;
        }
        state.clients += 1;
        Some(Place(Arc::clone(self)))
    }

    /// Waits for the server to be free; none if it did not become so in time.
    fn take_turn(&self, client: &TcpStream) -> io::Result<Option<Turn<'_>>> {
        let client = client.try_clone()?;
        let wait = Duration::from_millis(TURN_WAIT_MS_MAX);
        let (mut state, _) = self
            .freed
            .wait_timeout_while(self.state(), wait, |state| {
                state.served.is_some() && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.served.is_some() || state.closed {
            return Ok(None);
        }
        state.served = Some(client);
        Ok(Some(Turn(self)))
    }
}

struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().clients -= 1;
    }
}

struct Turn<'gate>(&'gate Gate);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().served = None;
        self.0.freed.notify_all();
    }
}

fn accept<C>(listener: &TcpListener, connect: &Arc<C>, gate: &Arc<Gate>)
where
    C: Fn() -> io::Result<TcpStream> + Send + Sync + 'static,
{
    loop {
        let accepted = listener.accept();
        if gate.is_closed() {
            return;
        }
        let Ok((client, _)) = accepted else {
            thread::sleep(Duration::from_millis(ACCEPT_RETRY_MS));
            continue;
        };
        let Some(place) = gate.enter() else { continue };
        // Without a thread for it the client is dropped, which closes it. So
        // is one whose connection fails: it has gone, and nobody is left to
        // tell.
        let connect = Arc::clone(connect);
        let _ = thread::Builder::new()
            .name("demo-database-client".to_owned())
            .spawn(move || admit(client, &*connect, &place.0));
    }
}

/// Serves one client from its first packet to its last.
fn admit(
    mut client: TcpStream,
    connect: &dyn Fn() -> io::Result<TcpStream>,
    gate: &Gate,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(Duration::from_secs(STARTUP_SECS_MAX)))?;
    let Some(startup) = read_startup(&mut client)? else {
        return Ok(());
    };
    client.set_read_timeout(None)?;
    let Some(_turn) = gate.take_turn(&client)? else {
        let busy = "the demo's PostgreSQL serves one client at a time, and another is connected";
        return refuse(&mut client, TOO_MANY_CONNECTIONS, busy);
    };
    match open_session(&startup, connect) {
        Ok(Some(server)) => relay(&client, &server),
        Ok(None) => refuse(
            &mut client,
            PROTOCOL_VIOLATION,
            "the demo's PostgreSQL ended over this client's startup parameters",
        ),
        Err(_) => refuse(
            &mut client,
            CANNOT_CONNECT_NOW,
            "the demo's PostgreSQL has stopped",
        ),
    }
}

/// A connection on which the server has begun to answer the startup packet;
/// none if it ends over it.
fn open_session(
    startup: &[u8],
    connect: &dyn Fn() -> io::Result<TcpStream>,
) -> io::Result<Option<TcpStream>> {
    for _ in 0..SESSION_ATTEMPTS_MAX {
        let mut server = connect()?;
        server.set_nodelay(true)?;
        let answers = server
            .write_all(startup)
            .and_then(|()| server.peek(&mut [0]));
        if answers.is_ok_and(|bytes| bytes > 0) {
            return Ok(Some(server));
        }
    }
    Ok(None)
}

/// The packet with which the client starts; none if it came only to cancel a
/// statement, which the server behind cannot do.
fn read_startup(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    for _ in 0..=ENCRYPTION_REQUESTS_MAX {
        let mut head = [0; STARTUP_HEAD_BYTES];
        client.read_exact(&mut head)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        match u32::from_be_bytes([c0, c1, c2, c3]) {
            TLS_REQUEST | GSS_REQUEST => client.write_all(b"N")?,
            CANCEL_REQUEST => return Ok(None),
            _ if !(STARTUP_HEAD_BYTES..=STARTUP_BYTES_MAX).contains(&length) => break,
            _ => {
                let mut packet = head.to_vec();
                packet.resize(length, 0);
                client.read_exact(&mut packet[STARTUP_HEAD_BYTES..])?;
                return Ok(Some(packet));
            }
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Tells the client why it is not let in, as PostgreSQL would.
fn refuse(client: &mut TcpStream, sqlstate: &str, message: &str) -> io::Result<()> {
    let fields = format!("SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0");
    // The length counts itself.
    let length = fields.len() as u32 + 4;
    let mut packet = vec![b'E'];
    packet.extend(length.to_be_bytes());
    packet.extend(fields.as_bytes());
    client.write_all(&packet)
}

/// Carries bytes both ways until the server has closed: only then has it ended
/// the client's session, and the next one may come.
fn relay(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_server) = (client, server);
    thread::scope(|scope| {
        thread::Builder::new().spawn_scoped(scope, || answer(server, client))?;
        let sent = io::copy(&mut from_client, &mut to_server);
        // Whatever became of the client, the server sees an end of input.
        server.shutdown(Shutdown::Write)?;
        sent.map(drop)
    })
}

fn answer(mut server: &TcpStream, mut client: &TcpStream) {
    let answered = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    if answered.is_err() {
        // The client has gone: let the server finish what it has to say.
        let _ = io::copy(&mut server, &mut io::sink());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any wait in these tests, in seconds.
    const TEST_SECS_MAX: u64 = 10;

    /// A startup packet without parameters.
    const STARTUP: [u8; 9] = [0, 0, 0, 9, 0, 3, 0, 0, 0];

    const GREETING: &[u8] = b"R";

    fn turnstile() -> io::Result<(TcpListener, Turnstile)> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = server.local_addr()?;
        let turnstile = Turnstile::open(move || TcpStream::connect(address))?;
        Ok((server, turnstile))
    }

    fn client(turnstile: &Turnstile) -> io::Result<TcpStream> {
        let mut client = TcpStream::connect(turnstile.address())?;
        client.set_read_timeout(Some(Duration::from_secs(TEST_SECS_MAX)))?;
        client.write_all(&STARTUP)?;
        Ok(client)
    }

    fn served(server: &TcpListener) -> io::Result<TcpStream> {
        let (mut served, _) = server.accept()?;
        served.set_read_timeout(Some(Duration::from_secs(TEST_SECS_MAX)))?;
        let mut startup = [0; STARTUP.len()];
        served.read_exact(&mut startup)?;
        assert_eq!(startup, STARTUP);
        served.write_all(GREETING)?;
        Ok(served)
    }

    fn rest(mut stream: &TcpStream) -> io::Result<String> {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        Ok(String::from_utf8_lossy(&rest).into_owned())
    }

    #[test]
    fn encryption_is_declined_and_the_client_goes_on_in_the_clear() -> io::Result<()> {
        let (server, turnstile) = turnstile()?;
        let mut client = TcpStream::connect(turnstile.address())?;
        for request in [TLS_REQUEST, GSS_REQUEST] {
            client.write_all(&8_u32.to_be_bytes())?;
            client.write_all(&request.to_be_bytes())?;
            let mut answer = [0];
            client.read_exact(&mut answer)?;
            assert_eq!(&answer, b"N");
        }
        client.write_all(&STARTUP)?;
        served(&server).map(drop)
    }

    #[test]
    fn a_second_client_is_refused_while_the_first_is_served() -> io::Result<()> {
        let (server, turnstile) = turnstile()?;
        let first = client(&turnstile)?;
        let _served = served(&server)?;
        let refusal = rest(&client(&turnstile)?)?;
        assert!(refusal.contains(TOO_MANY_CONNECTIONS), "{refusal}");
        drop(first);
        Ok(())
    }

    #[test]
    fn the_next_client_comes_after_the_server_has_closed_the_first() -> io::Result<()> {
        let (server, turnstile) = turnstile()?;
        let first = client(&turnstile)?;
        let serving = served(&server)?;
        let second = client(&turnstile)?;
        drop(first);
        assert_eq!(rest(&serving)?, "");
        drop(serving);
        (&served(&server)?).write_all(b"hello")?;
        assert_eq!(rest(&second)?, "Rhello");
        Ok(())
    }

    #[test]
    fn a_client_that_breaks_off_is_an_end_of_input_to_the_server() -> io::Result<()> {
        let (server, turnstile) = turnstile()?;
        let first = client(&turnstile)?;
        let mut serving = served(&server)?;
        serving.write_all(b"never read: closing now resets the connection")?;
        drop(first);
        assert_eq!(rest(&serving)?, "");
        Ok(())
    }

    #[test]
    fn closing_cuts_off_the_client_that_is_served() -> io::Result<()> {
        let (server, turnstile) = turnstile()?;
        let mut client = client(&turnstile)?;
        let serving = served(&server)?;
        client.read_exact(&mut [0; GREETING.len()])?;
        drop(turnstile);
        assert_eq!(rest(&serving)?, "");
        drop(serving);
        assert_eq!(rest(&client)?, "");
        Ok(())
    }

    #[test]
    fn a_server_that_ends_over_a_client_twice_is_not_asked_again() -> io::Result<()> {
        let (server, turnstile) = turnstile()?;
        let client = client(&turnstile)?;
        for _ in 0..SESSION_ATTEMPTS_MAX {
            drop(server.accept()?);
        }
        let refusal = rest(&client)?;
        assert!(refusal.contains(PROTOCOL_VIOLATION), "{refusal}");
        Ok(())
    }
}
