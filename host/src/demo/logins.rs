//! The invented logins that `etl-host demo` sends, and the table they go to.
//!
//! Owns the shape of a login and the exercise's table. Invariant: every value
//! is made up and the same count gives the same bytes, so that two runs can be
//! compared; addresses come from the ranges reserved for documentation
//! (RFC 5737) and device ids from numbers that no authority issues.
//! Deliberately not here: sending, and what becomes of a login.

use std::net::Ipv4Addr;

/// The exercise's table, as it gives it.
pub const TABLE_DDL: &str = "CREATE TABLE IF NOT EXISTS user_logins(
    user_id varchar(128),
    device_type varchar(32),
    masked_ip varchar(256),
    masked_device_id varchar(256),
    locale varchar(32),
    app_version integer,
    create_date date
)";

/// The one message that is no login: what a real queue carries beside them.
pub const HEARTBEAT: &str = r#"{"event":"heartbeat","source":"login-gateway","sequence":1}"#;

/// Where the heartbeat stands among the bodies, counted from 0; with fewer
/// logins than that, last.
pub const HEARTBEAT_INDEX: usize = 12;

/// Every so many logins, one comes from the device and address of an earlier
/// login, so that equal masks can be seen. No user id ever repeats.
const REPEAT_EVERY: usize = 10;

/// How many logins before it the repeated device and address stand.
const REPEAT_DISTANCE: usize = 4;

/// Of a hundred logins, so many carry no locale.
const LOCALE_NULL_PERCENT: u64 = 30;

/// The documentation ranges of RFC 5737, each a /24.
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];

/// Host numbers used of each /24: 1 to 254.
const HOSTS_PER_NETWORK: usize = 254;

/// Shares no factor with `NETWORKS.len() * HOSTS_PER_NETWORK` (762), so the
/// first 762 addresses are all different.
const ADDRESS_STRIDE: usize = 331;

const DEVICE_TYPES: [&str; 2] = ["android", "ios"];

const LOCALES: [&str; 12] = [
    "BR", "CA", "CN", "DE", "FR", "ID", "JP", "KE", "MX", "PL", "PT", "US",
];

/// The bodies to send, in order: `logins` logins and one heartbeat among them,
/// so one body more than asked for.
#[must_use]
pub fn bodies(logins: usize) -> Vec<String> {
    let mut bodies: Vec<String> = (0..logins).map(login).collect();
    bodies.insert(HEARTBEAT_INDEX.min(logins), HEARTBEAT.to_owned());
    bodies
}

/// Written by hand rather than by a serializer: the members keep the
/// exercise's order, and no value here needs escaping.
fn login(index: usize) -> String {
    let mut choice = Choice::of(index);
    let user_id = choice.user_id();
    let app_version = choice.app_version();
    let device_type = choice.one_of(&DEVICE_TYPES);
    let locale = choice.locale();
    let origin = origin_of(index);
    let ip = ip_of(origin);
    let device_id = device_id_of(origin);
    format!(
        r#"{{"user_id":"{user_id}","app_version":"{app_version}","device_type":"{device_type}","ip":"{ip}","locale":{locale},"device_id":"{device_id}"}}"#
    )
}

/// The login whose device and address this login shows: its own, or that of an
/// earlier one.
fn origin_of(index: usize) -> usize {
    if index % REPEAT_EVERY == REPEAT_EVERY - 1 {
        index - REPEAT_DISTANCE
    } else {
        index
    }
}

fn ip_of(origin: usize) -> Ipv4Addr {
    let place = origin.wrapping_mul(ADDRESS_STRIDE) % (NETWORKS.len() * HOSTS_PER_NETWORK);
    let [a, b, c] = NETWORKS[place / HOSTS_PER_NETWORK];
    // At most 253 before the addition, so the conversion keeps every bit.
    let host = (place % HOSTS_PER_NETWORK) as u8 + 1;
    Ipv4Addr::new(a, b, c, host)
}

/// The shape of a US social security number, out of a part of its space that
/// nobody is given: area 9xx with group 01 to 49 is neither such a number nor
/// a taxpayer's.
fn device_id_of(origin: usize) -> String {
    let mut choice = Choice::of(origin);
    let (area, group, serial) = (choice.below(100), choice.below(49), choice.below(9999));
    format!("9{area:02}-{:02}-{:04}", group + 1, serial + 1)
}

/// Choices that follow from an index alone (SplitMix64), so that no login
/// depends on how many there are.
struct Choice(u64);

