//! A message's origin: the id and the time that it first had, and their proof.
//!
//! A redrive gives a message a new id and a new time. The copy in the
//! dead-letter queue therefore carries the first ones as attributes, with a MAC
//! under a secret that lives beside the ledger. Whoever may send to the queue
//! may write the same attributes: an origin that is not proved is a [`Claim`],
//! and a claim that nobody vouches for changes nothing about the message.
//!
//! The MAC covers the body and the producer's attributes too. A copied origin
//! therefore fits only a message of the same content, which gives the same row.
//! It covers neither queue nor table: a letter may go back to another queue, and
//! the key in the ledger holds the table anyway.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::hex::bytes_of;
use crate::message::{Attribute, AttributeValue, Message};

/// The id that the message first had.
pub const ORIGIN_ID: &str = "etl-host.origin-id";
/// The proof of that id and of the time: version, id of the secret, time in
/// milliseconds since 1970, and the MAC in hexadecimal, with colons between.
pub const ORIGIN_MAC: &str = "etl-host.origin-mac";
/// When the queue first accepted it, in milliseconds since 1970.
pub const ORIGIN_SENT_MS: &str = "etl-host.origin-sent-ms";
/// Why it was rejected.
pub const REASON: &str = "etl-host.reason";
/// Which field or column is at fault.
pub const FIELD: &str = "etl-host.field";
/// The SHA-256 of the component that decided.
pub const POLICY: &str = "etl-host.policy";

/// All of them: the attributes that the host writes.
const HOST_ATTRIBUTES: [&str; 6] = [ORIGIN_ID, ORIGIN_MAC, ORIGIN_SENT_MS, REASON, FIELD, POLICY];

/// The longest id that is taken for an origin, in characters: SQS gives UUIDs
/// of 36, and says no more than that an id has at most 100.
const ID_CHARS_MAX: usize = 100;
/// The longest id of a secret, in characters; the table has the same bound.
const SECRET_ID_CHARS_MAX: usize = 32;
/// The shortest secret, in bytes: the hash's own length (RFC 2104, section 3).
const SECRET_BYTES_MIN: usize = 32;
/// How far the clocks of a queue's servers may lie apart, in milliseconds: far
/// above what is seen, and too little to move a date by more than one.
const CLOCK_SKEW_MS_MAX: u64 = 60_000;
/// The version that begins a proof and goes into its MAC.
const PROOF_VERSION: &str = "1";

/// Whether the host writes attributes of this name. A producer may use it too.
pub fn is_host_attribute(name: &str) -> bool {
    HOST_ATTRIBUTES.contains(&name)
}

/// A secret under which origins are signed.
#[derive(Clone)]
pub struct Secret {
    id: String,
    mac: Hmac<Sha256>,
}

/// The secrets of a ledger, shared by all who sign or verify.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Arc<RwLock<SecretRing>>);

/// What the ledger's secrets are at a moment.
#[derive(Clone, Debug)]
pub struct SecretRing {
    /// The newest one first: it signs, and all of them verify.
    pub secrets: Vec<Secret>,
    /// Whether an origin without a proof is believed where the ledger holds the
    /// rejection.
    pub believes_ledger: bool,
}

/// An origin that a message names for itself, and that is not proved.
#[derive(Clone)]
pub struct Claim {
    /// The id that it claims.
    pub origin_id: String,
    sent_ms: Option<u64>,
    proof: Option<Proof>,
    /// The attributes that say so, as they came.
    attributes: Vec<Attribute>,
}

#[derive(Clone)]
struct Proof {
    secret_id: String,
    sent_ms: u64,
    mac: Vec<u8>,
}

impl Default for SecretRing {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            believes_ledger: true,
        }
    }
}

impl Secret {
    /// A secret and the id that proofs name it by. None where the id is none,
    /// or the key too short.
    pub fn new(id: &str, key: &[u8]) -> Option<Self> {
        let fits = is_id(id, SECRET_ID_CHARS_MAX) && key.len() >= SECRET_BYTES_MIN;
        let mac = Hmac::new_from_slice(key).ok().filter(|_| fits)?;
        Some(Self {
            id: id.to_owned(),
            mac,
        })
    }

