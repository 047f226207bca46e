//! The way to the queue: its name, its connection, its TLS and the clock. What
//! may pass is waited for, what may not is said at once, and either way every
//! message waits in the queue. A name that stops resolving under a running host
//! cannot be had here; to the host it is one more connection that fails.

use std::net::SocketAddr;

use super::scene::{RECEIVES, Scene};
use super::tls_door::TlsDoor;
use crate::fake_queue::fault::{Action, Fault};
use crate::fake_queue::operation::Operation;
use crate::fake_queue::refusal::Refusal;
use crate::support::folder::Folder;
use crate::support::host::Host;
use crate::tls::authority::{Authority, PUBLIC};

/// What the host says when it waits for a service at its start.
const WAITING: &str = "waiting for a service";
const MESSAGES: usize = 5;
/// The host that the certificates are for.
const NAME: &str = "localhost";

impl Scene {
    fn with_messages(name: &'static str) -> Scene {
        let mut scene = Scene::new(name);
        scene.send(MESSAGES);
        scene
    }

    /// A host that looks for the queue elsewhere.
    pub fn host_at(&self, endpoint: &str) -> Host {
        self.host().env("AWS_ENDPOINT_URL_SQS", endpoint)
    }

    pub fn address(&self) -> SocketAddr {
        let address = self.fake.endpoint().strip_prefix("http://");
        let address = address.expect("it speaks plain HTTP");
        address.parse().expect("an address")
    }

    /// The host ends like this before it has received anything.
    #[track_caller]
    fn fails(&mut self, host: Host, code: i32, words: &[&str]) {
        let run = host.option("--startup-wait-secs", "1").run().exited(code);
        self.keep(run.says(words));
        assert_eq!(self.counts().tally.received, 0, "received all the same");
    }
}

/// Has the host believe this authority and nobody else.
fn believing(authority: &Authority, home: &Folder, host: Host) -> Host {
    let file = home.keep("authority.crt", &authority.pem(), PUBLIC);
    host.env("SSL_CERT_FILE", file)
}

/// Case 29.
#[test]
fn a_name_that_does_not_resolve_is_waited_for_and_then_said() {
    let mut scene = Scene::with_messages("unresolved");
    let endpoint = "http://sqs.invented.invalid:9324";
    scene.fails(scene.host_at(endpoint), 69, &[endpoint]);
    scene.drain();
    scene.assert_settled();
}

/// Case 29.
#[test]
fn a_service_that_refuses_connections_at_first_is_waited_for() {
    let mut scene = Scene::with_messages("refused");
    scene.fake.go_down();
    let endpoint = scene.fake.endpoint().to_owned();
    let mut host = scene.host().until_empty().start();
    host.wait_until_it_says(WAITING);
    host.wait_until_it_says(&format!("at {endpoint}: Connection refused"));
    scene.fake.come_up();
    assert_eq!(scene.ended(host)["stored"], MESSAGES);
    scene.assert_settled();
}

/// Case 29.
#[test]
fn a_certificate_is_believed_only_from_a_known_issuer_and_for_the_right_name() {
    let (right, wrong) = (Authority::new("right"), Authority::new("wrong"));
    let home = Folder::new("endpoint");
    let mut scene = Scene::with_messages("certificate");
    let door = TlsDoor::before(scene.address(), &right.issue(NAME));
    let by_name = scene.host_at(&door.url(NAME));
    let distrusting = believing(&wrong, &home, by_name);
    scene.fails(distrusting, 78, &["UnknownIssuer", "SSL_CERT_FILE"]);
    let by_number = scene.host_at(&door.url("127.0.0.1"));
    let misnaming = believing(&right, &home, by_number);
    scene.fails(misnaming, 78, &[NAME, "the endpoint's name"]);

    let by_name = scene.host_at(&door.url(NAME));
    let host = believing(&right, &home, by_name).until_empty().start();
    assert_eq!(scene.ended(host)["stored"], MESSAGES);
    scene.assert_settled();
}

/// Case 29.
#[test]
fn a_certificate_that_is_wrong_for_a_while_is_outlasted() {
    let (right, wrong) = (Authority::new("right"), Authority::new("wrong"));
    let home = Folder::new("endpoint");
    let mut scene = Scene::new("certificate_renewed");
    let door = TlsDoor::before(scene.address(), &right.issue(NAME));
    let host = scene.host_at(&door.url(NAME));
    let mut host = believing(&right, &home, host).start();
    let journal = scene.fake.journal();
    host.wait_until("it polls", || {
        journal.open(Operation::ReceiveMessage) == RECEIVES
    });
    door.show(&wrong.issue(NAME));
    // What a poll takes that nobody waits for would be hidden for long.
    host.wait_until("the polls are cut off", || {
        journal.open(Operation::ReceiveMessage) == 0
    });
    scene.send(MESSAGES);
    host.wait_until_it_says("UnknownIssuer");
    assert_eq!(scene.counts().tally.received, 0);
    door.show(&right.issue(NAME));
    host.wait_until("the queue is empty", || scene.is_empty());
    assert_eq!(scene.stop(host)["stored"], MESSAGES);
    scene.assert_settled();
}

/// Case 29.
#[test]
fn plain_text_where_tls_is_asked_for_is_said_at_once_and_the_other_way_round() {
    let mut scene = Scene::with_messages("plain_text");
    let encrypted = scene.fake.endpoint().replace("http://", "https://");
    scene.fails(scene.host_at(&encrypted), 78, &[&encrypted, "http://?"]);
    let certificate = Authority::new("any").issue(NAME);
    let door = TlsDoor::before(scene.address(), &certificate);
    let plain = door.url(NAME).replace("https://", "http://");
    scene.fails(scene.host_at(&plain), 78, &[&plain, "https://?"]);
    scene.drain();
    scene.assert_settled();
}

/// Case 26. With the host running it is `receive` that asks.
#[test]
fn a_clock_that_is_wrong_at_the_start_is_waited_for() {
    let mut scene = Scene::new("clock");
    for refusal in [Refusal::clock_skewed(), Refusal::expired_signature()] {
        let refused = Fault::everywhere(Action::Refuse(refusal)).until_stopped();
        let refused = scene.fake.fault(refused);
        scene.send(MESSAGES);
        let mut host = scene.host().until_empty().start();
        host.wait_until_it_says(WAITING);
        host.wait_until_it_says("is the clock of this machine right?");
        host.wait_until("it asks again", || refused.count() >= 2);
        refused.stop();
        assert_eq!(scene.ended(host)["stored"], MESSAGES);
    }
    scene.assert_settled();
}

/// Under the code of an expired signature, and no clock mends it.
#[test]
fn a_wrong_secret_key_is_said_at_once() {
    let mut scene = Scene::with_messages("secret_key");
    let refused = Fault::everywhere(Action::Refuse(Refusal::wrong_signature()));
    let refused = scene.fake.fault(refused.until_stopped());
    scene.fails(scene.host(), 78, &["SignatureDoesNotMatch"]);
    refused.assert_fired();
    refused.stop();
    scene.drain();
    scene.assert_settled();
}
