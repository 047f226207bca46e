//! The host dies, stops or is stopped at a named moment; the next one, or the
//! same one, puts everything right.

use std::time::{Duration, Instant};

use super::scene::{RECEIVE, RECEIVES, SOURCE, Scene};
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::operation::{DELETES, Operation, SENDS};
use crate::fake_queue::refusal::Refusal;
use crate::support::login::Login;
use crate::support::patience::Stopwatch;

/// Case 1. The answer to the receive never reaches the host.
#[test]
fn a_kill_after_a_receive_loses_nothing() {
    let mut scene = Scene::new("killed_received");
    scene.send_spoilt(20, [7]);
    let withheld = scene.always(RECEIVE, Action::WithholdAnswer);
    let mut host = scene.host().start();
    host.wait_until("all is received", || scene.counts().in_flight == 20);
    withheld.assert_fired();
    scene.kill(host);
    withheld.stop();

    assert_eq!(scene.drain()["received"], 20);
    scene.assert_settled();
}

/// Case 1. The messages are with the host, and nothing of them is written.
#[test]
fn a_kill_before_the_write_loses_nothing() {
    let mut scene = Scene::new("killed_unwritten");
    let mut host = scene.idle_host();
    let paused = scene.network.pause();
    scene.send(20);
    host.wait_until("a write is on its way", || {
        paused.count() > 0 && scene.counts().in_flight == 20
    });
    scene.kill(host);
    scene.network.resume();

    scene.drain();
    scene.assert_settled();
}

/// Case 2.
#[test]
fn a_kill_between_the_commit_and_its_acknowledgement_makes_no_second_row() {
    let mut scene = Scene::new("killed_committed");
    scene.send(20);
    let swallowed = scene.network.swallow_answer(1);
    let mut host = scene.host().start();
    host.wait_until("a commit is not acknowledged", || swallowed.count() == 1);
    scene.kill(host);

    let summary = scene.drain();
    assert_ne!(summary["duplicates"], 0, "committed unknown to the host");
    scene.assert_settled();
}

/// Case 3.
#[test]
fn a_kill_before_the_delete_makes_no_second_row() {
    let mut scene = Scene::new("killed_undeleted");
    scene.send_spoilt(20, [3]);
    let hung = scene.always(DELETES, Action::Hang);
    let mut host = scene.host().start();
    host.wait_until("all is committed", || {
        hung.count() > 0 && scene.database.count_if_there("etl_host.ledger") == 20
    });
    scene.kill(host);
    hung.stop();

    let summary = scene.drain();
    assert_eq!(summary["stored"], 0);
    assert_eq!(summary["duplicates"], 19);
    scene.assert_settled();
}

/// Case 4. The queue has deleted, and the host never learns.
#[test]
fn a_kill_after_the_delete_leaves_nothing_to_do() {
    let mut scene = Scene::new("killed_deleted");
    scene.send(20);
    let withheld = scene.always(DELETES, Action::WithholdAnswer);
    let mut host = scene.host().start();
    host.wait_until("all is deleted", || scene.counts().tally.deleted == 20);
    withheld.assert_fired();
    scene.kill(host);
    withheld.stop();

    assert_eq!(scene.drain()["received"], 0);
    scene.assert_settled();
}

/// Case 5.
#[test]
fn a_kill_after_the_dead_letter_copy_keeps_the_copy_and_the_message() {
    let mut scene = Scene::new("killed_copied");
    scene.send_spoilt(10, [2, 8]);
    let withheld = Fault::on(SENDS, Action::WithholdAnswer).until_stopped();
    let withheld = scene.fake.fault(withheld);
    let mut host = scene.host().start();
    host.wait_until("a copy is made", || {
        withheld.count() > 0 && scene.copies() > 0
    });
    scene.kill(host);
    withheld.stop();
    assert!(
        !scene.is_empty(),
        "a rejected message went without an entry"
    );

    scene.drain();
    scene.assert_settled();
}

/// Case 6, in short: a fixed schedule of kills, with duplicates and partial
/// failures all the while.
#[test]
fn kill_after_kill_loses_and_doubles_nothing() {
    const KILLS: u64 = 12;
    let mut scene = Scene::new("killed_again");
    let error = Action::FailEntry(Refusal::internal_error());
    let faults = [
        Fault::on(RECEIVE, Action::ComeTwice).at_positions([2]),
        Fault::on(RECEIVE, Action::StayVisible).at_positions([5]),
        Fault::on(DELETES, error).at_positions([1]),
        Fault::on(DELETES, Action::ComeBack(Duration::from_millis(100))).at_positions([4]),
    ];
    let faults = faults.map(|fault| scene.fake.fault(fault.in_queue(SOURCE).times(25)));
    for kill in 0..KILLS {
        scene.send_spoilt(30, [usize::try_from(kill).expect("small")]);
        let before = scene.fake.journal().matching(|_| true);
        // Spread over start-up and work, and the same in every run.
        let calls = 4 + (kill * 7919 + 13) % 17;
        let calls = before + usize::try_from(calls).expect("small");
        let mut host = scene.host().start();
        host.wait_until("its moment has come", || {
            scene.fake.journal().matching(|_| true) >= calls
        });
        scene.kill(host);
    }
    scene.drain();

    for fault in faults {
        fault.assert_fired();
    }
    scene.assert_settled();
}

