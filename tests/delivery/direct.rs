//! Direct calls receive and delete every message; the SDK makes each call whose
//! answer is not plain.

use super::scene::{SOURCE, Scene};
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::journal::Call;
use crate::fake_queue::operation::{DELETES, Operation};
use crate::fake_queue::refusal::Refusal;

fn is_direct(call: &Call) -> bool {
    call.client.starts_with("etl-host/")
}

fn of(scene: &Scene, operations: &[Operation]) -> Vec<Call> {
    let calls = scene.fake.journal().calls().into_iter();
    calls
        .filter(|call| call.queue.as_deref() == Some(SOURCE))
        .filter(|call| operations.contains(&call.operation))
        .collect()
}

#[test]
fn plain_receives_and_deletes_are_direct_calls() {
    let mut scene = Scene::new("direct");
    scene.send(35);
    scene.drain();
    let calls = of(&scene, &[Operation::ReceiveMessage, DELETES[0], DELETES[1]]);
    assert!(calls.len() >= 8, "{}", calls.len());
    assert!(calls.iter().all(is_direct));
    let looks = of(&scene, &[Operation::GetQueueAttributes]);
    assert!(!looks.is_empty() && !looks.iter().any(is_direct));
    scene.assert_settled();
}

/// The call itself, at once, and those of the next seconds.
#[test]
fn a_receive_that_is_refused_is_made_again_by_the_sdk() {
    let mut scene = Scene::new("direct_receive");
    let refuse = Action::Refuse(Refusal::internal_error());
    let refuse = Fault::on([Operation::ReceiveMessage], refuse).in_queue(SOURCE);
    let refused = scene.fake.fault(refuse.times(1));
    scene.send(200);
    scene.drain();
    assert_eq!(refused.count(), 1);
    let receives = of(&scene, &[Operation::ReceiveMessage]);
    let by_sdk = receives.iter().filter(|call| !is_direct(call)).count();
    assert!(by_sdk > 1, "{by_sdk} of {}", receives.len());
    scene.assert_settled();
}

#[test]
fn a_delete_whose_answer_is_lost_is_made_again_by_the_sdk() {
    let mut scene = Scene::new("direct_delete");
    let lose = Fault::on(DELETES, Action::LoseAnswer).in_queue(SOURCE);
    let lost = scene.fake.fault(lose.times(1));
    scene.send(10);
    scene.drain();
    assert_eq!(lost.count(), 1);
    let deletes = of(&scene, &DELETES);
    assert!(is_direct(&deletes[0]));
    assert!(deletes[1..].iter().any(|call| !is_direct(call)));
    assert_eq!(scene.counts().tally.received, 10, "no message came back");
    scene.assert_settled();
}
