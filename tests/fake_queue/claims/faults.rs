//! Claims about scripted faults: each does what it says, and counts it.

use std::time::{Duration, Instant};

use super::{SOURCE, Scene, bodies, handle, handles, ids, receive, system};
use crate::fake_queue::attribute::md5_of_text;
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::journal::Outcome;
use crate::fake_queue::operation::{DELETES, EXTENSIONS, Operation, SENDS};
use crate::fake_queue::refusal::Refusal;
use crate::support::wait_until;

const RECEIVE: [Operation; 1] = [Operation::ReceiveMessage];

impl Scene {
    fn try_receive(&self) -> Result<usize, String> {
        let received = receive(&self.client, &self.fake.url(SOURCE), 0);
        received.map(|received| received.len())
    }
}

#[test]
fn a_call_is_refused_as_often_as_asked_and_then_goes_through() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    for (refusal, code) in [
        (Refusal::internal_error(), "InternalFailure"),
        (Refusal::unavailable(), "ServiceUnavailable"),
        (Refusal::throttled(), "ThrottlingException"),
        (Refusal::expired_token(), "ExpiredToken"),
        (Refusal::access_denied(), "AccessDenied"),
        (Refusal::clock_skewed(), "RequestTimeTooSkewed"),
        (Refusal::expired_signature(), "SignatureDoesNotMatch"),
        (Refusal::wrong_signature(), "SignatureDoesNotMatch"),
        (
            Refusal::no_such_queue(),
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
    ] {
        let fault = Fault::on(RECEIVE, Action::Refuse(refusal)).times(2);
        let fired = scene.fake.fault(fault);
        assert_eq!(scene.try_receive(), Err(code.to_owned()));
        assert_eq!(scene.try_receive(), Err(code.to_owned()));
        assert_eq!(fired.count(), 2);
    }
    assert_eq!(scene.counts_of(SOURCE), (1, 0, 0));
    assert_eq!(scene.try_receive(), Ok(1));
}

#[test]
fn a_fault_keeps_to_its_operation_its_queue_and_its_turn() {
    let scene = Scene::new();
    let refuse = || Action::Refuse(Refusal::unavailable());
    let elsewhere = Fault::everywhere(refuse()).in_queue("another");
    let elsewhere = scene.fake.fault(elsewhere.until_stopped());
    let deletes = scene.fake.fault(Fault::on(DELETES, refuse()));
    let third = scene.fake.fault(Fault::on(RECEIVE, refuse()).after(2));
    assert_eq!(scene.try_receive(), Ok(0));
    assert_eq!(scene.try_receive(), Ok(0));
    assert!(scene.try_receive().is_err());
    assert_eq!(scene.try_receive(), Ok(0));
    let counts = [elsewhere.count(), deletes.count(), third.count()];
    assert_eq!(counts, [0, 0, 1]);
}

#[test]
#[should_panic(expected = "the fault did not fire")]
fn a_fault_that_did_not_fire_is_told() {
    let scene = Scene::new();
    let fired = scene.fake.fault(Fault::everywhere(Action::Hang));
    fired.assert_fired();
}

#[test]
fn a_call_hangs_until_the_client_gives_up() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let fired = scene.fake.fault(Fault::on(RECEIVE, Action::Hang));
    let url = scene.fake.url(SOURCE);
    let hung = receive(&scene.impatient(), &url, 0);
    assert_eq!(hung, Err("timeout".to_owned()));
    wait_until("the call has come", || fired.count() == 1);
    assert_eq!(scene.counts_of(SOURCE), (1, 0, 0));
    wait_until("the queue has noticed", || {
        scene.fake.journal().calls()[0].outcome == Outcome::Lost
    });
}

#[test]
fn a_delayed_call_takes_effect_late_and_a_delayed_answer_early() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let delay = Duration::from_secs(1);
    let started = Instant::now();
    let late = scene.fake.fault(Fault::on(RECEIVE, Action::Delay(delay)));
    assert_eq!(scene.try_receive(), Ok(1));
    late.assert_fired();
    let call = &scene.fake.journal().calls()[0];
    assert!(call.ended.expect("it has ended") - call.began >= delay);

    scene.lease_runs_out();
    let early = Fault::on(RECEIVE, Action::DelayAnswer(delay));
    let early = scene.fake.fault(early);
    assert_eq!(scene.try_receive(), Ok(1));
    let answered = scene.fake.wall_now();
    early.assert_fired();
    let call = &scene.fake.journal().calls()[1];
    assert!(answered - call.ended.expect("it has ended") >= delay);
    assert!(started.elapsed() >= 2 * delay);
}

#[test]
fn a_reset_before_the_effect_leaves_the_messages_visible() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let fired = scene.fake.fault(Fault::on(RECEIVE, Action::Reset));
    assert_eq!(scene.try_receive(), Err("dispatch".to_owned()));
    fired.assert_fired();
    assert_eq!(scene.counts_of(SOURCE), (1, 0, 0));
}

