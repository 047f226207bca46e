//! SIGTERM and SIGINT: what was taken is finished or handed back, and the
//! program ends well.

use crate::support::canary::nothing_leaked;
use crate::support::database::Database;
use crate::support::host::{Host, Running};
use crate::support::login::{Login, bodies, rows};
use crate::support::queue::Queue;

/// A host that has done its work and polls an empty queue.
fn idle_host(queue: &Queue, database: &Database, logins: &[Login]) -> Running {
    queue.send(&bodies(logins));
    let mut host = Host::new(queue, database).start();
    host.wait_until("the queue is empty", || {
        queue.visible() + queue.hidden() == 0
    });
    host
}

fn stored_or_visible(queue: &Queue, database: &Database) -> usize {
    let stored = usize::try_from(database.count("user_logins")).expect("a count");
    stored + queue.visible()
}

#[test]
fn sigterm_ends_an_idle_host_with_0() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("idle", 20);
    let host = idle_host(&queue, &database, &logins);

    host.terminate();
    let run = host.finish().exited(0);

    queue.assert_empty();
    assert_eq!(database.count("user_logins"), 20);
    nothing_leaked(&logins, &[&run], &database);
}

#[test]
fn sigint_ends_an_idle_host_with_0() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let host = idle_host(&queue, &database, &Login::several("interrupted", 5));

    host.interrupt();
    host.finish().exited(0);

    queue.assert_empty();
}

#[test]
fn a_message_sent_after_sigterm_waits_for_the_next_host() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("after_sigterm", 10);
    let host = idle_host(&queue, &database, &logins[..5]);

    // An open long poll may still return these.
    host.terminate();
    let sent = queue.send(&bodies(&logins[5..]));
    host.finish().exited(0);

    assert_eq!(queue.hidden(), 0);
    assert_eq!(stored_or_visible(&queue, &database), 10);
    Host::new(&queue, &database).until_empty().run().exited(0);
    database.assert_rows(&rows(&logins, sent.day));
}

#[test]
fn sigterm_leaves_no_message_hidden_that_was_in_work() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("in_work", 30);
    let sent = queue.send(&bodies(&logins));

    let lock = database.lock("user_logins");
    let mut host = Host::new(&queue, &database).start();
    host.wait_until("the host wants to write", || {
        database.somebody_waits_for_a_lock()
    });
    host.terminate();
    lock.release();
    let run = host.finish().exited(0);

    assert_eq!(queue.hidden(), 0);
    assert_eq!(stored_or_visible(&queue, &database), 30);
    let second = Host::new(&queue, &database).until_empty().run().exited(0);
    database.assert_rows(&rows(&logins, sent.day));
    nothing_leaked(&logins, &[&run, &second], &database);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (queue, database) = (Queue::impatient(), Database::with_table());
    let logins = Login::several("second_signal", 5);
    queue.send(&bodies(&logins));

    // Held until the end, so that no work in hand can be finished.
    let lock = database.lock("user_logins");
    let mut host = Host::new(&queue, &database).start();
    host.wait_until("the host wants to write", || {
        database.somebody_waits_for_a_lock()
    });
    let run = host.insist();

    assert_eq!(queue.visible() + queue.hidden(), 5);
    lock.release();
    nothing_leaked(&logins, &[&run], &database);
}
