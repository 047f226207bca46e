//! Claims about the journal: what was called, how often, and to what effect.

use std::time::Duration;

use super::{SOURCE, Scene, handle};
use crate::fake_queue::clock::Clock;
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::journal::{Call, Effect, Journal, Outcome};
use crate::fake_queue::operation::{DELETES, EXTENSIONS, Operation};
use crate::fake_queue::refusal::Refusal;

#[test]
fn what_was_done_to_a_message_is_told_in_order() {
    let scene = Scene::new();
    let id = scene.fake.send(SOURCE, &["a"]).remove(0);
    let first = scene.receive_one();
    assert_eq!(scene.extend(handle(&first), 60), Ok(()));
    assert_eq!(scene.extend(handle(&first), 0), Ok(()));
    assert!(scene.extend(handle(&first), 60).is_err());
    let second = scene.receive_one();
    let fail = Action::FailEntry(Refusal::internal_error());
    let fired = scene.fake.fault(Fault::on(DELETES, fail));
    assert!(scene.delete(handle(&second)).is_err());
    fired.assert_fired();
    assert_eq!(scene.delete(handle(&first)), Ok(()));
    assert_eq!(scene.delete(handle(&second)), Ok(()));
    let not_inflight = "AWS.SimpleQueueService.MessageNotInflight";
    assert_eq!(
        scene.fake.journal().effects(&id),
        [
            Effect::Received,
            Effect::Extended,
            Effect::Released,
            Effect::NotExtended(not_inflight.to_owned()),
            Effect::Received,
            Effect::Failed("InternalFailure".to_owned()),
            Effect::NothingDeleted,
            Effect::Deleted,
        ]
    );
    assert_eq!(scene.fake.journal().receives(&id), 2);
}

#[test]
fn calls_are_counted_by_operation_and_outcome() {
    let scene = Scene::new();
    let refuse = Action::Refuse(Refusal::unavailable());
    let fault = Fault::on([Operation::ReceiveMessage], refuse).times(3);
    let fired = scene.fake.fault(fault);
    for _ in 0..3 {
        let url = scene.fake.url(SOURCE);
        assert!(super::receive(&scene.client, &url, 0).is_err());
    }
    assert_eq!(fired.count(), 3);
    scene.receive();
    let journal = scene.fake.journal();
    assert_eq!(journal.count(Operation::ReceiveMessage), 4);
    let refused = Outcome::Refused("ServiceUnavailable".to_owned());
    assert_eq!(journal.matching(|call| call.outcome == refused), 3);
}

#[test]
fn the_busiest_second_is_found() {
    let clock = Clock::start();
    let journal = Journal::new(clock.clone());
    for calls in [2, 3, 1] {
        for _ in 0..calls {
            let call = journal.begin(Operation::ReceiveMessage, Some(SOURCE), "a test");
            journal.end(call, Outcome::Answered);
        }
        journal.begin(Operation::DeleteMessage, Some(SOURCE), "a test");
        clock.put_forward(Duration::from_secs(10));
    }
    let receives = |call: &Call| {
        call.operation == Operation::ReceiveMessage && call.queue.as_deref() == Some(SOURCE)
    };
    assert_eq!(journal.busiest_second(receives), 3);
    assert_eq!(journal.busiest_second(|_| true), 4);
    assert_eq!(journal.busiest_second(|_| false), 0);
}

#[test]
fn an_extension_after_the_end_is_found_unless_it_was_on_its_way() {
    let scene = Scene::new();
    let id = scene.fake.send(SOURCE, &["a"]).remove(0);
    let first = scene.receive_one();
    assert_eq!(scene.extend(handle(&first), 60), Ok(()));
    assert_eq!(scene.extend(handle(&first), 0), Ok(()));
    let second = scene.receive_one();
    assert_eq!(scene.extend(handle(&second), 60), Ok(()));
    assert_eq!(scene.delete(handle(&second)), Ok(()));
    let late = |grace| {
        let journal = scene.fake.journal();
        journal.extended_after_end(Duration::from_secs(grace))
    };
    assert!(late(0).is_empty());
    scene.fake.put_clock_forward(Duration::from_secs(5));
    assert_eq!(scene.extend_batch(&[handle(&second)], 60).len(), 1);
    assert_eq!((late(0), late(60)), (vec![id], Vec::new()));
    let journal = scene.fake.journal();
    let extensions = journal.matching(|call| EXTENSIONS.contains(&call.operation));
    assert_eq!(extensions, 4);
}
