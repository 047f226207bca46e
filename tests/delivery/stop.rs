//! Case 131: a stop ends an idle or held host within five seconds, on a queue of
//! any visibility timeout, and leaves nothing hidden.

use std::time::Duration;

use super::scene::{DEAD, RECEIVE, RECEIVES, Scene};
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::operation::{DELETES, Operation, SENDS};
use crate::fake_queue::refusal::Refusal;
use crate::support::host::Running;
use crate::support::patience::Stopwatch;

/// What an operator is promised.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Asks for the stop, which has to come to its end in time.
#[track_caller]
fn stop_in_time(scene: &mut Scene, host: Running) {
    let asked = Stopwatch::start();
    scene.stop(host);
    assert_in_time(&asked);
}

#[track_caller]
fn assert_in_time(asked: &Stopwatch) {
    let took = asked.elapsed();
    assert!(took < STOP_MAX, "a stop took {took:?}");
}

#[test]
fn an_idle_host_stops_within_five_seconds_on_a_queue_of_any_visibility() {
    for lease_secs in [2, 30, 43_200] {
        let mut scene = Scene::with_lease("stop_idle", lease_secs);
        let mut host = scene.idle_host();
        scene.send(5);
        host.wait_until("it has worked", || scene.is_empty());
        host.wait_until("it polls", || {
            scene.fake.journal().open(Operation::ReceiveMessage) == RECEIVES
        });
        stop_in_time(&mut scene, host);
        scene.assert_settled();
    }
}

/// The receive is never answered, so nobody can wait for it.
#[test]
fn a_host_whose_polls_are_not_answered_stops_within_five_seconds() {
    let mut scene = Scene::with_lease("stop_silent", 43_200);
    let mut host = scene.idle_host();
    let hung = scene.always(RECEIVE, Action::Hang);
    host.wait_until("both polls hang", || hung.count() >= RECEIVES);
    stop_in_time(&mut scene, host);
}

#[test]
fn a_host_whose_queue_refuses_everything_stops_within_five_seconds() {
    let mut scene = Scene::new("stop_refused");
    let mut host = scene.idle_host();
    let everything = Fault::everywhere(Action::Refuse(Refusal::no_such_queue()));
    let refused = scene.fake.fault(everything.until_stopped());
    let log = host.log();
    host.wait_until("it has noticed", || log.says("receiving fails"));
    refused.assert_fired();
    stop_in_time(&mut scene, host);
}

/// What is taken goes back at once: nothing of it can be finished.
#[test]
fn a_host_held_by_its_database_stops_within_five_seconds_and_hides_nothing() {
    for lease_secs in [2, 43_200] {
        let mut scene = Scene::with_lease("stop_held", lease_secs);
        let mut host = scene.idle_host();
        scene
            .database
            .execute("ALTER TABLE user_logins RENAME TO away");
        scene.send(20);
        host.wait_until_it_says("held: nothing");
        stop_in_time(&mut scene, host);
        assert_eq!(scene.counts().in_flight, 0, "hidden");
        assert_eq!(scene.counts().visible, 20);
        scene
            .database
            .execute("ALTER TABLE away RENAME TO user_logins");
        scene.drain();
        scene.assert_settled();
    }
}

#[test]
fn a_host_before_a_database_that_is_silent_stops_within_five_seconds() {
    let mut scene = Scene::with_lease("stop_black_hole", 43_200);
    let mut host = scene.host().option("--statement-secs-max", "2").start();
    scene.send(1);
    host.wait_until("it has worked", || scene.is_empty());
    let silent = scene.network.pause();
    scene.send(20);
    host.wait_until_it_says("held: nothing");
    silent.assert_fired();
    stop_in_time(&mut scene, host);
    assert_eq!(scene.counts().in_flight, 0, "hidden");
    scene.network.resume();
    scene.drain();
    scene.assert_settled();
}

#[test]
fn a_host_held_by_its_dead_letter_queue_stops_within_five_seconds_and_hides_nothing() {
    let mut scene = Scene::with_lease("stop_dead_letters", 43_200);
    let mut host = scene.idle_host();
    let refused = Fault::on(SENDS, Action::Refuse(Refusal::unavailable()));
    let refused = scene.fake.fault(refused.in_queue(DEAD).until_stopped());
    scene.send_spoilt(10, 0..5);
    host.wait_until_it_says("held: nothing");
    stop_in_time(&mut scene, host);
    assert_eq!(scene.counts().in_flight, 0, "hidden");
    refused.stop();
    scene.drain();
    scene.assert_settled();
}

#[test]
fn a_host_whose_deletes_fail_stops_within_five_seconds_and_hides_nothing() {
    let mut scene = Scene::with_lease("stop_deletes", 43_200);
    let mut host = scene.idle_host();
    let refused = scene.always(DELETES, Action::Refuse(Refusal::unavailable()));
    scene.send(20);
    host.wait_until_it_says("held: nothing");
    stop_in_time(&mut scene, host);
    assert_eq!(scene.counts().in_flight, 0, "hidden");
    refused.stop();
    scene.drain();
    scene.assert_settled();
}

#[test]
fn a_start_that_waits_for_a_service_stops_at_once() {
    let scene = Scene::new("stop_start");
    scene.fake.go_down();
    let mut host = scene.host().start();
    host.wait_until_it_says("waiting for a service");
    let asked = Stopwatch::start();
    host.terminate();
    host.finish().exited(0);
    assert_in_time(&asked);
}
