//! Asking a running host how it does, for images that have no curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::exit::{Failure, Kind, failure};

/// Time for the whole question, in seconds: less than the shortest time-out
/// that orchestrators are usually given (5 s).
const QUESTION_SECS_MAX: u64 = 3;
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it is alive: restart it where it is not.
    Live,
    /// Whether it is ready: wait, or look at the reasons, where it is not.
    Ready,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
        }
    }
}

/// Asks the host at `addr`, which is what it was given as its `--admin-addr`,
/// and gives its answer.
///
/// # Errors
/// It is not well, and says why, or it does not answer in time (69).
pub fn healthcheck(addr: &str, probe: Probe) -> Result<String, Failure> {
    let addr = without_url(addr)?;
    let unwell = |words: String| {
        let path = probe.path();
        failure(
            Kind::Unavailable,
            format!("ask http://{addr}{path}: {words}"),
        )
    };
    let limit = Duration::from_secs(QUESTION_SECS_MAX);
    let (answers, answered) = mpsc::channel();
    let asked = addr.to_owned();
    // On a thread, because no time-out of a socket bounds a name's look-up or
    // an answer that drips. The socket's own, twice as long, end the thread
    // where the process goes on; the one below is the one that counts.
    thread::spawn(move || {
        let _ = answers.send(ask(&asked, probe.path(), 2 * limit));
    });
    let answer = match answered.recv_timeout(limit) {
        Ok(answer) => answer.map_err(|error| unwell(error.to_string()))?,
        Err(_) => return Err(unwell(format!("no answer within {QUESTION_SECS_MAX} s"))),
    };
    match parsed(&answer) {
        Some((200, text)) => Ok(text.to_owned()),
        Some((status, text)) => {
            let lines: Vec<&str> = text.lines().collect();
            Err(unwell(format!("{status}: {}", lines.join("; "))))
        }
        None => Err(unwell("this is no answer of etl-host".to_owned())),
    }
}

/// Host and port, where the whole URL of the endpoint is given.
fn without_url(addr: &str) -> Result<&str, Failure> {
    let addr = addr.trim();
    let rest = match addr.split_once("://") {
        None => addr,
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some((_, rest)) => {
            let host = rest.split('/').next().unwrap_or(rest);
            return Err(failure(
                Kind::Configuration,
                format!("--admin-addr {addr}: the endpoint speaks plain HTTP: use {host}"),
            ));
        }
    };
    let host = rest.split('/').next().unwrap_or(rest);
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => Ok(host),
        _ => Err(failure(
            Kind::Configuration,
            format!("--admin-addr {addr}: expected HOST:PORT, as in 127.0.0.1:9090"),
        )),
    }
}

fn ask(addr: &str, path: &str, limit: Duration) -> std::io::Result<String> {
    let mut stream = connect(addr, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let question = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A name may stand for several addresses, such as `localhost` for `::1` too.
fn connect(addr: &str, limit: Duration) -> std::io::Result<TcpStream> {
    let mut failed = std::io::Error::other("the name has no address");
    for address in addr.to_socket_addrs()? {
        match TcpStream::connect_timeout(&reachable(address), limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Who listens on all addresses is asked on the machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Status and text of an answer.
fn parsed(answer: &str) -> Option<(u16, &str)> {
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    Some((status.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::patience::Stopwatch;

    /// A server that answers one question with these bytes.
    fn answering(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 1024];
            let _ = stream.read(&mut question);
            stream.write_all(answer).unwrap();
        });
        addr
    }

    #[test]
    fn nobody_there_is_unavailable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        drop(listener);
        let failure = healthcheck(&addr, Probe::Live).unwrap_err();
        assert_eq!(failure.kind(), Kind::Unavailable);
        assert!(failure.message().contains("refused"), "{failure:?}");
    }

    #[test]
    fn a_host_that_accepts_and_says_nothing_is_unavailable_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let asked = Stopwatch::start();
        let failure = healthcheck(&addr, Probe::Ready).unwrap_err();
        assert_eq!(failure.kind(), Kind::Unavailable);
        assert!(failure.message().ends_with("no answer within 3 s"));
        assert!(asked.elapsed() < Duration::from_secs(QUESTION_SECS_MAX + 1));
    }

    #[test]
    fn an_answer_that_drips_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"H").is_ok() {
                thread::park_timeout(Duration::from_millis(100));
            }
        });
        let asked = Stopwatch::start();
        let failure = healthcheck(&addr, Probe::Ready).unwrap_err();
        assert!(failure.message().ends_with("no answer within 3 s"));
        assert!(asked.elapsed() < Duration::from_secs(QUESTION_SECS_MAX + 1));
    }

    #[test]
    fn another_program_is_not_taken_for_a_host() {
        let failure = healthcheck(&answering(b"220 mail ESMTP\r\n"), Probe::Ready).unwrap_err();
        assert!(failure.message().ends_with("this is no answer of etl-host"));
    }

    #[test]
    fn a_whole_url_is_understood_or_answered_with_what_to_type() {
        for given in [
            "127.0.0.1:9090",
            "http://127.0.0.1:9090",
            "HTTP://127.0.0.1:9090/livez",
            " http://127.0.0.1:9090/ ",
        ] {
            assert_eq!(without_url(given).expect(given), "127.0.0.1:9090");
        }
        assert_eq!(
            without_url("http://[::1]:9090/").expect("a URL"),
            "[::1]:9090"
        );
        for (wrong, words) in [
            ("https://127.0.0.1:9090/", "use 127.0.0.1:9090"),
            ("9090", "HOST:PORT"),
            ("http://127.0.0.1", "HOST:PORT"),
            (":9090", "HOST:PORT"),
            ("", "HOST:PORT"),
        ] {
            let failure = without_url(wrong).expect_err(wrong);
            assert_eq!(failure.kind(), Kind::Configuration);
            assert!(failure.message().contains(words), "{failure:?}");
        }
    }

    #[test]
    fn all_addresses_are_asked_on_the_own_one() {
        let asked = |addr: &str| reachable(addr.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(asked("[::]:9090"), "[::1]:9090");
        assert_eq!(asked("192.0.2.7:9090"), "192.0.2.7:9090");
    }
}
