//! What is wrong in a file that a person wrote, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// A fault in a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// What is wrong, and how it should be.
    pub words: String,
}

impl Complaint {
    /// A complaint about what stands at an offset of a text, in bytes.
    pub(super) fn at(file: &Path, text: &str, offset: usize, words: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            words: words.into(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            words,
        } = self;
        write!(f, "{}:{line}:{column}: {words}", file.display())
    }
}

impl std::error::Error for Complaint {}

/// The text of a file.
///
/// # Errors
/// It is no UTF-8, and where.
pub(super) fn utf8(file: &Path, bytes: Vec<u8>) -> Result<String, Complaint> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        Complaint::at(file, &before, valid, "this is no UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_as_an_editor_does() {
        let text = "one\nzwö ei\n";
        let at = |offset| {
            let Complaint { line, column, .. } =
                Complaint::at(Path::new("cases.toml"), text, offset, "");
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 4));
        assert_eq!(at(4), (2, 1));
        assert_eq!(at(9), (2, 5), "after a letter of two bytes");
        assert_eq!(at(99), (3, 1), "past the end");
    }
}
