//! The target table, as the catalogue describes it.

use tokio_postgres::types::Type;

use super::error::DatabaseError;
use super::key::TableName;
use super::session::Session;
use crate::row::{Column, ValueType};

/// The target table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its full name.
    pub name: TableName,
    /// Its columns, in the table's order.
    pub columns: Vec<TableColumn>,
    /// The names of its rules for inserted rows that PostgreSQL does not allow
    /// where one statement writes to two tables.
    pub rules: Vec<String>,
}

/// A column of the target table.
#[derive(Clone, Debug)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Its type as `psql` shows it: `character varying(128)`.
    pub shown_type: String,
    /// The name of the type, or of a domain's base type: `varchar`.
    pub base_type: String,
    /// The base type as SQL can name it in a cast: `uuid`, `app.colour`.
    pub cast_type: String,
    /// Whether the base type is an enumeration.
    pub is_enum: bool,
    /// Whether null is refused, by the column or by its domain.
    pub not_null: bool,
    /// The domain that refuses null, as SQL can name it.
    pub not_null_domain: Option<String>,
    /// Whether it is part of the primary key.
    pub in_primary_key: bool,
    /// Whether a row may leave it out: a default, an identity, or nullable.
    pub may_be_left_out: bool,
    /// Who gives it its values.
    pub filled_by: FilledBy,
}

/// Who gives a column its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilledBy {
    /// Whoever inserts a row.
    Writer,
    /// The table, by its own counter (`GENERATED ALWAYS AS IDENTITY`).
    Identity,
    /// The table, by an expression (`GENERATED ALWAYS AS … STORED`).
    Expression,
    /// The table, by an expression at each reading (`GENERATED … VIRTUAL`).
    VirtualExpression,
}

impl Table {
    /// Looks up `[schema.]table`, as SQL would.
    ///
    /// # Errors
    /// The database did not answer, or not with yes.
    pub async fn find(session: &Session, name: &str) -> Result<Option<Self>, DatabaseError> {
        let found = session
            .ask(
                // Only a rule without a condition, in place of the insertion and
                // with RETURNING is one that a WITH may contain (else 0A000).
                "SELECT n.nspname::text, c.relname::text, c.oid, \
                 ARRAY(SELECT rulename::text FROM pg_rewrite \
                       WHERE ev_class = c.oid AND ev_type = '3' AND ev_enabled IN ('O', 'A') \
                       AND NOT (is_instead AND ev_qual = '<>' \
                           AND ev_action LIKE '%:returningList (%') \
                       ORDER BY 1) \
                 FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')",
                &[(&name, Type::TEXT)],
            )
            .await?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        let oid: u32 = found.get(2);
        Ok(Some(Self {
            name: TableName {
                schema: found.get(0),
                name: found.get(1),
            },
            columns: columns(session, oid).await?,
            rules: found.get(3),
        }))
    }

    /// Its full name as SQL writes it.
    pub(super) fn quoted_name(&self) -> String {
        format!("{}.{}", quoted(&self.name.schema), quoted(&self.name.name))
    }

    /// Creates the table that a component describes.
    ///
    /// # Errors
    /// The database did not answer, or not with yes.
    pub async fn create(
        session: &Session,
        name: &str,
        columns: &[Column],
    ) -> Result<(), DatabaseError> {
        session.execute(&Self::ddl(name, columns)).await
    }

    /// The statement that creates the table that a component describes.
    pub fn ddl(name: &str, columns: &[Column]) -> String {
        let columns: Vec<String> = columns
            .iter()
            .map(|column| {
                let constraint = if column.nullable { "" } else { " NOT NULL" };
                let column_type = created_type(column.value_type);
                format!("    {} {column_type}{constraint}", quoted(&column.name))
            })
            .collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {name} (\n{}\n);\n",
            columns.join(",\n")
        )
    }
}

/// The type that a new column gets for a component's values.
pub(super) fn created_type(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Boolean => "boolean",
        ValueType::Integer => "bigint",
        ValueType::Float => "double precision",
        ValueType::Text => "text",
        ValueType::Bytes => "bytea",
        ValueType::Date => "date",
        ValueType::Timestamp => "timestamp with time zone",
        ValueType::Json => "jsonb",
    }
}

