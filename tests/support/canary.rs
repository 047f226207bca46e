//! The search for raw values where none may ever stand: the host's output,
//! every table, the ledger included, and the server's own log.

use super::database::Database;
use super::host::Run;
use super::login::{Login, sha256_hex};
use super::postgres::Server;

/// Panics if a sensitive value of these logins got out of the sandbox.
pub fn nothing_leaked(logins: &[Login], runs: &[&Run], database: &Database) {
    let values: Vec<&str> = logins.iter().flat_map(Login::sensitive).collect();
    assert!(!values.is_empty(), "there is nothing to look for");
    for (place, text) in places(runs, database) {
        let found = find(&values, &text);
        assert!(
            found.is_empty(),
            "{} raw value(s) in {place}, for example {:?}",
            found.len(),
            found[0]
        );
    }
}

fn places(runs: &[&Run], database: &Database) -> Vec<(String, String)> {
    let mut places = vec![
        ("a table".to_owned(), database.text_of_every_table()),
        ("the server's log".to_owned(), Server::get().log()),
    ];
    for run in runs {
        places.push(("standard output".to_owned(), run.stdout.clone()));
        places.push(("standard error".to_owned(), run.stderr.clone()));
    }
    places
}

/// The values that occur in the text: as they are, or in hexadecimal, which is
/// how PostgreSQL and many a `Debug` print bytes.
fn find<'v>(values: &[&'v str], text: &str) -> Vec<&'v str> {
    values
        .iter()
        .copied()
        .filter(|value| text.contains(value) || text.contains(&hex(value)))
        .collect()
}

fn hex(value: &str) -> String {
    value.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_value_in_a_table_is_found() {
    let login = Login::invented("canary_table", 1);
    let database = Database::empty();
    database.execute(&format!(
        "CREATE SCHEMA hidden; CREATE TABLE hidden.t(a jsonb); INSERT INTO hidden.t VALUES ('{}')",
        login.body()
    ));
    let text = database.text_of_every_table();
    assert_eq!(find(&login.sensitive(), &text), login.sensitive());
}

#[test]
fn a_value_stored_as_bytes_is_found() {
    let login = Login::invented("canary_bytes", 1);
    let database = Database::empty();
    database.execute(&format!(
        "CREATE TABLE t AS SELECT convert_to('{}', 'UTF8') AS a",
        login.device_id
    ));
    let text = database.text_of_every_table();
    assert_eq!(find(&login.sensitive(), &text), [&login.device_id]);
}

#[test]
fn a_value_in_the_servers_log_is_found() {
    let login = Login::invented("canary_log", 1);
    let database = Database::empty();
    database.execute(&format!(
        "DO $$ BEGIN RAISE LOG 'invented for this test: {}'; END $$",
        login.device_id
    ));
    super::wait_until("the server has logged the value", || {
        find(&login.sensitive(), &Server::get().log()) == [&login.device_id]
    });
}

#[test]
fn a_masked_value_is_not_a_leak() {
    let login = Login::invented("canary_masked", 1);
    let text = sha256_hex(login.ip.as_bytes());
    assert!(find(&login.sensitive(), &text).is_empty());
}
