//! A message as the queue keeps it, and the handles that receives give out.
//! Only the newest handle is the message's; a handle names the receive that it
//! came from, so that an older one is told apart.

use std::sync::Arc;

use crate::fake_network::fired::Fired;
use crate::fake_queue::attribute::{self, Attribute, Attributes};
use crate::fake_queue::clock::Moment;

/// What a rejected message's copy is known by: the id that it first had.
const ORIGIN_ID: &str = "etl-host.origin-id";

/// What is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    pub body: String,
    pub attributes: Attributes,
    pub trace_header: Option<String>,
    pub group: Option<String>,
    pub deduplication_id: Option<String>,
    pub delay_secs: Option<u32>,
}

impl Outgoing {
    pub fn new(body: impl Into<String>) -> Outgoing {
        Outgoing {
            body: body.into(),
            ..Outgoing::default()
        }
    }

    pub fn attribute(mut self, name: &str, text: &str) -> Outgoing {
        self.attributes
            .insert(name.to_owned(), Attribute::text(text));
        self
    }

    pub fn group(self, group: &str) -> Outgoing {
        Outgoing {
            group: Some(group.to_owned()),
            ..self
        }
    }

    pub fn deduplication_id(self, id: &str) -> Outgoing {
        Outgoing {
            deduplication_id: Some(id.to_owned()),
            ..self
        }
    }

    pub fn delay_secs(self, secs: u32) -> Outgoing {
        Outgoing {
            delay_secs: Some(secs),
            ..self
        }
    }

    pub fn bytes(&self) -> usize {
        self.body.len() + attribute::size(&self.attributes)
    }
}

#[derive(Clone)]
pub struct Stored {
    pub message_id: String,
    pub sent: Arc<Outgoing>,
    pub sent_ms: u64,
    pub first_received_ms: Option<u64>,
    pub receive_count: u32,
    /// In FIFO queues.
    pub sequence_number: Option<String>,
    /// The queue that gave it up.
    pub dead_letter_source: Option<String>,
    pub state: State,
    /// The receive whose handle is the newest; 0 before the first.
    pub newest_receive: u64,
    /// It was deleted, and comes back all the same.
    pub undead: Option<Arc<Fired>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Visible,
    Delayed {
        until: Moment,
    },
    InFlight {
        since: Moment,
        until: Moment,
    },
    /// Deleted, and about to come back.
    Undead {
        until: Moment,
    },
}

impl State {
    /// When it becomes visible by itself.
    pub fn until(self) -> Option<Moment> {
        match self {
            State::Visible => None,
            State::Delayed { until } | State::InFlight { until, .. } | State::Undead { until } => {
                Some(until)
            }
        }
    }
}

impl Stored {
    /// The id under which a consumer knows it through all its lives.
    pub fn origin_id(&self) -> &str {
        match self.sent.attributes.get(ORIGIN_ID) {
            Some(Attribute {
                value: attribute::AttributeValue::Text(text),
                ..
            }) => text,
            _ => &self.message_id,
        }
    }
}

/// Names a receive of a message of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    pub queue: u64,
    pub message: u64,
    pub receive: u64,
}

impl Handle {
    pub fn text(self) -> String {
        format!(
            "handle.{:x}.{:x}.{:x}",
            self.queue, self.message, self.receive
        )
    }

    pub fn parse(text: &str) -> Option<Handle> {
        let mut parts = text.strip_prefix("handle.")?.split('.');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let handle = Handle {
            queue: number()?,
            message: number()?,
            receive: number()?,
        };
        (handle.text() == text).then_some(handle)
    }
}

/// A message id as SQS makes them.
pub fn new_message_id() -> String {
    let random = format!("{:032x}", rand::random::<u128>());
    let (a, b, c, d, e) = (
        &random[..8],
        &random[8..12],
        &random[13..16],
        &random[17..20],
        &random[20..],
    );
    format!("{a}-{b}-4{c}-8{d}-{e}")
}
