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

/// Judges logins: one row each, in which `mask` has replaced the address and
/// the device. It is asked once for those of all good logins, in this order,
/// and gives a text for each.
pub fn masked(messages: &[Message], mask: impl FnOnce(&[&str]) -> Vec<String>) -> Vec<Outcome> {
    let logins: Vec<Result<(Login, i32), Rejection>> = messages.iter().map(dated).collect();
    let good = logins.iter().flatten();
    let values: Vec<&str> = good
        .flat_map(|(login, _)| [&*login.ip, &*login.device_id])
        .collect();
    let mut masks = mask(&values).into_iter();
    // A text that is missing would be one that is not hidden, so it traps.
    let mut masks = || [(); 2].map(|()| masks.next().expect("a text for each value"));
    logins
        .into_iter()
        .map(|login| match login {
            Ok((login, date)) => Outcome::Rows(Vec::from([row(login, date, masks())])),
            Err(rejection) => Outcome::Reject(rejection),
        })
        .collect()
}

/// A login and the date on which it was sent.
fn dated(message: &Message) -> Result<(Login<'_>, i32), Rejection> {
    Ok((Login::parse(&message.body)?, sent_date(message.sent_ms)?))
}

/// The row of a login, its values in the order of the columns.
fn row(login: Login, create_date: i32, [masked_ip, masked_device_id]: [String; 2]) -> Row {
    Vec::from([
        Value::Text(login.user_id.into_owned()),
        Value::Text(login.device_type.into_owned()),
        Value::Text(masked_ip),
        Value::Text(masked_device_id),
        login
            .locale
            .map_or(Value::Null, |locale| Value::Text(locale.into_owned())),
        Value::Integer(i64::from(login.app_version)),
        Value::Date(create_date),
    ])
}
