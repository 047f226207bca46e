//! Claims about a standard queue: handles, visibility, counts and redrive.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use serde_json::json;

use super::{
    DEAD, SOURCE, Scene, VISIBILITY_SECS, bodies, code, handle, handles, ids, receive, system,
};
use crate::fake_queue::FakeQueue;
use crate::fake_queue::attribute::md5_of_text;
use crate::fake_queue::store::arn;
use crate::fake_queue::store::message::{Outgoing, State};
use crate::support::patience::{self, Stopwatch};
use crate::support::{block_on, spawn, wait_until};

#[test]
fn what_is_sent_is_received_with_its_digests_and_attributes() {
    let scene = Scene::new();
    let value = |data_type: &str| MessageAttributeValue::builder().data_type(data_type);
    let text = value("String").string_value("invented").build();
    let bytes = value("Binary").binary_value(Blob::new([1, 2])).build();
    let call = scene.client.send_message();
    let call = call
        .queue_url(scene.fake.url(SOURCE))
        .message_body("invented body")
        .message_attributes("text", text.expect("a text"))
        .message_attributes("bytes", bytes.expect("bytes"))
        .message_group_id("tenant")
        .send();
    let sent = block_on(call).expect("send");
    assert_eq!(
        sent.md5_of_message_body(),
        Some(&*md5_of_text("invented body"))
    );

    let received = scene.receive_one();
    assert_eq!(received.message_id(), sent.message_id());
    assert_eq!(received.md5_of_body(), sent.md5_of_message_body());
    assert!(sent.md5_of_message_attributes().is_some());
    assert_eq!(
        received.md5_of_message_attributes(),
        sent.md5_of_message_attributes()
    );
    let attributes = received.message_attributes().expect("attributes");
    assert_eq!(attributes["text"].string_value(), Some("invented"));
    assert_eq!(attributes["bytes"].binary_value(), Some(&Blob::new([1, 2])));
    assert_eq!(system(&received, "ApproximateReceiveCount"), Some("1"));
    assert_eq!(system(&received, "MessageGroupId"), Some("tenant"));
    let sent_ms: u64 = system(&received, "SentTimestamp")
        .and_then(|digits| digits.parse().ok())
        .expect("milliseconds");
    assert!(sent_ms > 1_600_000_000_000);
}

#[test]
fn only_attributes_that_are_asked_for_are_told() {
    let scene = Scene::new();
    let message = Outgoing::new("x");
    let message = message
        .attribute("trace.one", "1")
        .attribute("trace.two", "2")
        .attribute("other", "3");
    scene.fake.put(SOURCE, message);
    let call = scene.client.receive_message();
    let call = call
        .queue_url(scene.fake.url(SOURCE))
        .message_attribute_names("trace.*")
        .send();
    let received = block_on(call).expect("receive").messages.expect("one");
    let told: HashMap<_, _> = received[0].message_attributes().cloned().expect("two");
    assert_eq!(told.len(), 2);
    assert!(told.contains_key("trace.two") && received[0].attributes().is_none());
}

#[test]
fn a_received_message_is_hidden_until_its_lease_runs_out() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let first = scene.receive_one();
    assert!(scene.receive().is_empty());
    assert_eq!(scene.counts_of(SOURCE), (0, 1, 0));
    scene.lease_runs_out();
    assert_eq!(scene.counts_of(SOURCE), (1, 0, 0));
    let again = scene.receive_one();
    assert_eq!(again.message_id(), first.message_id());
    assert_ne!(handle(&again), handle(&first));
    assert_eq!(system(&again, "ApproximateReceiveCount"), Some("2"));
}

#[test]
fn only_the_newest_handle_deletes() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let old = scene.receive_one();
    scene.lease_runs_out();
    let new = scene.receive_one();
    assert_eq!(scene.delete(handle(&old)), Ok(()), "it \"succeeds\"");
    assert_eq!(scene.counts_of(SOURCE), (0, 1, 0));
    assert_eq!(scene.delete(handle(&new)), Ok(()));
    assert_eq!(scene.delete(handle(&new)), Ok(()), "it is gone already");
    assert_eq!(scene.counts_of(SOURCE), (0, 0, 0));
    let tally = scene.fake.counts(SOURCE).tally;
    assert_eq!((tally.sent, tally.received, tally.deleted), (1, 2, 1));
    assert_eq!((tally.stale_deletes, tally.deletes_of_the_gone), (1, 1));
}

