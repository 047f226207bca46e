//! Tables in Markdown that a terminal shows as well.

/// What stands to the left of its column.
pub const TEXT: bool = true;
/// What stands to the right.
pub const NUMBER: bool = false;

/// Lines below their headings.
pub fn table(headings: &[(&str, bool)], lines: Vec<Vec<String>>) -> String {
    let first = headings.iter().map(|(heading, _)| (*heading).to_owned());
    let mut all = vec![first.collect::<Vec<String>>()];
    all.extend(lines);
    let columns: Vec<Column> = headings
        .iter()
        .enumerate()
        .map(|(n, (_, text))| {
            let widths = all.iter().map(|cells| cells[n].chars().count());
            Column {
                width: widths.max().unwrap_or_default(),
                text: *text,
            }
        })
        .collect();
    let rule: Vec<String> = columns.iter().map(Column::rule).collect();
    let mut text = String::new();
    for (n, cells) in all.iter().enumerate() {
        let cells = cells.iter().zip(&columns);
        let cells: Vec<String> = cells.map(|(cell, column)| column.cell(cell)).collect();
        text += &format!("|{}|\n", cells.join("|"));
        if n == 0 {
            text += &format!("|{}|\n", rule.join("|"));
        }
    }
    text
}

struct Column {
    width: usize,
    text: bool,
}

impl Column {
    fn cell(&self, cell: &str) -> String {
        let width = self.width;
        match self.text {
            true => format!(" {cell:<width$} "),
            false => format!(" {cell:>width$} "),
        }
    }

    fn rule(&self) -> String {
        let line = "-".repeat(self.width + 1);
        match self.text {
            true => format!("{line}-"),
            false => format!("{line}:"),
        }
    }
}