impl Choice {
    fn of(index: usize) -> Self {
        Self((index as u64).wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// The text form of a version 4 UUID.
    fn user_id(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFF,
            8 + (low >> 62),
            (low >> 48) & 0xFFF,
            low & 0xFFFF_FFFF_FFFF,
        )
    }

    /// Two parts or three, as the exercise's logins have them: `3.7`, `0.96`,
    /// `2.3.0`.
    fn app_version(&mut self) -> String {
        let major = self.below(10);
        if self.below(2) == 0 {
            format!("{major}.{}", self.below(100))
        } else {
            format!("{major}.{}.{}", self.below(10), self.below(10))
        }
    }

    /// A JSON value: a quoted two-letter locale, or null.
    fn locale(&mut self) -> String {
        if self.below(100) < LOCALE_NULL_PERCENT {
            "null".to_owned()
        } else {
            format!("\"{}\"", self.one_of(&LOCALES))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use serde_json::Value;

    use super::*;

    /// More than one round of every cycle in the generator.
    const LOGINS: usize = 2_000;

    fn logins() -> serde_json::Result<Vec<Value>> {
        let mut bodies = bodies(LOGINS);
        bodies.retain(|body| body != HEARTBEAT);
        bodies
            .iter()
            .map(|body| serde_json::from_str(body))
            .collect()
    }

    fn text<'a>(login: &'a Value, member: &str) -> &'a str {
        login[member].as_str().unwrap_or_default()
    }

    #[test]
    fn the_same_count_gives_the_same_logins() {
        assert_eq!(bodies(LOGINS), bodies(LOGINS));
    }

    #[test]
    fn more_logins_leave_the_first_ones_as_they_are() {
        assert_eq!(bodies(100)[..50], bodies(LOGINS)[..50]);
    }

    #[test]
    fn one_body_is_no_login_whatever_the_count() {
        for count in [0, 1, HEARTBEAT_INDEX, LOGINS] {
            let bodies = bodies(count);
            assert_eq!(bodies.len(), count + 1);
            assert_eq!(bodies[HEARTBEAT_INDEX.min(count)], HEARTBEAT);
        }
    }

    #[test]
    fn a_login_has_the_members_of_the_exercise_and_no_other() -> serde_json::Result<()> {
        let wanted = HashSet::from([
            "user_id",
            "app_version",
            "device_type",
            "ip",
            "locale",
            "device_id",
        ]);
        for login in logins()? {
            let members: HashSet<&str> = login
                .as_object()
                .into_iter()
                .flat_map(|members| members.keys().map(String::as_str))
                .collect();
            assert_eq!(members, wanted);
        }
        Ok(())
    }

    #[test]
    fn every_address_is_reserved_for_documentation() -> serde_json::Result<()> {
        for login in logins()? {
            let ip = text(&login, "ip").parse::<Ipv4Addr>();
            assert!(ip.is_ok_and(|ip| ip.is_documentation()), "{login}");
        }
        Ok(())
    }

    #[test]
    fn no_device_id_can_be_a_real_persons_number() -> serde_json::Result<()> {
        for login in logins()? {
            let device_id = text(&login, "device_id");
            let parts: Vec<&str> = device_id.split('-').collect();
            assert_eq!(
                parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
                [3, 2, 4]
            );
            assert!(parts[0].starts_with('9') && ("01"..="49").contains(&parts[1]));
        }
        Ok(())
    }

    #[test]
    fn no_user_id_repeats_but_devices_and_addresses_do_together() -> serde_json::Result<()> {
        let logins = logins()?;
        let users: HashSet<&str> = logins.iter().map(|login| text(login, "user_id")).collect();
        assert_eq!(users.len(), LOGINS);
        let mut ips = HashMap::new();
        let mut repeats = 0;
        for login in &logins[..100] {
            let (ip, device_id) = (text(login, "ip"), text(login, "device_id"));
            if let Some(earlier) = ips.insert(ip, device_id) {
                assert_eq!(earlier, device_id);
                repeats += 1;
            }
        }
        assert_eq!(repeats, 100 / REPEAT_EVERY);
        Ok(())
    }

    #[test]
    fn some_locales_are_null_and_the_others_have_two_letters() -> serde_json::Result<()> {
        let logins = logins()?;
        let null = logins
            .iter()
            .filter(|login| login["locale"].is_null())
            .count();
        assert!((LOGINS / 5..LOGINS / 2).contains(&null), "{null}");
        for login in logins.iter().filter(|login| !login["locale"].is_null()) {
            assert_eq!(text(login, "locale").len(), 2);
        }
        Ok(())
    }
}
