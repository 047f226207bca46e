//! A queue: its messages by index, those that anybody may have, and those that
//! are hidden for a time.
//!
//! A receipt handle is an index and how often the place has been handed out:
//! an older handle fits no more.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt::Write;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use super::answer::Answer;
use super::request::{DeleteEntry, ENTRIES_MAX, HideEntry, Receive, SendEntry};

/// When the queue accepted all messages: 2026-11-23T00:00:00Z.
const SENT_MS: u64 = 1_795_392_000_000;
/// Digits of each half of a handle.
const HANDLE_DIGITS: usize = 8;
/// Makes a handle as long as those in AWS's own examples, 176 characters.
const HANDLE_FILL: &str = concat!(
    "AQEBinventedinventedinventedinventedinvented/",
    "inventedinventedinventedinventedinventedinvented+",
    "inventedinventedinventedinventedinventedinventedinventedinvented=="
);
const _: () = assert!(2 * HANDLE_DIGITS + HANDLE_FILL.len() == 176);

#[derive(Default)]
pub struct Queue {
    messages: Vec<Message>,
    sent: usize,
    /// Places of messages that are deleted.
    free: Vec<u32>,
    visible: VecDeque<u32>,
    /// When places may become visible again. Most never do: what stands here of
    /// a message that is deleted, or hidden for longer, counts for nothing.
    hidden: BinaryHeap<Reverse<(Instant, u32, u32)>>,
    counts: Counts,
}

/// How many messages there are.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub visible: usize,
    pub hidden: usize,
}

