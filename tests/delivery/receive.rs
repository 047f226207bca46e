//! What a queue may do to a receive: messages twice, late, damaged or not at
//! all, refusals and silence. Everything is stored once, and calls stay few.

use std::time::Duration;

use super::scene::{RECEIVE, RECEIVES, SOURCE, Scene};
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::operation::{DELETES, Operation};
use crate::fake_queue::refusal::Refusal;
use crate::support::host::Running;

/// Receives in one second while they fail: those under way, each by both ways
/// of calling, the first probes, and the first calls after the end. In the
/// steady state it is one (see `outage`).
const FAILING_A_SECOND_MAX: usize = 16;

/// Case 14.
#[test]
fn a_message_that_comes_twice_in_one_receive_is_stored_once() {
    let mut scene = Scene::new("twice_in_one");
    let twice = Fault::on(RECEIVE, Action::ComeTwice).in_queue(SOURCE);
    let twice = scene.fake.fault(twice.times(6));
    scene.send(20);
    let summary = scene.drain();
    assert_eq!(twice.count(), 6);
    assert_eq!(summary["stored"], 20);
    scene.assert_settled();
}

/// Case 14.
#[test]
fn a_message_that_two_pollers_get_is_stored_once() {
    let mut scene = Scene::new("two_pollers");
    let stays = Fault::on(RECEIVE, Action::StayVisible).in_queue(SOURCE);
    let stays = scene.fake.fault(stays.times(15));
    scene.send(20);
    let summary = scene.drain();
    assert_eq!(stays.count(), 15);
    assert_eq!(summary["stored"], 20);
    scene.assert_settled();
}

/// Case 15. The older handle would delete nothing.
#[test]
fn a_message_redelivered_while_in_work_is_processed_once_with_its_newest_handle() {
    let mut scene = Scene::new("redelivered");
    let mut host = scene.idle_host();
    let paused = scene.network.pause();
    scene.send(10);
    host.wait_until("a write is on its way", || {
        paused.count() > 0 && scene.counts().in_flight == 10
    });
    scene.leases_end();
    host.wait_until("all came again", || scene.counts().tally.received == 20);
    scene.network.resume();
    host.wait_until("the queue is empty", || scene.is_empty());
    let summary = scene.stop(host);

    assert_eq!(summary["received"], 10);
    assert_eq!(summary["duplicates"], 0);
    assert_eq!(scene.counts().tally.stale_deletes, 0);
    scene.assert_settled();
}

/// Case 16.
#[test]
fn a_message_that_comes_again_after_its_delete_is_a_duplicate() {
    let mut scene = Scene::new("undead");
    let back = Action::ComeBack(Duration::from_millis(300));
    let back = Fault::on(DELETES, back).in_queue(SOURCE).times(5);
    let back = scene.fake.fault(back);
    scene.send(10);
    let mut host = scene.host().start();
    host.wait_until("five have come again and gone", || {
        back.count() == 5 && scene.is_empty()
    });
    assert_eq!(scene.stop(host)["duplicates"], 5);
    scene.assert_settled();
}

/// Case 17.
#[test]
fn an_empty_queue_is_polled_seldom_and_then_works() {
    let mut scene = Scene::with_lease("empty_polls", 4);
    let mut host = scene.idle_host();
    let empty = scene.always(RECEIVE, Action::FindNothing);
    host.wait_until("polls came back empty", || empty.count() >= 4);
    // A poll waits two seconds, so the receivers' polls cannot be denser.
    scene.assert_calls_bounded(Operation::ReceiveMessage, 2 * RECEIVES);
    empty.stop();
    scene.send(5);
    host.wait_until("the queue is empty", || {
        scene.is_empty() && scene.stored() == 5
    });
    scene.stop(host);
    scene.assert_settled();
}

/// Case 18.
#[test]
fn a_receive_that_never_answers_is_given_up() {
    let mut scene = Scene::with_lease("silent", 4);
    let hung = Fault::on(RECEIVE, Action::Hang).times(RECEIVES);
    let hung = scene.fake.fault(hung.in_queue(SOURCE));
    scene.send(10);
    scene.drain();
    assert_eq!(hung.count(), RECEIVES);
    scene.assert_settled();
}

/// Case 19. The messages are hidden, and nobody knows of it.
#[test]
fn messages_hidden_by_a_lost_response_come_again() {
    let mut scene = Scene::new("response_lost");
    let mut host = scene.idle_host();
    let lost = scene.always(RECEIVE, Action::LoseAnswer);
    scene.send(10);
    host.wait_until("all went astray", || scene.counts().in_flight == 10);
    lost.assert_fired();
    lost.stop();
    scene.leases_end();
    host.wait_until("the queue is empty", || scene.is_empty());
    assert_eq!(scene.stop(host)["received"], 10);
    scene.assert_settled();
}

/// Case 19. The host is gone, and its poll goes on for nobody.
#[test]
fn messages_hidden_for_a_client_that_has_gone_come_again() {
    let mut scene = Scene::new("poll_outlives");
    let outlived = scene.always(RECEIVE, Action::OutliveClient);
    let host = scene.idle_host();
    scene.kill(host);
    let mut second = scene.host().start();
    scene.send(10);
    second.wait_until("the dead host's polls have found them", || {
        outlived.count() > 0 && scene.counts().in_flight + scene.stored() > 0
    });
    outlived.stop();
    scene.leases_end();
    second.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(second);
    scene.assert_settled();
}

