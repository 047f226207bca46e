//! Sending messages on: what a queue can take, in calls of ten and 1 MiB, and
//! what became of each.
//!
//! What the host adds never keeps a message from being sent: it is left out as
//! far as it does not fit, and altogether where the queue refuses it.

use super::budget::BODY_BYTES_MAX;
use super::calls::{BATCH_ENTRIES_MAX, DeadLetterCalls, OutgoingMessage};
use super::error::QueueError;
use crate::message::{Attribute, AttributeValue, Message};

/// Attributes of one message (SQS quota).
const ATTRIBUTES_MAX: usize = 10;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The queue has it.
    Accepted,
    /// The queue cannot take it, not even as it came: it is empty, or larger
    /// than this queue allows.
    Unfit,
    /// It did not get there this time.
    Failed,
}

/// Sends messages, each until the queue takes it or refuses it as it came; says
/// of each what became of it. `bytes_max` is the size of the largest message
/// that the queue takes.
///
/// # Errors
/// The queue did not answer, or not with yes; some may have got there.
pub(super) async fn send(
    calls: &dyn DeadLetterCalls,
    bytes_max: usize,
    messages: Vec<OutgoingMessage<'_>>,
) -> Result<Vec<Sent>, QueueError> {
    let mut sent = vec![Sent::Unfit; messages.len()];
    let messages = messages.into_iter().enumerate();
    let (mut places, mut fitting): (Vec<usize>, Vec<OutgoingMessage<'_>>) = messages
        .filter(|(_, outgoing)| outgoing.fits(bytes_max))
        .unzip();
    while !fitting.is_empty() {
        let refused = send_all(calls, &places, &fitting, &mut sent).await?;
        (places, fitting) = refused.into_iter().unzip();
    }
    Ok(sent)
}

/// Sends messages that fit. Gives those that the queue has refused with what
/// the host adds, without it.
async fn send_all<'a>(
    calls: &dyn DeadLetterCalls,
    places: &[usize],
    messages: &[OutgoingMessage<'a>],
    sent: &mut [Sent],
) -> Result<Vec<(usize, OutgoingMessage<'a>)>, QueueError> {
    let mut bare = Vec::new();
    let mut begun = 0;
    while begun < messages.len() {
        let end = begun + call_len(&messages[begun..]);
        let failures = calls.send(&messages[begun..end]).await?;
        for (position, place) in places[begun..end].iter().enumerate() {
            let outgoing = &messages[begun + position];
            let failure = failures.iter().find(|failure| failure.position == position);
            sent[*place] = match failure {
                None => Sent::Accepted,
                Some(failure) if failure.refused => {
                    if !outgoing.given.is_empty() {
                        let message = outgoing.message;
                        let given = Vec::new();
                        bare.push((*place, OutgoingMessage { message, given }));
                    }
                    Sent::Unfit
                }
                Some(_) => Sent::Failed,
            };
        }
        begun = end;
    }
    Ok(bare)
}

/// How many of the messages fit into one call: ten, and 1 MiB in all.
fn call_len(messages: &[OutgoingMessage<'_>]) -> usize {
    let mut bytes = 0;
    let messages = messages.iter().take(BATCH_ENTRIES_MAX);
    let within = messages.take_while(|outgoing| {
        bytes += outgoing.bytes();
        bytes <= BODY_BYTES_MAX
    });
    within.count().max(1)
}

impl<'a> OutgoingMessage<'a> {
    /// A message with as much of what the host has to add as a queue takes with
    /// it. `additions` has the most important first: from the first that does
    /// not fit, all are left out.
    pub(super) fn fitted(
        message: &'a Message,
        additions: Vec<Attribute>,
        bytes_max: usize,
    ) -> Self {
        let mut room = bytes_max.saturating_sub(message.bytes());
        let fits = |attribute: &Attribute| {
            let left = room.checked_sub(attribute.bytes());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let places = ATTRIBUTES_MAX.saturating_sub(message.attributes.len());
        let additions = additions.into_iter().filter_map(sendable).take(places);
        Self {
            message,
            given: additions.take_while(fits).collect(),
        }
    }

    /// Whether a queue that takes messages of this size can take it.
    pub(super) fn fits(&self, bytes_max: usize) -> bool {
        !self.message.body.is_empty()
            && self.message.attributes.len() + self.given.len() <= ATTRIBUTES_MAX
            && self.bytes() <= bytes_max
    }

    fn bytes(&self) -> usize {
        self.message.bytes() + self.given.iter().map(Attribute::bytes).sum::<usize>()
    }
}

/// An attribute of the host's in a form that SQS takes: it refuses an empty
/// text, and with one character that is none in XML the whole message. The name
/// of a column, or a pointer, may hold any.
fn sendable(mut attribute: Attribute) -> Option<Attribute> {
    if let AttributeValue::Text(text) = &mut attribute.value {
        if text.is_empty() {
            return None;
        }
        *text = text.replace(|char| !is_allowed(char), "\u{fffd}");
    }
    Some(attribute)
}

/// The characters of a message (SQS, by XML 1.0).
fn is_allowed(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::super::calls::{Answer, EntryFailure};
    use super::*;
    use crate::message::Fifo;
    use crate::origin::{Secret, SecretRing, Secrets};
    use crate::queue::dead_letter::additions;
    use crate::verdict::{Reason, Rejection};

    fn message(body_bytes: usize, names: impl IntoIterator<Item = String>) -> Message {
        let attribute = |name: String| Attribute::text(&name, "x".into());
        Message {
            queue_id: "0f6c3d1e".into(),
            origin_id: "0f6c3d1e".into(),
            body: "x".repeat(body_bytes),
            sent_ms: 1_795_392_000_123,
            attributes: names.into_iter().map(attribute).collect(),
            fifo: None,
        }
    }

    fn numbered(attributes: usize) -> impl Iterator<Item = String> {
        (0..attributes).map(|n| n.to_string())
    }

    fn secrets() -> Secrets {
        Secrets::new(SecretRing {
            secrets: Secret::new("a", &[1; 32]).into_iter().collect(),
            believes_ledger: true,
        })
    }

    fn all_of(message: &Message, secrets: &Secrets) -> Vec<Attribute> {
        let rejection = Rejection {
            reason: Reason::Malformed,
            field: Some("/ip".into()),
        };
        additions(message, &rejection, &"0".repeat(64), secrets)
    }

    fn names(of: &[Attribute]) -> Vec<&str> {
        let names = of.iter().map(|attribute| attribute.name.as_str());
        names
            .map(|name| name.trim_start_matches("etl-host."))
            .collect()
    }

    /// Whether SQS takes a message, by its documented quotas alone.
    fn is_lawful(outgoing: &OutgoingMessage<'_>, bytes_max: usize) -> bool {
        let attributes: Vec<&Attribute> = outgoing
            .message
            .attributes
            .iter()
            .chain(&outgoing.given)
            .collect();
        let mut names: Vec<&str> = attributes.iter().map(|a| a.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let bytes: usize = attributes.iter().map(|attribute| attribute.bytes()).sum();
        names.len() == attributes.len()
            && attributes.len() <= 10
            && outgoing.message.body.len() + bytes <= bytes_max
    }

    const ORDER: [&str; 6] = [
        "origin-id",
        "origin-mac",
        "reason",
        "origin-sent-ms",
        "field",
        "policy",
    ];

    #[test]
    fn what_has_no_room_is_left_out_from_the_end() {
        for own in 0..=10 {
            for fifo in [None, Some(Fifo { group: "g".into() })] {
                let mut message = message(1, numbered(own));
                message.fifo = fifo;
                let all = all_of(&message, &secrets());
                let outgoing = OutgoingMessage::fitted(&message, all, BODY_BYTES_MAX);
                assert!(outgoing.fits(BODY_BYTES_MAX), "{own} of its own");
                assert_eq!(names(&outgoing.given), ORDER[..(10 - own).min(6)]);
            }
        }
    }

    #[test]
    fn without_a_secret_the_origin_goes_without_a_proof() {
        let message = message(1, numbered(7));
        let all = all_of(&message, &Secrets::default());
        let outgoing = OutgoingMessage::fitted(&message, all, BODY_BYTES_MAX);
        assert_eq!(
            names(&outgoing.given),
            ["origin-id", "reason", "origin-sent-ms"]
        );
    }

    #[test]
    fn a_body_near_the_limit_goes_with_what_is_left() {
        let small = message(1, numbered(0));
        let all = all_of(&small, &secrets());
        let mut kept = Vec::new();
        let sizes: Vec<usize> = all.iter().map(Attribute::bytes).collect();
        for count in 0..=all.len() {
            let room: usize = sizes[..count].iter().sum();
            let message = message(BODY_BYTES_MAX - room, numbered(0));
            let outgoing = OutgoingMessage::fitted(&message, all.clone(), BODY_BYTES_MAX);
            assert!(outgoing.fits(BODY_BYTES_MAX));
            kept.push(outgoing.given.len());
        }
        assert_eq!(kept, [0, 1, 2, 3, 4, 5, 6]);
        let empty = message(0, numbered(0));
        assert!(!OutgoingMessage::fitted(&empty, all.clone(), BODY_BYTES_MAX).fits(BODY_BYTES_MAX));
        let large = message(2_000, numbered(0));
        assert!(
            !OutgoingMessage::fitted(&large, all, 1_024).fits(1_024),
            "for this queue"
        );
    }

    #[test]
    fn what_sqs_would_refuse_the_message_for_is_not_sent() {
        let message = message(1, numbered(0));
        let given = |field: &str| {
            let rejection = Rejection {
                reason: Reason::Malformed,
                field: Some(field.into()),
            };
            let all = additions(&message, &rejection, "0", &secrets());
            OutgoingMessage::fitted(&message, all, BODY_BYTES_MAX).given
        };
        assert!(!names(&given("")).contains(&"field"), "the whole body");
        let odd = given("/a\u{0}\u{ffff}\u{1b}名");
        let field = odd
            .iter()
            .find(|attribute| attribute.name.ends_with(".field"));
        let Some(AttributeValue::Text(text)) = field.map(|field| &field.value) else {
            panic!("a text");
        };
        assert_eq!(text, "/a\u{fffd}\u{fffd}\u{fffd}名");
    }

    #[test]
    fn a_call_holds_ten_messages_and_a_mebibyte() {
        fn many(message: &Message) -> Vec<OutgoingMessage<'_>> {
            let outgoing = || OutgoingMessage::fitted(message, Vec::new(), BODY_BYTES_MAX);
            (0..12).map(|_| outgoing()).collect()
        }
        let small = message(1, numbered(0));
        let large = message(BODY_BYTES_MAX / 2 + 1, numbered(0));
        assert_eq!(call_len(&many(&small)), 10);
        assert_eq!(call_len(&many(&large)), 1);
    }

    /// A queue that refuses whatever has an attribute of the host's.
    #[derive(Debug, Default)]
    struct Strict(Mutex<Vec<usize>>);

    impl DeadLetterCalls for Strict {
        fn send<'a>(
            &'a self,
            messages: &'a [OutgoingMessage<'a>],
        ) -> Answer<'a, Vec<EntryFailure>> {
            self.0
                .lock()
                .expect("no test panics here")
                .push(messages.len());
            let given = messages.iter().enumerate();
            let refused = given.filter(|(_, outgoing)| !outgoing.given.is_empty());
            let failures = refused.map(|(position, _)| EntryFailure {
                position,
                refused: true,
            });
            let failures = Ok(failures.collect());
            Box::pin(async move { failures })
        }
    }

    #[tokio::test]
    async fn what_a_queue_refuses_with_our_attributes_goes_without_them() {
        let (message, full) = (message(1, numbered(0)), message(1, numbered(10)));
        let queue = Strict::default();
        let fitted = |message| {
            let all = all_of(message, &secrets());
            OutgoingMessage::fitted(message, all, BODY_BYTES_MAX)
        };
        let messages = vec![fitted(&message), fitted(&full), fitted(&message)];
        let sent = send(&queue, BODY_BYTES_MAX, messages)
            .await
            .expect("an answer");
        assert_eq!(sent, [Sent::Accepted; 3]);
        assert_eq!(*queue.0.lock().expect("no test panics here"), [3, 2]);
    }

    /// Short, as long as SQS allows, and the host's own.
    fn attribute_names() -> impl Strategy<Value = Vec<String>> {
        let name = prop_oneof![
            "[a-z]{1,8}",
            "[a-zA-Z0-9_-]{256}",
            prop::sample::select(ORDER.to_vec()).prop_map(|name| format!("etl-host.{name}")),
        ];
        prop::collection::btree_set(name, 0..=10).prop_map(|names| names.into_iter().collect())
    }

    proptest! {
        /// Of whatever a producer may have sent, first and after a redrive.
        #[test]
        fn a_lawful_message_always_fits_and_keeps_what_is_its_own(
            names in attribute_names(),
            spare in 0..1_500_usize,
            signed in any::<bool>(),
        ) {
            let secrets = if signed { secrets() } else { Secrets::default() };
            let own: usize = message(0, names.clone()).bytes();
            let mut message = message(BODY_BYTES_MAX - own - spare.min(BODY_BYTES_MAX - own - 1), names);
            for _ in 0..3 {
                let before = message.attributes.len();
                let all = all_of(&message, &secrets);
                let outgoing = OutgoingMessage::fitted(&message, all, BODY_BYTES_MAX);
                prop_assert!(outgoing.fits(BODY_BYTES_MAX));
                prop_assert!(is_lawful(&outgoing, BODY_BYTES_MAX));
                let proved = outgoing.given.iter().any(|a| a.name.ends_with(".origin-mac"));
                let mut redriven = message.clone();
                redriven.attributes.extend(outgoing.given);
                redriven.queue_id = "new".into();
                redriven.origin_id = "new".into();
                redriven.sent_ms += 1;
                secrets.read(&mut redriven);
                if proved {
                    prop_assert_eq!(redriven.attributes.len(), before);
                    prop_assert_eq!(&redriven.origin_id, &message.origin_id);
                    prop_assert_eq!(redriven.sent_ms, message.sent_ms);
                }
                message = redriven;
            }
        }
    }
}
