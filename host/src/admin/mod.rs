//! The admin endpoint: what an operator, an orchestrator and Prometheus ask a
//! running host.
//!
//! ```text
//!   GET /livez     200, or 503 once a poller is dead
//!   GET /readyz    200, or 503 with each part that does not work, and why
//!   GET /metrics   counts and durations, as Prometheus text
//! ```
//!
//! It only reads: nothing can be changed through it, and no answer holds
//! anything of a message. It has neither password nor TLS, and so belongs on
//! an address that only those who ask can reach; it is off unless it is asked
//! for. Whoever reaches it cannot make it cost much: connections at a time,
//! header bytes and seconds are bounded, and each connection is one request.

mod healthcheck;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

pub use healthcheck::{Probe, healthcheck};

use crate::exit::{Failure, Kind, failure};
use crate::shutdown::Shutdown;
use crate::telemetry::{self, Health, Metrics, Report};

/// Connections at a time. A newcomer takes the place of the oldest that has
/// not asked yet: a probe's request comes with its connection.
const CONNECTIONS_MAX: usize = 128;
/// Time for the request line and the headers, in milliseconds. A probe gives up
/// after a second, as a rule, and sends them in one packet.
const HEADER_MS_MAX: u64 = 1_000;
/// Time for one connection, from accept to the last byte, in seconds. The
/// slowest honest client is a scraper on another continent.
const CONNECTION_SECS_MAX: u64 = 5;
/// Request line and headers, in bytes.
const HEADER_BYTES_MAX: usize = 8_192;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Between two tries to accept, where the system refuses (it is out of file
/// descriptors): trying at once would spin.
const ACCEPT_RETRY_MS: u64 = 100;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Takes the address, `HOST:PORT`.
///
/// # Errors
/// The address is none, cannot be used or is taken (78).
pub async fn listen(addr: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(addr).await.map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; another program has it: choose a port that is free",
            std::io::ErrorKind::InvalidInput => "; expected HOST:PORT, as in 127.0.0.1:9090",
            _ => "",
        };
        failure(
            Kind::Configuration,
            format!("listen on --admin-addr {addr}: {error}{remedy}"),
        )
    })
}

/// What to tell of an address that others can reach.
pub fn warning(addr: SocketAddr) -> Option<String> {
    (!addr.ip().is_loopback()).then(|| {
        format!(
            "the admin endpoint listens on {addr}, without password and TLS: let only the \
             orchestrator and Prometheus reach it, or choose an address such as 127.0.0.1:{}",
            addr.port()
        )
    })
}

/// Answers until the run has ended.
///
/// `ended` is not the wish to stop: a host that drains is asked how it does,
/// too. Throw its switch, or drop this future, once all is settled.
pub async fn serve(listener: TcpListener, health: Health, metrics: Metrics, mut ended: Shutdown) {
    let mut connections = JoinSet::new();
    let mut places = Places::default();
    loop {
        tokio::select! {
            () = ended.requested() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let asked = places.make_room();
                    let (health, metrics) = (health.clone(), metrics.clone());
                    let conversation = converse(stream, health, metrics, Arc::clone(&asked));
                    let task = connections.spawn(conversation);
                    places.taken.push_back(Place { task, asked });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await,
            },
        }
    }
}

/// The connections, oldest first.
#[derive(Default)]
struct Places {
    taken: VecDeque<Place>,
}

struct Place {
    task: AbortHandle,
    /// Whether its request has come.
    asked: Arc<AtomicBool>,
}

impl Places {
    /// Ends a connection where there is no place for another one.
    fn make_room(&mut self) -> Arc<AtomicBool> {
        self.taken.retain(|place| !place.task.is_finished());
        if self.taken.len() >= CONNECTIONS_MAX {
            let waiting = |place: &Place| !place.asked.load(Ordering::Relaxed);
            let oldest = self.taken.iter().position(waiting).unwrap_or_default();
            if let Some(place) = self.taken.remove(oldest) {
                place.task.abort();
            }
        }
        Arc::default()
    }
}

/// One connection, one request.
async fn converse(stream: TcpStream, health: Health, metrics: Metrics, asked: Arc<AtomicBool>) {
    let service = service_fn(|request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let (method, path) = (request.method(), request.uri().path());
        ready(Ok::<_, Infallible>(answer(method, path, &health, &metrics)))
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEADER_MS_MAX))
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(2 * HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off or takes too long is its own concern.
    let limit = Duration::from_secs(CONNECTION_SECS_MAX);
    let _ = tokio::time::timeout(limit, connection).await;
}

fn answer(method: &Method, path: &str, health: &Health, metrics: &Metrics) -> Response<String> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let words = "only GET and HEAD are answered\n".to_owned();
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, words);
        let allowed = HeaderValue::from_static("GET, HEAD");
        refusal.headers_mut().insert(ALLOW, allowed);
        return refusal;
    }
    match path {
        "/livez" => report(health.liveness()),
        "/readyz" => report(health.readiness()),
        "/metrics" => exposition(metrics),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /livez, /readyz and /metrics\n".to_owned(),
        ),
    }
}

fn report(report: Report) -> Response<String> {
    let status = match report.well {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, report.text)
}

fn exposition(metrics: &Metrics) -> Response<String> {
    let Ok(exposition) = metrics.text() else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written\n".to_owned(),
        );
    };
    let mut answer = text(StatusCode::OK, exposition);
    let format = HeaderValue::from_static(telemetry::CONTENT_TYPE);
    answer.headers_mut().insert(CONTENT_TYPE, format);
    answer
}

fn text(status: StatusCode, text: String) -> Response<String> {
    let mut answer = Response::new(text);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, PLAIN);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests;
