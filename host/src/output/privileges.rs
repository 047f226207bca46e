//! Whether the role may do what a run does. Found out at the start, because
//! later a missing grant would hold the first batch.

use tokio_postgres::types::Type;

use super::error::DatabaseError;
use super::session::Session;
use super::table::Table;

/// What is done with the ledger. Without DELETE only pruning fails.
const ON_LEDGER: [&str; 3] = ["SELECT", "INSERT", "UPDATE"];

/// The grants that are missing, as statements that give them.
///
/// # Errors
/// The database did not answer, or not with yes.
pub async fn missing_grants(
    session: &Session,
    table: &Table,
    columns: &[&str],
) -> Result<Vec<String>, DatabaseError> {
    let target = table.quoted_name();
    let rows = session
        .ask(
            "SELECT quote_ident(current_user), \
             ARRAY(SELECT p FROM unnest($1::text[]) p \
                   WHERE NOT has_table_privilege('etl_host.ledger', p)), \
             (SELECT bool_and(has_column_privilege($2, c, 'INSERT')) FROM unnest($3::text[]) c), \
             ARRAY(SELECT DISTINCT format('%I.%I', n.nspname, s.relname) FROM pg_attribute a \
                   JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
                   JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid \
                       AND p.refclassid = 'pg_class'::regclass \
                   JOIN pg_class s ON s.oid = p.refobjid  \
                   JOIN pg_namespace n ON n.oid = s.relnamespace \
                   WHERE a.attrelid = to_regclass($2) AND NOT a.attisdropped \
                       AND a.attname <> ALL ($3::text[]) \
                       AND NOT CASE s.relkind \
                           WHEN 'S' THEN has_sequence_privilege(s.oid, 'USAGE, UPDATE') \
                           ELSE true END \
                   ORDER BY 1)",
            &[
                (&&ON_LEDGER[..], Type::TEXT_ARRAY),
                (&target, Type::TEXT),
                (&columns, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(Vec::new());
    };
    let role: &str = row.get(0);
    let on_ledger: Vec<&str> = row.get(1);
    let mut grants = Vec::new();
    if !on_ledger.is_empty() {
        grants.push(format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON etl_host.ledger TO {role}"
        ));
    }
    if !row.get::<_, bool>(2) {
        grants.push(format!("GRANT INSERT ON {target} TO {role}"));
    }
    // The defaults of columns that the host does not write draw from these.
    let sequences: Vec<&str> = row.get(3);
    grants.extend(
        sequences
            .iter()
            .map(|sequence| format!("GRANT USAGE ON SEQUENCE {sequence} TO {role}")),
    );
    Ok(grants)
}
