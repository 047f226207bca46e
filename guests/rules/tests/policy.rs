//! The policy of rules as the host sees it: its parameters, the columns that
//! follow from them, and the rows.

use etl_transform::{
    Argument, Description, Message, Outcome, Reason, Refusal, Rejection, Value, ValueType,
};
use rules::{Hashes, Rules};

/// 2026-03-01T23:30:00Z.
const SENT_MS: u64 = 1_772_407_800_000;

fn described() -> Description {
    Rules::describe("rules", "1.0.0", Hashes::Keyed)
}

fn configure(given: &[(&str, &str)]) -> Result<Rules, Refusal> {
    let given = given.iter().map(|(name, value)| Argument {
        name: (*name).into(),
        value: (*value).into(),
    });
    let arguments: Vec<Argument> = given.collect();
    Rules::configure(described(), &arguments)
}

/// A hash that tells what was hashed.
fn keyed(values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    values
        .iter()
        .map(|value| value.iter().rev().copied().collect())
        .collect()
}

fn message(body: &str) -> Message {
    Message {
        id: "m-1".into(),
        body: body.into(),
        sent_ms: SENT_MS,
        attributes: vec![],
    }
}

#[track_caller]
fn outcome(given: &[(&str, &str)], body: &str) -> Outcome {
    let rules = configure(given).expect("accepts the parameters");
    let mut outcomes = rules.judge(&[message(body)], keyed);
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

#[track_caller]
fn row(given: &[(&str, &str)], body: &str) -> Vec<Value> {
    match outcome(given, body) {
        Outcome::Rows(mut rows) => {
            assert_eq!(rows.len(), 1);
            rows.remove(0)
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn rejected(given: &[(&str, &str)], body: &str) -> (Reason, Option<u32>) {
    match outcome(given, body) {
        Outcome::Reject(Rejection { reason, field }) => (reason, field),
        other => panic!("{other:?}"),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn every_mask_makes_a_column_of_its_own_kind() {
    let given = [
        (
            "keep",
            "user, age:integer, score:float, paid:boolean, day:date, at:timestamp",
        ),
        ("hash", "/device/id as device"),
        ("keyed_hash", "ip as ip_hash"),
        ("network", "ip"),
        ("last", "card:4 as card_end"),
        ("month", "born as month"),
        ("year", "born as year"),
        ("message_id", "id"),
        ("sent_date", "sent"),
        ("sent_at", "sent_at"),
    ];
    let body = r#"{"user":"u1","age":41,"score":1.5,"paid":true,"day":"2026-11-23",
        "at":"1970-01-01T00:00:01Z","device":{"id":"199.172.111.135"},"ip":"203.0.113.97",
        "card":"0000-1111-4711","born":"1980-02-29"}"#;
    let columns = configure(&given).expect("accepts").description().columns;
    let row = row(&given, body);
    let found: Vec<(&str, ValueType, Value)> = columns
        .iter()
        .zip(row)
        .map(|(column, value)| (&*column.name, column.type_, value))
        .collect();
    let hash = "a6d0e2f27f6111e10b06790db42f34123e724aa0fd24b280f4a0ef5ee986784c";
    let reversed = hex_of("79.311.0.302");
    assert_eq!(
        found,
        [
            ("id", ValueType::Text, text("m-1")),
            ("user", ValueType::Text, text("u1")),
            ("age", ValueType::Integer, Value::Integer(41)),
            ("score", ValueType::Float, Value::Float(1.5)),
            ("paid", ValueType::Boolean, Value::Boolean(true)),
            ("day", ValueType::Date, Value::Date(20_780)),
            ("at", ValueType::Timestamp, Value::Timestamp(1_000_000)),
            ("device", ValueType::Text, text(hash)),
            ("ip_hash", ValueType::Text, text(&reversed)),
            ("ip", ValueType::Text, text("203.0.113.0/24")),
            ("card_end", ValueType::Text, text("4711")),
            ("month", ValueType::Text, text("1980-02")),
            ("year", ValueType::Integer, Value::Integer(1980)),
            ("sent", ValueType::Date, Value::Date(20_513)),
            (
                "sent_at",
                ValueType::Timestamp,
                Value::Timestamp(1_772_407_800_000_000)
            ),
        ]
    );
    assert!(columns.iter().filter(|column| !column.nullable).count() == 3);
}

fn hex_of(text: &str) -> String {
    etl_transform::hex(text.as_bytes())
}

#[test]
fn before_it_has_parameters_it_has_neither_columns_nor_fields() {
    let described = described();
    assert!(described.columns.is_empty() && described.fields.is_empty());
    let names = |hashes| {
        let described = Rules::describe("rules", "1.0.0", hashes);
        let names = described
            .parameters
            .into_iter()
            .map(|parameter| parameter.name);
        names.collect::<Vec<_>>()
    };
    assert!(names(Hashes::Keyed).contains(&"keyed_hash".to_owned()));
    assert!(!names(Hashes::Plain).contains(&"keyed_hash".to_owned()));
    let configured = configure(&[("keep", "a")]).expect("accepts").description();
    assert_eq!(configured.name, described.name);
    assert_eq!(configured.parameters, described.parameters);
}

#[test]
fn whatever_is_not_kept_is_sensitive() {
    let given = [
        ("keep", "a"),
        ("hash", "b"),
        ("keyed_hash", "c"),
        ("network", "d"),
        ("last", "e:4"),
        ("month", "f"),
        ("year", "g"),
        ("drop", "/h/i"),
    ];
    let fields = configure(&given).expect("accepts").description().fields;
    assert_eq!(fields.len(), 8);
    for field in fields {
        assert_eq!(field.sensitive, field.pointer != "/a", "{}", field.pointer);
    }
}

#[test]
fn null_and_absent_are_null_unless_the_field_is_required() {
    let optional = [("keep", "a,b,/c/d"), ("hash", "e")];
    let body = r#"{"a":"x","b":null,"e":null}"#;
    assert_eq!(
        row(&optional, body),
        [text("x"), Value::Null, Value::Null, Value::Null]
    );
    let null = r#"{"a":"x","c":null}"#;
    assert_eq!(row(&optional, null).len(), 4);
    for (required, body, reason) in [
        ("b", r#"{"a":"x"}"#, Reason::Missing),
        ("b", r#"{"a":"x","b":null}"#, Reason::WrongType),
        ("/c/d", r#"{"a":"x","c":null}"#, Reason::Missing),
        ("e", r#"{"a":"x"}"#, Reason::Missing),
    ] {
        let given = [optional[0], optional[1], ("required", required)];
        assert_eq!(rejected(&given, body).0, reason, "{body}");
    }
    let given = [("keep", "a,b"), ("hash", "a2"), ("required", "a, a2")];
    let columns = configure(&given).expect("accepts").description().columns;
    let nullable: Vec<bool> = columns.iter().map(|column| column.nullable).collect();
    assert_eq!(nullable, [false, true, false]);
}

#[test]
fn other_members_are_dropped_or_refused() {
    let body = r#"{"a":"x","b":{"c":"y","d":1},"more":[{}]}"#;
    let dropping = [("keep", "a,/b/c")];
    assert_eq!(row(&dropping, body), [text("x"), text("y")]);
    let refusing = |drop| [("keep", "a,/b/c"), ("drop", drop), ("others", "refuse")];
    for (drop, body) in [
        ("x", body),
        ("more", body),
        ("x", r#"{"a":"x","b":{"c":"y","d":1}}"#),
    ] {
        assert_eq!(rejected(&refusing(drop), body), (Reason::Unexpected, None));
    }
    assert_eq!(row(&refusing("more,/b/d"), body), [text("x"), text("y")]);
}

#[test]
fn a_body_that_cannot_be_judged_is_rejected_with_its_field() {
    // Fields are counted as the parameters are read: what is dropped first.
    let given = [
        ("drop", "gone"),
        (
            "keep",
            "a, n:integer, f:float, b:boolean, d:date, t:timestamp",
        ),
        ("hash", "h"),
        ("network", "ip"),
        ("last", "l:4"),
        ("month", "m"),
    ];
    let place = |name: &str| {
        let fields = configure(&given).expect("accepts").description().fields;
        fields
            .iter()
            .position(|field| field.pointer[1..] == *name)
            .map(|place| place as u32)
    };
    for (name, value, reason) in [
        ("a", "1", Reason::WrongType),
        ("a", r#""\u0000""#, Reason::Invalid),
        ("n", "1.5", Reason::WrongType),
        ("n", "9223372036854775808", Reason::OutOfRange),
        ("n", r#""1""#, Reason::WrongType),
        ("f", "true", Reason::WrongType),
        ("b", "0", Reason::WrongType),
        ("d", r#""2026-02-29""#, Reason::Invalid),
        ("d", "20260228", Reason::WrongType),
        ("t", r#""2026-02-28""#, Reason::Invalid),
        ("h", "1.5", Reason::WrongType),
        ("h", "[]", Reason::WrongType),
        ("h", "true", Reason::WrongType),
        ("ip", r#""here""#, Reason::Invalid),
        ("ip", "7", Reason::WrongType),
        // They are their own networks: nothing of them would be hidden.
        ("ip", r#""203.0.113.0""#, Reason::Invalid),
        ("ip", r#""::ffff:203.0.113.0""#, Reason::Invalid),
        ("ip", r#""2001:DB8:77:0::""#, Reason::Invalid),
        ("l", r#""4711""#, Reason::Invalid),
        ("l", r#""""#, Reason::Invalid),
        ("l", r#""xx\u0000711""#, Reason::Invalid),
        ("m", r#""1980-02-30""#, Reason::Invalid),
    ] {
        let body = format!(r#"{{"{name}":{value}}}"#);
        assert_eq!(rejected(&given, &body), (reason, place(name)), "{body}");
    }
    for (body, reason) in [
        ("", Reason::Malformed),
        ("{", Reason::Malformed),
        (r#"{"a":"x"} x"#, Reason::Malformed),
        (r#"{"a":"x","a":"x"}"#, Reason::Malformed),
        (r#"{"a":1e999}"#, Reason::Malformed),
        ("null", Reason::Unsupported),
        ("[1]", Reason::Unsupported),
        (r#""a""#, Reason::Unsupported),
        ("{}", Reason::Unsupported),
        (r#"{"z":1}"#, Reason::Unsupported),
    ] {
        assert_eq!(rejected(&[("keep", "a")], body), (reason, None), "{body}");
    }
    // What is skipped is not read: its numbers may be of any size.
    assert_eq!(row(&[("keep", "a")], r#"{"a":"x","z":1e999}"#), [text("x")]);
}

#[test]
fn an_object_that_is_none_makes_its_fields_of_a_wrong_type() {
    for value in ["1", "\"x\"", "[{\"b\":\"x\"}]", "true", "1.5", "-1"] {
        let body = format!(r#"{{"a":{value},"k":"x"}}"#);
        let given = [("keep", "k,/a/b/c")];
        assert_eq!(
            rejected(&given, &body),
            (Reason::WrongType, Some(1)),
            "{body}"
        );
        // Nobody wants to know what it was.
        let dropped = [("keep", "k"), ("drop", "/a/b")];
        assert_eq!(row(&dropped, &body), [text("x")]);
    }
}

#[test]
fn whole_numbers_are_hashed_in_their_digits() {
    let same = row(&[("hash", "a,b")], r#"{"a":4711,"b":"4711"}"#);
    assert_eq!(same[0], same[1]);
    let large = row(&[("last", "a:4")], r#"{"a":18446744073709551615}"#);
    assert_eq!(large, [text("1615")]);
}

#[test]
fn the_end_of_a_text_is_counted_in_characters() {
    let end = row(&[("last", "a:2")], "{\"a\":\"x\u{e9}\u{1f600}\"}");
    assert_eq!(end, [text("\u{e9}\u{1f600}")]);
}

#[test]
fn the_operator_says_how_many_bits_of_an_address_are_kept() {
    let given = [
        ("network", "a,b,c"),
        ("ipv4_prefix_bits", "16"),
        ("ipv6_prefix_bits", "32"),
    ];
    let body = r#"{"a":"203.0.113.97","b":"2001:db8:77:1::1","c":"::ffff:203.0.113.97"}"#;
    let expected = ["203.0.0.0/16", "2001:db8::/32", "203.0.0.0/16"].map(text);
    assert_eq!(row(&given, body), expected);
}

#[test]
fn hashes_under_the_key_find_their_rows_past_those_that_are_rejected() {
    let given = [("keyed_hash", "a,b"), ("last", "c:1")];
    let rules = configure(&given).expect("accepts");
    let bodies = [
        r#"{"a":"1","b":"2","c":"xx"}"#,
        // Found out after two values of it are ready to be hashed.
        r#"{"a":"3","b":"4","c":"x"}"#,
        r#"{"b":"5"}"#,
    ];
    let outcomes = rules.judge(&bodies.map(message), keyed);
    let hashed = |value: &str| text(&hex_of(value));
    assert_eq!(
        outcomes,
        [
            Outcome::Rows(vec![vec![hashed("1"), hashed("2"), text("x")]]),
            Outcome::Reject(Rejection::at(Reason::Invalid, 2)),
            Outcome::Rows(vec![vec![Value::Null, hashed("5"), Value::Null]]),
        ]
    );
}

#[test]
fn a_parameter_that_makes_no_sense_is_refused_in_fixed_words() {
    let parameters = described().parameters;
    for (given, name, words) in [
        (&[][..], "keep", "nothing to store"),
        (&[("drop", "a")], "keep", "nothing to store"),
        (&[("message_id", "id")], "keep", "nothing to store"),
        (&[("keep", "")], "keep", "separated by commas"),
        (&[("keep", "a b")], "keep", "separated by commas"),
        (&[("keep", "a:number")], "keep", "integer"),
        (&[("hash", "a:4")], "hash", "without a setting"),
        (&[("drop", "a:4")], "drop", "without a setting"),
        (&[("last", "a")], "last", "1 to 100"),
        (&[("last", "a:0")], "last", "1 to 100"),
        (&[("last", "a:101")], "last", "1 to 100"),
        (&[("last", "a:+4")], "last", "1 to 100"),
        (&[("keep", "a,a")], "keep", "a column"),
        (&[("hash", "a"), ("network", "a")], "network", "a column"),
        (
            &[("keep", "a"), ("sent_date", "a")],
            "sent_date",
            "a column",
        ),
        (
            &[("keep", "a"), ("message_id", "")],
            "message_id",
            "a column",
        ),
        (
            &[("keep", "a"), ("hash", "a as b")],
            "hash",
            "no other parameter",
        ),
        (
            &[("hash", "a"), ("drop", "a")],
            "hash",
            "no other parameter",
        ),
        (
            &[("keep", "a"), ("drop", "b,b")],
            "drop",
            "no other parameter",
        ),
        (&[("keep", "a,/a/b")], "keep", "inside another"),
        (&[("keep", "/a/b,a")], "keep", "inside another"),
        (
            &[("keep", "a"), ("required", "b")],
            "required",
            "another parameter",
        ),
        (
            &[("keep", "a"), ("others", "keep")],
            "others",
            "drop or refuse",
        ),
        (
            &[("keep", "a"), ("ipv4_prefix_bits", "33")],
            "ipv4_prefix_bits",
            "1 to 32",
        ),
        (
            &[("keep", "a"), ("ipv6_prefix_bits", "0")],
            "ipv6_prefix_bits",
            "1 to 128",
        ),
    ] {
        let refusal = configure(given)
            .err()
            .unwrap_or_else(|| panic!("{given:?}"));
        assert_eq!(
            parameters[refusal.parameter as usize].name, name,
            "{given:?}"
        );
        assert!(
            refusal.expected.contains(words),
            "{given:?}: {}",
            refusal.expected
        );
    }
}

#[test]
fn the_described_defaults_are_what_nothing_means() {
    let defaults: Vec<(String, String)> = described()
        .parameters
        .into_iter()
        .filter_map(|parameter| Some((parameter.name, parameter.default?)))
        .collect();
    let mut given: Vec<(&str, &str)> = defaults
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    given.extend([("keep", "k"), ("network", "a,b")]);
    let body = r#"{"k":"x","a":"203.0.113.97","b":"2001:db8:a:b::1","more":1}"#;
    assert_eq!(row(&given, body), row(&given[given.len() - 2..], body));
    assert_eq!(given.len(), 5);
}