/// Whether a name may stand in a statement as `[schema.]table`: each part
/// plain or in double quotes. The name is the operator's own, but a slip in it
/// must not become another statement.
pub fn is_table_name(name: &str) -> bool {
    let mut rest = name;
    for part in 0..2 {
        if part == 1 {
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None => return rest.is_empty(),
            }
        }
        match after_identifier(rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

fn after_identifier(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('"') {
        let end = quoted.find('"')?;
        return (end > 0).then(|| &quoted[end + 1..]);
    }
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
    let end = text
        .find(|character| !is_part(character))
        .unwrap_or(text.len());
    let starts_well = text
        .chars()
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_');
    (starts_well && end > 0).then(|| &text[end..])
}

/// An identifier in double quotes.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

async fn columns(session: &Session, table: u32) -> Result<Vec<TableColumn>, DatabaseError> {
    let rows = session
        .ask(
            // A domain is followed down to the type it is made of.
            "WITH RECURSIVE base(attnum, oid, typtype, typnotnull) AS (
                 SELECT a.attnum, t.oid, t.typtype, t.typnotnull FROM pg_attribute a
                 JOIN pg_type t ON t.oid = a.atttypid
                 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
                 UNION ALL
                 SELECT b.attnum, t.oid, t.typtype, t.typnotnull FROM base b
                 JOIN pg_type d ON d.oid = b.oid
                 JOIN pg_type t ON t.oid = d.typbasetype
                 WHERE b.typtype = 'd'),
             domain(attnum, oid) AS (
                 SELECT attnum, min(oid) FROM base WHERE typtype = 'd' AND typnotnull
                 GROUP BY attnum)
             SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), t.typname::text,
                 format_type(t.oid, NULL), t.typtype = 'e', a.attnotnull OR d.oid IS NOT NULL,
                 format_type(d.oid, NULL),
                 EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid
                     AND i.indisprimary AND a.attnum = ANY (i.indkey)),
                 a.atthasdef OR a.attidentity <> '' OR own.typdefault IS NOT NULL
                     OR NOT (a.attnotnull OR d.oid IS NOT NULL),
                 a.attidentity = 'a', a.attgenerated <> '', a.attgenerated = 'v'
             FROM pg_attribute a
             JOIN pg_type own ON own.oid = a.atttypid
             LEFT JOIN domain d ON d.attnum = a.attnum
             JOIN base b ON b.attnum = a.attnum AND b.typtype <> 'd'
             JOIN pg_type t ON t.oid = b.oid
             WHERE a.attrelid = $1 ORDER BY a.attnum",
            &[(&table, Type::OID)],
        )
        .await?;
    let columns = rows.iter().map(|row| TableColumn {
        name: row.get(0),
        shown_type: row.get(1),
        base_type: row.get(2),
        cast_type: row.get(3),
        is_enum: row.get(4),
        not_null: row.get(5),
        not_null_domain: row.get(6),
        in_primary_key: row.get(7),
        may_be_left_out: row.get(8),
        filled_by: match (row.get(9), row.get(10), row.get(11)) {
            (true, _, _) => FilledBy::Identity,
            (_, _, true) => FilledBy::VirtualExpression,
            (_, true, _) => FilledBy::Expression,
            _ => FilledBy::Writer,
        },
    });
    Ok(columns.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_cannot_become_another_statement() {
        for good in [
            "user_logins",
            "app.user_logins",
            "\"User Logins\"",
            "a.\"b c\"",
            "t$1",
        ] {
            assert!(is_table_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a.",
            "a.b.c",
            "a b",
            "a; DROP TABLE b",
            "\"a",
            "\"\"",
            "1a",
            "a--",
        ] {
            assert!(!is_table_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_created_table_has_the_described_columns() {
        let columns = [
            Column {
                name: "a\"b".into(),
                value_type: ValueType::Integer,
                nullable: false,
            },
            Column {
                name: "c".into(),
                value_type: ValueType::Json,
                nullable: true,
            },
        ];
        assert_eq!(
            Table::ddl("t", &columns),
            "CREATE TABLE IF NOT EXISTS t (\n    \"a\"\"b\" bigint NOT NULL,\n    \"c\" jsonb\n);\n"
        );
    }
}