/// Case 7. The answer is under way, with messages that are hidden already.
#[test]
fn what_an_open_poll_brings_after_sigterm_is_not_left_hidden() {
    let mut scene = Scene::with_lease("poll_at_sigterm", 4);
    let late = Action::DelayAnswer(Duration::from_millis(700));
    let late = scene.always(RECEIVE, late);
    let mut host = scene.idle_host();
    scene.send(8);
    host.wait_until("a late answer is under way", || late.count() > 0);
    scene.stop(host);
    late.stop();

    assert_eq!(scene.counts().in_flight, 0);
    assert_eq!(scene.stored() + scene.counts().visible, 8);
    scene.drain();
    scene.assert_settled();
}

/// Case 8.
#[test]
fn sigterm_flushes_the_deletes_of_what_is_committed() {
    let mut scene = Scene::new("flushed");
    scene.send(25);
    let refused = scene.always(DELETES, Action::Refuse(Refusal::unavailable()));
    let mut host = scene.host().start();
    host.wait_until("all is committed", || scene.stored() == 25);
    host.wait_until("a delete has failed", || refused.count() > 0);
    host.terminate();
    refused.stop();
    scene.ended(host);

    scene.assert_settled();
}

/// Case 8. The queue deletes nothing until the end: the host gives up, and the
/// messages come back as duplicates.
#[test]
fn sigterm_ends_a_host_whose_deletes_fail_for_good() {
    let mut scene = Scene::with_lease("unflushed", 2);
    scene.send(15);
    let refused = scene.always(DELETES, Action::Refuse(Refusal::unavailable()));
    let mut host = scene.host().start();
    host.wait_until("all is committed", || {
        refused.count() > 0 && scene.stored() == 15
    });
    let asked = Stopwatch::start();
    scene.stop(host);
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    refused.stop();
    assert_eq!(scene.counts().tally.deleted, 0);

    scene.leases_end();
    assert_eq!(scene.drain()["duplicates"], 15);
    scene.assert_settled();
}

/// Case 8. The same with a lease that is longer than the drain (and that than
/// a poll, of 4 s): nobody has to wait for its end.
#[test]
fn sigterm_hands_back_what_it_cannot_delete_in_time() {
    let mut scene = Scene::with_lease("unflushed_long", 8);
    scene.send(15);
    let refused = scene.always(DELETES, Action::Refuse(Refusal::unavailable()));
    let mut host = scene.host().option("--drain-secs-max", "5").start();
    host.wait_until("all is committed", || {
        refused.count() > 0 && scene.stored() == 15
    });
    assert_eq!(scene.stop(host)["handed_back"], 15);
    refused.stop();
    assert_eq!((scene.counts().visible, scene.counts().in_flight), (15, 0));

    assert_eq!(scene.drain()["duplicates"], 15);
    scene.assert_settled();
}

/// Case 9.
#[test]
fn sigterm_while_the_database_is_down_hands_everything_back_at_once() {
    let mut scene = Scene::with_lease("stopped_down", 4);
    let mut host = scene.idle_host();
    let refusing = scene.network.refuse();
    scene.network.reset_all();
    // All of it before the first failure, which pauses receiving.
    scene.send_at_once(12);
    host.wait_until("it has tried to connect with all in hand", || {
        refusing.count() > 0 && scene.counts().in_flight == 12
    });
    // No open poll of its own takes them again.
    assert_eq!(scene.stop(host)["handed_back"], 12);
    assert_eq!((scene.counts().visible, scene.counts().in_flight), (12, 0));
    assert_eq!(scene.counts().tally.received, 12);
    scene.network.admit();

    scene.drain();
    scene.assert_settled();
}

/// Case 9. The database neither answers nor refuses, for as long as a statement
/// is waited for; the drain is shorter (and longer than a poll, of 3 s).
#[test]
fn sigterm_before_a_black_hole_hands_everything_back_in_time() {
    let mut scene = Scene::with_lease("stopped_hole", 6);
    let mut host = scene
        .host()
        .option("--drain-secs-max", "4")
        .option("--statement-secs-max", "300")
        .start();
    host.wait_until("it polls", || {
        scene.fake.journal().open(Operation::ReceiveMessage) == RECEIVES
    });
    let paused = scene.network.pause();
    scene.send(12);
    host.wait_until("a write is on its way", || {
        paused.count() > 0 && scene.counts().in_flight == 12
    });
    let log = host.log();
    assert_eq!(scene.stop(host)["handed_back"], 12);
    assert!(log.says("handed back as it is"));
    assert_eq!((scene.counts().visible, scene.counts().in_flight), (12, 0));
    scene.network.resume();

    scene.drain();
    scene.assert_settled();
}

