//! The target table: compared with the component's description at start-up,
//! and created from it on request.

use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::host::{Host, Run};
use crate::support::login::{Login, bodies, rows};
use crate::support::postgres::{STRANGER, STRANGER_PASSWORD};
use crate::support::queue::Queue;

/// Runs the host on a table that it must refuse.
fn refused(database: &Database) -> Run {
    let queue = Queue::with_dead_letters();
    queue.send(&bodies(&Login::several("refused_table", 1)));
    let run = Host::new(&queue, database).until_empty().run().exited(78);
    assert_eq!(
        queue.calls("ReceiveMessage"),
        0,
        "it received before it failed"
    );
    run
}

#[test]
fn a_missing_table_is_named_with_its_remedy() {
    refused(&Database::empty()).says(&["user_logins", "--create-table"]);
}

#[test]
fn a_missing_column_is_named_with_its_type_and_remedy() {
    let database = Database::with_table();
    database.execute("ALTER TABLE user_logins DROP COLUMN masked_ip");
    refused(&database).says(&["user_logins", "masked_ip", "text", "ALTER TABLE"]);
}

#[test]
fn a_column_of_another_type_is_named_with_both_types_and_the_remedy() {
    let database = Database::with_table();
    database.execute("ALTER TABLE user_logins ALTER app_version TYPE text");
    refused(&database).says(&["app_version", "integer", "text", "ALTER TABLE"]);
}

#[test]
fn every_column_that_does_not_fit_is_named_at_once() {
    let database = Database::with_table();
    database.execute(
        "ALTER TABLE user_logins DROP COLUMN locale;
         ALTER TABLE user_logins ALTER create_date TYPE integer USING 0",
    );
    refused(&database).says(&["locale", "create_date"]);
}

#[test]
fn a_column_that_nobody_fills_and_that_takes_no_null_is_named() {
    let database = Database::with_table();
    database.execute("ALTER TABLE user_logins ADD COLUMN tenant text NOT NULL");
    refused(&database).says(&["tenant"]);
}

/// Alters the table in a way that every row would meet: a run and `check` refuse
/// it in these words, with a remedy that is run here, and then all is well.
#[track_caller]
fn refused_until_its_remedy_has_run(test: &str, alter: &str, words: &[&str]) -> Database {
    let database = Database::with_table();
    database.execute(alter);
    let run = refused(&database).says(words);
    let queue = Queue::with_dead_letters();
    let logins = Login::several(test, 4);
    queue.send(&bodies(&logins));
    let host = || Host::new(&queue, &database);
    let check = host().word("check").run().exited(78);
    for word in words {
        assert!(check.stdout.contains(word), "{word:?}: {}", check.stdout);
    }

    let (_, remedy) = run.stderr.split_once("fix: ").expect("a remedy");
    database.execute(remedy.lines().next().expect("a line"));

    host().word("check").run().exited(0);
    host().until_empty().run().exited(0);
    assert_eq!(database.count("user_logins"), 4);
    database
}

#[test]
fn a_column_that_the_table_numbers_itself_is_refused_with_a_remedy_that_runs() {
    let database = refused_until_its_remedy_has_run(
        "identity",
        "ALTER TABLE user_logins ALTER app_version SET NOT NULL,
             ALTER app_version ADD GENERATED ALWAYS AS IDENTITY",
        &["app_version", "integer", "GENERATED ALWAYS AS IDENTITY"],
    );
    // What the component gives is what is stored.
    let given = "user_logins WHERE app_version = 2003000";
    assert_eq!(database.count(given), 1);
}

#[test]
fn a_column_that_the_table_computes_is_refused_with_a_remedy_that_runs() {
    refused_until_its_remedy_has_run(
        "computed",
        "ALTER TABLE user_logins DROP locale,
             ADD locale varchar(32) GENERATED ALWAYS AS (upper(user_id)) STORED",
        &["locale", "character varying(32) GENERATED"],
    );
}

#[test]
fn a_domain_that_takes_no_null_is_refused_with_a_remedy_that_runs() {
    refused_until_its_remedy_has_run(
        "domain",
        "CREATE DOMAIN tenant AS text NOT NULL; CREATE DOMAIN our_tenant AS tenant;
         ALTER TABLE user_logins ADD of our_tenant",
        &["of", "our_tenant NOT NULL without a default"],
    );
}

#[test]
fn a_domain_with_a_default_is_no_fault() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    database.execute(
        "CREATE DOMAIN tenant AS text DEFAULT 'ours' NOT NULL;
         ALTER TABLE user_logins ADD of tenant",
    );
    queue.send(&bodies(&Login::several("domain_default", 3)));
    Host::new(&queue, &database).until_empty().run().exited(0);
    assert_eq!(database.count("user_logins WHERE of = 'ours'"), 3);
}

#[test]
fn a_primary_key_that_nobody_fills_is_refused_with_a_remedy_that_runs() {
    refused_until_its_remedy_has_run(
        "primary_key",
        "ALTER TABLE user_logins ADD id bigint PRIMARY KEY",
        &["id", "bigint NOT NULL"],
    );
}

