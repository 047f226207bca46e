//! The endpoint as its clients see it, over a socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use super::*;
use crate::patience::{Stopwatch, within};
use crate::shutdown::{StopSwitch, shutdown};
use crate::telemetry::{Dependency, Telemetry};

/// No test waits for longer.
const WAIT: Duration = Duration::from_secs(20);

struct Endpoint {
    addr: SocketAddr,
    health: Health,
    metrics: Metrics,
    ended: StopSwitch,
    serving: JoinHandle<()>,
}

async fn endpoint() -> Endpoint {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let telemetry = Telemetry::new(Duration::from_secs(30));
    let (health, metrics) = (telemetry.health, telemetry.metrics);
    let (ended, until_ended) = shutdown();
    let serving = tokio::spawn(serve(
        listener,
        health.clone(),
        metrics.clone(),
        until_ended,
    ));
    Endpoint {
        addr,
        health,
        metrics,
        ended,
        serving,
    }
}

impl Endpoint {
    fn all_ready(&self) {
        for dependency in [
            Dependency::Queue,
            Dependency::Database,
            Dependency::Component,
        ] {
            self.health.started(dependency);
        }
    }

    /// The whole answer to a request, once the host has closed.
    async fn ask(&self, request: &str) -> String {
        let (addr, request) = (self.addr, request.to_owned());
        let answer = spawn_blocking(move || {
            let mut stream = TcpStream::connect(addr)?;
            stream.set_read_timeout(Some(WAIT))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        });
        answer.await.unwrap().expect("an answer in time")
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: host\r\n\r\n"))
            .await
    }

    async fn checked(&self, probe: Probe) -> Result<String, Failure> {
        let addr = self.addr.to_string();
        spawn_blocking(move || healthcheck(&addr, probe))
            .await
            .unwrap()
    }
}

fn text_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

#[tokio::test]
async fn each_path_gives_its_answer() {
    let endpoint = endpoint().await;
    let unready = endpoint.get("/readyz").await;
    assert!(unready.starts_with("HTTP/1.1 503 "), "{unready}");
    assert!(text_of(&unready).contains("database: not ready: starting\n"));
    endpoint.all_ready();
    let ready = endpoint.get("/readyz?verbose").await;
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    assert!(ready.contains("content-type: text/plain; charset=utf-8\r\n"));
    let alive = endpoint.get("/livez").await;
    assert!(alive.starts_with("HTTP/1.1 200 "), "{alive}");
    assert_eq!(text_of(&alive), "alive\n");
    assert!(alive.contains("connection: close\r\n"), "{alive}");
    endpoint.metrics.received(3);
    let metrics = endpoint.get("/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_eq!(text_of(&metrics), endpoint.metrics.text().unwrap());
    assert!(metrics.contains("\netl_host_messages_received_total 3\n"));
}

#[tokio::test]
async fn only_get_and_head_of_known_paths_are_answered() {
    let endpoint = endpoint().await;
    let unknown = endpoint.get("/canary-path").await;
    assert!(unknown.starts_with("HTTP/1.1 404 "), "{unknown}");
    assert!(!unknown.contains("canary"), "{unknown}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        let refused = endpoint.ask(&request).await;
        assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        assert!(refused.contains("allow: GET, HEAD\r\n"), "{refused}");
    }
    let head = endpoint
        .ask("HEAD /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-length: 6\r\n"), "{head}");
    assert_eq!(text_of(&head), "");
}

#[tokio::test]
async fn a_healthcheck_gives_what_the_host_says() {
    let endpoint = endpoint().await;
    assert_eq!(endpoint.checked(Probe::Live).await.unwrap(), "alive\n");
    endpoint.all_ready();
    let ready = endpoint.checked(Probe::Ready).await.unwrap();
    assert!(ready.starts_with("ready\n"));
    endpoint
        .health
        .waits_for(Dependency::Database, "SQLSTATE 57P03");
    let failure = endpoint.checked(Probe::Ready).await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Unavailable);
    let message = failure.message();
    let reasons = "/readyz: 503: not ready; queue: ready; database: not ready: SQLSTATE 57P03";
    assert!(message.contains(reasons), "{message}");
}

