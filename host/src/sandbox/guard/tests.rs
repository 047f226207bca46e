//! What the guard claims: each disguise is caught, in every kind of value and
//! wherever it stands, and honest rows pass.

use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;

/// Logins of the count of false alarms.
const HONEST_LOGINS: u32 = 100_000;
/// No claim here is about time.
const CHECK_MS_MAX: u64 = 600_000;

fn guard(pointers: &[&str]) -> Guard {
    guarding(pointers, CHECK_MS_MAX)
}

/// A guard of these pointers, with so much time for a message.
pub(super) fn guarding(pointers: &[&str], ms_max: u64) -> Guard {
    let description = Description {
        name: "mask".into(),
        version: "1".into(),
        columns: vec![],
        fields: vec![],
        parameters: vec![],
    };
    let pointers: Vec<Pointer> = pointers
        .iter()
        .map(|text| Pointer::parse(text).unwrap())
        .collect();
    Guard::new(&description, &pointers, ms_max)
}

/// The field that the guard names when a row of this value comes out of this
/// body; none where the row passes.
fn caught(body: &str, value: Value) -> Option<String> {
    let guard = guard(&["/ip", "/device_id"]);
    let row = vec![Value::Null, Value::Text("honest".into()), value];
    let inspected = guard.inspector().inspect(body, &[row]);
    inspected.err().map(|rejection| {
        assert_eq!(rejection.reason, Reason::Leak);
        rejection.field.expect("a field")
    })
}

fn is_caught(secret: &str, text: &str) -> bool {
    let body = json!({"user_id": "user-1", "device_id": secret}).to_string();
    caught(&body, Value::Text(text.into())).is_some_and(|field| field == "/device_id")
}

fn hex(bytes: &[u8], before_each: &str) -> String {
    let pair = |byte: &u8| format!("{before_each}{byte:02x}");
    bytes.iter().map(pair).collect()
}

fn base64(bytes: &[u8], last_two: &[u8; 2]) -> String {
    let digit = |value: u32| match value {
        0..=25 => b'A' + value as u8,
        26..=51 => b'a' + value as u8 - 26,
        52..=61 => b'0' + value as u8 - 52,
        _ => last_two[value as usize - 62],
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, n| {
            number << 8 | u32::from(chunk.get(n).copied().unwrap_or(0))
        });
        let digits = (0..=chunk.len()).map(|n| digit(number >> (18 - 6 * n) & 63));
        text.extend(digits.map(char::from));
    }
    text
}

fn standard(text: &str) -> String {
    base64(text.as_bytes(), b"+/")
}

fn other_separators(text: &str) -> String {
    let other = |c: char| if c.is_alphanumeric() { c } else { '_' };
    text.chars().map(other).collect()
}

