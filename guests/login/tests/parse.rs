//! What counts as a login, and the reason and field that a rejected message is
//! given.

use std::borrow::Cow;

use etl_transform::{Reason, Rejection};
use login::{Field, Login, fields};

/// A good login with one member replaced: `None` leaves it out.
fn body(member: &str, value: Option<&str>) -> String {
    let members = [
        ("user_id", r#""user-1""#),
        ("app_version", r#""1.2.3""#),
        ("device_type", r#""android""#),
        ("ip", r#""203.0.113.9""#),
        ("device_id", r#""device-7""#),
        ("locale", r#""DE""#),
    ];
    let members: Vec<String> = members
        .into_iter()
        .filter_map(|(name, good)| {
            let value = if name == member { value? } else { good };
            Some(format!("{name:?}:{value}"))
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A good login, with more members written after its own.
fn body_and(more: &str) -> String {
    let good = body("", None);
    format!("{},{more}}}", good.trim_end_matches('}'))
}

#[track_caller]
fn rejects(body: &str, reason: Reason, field: Option<Field>) {
    let expected = Rejection {
        reason,
        field: field.map(|field| field as u32),
    };
    assert_eq!(Login::parse(body), Err(expected), "{body:.200}");
}

#[track_caller]
fn accepts(body: &str) -> Login<'_> {
    Login::parse(body).unwrap_or_else(|rejection| panic!("{rejection:?}: {body:.200}"))
}

const REQUIRED: [(&str, Field); 5] = [
    ("user_id", Field::UserId),
    ("app_version", Field::AppVersion),
    ("device_type", Field::DeviceType),
    ("ip", Field::Ip),
    ("device_id", Field::DeviceId),
];

#[test]
fn a_login_has_its_six_members() {
    let expected = Login {
        user_id: "user-1".into(),
        app_version: 1_002_003,
        device_type: "android".into(),
        ip: "203.0.113.9".into(),
        device_id: "device-7".into(),
        locale: Some("DE".into()),
    };
    assert_eq!(accepts(&body("", None)), expected);
}

#[test]
fn fields_are_described_in_the_order_of_their_indices() {
    let pointers: Vec<String> = fields().into_iter().map(|field| field.pointer).collect();
    for (name, field) in REQUIRED {
        assert_eq!(pointers[field as usize], format!("/{name}"));
    }
    assert_eq!(pointers[Field::Locale as usize], "/locale");
    assert_eq!(pointers.len(), 6);
}

#[test]
fn only_the_address_and_the_device_are_sensitive() {
    let sensitive: Vec<String> = fields()
        .into_iter()
        .filter(|field| field.sensitive)
        .map(|field| field.pointer)
        .collect();
    assert_eq!(sensitive, ["/ip", "/device_id"]);
}

#[test]
fn white_space_and_the_order_of_members_do_not_matter() {
    let body = "\n\t{ \"locale\" : null , \"ip\":\"203.0.113.9\",\r\n\"device_id\":\"d\",
        \"device_type\":\"ios\", \"app_version\":\"1\", \"user_id\":\"u\" } \n";
    assert_eq!(accepts(body).ip, "203.0.113.9");
}

#[test]
fn a_locale_may_be_null_or_absent() {
    assert_eq!(accepts(&body("locale", None)).locale, None);
    assert_eq!(accepts(&body("locale", Some("null"))).locale, None);
    let empty = body("locale", Some(r#""""#));
    assert_eq!(accepts(&empty).locale, Some("".into()));
}

#[test]
fn texts_without_escapes_are_borrowed() {
    let body = body("user_id", Some(r#""a\u0062c""#));
    let login = accepts(&body);
    assert!(matches!(login.user_id, Cow::Owned(text) if text == "abc"));
    assert!(matches!(login.ip, Cow::Borrowed(_)));
}

#[test]
fn names_and_texts_may_be_written_with_escapes() {
    let body = body("ip", None).replace('{', r#"{"\u0069\u0070":"\ud83e\udd80 \"x\"","#);
    assert_eq!(accepts(&body).ip, "🦀 \"x\"");
}

#[test]
fn a_required_member_that_is_absent_is_missing() {
    for (name, field) in REQUIRED {
        rejects(&body(name, None), Reason::Missing, Some(field));
    }
}

#[test]
fn a_required_member_that_is_no_text_has_the_wrong_type() {
    for (name, field) in REQUIRED {
        for value in [
            "null",
            "true",
            "7",
            "-7",
            "1.5",
            "[]",
            "{}",
            r#"["a"]"#,
            r#"{"a":1}"#,
        ] {
            rejects(&body(name, Some(value)), Reason::WrongType, Some(field));
        }
    }
}

#[test]
fn a_locale_that_is_neither_text_nor_null_has_the_wrong_type() {
    for value in ["false", "7", "[]", "{}"] {
        rejects(
            &body("locale", Some(value)),
            Reason::WrongType,
            Some(Field::Locale),
        );
    }
}

#[test]
fn a_version_that_is_none_is_told_from_one_out_of_range() {
    for (value, reason) in [
        (r#""1.x""#, Reason::Invalid),
        (r#""1.2.3.4""#, Reason::Invalid),
        (r#""1.1000""#, Reason::OutOfRange),
        (r#""2148""#, Reason::OutOfRange),
    ] {
        rejects(
            &body("app_version", Some(value)),
            reason,
            Some(Field::AppVersion),
        );
    }
}

#[test]
fn a_text_that_postgresql_cannot_store_is_invalid() {
    for (name, field) in [
        ("user_id", Field::UserId),
        ("app_version", Field::AppVersion),
        ("device_type", Field::DeviceType),
        ("locale", Field::Locale),
    ] {
        rejects(
            &body(name, Some(r#""a\u0000""#)),
            Reason::Invalid,
            Some(field),
        );
    }
}

#[test]
fn a_text_that_is_only_hashed_may_hold_anything() {
    for name in ["ip", "device_id"] {
        accepts(&body(name, Some(r#""a\u0000""#)));
    }
}

#[test]
fn the_first_field_at_fault_is_named_whatever_the_order_of_members() {
    let (ip, version) = (r#""ip":7"#, r#""app_version":"x""#);
    let rest = r#""user_id":"u","device_type":"d","device_id":null"#;
    for body in [
        format!("{{{ip},{version},{rest}}}"),
        format!("{{{rest},{version},{ip}}}"),
    ] {
        rejects(&body, Reason::Invalid, Some(Field::AppVersion));
    }
}

#[test]
fn what_is_no_json_is_malformed() {
    let good = body("", None);
    for body in [
        "",
        " ",
        "login",
        "{",
        "{'user_id':1}",
        r#"{"user_id":"u""#,
        r#"{"user_id":"u",}"#,
        r#"{"user_id"}"#,
        "\u{0}",
        "[1,2",
        "[1,2] x",
        "NaN",
        &format!("\u{feff}{good}"),
        &format!("{good} {good}"),
        &format!("{good}x"),
        &good[..good.len() - 1],
        &good.replace("user-1", "user\n1"),
        &good.replace("user-1", r"user\x1"),
    ] {
        rejects(body, Reason::Malformed, None);
    }
}

#[test]
fn half_a_surrogate_pair_is_malformed() {
    for half in [
        r#""\ud83e""#,
        r#""\udd80""#,
        r#""\ud83e\ud83e""#,
        r#""\ud83ex""#,
    ] {
        rejects(&body("user_id", Some(half)), Reason::Malformed, None);
    }
}

#[test]
fn a_member_given_twice_is_malformed() {
    for again in [
        r#""ip":"203.0.113.9""#,
        r#""ip":null"#,
        r#""\u0069p":"203.0.113.10""#,
        r#""locale":null"#,
    ] {
        rejects(&body_and(again), Reason::Malformed, None);
    }
}

#[test]
fn an_object_without_any_member_of_a_login_is_unsupported() {
    for body in [
        "{}",
        r#"{"kind":"logout","at":17}"#,
        r#"{"IP":"203.0.113.9"}"#,
    ] {
        rejects(body, Reason::Unsupported, None);
    }
}

#[test]
fn json_that_is_no_object_is_unsupported() {
    for body in [
        "null",
        "true",
        "17",
        "-1.5e3",
        r#""ip""#,
        "[]",
        r#"[{"ip":"x"}]"#,
    ] {
        rejects(body, Reason::Unsupported, None);
    }
}

#[test]
fn one_member_of_a_login_makes_it_one() {
    rejects(r#"{"locale":null}"#, Reason::Missing, Some(Field::UserId));
    rejects(r#"{"ip":7}"#, Reason::Missing, Some(Field::UserId));
}

#[test]
fn members_of_other_names_do_not_matter() {
    for other in [
        r#""extra":"x""#,
        r#""extra":1,"extra":2"#,
        r#""":null"#,
        r#""huge":1e99999,"long":123456789012345678901234567890.5e-400"#,
        r#""nested":{"ip":7,"user_id":[{}]}"#,
        r#""nul":"\u0000","half":"\ud83e""#,
    ] {
        accepts(&body_and(other));
    }
}

#[test]
fn nesting_of_any_depth_needs_no_stack() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    for deep in [&deep, &deep_objects] {
        accepts(&body_and(&format!(r#""extra":{deep}"#)));
        rejects(&body("ip", Some(deep)), Reason::WrongType, Some(Field::Ip));
        rejects(deep, Reason::Unsupported, None);
        rejects(&deep[..deep.len() - 1], Reason::Malformed, None);
    }
}

#[test]
fn a_number_beyond_a_float_is_malformed_where_a_text_should_be() {
    rejects(&body("ip", Some("1e99999")), Reason::Malformed, None);
}
