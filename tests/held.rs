//! While a service is away, or configured wrongly in mid-run: nothing is
//! deleted, nothing is dead-lettered, and it goes on by itself afterwards.

use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::host::Host;
use crate::support::login::{Login, bodies, rows};
use crate::support::queue::Queue;

#[test]
fn a_connection_that_breaks_in_mid_statement_is_replaced() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("breaks", 20);
    let sent = queue.send(&bodies(&logins));

    let lock = database.lock("user_logins");
    let mut host = Host::new(&queue, &database).until_empty().start();
    host.wait_until("the host wants to write", || {
        database.somebody_waits_for_a_lock()
    });
    database.break_waiting_connections();
    host.wait_until("the host wants to write again", || {
        database.somebody_waits_for_a_lock()
    });
    lock.release();
    let run = host.finish().exited(0);

    database.assert_rows(&rows(&logins, sent.day));
    assert_eq!(queue.dead_letters().len(), 0);
    queue.assert_empty();
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_table_that_vanishes_in_mid_run_is_waited_for() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("vanishes", 25);
    let first = queue.send(&bodies(&logins[..5]));
    let mut host = Host::new(&queue, &database).start();
    host.wait_until("the first messages are settled", || {
        database.count("user_logins") == 5 && queue.visible() + queue.hidden() == 0
    });

    database.execute("ALTER TABLE user_logins RENAME TO away");
    queue.send(&bodies(&logins[5..]));
    host.wait_until("the host has met the gap", || {
        database.server_has_logged(&["user_logins", "does not exist"])
    });
    assert_eq!(queue.dead_letters().len(), 0);
    assert_eq!(queue.visible() + queue.hidden(), 20);
    database.execute("ALTER TABLE away RENAME TO user_logins");
    host.wait_until("the rest is stored", || {
        queue.visible() + queue.hidden() == 0
    });
    host.terminate();
    let run = host.finish().exited(0);

    database.assert_rows(&rows(&logins, first.day));
    assert_eq!(queue.dead_letters().len(), 0);
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn a_queue_service_that_fails_in_mid_run_is_waited_for() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("queue_fails", 25);
    let first = queue.send(&bodies(&logins[..5]));
    let mut host = Host::new(&queue, &database).start();
    host.wait_until("the first messages are stored", || {
        database.count("user_logins") == 5
    });

    queue.refuse(&["ReceiveMessage"]);
    queue.send(&bodies(&logins[5..]));
    let before = queue.calls("ReceiveMessage");
    host.wait_until("the host has asked in vain", || {
        queue.calls("ReceiveMessage") >= before + 2
    });
    queue.refuse_nothing();
    host.wait_until("the rest is stored", || database.count("user_logins") == 25);
    host.terminate();
    let run = host.finish().exited(0);

    database.assert_rows(&rows(&logins, first.day));
    nothing_leaked(&logins, &[&run], &database);
}
