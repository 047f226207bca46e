//! The stream of messages: invented logins, and among them bad ones of each
//! kind. It goes on for as long as something goes wrong, no faster than the
//! hosts can follow, and with a quiet spell now and then, in which their polls
//! wait. What was sent is kept, to be compared at the end.
//!
//! Sensitive values all begin alike, so that one search finds any of them.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::fake_queue::store::message::Outgoing;
use crate::schedule::Schedule;
use crate::stage::{DEAD, SOURCE, Stage};
use crate::support::login::{Login, today};

/// What every sensitive value begins with.
pub const CANARIES: [&str; 2] = ["device-soak-", "2001:db8:50a4:"];
/// Fewer visible messages than this, and more are sent.
const BACKLOG_MIN: usize = 500;
const SENT_AT_ONCE: usize = 50;
const BAD_SHARE: f64 = 0.04;
/// Of the messages that claim another one's identity.
const FORGED_SHARE: f64 = 0.02;
/// The attributes of a dead letter by which a forger claims it.
const CLAIMS: [&str; 3] = [
    "etl-host.origin-id",
    "etl-host.origin-sent-ms",
    "etl-host.origin-mac",
];
const QUIET_SPELLS_PER_MINUTE: f64 = 1.5;
const QUIET_SECS: std::ops::Range<f64> = 4.0..12.0;

pub struct Sent {
    pub id: String,
    pub body: String,
    pub what: What,
    /// The days on which the queue may have taken it, around midnight two.
    pub days: [i32; 2],
    /// Whether it claims to be another message.
    pub forged: bool,
}

pub enum What {
    Good(Login),
    Bad(&'static str),
}

/// Each kind of bad message, and how a login becomes one.
type Spoil = fn(&mut Login) -> String;
const BAD: [(&str, Spoil); 9] = [
    ("cut short", |login| {
        let mut body = login.body();
        body.pop();
        body
    }),
    ("member missing", |login| {
        let mut body = login.json();
        body.as_object_mut()
            .expect("an object")
            .remove("device_type");
        body.to_string()
    }),
    ("wrong type", |login| {
        let mut body = login.json();
        body["user_id"] = json!([login.device_id]);
        body.to_string()
    }),
    ("no version", |login| {
        let mut body = login.json();
        body["app_version"] = json!("2.x");
        body.to_string()
    }),
    ("version out of range", |login| {
        let mut body = login.json();
        body["app_version"] = json!("2.1000");
        body.to_string()
    }),
    ("zero character", |login| {
        login.user_id.push('\0');
        login.body()
    }),
    ("not an object", |login| {
        json!([login.ip, login.device_id]).to_string()
    }),
    ("too long for its column", |login| {
        login.device_type = "x".repeat(33);
        login.body()
    }),
    ("refused by a constraint", |login| {
        login.device_type = "refused by a constraint".to_owned();
        login.body()
    }),
];

pub struct Stream {
    rng: StdRng,
    quiet_spells: Schedule,
    quiet_until: Instant,
    pub sent: Vec<Sent>,
}

impl Stream {
    pub fn new(rng: StdRng) -> Stream {
        Stream {
            rng,
            quiet_spells: Schedule::new(QUIET_SPELLS_PER_MINUTE),
            quiet_until: Instant::now(),
            sent: Vec::new(),
        }
    }

    /// Sends more where little is left.
    pub fn feed(&mut self, stage: &Stage) {
        let now = Instant::now();
        if self.quiet_spells.is_due(&mut self.rng) {
            let secs = self.rng.random_range(QUIET_SECS);
            self.quiet_until = now + Duration::from_secs_f64(secs);
        }
        if now < self.quiet_until || stage.queue.counts(SOURCE).visible >= BACKLOG_MIN {
            return;
        }
        for _ in 0..SENT_AT_ONCE {
            let (body, what) = self.invent();
            let before = today();
            let claim = self.forged_claim(stage);
            let forged = claim.is_some();
            let message = claim.unwrap_or_default();
            let id = stage.queue.put(
                SOURCE,
                Outgoing {
                    body: body.clone(),
                    ..message
                },
            );
            self.sent.push(Sent {
                id,
                body,
                what,
                days: [before, today()],
                forged,
            });
        }
    }

    /// Sends again at once, however long it was to be quiet.
    pub fn end_quiet_spell(&mut self) {
        self.quiet_until = Instant::now();
    }

    /// The attributes of a forger: another message's id with an invented proof,
    /// or all that stands on a dead letter.
    fn forged_claim(&mut self, stage: &Stage) -> Option<Outgoing> {
        if self.sent.is_empty() || !self.rng.random_bool(FORGED_SHARE) {
            return None;
        }
        let letters = stage.queue.messages(DEAD);
        if !letters.is_empty() && self.rng.random_bool(0.5) {
            let seen = &letters[self.rng.random_range(0..letters.len())].sent;
            let claims = seen.attributes.iter();
            let claims = claims.filter(|(name, _)| CLAIMS.contains(&name.as_str()));
            return Some(Outgoing {
                attributes: claims
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                ..Outgoing::default()
            });
        }
        let claimed = &self.sent[self.rng.random_range(0..self.sent.len())].id;
        let mac = format!("{:064x}", self.rng.random::<u128>());
        let [id, sent_ms, proof] = CLAIMS;
        let message = Outgoing::default().attribute(id, claimed);
        Some(message.attribute(sent_ms, "7").attribute(proof, &mac))
    }

    fn invent(&mut self) -> (String, What) {
        let n = self.sent.len();
        let mut login = Login::invented("soak", n);
        login.ip = format!("2001:db8:50a4:{:x}::{:x}", n >> 16, n & 0xffff);
        for (value, canary) in [(&login.device_id, CANARIES[0]), (&login.ip, CANARIES[1])] {
            assert!(value.starts_with(canary), "{value} would not be found");
        }
        if !self.rng.random_bool(BAD_SHARE) {
            return (login.body(), What::Good(login));
        }
        let (kind, spoil) = BAD[self.rng.random_range(0..BAD.len())];
        (spoil(&mut login), What::Bad(kind))
    }
}
