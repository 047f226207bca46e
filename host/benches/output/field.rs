//! A value in PostgreSQL's binary form, of the type that its column has.

use std::error::Error;

use etl_host::row::Value;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's own beginning of time.
const EPOCH_DAYS: i32 = 10_957;

/// A value of a login's row.
#[derive(Debug)]
pub struct Field<'a>(pub &'a Value);

impl ToSql for Field<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            // The table's only number is an int4.
            Value::Integer(integer) => {
                out.extend_from_slice(&i32::try_from(*integer)?.to_be_bytes());
            }
            Value::Date(days) => out.extend_from_slice(&(days - EPOCH_DAYS).to_be_bytes()),
            other => return Err(format!("no login has {other:?}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(column_type: &Type) -> bool {
        [Type::VARCHAR, Type::INT4, Type::DATE].contains(column_type)
    }

    to_sql_checked!();
}
