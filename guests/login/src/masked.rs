//! The row that the hashing policies share: a login with address and device
//! replaced by what a mask makes of them.

use alloc::{string::String, vec::Vec};

use etl_transform::{Column, Message, Outcome, Rejection, Row, Value, ValueType};

use crate::{Login, sent_date};

/// The columns of the row, those of the table `user_logins`.
pub fn masked_columns() -> Vec<Column> {
    Vec::from([
        Column::required("user_id", ValueType::Text),
        Column::required("device_type", ValueType::Text),
        Column::required("masked_ip", ValueType::Text),
        Column::required("masked_device_id", ValueType::Text),
        Column::nullable("locale", ValueType::Text),
        Column::required("app_version", ValueType::Integer),
        Column::required("create_date", ValueType::Date),
    ])
}

/// Judges a login: one row, in which `mask` has replaced the address and the
/// device, in this order.
pub fn masked(message: &Message, mask: impl FnOnce([&str; 2]) -> [String; 2]) -> Outcome {
    match row(message, mask) {
        Ok(row) => Outcome::Rows(Vec::from([row])),
        Err(rejection) => Outcome::Reject(rejection),
    }
}

/// The row of a login, its values in the order of the columns.
fn row(message: &Message, mask: impl FnOnce([&str; 2]) -> [String; 2]) -> Result<Row, Rejection> {
    let login = Login::parse(&message.body)?;
    let create_date = sent_date(message.sent_ms)?;
    let [masked_ip, masked_device_id] = mask([&login.ip, &login.device_id]);
    Ok(Vec::from([
        Value::Text(login.user_id.into_owned()),
        Value::Text(login.device_type.into_owned()),
        Value::Text(masked_ip),
        Value::Text(masked_device_id),
        login
            .locale
            .map_or(Value::Null, |locale| Value::Text(locale.into_owned())),
        Value::Integer(i64::from(login.app_version)),
        Value::Date(create_date),
    ]))
}
