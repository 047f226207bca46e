//! A PostgreSQL server that ends and comes back while the host runs. It is a
//! server of this file's own: nobody else must be ended with it.

use std::sync::{Mutex, PoisonError};

/// The tests' server once more, as a process of its own.
#[allow(dead_code, clippy::duplicate_mod)]
#[path = "../support/postgres.rs"]
mod own_server;

use self::own_server::{OWNER, Restart, Server};
use super::scene::{Kind, Scene};
use crate::support::database::Database;
use crate::support::login::{Login, bodies, rows};
use crate::support::wait_until;
// The server's file looks for these beside itself.
use crate::support::{account, block_on, patience, pause, spawn, supervised};

const MESSAGES: usize = 30;

/// One restart at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Loads messages while the server is treated in this way, again and again.
fn outlasts(test: &str, times: usize, complaint: &str, harm: impl Fn(&Server)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::get();
    let name = format!("own_{test}");
    server.administer(&[&format!("CREATE DATABASE {name} OWNER {OWNER}")]);
    let database = || Database::over(server.connect(&name), name.clone(), server.port);
    let mut scene = Scene::with(Kind::Standard, database(), server.port);
    scene.database.create_table();

    let mut host = scene.host().option("--batch-messages-max", "5").start();
    let (mut logins, mut day) = (Vec::new(), 0);
    for n in 0..times {
        let more = Login::several(&format!("{test}_{n}"), MESSAGES);
        day = scene.send(&bodies(&more)).day;
        logins.extend(more);
        host.wait_until("something is stored", || {
            scene.left() < MESSAGES && scene.database.has("etl_host.ledger")
        });
        let before = server.log().matches(complaint).count();
        harm(server);
        wait_until("the server has ended what was there", || {
            server.log().matches(complaint).count() > before
        });
        host.wait_until("all is settled", || scene.left() == 0);
        scene.database = wait_for(&name, server);
    }
    host.terminate();
    let run = host.finish().exited(0);

    scene.assert_well(&rows(&logins, day), 0, &logins, &[&run]);
    assert_eq!(scene.database.ledger().len(), logins.len());
    let log = server.log();
    for value in logins.iter().flat_map(Login::sensitive) {
        assert!(!log.contains(value), "{value} stands in the server's log");
    }
}

/// A connection, once the server takes one.
fn wait_for(name: &str, server: &'static Server) -> Database {
    wait_until("the server is up", || server.is_ready());
    Database::over(server.connect(name), name.to_owned(), server.port)
}

/// Case 88.
#[test]
fn sessions_that_are_terminated_are_replaced() {
    let complaint = "terminating connection due to administrator command";
    outlasts("terminated", 3, complaint, |server| {
        server.administer(&["SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = 'own_terminated'"]);
    });
}

/// Case 88.
#[test]
fn a_server_that_restarts_is_outlasted() {
    let complaint = "received fast shutdown request";
    outlasts("fast", 3, complaint, |server| server.restart(Restart::Fast));
}

/// Case 88.
#[test]
fn a_server_that_crashes_and_recovers_is_outlasted() {
    let complaint = "received immediate shutdown request";
    outlasts("immediate", 3, complaint, |server| {
        server.restart(Restart::Immediate)
    });
}
