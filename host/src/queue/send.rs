//! Sending messages on: what a queue can take, in calls of ten and 1 MiB, and what
//! became of each.

use super::budget::BODY_BYTES_MAX;
use super::calls::{BATCH_ENTRIES_MAX, DeadLetterCalls, OutgoingMessage};
use super::error::QueueError;
use crate::message::{Attribute, AttributeValue};

/// Attributes of one message (SQS quota).
const ATTRIBUTES_MAX: usize = 10;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The queue has it.
    Accepted,
    /// The queue cannot take it: with the host's attributes the message would
    /// have too many of them, or be too large.
    Unfit,
    /// It did not get there this time.
    Failed,
}

/// Sends messages, each at most once; says of each what became of it.
///
/// # Errors
/// The queue did not answer, or not with yes; some may have got there.
pub(super) async fn send(
    calls: &dyn DeadLetterCalls,
    messages: Vec<OutgoingMessage<'_>>,
) -> Result<Vec<Sent>, QueueError> {
    let mut sent = vec![Sent::Unfit; messages.len()];
    let messages = messages.into_iter().enumerate();
    let (places, fitting): (Vec<usize>, Vec<OutgoingMessage<'_>>) =
        messages.filter(|(_, outgoing)| outgoing.fits()).unzip();
    let mut begun = 0;
    while begun < fitting.len() {
        let end = begun + call_len(&fitting[begun..]);
        let failures = calls.send(&fitting[begun..end]).await?;
        for (position, place) in places[begun..end].iter().enumerate() {
            let failure = failures.iter().find(|failure| failure.position == position);
            sent[*place] = match failure {
                None => Sent::Accepted,
                Some(failure) if failure.refused => Sent::Unfit,
                Some(_) => Sent::Failed,
            };
        }
        begun = end;
    }
    Ok(sent)
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

impl OutgoingMessage<'_> {
    /// Whether a queue can take it.
    pub(super) fn fits(&self) -> bool {
        !self.message.body.is_empty()
            && self.message.attributes.len() + self.given.len() <= ATTRIBUTES_MAX
            && self.bytes() <= BODY_BYTES_MAX
    }

    fn bytes(&self) -> usize {
        self.message.bytes() + self.given.iter().map(Attribute::bytes).sum::<usize>()
    }
}

/// An attribute that the host gives.
pub(super) fn given(name: &str, text: String) -> Attribute {
    Attribute {
        name: name.to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn message(body_bytes: usize, attributes: usize) -> Message {
        let attribute = |n: usize| given(&n.to_string(), "x".into());
        Message {
            queue_id: "id".into(),
            origin_id: "id".into(),
            body: "x".repeat(body_bytes),
            sent_ms: 0,
            attributes: (0..attributes).map(attribute).collect(),
            fifo: None,
        }
    }

    fn outgoing(message: &Message) -> OutgoingMessage<'_> {
        OutgoingMessage {
            message,
            given: vec![given("etl-host.origin-id", "id".into())],
        }
    }

    #[test]
    fn what_a_queue_would_refuse_does_not_fit() {
        let fits = |message: Message| outgoing(&message).fits();
        assert!(fits(message(1, 9)));
        assert!(!fits(message(1, 10)), "too many attributes");
        assert!(!fits(message(0, 0)), "no body");
        assert!(!fits(message(BODY_BYTES_MAX, 0)), "too large");
    }

    #[test]
    fn a_call_holds_ten_messages_and_a_mebibyte() {
        fn many(message: &Message) -> Vec<OutgoingMessage<'_>> {
            (0..12).map(|_| outgoing(message)).collect()
        }
        let (small, large) = (message(1, 0), message(BODY_BYTES_MAX / 2, 0));
        assert_eq!(call_len(&many(&small)), 10);
        assert_eq!(call_len(&many(&large)), 1);
    }
}