    /// The MAC over an origin and over what a redrive does not change. Each part
    /// is preceded by its length, so that no two lists of parts give the same
    /// bytes. The host's own attributes are not covered: they come and go.
    fn over(&self, origin_id: &str, sent_ms: u64, message: &Message) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        let mut add = |part: &[u8]| {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        };
        add(b"etl-host origin");
        add(PROOF_VERSION.as_bytes());
        add(origin_id.as_bytes());
        add(&sent_ms.to_be_bytes());
        add(message.body.as_bytes());
        let mut attributes: Vec<&Attribute> = message
            .attributes
            .iter()
            .filter(|attribute| !is_host_attribute(&attribute.name))
            .collect();
        attributes.sort_by(|one, other| one.name.cmp(&other.name));
        for attribute in attributes {
            add(attribute.name.as_bytes());
            add(attribute.data_type.as_bytes());
            add(match &attribute.value {
                AttributeValue::Text(text) | AttributeValue::Number(text) => text.as_bytes(),
                AttributeValue::Bytes(bytes) => bytes,
            });
        }
        mac
    }
}

impl Secrets {
    /// Secrets as the ledger has them.
    pub fn new(ring: SecretRing) -> Self {
        Self(Arc::new(RwLock::new(ring)))
    }

    /// From now on these, for all who share them.
    pub fn replace(&self, ring: SecretRing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    /// The id of the secret that signs, if there is one.
    pub fn signing_id(&self) -> Option<String> {
        self.ring().secrets.first().map(|secret| secret.id.clone())
    }

    /// The attributes by which a message is known through all its lives, the
    /// most important first. None where the producer uses one of the host's
    /// names, so that a proved origin always tells whose the others are.
    pub fn origin(&self, message: &Message) -> Vec<Attribute> {
        let mut attributes = message.attributes.iter();
        let taken = attributes.any(|attribute| is_host_attribute(&attribute.name));
        if taken || !is_id(&message.origin_id, ID_CHARS_MAX) {
            return Vec::new();
        }
        let mut origin = vec![Attribute::text(ORIGIN_ID, message.origin_id.clone())];
        if let Some(secret) = self.ring().secrets.first() {
            let mac = secret.over(&message.origin_id, message.sent_ms, message);
            let mac = hex_of(&mac.finalize().into_bytes());
            let proof = format!("{PROOF_VERSION}:{}:{}:{mac}", secret.id, message.sent_ms);
            origin.push(Attribute::text(ORIGIN_MAC, proof));
        }
        origin.push(Attribute::text(ORIGIN_SENT_MS, message.sent_ms.to_string()));
        origin
    }

    /// Gives a message back the origin that it proves. What it only claims, and
    /// what the ledger or a newer secret may bear out, is returned; anything
    /// else is the producer's own, and stays as it is.
    pub fn read(&self, message: &mut Message) -> Option<Claim> {
        let claim = Claim::of(message)?;
        let ring = self.ring();
        match &claim.proof {
            Some(proof) if !ring.secrets.is_empty() => {
                match ring.verifies(&claim, proof, message) {
                    Some(true) => {
                        message.accept(&claim);
                        None
                    }
                    Some(false) => None,
                    None => Some(claim),
                }
            }
            _ => ring.believes_ledger.then_some(claim),
        }
    }

    /// What may bear out a claim that [`Secrets::read`] has returned.
    pub fn open(&self, claim: &Claim) -> Open {
        match claim.proof.is_some() && !self.ring().secrets.is_empty() {
            true => Open::NewerSecret,
            false => Open::Ledger,
        }
    }

    fn ring(&self) -> std::sync::RwLockReadGuard<'_, SecretRing> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What may bear out a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// A secret that the ledger has by now.
    NewerSecret,
    /// A rejection in the ledger: the version of November 2026 signs nothing.
    Ledger,
}

impl SecretRing {
    /// Whether a proof holds, compared in constant time; None where its secret
    /// is not known.
    fn verifies(&self, claim: &Claim, proof: &Proof, message: &Message) -> Option<bool> {
        let mut secrets = self.secrets.iter();
        let secret = secrets.find(|secret| secret.id == proof.secret_id)?;
        let mac = secret.over(&claim.origin_id, proof.sent_ms, message);
        Some(mac.verify_slice(&proof.mac).is_ok())
    }
}

impl Claim {
    /// What a message claims in the form that the host writes. An attribute of
    /// another type, an id or time that no queue gives, or a damaged proof make
    /// no claim.
    fn of(message: &Message) -> Option<Self> {
        let origin_id = text_of(message, ORIGIN_ID)??;
        if !is_id(origin_id, ID_CHARS_MAX) {
            return None;
        }
        let proof = match text_of(message, ORIGIN_MAC) {
            Some(text) => Some(Proof::parse(text?)?),
            None => None,
        };
        let sent_ms = match text_of(message, ORIGIN_SENT_MS) {
            Some(text) => Some(number(text?)?),
            None => None,
        };
        // No message is first sent after it came here.
        let claimed = proof.as_ref().map(|proof| proof.sent_ms).or(sent_ms);
        let latest = message.sent_ms.saturating_add(CLOCK_SKEW_MS_MAX);
        if claimed.is_some_and(|sent_ms| sent_ms > latest) {
            return None;
        }
        let attributes = message.attributes.iter();
        Some(Self {
            origin_id: origin_id.to_owned(),
            sent_ms: claimed,
            proof,
            attributes: attributes
                .filter(|attribute| {
                    [ORIGIN_ID, ORIGIN_MAC, ORIGIN_SENT_MS].contains(&attribute.name.as_str())
                })
                .cloned()
                .collect(),
        })
    }

