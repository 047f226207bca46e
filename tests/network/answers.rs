//! Answers without end: each is an error like any other, and takes no more
//! memory than twice what an ordinary run does. Case 132.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{endlessly, head, serving, skip_body};
use crate::delivery::scene::Scene;
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::{Host, Running};
use crate::support::pause;

/// Runs that fail ask the service again until this is over, in seconds.
const STARTUP_SECS: &str = "2";
/// Receives that a hostile answer is given to.
const RECEIVES: usize = 12;

/// The most memory of an ordinary run, in KiB.
fn ordinary_kib() -> u64 {
    static ORDINARY: OnceLock<u64> = OnceLock::new();
    *ORDINARY.get_or_init(|| {
        let mut scene = Scene::new("ordinary");
        scene.send(500);
        let mut host = scene.host().start();
        host.wait_until("the queue is empty", || scene.is_empty());
        let peak = host.memory_kib_max().expect("Linux tells");
        scene.stop(host);
        peak
    })
}

/// The most memory until it ends by itself, in KiB, and how it ended.
#[track_caller]
fn ended(mut host: Running, code: i32, words: &[&str]) -> u64 {
    let mut peak = 0;
    while !host.has_ended() {
        peak = host.memory_kib_max().unwrap_or(0).max(peak);
        pause();
    }
    let run = host.finish().exited(code);
    drop(run.says(words));
    peak
}

#[track_caller]
fn assert_modest(what: &str, kib: u64) {
    let ordinary = ordinary_kib();
    eprintln!("{what}: {} MiB, ordinary {} MiB", kib >> 10, ordinary >> 10);
    assert!(
        kib > 0 && kib <= 2 * ordinary,
        "{what}: {kib} KiB, ordinary {ordinary} KiB"
    );
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n";
const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\n";

/// One chunk of a body of which no length is told.
fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A server that answers everything with a beginning and then the same again
/// and again.
fn hostile(beginning: &'static str, again: String) -> SocketAddr {
    serving(move |mut client| {
        let Some(head) = head(&mut client) else {
            return Ok(());
        };
        skip_body(&mut client, &head)?;
        client.write_all(beginning.as_bytes())?;
        endlessly(&mut client, again.as_bytes())
    })
}

#[test]
fn answers_of_the_queue_without_end_are_errors_at_the_start() {
    let scene = Scene::new("endless_start");
    let chunked = |status: &str| -> &'static str {
        format!("{status}transfer-encoding: chunked\r\n\r\n").leak()
    };
    let words = chunk(&"a".repeat(1_000));
    for (what, address, said) in [
        (
            "success",
            hostile(chunked(OK), words.clone()),
            "longer than",
        ),
        (
            "error",
            hostile(chunked(REFUSED), words.clone()),
            "longer than",
        ),
        (
            "one header",
            hostile("HTTP/1.1 200 OK\r\nx: ", "a".repeat(1_000)),
            "at http://",
        ),
        (
            "headers",
            hostile("HTTP/1.1 200 OK\r\n", "x: aaaaaaaaaa\r\n".into()),
            "at http://",
        ),
    ] {
        let host = scene
            .host_at(&format!("http://{address}"))
            .option("--startup-wait-secs", STARTUP_SECS)
            .start();
        assert_modest(what, ended(host, 69, &[said]));
    }
}

#[test]
fn credentials_without_end_are_an_error() {
    let scene = Scene::new("endless_credentials");
    let address = hostile(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        chunk(&"a".repeat(1_000)),
    );
    let host = scene
        .host()
        .unset("AWS_ACCESS_KEY_ID")
        .unset("AWS_SECRET_ACCESS_KEY")
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("http://{address}/v1"),
        )
        .option("--startup-wait-secs", STARTUP_SECS)
        .start();
    let mut host = host;
    let mut peak = 0;
    while !host.has_ended() {
        peak = host.memory_kib_max().unwrap_or(0).max(peak);
        pause();
    }
    assert_ne!(host.finish().code(), Some(0));
    assert_modest("credentials", peak);
}

