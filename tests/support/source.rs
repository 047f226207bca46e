//! Rust source as the structural rules see it: code without its comments,
//! strings and test modules, line by line.

use std::fs;
use std::path::Path;

/// A source file.
pub struct Source {
    /// Relative to the folder that was read, with `/` between its parts.
    pub path: String,
    pub text: String,
    /// The text without the items under `#[cfg(test)]`. Lines stay where they
    /// are.
    pub production: String,
    /// The same without comments, string and character literals.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let words_blank = without_words(text);
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            production: without_tests(text, &words_blank),
            code: without_tests(&words_blank, &words_blank),
        }
    }

    /// Every `.rs` file below the folder, in the order of their paths.
    pub fn all_in(folder: &Path) -> Vec<Source> {
        let mut sources = Vec::new();
        collect(folder, folder, &mut sources);
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(!sources.is_empty(), "no source in {}", folder.display());
        sources
    }

    /// The folder or file of the top level that the file belongs to: `queue`
    /// for both `queue/mod.rs` and `queue.rs`.
    pub fn part(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or(&self.path);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The numbered lines of code on which a predicate holds for some path or
    /// name, such as `tokio_postgres::Client` or `unwrap`.
    pub fn lines_where(&self, predicate: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = self.code.lines().enumerate();
        lines
            .filter(|(_, line)| predicate(line))
            .map(|(n, line)| format!("{}:{}: {}", self.path, n + 1, line.trim()))
            .collect()
    }
}

/// The identifiers of a line of code.
pub fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| {
        panic!("read {}: {error}", folder.display());
    });
    for entry in entries {
        let path = entry.expect("read a folder").path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("read a source file");
            let relative = path.strip_prefix(root).expect("a path below its root");
            sources.push(Source::new(
                &relative.to_string_lossy().replace('\\', "/"),
                &text,
            ));
        }
    }
}

/// Blanks comments and literals out, and keeps the line ends.
fn without_words(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_a_name = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let literal = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == 'r' && !after_a_name {
            raw_string(rest)
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        let length = if literal == 0 {
            first.len_utf8()
        } else {
            literal
        };
        let (taken, left) = rest.split_at(length);
        if literal == 0 {
            code.push_str(taken);
        } else {
            code.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' }));
        }
        rest = left;
    }
    code
}

/// The length of the comment that the text starts with; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the literal between two such quotes, with its escapes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

/// The length of `r"…"` or `r#"…"#`; 0 where the `r` only begins a name.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|&byte| byte == b'#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let body = 2 + hashes;
    let end = format!("\"{}", "#".repeat(hashes));
    text[body..]
        .find(&end)
        .map_or(text.len(), |at| body + at + end.len())
}

/// The length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.chars().skip(1);
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => quoted(text, '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

/// Takes the items under `#[cfg(test)]` out of the text, and keeps its line
/// ends. The code is the same text with its words blanked out, character for
/// character: only there does a brace mean a brace.
fn without_tests(text: &str, code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars();
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        let (before, item) = rest.split_at(start);
        kept.extend(characters.by_ref().take(before.chars().count()));
        let (item, after) = item.split_at(item_length(item));
        let test = characters.by_ref().take(item.chars().count());
        kept.extend(test.filter(|&c| c == '\n'));
        rest = after;
    }
    kept.extend(characters);
    kept
}

/// The length of the item that the code starts with: up to its `;` or to the
/// brace that closes it.
fn item_length(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn words_that_are_no_code_are_not_seen() {
    let source = Source::new(
        "a.rs",
        concat!(
            "//! one\nfn f<'a>(x: &'a str) { /* two /* three */ */ g(\"four \\\" five\"); }\n",
            "const C: char = '\"'; let r = r#\"six \" seven\"#; eight(b'\\'');\n",
            "#[cfg(test)]\nmod tests { fn nine() { \"}\"; } }\nfn ten() {}\n"
        ),
    );
    for hidden in [
        "one", "two", "three", "four", "five", "six", "seven", "nine",
    ] {
        assert!(!source.code.contains(hidden), "{hidden} in {}", source.code);
    }
    for kept in ["fn f<'a>(x: &'a str)", "eight(", "fn ten() {}"] {
        assert!(source.code.contains(kept), "no {kept} in {}", source.code);
    }
    assert!(source.production.contains("seven") && !source.production.contains("nine"));
    assert_eq!(
        source.lines_where(|line| line.contains("ten")),
        ["a.rs:6: fn ten() {}"]
    );
}