#[test]
fn an_answer_is_lost_after_the_messages_were_hidden() {
    let scene = Scene::new();
    let fired = scene.fake.fault(Fault::on(RECEIVE, Action::LoseAnswer));
    assert_eq!(scene.try_receive(), Ok(0), "an empty answer is no loss");
    scene.fake.send(SOURCE, &["a"]);
    assert_eq!(scene.try_receive(), Err("dispatch".to_owned()));
    fired.assert_fired();
    assert_eq!(scene.counts_of(SOURCE), (0, 1, 0));
    scene.lease_runs_out();
    let again = scene.receive_one();
    assert_eq!(system(&again, "ApproximateReceiveCount"), Some("2"));
}

#[test]
fn an_answer_is_withheld_or_refused_after_a_delete_took_effect() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a", "b"]);
    let received = scene.receive();
    let refused = Action::RefuseAfterwards(Refusal::internal_error());
    let refused = scene.fake.fault(Fault::on(DELETES, refused));
    let code = scene.delete(handle(&received[0]));
    assert_eq!(code, Err("InternalFailure".to_owned()));
    refused.assert_fired();
    assert_eq!(scene.counts_of(SOURCE), (0, 1, 0));

    let withheld = scene.fake.fault(Fault::on(DELETES, Action::WithholdAnswer));
    let impatient = Scene {
        client: scene.impatient(),
        fake: scene.fake,
    };
    let code = impatient.delete(handle(&received[1]));
    assert_eq!(code, Err("timeout".to_owned()));
    wait_until("the delete has taken effect", || {
        impatient.counts_of(SOURCE) == (0, 0, 0) && withheld.count() == 1
    });
}

#[test]
fn an_answer_ends_half_way() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let fired = scene.fake.fault(Fault::on(RECEIVE, Action::TruncateAnswer));
    let broken = scene.try_receive();
    assert!(broken.is_err(), "{broken:?}");
    fired.assert_fired();
    assert_eq!(scene.counts_of(SOURCE), (0, 1, 0));
}

#[test]
fn an_answer_comes_in_drips() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let drips = Action::DripAnswer {
        bytes: 50,
        pause: Duration::from_millis(50),
    };
    let fired = scene.fake.fault(Fault::on(RECEIVE, drips));
    let started = Instant::now();
    assert_eq!(scene.try_receive(), Ok(1));
    assert!(started.elapsed() >= Duration::from_millis(200));
    fired.assert_fired();
}

#[test]
fn a_receive_finds_nothing_though_something_is_there() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let fired = scene.fake.fault(Fault::on(RECEIVE, Action::FindNothing));
    assert_eq!(scene.try_receive(), Ok(0));
    assert_eq!((fired.count(), scene.try_receive()), (1, Ok(1)));
}

#[test]
fn a_poll_whose_client_has_gone_hides_nothing_unless_it_is_told_to() {
    let scene = Scene::new();
    let (url, journal) = (scene.fake.url(SOURCE), scene.fake.journal());
    let gives_up = || {
        let polled = receive(&scene.impatient(), &url, 20);
        assert_eq!(polled, Err("timeout".to_owned()));
    };
    gives_up();
    wait_until("the poll has come, and ended with its client", || {
        let (came, open) = (Operation::ReceiveMessage, Operation::ReceiveMessage);
        journal.count(came) == 1 && journal.open(open) == 0
    });
    scene.fake.send(SOURCE, &["a"]);
    let received = scene.receive_one();
    assert_eq!(scene.delete(handle(&received)), Ok(()));

    let fired = scene.fake.fault(Fault::on(RECEIVE, Action::OutliveClient));
    gives_up();
    wait_until("the client's end is noticed", || fired.count() == 1);
    let id = scene.fake.send(SOURCE, &["b"]).remove(0);
    wait_until("the message is hidden for nobody", || {
        scene.counts_of(SOURCE) == (0, 1, 0)
    });
    assert_eq!(journal.receives(&id), 1);
}

#[test]
fn a_wrong_digest_and_missing_members_are_told() {
    let scene = Scene::new();
    let sent = scene.fake.send(SOURCE, &["a", "b", "c", "d"]);
    let spoil = |message: &String, action| {
        let fault = Fault::on(RECEIVE, action).of_messages([message]);
        scene.fake.fault(fault)
    };
    let fired = [
        spoil(&sent[0], Action::WrongMd5),
        spoil(&sent[1], Action::Omit("MessageId")),
        spoil(&sent[2], Action::Omit("ReceiptHandle")),
        spoil(&sent[3], Action::Omit("Body")),
    ];
    let received = scene.receive();
    assert_ne!(received[0].md5_of_body(), Some(&*md5_of_text("a")));
    assert_eq!(received[1].message_id(), None);
    assert_eq!(received[2].receipt_handle(), None);
    assert_eq!(received[3].body(), None);
    fired.iter().for_each(|fired| fired.assert_fired());
}

