//! What the fake network claims, shown with a real PostgreSQL server behind it.
//! The statements are the host's in kind, not in words.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls};

use super::Network;
use crate::support::database::Database;
use crate::support::patience::{receive, within};
use crate::support::postgres::{OWNER, OWNER_PASSWORD, Server};
use crate::support::{block_on, spawn, wait_until};

/// Long enough for a local server, short enough to wait for in vain.
const SILENCE: Duration = Duration::from_millis(300);
/// For what has to come.
const WAIT: Duration = Duration::from_secs(30);
const WRITE: &str = "WITH l AS (INSERT INTO etl_host.ledger (message_id) VALUES ($1)
    ON CONFLICT DO NOTHING RETURNING message_id)
    INSERT INTO target SELECT message_id FROM l";

struct Scene {
    network: Network,
    database: Database,
}

impl Scene {
    fn new() -> Scene {
        let database = Database::empty();
        database.execute(
            "CREATE SCHEMA etl_host; CREATE TABLE target (name text);
             CREATE TABLE etl_host.ledger (message_id text PRIMARY KEY)",
        );
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, Server::get().port));
        Scene {
            network: Network::before(server),
            database,
        }
    }

    fn try_connect(&self) -> Result<Client, tokio_postgres::Error> {
        let connecting = async {
            let (client, connection) = tokio_postgres::Config::new()
                .host("127.0.0.1")
                .port(self.network.address().port())
                .dbname(&self.database.name)
                .user(OWNER)
                .password(OWNER_PASSWORD)
                .connect(NoTls)
                .await?;
            spawn(async move { drop(connection.await) });
            Ok(client)
        };
        block_on(connecting)
    }

    fn connect(&self) -> Client {
        self.try_connect().expect("connect through the network")
    }

    fn stored(&self) -> i64 {
        assert_eq!(
            self.database.count("target"),
            self.database.count("etl_host.ledger")
        );
        self.database.count("target")
    }
}

fn write(client: &Client, message: &str) -> Result<(), tokio_postgres::Error> {
    block_on(client.query_typed(WRITE, &[(&message, Type::TEXT)])).map(|_| ())
}

/// The error has no SQLSTATE: the client cannot know what became of it.
#[track_caller]
fn assert_outcome_unknown(result: Result<(), tokio_postgres::Error>) {
    let error = result.expect_err("the connection was cut");
    assert!(error.code().is_none(), "{error}");
}

#[test]
fn by_default_everything_passes() {
    let scene = Scene::new();
    let client = scene.connect();
    write(&client, "a").expect("write");
    block_on(client.batch_execute("SELECT 1; SELECT 2")).expect("a simple query");
    let large = "x".repeat(3 << 20);
    let back = block_on(client.query_one("SELECT $1::text", &[&large])).expect("3 MiB");
    assert_eq!(back.get::<_, &str>(0).len(), large.len());
    assert_eq!((scene.stored(), scene.network.writes()), (1, 1));
    assert_eq!(scene.network.connections(), 1);
}

#[test]
fn a_write_that_is_cut_before_it_is_forwarded_does_not_take_place() {
    let scene = Scene::new();
    let fired = scene.network.cut_before_write(2);
    let client = scene.connect();
    write(&client, "a").expect("the first passes");
    assert_eq!(fired.count(), 0);
    assert_outcome_unknown(write(&client, "b"));
    fired.assert_fired();
    assert_eq!(scene.stored(), 1);
    write(&scene.connect(), "b").expect("the third passes");
    assert_eq!(
        (scene.stored(), fired.count(), scene.network.writes()),
        (2, 1, 3)
    );
}

#[test]
fn a_write_that_is_cut_before_its_answer_is_relayed_has_taken_place() {
    let scene = Scene::new();
    let fired = scene.network.cut_after_write(1);
    assert_outcome_unknown(write(&scene.connect(), "a"));
    fired.assert_fired();
    assert_eq!(scene.stored(), 1);
    write(&scene.connect(), "a").expect("the same again passes");
    assert_eq!(scene.stored(), 1);
}