#[test]
fn the_newest_handle_deletes_after_its_lease_as_long_as_nobody_has_received() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let message = scene.receive_one();
    scene.lease_runs_out();
    assert_eq!(scene.delete(handle(&message)), Ok(()));
    assert_eq!(scene.counts_of(SOURCE), (0, 0, 0));
}

#[test]
fn an_invented_handle_is_refused() {
    let scene = Scene::new();
    scene.fake.send(DEAD, &["a"]);
    assert_eq!(
        scene.delete("invented"),
        Err("ReceiptHandleIsInvalid".to_owned())
    );
    let foreign = scene.receive_from(DEAD).remove(0);
    assert_eq!(
        scene.delete(handle(&foreign)),
        Err("ReceiptHandleIsInvalid".to_owned())
    );
    assert_eq!(scene.delete_from(DEAD, handle(&foreign)), Ok(()));
}

#[test]
fn an_extension_counts_from_now_and_nought_gives_back() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let message = scene.receive_one();
    let step = Duration::from_secs(u64::from(VISIBILITY_SECS) - 10);
    for _ in 0..3 {
        scene.fake.put_clock_forward(step);
        assert_eq!(
            scene.extend(handle(&message), VISIBILITY_SECS as i32),
            Ok(())
        );
    }
    assert_eq!(scene.counts_of(SOURCE), (0, 1, 0));
    assert_eq!(scene.extend(handle(&message), 0), Ok(()));
    assert_eq!(scene.counts_of(SOURCE), (1, 0, 0));
    assert_eq!(
        scene.extend(handle(&message), 10),
        Err("AWS.SimpleQueueService.MessageNotInflight".to_owned())
    );
}

#[test]
fn only_the_newest_handle_of_a_message_in_flight_extends() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a", "b", "c"]);
    let old = scene.receive();
    scene.lease_runs_out();
    assert_eq!(scene.delete(handle(&old[1])), Ok(()));
    let not_inflight = "AWS.SimpleQueueService.MessageNotInflight";
    assert_eq!(
        scene.extend_batch(&[handle(&old[0])], 10),
        [("0".to_owned(), not_inflight.to_owned())]
    );
    let new = scene.receive();
    let failed = scene.extend_batch(&[handle(&old[0]), handle(&old[1]), handle(&new[1])], 10);
    let invalid = |id: &str| (id.to_owned(), "InvalidParameterValue".to_owned());
    assert_eq!(failed, [invalid("0"), invalid("1")]);
}

#[test]
fn a_message_is_hidden_for_twelve_hours_at_most() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let message = scene.receive_one();
    assert_eq!(scene.extend(handle(&message), 43_000), Ok(()));
    scene.fake.put_clock_forward(Duration::from_secs(42_000));
    assert_eq!(
        scene.extend(handle(&message), 1_500),
        Err("InvalidParameterValue".to_owned())
    );
    assert_eq!(
        scene.extend(handle(&message), 43_201),
        Err("InvalidParameterValue".to_owned())
    );
    assert_eq!(scene.extend(handle(&message), 1_000), Ok(()));
}

#[test]
fn a_receive_may_hide_for_a_time_of_its_own() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let hide_for = |secs| {
        let call = scene.client.receive_message();
        let call = call
            .queue_url(scene.fake.url(SOURCE))
            .visibility_timeout(secs)
            .send();
        let answer = block_on(call).map_err(code);
        answer.map(|answer| answer.messages.unwrap_or_default().len())
    };
    assert_eq!(hide_for(0), Ok(1));
    assert_eq!(hide_for(1_000), Ok(1));
    scene.lease_runs_out();
    assert_eq!(scene.counts_of(SOURCE), (0, 1, 0));
    assert_eq!(hide_for(43_201), Err("InvalidParameterValue".to_owned()));
}