/// The running host: receives without end, by the direct calls and the SDK's.
#[test]
fn receives_without_end_are_held_and_cost_little() {
    let database = Database::with_table();
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let address = serving(move |mut client| {
        while let Some(head) = head(&mut client) {
            skip_body(&mut client, &head)?;
            if head.contains("ReceiveMessage") {
                count.fetch_add(1, Ordering::SeqCst);
                write!(client, "{OK}transfer-encoding: chunked\r\n\r\n")?;
                let message = r#"{"MessageId":"m","ReceiptHandle":"h","Body":"aaaaaaaaaaaaaaaa"},"#;
                client.write_all(chunk(r#"{"Messages":["#).as_bytes())?;
                return endlessly(&mut client, chunk(&message.repeat(20)).as_bytes());
            }
            let answer = r#"{"Attributes":{"VisibilityTimeout":"30"}}"#;
            write!(
                client,
                "{OK}content-length: {}\r\n\r\n{answer}",
                answer.len()
            )?;
        }
        Ok(())
    });
    let mut host = Host::bare()
        .option("--transform", guest("sha256_mask.wasm"))
        .option(
            "--queue-url",
            format!("http://{address}/000000000000/logins"),
        )
        .option("--database-url", database.url())
        .env("AWS_ENDPOINT_URL_SQS", format!("http://{address}"))
        .start();
    host.wait_until("it has received", || {
        received.load(Ordering::SeqCst) >= RECEIVES
    });
    host.wait_until_it_says("longer than");
    let peak = host.memory_kib_max().expect("Linux tells");
    host.kill();
    assert_modest("receives", peak);
}

fn message(kind: u8, contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len() + 4).expect("short");
    let mut message = vec![kind];
    message.extend(length.to_be_bytes());
    message.extend(contents);
    message
}

/// The head of a message that is said to be of 1 GiB.
fn giant(kind: u8) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend((1_u32 << 30).to_be_bytes());
    message
}

/// A PostgreSQL server that lets everybody in, or nobody, and goes on without
/// end.
fn database(before: bool, beginning: Vec<u8>, again: Vec<u8>) -> SocketAddr {
    serving(move |mut client| {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let startup = u64::from(u32::from_be_bytes(length)) - 4;
        std::io::copy(&mut (&mut client).take(startup), &mut std::io::sink())?;
        if !before {
            client.write_all(&message(b'R', &[0, 0, 0, 0]))?;
            client.write_all(&message(b'K', &[0; 8]))?;
            client.write_all(&message(b'Z', b"I"))?;
            wait_for_question(&mut client)?;
        }
        client.write_all(&beginning)?;
        endlessly(&mut client, &again)
    })
}

fn wait_for_question(client: &mut TcpStream) -> std::io::Result<()> {
    client.read_exact(&mut [0])
}

#[test]
fn answers_of_the_database_without_end_are_errors() {
    let scene = Scene::new("endless_database");
    let notice = message(b'N', b"SNOTICE\0C00000\0Mwords of a stranger\0\0");
    let parameter = message(b'S', b"name\0value\0");
    let row = message(b'D', &[0, 0]);
    let columns = [
        message(b'1', &[]),
        message(b'2', &[]),
        message(b'T', &[0, 0]),
    ]
    .concat();
    let fields = b"Mendless\0".repeat(1_000);
    let zeros = vec![0; 1_000];
    for before in [true, false] {
        for (what, beginning, again) in [
            ("a length", giant(b'D'), zeros.clone()),
            ("authentication", giant(b'R'), zeros.clone()),
            ("an error", giant(b'E'), fields.clone()),
            ("notices", Vec::new(), notice.clone()),
            ("parameters", Vec::new(), parameter.clone()),
            ("rows", columns.clone(), row.clone()),
        ] {
            // Rows before the greeting are no protocol at all.
            if before && what == "rows" {
                continue;
            }
            let address = database(before, beginning, again);
            let host = scene
                .host()
                .option(
                    "--database-url",
                    format!("postgres://a:b@{address}/c?sslmode=disable"),
                )
                .option("--startup-wait-secs", STARTUP_SECS)
                .start();
            // The driver refuses what nobody may send before the greeting.
            let said = match before && matches!(what, "notices" | "parameters") {
                true => "unexpected message",
                false => "the server sends",
            };
            let peak = ended(host, 69, &[said]);
            assert_modest(&format!("{what}, before={before}"), peak);
        }
    }
}

/// Words of whoever answers, before anybody is known.
#[test]
fn words_of_a_database_are_cleaned_and_cut() {
    let scene = Scene::new("database_words");
    let long = "long ".repeat(4_000);
    let error = message(
        b'E',
        format!("SFATAL\0C28000\0M\u{1b}[2J\u{202e}\u{200b}{long}\0\0").as_bytes(),
    );
    let address = serving(move |mut client| {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        client.write_all(&error)?;
        std::io::copy(&mut client, &mut std::io::sink()).map(drop)
    });
    let host = scene
        .host()
        .option(
            "--database-url",
            format!("postgres://a:b@{address}/c?sslmode=disable"),
        )
        .option("--startup-wait-secs", "1");
    let run = host
        .run()
        .exited(78)
        .says(&["28000", "u{1b}[2J", "u{200b}"]);
    for hidden in ['\u{1b}', '\u{202e}', '\u{200b}'] {
        assert!(!run.stderr.contains(hidden), "{hidden:?}");
    }
    assert!(run.stderr.len() < 8_000, "{} bytes", run.stderr.len());
}