#[test]
fn a_refused_write_is_no_write_to_lose_the_answer_of() {
    let scene = Scene::new();
    let fired = scene.network.cut_after_write(1);
    let client = scene.connect();
    let refused = block_on(client.query_typed(
        "INSERT INTO etl_host.ledger (message_id) VALUES ($1::int4 / 0)",
        &[(&1_i32, Type::INT4)],
    ));
    let error = refused.expect_err("the server refuses it");
    assert!(error.code().is_some() && fired.count() == 0);
    assert_outcome_unknown(write(&client, "a"));
    assert_eq!((fired.count(), scene.stored()), (1, 1));
}

#[test]
fn a_prepared_write_is_recognised_and_other_statements_are_not() {
    let scene = Scene::new();
    let client = scene.connect();
    let prepared = block_on(client.prepare(WRITE)).expect("prepare");
    block_on(client.query("SELECT count(*) FROM etl_host.ledger", &[])).expect("read");
    block_on(client.execute("INSERT INTO target VALUES ('x')", &[])).expect("insert elsewhere");
    block_on(client.execute("DELETE FROM target", &[])).expect("delete");
    assert_eq!(scene.network.writes(), 0);
    let fired = scene.network.cut_before_write(1);
    assert_outcome_unknown(block_on(client.execute(&prepared, &[&"a"])).map(|_| ()));
    fired.assert_fired();
    assert_eq!((scene.stored(), scene.network.writes()), (0, 1));
}

#[test]
fn a_swallowed_answer_leaves_the_client_waiting_on_a_living_connection() {
    let scene = Scene::new();
    let fired = scene.network.swallow_answer(1);
    let client = scene.connect();
    let answer = block_on(async {
        let parameter: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] =
            [(&"a", Type::TEXT)];
        within(SILENCE, client.query_typed(WRITE, &parameter))
            .await
            .is_ok()
    });
    wait_until("the answer is swallowed", || fired.count() > 0);
    assert!(!answer && !client.is_closed());
    assert_eq!(scene.stored(), 1);
}

#[test]
fn a_stopped_cut_does_not_fire() {
    let scene = Scene::new();
    let fired = scene.network.cut_before_write(1);
    fired.stop();
    write(&scene.connect(), "a").expect("nothing is cut");
    assert_eq!(fired.count(), 0);
}

#[test]
fn a_paused_network_is_silent_and_loses_nothing() {
    let scene = Scene::new();
    let client = scene.connect();
    write(&client, "a").expect("before");
    let stopped = scene.network.pause();
    let (done, answer) = std::sync::mpsc::channel();
    spawn(async move {
        let written = client.query_typed(WRITE, &[(&"b", Type::TEXT)]).await;
        let _ = done.send(written.is_ok());
    });
    wait_until("the write is stopped on its way", || stopped.count() > 0);
    let (opened, connection) = std::sync::mpsc::channel();
    let port = scene.network.address().port();
    spawn(async move {
        let config = format!("host=127.0.0.1 port={port} user={OWNER} password=wrong");
        let _ = opened.send(tokio_postgres::connect(&config, NoTls).await.is_ok());
    });
    wait_until("a connection hangs", || stopped.count() > 1);
    assert!(receive(&answer, SILENCE).is_err() && connection.try_recv().is_err());
    assert_eq!(scene.stored(), 1);

    scene.network.resume();
    assert_eq!(receive(&answer, WAIT), Ok(true));
    assert_eq!(receive(&connection, WAIT), Ok(false));
    assert_eq!(scene.stored(), 2);
}

#[test]
fn a_black_hole_swallows_the_end_of_a_connection() {
    let scene = Scene::new();
    let client = scene.connect();
    let sessions = || {
        scene
            .database
            .count("pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'")
    };
    assert_eq!(sessions(), 2);
    let stopped = scene.network.pause();
    drop(client);
    wait_until("the end is stopped on its way", || stopped.count() > 0);
    assert_eq!(sessions(), 2);
    scene.network.resume();
    wait_until("the server has learnt of it", || sessions() == 1);
}

#[test]
fn a_black_hole_swallows_an_end_without_a_word() {
    let server = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let network = Network::before(server.local_addr().expect("a bound address"));
    let client = std::net::TcpStream::connect(network.address()).expect("connect");
    let (mut accepted, _) = server.accept().expect("the network connects");
    let stopped = network.pause();
    drop(client);
    wait_until("the end is stopped on its way", || stopped.count() > 0);
    let _hanging = std::net::TcpStream::connect(network.address()).expect("connect");
    wait_until("a connection is stopped too", || stopped.count() > 1);
    server.set_nonblocking(true).expect("not wait");
    assert!(server.accept().is_err(), "the server learns of none");
    accepted
        .set_read_timeout(Some(SILENCE))
        .expect("a limit of time");
    let mut read = || std::io::Read::read(&mut accepted, &mut [0]).ok();
    assert_eq!(read(), None, "nothing, not even an end");
    network.resume();
    let mut end = None;
    wait_until("the end arrives", || {
        end = read();
        end.is_some()
    });
    assert_eq!(end, Some(0));
}

