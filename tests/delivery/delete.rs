//! Deletes that fail, wholly or in part, now or for hours: a failed delete is
//! never a failed message.

use std::time::{Duration, Instant};

use super::scene::{SOURCE, Scene};
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::journal::{Call, Effect};
use crate::fake_queue::operation::{DELETES, Operation};
use crate::fake_queue::refusal::Refusal;

fn is_delete(call: &Call) -> bool {
    DELETES.contains(&call.operation)
}

/// Cases 41 and 46: what failed is tried again and nothing else, in calls of
/// ten at most, whose ids are distinct (the queue is strict about that).
#[test]
fn entries_that_fail_are_tried_again_one_by_one() {
    let mut scene = Scene::new("failed_entries");
    scene.send(35);
    let error = Action::FailEntry(Refusal::internal_error());
    let failing = Fault::on(DELETES, error).at_positions([1, 4, 9]);
    let failing = scene.fake.fault(failing.in_queue(SOURCE).times(7));
    scene.drain();

    assert_eq!(failing.count(), 7);
    let calls = scene.fake.journal().calls();
    let sizes: Vec<usize> = calls
        .iter()
        .filter(|call| is_delete(call))
        .map(|call| call.entries.len())
        .collect();
    assert!(
        sizes.iter().all(|size| (1..=10).contains(size)),
        "{sizes:?}"
    );
    assert_eq!(sizes.iter().sum::<usize>(), 35 + 7);
    assert!(sizes.len() < 35, "one by one: {sizes:?}");
    let tally = scene.counts().tally;
    assert_eq!((tally.received, tally.deletes_of_the_gone), (35, 0));
    scene.assert_settled();
}

/// Case 42. A refused handle is not tried again: the message comes back.
#[test]
fn a_message_whose_handle_has_expired_comes_back_as_a_duplicate() {
    let mut scene = Scene::new("expired_handle");
    let mut host = scene.idle_host();
    let expired = Action::FailEntry(Refusal::expired_handle());
    let expired = Fault::on(DELETES, expired).in_queue(SOURCE).times(3);
    let expired = scene.fake.fault(expired);
    scene.send(10);
    host.wait_until("all others are deleted", || {
        expired.count() == 3 && scene.counts().tally.deleted == 7
    });
    scene.leases_end();
    host.wait_until("the queue is empty", || scene.is_empty());
    assert_eq!(scene.stop(host)["duplicates"], 3);
    scene.assert_settled();
}

/// Case 43. While the delete is on its way the message is given out again.
#[test]
fn a_stale_handle_that_succeeds_leaves_the_message_to_its_next_delivery() {
    let mut scene = Scene::new("stale_handle");
    let mut host = scene.idle_host();
    let late = scene.once(DELETES, Action::Delay(Duration::from_millis(1_500)));
    scene.send(1);
    host.wait_until("a delete is on its way", || late.count() == 1);
    scene.leases_end();
    host.wait_until("the queue is empty", || scene.is_empty());
    host.wait_until("the stale delete has come", || {
        let tally = scene.counts().tally;
        tally.stale_deletes + tally.deletes_of_the_gone == 1
    });
    assert_eq!(scene.stop(host)["duplicates"], 1);
    scene.assert_settled();
}

/// Case 44. It has taken effect, and the host is told that it failed, or
/// nothing.
#[test]
fn a_delete_that_failed_after_all_is_repeated_without_harm() {
    for action in [
        Action::RefuseAfterwards(Refusal::internal_error()),
        Action::LoseAnswer,
    ] {
        let mut scene = Scene::new("failed_after_all");
        scene.send(20);
        let fired = scene.once(DELETES, action);
        scene.drain();
        fired.assert_fired();
        let tally = scene.counts().tally;
        assert_eq!(tally.received, 20);
        assert!(tally.deletes_of_the_gone > 0, "not repeated");
        scene.assert_settled();
    }
}

/// Case 45. For longer than the leases, and for hours on the queue's clock:
/// receiving stops, so that the queue gives nothing up, although it would at
/// the fourth delivery; and it goes on by itself.
#[test]
fn deletes_that_fail_for_hours_burn_no_deliveries() {
    let mut scene = Scene::shaped("for_hours", 2, Some(3), usize::MAX);
    scene.send(30);
    let refused = scene.always(DELETES, Action::Refuse(Refusal::unavailable()));
    let mut host = scene.host().start();
    let log = host.log();
    host.wait_until("it is held", || log.says("held") && scene.stored() == 30);
    let held = Instant::now();
    host.wait_until("the leases are over several times", || {
        held.elapsed() > Duration::from_secs(10)
    });
    scene.fake.put_clock_forward(Duration::from_secs(3 * 3_600));
    scene.send(10);
    let tried = refused.count();
    host.wait_until("it still tries", || refused.count() > tried);
    for operation in DELETES {
        scene.assert_calls_bounded(operation, 30);
    }
    refused.stop();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);

    scene.assert_settled();
}

/// Case 47.
#[test]
fn one_bad_entry_of_ten_does_not_keep_the_nine() {
    let mut scene = Scene::new("one_of_ten");
    // Before a host is there to take them, so that one poll takes all of them.
    scene.send(10);
    let error = Action::FailEntry(Refusal::internal_error());
    let bad = Fault::on(DELETES, error).of_messages([&scene.ids[6]]);
    let bad = scene.fake.fault(bad.until_stopped());
    let mut host = scene.host().start();
    host.wait_until("nine of ten are gone", || scene.counts().tally.deleted == 9);
    bad.assert_fired();
    scene.assert_calls_bounded(Operation::DeleteMessageBatch, 20);
    bad.stop();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);
    let deleted_in_vain = scene
        .ids
        .iter()
        .flat_map(|id| scene.fake.journal().effects(id));
    let deleted_in_vain = deleted_in_vain.filter(|effect| *effect == Effect::NothingDeleted);
    assert_eq!(deleted_in_vain.count(), 0);
    scene.assert_settled();
}
