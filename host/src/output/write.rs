//! The one statement: ledger entries and rows, committed together.
//!
//! The ledger takes each key once; the target is fed only by the keys that the
//! ledger took, and the statement counts what the target really took. Where a
//! trigger, a rule or a policy ate a row, it fails as a whole, so the ledger
//! never claims a row that is not there.

use std::future::Future;
use std::pin::Pin;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::error::DatabaseError;
use super::fit;
use super::key::{Key, TableName};
use super::ledger::Ledger;
use super::secret;
use super::session::{Database, Session};
use super::store::{Reply, Store};
use super::table::{Table, quoted};
use crate::origin::SecretRing;
use crate::row::{Column, Row, Value, ValueType};
use crate::verdict::Rejection;

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's own beginning of time.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROSECONDS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// What a component decides, as the database sees it: how its rows are written,
/// and how the ledger names it.
#[derive(Debug)]
pub struct Policy {
    digest: [u8; 32],
    key_id: Option<String>,
    columns: Vec<Column>,
    table: TableName,
    sql: String,
}

impl Policy {
    /// Prepares to write `columns` to `table`, which they fit (see
    /// [`super::fit()`]). `digest` is the SHA-256 of the component, `key_id` the
    /// id of the key under which it hashes, if it does.
    pub fn new(
        table: &Table,
        columns: &[Column],
        digest: [u8; 32],
        key_id: Option<String>,
    ) -> Self {
        Self {
            digest,
            key_id,
            columns: columns.to_vec(),
            table: table.name.clone(),
            sql: statement(table, columns),
        }
    }

    /// The columns that it writes.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The SHA-256 of the component.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// What is to be committed for one message.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its key. No key stands twice in a batch.
    pub key: Key,
    /// The id that the ledger shows for it.
    pub message_id: &'a str,
    /// Its place in the order in which rows are written.
    pub place: usize,
    /// What was decided.
    pub decision: Decision<'a>,
}

/// What was decided about a message.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    /// Its rows are written.
    Store(&'a [Row]),
    /// Nothing is written.
    Skip,
    /// It was refused, and copied to the dead-letter queue if there is one.
    Reject(&'a Rejection),
}

/// Proof that the database has committed what there is to know of a message.
/// Only this module makes one, and a deletion asks for it.
#[derive(Debug)]
pub struct Committed {
    /// Whether the key had been settled before.
    pub duplicate: bool,
}

/// Writes batches, over one connection at a time.
pub struct Writer {
    database: Database,
    session: Option<Session>,
}

impl Writer {
    /// A writer that connects when it has to.
    pub fn new(database: Database) -> Self {
        Self {
            database,
            session: None,
        }
    }

    /// The same writer, over a connection that is open already.
    #[must_use]
    pub fn over(mut self, session: Session) -> Self {
        self.session = Some(session);
        self
    }

    async fn connected(&mut self) -> Result<&Session, DatabaseError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.database.connect().await?,
        };
        Ok(self.session.insert(session))
    }

    /// Drops the connection where it is of no further use.
    fn checked<T>(&mut self, answer: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        if answer.as_ref().is_err_and(DatabaseError::breaks_connection) {
            self.session = None;
        }
        answer
    }
}

