//! TLS before a server that has none: a relay on the loopback address, which
//! shows a certificate and can change it. It ends with the process.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::tls::authority::Issued;

const CHUNK_BYTES: usize = 16 * 1024;

pub struct TlsDoor {
    address: SocketAddr,
    shown: Arc<Mutex<Shown>>,
}

struct Shown {
    config: Arc<ServerConfig>,
    /// Whoever came in since the certificate was changed.
    guests: Vec<TcpStream>,
}

impl TlsDoor {
    pub fn before(server: SocketAddr, certificate: &Issued) -> TlsDoor {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("find a free port");
        let address = listener.local_addr().expect("a bound address");
        let shown = Arc::new(Mutex::new(Shown {
            config: config(certificate),
            guests: Vec::new(),
        }));
        let seen = Arc::clone(&shown);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut shown = lock(&seen);
                shown.guests.extend(client.try_clone());
                let config = Arc::clone(&shown.config);
                // A connection that fails is the client's to complain about.
                thread::spawn(move || drop(relay(&client, server, config)));
            }
        });
        TlsDoor { address, shown }
    }

    /// Where it is, under this name of the loopback address.
    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    /// Shows another certificate from now on, and ends all connections.
    pub fn show(&self, certificate: &Issued) {
        let mut shown = lock(&self.shown);
        shown.config = config(certificate);
        for guest in shown.guests.drain(..) {
            // It may have gone by itself.
            let _ = guest.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config(certificate: &Issued) -> Arc<ServerConfig> {
    let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS")
        .with_no_client_auth()
        .with_single_cert(
            vec![chain.expect("a certificate")],
            key.expect("a private key"),
        );
    Arc::new(config.expect("a certificate and its key"))
}

/// Passes on what is said, until either side ends.
fn relay(client: &TcpStream, server: SocketAddr, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut &*client)?;
    }
    let server = TcpStream::connect(server)?;
    let tls = Mutex::new(tls);
    thread::scope(|both| {
        both.spawn(|| {
            let ended = answers(client, &server, &tls);
            let _ = client.shutdown(Shutdown::Both);
            ended
        });
        let ended = requests(client, &server, &tls);
        let _ = server.shutdown(Shutdown::Both);
        ended
    })
}

fn requests(
    mut client: &TcpStream,
    mut server: &TcpStream,
    tls: &Mutex<ServerConnection>,
) -> io::Result<()> {
    let mut chunk = [0; CHUNK_BYTES];
    let mut plain = Vec::new();
    // The first request may have come along with the end of the handshake.
    let mut sealed: &[u8] = &[];
    loop {
        {
            let mut tls = lock(tls);
            loop {
                plain.clear();
                match tls.reader().read_to_end(&mut plain) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => server.write_all(&plain)?,
                }
                if sealed.is_empty() {
                    break;
                }
                tls.read_tls(&mut sealed)?;
                tls.process_new_packets().map_err(io::Error::other)?;
            }
        }
        let length = client.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        sealed = &chunk[..length];
    }
}

fn answers(
    mut client: &TcpStream,
    mut server: &TcpStream,
    tls: &Mutex<ServerConnection>,
) -> io::Result<()> {
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let length = server.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        let mut tls = lock(tls);
        tls.writer().write_all(&chunk[..length])?;
        while tls.wants_write() {
            tls.write_tls(&mut client)?;
        }
    }
}
