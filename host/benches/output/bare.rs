//! The floors: the same rows without a ledger, as bare as PostgreSQL takes
//! them. Each batch is one commit, as the host's are.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use etl_host::row::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Statement};

use crate::field::Field;
use crate::logins::Login;

const COPY: &str = "COPY user_logins FROM STDIN BINARY";
const INSERT: &str = "INSERT INTO user_logins SELECT * FROM unnest($1::varchar[], $2::varchar[],
    $3::varchar[], $4::varchar[], $5::varchar[], $6::int4[], $7::date[])";
const INSERT_ROW: &str = "INSERT INTO user_logins VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// The types of the target's columns, and of arrays of them.
const COLUMNS: [Type; 7] = [
    Type::VARCHAR,
    Type::VARCHAR,
    Type::VARCHAR,
    Type::VARCHAR,
    Type::VARCHAR,
    Type::INT4,
    Type::DATE,
];
const ARRAYS: [Type; 7] = [
    Type::VARCHAR_ARRAY,
    Type::VARCHAR_ARRAY,
    Type::VARCHAR_ARRAY,
    Type::VARCHAR_ARRAY,
    Type::VARCHAR_ARRAY,
    Type::INT4_ARRAY,
    Type::DATE_ARRAY,
];

/// A connection with its prepared statements.
pub struct Bare {
    client: Client,
    copy: Statement,
    insert: Statement,
    insert_row: Statement,
}

type Parameter<'a> = &'a (dyn ToSql + Sync);

impl Bare {
    pub async fn over(client: Client) -> Self {
        let prepare = async |sql| client.prepare(sql).await.expect("prepare a statement");
        Self {
            copy: prepare(COPY).await,
            insert: prepare(INSERT).await,
            insert_row: prepare(INSERT_ROW).await,
            client,
        }
    }

    /// COPY in its binary form.
    pub async fn copy(&self, logins: &[Login], batch: usize) {
        for logins in logins.chunks(batch) {
            let sink = self.client.copy_in(&self.copy).await.expect("begin a COPY");
            let mut writer = pin!(BinaryCopyInWriter::new(sink, &COLUMNS));
            for row in rows(logins) {
                let fields = fields(row);
                let written = writer.as_mut().write(&parameters(&fields)).await;
                written.expect("copy a row");
            }
            writer.finish().await.expect("end a COPY");
        }
    }

    /// One INSERT of arrays a batch, prepared once.
    pub async fn insert(&self, logins: &[Login], batch: usize) {
        for logins in logins.chunks(batch) {
            let arrays = arrays(logins);
            let inserted = self
                .client
                .execute(&self.insert, &parameters(&arrays))
                .await;
            inserted.expect("insert a batch");
        }
    }

    /// The same, parsed and planned each time, as it has to be where a pooler
    /// lends connections.
    pub async fn insert_unprepared(&self, logins: &[Login], batch: usize) {
        for logins in logins.chunks(batch) {
            let arrays = arrays(logins);
            let typed = parameters(&arrays).into_iter().zip(ARRAYS);
            let typed: Vec<(Parameter<'_>, Type)> = typed.collect();
            let inserted = self.client.execute_typed(INSERT, &typed).await;
            inserted.expect("insert a batch");
        }
    }

    /// An INSERT a row, all of a batch sent before the first is answered.
    pub async fn row_by_row(&self, logins: &[Login], batch: usize) {
        type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;
        for logins in logins.chunks(batch) {
            let insert = |row| -> Answer<'_> {
                Box::pin(async move {
                    let fields = fields(row);
                    let parameters = parameters(&fields);
                    let inserted = self.client.execute(&self.insert_row, &parameters);
                    inserted.await.map(drop)
                })
            };
            let begin: Answer<'_> = Box::pin(self.client.batch_execute("BEGIN"));
            let commit: Answer<'_> = Box::pin(self.client.batch_execute("COMMIT"));
            let inserts = rows(logins).map(insert);
            let mut answers: Vec<Answer<'_>> = std::iter::once(begin)
                .chain(inserts)
                .chain([commit])
                .collect();
            // Polled once, each is sent; nothing can be answered before the
            // connection has its turn.
            poll_fn(|context| {
                let unanswered =
                    |answer: &mut Answer<'_>| answer.as_mut().poll(context).is_pending();
                assert!(answers.iter_mut().all(unanswered));
                Poll::Ready(())
            })
            .await;
            for answer in answers {
                answer.await.expect("insert a row");
            }
        }
    }
}

fn rows(logins: &[Login]) -> impl Iterator<Item = &Row> {
    logins.iter().flat_map(|login| &login.rows)
}

fn fields(row: &Row) -> Vec<Field<'_>> {
    row.iter().map(Field).collect()
}

/// The rows' values, an array a column.
fn arrays(logins: &[Login]) -> Vec<Vec<Field<'_>>> {
    let column = |n: usize| rows(logins).map(|row| Field(&row[n])).collect();
    (0..COLUMNS.len()).map(column).collect()
}

fn parameters<T: ToSql + Sync>(values: &[T]) -> Vec<Parameter<'_>> {
    values.iter().map(|value| value as Parameter<'_>).collect()
}
