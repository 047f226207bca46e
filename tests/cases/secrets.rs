//! What the host knows and must not tell: the passwords it is given, and what
//! the database server could write about a statement.

use super::scene::Scene;
use crate::support::host::Host;
use crate::support::login::{Login, bodies, rows};
use crate::support::postgres::{OWNER, OWNER_PASSWORD, Server};
use crate::support::queue::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

const SECRET: &str = "invented-and-never-to-be-told";

/// Case 113.
#[test]
fn a_password_that_is_refused_is_not_told() {
    let scene = Scene::new();
    let url = scene.database_url_as(OWNER, SECRET);
    for host in [
        scene.host().option("--database-url", &url),
        scene
            .host()
            .without("--database-url")
            .env("DATABASE_URL", &url),
        scene.host().word("check").option("--database-url", &url),
    ] {
        let run = host.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        let run = run.run().never_says(SECRET).never_says(SECRET_ACCESS_KEY);
        assert_ne!(run.code(), Some(0));
    }
    let complaint = format!("password authentication failed for user \"{OWNER}\"");
    assert!(Server::get().log().contains(&complaint));
    assert!(!Server::get().log().contains(SECRET));
}

/// Case 113.
#[test]
fn a_password_in_a_url_that_cannot_be_read_is_not_told() {
    let scene = Scene::new();
    for url in [
        format!("postgres://user:{SECRET}@host:no-port/database"),
        format!("postgres://user:{SECRET}@host/database?sslmode=invented"),
        format!("postgres://user:{SECRET}@host/database?no_such_option=1"),
        format!("postgres://user:%zz{SECRET}@host/database"),
        format!("postgres://user:{SECRET}@[::1/database"),
        format!("mysql://user:{SECRET}@host/database"),
        format!("host=localhost password={SECRET} port=no-port"),
        format!("host=localhost password='{SECRET}"),
        SECRET.to_owned(),
    ] {
        let run = scene.host().option("--database-url", url);
        let run = run.option("--startup-wait-secs", "0").run();
        assert_ne!(run.code(), Some(0));
        run.never_says(SECRET);
    }
}

/// Case 113.
#[test]
fn no_secret_stands_in_the_process_list_or_in_the_help() {
    let scene = Scene::new();
    let login = [Login::invented("process_list", 1)];
    let sent = scene.send(&bodies(&login));
    let url = scene.database_url();
    let mut host = scene
        .host()
        .without("--database-url")
        .env("DATABASE_URL", &url)
        .start();
    host.wait_until("the message is settled", || scene.left() == 0);
    let list = std::process::Command::new("ps")
        .args(["-A", "-o", "args"])
        .output();
    // Where there is no `ps`, there is /proc.
    let list = list
        .map(|output| output.stdout)
        .unwrap_or_else(|_| processes());
    let list = String::from_utf8_lossy(&list);
    let ours = scene.queue.endpoint().trim_start_matches("http://");
    let line = list.lines().find(|line| line.contains(ours));
    let line = line.expect("the host stands in the process list");
    for secret in [OWNER_PASSWORD, SECRET_ACCESS_KEY, ACCESS_KEY_ID] {
        assert!(!line.contains(secret), "{line}");
    }
    host.terminate();
    let run = host.finish().exited(0);
    let help = Host::bare().word("--help").env("DATABASE_URL", &url);
    let help = help.env("ETL_HOST_DATABASE_URL", &url).run().exited(0);
    for run in [&run, &help] {
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains(OWNER_PASSWORD) && !text.contains(SECRET_ACCESS_KEY));
        }
    }
    scene.assert_well(&rows(&login, sent.day), 0, &login, &[&run]);
}

/// Every command line of this machine.
fn processes() -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        all.extend(
            line.iter()
                .map(|byte| if *byte == 0 { b' ' } else { *byte }),
        );
        all.push(b'\n');
    }
    all
}

/// Cases 112 and 115.
#[test]
fn a_server_that_logs_every_parameter_learns_no_raw_value() {
    let scene = Scene::new();
    let name = &scene.database.name;
    let settings = [
        "log_statement = 'all'",
        "log_min_duration_statement = 0",
        "log_parameter_max_length = -1",
        "log_parameter_max_length_on_error = -1",
        "log_error_verbosity = verbose",
    ];
    for setting in settings {
        Server::get().administer(&[&format!("ALTER DATABASE {name} SET {setting}")]);
    }
    let mut logins = Login::several("server_log", 9);
    logins[3].device_type = "x".repeat(33);
    let mut bodies = bodies(&logins);
    bodies[5].pop();
    let sent = scene.send(&bodies);

    let host = scene.host().env("RUST_LOG", "trace").until_empty();
    let run = host.run().exited(0);

    // The server does tell what it was given.
    assert!(Server::get().log().contains(&logins[0].user_id));
    scene.assert_rejected(&sent.ids[3], "database-22001");
    let good = [&logins[..3], &logins[4..5], &logins[6..]].concat();
    scene.assert_well(&rows(&good, sent.day), 2, &logins, &[&run]);
}