#[test]
fn a_long_poll_ends_with_the_first_message() {
    let scene = Scene::new();
    let (client, url) = (scene.client.clone(), scene.fake.url(SOURCE));
    let (done, polled) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let started = Stopwatch::start();
        let received = receive(&client, &url, 20).map(|received| received.len());
        let _ = done.send((received, started.elapsed()));
    });
    wait_until("the poll is open", || {
        let journal = scene.fake.journal();
        journal.open(crate::fake_queue::operation::Operation::ReceiveMessage) == 1
    });
    scene.fake.send(SOURCE, &["a"]);
    let polled = patience::receive(&polled, Duration::from_secs(30));
    let (received, took) = polled.expect("it ends");
    assert_eq!(received, Ok(1));
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a_long_poll_sees_a_lease_run_out_by_the_real_clock() {
    let fake = FakeQueue::start();
    fake.queue(SOURCE).visibility_secs(1).create();
    let scene = Scene::around(fake);
    scene.fake.send(SOURCE, &["a"]);
    let first = scene.receive_one();
    let started = Stopwatch::start();
    let again = receive(&scene.client, &scene.fake.url(SOURCE), 20).expect("receive");
    assert_eq!(ids(&again), [first.message_id().expect("an id")]);
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_long_poll_waits_as_long_as_asked_and_finds_nothing() {
    let scene = Scene::new();
    let started = Instant::now();
    let url = scene.fake.url(SOURCE);
    assert_eq!(receive(&scene.client, &url, 1), Ok(Vec::new()));
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_delayed_message_comes_later() {
    let scene = Scene::new();
    let delayed = Outgoing::new("later").delay_secs(60);
    scene.fake.put(SOURCE, delayed);
    assert_eq!(scene.counts_of(SOURCE), (0, 0, 1));
    assert!(scene.receive().is_empty());
    scene.fake.put_clock_forward(Duration::from_secs(60));
    assert_eq!(bodies(&scene.receive()), ["later"]);
}

#[test]
fn what_was_received_often_enough_goes_to_the_dead_letter_queue_under_its_id() {
    for receives_max in [json!(2), json!("2")] {
        let fake = FakeQueue::start();
        fake.queue(DEAD).create();
        let policy = json!({"deadLetterTargetArn": arn(DEAD), "maxReceiveCount": receives_max});
        fake.queue(SOURCE)
            .visibility_secs(VISIBILITY_SECS)
            .attribute("RedrivePolicy", &policy)
            .create();
        let scene = Scene::around(fake);
        let id = scene.fake.send(SOURCE, &["a"]).remove(0);
        for _ in 0..2 {
            assert_eq!(ids(&scene.receive()), [id.as_str()]);
            scene.lease_runs_out();
        }
        assert_eq!(
            scene.counts_of(DEAD),
            (0, 0, 0),
            "not before it is received"
        );
        assert!(scene.receive().is_empty());
        assert_eq!(scene.fake.counts(SOURCE).tally.given_up, 1);
        assert_eq!(scene.counts_of(SOURCE), (0, 0, 0));
        let dead = scene.receive_from(DEAD).remove(0);
        assert_eq!(dead.message_id(), Some(id.as_str()));
        assert_eq!(
            system(&dead, "DeadLetterQueueSourceArn"),
            Some(&*arn(SOURCE))
        );
        let told = told_attributes(&scene);
        assert_eq!(told["RedrivePolicy"], policy.to_string());
    }
}

fn told_attributes(scene: &Scene) -> HashMap<String, String> {
    let call = scene.client.get_queue_attributes();
    let call = call
        .queue_url(scene.fake.url(SOURCE))
        .attribute_names(QueueAttributeName::All)
        .send();
    let told = block_on(call).expect("attributes").attributes;
    let told = told.expect("some").into_iter();
    told.map(|(name, value)| (name.as_str().to_owned(), value))
        .collect()
}

#[test]
fn a_redrive_gives_new_ids_and_keeps_bodies_and_attributes() {
    let scene = Scene::new();
    let message = Outgoing::new("a").attribute("etl-host.origin-id", "first");
    let old = scene.fake.put(DEAD, message.clone());
    let moved = scene.fake.redrive(DEAD, SOURCE);
    assert_eq!((moved.len(), &moved[0].0), (1, &old));
    assert_ne!(moved[0].1, old);
    assert_eq!(scene.counts_of(DEAD), (0, 0, 0));
    let stored = scene.fake.messages(SOURCE).remove(0);
    assert_eq!((&stored.message_id, &*stored.sent), (&moved[0].1, &message));
    assert_eq!(
        (stored.origin_id(), stored.state),
        ("first", State::Visible)
    );
    assert_eq!(ids(&scene.receive()), [moved[0].1.as_str()]);
}

#[test]
fn a_queue_is_created_found_told_of_and_changed_over_the_wire() {
    let scene = Scene::around(FakeQueue::start());
    let create = |visibility: &str| {
        let call = scene.client.create_queue();
        let call = call
            .queue_name(SOURCE)
            .attributes(QueueAttributeName::VisibilityTimeout, visibility)
            .send();
        block_on(call).map_err(code).map(|answer| answer.queue_url)
    };
    let url = scene.fake.url(SOURCE);
    assert_eq!(create("20"), Ok(Some(url.clone())));
    assert_eq!(create("20"), Ok(Some(url.clone())));
    assert_eq!(create("21"), Err("QueueAlreadyExists".to_owned()));
    let find = |name: &str| {
        let found = block_on(scene.client.get_queue_url().queue_name(name).send());
        found.map_err(code).map(|answer| answer.queue_url)
    };
    assert_eq!(find(SOURCE), Ok(Some(url.clone())));
    let absent = "AWS.SimpleQueueService.NonExistentQueue";
    assert_eq!(find(DEAD), Err(absent.to_owned()));
    let change = |name: QueueAttributeName, value: &str| {
        let call = scene.client.set_queue_attributes();
        let call = call.queue_url(&url).attributes(name, value).send();
        block_on(call).map_err(code).map(|_| ())
    };
    assert_eq!(change(QueueAttributeName::VisibilityTimeout, "2"), Ok(()));
    let too_much = change(QueueAttributeName::VisibilityTimeout, "43201");
    assert_eq!(too_much, Err("InvalidAttributeValue".to_owned()));
    let no_target = json!({"deadLetterTargetArn": arn(DEAD), "maxReceiveCount": 2}).to_string();
    let no_target = change(QueueAttributeName::RedrivePolicy, &no_target);
    assert_eq!(no_target, Err("InvalidParameterValue".to_owned()));
    let told = told_attributes(&scene);
    assert_eq!(told["VisibilityTimeout"], "2");
    assert_eq!(told["QueueArn"], arn(SOURCE));
    assert_eq!(told["ApproximateNumberOfMessages"], "0");
    assert_eq!(told["MessageRetentionPeriod"], "345600");
}

#[test]
fn many_pollers_share_what_is_there() {
    let scene = Scene::new();
    let bodies: Vec<String> = (0..500).map(|n| format!("invented {n}")).collect();
    let sent = scene.fake.send(SOURCE, &bodies);
    let (done, received) = std::sync::mpsc::channel();
    for _ in 0..8 {
        let (client, url, done) = (scene.client.clone(), scene.fake.url(SOURCE), done.clone());
        spawn(async move {
            loop {
                let call = client.receive_message().queue_url(&url);
                let answer = call.max_number_of_messages(10).send().await;
                let messages = answer.ok().and_then(|answer| answer.messages);
                match messages {
                    None => return,
                    Some(messages) => drop(done.send(messages)),
                }
            }
        });
    }
    drop(done);
    let received: Vec<_> = received.iter().flatten().collect();
    let mut known = ids(&received);
    known.sort_unstable();
    let mut sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    sent.sort_unstable();
    assert_eq!(known, sent);
    for ten in handles(&received).chunks(10) {
        let answer = scene.delete_batch(ten).expect("delete");
        assert_eq!((answer.successful.len(), answer.failed.len()), (10, 0));
    }
    assert_eq!(scene.counts_of(SOURCE), (0, 0, 0));
}
