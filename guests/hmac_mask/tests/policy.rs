//! The keyed policy as the host sees it: the default policy's columns, and
//! hashes that the key decides.

use etl_transform::{Message, Outcome, Policy, Reason, Rejection, Value, keyed_hash};
use hmac_mask::HmacMask;

/// HMAC-SHA-256 of `199.172.111.135` and `device-7` under 32 bytes of 7, as
/// `openssl dgst -sha256 -mac HMAC` gives them.
const IP: &str = "7db2db683447b1df96dfaf370fb9f028495906b3f005576f6b52e5ea6d74faae";
const DEVICE: &str = "c4cd981c2e044e606ad2e737ce7e743af742509cec7e0ebfc3895286a464b415";

const LOGIN: &str = r#"{"user_id":"user-1","app_version":"2.3.0","device_type":"android",
    "ip":"199.172.111.135","device_id":"device-7","locale":null}"#;

fn transform(body: &str) -> Outcome {
    let policy = HmacMask::configure(&[]).expect("takes no parameters");
    policy.transform(&Message {
        id: "m-1".into(),
        body: body.into(),
        sent_ms: 0,
        attributes: vec![],
    })
}

#[test]
fn address_and_device_are_hashed_under_the_key() {
    assert_eq!(keyed_hash::TEST_KEY, [7; 32]);
    let text = |text: &str| Value::Text(text.into());
    let row = vec![
        text("user-1"),
        text("android"),
        text(IP),
        text(DEVICE),
        Value::Null,
        Value::Integer(2_003_000),
        Value::Date(0),
    ];
    assert_eq!(transform(LOGIN), Outcome::Rows(vec![row]));
}

#[test]
fn the_columns_are_the_default_policys() {
    let columns = HmacMask::describe().columns;
    assert_eq!(columns, login::masked_columns());
    assert_eq!(columns.len(), 7);
}

#[test]
fn what_is_no_login_is_rejected_as_by_the_default_policy() {
    let malformed = Rejection {
        reason: Reason::Malformed,
        field: None,
    };
    assert_eq!(transform("{"), Outcome::Reject(malformed));
}
