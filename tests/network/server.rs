//! Servers that say what a test wants: each connection is a thread of its own.
//! They end with the process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const CHUNK_BYTES: usize = 64 << 10;
/// The longest head of a request that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Serves every connection by `serve`; an error ends it, as the client does.
pub fn serving(
    serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("find a free port");
    let address = listener.local_addr().expect("a bound address");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || drop(serve(client)));
        }
    });
    address
}

/// The head of a request, up to its empty line; none at the end.
pub fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// Skips the body that the head announces.
pub fn skip_body(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: u64 = length.map_or(0, |digits| digits.trim().parse().expect("digits"));
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).map(drop)
}

/// Sends the same bytes until the client has had enough.
pub fn endlessly(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let chunk = bytes.repeat((CHUNK_BYTES / bytes.len()).max(1));
    loop {
        stream.write_all(&chunk)?;
    }
}

/// What a proxy does with those who ask it.
#[derive(Clone, Copy)]
pub enum Manner {
    /// It passes everything on to one server, whatever host is asked for.
    Passes,
    /// It answers with this status line.
    Refuses(&'static str),
}

/// A proxy for HTTP that counts.
pub struct Proxy {
    pub address: SocketAddr,
    /// Requests in absolute form, and tunnels.
    requests: Arc<AtomicUsize>,
    /// Those of them that came with the right user and password.
    authorized: Arc<AtomicUsize>,
}

/// `user:invented-secret`.
pub const AUTHORIZATION: &str = "Basic dXNlcjppbnZlbnRlZC1zZWNyZXQ=";

impl Proxy {
    pub fn before(server: SocketAddr, manner: Manner) -> Proxy {
        let (requests, authorized) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&requests), Arc::clone(&authorized));
        let address = serving(move |client| converse(client, server, manner, &counts));
        Proxy {
            address,
            requests,
            authorized,
        }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn authorized(&self) -> usize {
        self.authorized.load(Ordering::SeqCst)
    }
}

fn converse(
    mut client: TcpStream,
    server: SocketAddr,
    manner: Manner,
    (requests, authorized): &(Arc<AtomicUsize>, Arc<AtomicUsize>),
) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(server)?;
    let mut answers = (upstream.try_clone()?, client.try_clone()?);
    let mut relaying = false;
    while let Some(head) = head(&mut client) {
        let tunnel = head.starts_with("CONNECT ");
        let absolute = head
            .lines()
            .next()
            .is_some_and(|line| line.contains(" http://"));
        assert!(tunnel || absolute, "no request for a proxy: {head}");
        requests.fetch_add(1, Ordering::SeqCst);
        if head.contains(AUTHORIZATION) {
            authorized.fetch_add(1, Ordering::SeqCst);
        }
        if let Manner::Refuses(status) = manner {
            skip_body(&mut client, &head)?;
            write!(client, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        if tunnel {
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        } else {
            upstream.write_all(head.as_bytes())?;
        }
        if !relaying {
            let (mut from, mut to) = (answers.0.try_clone()?, answers.1.try_clone()?);
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
            relaying = true;
        }
        if tunnel {
            std::io::copy(&mut client, &mut upstream)?;
            return upstream.shutdown(std::net::Shutdown::Both);
        }
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        let length: u64 = length.map_or(0, |digits| digits.trim().parse().expect("digits"));
        std::io::copy(&mut (&mut client).take(length), &mut upstream)?;
    }
    let _ = answers.0.shutdown(std::net::Shutdown::Both);
    answers.1.flush()
}