fn without_separators(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

fn percent(text: &str) -> String {
    let escape = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn json_escaped(text: &str) -> String {
    let unit = |unit: u16| format!("\\u{unit:04x}");
    text.encode_utf16().map(unit).collect()
}

type Disguise = (&'static str, fn(&str) -> String);

/// Disguises that leave a text a text of the same characters.
const FOLDS: [Disguise; 8] = [
    ("as it is", |text| text.to_owned()),
    ("lower case", |text| text.to_lowercase()),
    ("upper case", |text| text.to_uppercase()),
    ("without separators", without_separators),
    ("other separators", other_separators),
    ("spread", |text| {
        text.chars().flat_map(|c| [c, ' ']).collect()
    }),
    ("reversed", reversed),
    ("all of it", |text| {
        reversed(&without_separators(&text.to_lowercase()))
    }),
];

/// Disguises that change the characters.
const CODES: [Disguise; 15] = [
    ("hex", |text| hex(text.as_bytes(), "")),
    ("HEX", |text| hex(text.as_bytes(), "").to_uppercase()),
    ("hex with colons", |text| hex(text.as_bytes(), ":")),
    ("hex with spaces", |text| {
        hex(text.as_bytes(), " ").to_uppercase()
    }),
    ("hex as numbers", |text| hex(text.as_bytes(), ", 0x")),
    ("hex escapes", |text| hex(text.as_bytes(), "\\x")),
    ("reversed hex", |text| reversed(&hex(text.as_bytes(), ""))),
    ("base64", standard),
    ("base64 with padding", |text| {
        let digits = standard(text);
        let padding = digits.len().next_multiple_of(4) - digits.len();
        format!("{digits}{}", "=".repeat(padding))
    }),
    ("base64 for URLs", |text| base64(text.as_bytes(), b"-_")),
    ("base64 in lines", |text| {
        let digits = standard(text).into_bytes();
        let lines: Vec<&[u8]> = digits.chunks(5).collect();
        String::from_utf8_lossy(&lines.join(&b"\r\n"[..])).into_owned()
    }),
    ("reversed base64", |text| reversed(&standard(text))),
    ("percent", percent),
    ("all percent", |text| hex(text.as_bytes(), "%")),
    ("JSON escapes", json_escaped),
];

/// A value that is looked for as a part: eight letters or digits at least.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        // Addresses and numbers as the exercise has them.
        (100..256_u32, 10..256_u32, 10..256_u32, 0..256_u32)
            .prop_map(|(a, b, c, d)| format!("{a}.{b}.{c}.{d}")),
        "2001:db8:[0-9a-f]{1,4}:[0-9a-f]{1,4}::[0-9a-f]{1,4}",
        "9[0-9]{2}-[0-4][0-9]-[0-9]{4}",
        "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9a-f]{12}",
        "[A-Z][a-z]{5,9} [A-Z][a-z]{5,9}@[a-z]{4,8}[.]example",
        "[A-Za-z0-9]{8,40}",
        // More than one line.
        "[A-Z][a-z]{5,9} [1-9]{1,3}\n\t[a-z]{5,9}\r\n",
        // Letters of other scripts.
        "[äöüéß]{3}[a-z]{2,5}-[а-я]{3,8}",
    ]
}

/// Text around a value. An escape that begins in it would be another text's.
fn around() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ -~&&[^\\\\%]]{0,40}",
        "[0-9a-f]{0,40}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_value_is_caught_in_each_disguise_wherever_it_stands(
        secret in secret(), before in around(), after in around(),
    ) {
        for (fold_name, fold) in FOLDS {
            let folded = fold(&secret);
            let text = format!("{before}{folded}{after}");
            prop_assert!(is_caught(&secret, &text), "{fold_name}: {text}");
            for (name, code) in CODES {
                let text = format!("{before}{}{after}", code(&folded));
                prop_assert!(is_caught(&secret, &text), "{fold_name}, {name}: {text}");
            }
        }
    }

    #[test]
    fn a_value_is_caught_at_each_alignment_of_a_longer_text_in_disguise(
        secret in secret(), before in around(), after in around(),
    ) {
        for (name, code) in CODES {
            let text = code(&format!("{before}{secret}{after}"));
            prop_assert!(is_caught(&secret, &text), "{name}: {text}");
        }
    }

    #[test]
    fn a_value_is_caught_in_one_disguise_over_another(secret in secret()) {
        // A line break is no part of what is looked for in disguise.
        let inner = || CODES.into_iter().filter(|(name, _)| *name != "base64 in lines");
        for (outer_name, outer) in CODES {
            for (inner_name, inner) in inner() {
                let text = outer(&inner(&secret));
                prop_assert!(is_caught(&secret, &text), "{inner_name} in {outer_name}: {text}");
            }
        }
    }

    #[test]
    fn a_value_is_caught_in_bytes_and_in_json(secret in secret(), before in around()) {
        let body = json!({"device_id": secret}).to_string();
        for (name, disguise) in FOLDS.into_iter().chain(CODES) {
            let text = format!("{before}{}", disguise(&secret));
            let mut bytes = vec![0xff, 0x00];
            bytes.extend(text.as_bytes());
            let json = json!({"a": [1, {"b": text}]}).to_string();
            let name_of = json!({text: null}).to_string();
            prop_assert!(caught(&body, Value::Bytes(bytes)).is_some(), "{name}");
            prop_assert!(caught(&body, Value::Json(json)).is_some(), "{name}");
            prop_assert!(caught(&body, Value::Json(name_of)).is_some(), "{name}");
        }
        let utf16 = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        prop_assert!(!secret.is_ascii() || caught(&body, Value::Bytes(utf16)).is_some());
    }

    #[test]
    fn no_text_breaks_the_guard(body: String, text: String, bytes: Vec<u8>) {
        let quoted = json!({"ip": text, "device_id": body}).to_string();
        for body in [&body, &quoted] {
            for value in [
                Value::Text(text.clone()),
                Value::Bytes(bytes.clone()),
                Value::Json(text.clone()),
            ] {
                let guard = guard(&["/ip", "/device_id"]);
                let _ = guard.inspector().inspect(body, &[vec![value]]);
            }
        }
    }
}

/// The texts are longer than what is looked at in one go, and what is around
/// the value could be no text in disguise.
#[test]
fn the_shortest_part_is_caught_at_each_place_of_a_long_text() {
    for place in 0..150 {
        let (before, after) = ("A".repeat(place), "A".repeat(150 - place));
        for (name, code) in CODES {
            let text = format!("{before}{}{after}", code("k3v9t2w8"));
            assert!(is_caught("k3v9t2w8", &text), "{name} at {place}");
        }
    }
}

