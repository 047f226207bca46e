//! A way to the database that takes time and nothing else: what is sent
//! arrives half a round trip later, and as much of it as was sent.
//!
//! Threads and not tasks: they sleep to the tenth of a millisecond, while
//! tokio's clock knows whole ones.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::role::{Role, RoleProcess};

/// What is read at once at most.
const READ_BYTES: usize = 64 << 10;
/// Pieces that are on their way in one direction: more than a round trip of
/// 20 ms brings.
const PIECES_MAX: usize = 4_096;

/// A relay that passes on.
pub struct Relay {
    /// Its port of the loopback address.
    pub port: u16,
    _process: RoleProcess,
}

impl Relay {
    /// Leads to this port of the loopback address.
    pub fn start(port: u16, round_trip: Duration) -> Relay {
        let words = [port.to_string(), round_trip.as_micros().to_string()];
        let process = RoleProcess::start(Role::Relay, &words);
        Relay {
            port: process.told.parse().expect("the relay's port"),
            _process: process,
        }
    }
}

/// Is the relay: to this port, with a round trip of so many microseconds.
pub fn be(words: &[String]) -> ! {
    let [port, round_trip] = words else {
        panic!("a port and a round trip are wanted");
    };
    let port: u16 = port.parse().expect("a port");
    let one_way = Duration::from_micros(round_trip.parse().expect("microseconds")) / 2;
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen on the loopback address");
    let address = listener.local_addr().expect("a bound address");
    println!("{}", address.port());
    loop {
        let (client, _) = listener.accept().expect("accept a connection");
        let server = TcpStream::connect(("127.0.0.1", port)).expect("connect to the database");
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("send at once");
        }
        let twin = |stream: &TcpStream| stream.try_clone().expect("a second handle");
        carry(twin(&client), twin(&server), one_way);
        carry(server, client, one_way);
    }
}

/// Carries one direction to its end, on two threads.
fn carry(mut from: TcpStream, mut to: TcpStream, one_way: Duration) {
    let (send, arrive) = mpsc::sync_channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    thread::spawn(move || {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let piece = (Instant::now() + one_way, buffer[..read].to_vec());
            if send.send(piece).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in arrive {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