    /// The attributes that make the claim, as they came: whoever cannot check
    /// them passes them on.
    pub fn into_attributes(self) -> Vec<Attribute> {
        self.attributes
    }
}

impl Proof {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut part = || parts.next();
        let (version, secret_id, sent_ms, mac) = (part()?, part()?, part()?, part()?);
        let whole = part().is_none() && version == PROOF_VERSION;
        let fits = whole && is_id(secret_id, SECRET_ID_CHARS_MAX) && mac.len() == 64;
        Some(Self {
            secret_id: secret_id.to_owned(),
            sent_ms: number(sent_ms)?,
            mac: bytes_of(mac).filter(|_| fits)?,
        })
    }
}

impl Message {
    /// Takes a claim for true: the message has that id and time, and all
    /// attributes by the host's names are the host's.
    pub fn accept(&mut self, claim: &Claim) {
        self.origin_id.clone_from(&claim.origin_id);
        self.sent_ms = claim.sent_ms.unwrap_or(self.sent_ms);
        self.attributes
            .retain(|attribute| !is_host_attribute(&attribute.name));
    }
}

/// The text of an attribute: none where it is not there, and none within where
/// it is of another type than the host writes.
fn text_of<'a>(message: &'a Message, name: &str) -> Option<Option<&'a str>> {
    let mut attributes = message.attributes.iter();
    let found = attributes.find(|attribute| attribute.name == name)?;
    Some(match &found.value {
        AttributeValue::Text(text) if found.data_type == "String" => Some(text),
        _ => None,
    })
}