impl Store for Writer {
    fn write<'a>(
        &'a mut self,
        policy: &'a Policy,
        entries: &'a [Entry<'a>],
    ) -> Reply<'a, Vec<Committed>> {
        debug_assert!(entries.is_sorted_by(|one, next| one.key < next.key));
        Box::pin(async move {
            let parameters = Parameters::new(entries, policy);
            let session = self.connected().await?;
            let answer = session.write(&policy.sql, &parameters.list()).await;
            let answer = answer.map_err(|error| error.of_target(&policy.table));
            let rows = self.checked(answer)?;
            // One row: the numbers (from 1) of the entries that the ledger took.
            let fresh: Vec<i64> = rows.first().map(|row| row.get(0)).unwrap_or_default();
            let mut committed: Vec<Committed> = entries
                .iter()
                .map(|_| Committed { duplicate: true })
                .collect();
            for number in fresh {
                let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
                if let Some(entry) = committed.get_mut(index) {
                    entry.duplicate = false;
                }
            }
            Ok(committed)
        })
    }

    fn vouched<'a>(&'a mut self, claims: &'a [(Key, &'a str)]) -> Reply<'a, Vec<bool>> {
        Box::pin(async move {
            let answer = Ledger::vouched(self.connected().await?, claims).await;
            self.checked(answer)
        })
    }

    fn secrets(&mut self) -> Reply<'_, Option<SecretRing>> {
        Box::pin(async move {
            let answer = secret::ring(self.connected().await?).await;
            self.checked(answer)
        })
    }

    fn rejected(&mut self) -> Reply<'_, u64> {
        Box::pin(async move {
            let answer = Ledger::rejected(self.connected().await?).await;
            self.checked(answer)
        })
    }

    fn prune(&mut self, days: u32) -> Reply<'_, u64> {
        Box::pin(async move {
            let answer = Ledger::prune(self.connected().await?, days).await;
            self.checked(answer)
        })
    }

    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if let Some(session) = self.session {
                session.close().await;
            }
        })
    }
}

/// Builds the statement for a table.
///
/// A `rejected` entry is replaced, because the message is judged anew; any
/// other one stands, and its message is a duplicate. Where the target did not
/// take every row, the last subquery gives two rows where one may stand, which
/// fails the statement with SQLSTATE 21000. That is of no record's class: a
/// trigger that eats every row is no single record's fault.
///
/// A pooler may lend a session in which another client has SET a weaker
/// `synchronous_commit`. The setting at the commit counts, so the statement
/// goes back to what is configured, which the start-up has checked.
fn statement(table: &Table, columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let aliases: Vec<String> = (1..=columns.len()).map(|n| format!("c{n}")).collect();
    let arrays: Vec<String> = columns
        .iter()
        .zip(FIRST_COLUMN_PARAMETER..)
        .map(|(column, n)| format!("${n}::{}[]", element_type(column.value_type)))
        .collect();
    let expressions: Vec<String> = columns
        .iter()
        .zip(&aliases)
        .map(|(column, alias)| {
            let target = table
                .columns
                .iter()
                .find(|target| target.name == column.name);
            target
                .and_then(|target| fit::expression(column, target, &format!("r.{alias}")))
                .unwrap_or_else(|| format!("r.{alias}"))
        })
        .collect();
    format!(
        "WITH incoming AS (
    SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[])
        WITH ORDINALITY AS i(key, message_id, outcome, reason, field, n)
), ledgered AS (
    INSERT INTO etl_host.ledger AS l
        (key, message_id, outcome, reason, field, policy, key_id, at)
    SELECT key, message_id, outcome, reason, field, $6::bytea, $7::text, now()
        FROM incoming ORDER BY n
    ON CONFLICT (key) DO UPDATE SET
        message_id = EXCLUDED.message_id, outcome = EXCLUDED.outcome, reason = EXCLUDED.reason,
        field = EXCLUDED.field, policy = EXCLUDED.policy, key_id = EXCLUDED.key_id,
        at = EXCLUDED.at
        WHERE l.outcome = 'rejected'
    RETURNING key
), fresh AS (
    SELECT n FROM incoming JOIN ledgered USING (key)
), due AS (
    SELECT r.* FROM unnest($8::int8[], {arrays}) WITH ORDINALITY AS r(n, {aliases}, line)
        JOIN fresh USING (n)
), taken AS (
    INSERT INTO {target} ({names})
    SELECT {expressions} FROM due AS r ORDER BY line
    RETURNING 1
)
SELECT COALESCE((SELECT array_agg(n) FROM fresh), '{{}}'),
    (SELECT 1 FROM generate_series(1, CASE
        WHEN (SELECT count(*) FROM taken) = (SELECT count(*) FROM due) THEN 1 ELSE 2 END)),
    CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
        THEN set_config('synchronous_commit', (SELECT reset_val FROM pg_settings
            WHERE name = 'synchronous_commit'), true) END",
        arrays = arrays.join(", "),
        aliases = aliases.join(", "),
        target = table.quoted_name(),
        names = names.join(", "),
        expressions = expressions.join(", "),
    )
}

