//! The truncating policy as the host sees it: its parameters and its rows.

use etl_transform::{Argument, Message, Outcome, Policy, Reason, Refusal, Rejection, Value};
use truncate_mask::TruncateMask;

/// 2026-03-01T23:30:00Z.
const SENT_MS: u64 = 1_772_407_800_000;
const SENT_DATE: i32 = 20_513;

fn configure(arguments: &[(&str, &str)]) -> Result<TruncateMask, Refusal> {
    let arguments: Vec<Argument> = arguments
        .iter()
        .map(|(name, value)| Argument {
            name: (*name).into(),
            value: (*value).into(),
        })
        .collect();
    TruncateMask::configure(&arguments)
}

fn transform(policy: &TruncateMask, ip: &str) -> Outcome {
    let body = format!(
        r#"{{"user_id":"user-1","app_version":"2.3.0","device_type":"ios","ip":"{ip}",
        "device_id":"device-7"}}"#
    );
    policy.transform(&Message {
        id: "m-1".into(),
        body,
        sent_ms: SENT_MS,
        attributes: vec![],
    })
}

#[track_caller]
fn masked_ip(arguments: &[(&str, &str)], ip: &str) -> String {
    let policy = configure(arguments).expect("accepts the parameters");
    match transform(&policy, ip) {
        Outcome::Rows(rows) => match &rows[0][2] {
            Value::Text(masked) => masked.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_login_is_one_row_without_its_device() {
    let policy = configure(&[]).expect("has defaults");
    let expected = vec![
        Value::Text("user-1".into()),
        Value::Text("ios".into()),
        Value::Text("203.0.113.0/24".into()),
        Value::Null,
        Value::Null,
        Value::Integer(2_003_000),
        Value::Date(SENT_DATE),
    ];
    let outcome = transform(&policy, "203.0.113.97");
    assert_eq!(outcome, Outcome::Rows(vec![expected]));
}

#[test]
fn a_row_has_a_value_for_each_column() {
    let columns = TruncateMask::describe().columns;
    let policy = configure(&[]).expect("has defaults");
    let Outcome::Rows(rows) = transform(&policy, "203.0.113.97") else {
        panic!("has a row");
    };
    assert_eq!(rows[0].len(), columns.len());
    for (value, column) in rows[0].iter().zip(columns) {
        assert!(column.nullable || *value != Value::Null, "{}", column.name);
    }
}

#[test]
fn addresses_are_cut_to_24_and_48_bits_unless_told_otherwise() {
    assert_eq!(masked_ip(&[], "198.51.100.255"), "198.51.100.0/24");
    assert_eq!(masked_ip(&[], "2001:db8:a:b:c:d:e:f"), "2001:db8:a::/48");
}

#[test]
fn a_network_is_written_in_one_way_only() {
    for same in [
        "2001:db8:A:b::1",
        "2001:0DB8:000a::",
        "2001:db8:a:ffff:0:0:192.0.2.1",
    ] {
        assert_eq!(masked_ip(&[], same), "2001:db8:a::/48");
    }
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_cut_as_ipv4() {
    assert_eq!(masked_ip(&[], "::ffff:203.0.113.97"), "203.0.113.0/24");
}

#[test]
fn the_operator_says_how_many_bits_are_kept() {
    let cut = |bits| masked_ip(&[("ipv4_prefix_bits", bits)], "203.0.113.255");
    assert_eq!(cut("1"), "128.0.0.0/1");
    assert_eq!(cut("16"), "203.0.0.0/16");
    assert_eq!(cut("31"), "203.0.113.254/31");
    assert_eq!(cut("32"), "203.0.113.255/32");

    let cut = |bits| masked_ip(&[("ipv6_prefix_bits", bits)], "ffff::ffff");
    assert_eq!(cut("1"), "8000::/1");
    assert_eq!(cut("8"), "ff00::/8");
    assert_eq!(cut("127"), "ffff::fffe/127");
    assert_eq!(cut("128"), "ffff::ffff/128");
}

#[test]
fn the_described_defaults_are_accepted_and_are_what_nothing_means() {
    let parameters = TruncateMask::describe().parameters;
    let defaults: Vec<(&str, &str)> = parameters
        .iter()
        .map(|parameter| {
            assert!(!parameter.required);
            (
                &*parameter.name,
                parameter.default.as_deref().expect("has a default"),
            )
        })
        .collect();
    assert_eq!(
        defaults,
        [("ipv4_prefix_bits", "24"), ("ipv6_prefix_bits", "48")]
    );
    for ip in ["203.0.113.97", "2001:db8:a:b:c:d:e:f"] {
        assert_eq!(masked_ip(&defaults, ip), masked_ip(&[], ip));
    }
}

#[test]
fn a_number_of_bits_out_of_range_is_refused_by_its_parameter() {
    for (parameter, name, beyond, expected) in [
        (0, "ipv4_prefix_bits", "33", "a number of bits from 1 to 32"),
        (
            1,
            "ipv6_prefix_bits",
            "129",
            "a number of bits from 1 to 128",
        ),
    ] {
        for value in [
            beyond, "0", "", " ", "-1", "+24", "24 ", "2.4", "0x10", "many", "256", "\u{662}",
        ] {
            let refusal = configure(&[(name, value)]).err();
            let expected = Refusal {
                parameter,
                expected: expected.into(),
            };
            assert_eq!(refusal, Some(expected), "{value:?}");
        }
    }
}

#[test]
fn a_refusal_points_at_the_described_parameter() {
    let refusal = configure(&[("ipv4_prefix_bits", "24"), ("ipv6_prefix_bits", "x")]).err();
    let index = refusal.expect("is refused").parameter as usize;
    let parameters = TruncateMask::describe().parameters;
    assert_eq!(parameters[index].name, "ipv6_prefix_bits");
}

#[test]
fn what_is_no_address_is_invalid() {
    let policy = configure(&[]).expect("has defaults");
    for ip in [
        "",
        "here",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.09",
        " 203.0.113.9",
        "203.0.113.9:80",
        "203.0.113.0/24",
        "[2001:db8::1]",
        "2001:db8::1::2",
        "fe80::1%eth0",
        "3405803785",
    ] {
        let expected = Rejection::at(Reason::Invalid, 3);
        assert_eq!(transform(&policy, ip), Outcome::Reject(expected), "{ip:?}");
    }
    assert_eq!(TruncateMask::describe().fields[3].pointer, "/ip");
}

#[test]
fn neither_the_whole_address_nor_the_device_is_in_the_row() {
    let policy = configure(&[]).expect("has defaults");
    let outcome = format!("{:?}", transform(&policy, "203.0.113.97"));
    assert!(
        !outcome.contains("203.0.113.97") && !outcome.contains("device-7"),
        "{outcome}"
    );
}