/// Cases 12 and 22. Thirty times 1 MiB, ten in each receive, and a budget of
/// 20 MiB: while the database takes nothing, no more than that is taken.
/// Measured: 45 MiB above an idle host.
#[test]
fn the_largest_messages_fit_into_a_bounded_memory() {
    const MESSAGES: usize = 30;
    const ABOVE_IDLE_KIB_MAX: u64 = 150 << 10;
    let mut scene = Scene::with_lease("largest", 6);
    let mut host = scene
        .host()
        .option("--receives", "4")
        .option("--mib-in-work-max", "20")
        .start();
    host.wait_until("it polls", || {
        scene.fake.journal().open(Operation::ReceiveMessage) > 0
    });
    let idle = host.memory_kib_max();
    let lock = scene.database.lock("user_logins");
    for n in 0..MESSAGES {
        let login = Login::invented("largest", n);
        let mut body = login.json();
        let room = (1 << 20) - body.to_string().len() - r#","padding":"""#.len();
        body["padding"] = "x".repeat(room).into();
        let body = body.to_string();
        assert_eq!(body.len(), 1 << 20);
        scene.send_as(login, &body);
    }
    // What fits the budget is taken, and extended; the rest stays where it is.
    host.wait_until("an extension has come", || {
        scene
            .fake
            .journal()
            .count(Operation::ChangeMessageVisibilityBatch)
            > 0
    });
    let taken = scene.counts().in_flight;
    assert!((1..=20).contains(&taken), "{taken} MiB taken");
    lock.release();
    host.wait_until("all is stored", || scene.is_empty());
    if let (Some(idle), Some(most)) = (idle, host.memory_kib_max()) {
        let above = most - idle;
        assert!(above < ABOVE_IDLE_KIB_MAX, "{above} KiB above {idle} KiB");
    }
    scene.stop(host);

    scene.assert_settled();
}

/// Case 13. While it stands still, another host takes its messages, stores and
/// deletes them; then its own write goes through, twice a lease late.
#[test]
fn a_host_that_stood_still_for_twice_its_lease_makes_no_second_row() {
    const LEASE_SECS: u64 = 2;
    let mut scene = Scene::with_lease("stood_still", 2).for_two_hosts();
    let mut first = scene.idle_host();
    let paused = scene.network.pause();
    scene.send(10);
    first.wait_until("a write is on its way", || {
        paused.count() > 0 && scene.counts().in_flight == 10
    });
    first.suspend();
    let since = Instant::now();
    let second = scene.host_past_the_network().until_empty().start();
    assert_eq!(scene.ended(second)["stored"], 10);
    first.wait_until("twice the lease is over", || {
        since.elapsed() > Duration::from_secs(2 * LEASE_SECS)
    });
    let deletes = || {
        scene
            .fake
            .journal()
            .matching(|call| DELETES.contains(&call.operation))
    };
    let before = deletes();
    scene.network.resume();
    first.wake();
    first.wait_until("it has deleted once more", || deletes() > before);
    let summary = scene.stop(first);

    assert_eq!(summary["stored"], 0);
    assert_eq!(summary["duplicates"], 10);
    scene.assert_settled();
}

/// Case 13. The same with messages that are rejected: another host copies them
/// to the dead-letter queue, and the first one makes no second copy.
#[test]
fn a_host_that_stood_still_for_twice_its_lease_makes_no_second_copy() {
    const LEASE_SECS: u64 = 2;
    let mut scene = Scene::with_lease("stood_still_bad", 2).for_two_hosts();
    let mut first = scene.idle_host();
    let paused = scene.network.pause();
    scene.send_spoilt(10, 0..10);
    first.wait_until("it asks the ledger", || {
        paused.count() > 0 && scene.counts().in_flight == 10
    });
    first.suspend();
    let since = Instant::now();
    let second = scene.host_past_the_network().until_empty().start();
    assert_eq!(scene.ended(second)["rejected"]["malformed"], 10);
    assert_eq!(scene.copies(), 10);
    first.wait_until("twice the lease is over", || {
        since.elapsed() > Duration::from_secs(2 * LEASE_SECS)
    });
    scene.network.resume();
    let log = first.log();
    first.wake();
    first.wait_until("it lets go of them", || {
        log.says("not dead-lettered: their leases are over")
    });
    scene.stop(first);

    assert_eq!(scene.copies(), 10);
    scene.assert_settled();
}