#[test]
fn all_connections_are_reset_and_new_ones_pass() {
    let scene = Scene::new();
    let clients = [scene.connect(), scene.connect()];
    assert_eq!(scene.network.reset_all(), 2);
    for client in &clients {
        wait_until("the client has learnt of it", || client.is_closed());
    }
    assert_eq!(scene.network.reset_all(), 0);
    write(&scene.connect(), "a").expect("a new connection passes");
}

#[test]
fn a_reset_is_no_orderly_end() {
    let scene = Scene::new();
    let mut raw = std::net::TcpStream::connect(scene.network.address()).expect("connect");
    wait_until("the connection has come in", || {
        scene.network.connections() == 1
    });
    assert_eq!(scene.network.reset_all(), 1);
    let read = std::io::Read::read(&mut raw, &mut [0]);
    let kind = read.expect_err("an orderly end would read nothing").kind();
    assert_eq!(kind, std::io::ErrorKind::ConnectionReset);
}

#[test]
fn refused_connections_are_counted_and_those_that_are_there_stay() {
    let scene = Scene::new();
    let client = scene.connect();
    let refused = scene.network.refuse();
    assert!(scene.try_connect().is_err() && scene.try_connect().is_err());
    assert_eq!(refused.count(), 2);
    write(&client, "a").expect("the old one stays");
    scene.network.admit();
    write(&scene.connect(), "b").expect("new ones are taken again");
}

#[test]
fn a_network_that_is_down_comes_up_on_the_same_port() {
    let scene = Scene::new();
    let client = scene.connect();
    assert_eq!(scene.network.go_down(), 1);
    wait_until("the client has learnt of it", || client.is_closed());
    let refused = std::net::TcpStream::connect(scene.network.address());
    let kind = refused.expect_err("nobody listens").kind();
    assert_eq!(kind, std::io::ErrorKind::ConnectionRefused);
    scene.network.come_up();
    write(&scene.connect(), "a").expect("it is up again");
}

#[test]
fn a_slow_network_delays_each_direction() {
    let scene = Scene::new();
    let client = scene.connect();
    let late = scene.network.delay(Duration::from_millis(100));
    let started = Instant::now();
    write(&client, "a").expect("late, but there");
    assert!(started.elapsed() >= Duration::from_millis(200));
    late.assert_fired();
    scene.network.delay(Duration::ZERO);
    let count = late.count();
    write(&client, "b").expect("in time");
    assert_eq!(late.count(), count);
}

#[test]
fn a_request_for_encryption_and_one_to_cancel_pass() {
    let scene = Scene::new();
    let port = scene.network.address().port();
    let config = format!(
        "host=127.0.0.1 port={port} dbname={} user={OWNER} password={OWNER_PASSWORD} sslmode=prefer",
        scene.database.name
    );
    // NoTls never asks, so the eight bytes are said by hand.
    let mut raw = std::net::TcpStream::connect(scene.network.address()).expect("connect");
    std::io::Write::write_all(&mut raw, &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]).expect("ask");
    let mut answer = [0];
    std::io::Read::read_exact(&mut raw, &mut answer).expect("one byte");
    assert_eq!(&answer, b"N", "the tests' server has no TLS");

    let (client, connection) =
        block_on(tokio_postgres::connect(&config, NoTls)).expect("connect in plain");
    spawn(async move { drop(connection.await) });
    let token = client.cancel_token();
    let (done, ended) = std::sync::mpsc::channel();
    spawn(async move {
        let slept = client.batch_execute("SELECT pg_sleep(60)").await;
        let _ = done.send(slept.is_err());
    });
    wait_until("the statement runs", || {
        scene
            .database
            .count("pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()")
            > 0
    });
    block_on(token.cancel_query(NoTls)).expect("cancel");
    assert_eq!(receive(&ended, WAIT), Ok(true));
}
