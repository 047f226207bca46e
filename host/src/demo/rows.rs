//! The demo's table: creating it and showing its first rows.

use anyhow::Result;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// Characters that a shown value has at most.
const SHOWN_CHARACTERS_MAX: usize = 16;

/// Creates a table.
pub async fn create_table(url: &str, ddl: &str) -> Result<()> {
    Ok(connected(url).await?.batch_execute(ddl).await?)
}

/// The first rows as a text table.
pub async fn first(url: &str, table: &str, rows_max: i64) -> Result<String> {
    let client = connected(url).await?;
    let query = format!("SELECT * FROM {table} LIMIT {rows_max}");
    let mut lines: Vec<Vec<String>> = Vec::new();
    for message in client.simple_query(&query).await? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                lines.push(columns.iter().map(|c| c.name().to_owned()).collect());
            }
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|n| shortened(row.get(n).unwrap_or("NULL")));
                lines.push(values.collect());
            }
            _ => {}
        }
    }
    Ok(aligned(&lines))
}

async fn connected(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let shown = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("  {}", padded.join("  ").trim_end())
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_long_values_cut() {
        let row = |cells: [&str; 2]| cells.map(shortened).to_vec();
        let text = aligned(&[row(["a", "b"]), row(["longer", "0123456789abcdefXYZ"])]);
        assert_eq!(text, "  a       b\n  longer  0123456789abcdef…");
    }
}