/// Digits and nothing else, as the host writes a time.
fn number(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn is_id(text: &str, chars_max: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=chars_max).contains(&text.len()) && text.bytes().all(allowed)
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id)
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT_MS: u64 = 1_795_392_000_123;

    fn secret(id: &str, byte: u8) -> Secret {
        Secret::new(id, &[byte; 32]).expect("a secret")
    }

    fn secrets(of: impl IntoIterator<Item = Secret>) -> Secrets {
        Secrets::new(SecretRing {
            secrets: of.into_iter().collect(),
            believes_ledger: true,
        })
    }

    /// A message as its producer sent it, with an attribute of each type.
    fn first() -> Message {
        let own = |name: &str, data_type: &str, value| Attribute {
            name: name.into(),
            data_type: data_type.into(),
            value,
        };
        Message {
            queue_id: "0f6c3d1e-1".into(),
            origin_id: "0f6c3d1e-1".into(),
            body: "body".into(),
            sent_ms: SENT_MS,
            attributes: vec![
                own("b", "Binary", AttributeValue::Bytes(vec![1])),
                own("n", "Number", AttributeValue::Number("1".into())),
                own("t", "String", AttributeValue::Text("text".into())),
            ],
            fifo: None,
        }
    }

    /// The same after a redrive: another id, another time, and more attributes.
    fn redriven(by: &Secrets) -> Message {
        let mut message = first();
        message.attributes.extend(by.origin(&first()));
        message
            .attributes
            .push(Attribute::text(REASON, "malformed".into()));
        message.queue_id = "new".into();
        message.origin_id = "new".into();
        message.sent_ms = SENT_MS + 1_000;
        message
    }

    fn change(message: &mut Message, name: &str, to: impl FnOnce(&mut Attribute)) {
        let mut attributes = message.attributes.iter_mut();
        let found = attributes.find(|attribute| attribute.name == name);
        to(found.expect("the attribute"));
    }

    #[track_caller]
    fn assert_own(secrets: &Secrets, mut message: Message, what: &str) {
        let attributes = message.attributes.len();
        assert!(secrets.read(&mut message).is_none(), "{what}: a claim");
        assert_eq!(message.origin_id, "new", "{what}");
        assert_eq!(message.sent_ms, SENT_MS + 1_000, "{what}");
        assert_eq!(message.attributes.len(), attributes, "{what}");
    }

    #[test]
    fn a_redriven_message_has_its_first_id_and_time_and_its_own_attributes_again() {
        let secrets = secrets([secret("a", 1)]);
        let mut message = redriven(&secrets);
        assert!(secrets.read(&mut message).is_none());
        assert_eq!(message.queue_id, "new");
        assert_eq!(message.origin_id, "0f6c3d1e-1");
        assert_eq!(message.sent_ms, SENT_MS);
        assert_eq!(message.attributes.len(), 3);
        // Again and again: what is signed anew is what was signed before.
        let (again, before) = (secrets.origin(&message), secrets.origin(&first()));
        assert_eq!(again.len(), 3);
        assert!(again.iter().map(shown).eq(before.iter().map(shown)));
    }

    fn shown(attribute: &Attribute) -> (&str, &str) {
        match &attribute.value {
            AttributeValue::Text(text) => (&attribute.name, text),
            _ => panic!("the host writes texts"),
        }
    }

    #[test]
    fn a_copied_origin_fits_no_other_content() {
        let secrets = secrets([secret("a", 1)]);
        type Spoil = (&'static str, fn(&mut Message));
        let spoilt: [Spoil; 9] = [
            ("body", |m| m.body.push(' ')),
            ("an attribute less", |m| {
                m.attributes.remove(0);
            }),
            ("an attribute more", |m| {
                m.attributes.push(Attribute::text("x", "y".into()));
            }),
            ("another value", |m| {
                change(m, "t", |a| a.value = AttributeValue::Text("texT".into()));
            }),
            ("another type", |m| {
                change(m, "n", |a| a.data_type = "Number.int".into());
            }),
            ("another name", |m| change(m, "b", |a| a.name = "c".into())),
            ("another id", |m| {
                change(m, ORIGIN_ID, |a| {
                    *a = Attribute::text(ORIGIN_ID, "0f6c3d1e-2".into())
                });
            }),
            ("another time", |m| {
                change(m, ORIGIN_MAC, |a| {
                    let proof = shown(a).1.replace(":1795392000123:", ":1795392000122:");
                    *a = Attribute::text(ORIGIN_MAC, proof);
                });
            }),
            ("another MAC", |m| {
                change(m, ORIGIN_MAC, |a| {
                    let mut proof = shown(a).1.to_owned();
                    let last = proof.pop();
                    proof.push(if last == Some('0') { '1' } else { '0' });
                    *a = Attribute::text(ORIGIN_MAC, proof);
                });
            }),
        ];
        for (what, spoil) in spoilt {
            let mut message = redriven(&secrets);
            spoil(&mut message);
            assert_own(&secrets, message, what);
        }
    }

    #[test]
    fn a_sent_time_beside_the_proof_is_not_asked() {
        let secrets = secrets([secret("a", 1)]);
        let mut message = redriven(&secrets);
        change(&mut message, ORIGIN_SENT_MS, |a| {
            *a = Attribute::text(ORIGIN_SENT_MS, "7".into());
        });
        secrets.read(&mut message);
        assert_eq!(
            (message.origin_id.as_str(), message.sent_ms),
            ("0f6c3d1e-1", SENT_MS)
        );
    }

    /// Each in the place of the attribute that the host wrote.
    #[test]
    fn what_the_host_would_not_have_written_makes_no_claim() {
        let secrets = secrets([secret("a", 1)]);
        let proof = |text: &str| Attribute::text(ORIGIN_MAC, text.to_owned());
        let mac = "0".repeat(64);
        let id = |text: String| Attribute::text(ORIGIN_ID, text);
        let typed = |name: &str, data_type: &str, value| Attribute {
            name: name.into(),
            data_type: data_type.into(),
            value,
        };
        for forged in [
            id(String::new()),
            id("x".repeat(ID_CHARS_MAX + 1)),
            id("x".repeat(1 << 20)),
            id("a b".into()),
            id("ä".into()),
            id("a\n".into()),
            typed(
                ORIGIN_ID,
                "Binary",
                AttributeValue::Bytes(b"0f6c3d1e-1".to_vec()),
            ),
            typed(ORIGIN_ID, "Number", AttributeValue::Number("7".into())),
            typed(
                ORIGIN_ID,
                "String.x",
                AttributeValue::Text("0f6c3d1e-1".into()),
            ),
            typed(ORIGIN_MAC, "Binary", AttributeValue::Bytes(vec![0; 32])),
            proof(""),
            proof("1"),
            proof(&format!("2:a:7:{mac}")),
            proof(&format!("1:a:7:{mac}:")),
            proof(&format!("1:a:-7:{mac}")),
            proof(&format!("1:a:+7:{mac}")),
            proof(&format!("1:a:99999999999999999999:{mac}")),
            proof(&format!("1::7:{mac}")),
            proof(&format!("1:{}:7:{mac}", "a".repeat(33))),
            proof(&format!("1:a:7:{}", &mac[1..])),
            proof(&format!("1:a:7:{}", mac.replace('0', "g"))),
            proof(&format!("1:a:{}:{mac}", SENT_MS + 61_001)),
            typed(ORIGIN_SENT_MS, "Number", AttributeValue::Number("7".into())),
            Attribute::text(ORIGIN_SENT_MS, "7 ".into()),
        ] {
            let mut message = redriven(&secrets);
            let name = forged.name.clone();
            let what = format!("{name} {}", forged.data_type);
            change(&mut message, &name, |attribute| *attribute = forged);
            assert_own(&secrets, message, &what);
        }
    }

    #[test]
    fn an_origin_without_a_proof_is_a_claim_until_that_is_over() {
        let unsigned = redriven(&Secrets::default());
        let now = secrets([secret("a", 1)]);
        let mut message = unsigned.clone();
        let claim = now.read(&mut message).expect("a claim");
        assert_eq!(
            message.origin_id, "new",
            "not before somebody vouches for it"
        );
        assert_eq!(now.open(&claim), Open::Ledger);
        message.accept(&claim);
        assert_eq!(
            (message.origin_id.as_str(), message.sent_ms),
            ("0f6c3d1e-1", SENT_MS)
        );
        assert_eq!(message.attributes.len(), 3);

        now.replace(SecretRing {
            secrets: vec![secret("a", 1)],
            believes_ledger: false,
        });
        assert_own(&now, unsigned.clone(), "over");
        let mut future = unsigned;
        change(&mut future, ORIGIN_SENT_MS, |a| {
            *a = Attribute::text(ORIGIN_SENT_MS, (SENT_MS + 61_001).to_string());
        });
        assert_own(&Secrets::default(), future, "a time to come");
    }

    #[test]
    fn the_newest_secret_signs_and_every_one_verifies() {
        let old = secrets([secret("a", 1)]);
        let both = secrets([secret("b", 2), secret("a", 1)]);
        assert_eq!(both.signing_id().as_deref(), Some("b"));
        for signed_by in [&old, &both] {
            let mut message = redriven(signed_by);
            assert!(both.read(&mut message).is_none());
            assert_eq!(message.origin_id, "0f6c3d1e-1");
        }
        // Not known yet: the ledger is to be asked for it.
        let mut message = redriven(&both);
        let claim = old.read(&mut message).expect("a claim");
        assert_eq!(old.open(&claim), Open::NewerSecret);
        // Another ledger's secret of the same id.
        assert_own(
            &secrets([secret("a", 9)]),
            redriven(&old),
            "another ledger's",
        );
        // A host that may not read the secrets has the ledger only.
        let claim = Secrets::default()
            .read(&mut redriven(&old))
            .expect("a claim");
        assert_eq!(Secrets::default().open(&claim), Open::Ledger);
    }

    #[test]
    fn a_producer_that_uses_a_name_of_the_host_gets_no_origin() {
        let secrets = secrets([secret("a", 1)]);
        for name in HOST_ATTRIBUTES {
            let mut message = first();
            message.attributes.push(Attribute::text(name, "x".into()));
            assert!(secrets.origin(&message).is_empty(), "{name}");
        }
        let mut message = first();
        message
            .attributes
            .push(Attribute::text("etl-host.own", "x".into()));
        assert_eq!(secrets.origin(&message).len(), 3);
    }

    #[test]
    fn secrets_are_not_shown_and_short_ones_not_taken() {
        let shown = format!("{:?}", secrets([secret("a", 0xab)]));
        assert!(shown.contains("Secret(a)"), "{shown}");
        assert!(!shown.contains("171") && !shown.contains("ab"), "{shown}");
        assert!(Secret::new("a", &[1; 31]).is_none());
        assert!(Secret::new("a:b", &[1; 32]).is_none());
    }
}