/// Case 20.
#[test]
fn a_response_that_breaks_off_drips_or_is_reset_loses_nothing() {
    let drip = |ms| Action::DripAnswer {
        bytes: 200,
        pause: Duration::from_millis(ms),
    };
    // The last one drips for longer than a receive may take.
    let actions = [Action::TruncateAnswer, drip(2), Action::Reset, drip(400)];
    let mut scene = Scene::with_lease("broken_off", 4);
    let mut host = scene.idle_host();
    for action in actions {
        let fired = scene.once(RECEIVE, action);
        scene.send(10);
        host.wait_until("it took place", || fired.count() == 1);
        scene.leases_end();
        host.wait_until("the queue is empty", || scene.is_empty());
    }
    scene.stop(host);
    scene.assert_settled();
}

/// Cases 21 and 23. What cannot be trusted or dealt with comes again.
#[test]
fn a_damaged_or_incomplete_message_waits_for_its_next_delivery() {
    let mut scene = Scene::new("damaged");
    let mut host = scene.idle_host();
    let actions = [
        Action::WrongMd5,
        Action::Omit("MessageId"),
        Action::Omit("ReceiptHandle"),
        Action::Omit("Body"),
        Action::Omit("Attributes"),
    ];
    let mut position = 0..;
    let fired = actions.map(|action| {
        let fault = Fault::on(RECEIVE, action).in_queue(SOURCE);
        // Messages come ten at a time; each fault strikes one of its own.
        let fault = fault.at_positions(position.next());
        scene.fake.fault(fault)
    });
    scene.send(10);
    host.wait_until("the sound ones are settled", || scene.stored() >= 5);
    host.wait_until("each took place", || {
        fired.iter().all(|one| one.count() == 1)
    });
    host.wait_until("the others wait", || {
        scene.counts().in_flight == 5 && scene.stored() == 5
    });
    scene.leases_end();
    host.wait_until("the queue is empty", || scene.is_empty());
    assert!(host.log().says("damaged or incomplete"));
    scene.stop(host);
    scene.assert_settled();
}

/// Case 23. Without a digest there is nothing to check against.
#[test]
fn a_message_without_a_digest_is_taken() {
    let mut scene = Scene::new("no_digest");
    let omitted = scene.once(RECEIVE, Action::Omit("MD5OfBody"));
    scene.send(1);
    scene.drain();
    omitted.assert_fired();
    scene.assert_settled();
}

/// Has every receive refused for a while, then no more.
fn outlast(scene: &mut Scene, host: &mut Running, refusal: Refusal) {
    let code = refusal.code.clone();
    let before = scene.fake.journal().matching(|_| true);
    let refused = scene.always(RECEIVE, Action::Refuse(refusal));
    scene.send(5);
    host.wait_until("receives are refused", || refused.count() >= 2 * RECEIVES);
    refused.stop();
    host.wait_until(&format!("{code} is over"), || scene.is_empty());
    assert!(scene.fake.journal().matching(|_| true) > before);
    scene.assert_calls_bounded(Operation::ReceiveMessage, FAILING_A_SECOND_MAX);
}

/// Case 24.
#[test]
fn a_service_that_fails_or_throttles_is_outlasted() {
    let mut scene = Scene::new("failing");
    let mut host = scene.idle_host();
    for refusal in [
        Refusal::internal_error(),
        Refusal::unavailable(),
        Refusal::throttled(),
    ] {
        outlast(&mut scene, &mut host, refusal);
    }
    scene.stop(host);
    scene.assert_settled();
}

/// Cases 25, 26 and 27: credentials that have expired, a clock that is wrong, a
/// queue that is not there, each for a while and each with the host running.
#[test]
fn a_refusal_that_an_operator_mends_is_outlasted() {
    let mut scene = Scene::new("refusing");
    let mut host = scene.idle_host();
    for refusal in [
        Refusal::expired_token(),
        Refusal::clock_skewed(),
        Refusal::no_such_queue(),
    ] {
        outlast(&mut scene, &mut host, refusal);
    }
    scene.stop(host);
    scene.assert_settled();
}

/// Cases 24 and 25, for every operation at once.
#[test]
fn a_service_that_refuses_everything_loses_and_doubles_nothing() {
    let mut scene = Scene::new("refusing_all");
    let mut host = scene.idle_host();
    let everything = Fault::everywhere(Action::Refuse(Refusal::expired_token()));
    scene.send(30);
    host.wait_until("work has begun", || scene.counts().tally.received > 0);
    let refused = scene.fake.fault(everything.until_stopped());
    host.wait_until("calls are refused", || refused.count() >= 6);
    refused.stop();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);
    scene.assert_settled();
}

/// Case 28. A long poll then finds nothing, and says nothing of it.
#[test]
fn a_queue_at_its_in_flight_limit_is_emptied_all_the_same() {
    let mut scene = Scene::shaped("in_flight_limit", 10, Some(20), 15);
    scene.send(60);
    scene.drain();
    let journal = scene.fake.journal();
    assert!(
        journal.matching(|call| call.entries.len() == 5) > 0,
        "never at the limit"
    );
    scene.assert_settled();
}

/// Case 29, with the host running. At start-up it is `endpoint` that asks.
#[test]
fn a_service_that_goes_away_is_waited_for() {
    let mut scene = Scene::new("gone_away");
    let mut host = scene.idle_host();
    assert!(scene.fake.go_down() > 0, "nobody was connected");
    scene.send(10);
    let log = host.log();
    host.wait_until("it has noticed", || log.says("receiving fails"));
    scene.fake.come_up();
    host.wait_until("the queue is empty", || scene.is_empty());
    scene.stop(host);
    scene.assert_settled();
}
