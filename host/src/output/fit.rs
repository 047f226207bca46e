//! Whether a component's columns fit the table, and how each value gets in.

use super::table::{Table, TableColumn, created_type, quoted};
use crate::row::{Column, ValueType};

/// How one column's values are written: the expression that takes the
/// parameter's element `v` to the column.
///
/// Text goes to `varchar(n)` without a cast: an explicit one would cut a value
/// that is too long without a word, an assignment refuses it.
pub(super) fn expression(column: &Column, target: &TableColumn, v: &str) -> Option<String> {
    let base = target.base_type.as_str();
    let assigned = match column.value_type {
        ValueType::Boolean => base == "bool",
        ValueType::Integer => matches!(base, "int2" | "int4" | "int8" | "numeric"),
        ValueType::Float => matches!(base, "float4" | "float8" | "numeric"),
        ValueType::Text => matches!(base, "text" | "varchar" | "bpchar" | "citext"),
        ValueType::Bytes => base == "bytea",
        ValueType::Date => base == "date",
        ValueType::Timestamp => base == "timestamptz",
        ValueType::Json => false,
    };
    if assigned {
        return Some(v.to_owned());
    }
    match column.value_type {
        ValueType::Text
            if target.is_enum || matches!(base, "uuid" | "inet" | "cidr" | "macaddr") =>
        {
            Some(format!("{v}::{}", target.cast_type))
        }
        // Independent of the session's time zone.
        ValueType::Timestamp if base == "timestamp" => Some(format!("{v} AT TIME ZONE 'UTC'")),
        ValueType::Json if matches!(base, "json" | "jsonb") => Some(format!("{v}::{base}")),
        _ => None,
    }
}

/// Compares what the component writes with what the table takes. Gives what
/// may refuse single rows, as warnings.
///
/// # Errors
/// What does not fit: one line each, with the column, both types and the fix.
pub fn fit(table: &Table, columns: &[Column]) -> Result<Vec<String>, Vec<String>> {
    let mut misfits = Vec::new();
    let mut warnings = Vec::new();
    let name = table.quoted_name();
    for column in columns {
        let column_name = quoted(&column.name);
        let wanted = created_type(column.value_type);
        let Some(target) = table
            .columns
            .iter()
            .find(|target| target.name == column.name)
        else {
            misfits.push(format!(
                "column {}: the component writes {}, the table has no such column; \
                 fix: ALTER TABLE {name} ADD COLUMN {column_name} {wanted}",
                column.name, column.value_type,
            ));
            continue;
        };
        if target.generated {
            misfits.push(format!(
                "column {}: the component writes {}, the table computes it ({} GENERATED); \
                 fix: ALTER TABLE {name} ALTER COLUMN {column_name} DROP EXPRESSION",
                column.name, column.value_type, target.shown_type,
            ));
        } else if expression(column, target, "v").is_none() {
            misfits.push(format!(
                "column {}: the component writes {}, the table has {}; \
                 fix: ALTER TABLE {name} ALTER COLUMN {column_name} TYPE {wanted} \
                 USING {column_name}::{wanted}",
                column.name, column.value_type, target.shown_type,
            ));
        } else if column.nullable && target.not_null {
            warnings.push(format!(
                "column {} is NOT NULL and the component may give null: such messages will be \
                 rejected",
                column.name,
            ));
        }
    }
    for target in &table.columns {
        let written = columns.iter().any(|column| column.name == target.name);
        if !written && !target.may_be_left_out && !target.generated {
            misfits.push(format!(
                "column {}: the table wants {} NOT NULL without a default, the component does \
                 not write it; fix: ALTER TABLE {name} ALTER COLUMN {} DROP NOT NULL",
                target.name,
                target.shown_type,
                quoted(&target.name),
            ));
        }
    }
    match misfits.is_empty() {
        true => Ok(warnings),
        false => Err(misfits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::TableName;

    fn target(name: &str, base_type: &str) -> TableColumn {
        TableColumn {
            name: name.into(),
            shown_type: base_type.into(),
            base_type: base_type.into(),
            cast_type: base_type.into(),
            is_enum: false,
            not_null: false,
            may_be_left_out: true,
            generated: false,
        }
    }

    fn table(columns: Vec<TableColumn>) -> Table {
        Table {
            name: TableName {
                schema: "public".into(),
                name: "logins".into(),
            },
            columns,
        }
    }

    #[test]
    fn values_are_assigned_so_that_nothing_is_cut_silently() {
        let text = Column::nullable("c", ValueType::Text);
        let into = |base: &str| expression(&text, &target("c", base), "v");
        assert_eq!(into("varchar").as_deref(), Some("v"));
        assert_eq!(into("uuid").as_deref(), Some("v::uuid"));
        assert_eq!(into("int4"), None);
        let moment = Column::nullable("c", ValueType::Timestamp);
        let into = |base: &str| expression(&moment, &target("c", base), "v");
        assert_eq!(into("timestamp").as_deref(), Some("v AT TIME ZONE 'UTC'"));
    }

    #[test]
    fn every_misfit_names_column_types_and_fix() {
        let mut wanted = target("wanted", "int4");
        wanted.not_null = true;
        wanted.may_be_left_out = false;
        let table = table(vec![target("version", "text"), wanted]);
        let columns = [
            Column::nullable("version", ValueType::Integer),
            Column::nullable("locale", ValueType::Text),
        ];
        let misfits = fit(&table, &columns).unwrap_err();
        assert_eq!(misfits.len(), 3);
        assert!(misfits[0].contains("version: the component writes integer, the table has text"));
        assert!(misfits[0].contains("TYPE bigint"));
        assert!(misfits[1].contains("ADD COLUMN \"locale\" text"));
        assert!(misfits[2].contains("DROP NOT NULL"));
    }

    #[test]
    fn a_null_that_may_be_refused_is_a_warning() {
        let mut strict = target("locale", "text");
        strict.not_null = true;
        let warnings = fit(
            &table(vec![strict]),
            &[Column::nullable("locale", ValueType::Text)],
        )
        .unwrap();
        assert_eq!(warnings.len(), 1);
    }
}
