//! Claims about SQS's limits: sizes, numbers, batches, messages in flight.

use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};

use super::{SOURCE, Scene, code, handle, handles, receive};
use crate::fake_queue::FakeQueue;
use crate::fake_queue::store::settings::BODY_BYTES_MAX;
use crate::support::block_on;

impl Scene {
    /// Sends a body with so many attributes of six bytes each.
    fn send(&self, body: &str, attributes: usize) -> Result<(), String> {
        let mut call = self.client.send_message().queue_url(self.fake.url(SOURCE));
        for n in 0..attributes {
            let value = MessageAttributeValue::builder()
                .data_type("Number")
                .string_value("1");
            let value = value.build().expect("a number");
            call = call.message_attributes(format!("a{n}"), value);
        }
        let sent = block_on(call.message_body(body).send());
        sent.map(|_| ()).map_err(code)
    }

    /// The ids of those that were taken, and of those that were not.
    fn send_batch(&self, entries: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>), String> {
        let entries = entries.iter().map(|(id, body)| {
            let entry = SendMessageBatchRequestEntry::builder().id(*id);
            let entry = entry.message_body(*body).build();
            entry.expect("an entry with an id and a body")
        });
        let call = self.client.send_message_batch();
        let call = call
            .queue_url(self.fake.url(SOURCE))
            .set_entries(Some(entries.collect()));
        let answer = block_on(call.send()).map_err(code)?;
        let successful = answer.successful.into_iter().map(|entry| entry.id);
        let failed = answer.failed.into_iter().map(|entry| entry.id);
        Ok((successful.collect(), failed.collect()))
    }
}

fn legacy(name: &str) -> String {
    format!("AWS.SimpleQueueService.{name}")
}

#[test]
fn a_message_of_one_mebibyte_is_taken_and_one_byte_more_is_not() {
    let scene = Scene::new();
    let body = "x".repeat(BODY_BYTES_MAX);
    assert_eq!(scene.send(&body, 0), Ok(()));
    let invalid = Err("InvalidParameterValue".to_owned());
    assert_eq!(scene.send(&format!("{body}x"), 0), invalid);
    assert_eq!(scene.send(&body, 1), invalid, "attributes count");
    let received = scene.receive_one();
    assert_eq!(received.body().map(str::len), Some(BODY_BYTES_MAX));
}

#[test]
fn ten_of_one_mebibyte_come_in_one_answer() {
    let scene = Scene::new();
    let bodies = vec!["x".repeat(BODY_BYTES_MAX); 10];
    scene.fake.send(SOURCE, &bodies);
    let received = scene.receive();
    let bytes: usize = received.iter().filter_map(|m| Some(m.body()?.len())).sum();
    assert_eq!(bytes, 10 * BODY_BYTES_MAX);
}

#[test]
fn ten_attributes_are_taken_and_eleven_are_not() {
    let scene = Scene::new();
    assert_eq!(scene.send("x", 10), Ok(()));
    assert_eq!(scene.send("x", 11), Err("InvalidParameterValue".to_owned()));
}

#[test]
fn characters_that_sqs_does_not_know_are_refused() {
    let scene = Scene::new();
    assert_eq!(scene.send("tab\t and \u{10ffff}", 0), Ok(()));
    let refused = Err("InvalidMessageContents".to_owned());
    assert_eq!(scene.send("\u{0}", 0), refused);
    assert_eq!(scene.send("\u{fffe}", 0), refused);
    assert_eq!(scene.send("", 0), Err("MissingParameter".to_owned()));
}

#[test]
fn a_batch_holds_up_to_ten_entries_and_one_mebibyte() {
    let scene = Scene::new();
    let ids: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let entries: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "x")).collect();
    let sent = scene.send_batch(&entries[..10]).expect("ten");
    assert_eq!((sent.0.len(), sent.1.len()), (10, 0));
    assert_eq!(
        scene.send_batch(&entries),
        Err(legacy("TooManyEntriesInBatchRequest"))
    );
    assert_eq!(scene.send_batch(&[]), Err(legacy("EmptyBatchRequest")));
    let half = "x".repeat(BODY_BYTES_MAX / 2);
    assert!(scene.send_batch(&[("0", &half), ("1", &half)]).is_ok());
    assert_eq!(
        scene.send_batch(&[("0", &half), ("1", &half), ("2", "x")]),
        Err(legacy("BatchRequestTooLong"))
    );
}

#[test]
fn the_ids_of_a_batch_are_distinct_and_well_formed() {
    let scene = Scene::new();
    assert_eq!(
        scene.send_batch(&[("a", "x"), ("a", "y")]),
        Err(legacy("BatchEntryIdsNotDistinct"))
    );
    for id in ["", "a b", &"a".repeat(81)] {
        assert_eq!(
            scene.send_batch(&[(id, "x")]),
            Err(legacy("InvalidBatchEntryId"))
        );
    }
    assert_eq!(scene.counts_of(SOURCE), (0, 0, 0));
}

#[test]
fn one_bad_entry_of_a_batch_fails_alone() {
    let scene = Scene::new();
    let sent = scene.send_batch(&[("good", "x"), ("bad", "\u{1}"), ("fine", "y")]);
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    assert_eq!(sent, Ok((texts(&["good", "fine"]), texts(&["bad"]))));
    let received = scene.receive();
    let mut given = handles(&received);
    given.push("invented");
    let deleted = scene.delete_batch(&given).expect("delete");
    assert_eq!(deleted.successful.len(), 2);
    let failed = &deleted.failed[0];
    assert_eq!((failed.id(), failed.sender_fault()), ("2", true));
    assert_eq!(failed.code(), "ReceiptHandleIsInvalid");
}

#[test]
fn no_more_messages_are_in_flight_than_the_queue_allows() {
    let fake = FakeQueue::start();
    fake.queue(SOURCE).in_flight_max(3).create();
    let scene = Scene::around(fake);
    scene.fake.send(SOURCE, &["a", "b", "c", "d"]);
    let received = scene.receive();
    assert_eq!(received.len(), 3);
    let url = scene.fake.url(SOURCE);
    // SQS says so to short polls only; a long one just finds nothing.
    assert_eq!(receive(&scene.client, &url, 0), Err("OverLimit".to_owned()));
    assert_eq!(receive(&scene.client, &url, 1), Ok(Vec::new()));
    assert_eq!(scene.delete(handle(&received[0])), Ok(()));
    assert_eq!(scene.receive().len(), 1);
}
