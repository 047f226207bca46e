//! The default policy as the host sees it: its description and its rows.

use etl_transform::{Message, Outcome, Policy, Reason, Rejection, Value, ValueType};
use sha256_mask::Sha256Mask;

/// 2026-03-01T23:30:00Z.
const SENT_MS: u64 = 1_772_407_800_000;
const SENT_DATE: i32 = 20_513;

fn message(body: &str) -> Message {
    Message {
        id: "m-1".into(),
        body: body.into(),
        sent_ms: SENT_MS,
        attributes: vec![],
    }
}

fn transform(body: &str) -> Outcome {
    let policy = Sha256Mask::configure(&[]).expect("takes no parameters");
    policy.transform(&message(body))
}

#[track_caller]
fn row(body: &str) -> Vec<Value> {
    match transform(body) {
        Outcome::Rows(rows) => rows.into_iter().next().expect("has a row"),
        other => panic!("{other:?}"),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

const LOGIN: &str = r#"{"user_id":"user-1","app_version":"2.3.0","device_type":"android",
    "ip":"199.172.111.135","device_id":"device-7","locale":"DE"}"#;

#[test]
fn the_columns_are_those_of_user_logins() {
    let columns: Vec<(String, ValueType, bool)> = Sha256Mask::describe()
        .columns
        .into_iter()
        .map(|column| (column.name, column.type_, column.nullable))
        .collect();
    let expected = [
        ("user_id", ValueType::Text, false),
        ("device_type", ValueType::Text, false),
        ("masked_ip", ValueType::Text, false),
        ("masked_device_id", ValueType::Text, false),
        ("locale", ValueType::Text, true),
        ("app_version", ValueType::Integer, false),
        ("create_date", ValueType::Date, false),
    ];
    assert_eq!(
        columns,
        expected.map(|(name, type_, nullable)| (name.to_owned(), type_, nullable))
    );
}

#[test]
fn a_login_is_one_row_with_its_values_in_the_order_of_the_columns() {
    let expected = [
        text("user-1"),
        text("android"),
        text("a6d0e2f27f6111e10b06790db42f34123e724aa0fd24b280f4a0ef5ee986784c"),
        text("f65a5b250b6fdc53b33518b4c6a8c2775623a6e9b29b112576a2ccae2e92790f"),
        text("DE"),
        Value::Integer(2_003_000),
        Value::Date(SENT_DATE),
    ];
    assert_eq!(transform(LOGIN), Outcome::Rows(vec![expected.into()]));
}

#[test]
fn every_value_fits_its_column() {
    let columns = Sha256Mask::describe().columns;
    for body in [LOGIN, &LOGIN.replace(r#""DE""#, "null")] {
        let row = row(body);
        assert_eq!(row.len(), columns.len());
        for (value, column) in row.iter().zip(&columns) {
            let fits = match value {
                Value::Null => column.nullable,
                Value::Text(_) => column.type_ == ValueType::Text,
                Value::Integer(_) => column.type_ == ValueType::Integer,
                Value::Date(_) => column.type_ == ValueType::Date,
                _ => false,
            };
            assert!(fits, "{value:?} in {}", column.name);
        }
    }
}

#[test]
fn an_absent_locale_is_null_and_never_a_text() {
    for locale in [r#""DE""#, r#""None""#] {
        assert_ne!(row(&LOGIN.replace(r#""DE""#, locale))[4], Value::Null);
    }
    assert_eq!(row(&LOGIN.replace(r#""DE""#, "null"))[4], Value::Null);
    assert_eq!(row(&LOGIN.replace(r#","locale":"DE""#, ""))[4], Value::Null);
}

#[test]
fn the_hash_is_over_the_text_and_not_over_its_spelling() {
    let escaped = LOGIN.replace("199.172", r"\u003199\u002e172");
    assert_eq!(row(&escaped), row(LOGIN));
    let nul = row(&LOGIN.replace("199.172.111.135", r"ünï\u0000"));
    assert_eq!(
        nul[2],
        text("65137586a9c7a929a6b4919d8176ee0126569ff850f06b9c7b1be69501ec800e")
    );
    let empty = row(&LOGIN.replace("199.172.111.135", ""));
    assert_eq!(
        empty[2],
        text("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
}

#[test]
fn a_redelivery_gives_the_same_row() {
    assert_eq!(transform(LOGIN), transform(LOGIN));
}

#[test]
fn a_rejection_names_the_reason_and_the_field() {
    let no_device = LOGIN.replace("device_id", "device");
    let expected = Rejection::at(Reason::Missing, 4);
    assert_eq!(transform(&no_device), Outcome::Reject(expected));
    assert_eq!(Sha256Mask::describe().fields[4].pointer, "/device_id");
    let expected = Rejection::whole(Reason::Unsupported);
    assert_eq!(transform(r#"{"kind":"logout"}"#), Outcome::Reject(expected));
}

#[test]
fn a_time_beyond_every_date_is_rejected_without_a_field() {
    let message = Message {
        sent_ms: u64::MAX,
        ..message(LOGIN)
    };
    let expected = Rejection::whole(Reason::OutOfRange);
    assert_eq!(Sha256Mask.transform(&message), Outcome::Reject(expected));
}