#[test]
fn a_message_comes_twice_in_one_receive_and_the_second_handle_deletes() {
    let scene = Scene::new();
    let id = scene.fake.send(SOURCE, &["a"]).remove(0);
    let fired = scene.fake.fault(Fault::on(RECEIVE, Action::ComeTwice));
    let received = scene.receive();
    assert_eq!(ids(&received), [id.as_str(), id.as_str()]);
    fired.assert_fired();
    let handles = handles(&received);
    assert_ne!(handles[0], handles[1]);
    assert_eq!(scene.delete(handles[0]), Ok(()));
    assert_eq!(scene.counts_of(SOURCE), (0, 1, 0));
    assert_eq!(scene.delete(handles[1]), Ok(()));
    assert_eq!(scene.counts_of(SOURCE), (0, 0, 0));
}

#[test]
fn a_message_goes_to_two_pollers() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let fired = scene.fake.fault(Fault::on(RECEIVE, Action::StayVisible));
    let (first, second) = (scene.receive_one(), scene.receive_one());
    assert_eq!(first.message_id(), second.message_id());
    fired.assert_fired();
    assert!(scene.receive().is_empty());
    assert_eq!(scene.delete(handle(&first)), Ok(()));
    assert_eq!(scene.fake.counts(SOURCE).tally.stale_deletes, 1);
}

#[test]
fn a_message_comes_back_after_its_deletion() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    let after = Duration::from_secs(5);
    let fired = scene
        .fake
        .fault(Fault::on(DELETES, Action::ComeBack(after)));
    let first = scene.receive_one();
    assert_eq!(scene.delete(handle(&first)), Ok(()));
    assert_eq!(scene.counts_of(SOURCE), (0, 0, 0));
    assert_eq!(fired.count(), 0, "it has not come back yet");
    scene.fake.put_clock_forward(after);
    let again = scene.receive_one();
    assert_eq!(again.message_id(), first.message_id());
    fired.assert_fired();
    assert_eq!(scene.delete(handle(&again)), Ok(()));
    scene.fake.put_clock_forward(after);
    assert!(scene.receive().is_empty(), "it stays away now");
}

#[test]
fn chosen_entries_fail_and_the_others_do_not() {
    let scene = Scene::new();
    let sent = scene.fake.send(SOURCE, &["a", "b", "c"]);
    let fail = || Action::FailEntry(Refusal::internal_error());
    let received = scene.receive();
    let extensions = Fault::on(EXTENSIONS, fail()).at_positions([0, 2]).times(2);
    let extensions = scene.fake.fault(extensions);
    let failed = scene.extend_batch(&handles(&received), 60);
    let positions: Vec<&str> = failed.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!((positions, extensions.count()), (vec!["0", "2"], 2));

    let deletes = Fault::on(DELETES, fail()).of_messages([&sent[1]]);
    let deletes = scene.fake.fault(deletes);
    let answer = scene.delete_batch(&handles(&received)).expect("answered");
    assert_eq!((answer.successful.len(), answer.failed.len()), (2, 1));
    assert_eq!(answer.failed[0].id(), "1");
    assert!(!answer.failed[0].sender_fault());
    deletes.assert_fired();
    assert_eq!(bodies_left(&scene), ["b"]);

    let sends = scene.fake.fault(Fault::on(SENDS, fail()));
    let call = scene.client.send_message();
    let call = call
        .queue_url(scene.fake.url(SOURCE))
        .message_body("d")
        .send();
    assert!(crate::support::block_on(call).is_err());
    sends.assert_fired();
    assert_eq!(bodies_left(&scene), ["b"]);
}

fn bodies_left(scene: &Scene) -> Vec<String> {
    let left = scene.fake.messages(SOURCE);
    left.iter().map(|left| left.sent.body.clone()).collect()
}

#[test]
fn a_fault_lasts_until_it_is_stopped() {
    let scene = Scene::new();
    let refuse = Action::Refuse(Refusal::no_such_queue());
    let fault = Fault::everywhere(refuse).in_queue(SOURCE).until_stopped();
    let fired = scene.fake.fault(fault);
    for _ in 0..20 {
        assert!(scene.try_receive().is_err());
    }
    fired.stop();
    assert_eq!((scene.try_receive(), fired.count()), (Ok(0), 20));
}

#[test]
fn the_server_goes_down_and_comes_up_with_what_it_had() {
    let scene = Scene::new();
    scene.fake.send(SOURCE, &["a"]);
    assert_eq!(scene.try_receive(), Ok(1));
    assert!(scene.fake.go_down() > 0, "a connection was kept alive");
    assert_eq!(scene.try_receive(), Err("dispatch".to_owned()));
    assert_eq!(scene.fake.reset_connections(), 0);
    scene.fake.come_up();
    scene.lease_runs_out();
    assert_eq!(bodies(&scene.receive()), ["a"]);
    assert!(scene.fake.reset_connections() > 0);
}