/// The number of the first parameter that holds a column's values.
const FIRST_COLUMN_PARAMETER: usize = 9;

fn element_type(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Boolean => "bool",
        ValueType::Integer => "int8",
        ValueType::Float => "float8",
        // A JSON text is read by the server, which knows what it accepts.
        ValueType::Text | ValueType::Json => "text",
        ValueType::Bytes => "bytea",
        ValueType::Date => "date",
        ValueType::Timestamp => "timestamptz",
    }
}

/// The statement's parameters: an array for each column of the ledger and of
/// the target, borrowed from the entries.
struct Parameters<'a> {
    keys: Vec<&'a [u8]>,
    message_ids: Vec<&'a str>,
    outcomes: Vec<&'static str>,
    reasons: Vec<Option<String>>,
    fields: Vec<Option<&'a str>>,
    digest: &'a [u8],
    key_id: &'a Option<String>,
    row_entries: Vec<i64>,
    columns: Vec<Array<'a>>,
}

#[cfg(any(test, feature = "bench"))]
impl Policy {
    /// A policy of a simulated database, told by its number.
    pub(crate) fn simulated(number: u8) -> Self {
        Self {
            digest: [number; 32],
            key_id: None,
            columns: Vec::new(),
            table: TableName {
                schema: "simulated".into(),
                name: "simulated".into(),
            },
            sql: String::new(),
        }
    }
}

#[cfg(any(test, feature = "bench"))]
impl Committed {
    /// The proof that a simulated database gives.
    pub(crate) fn simulated(duplicate: bool) -> Self {
        Self { duplicate }
    }
}

impl<'a> Parameters<'a> {
    fn new(entries: &'a [Entry<'a>], policy: &'a Policy) -> Self {
        let mut parameters = Self {
            keys: entries.iter().map(|entry| &entry.key.0[..]).collect(),
            message_ids: entries.iter().map(|entry| entry.message_id).collect(),
            outcomes: Vec::with_capacity(entries.len()),
            reasons: Vec::with_capacity(entries.len()),
            fields: Vec::with_capacity(entries.len()),
            digest: &policy.digest,
            key_id: &policy.key_id,
            row_entries: Vec::new(),
            columns: policy
                .columns
                .iter()
                .map(|column| Array::of(column.value_type))
                .collect(),
        };
        for entry in entries {
            parameters.enter(entry.decision);
        }
        // Entries are in the order of their keys, rows in that of receiving.
        let mut numbered: Vec<(&Entry<'_>, i64)> = entries.iter().zip(1..).collect();
        numbered.sort_by_key(|(entry, _)| entry.place);
        for (entry, number) in numbered {
            parameters.add_rows(entry.decision, number);
        }
        parameters
    }

    fn enter(&mut self, decision: Decision<'a>) {
        let (outcome, rejection) = match decision {
            Decision::Store(_) => ("stored", None),
            Decision::Skip => ("skipped", None),
            Decision::Reject(rejection) => ("rejected", Some(rejection)),
        };
        self.outcomes.push(outcome);
        self.reasons
            .push(rejection.map(|rejection| rejection.reason.to_string()));
        self.fields
            .push(rejection.and_then(|rejection| rejection.field.as_deref()));
    }

    fn add_rows(&mut self, decision: Decision<'a>, number: i64) {
        if let Decision::Store(rows) = decision {
            for row in rows {
                self.row_entries.push(number);
                for (array, value) in self.columns.iter_mut().zip(row) {
                    array.push(value);
                }
            }
        }
    }

