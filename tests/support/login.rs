//! Invented logins, and the rows that they must become: computed here from the
//! documented rules alone, without a line of the component's code.

use std::time::SystemTime;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Version texts beside the numbers that a person works out for them.
const VERSIONS: [(&str, i32); 7] = [
    ("2.3.0", 2_003_000),
    ("0.96", 96_000),
    ("7", 7_000_000),
    ("10.20.30", 10_020_030),
    ("0.0.1", 1),
    ("1.999.999", 1_999_999),
    ("2147.483.647", 2_147_483_647),
];

const SECS_PER_DAY: u64 = 86_400;

/// A row of the exercise's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub user_id: Option<String>,
    pub device_type: Option<String>,
    pub masked_ip: Option<String>,
    pub masked_device_id: Option<String>,
    pub locale: Option<String>,
    pub app_version: Option<i32>,
    /// Days since 1970-01-01.
    pub create_day: Option<i32>,
}

/// How a login says that it has no locale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locale {
    Given(&'static str),
    Null,
    Absent,
}

#[derive(Debug, Clone)]
pub struct Login {
    pub user_id: String,
    pub version: (&'static str, i32),
    pub device_type: String,
    pub ip: String,
    pub locale: Locale,
    pub device_id: String,
}

impl Login {
    /// The n-th login of a test. No two tests share a sensitive value, so a
    /// leak names its test.
    pub fn invented(test: &str, n: usize) -> Login {
        Login {
            user_id: format!("user-{test}-{n:04}"),
            version: VERSIONS[n % VERSIONS.len()],
            device_type: ["android", "ios"][n % 2].to_owned(),
            ip: invented_ip(test, n),
            locale: match n % 6 {
                0 => Locale::Null,
                3 => Locale::Absent,
                _ => Locale::Given(["DE", "PT", "JP"][n % 3]),
            },
            device_id: format!("device-{test}-{n:04}"),
        }
    }

    pub fn several(test: &str, count: usize) -> Vec<Login> {
        (0..count).map(|n| Login::invented(test, n)).collect()
    }

    pub fn json(&self) -> Value {
        let mut body = json!({
            "user_id": self.user_id,
            "app_version": self.version.0,
            "device_type": self.device_type,
            "ip": self.ip,
            "device_id": self.device_id,
            // A member that nobody asked for is never stored.
            "battery": 71,
        });
        match self.locale {
            Locale::Given(locale) => body["locale"] = json!(locale),
            Locale::Null => body["locale"] = Value::Null,
            Locale::Absent => {}
        }
        body
    }

    pub fn body(&self) -> String {
        self.json().to_string()
    }

    /// The row for a message that the queue received on the given day.
    pub fn row(&self, create_day: i32) -> Row {
        Row {
            user_id: Some(self.user_id.clone()),
            device_type: Some(self.device_type.clone()),
            masked_ip: Some(sha256_hex(self.ip.as_bytes())),
            masked_device_id: Some(sha256_hex(self.device_id.as_bytes())),
            locale: match self.locale {
                Locale::Given(locale) => Some(locale.to_owned()),
                Locale::Null | Locale::Absent => None,
            },
            app_version: Some(self.version.1),
            create_day: Some(create_day),
        }
    }

    pub fn sensitive(&self) -> [&str; 2] {
        [&self.ip, &self.device_id]
    }
}

pub fn bodies(logins: &[Login]) -> Vec<String> {
    logins.iter().map(Login::body).collect()
}

/// In the order in which the database gives them.
pub fn rows(logins: &[Login], create_day: i32) -> Vec<Row> {
    let mut rows: Vec<Row> = logins.iter().map(|login| login.row(create_day)).collect();
    rows.sort_by(|a, b| a.user_id.cmp(&b.user_id));
    rows
}

/// From the ranges that are kept for documentation: nobody has them.
fn invented_ip(test: &str, n: usize) -> String {
    if n.is_multiple_of(2) {
        let network = ["192.0.2", "198.51.100", "203.0.113"][test.len() % 3];
        format!("{network}.{}", 1 + (n / 2) % 254)
    } else {
        let digest = Sha256::digest(test);
        format!("2001:db8:{:x}{:02x}::{n:x}", digest[0], digest[1])
    }
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Today in UTC, in days since 1970-01-01.
pub fn today() -> i32 {
    i32::try_from(secs_since_epoch() / SECS_PER_DAY).expect("the clock is sane")
}

/// Seconds until the UTC date changes.
pub fn secs_left_today() -> u64 {
    SECS_PER_DAY - secs_since_epoch() % SECS_PER_DAY
}

fn secs_since_epoch() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_secs()
}

#[test]
fn the_tests_own_hash_is_sha256() {
    // The example of FIPS 180-4.
    assert_eq!(
        sha256_hex(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn no_two_tests_share_a_sensitive_value() {
    let mut seen = std::collections::BTreeSet::new();
    for login in Login::several("one", 400)
        .iter()
        .chain(&Login::several("other", 400))
    {
        assert!(seen.insert(login.device_id.clone()));
    }
}
