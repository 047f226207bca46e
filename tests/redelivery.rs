//! The order of effects: a message is deleted after its row is committed, and
//! one that comes again after that is a duplicate.

use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::guest;
use crate::support::host::Host;
use crate::support::login::{Login, bodies, rows};
use crate::support::queue::Queue;

const DELETES: [&str; 2] = ["DeleteMessage", "DeleteMessageBatch"];

#[test]
fn a_message_that_comes_again_after_its_commit_is_a_duplicate() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("comes_again", 20);
    let sent = queue.send(&bodies(&logins));

    queue.refuse(&DELETES);
    let mut host = Host::new(&queue, &database).start();
    host.wait_until("all rows are committed", || {
        database.count("user_logins") == 20
    });
    let killed = host.kill();
    queue.refuse_nothing();
    let second = Host::new(&queue, &database)
        .until_empty()
        .option("--output", "json")
        .run()
        .exited(0);

    assert_eq!(second.summary()["duplicates"], 20);
    assert_eq!(second.summary()["stored"], 0);
    database.assert_rows(&rows(&logins, sent.day));
    queue.assert_empty();
    nothing_leaked(&logins, &[&killed, &second], &database);
}

#[test]
fn delete_follows_commit() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("delete_follows", 20);
    let sent = queue.send(&bodies(&logins));

    let lock = database.lock("user_logins");
    let mut host = Host::new(&queue, &database).until_empty().start();
    host.wait_until("the host wants to write", || {
        database.somebody_waits_for_a_lock()
    });
    assert_eq!(queue.visible() + queue.hidden(), 20);
    assert_eq!(DELETES.map(|operation| queue.calls(operation)), [0, 0]);
    lock.release();
    let run = host.finish().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    queue.assert_empty();
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_kill_before_the_commit_loses_nothing() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("killed_before", 20);
    let sent = queue.send(&bodies(&logins));

    let lock = database.lock("user_logins");
    let mut host = Host::new(&queue, &database).start();
    host.wait_until("the host wants to write", || {
        database.somebody_waits_for_a_lock()
    });
    let killed = host.kill();
    // The server may yet carry out what the dead host had asked for.
    lock.release();
    let second = Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    queue.assert_empty();
    nothing_leaked(&logins, &[&killed, &second], &database);
}

#[test]
fn a_delete_that_fails_is_tried_again() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let logins = Login::several("delete_fails", 20);
    let sent = queue.send(&bodies(&logins));

    queue.refuse(&DELETES);
    let mut host = Host::new(&queue, &database).until_empty().start();
    host.wait_until("a delete was refused", || {
        DELETES.iter().any(|operation| queue.calls(operation) > 0)
    });
    queue.refuse_nothing();
    let run = host.finish().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    queue.assert_empty();
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_redriven_message_is_judged_anew_under_its_first_id() {
    let (queue, database) = (Queue::with_dead_letters(), Database::with_table());
    let mut login = Login::invented("redriven", 1);
    // No address, which one component minds and the other does not.
    login.ip = "invented-address-of-redriven".to_owned();
    let sent = queue.send(&[login.body()]);
    let strict = Host::new(&queue, &database)
        .option("--transform", guest("truncate_mask.wasm"))
        .until_empty()
        .run()
        .exited(0);
    assert_eq!(database.ledger()[0].outcome, "rejected");

    assert_eq!(queue.redrive(), 1);
    let mended = Host::new(&queue, &database).until_empty().run().exited(0);

    database.assert_rows(&[login.row(sent.day)]);
    let ledger = database.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].message_id, sent.ids[0]);
    assert_eq!(ledger[0].outcome, "stored");
    queue.assert_empty();
    nothing_leaked(&[login], &[&strict, &mended], &database);
}
