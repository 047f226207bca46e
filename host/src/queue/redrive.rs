//! Dead letters on their way back: out of the dead-letter queue, and into the
//! queue that they came from, under the identity that they first had.
//!
//! A dead letter is deleted only with the proof that the other queue has it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::aws::AwsQueue;
use super::breaker::Breakers;
use super::calls::{DeadLetterCalls, OutgoingMessage};
use super::client::{
    Queue, QueueSettings, VISIBILITY_SECS_DEFAULT, bytes_max, dead_letter_url, name,
    redrive_target, seconds,
};
use super::error::QueueError;
use super::send::{self, Sent};
use super::timing::Timing;
use crate::message::{Attribute, Message};
use crate::origin::{Claim, Secrets};

/// A dead-letter queue, and the queue that its messages came from.
#[derive(Debug)]
pub struct Redrive {
    /// The dead-letter queue, to be received from.
    pub from: Queue,
    /// Where its messages go back to.
    pub to: ReturnAddress,
    /// What an operator should know of them.
    pub warnings: Vec<String>,
}

/// The queue that messages came from, and are sent back to.
#[derive(Clone, Debug)]
pub struct ReturnAddress {
    calls: Arc<dyn DeadLetterCalls>,
    /// The name at the end of its URL.
    pub name: String,
    /// Whether the queue keeps order within groups.
    pub fifo: bool,
    bytes_max: usize,
    secrets: Secrets,
}

/// A message that is to go back.
#[derive(Clone, Copy, Debug)]
pub struct Returning<'a> {
    /// The message, without what the host has added to it.
    pub message: &'a Message,
    /// The origin that it claims, where nobody here can check it: it goes along
    /// as it is, for the host that can.
    pub claim: Option<&'a Claim>,
}

/// Proof that the queue which a message came from has it again.
#[derive(Debug)]
pub struct Returned(());

/// What became of a message that was to be sent back.
#[derive(Debug)]
pub enum Return {
    /// It is there.
    Accepted(Returned),
    /// It cannot go there: it is larger than that queue allows.
    Unfit,
    /// It did not get there this time, or waits for one of its group that did
    /// not.
    Failed,
}

impl Redrive {
    /// Finds both queues, with what origins are signed under: the dead-letter queue is the one that is named, or
    /// the target of the other one's RedrivePolicy.
    ///
    /// # Errors
    /// A queue cannot be reached, does not exist or may not be used, or there
    /// is no dead-letter queue.
    pub async fn find(settings: &QueueSettings, secrets: Secrets) -> Result<Self, QueueError> {
        let mut source = AwsQueue::new(&settings.url).await?;
        let attributes = source.attributes().await?;
        let url = dead_letter_url(settings, &source, &attributes).await?;
        let url = url.ok_or_else(|| {
            QueueError::configuration(
                "the queue has no RedrivePolicy: give --dead-letter-queue-url".into(),
            )
        })?;
        let mut dead = source.other(&url)?;
        let about = |error: QueueError| error.about(&format!("dead-letter queue {url}"));
        let its = dead.attributes().await.map_err(about)?;
        let visibility = seconds(&its, "VisibilityTimeout")
            .unwrap_or(Duration::from_secs(VISIBILITY_SECS_DEFAULT));
        let timing = Timing::new(visibility, settings.poll_max);
        dead.keep_to(&timing);
        source.keep_to(&timing);
        let warnings = redrive_target(&its).map(|target| {
            format!(
                "the dead-letter queue has a RedrivePolicy of its own: a message that is looked at \
                 too often goes to {target}"
            )
        });
        Ok(Self {
            from: Queue {
                calls: Arc::new(dead),
                name: name(&url),
                timing,
                fifo: url.ends_with(".fifo"),
                secrets: secrets.clone(),
                breakers: Breakers::default(),
            },
            to: ReturnAddress {
                calls: Arc::new(source),
                name: name(&settings.url),
                fifo: settings.url.ends_with(".fifo"),
                bytes_max: bytes_max(&attributes),
                secrets,
            },
            warnings: warnings.into_iter().collect(),
        })
    }
}

impl ReturnAddress {
    /// Whether a message can go back, with the attributes that it then has.
    pub fn takes(&self, returning: Returning<'_>) -> bool {
        self.outgoing(returning).fits(self.bytes_max)
    }

    /// The message with its origin, as far as that fits: signed anew where it
    /// is known, else as it claims it. Unsigned, nobody would believe it.
    fn outgoing<'a>(&self, returning: Returning<'a>) -> OutgoingMessage<'a> {
        let Returning { message, claim } = returning;
        let origin: Vec<Attribute> = match claim {
            Some(claim) => claim.clone().into_attributes(),
            None if self.secrets.signing_id().is_some() => self.secrets.origin(message),
            None => Vec::new(),
        };
        OutgoingMessage::fitted(message, origin, self.bytes_max)
    }

    /// Sends messages back, each at most once; says of each what became of it.
    /// A FIFO queue gets the messages of a group in their order: where one does
    /// not get there, the later ones are not sent.
    ///
    /// # Errors
    /// The queue did not answer, or not with yes; some may have got there.
    pub async fn send(&self, messages: &[Returning<'_>]) -> Result<Vec<Return>, QueueError> {
        let mut returns: Vec<Return> = messages.iter().map(|_| Return::Failed).collect();
        let mut open: Vec<usize> = (0..messages.len()).collect();
        while !open.is_empty() {
            let (now, later) = match self.fifo {
                true => first_of_each_group(messages, open),
                false => (open, Vec::new()),
            };
            let outgoing = now.iter().map(|place| self.outgoing(messages[*place]));
            let sent = send::send(&*self.calls, self.bytes_max, outgoing.collect()).await?;
            let mut stopped = HashSet::new();
            for (place, sent) in now.iter().zip(sent) {
                returns[*place] = match sent {
                    Sent::Accepted => Return::Accepted(Returned(())),
                    Sent::Unfit => Return::Unfit,
                    Sent::Failed => Return::Failed,
                };
                if sent != Sent::Accepted {
                    stopped.extend(messages[*place].message.group());
                }
            }
            open = later;
            open.retain(|place| {
                !messages[*place]
                    .message
                    .group()
                    .is_some_and(|g| stopped.contains(g))
            });
        }
        Ok(returns)
    }
}

/// Of some messages, in their order, those that are the first of their groups,
/// and the others. A message without a group is the first of its own.
fn first_of_each_group(messages: &[Returning<'_>], places: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
    let mut groups = HashSet::new();
    places.into_iter().partition(|place| {
        messages[*place]
            .message
            .group()
            .is_none_or(|group| groups.insert(group))
    })
}