#[test]
fn a_short_address_is_caught_as_a_part_with_its_separators() {
    for text in [
        "from 1.1.1.1",
        "1.1.1.1/32",
        "1.1.1.1",
        "1111",
        "1-1-1-1",
        "MS4xLjEuMQ",
    ] {
        assert!(is_caught("1.1.1.1", text), "{text}");
    }
    for (name, code) in CODES {
        assert!(is_caught("10.0.0.1", &code("at 10.0.0.1, again")), "{name}");
        assert!(is_caught("fe80::1", &code("FE80::1")), "{name}");
        assert!(is_caught("10.0.0.1", &code("at 1.0.0.01, again")), "{name}");
    }
    for honest in ["10001 miles", "1.1.1.2", "a1111b"] {
        assert!(
            !is_caught("10.0.0.1", honest) && !is_caught("1.1.1.1", honest),
            "{honest}"
        );
    }
}

#[test]
fn a_short_value_is_compared_whole() {
    for text in [
        "PIN4",
        "pin4",
        "4nip",
        "P.I.N.4",
        "50494e34",
        "UElONA==",
        "%50IN4",
        "34 4e 49 50",
    ] {
        assert!(is_caught("PIN4", text), "{text}");
    }
    for honest in ["PIN45", "the PIN4 of", "PIN", "50494e3435", ""] {
        assert!(!is_caught("PIN4", honest), "{honest}");
    }
    let body = json!({"device_id": "PIN4"}).to_string();
    for json in [r#"{"a":["pin4"]}"#, r#"{"PIN4":1}"#, r#"["\u0050IN4"]"#] {
        assert!(caught(&body, Value::Json(json.into())).is_some(), "{json}");
    }
    assert_eq!(caught(&body, Value::Json(r#"{"a":"PIN45"}"#.into())), None);
}

#[test]
fn a_value_of_one_to_three_characters_is_compared_as_it_is() {
    assert!(is_caught("DE", "de") && is_caught("x", "X") && is_caught("1", "1"));
    // Reversed, in base64 and in hexadecimal they are words and numbers too.
    for (secret, honest) in [
        ("DE", "ED"),
        ("1", "MQ"),
        ("1", "31"),
        ("12", "21"),
        ("E", "DE"),
    ] {
        assert!(!is_caught(secret, honest), "{secret}: {honest}");
    }
}

#[test]
fn separators_alone_are_compared_as_they_are() {
    assert!(is_caught("--", "--") && is_caught("\u{1f642}", "\u{1f642}"));
    assert!(!is_caught("--", "") && !is_caught("--", "-") && !is_caught("-", "..."));
}

#[test]
fn a_value_in_pieces_of_one_json_text_is_caught() {
    let body = json!({"ip": "203.0.113.77"}).to_string();
    for json in ["[203,0,113,77]", r#"[203,[0.113],{},"77"]"#] {
        assert!(caught(&body, Value::Json(json.into())).is_some(), "{json}");
    }
}

#[test]
fn a_number_is_caught_as_a_text_and_as_a_number() {
    let body = r#"{"ip":3405803783,"device_id":52.520008}"#;
    for value in [
        Value::Integer(3_405_803_783),
        Value::Integer(-3_405_803_783),
        Value::Float(3_405_803_783.0),
        Value::Float(52.520_008),
        Value::Text("at 52,520008".into()),
        Value::Json("{\"a\":5.2520008e1}".into()),
        Value::Json("[3405803783]".into()),
    ] {
        assert!(caught(body, value.clone()).is_some(), "{value:?}");
    }
    for value in [
        Value::Integer(3_405_803_784),
        Value::Float(52.52),
        Value::Boolean(true),
    ] {
        assert_eq!(caught(body, value), None);
    }
    // A text of digits becomes a number too.
    let body = r#"{"ip":"900-12-1234","device_id":"0071"}"#;
    assert_eq!(
        caught(body, Value::Integer(900_121_234)).as_deref(),
        Some("/ip")
    );
    for value in [Value::Integer(71), Value::Json("[7.1e1]".into())] {
        assert_eq!(caught(body, value).as_deref(), Some("/device_id"));
    }
    let body = r#"{"ip":"12-34"}"#;
    assert!(caught(body, Value::Json("[1234]".into())).is_some());
}

#[test]
fn a_day_and_a_moment_are_caught_as_such() {
    let body = r#"{"ip":"1987-03-04","device_id":"1987-03-04T05:06:07Z"}"#;
    assert_eq!(caught(body, Value::Date(6_271)).as_deref(), Some("/ip"));
    let moment = Value::Timestamp(541_832_767_000_000);
    assert_eq!(caught(body, moment).as_deref(), Some("/device_id"));
    assert_eq!(caught(body, Value::Date(6_272)), None);
}

#[test]
fn each_of_two_values_of_one_field_is_guarded() {
    let body = r#"{"ip":"203.0.113.7","x":1,"\u0069p":["198.51.100.9",{"a":"192.0.2.111"}]}"#;
    for ip in ["203.0.113.7", "198.51.100.9", "192.0.2.111"] {
        assert_eq!(caught(body, Value::Text(ip.into())).as_deref(), Some("/ip"));
    }
}

#[test]
fn rows_of_a_body_that_cannot_be_read_are_refused() {
    let row = [vec![Value::Null]];
    let guarded = guard(&["/ip"]);
    for body in ["no JSON", "", "{\"ip\":\"a\"} more"] {
        let refused = guarded.inspector().inspect(body, &row);
        assert_eq!(refused, Err(Reason::Leak.into()), "{body}");
    }
    // Where nothing is sensitive, nothing has to be read.
    assert_eq!(guard(&[]).inspector().inspect("no JSON", &row), Ok(()));
}

#[test]
fn more_values_than_the_bound_are_refused() {
    let body = |count| json!({"ip": vec!["203.0.113.7"; count]}).to_string();
    let guard = guard(&["/ip"]);
    let row = [vec![Value::Text("honest enough".into())]];
    let (within, over) = (body(VALUES_MAX), body(VALUES_MAX + 1));
    assert_eq!(guard.inspector().inspect(&within, &row), Ok(()));
    assert_eq!(
        guard.inspector().inspect(&over, &row),
        Err(Reason::Leak.into())
    );
}

#[test]
fn what_one_message_holds_is_no_leak_of_another() {
    let guard = guard(&["/ip"]);
    let mut inspector = guard.inspector();
    let row = [vec![Value::Text("203.0.113.7".into())]];
    assert!(inspector.inspect(r#"{"ip":"203.0.113.7"}"#, &row).is_err());
    assert!(inspector.inspect(r#"{"ip":"203.0.113.8"}"#, &row).is_ok());
    assert!(inspector.inspect("{}", &row).is_ok());
}

/// An address, invented, of four random bytes; and a device.
fn invented(n: u32) -> (String, String) {
    let digest = Sha256::digest(n.to_le_bytes());
    let [a, b, c, d] = [digest[0], digest[1], digest[2], digest[3]];
    let device = match n % 3 {
        0 => format!("{}-{:02}-{:04}", 900 + n % 100, 1 + n % 49, n % 10_000),
        1 => hex(&digest[4..20], ""),
        _ => format!("{:08}", n * 997),
    };
    (format!("{a}.{b}.{c}.{d}"), device)
}

/// The bound is zero. One in 19 million is expected by chance for a value of
/// eight hexadecimal digits, and most of these have more.
#[test]
fn honest_rows_of_many_logins_raise_no_alarm() {
    let guard = guard(&["/ip", "/device_id"]);
    let sha256 = |text: &str| Value::Text(hex(&Sha256::digest(text), ""));
    let alarms = (0..HONEST_LOGINS).filter(|&n| {
        let (ip, device_id) = invented(n);
        let user_id = hex(&Sha256::digest(format!("user {n}"))[..16], "");
        let body = json!({
            "user_id": user_id, "app_version": "2.3.0", "device_type": "android",
            "ip": ip, "locale": "DE", "device_id": device_id,
        })
        .to_string();
        let row = vec![
            Value::Text(user_id),
            Value::Text("android".into()),
            sha256(&ip),
            sha256(&device_id),
            Value::Text("DE".into()),
            Value::Integer(2_003_000),
            Value::Date(20_513),
        ];
        guard.inspector().inspect(&body, &[row]).is_err()
    });
    assert_eq!(alarms.count(), 0);
}

/// An address cut to its network is honest, but for one: the network's own
/// address, whose value stands in the row as it was sent.
#[test]
fn an_address_cut_to_its_network_passes_unless_it_is_the_networks_own() {
    for n in 0..HONEST_LOGINS {
        let (ip, _) = invented(n);
        let parts: Vec<&str> = ip.split('.').collect();
        let (a, b, c) = (parts[0], parts[1], parts[2]);
        let body = json!({"ip": ip}).to_string();
        for network in [format!("{a}.{b}.{c}.0/24"), format!("{a}.{b}.0.0/16")] {
            let own = network.starts_with(&format!("{ip}/"));
            let caught = caught(&body, Value::Text(network.clone())).is_some();
            assert_eq!(caught, own, "{ip} in {network}");
        }
    }
}