#[tokio::test]
async fn headers_within_the_limit_are_read_and_over_the_limit_refused() {
    let endpoint = endpoint().await;
    let with = |bytes| {
        let padding = "x".repeat(bytes);
        format!("GET /livez HTTP/1.1\r\nHost: h\r\nX-Padding: {padding}\r\n\r\n")
    };
    let within = endpoint.ask(&with(HEADER_BYTES_MAX - 200)).await;
    assert!(within.starts_with("HTTP/1.1 200 "), "{within}");
    let over = endpoint.ask(&with(HEADER_BYTES_MAX + 1)).await;
    assert!(over.starts_with("HTTP/1.1 431 "), "{over}");
    let many = "X-Many: x\r\n".repeat(HEADERS_MAX + 1);
    let over = endpoint
        .ask(&format!("GET /livez HTTP/1.1\r\n{many}\r\n"))
        .await;
    assert!(over.starts_with("HTTP/1.1 431 "), "{over}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_question_is_closed_in_time() {
    let endpoint = endpoint().await;
    let (asked, fair) = (Instant::now(), Stopwatch::start());
    let answer = endpoint.ask("GET /livez HTT").await;
    assert!(!answer.contains("200"), "{answer}");
    assert!(asked.elapsed() >= Duration::from_millis(HEADER_MS_MAX / 2));
    assert!(fair.elapsed() < Duration::from_secs(CONNECTION_SECS_MAX));
}

/// More than the endpoint has places for, and more than the system would queue
/// for long.
const SLOW_CLIENTS: usize = 500;

/// Connections that have each sent this, and say no more.
fn slow(endpoint: &Endpoint, beginning: &str) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(endpoint.addr).unwrap();
        // One that was dropped already cannot be written to.
        let _ = stream.write_all(beginning.as_bytes());
        stream
    };
    (0..SLOW_CLIENTS).map(open).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_answered_within_a_second_among_500_slow_clients() {
    let endpoint = endpoint().await;
    let huge = format!(
        "GET /livez HTTP/1.1\r\nX: {}",
        "x".repeat(HEADER_BYTES_MAX / 2)
    );
    let answered = "GET /livez HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
    for beginning in [
        "",
        "G",
        "GET /livez HTTP/1.1\r\nHost: h\r\n",
        &huge,
        answered,
    ] {
        let slow = slow(&endpoint, beginning);
        let asked = Stopwatch::start();
        let answer = endpoint.get("/livez").await;
        let took = asked.elapsed();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            took < Duration::from_secs(1),
            "{took:?} after {beginning:.20}"
        );
        drop(slow);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_answered_while_500_clients_send_byte_by_byte() {
    let endpoint = endpoint().await;
    let mut slow = slow(&endpoint, "GET /livez HTTP/1.1\r\nX-Slow: ");
    let (ended, goes_on) = std::sync::mpsc::channel::<()>();
    let dripping = std::thread::spawn(move || {
        while goes_on.recv_timeout(Duration::from_millis(50)).is_err() {
            for stream in &mut slow {
                let _ = stream.write_all(b"x");
            }
        }
    });
    for _ in 0..5 {
        let asked = Stopwatch::start();
        let answer = endpoint.get("/livez").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            asked.elapsed()
        );
    }
    ended.send(()).unwrap();
    dripping.join().unwrap();
}

#[test]
fn an_address_that_others_reach_is_a_warning() {
    let warning = |addr: &str| warning(addr.parse().unwrap());
    assert_eq!(warning("127.0.0.1:9090"), None);
    assert_eq!(warning("[::1]:9090"), None);
    for open in ["0.0.0.0:9090", "[::]:9090", "192.0.2.7:9090"] {
        let words = warning(open).unwrap();
        assert!(
            words.contains(open) && words.contains("127.0.0.1:9090"),
            "{words}"
        );
    }
}

#[tokio::test]
async fn a_drain_is_answered_until_the_run_has_ended() {
    let endpoint = endpoint().await;
    endpoint.all_ready();
    endpoint.health.stopping();
    let draining = endpoint.get("/readyz").await;
    assert!(draining.starts_with("HTTP/1.1 503 "), "{draining}");
    assert!(text_of(&draining).starts_with("not ready: stopping\n"));
    assert!(endpoint.get("/livez").await.starts_with("HTTP/1.1 200 "));
    endpoint.ended.stop();
    within(WAIT, endpoint.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(endpoint.addr).is_err());
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_configuration_failure() {
    let endpoint = endpoint().await;
    let addr = endpoint.addr.to_string();
    let taken = listen(&addr).await.unwrap_err();
    assert_eq!(taken.kind(), Kind::Configuration);
    let message = taken.message();
    assert!(message.starts_with(&format!("listen on --admin-addr {addr}: ")));
    assert!(message.ends_with("choose a port that is free"), "{message}");
    let none = listen("9090").await.unwrap_err();
    assert_eq!(none.kind(), Kind::Configuration);
    assert!(none.message().contains("expected HOST:PORT"));
}
