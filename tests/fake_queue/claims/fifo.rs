//! Claims about a FIFO queue: order within groups, deduplication, attempts.

use std::time::Duration;

use super::{Scene, VISIBILITY_SECS, bodies, code, handle, handles, ids, receive, system};
use crate::fake_queue::FakeQueue;
use crate::fake_queue::store::message::Outgoing;
use crate::support::block_on;

const FIFO: &str = "login-queue.fifo";
const DEAD_FIFO: &str = "login-queue-dead.fifo";

fn fifo() -> Scene {
    let fake = FakeQueue::start();
    fake.queue(DEAD_FIFO).create();
    fake.queue(FIFO)
        .visibility_secs(VISIBILITY_SECS)
        .attribute("ContentBasedDeduplication", true)
        .dead_letters(DEAD_FIFO, 2)
        .create();
    Scene::around(fake)
}

impl Scene {
    /// Sends to the group that the body's first letter names.
    fn put(&self, bodies: &[&str]) -> Vec<String> {
        let put = |body: &&str| {
            let message = Outgoing::new(*body).group(&body[..1]);
            self.fake.put(FIFO, message)
        };
        bodies.iter().map(put).collect()
    }

    fn receive_fifo(
        &self,
        messages_max: i32,
        attempt: Option<&str>,
    ) -> Vec<aws_sdk_sqs::types::Message> {
        let call = self.client.receive_message();
        let call = call
            .queue_url(self.fake.url(FIFO))
            .max_number_of_messages(messages_max)
            .set_receive_request_attempt_id(attempt.map(str::to_owned))
            .send();
        let answer = block_on(call).expect("receive");
        answer.messages.unwrap_or_default()
    }
}

#[test]
fn a_group_gives_several_in_order_and_then_none_until_they_are_settled() {
    let scene = fifo();
    scene.put(&["a1", "b1", "a2", "a3", "b2"]);
    let first = scene.receive_fifo(3, None);
    assert_eq!(bodies(&first), ["a1", "b1", "a2"]);
    assert!(scene.receive_fifo(10, None).is_empty(), "both groups wait");
    assert_eq!(scene.delete_from(FIFO, handle(&first[1])), Ok(()));
    assert_eq!(bodies(&scene.receive_fifo(10, None)), ["b2"]);
    assert_eq!(scene.delete_from(FIFO, handle(&first[0])), Ok(()));
    assert!(scene.receive_fifo(10, None).is_empty(), "a2 is in flight");
    assert_eq!(scene.delete_from(FIFO, handle(&first[2])), Ok(()));
    assert_eq!(bodies(&scene.receive_fifo(10, None)), ["a3"]);
}

#[test]
fn what_comes_back_comes_before_what_followed_it() {
    let scene = fifo();
    scene.put(&["a1", "a2", "b1"]);
    assert_eq!(bodies(&scene.receive_fifo(1, None)), ["a1"]);
    assert_eq!(bodies(&scene.receive_fifo(10, None)), ["b1"]);
    scene.lease_runs_out();
    let again = scene.receive_fifo(10, None);
    assert_eq!(bodies(&again), ["a1", "a2", "b1"]);
}

#[test]
fn a_poisoned_head_goes_to_the_dead_letter_queue_and_its_group_goes_on() {
    let scene = fifo();
    let ids_sent = scene.put(&["a1", "a2"]);
    for _ in 0..2 {
        assert_eq!(bodies(&scene.receive_fifo(1, None)), ["a1"]);
        scene.lease_runs_out();
    }
    assert_eq!(bodies(&scene.receive_fifo(1, None)), ["a2"]);
    let dead = scene.receive_from(DEAD_FIFO);
    assert_eq!(ids(&dead), [ids_sent[0].as_str()]);
    assert_eq!(system(&dead[0], "MessageGroupId"), Some("a"));
}

#[test]
fn what_is_sent_twice_is_there_once_even_after_its_deletion() {
    let scene = fifo();
    let send = |body: &str, id: &str| {
        let message = Outgoing::new(body).group("a").deduplication_id(id);
        scene.fake.put(FIFO, message)
    };
    let first = send("one", "same");
    assert_eq!(send("another body", "same"), first);
    let received = scene.receive_fifo(10, None);
    assert_eq!(bodies(&received), ["one"]);
    assert_eq!(scene.delete_from(FIFO, handle(&received[0])), Ok(()));
    assert_eq!(send("one", "same"), first);
    assert!(scene.receive_fifo(10, None).is_empty());
    scene.fake.put_clock_forward(Duration::from_secs(301));
    assert_ne!(send("one", "same"), first);
    assert_eq!(
        scene
            .put(&["c", "c"])
            .windows(2)
            .filter(|ids| ids[0] == ids[1])
            .count(),
        1
    );
}

#[test]
fn a_lease_that_is_over_deletes_nothing_and_says_so() {
    let scene = fifo();
    scene.put(&["a1"]);
    let old = scene.receive_fifo(1, None);
    scene.lease_runs_out();
    let expired = Err("InvalidParameterValue".to_owned());
    assert_eq!(scene.delete_from(FIFO, handle(&old[0])), expired);
    let new = scene.receive_fifo(1, None);
    assert_eq!(scene.delete_from(FIFO, handle(&old[0])), expired);
    assert_eq!(scene.delete_from(FIFO, handle(&new[0])), Ok(()));
}

#[test]
fn a_receive_that_is_tried_again_gives_the_same_under_the_same_handles() {
    let scene = fifo();
    scene.put(&["a1", "a2", "b1"]);
    let first = scene.receive_fifo(2, Some("attempt"));
    let again = scene.receive_fifo(2, Some("attempt"));
    assert_eq!(bodies(&again), ["a1", "a2"]);
    assert_eq!(handles(&again), handles(&first));
    assert_eq!(bodies(&scene.receive_fifo(2, Some("other"))), ["b1"]);
    assert_eq!(scene.delete_from(FIFO, handle(&first[0])), Ok(()));
    assert!(
        scene.receive_fifo(2, Some("attempt")).is_empty(),
        "one is gone"
    );
}

#[test]
fn a_fifo_queue_wants_a_group_and_an_id_and_says_nothing_of_its_limit() {
    let fake = FakeQueue::start();
    fake.queue(FIFO).in_flight_max(1).create();
    let scene = Scene::around(fake);
    let send = |group: Option<&str>, id: Option<&str>| {
        let call = scene.client.send_message();
        let call = call
            .queue_url(scene.fake.url(FIFO))
            .message_body("x")
            .set_message_group_id(group.map(str::to_owned))
            .set_message_deduplication_id(id.map(str::to_owned))
            .send();
        let sent = block_on(call).map_err(code)?;
        Ok::<_, String>(sent.sequence_number.is_some())
    };
    assert_eq!(send(None, Some("1")), Err("MissingParameter".to_owned()));
    let no_id = send(Some("a"), None);
    assert_eq!(no_id, Err("InvalidParameterValue".to_owned()));
    assert_eq!(send(Some("a"), Some("1")), Ok(true));
    assert_eq!(send(Some("b"), Some("2")), Ok(true));
    assert_eq!(scene.receive_fifo(10, None).len(), 1);
    let url = scene.fake.url(FIFO);
    assert_eq!(receive(&scene.client, &url, 0), Ok(Vec::new()));
}