struct Message {
    /// As an answer holds it, up to the text of the receipt handle.
    json: Box<str>,
    state: MessageState,
    handed_out: u32,
    receives: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MessageState {
    Visible,
    Hidden { since: Instant, until: Instant },
    Deleted,
}

impl Queue {
    /// Adds a message; its id and the MD5 of its body.
    pub fn send(&mut self, body: &str) -> (String, String) {
        let md5 = hex(&Md5::digest(body));
        let id = message_id(self.sent);
        self.sent += 1;
        let body = serde_json::to_string(body).expect("a text is JSON");
        let json =
            format!(r#"{{"MessageId":"{id}","MD5OfBody":"{md5}","Body":{body},"ReceiptHandle":""#);
        let message = Message {
            json: json.into(),
            state: MessageState::Visible,
            handed_out: 0,
            receives: 0,
        };
        let place = match self.free.pop() {
            Some(place) => {
                let freed = &mut self.messages[place as usize];
                let handed_out = freed.handed_out;
                *freed = Message {
                    handed_out,
                    ..message
                };
                place
            }
            None => {
                self.messages.push(message);
                u32::try_from(self.messages.len() - 1).expect("fewer than 2³² messages")
            }
        };
        self.visible.push_back(place);
        self.counts.visible += 1;
        (id, md5)
    }

    pub fn send_batch(&mut self, entries: &[SendEntry<'_>]) -> String {
        let sent = entries.iter().map(|entry| {
            let (id, md5) = self.send(&entry.message_body);
            serde_json::json!({"Id": entry.id, "MessageId": id, "MD5OfMessageBody": md5})
        });
        let sent: Vec<_> = sent.collect();
        serde_json::json!({"Successful": sent, "Failed": []}).to_string()
    }

    pub fn counts(&mut self) -> Counts {
        self.bring_back();
        self.counts
    }

    /// When the next message may become visible by itself.
    pub fn next_return(&self) -> Option<Instant> {
        self.hidden.peek().map(|Reverse((until, ..))| *until)
    }

    /// Hands out what there is, hidden from now on; how many it was.
    pub fn receive(
        &mut self,
        receive: &Receive<'_>,
        visibility: Duration,
        answer: &mut String,
    ) -> usize {
        self.bring_back();
        let wanted = receive.max_number_of_messages.min(ENTRIES_MAX);
        let sent = receive.asks_for("SentTimestamp");
        let count = receive.asks_for("ApproximateReceiveCount");
        let since = Instant::now();
        let until = since + visibility;
        let mut taken = 0;
        while taken < wanted {
            let Some(place) = self.visible.pop_front() else {
                break;
            };
            let message = &mut self.messages[place as usize];
            if message.state != MessageState::Visible {
                continue;
            }
            message.state = MessageState::Hidden { since, until };
            message.handed_out = message.handed_out.wrapping_add(1);
            message.receives += 1;
            answer.push_str(if taken == 0 { r#"{"Messages":["# } else { "," });
            message.write(place, sent, count, answer);
            self.hidden
                .push(Reverse((until, place, message.handed_out)));
            taken += 1;
        }
        answer.push_str(if taken == 0 { "{}" } else { "]}" });
        self.counts.visible -= taken;
        self.counts.hidden += taken;
        taken
    }

    /// Deletes what these handles are the newest of. Any other handle is told
    /// the same, as SQS does. `ages` tells how long ago each was received.
    pub fn delete(&mut self, entries: &[DeleteEntry<'_>], ages: &mut Vec<Duration>) -> String {
        let mut answer = Answer::new(entries.len());
        for entry in entries {
            let Some((place, handed_out)) = parsed(&entry.receipt_handle) else {
                answer.failed(entry.id);
                continue;
            };
            answer.successful(entry.id);
            let Some(message) = self.messages.get_mut(place as usize) else {
                continue;
            };
            if message.handed_out != handed_out {
                continue;
            }
            match message.state {
                MessageState::Hidden { since, .. } => {
                    self.counts.hidden -= 1;
                    ages.push(since.elapsed());
                }
                MessageState::Visible => {
                    self.counts.visible -= 1;
                    self.visible.retain(|visible| *visible != place);
                    ages.push(Duration::ZERO);
                }
                MessageState::Deleted => continue,
            }
            message.state = MessageState::Deleted;
            message.json = Box::default();
            self.free.push(place);
        }
        answer.finish()
    }

    pub fn hide(&mut self, entries: &[HideEntry<'_>]) -> String {
        let mut answer = Answer::new(entries.len());
        for entry in entries {
            let until = Instant::now() + Duration::from_secs(entry.visibility_timeout);
            let found = parsed(&entry.receipt_handle).and_then(|(place, handed_out)| {
                let message = self.messages.get_mut(place as usize)?;
                let newest = message.handed_out == handed_out;
                match message.state {
                    MessageState::Hidden { since, .. } if newest => {
                        message.state = MessageState::Hidden { since, until };
                        Some(Reverse((until, place, handed_out)))
                    }
                    _ => None,
                }
            });
            match found {
                Some(hidden) => {
                    self.hidden.push(hidden);
                    answer.successful(entry.id);
                }
                None => answer.failed(entry.id),
            }
        }
        answer.finish()
    }

    /// Makes visible what has been hidden for its time.
    fn bring_back(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((due, place, handed_out))) = self.hidden.peek().copied()
            && due <= now
        {
            self.hidden.pop();
            let message = &mut self.messages[place as usize];
            if let MessageState::Hidden { until, .. } = message.state
                && message.handed_out == handed_out
                && until <= now
            {
                message.state = MessageState::Visible;
                self.visible.push_back(place);
                self.counts.hidden -= 1;
                self.counts.visible += 1;
            }
        }
    }
}

impl Message {
    fn write(&self, place: u32, sent: bool, count: bool, answer: &mut String) {
        answer.push_str(&self.json);
        // Writing to a text cannot fail.
        let _ = write!(answer, "{place:08x}{:08x}{HANDLE_FILL}\"", self.handed_out);
        if sent || count {
            answer.push_str(r#","Attributes":{"#);
            if sent {
                let _ = write!(answer, r#""SentTimestamp":"{SENT_MS}""#);
            }
            if count {
                answer.push_str(if sent { "," } else { "" });
                let _ = write!(answer, r#""ApproximateReceiveCount":"{}""#, self.receives);
            }
            answer.push('}');
        }
        answer.push('}');
    }
}

/// The place that a handle names, and how often it had been handed out.
fn parsed(handle: &str) -> Option<(u32, u32)> {
    let digits = |from: usize| {
        let digits = handle.get(from..from + HANDLE_DIGITS)?;
        u32::from_str_radix(digits, 16).ok()
    };
    Some((digits(0)?, digits(HANDLE_DIGITS)?))
}

/// No two alike, and the same in each run.
fn message_id(number: usize) -> String {
    let mixed = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let digits = format!("{mixed:032x}");
    let (a, b, c) = (&digits[..8], &digits[8..12], &digits[12..16]);
    format!("{a}-{b}-{c}-{}-{}", &digits[16..20], &digits[20..])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