    fn list(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let mut list: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&self.keys, Type::BYTEA_ARRAY),
            (&self.message_ids, Type::TEXT_ARRAY),
            (&self.outcomes, Type::TEXT_ARRAY),
            (&self.reasons, Type::TEXT_ARRAY),
            (&self.fields, Type::TEXT_ARRAY),
            (&self.digest, Type::BYTEA),
            (self.key_id, Type::TEXT),
            (&self.row_entries, Type::INT8_ARRAY),
        ];
        list.extend(self.columns.iter().map(Array::parameter));
        list
    }
}

/// One column's values.
enum Array<'a> {
    Boolean(Vec<Option<bool>>),
    Integer(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Text(Vec<Option<&'a str>>),
    Bytes(Vec<Option<&'a [u8]>>),
    Date(Vec<Option<Date>>),
    Timestamp(Vec<Option<Timestamp>>),
}

impl<'a> Array<'a> {
    fn of(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Boolean => Self::Boolean(Vec::new()),
            ValueType::Integer => Self::Integer(Vec::new()),
            ValueType::Float => Self::Float(Vec::new()),
            ValueType::Text | ValueType::Json => Self::Text(Vec::new()),
            ValueType::Bytes => Self::Bytes(Vec::new()),
            ValueType::Date => Self::Date(Vec::new()),
            ValueType::Timestamp => Self::Timestamp(Vec::new()),
        }
    }

    /// Adds a value of the array's type; the sandbox has checked that it is.
    fn push(&mut self, value: &'a Value) {
        match (self, value) {
            (Self::Boolean(array), Value::Boolean(value)) => array.push(Some(*value)),
            (Self::Integer(array), Value::Integer(value)) => array.push(Some(*value)),
            (Self::Float(array), Value::Float(value)) => array.push(Some(*value)),
            (Self::Text(array), Value::Text(value) | Value::Json(value)) => {
                array.push(Some(value));
            }
            (Self::Bytes(array), Value::Bytes(value)) => array.push(Some(value)),
            (Self::Date(array), Value::Date(days)) => array.push(Some(Date(*days))),
            (Self::Timestamp(array), Value::Timestamp(moment)) => {
                array.push(Some(Timestamp(*moment)));
            }
            (array, _) => array.push_null(),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(array) => array.push(None),
            Self::Integer(array) => array.push(None),
            Self::Float(array) => array.push(None),
            Self::Text(array) => array.push(None),
            Self::Bytes(array) => array.push(None),
            Self::Date(array) => array.push(None),
            Self::Timestamp(array) => array.push(None),
        }
    }

    fn parameter(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Boolean(array) => (array, Type::BOOL_ARRAY),
            Self::Integer(array) => (array, Type::INT8_ARRAY),
            Self::Float(array) => (array, Type::FLOAT8_ARRAY),
            Self::Text(array) => (array, Type::TEXT_ARRAY),
            Self::Bytes(array) => (array, Type::BYTEA_ARRAY),
            Self::Date(array) => (array, Type::DATE_ARRAY),
            Self::Timestamp(array) => (array, Type::TIMESTAMPTZ_ARRAY),
        }
    }
}

/// Days since 1970-01-01. Beyond PostgreSQL's calendar the value saturates,
/// which the server refuses (SQLSTATE 22008): the record is at fault.
#[derive(Debug)]
struct Date(i32);

impl ToSql for Date {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let days = self.0.saturating_sub(EPOCH_DAYS);
        // The two ends are PostgreSQL's -infinity and infinity, not dates.
        let days = days.clamp(i32::MIN + 1, i32::MAX - 1);
        out.extend_from_slice(&days.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(column_type: &Type) -> bool {
        *column_type == Type::DATE
    }

    to_sql_checked!();
}

/// Microseconds since 1970-01-01T00:00:00Z, with the same care as [`Date`].
#[derive(Debug)]
struct Timestamp(i64);

impl ToSql for Timestamp {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let moment = self.0.saturating_sub(EPOCH_MICROSECONDS);
        let moment = moment.clamp(i64::MIN + 1, i64::MAX - 1);
        out.extend_from_slice(&moment.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(column_type: &Type) -> bool {
        *column_type == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}