#[test]
fn a_rule_that_the_statement_cannot_live_with_is_refused_with_a_remedy_that_runs() {
    for (n, rule) in [
        "WHERE NEW.locale IS NULL DO INSTEAD INSERT INTO other VALUES (NEW.*)",
        "DO ALSO INSERT INTO other VALUES (NEW.*)",
        "DO INSTEAD NOTHING",
    ]
    .into_iter()
    .enumerate()
    {
        refused_until_its_remedy_has_run(
            &format!("rule_{n}"),
            &format!(
                "CREATE TABLE other (LIKE user_logins);
                 CREATE RULE \"Lead away\" AS ON INSERT TO user_logins {rule}"
            ),
            &["rule Lead away"],
        );
    }
}

#[test]
fn a_sequence_that_the_role_may_not_use_is_named_with_its_grant() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    database.execute(&format!(
        "CREATE SEQUENCE numbers;
         ALTER TABLE user_logins ADD number bigint NOT NULL DEFAULT nextval('numbers');
         GRANT INSERT ON user_logins TO {STRANGER}"
    ));
    // The ledger, made by its owner.
    Host::new(&queue, &database).until_empty().run().exited(0);
    database.execute(&format!(
        "GRANT USAGE ON SCHEMA etl_host TO {STRANGER};
         GRANT ALL ON ALL TABLES IN SCHEMA etl_host TO {STRANGER}"
    ));
    queue.send(&bodies(&Login::several("sequence", 3)));
    let url = database.url_as(STRANGER, STRANGER_PASSWORD);
    let host = || {
        let host = Host::new(&queue, &database).option("--database-url", url.clone());
        host.until_empty()
    };
    let grant = format!("GRANT USAGE ON SEQUENCE public.numbers TO {STRANGER}");
    host().run().exited(78).says(&[&grant]);
    assert_eq!(queue.visible(), 3);
    database.execute(&grant);
    host().run().exited(0);
    assert_eq!(database.count("user_logins WHERE number > 0"), 3);
}

#[test]
fn more_columns_than_the_component_writes_are_no_fault() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    database.execute(
        "ALTER TABLE user_logins ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY;
         ALTER TABLE user_logins ADD COLUMN loaded timestamptz NOT NULL DEFAULT now();
         ALTER TABLE user_logins ADD COLUMN note text",
    );
    let logins = Login::several("more_columns", 5);
    let sent = queue.send(&bodies(&logins));

    Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
}

#[test]
fn create_table_makes_the_table_from_the_components_description() {
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    let logins = Login::several("create_table", 10);
    let sent = queue.send(&bodies(&logins));

    let host = || {
        Host::new(&queue, &database)
            .word("--create-table")
            .until_empty()
    };
    let run = host().run().exited(0);
    // A table that is there is left alone.
    let second = host().run().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    nothing_leaked(&logins, &[&run, &second], &database);
}

#[test]
fn a_table_may_lie_in_another_schema_and_have_any_name() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    database.execute(
        "CREATE SCHEMA landing;
         ALTER TABLE user_logins SET SCHEMA landing;
         ALTER TABLE landing.user_logins RENAME TO logins",
    );
    let logins = Login::several("other_schema", 5);
    let sent = queue.send(&bodies(&logins));

    Host::new(&queue, &database)
        .option("--table", "landing.logins")
        .until_empty()
        .run()
        .exited(0);

    database.assert_rows_of("landing.logins", &rows(&logins, sent.day));
}

#[test]
fn two_pipelines_into_two_tables_of_one_database_do_not_collide() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    database.execute("CREATE TABLE other (LIKE user_logins)");
    let logins = Login::several("two_tables", 3);
    let sent = queue.send(&bodies(&logins));

    // The same messages reach both pipelines: the first one's deletes are lost.
    queue.refuse(&["DeleteMessage", "DeleteMessageBatch"]);
    let mut first = Host::new(&queue, &database).start();
    first.wait_until("the first pipeline has its rows", || {
        database.count("user_logins") == 3
    });
    first.kill();
    queue.refuse_nothing();
    Host::new(&queue, &database)
        .option("--table", "other")
        .until_empty()
        .run()
        .exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    database.assert_rows_of("other", &rows(&logins, sent.day));
}

#[test]
fn a_role_that_may_not_create_the_ledger_is_told_what_to_run() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let url = database.url_as(STRANGER, STRANGER_PASSWORD);

    let host = Host::new(&queue, &database).option("--database-url", url);

    host.until_empty()
        .run()
        .exited(78)
        .says(&["42501", "etl-host ddl"])
        .never_says(STRANGER_PASSWORD);
    assert_eq!(queue.calls("ReceiveMessage"), 0);
}

#[test]
fn a_ledger_without_its_key_is_refused() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    Host::new(&queue, &database).until_empty().run().exited(0);
    database.execute("ALTER TABLE etl_host.ledger DROP CONSTRAINT ledger_pkey");

    refused(&database).says(&["etl_host.ledger", "ADD PRIMARY KEY"]);
}
