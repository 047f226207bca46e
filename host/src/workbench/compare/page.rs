//! What a comparison has found, as one page for people who are no engineers.
//!
//! It holds no script and loads nothing, and its own policy forbids both, so
//! whatever a component calls a column stays text. All that is not written here
//! goes through [`Escaped`].

use std::fmt::{self, Display, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::report::{ColumnChange, Example, Pattern, Refused, Report, Shape, Side, Who};
use super::words::{meaning, messages, share};

/// How it looks. The page's policy lets no other style in.
const STYLE: &str = include_str!("page.css");
/// Columns that are named one by one at the top.
const COLUMNS_NAMED_MAX: usize = 8;

/// A text of somebody else's, as HTML shows it.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.to_string().chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

impl Report {
    /// The page: one file, which needs nothing else.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a text does not fail.
        let _ = self.write_page(&mut page);
        page
    }

    fn write_page(&self, page: &mut String) -> fmt::Result {
        let title = format!(
            "What changes from {} {} to {} {}",
            self.old.name, self.old.version, self.new.name, self.new.version
        );
        let title = Escaped(title);
        let style_digest = STANDARD.encode(Sha256::digest(STYLE));
        write!(
            page,
            "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
style-src 'sha256-{style_digest}'; base-uri 'none'; form-action 'none'\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<meta name=\"referrer\" content=\"no-referrer\">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
"
        )?;
        self.write_summary(page)?;
        self.write_compared(page)?;
        self.write_columns(page)?;
        self.write_refused(page)?;
        self.write_examples(page)?;
        self.write_words(page)?;
        write!(
            page,
            "<footer><p>Made by etl-host {} compare. This page holds no script and loads \
             nothing.</p></footer>
</main>
</body>
</html>
",
            env!("CARGO_PKG_VERSION")
        )
    }

    /// What was done and what came of it, in sentences.
    fn write_summary(&self, page: &mut String) -> fmt::Result {
        writeln!(
            page,
            "<p>A <em>component</em> is the small program that decides what is stored of a \
             message. Two of them were given the same {}: the one in use (<strong>old</strong>) \
             and the one that is to take its place (<strong>new</strong>). Nothing was stored, \
             and no message was changed.</p>",
            messages(self.messages)
        )?;
        let verdict = match self.changed() {
            0 => "The result is the same for every message, in everything that both write."
                .to_owned(),
            changed => format!("The result changes for {}.", share(changed, self.messages)),
        };
        writeln!(page, "<p class=\"verdict\"><strong>{verdict}</strong></p>")?;
        let (alarms, notes) = (self.alarms(), self.notes());
        if alarms.is_empty() && notes.is_empty() {
            return Ok(());
        }
        writeln!(page, "<ul>")?;
        for alarm in alarms {
            writeln!(page, "<li class=\"alarm\">{}</li>", Escaped(alarm))?;
        }
        for note in notes {
            writeln!(page, "<li>{}</li>", Escaped(note))?;
        }
        writeln!(page, "</ul>")
    }

    /// What a reviewer must not overlook.
    fn alarms(&self) -> Vec<String> {
        let exposed = self.exposed.iter().map(|exposed| {
            let (by, other) = match exposed.by {
                Who::Old => ("old", "new"),
                Who::New => ("new", "old"),
            };
            let messages = messages(exposed.messages);
            match &exposed.field {
                Some(field) => format!(
                    "In {messages} the {by} component gives out the raw value of {field}, which \
                     the {other} one protects."
                ),
                None => format!(
                    "In {messages} nobody can tell whether the {by} component gives out what the \
                     {other} one protects."
                ),
            }
        });
        let dropped = self.no_longer_sensitive.iter();
        let dropped =
            dropped.map(|field| format!("The new component no longer protects the field {field}."));
        exposed.chain(dropped).collect()
    }

    /// What else there is to say, in sentences.
    fn notes(&self) -> Vec<String> {
        let sum = |refused: &[Refused]| refused.iter().map(|one| one.messages).sum::<u64>();
        let otherwise: u64 = self
            .rejected_otherwise
            .iter()
            .map(|moved| moved.messages)
            .sum();
        let outcomes = [
            (
                sum(&self.newly_rejected),
                "that the old component accepts would be refused.",
            ),
            (
                sum(&self.newly_accepted),
                "that the old component refuses would be accepted.",
            ),
            (otherwise, "would still be refused, for another reason."),
            (
                self.newly_skipped,
                "that are stored now would be passed over.",
            ),
            (
                self.newly_stored,
                "that are passed over now would be stored.",
            ),
            (
                self.row_counts,
                "would be stored in another number of rows.",
            ),
        ];
        let outcomes = outcomes.into_iter().filter(|(count, _)| *count > 0);
        let mut notes: Vec<String> = outcomes
            .map(|(count, words)| format!("{} {words}", messages(count)))
            .collect();
        let changed = self.columns.iter().filter(|column| column.changed > 0);
        notes.extend(changed.clone().take(COLUMNS_NAMED_MAX).map(|column| {
            let share = share(column.changed, column.compared);
            format!(
                "The column {} changes in {share} that both store.",
                column.column
            )
        }));
        let more = changed.count().saturating_sub(COLUMNS_NAMED_MAX);
        if more > 0 {
            notes.push(format!("{more} more columns change: see the table."));
        }
        for column in &self.columns {
            let name = &column.column;
            match (column.old, column.new) {
                (Some(_), None) => {
                    notes.push(format!("The column {name} would no longer be written."))
                }
                (None, Some(_)) => notes.push(format!("The column {name} would be written anew.")),
                (Some(old), Some(new)) if old != new => notes.push(format!(
                    "The column {name} would hold another kind of value: {new} instead of {old}."
                )),
                _ => {}
            }
        }
        let protected = self.newly_sensitive.iter();
        notes.extend(
            protected.map(|field| format!("The new component protects one field more: {field}.")),
        );
        notes
    }

    fn write_compared(&self, page: &mut String) -> fmt::Result {
        writeln!(page, "<h2>What was compared</h2>")?;
        open_table(
            page,
            "The two components. Whoever has the files can check the fingerprints: sha256sum \
             prints them.",
            &[
                "Component",
                "Name",
                "Version",
                "Protected fields",
                "Fingerprint (SHA-256)",
                "File",
            ],
        )?;
        for (who, side) in [("Old", &self.old), ("New", &self.new)] {
            let Side {
                file,
                name,
                version,
                sha256,
                sensitive,
            } = side;
            let sensitive = match sensitive.is_empty() {
                true => "none".to_owned(),
                false => sensitive.join(", "),
            };
            writeln!(
                page,
                "<tr><th scope=\"row\">{who}</th><td>{}</td><td>{}</td><td>{}</td>\
                 <td class=\"digest\"><code>{sha256}</code></td><td>{}</td></tr>",
                Escaped(name),
                Escaped(version),
                Escaped(sensitive),
                shown(file)
            )?;
        }
        close_table(page)?;
        open_table(
            page,
            "The messages.",
            &["File", "Messages", "Fingerprint (SHA-256)"],
        )?;
        for input in &self.inputs {
            writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=\"digest\"><code>{}</code></td></tr>",
                shown(&input.file),
                input.messages,
                input.sha256
            )?;
        }
        close_table(page)
    }

    fn write_columns(&self, page: &mut String) -> fmt::Result {
        writeln!(page, "<h2>Column by column</h2>")?;
        open_table(
            page,
            "Each column that is stored, and in how many of the messages that both store it \
             changes.",
            &[
                "Column",
                "Old holds",
                "New holds",
                "Messages changed",
                "How the values differ",
            ],
        )?;
        for column in &self.columns {
            let shape =
                |shape: Option<Shape>| shape.map_or("—".to_owned(), |shape| shape.to_string());
            let kinds = column.kinds.iter();
            let kinds: Vec<String> = kinds
                .map(|(kind, values)| format!("{kind}: {values}"))
                .collect();
            writeln!(
                page,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"number\">{}</td>\
                 <td>{}</td></tr>",
                Escaped(&column.column),
                shape(column.old),
                shape(column.new),
                changed(column),
                Escaped(kinds.join(", "))
            )?;
        }
        close_table(page)
    }

    fn write_refused(&self, page: &mut String) -> fmt::Result {
        if !self.newly_rejected.is_empty() || !self.newly_accepted.is_empty() {
            writeln!(page, "<h2>Refused and accepted</h2>")?;
        }
        for (caption, refused) in [
            (
                "Messages that the old component accepts and the new one refuses, by the new \
                 one's reason.",
                &self.newly_rejected,
            ),
            (
                "Messages that the old component refuses and the new one accepts, by the old \
                 one's reason.",
                &self.newly_accepted,
            ),
        ] {
            if refused.is_empty() {
                continue;
            }
            open_table(page, caption, &["Messages", "Why", "Reason", "Where"])?;
            for Refused {
                reason,
                field,
                messages,
            } in refused
            {
                writeln!(
                    page,
                    "<tr><td>{messages}</td><td>{}</td><td><code>{reason}</code></td><td>{}</td></tr>",
                    meaning(reason),
                    Escaped(field.as_deref().unwrap_or("—"))
                )?;
            }
            close_table(page)?;
        }
        Ok(())
    }

    fn write_examples(&self, page: &mut String) -> fmt::Result {
        if self.patterns.is_empty() {
            return Ok(());
        }
        writeln!(page, "<h2>Examples</h2>")?;
        let note = match self.values_shown {
            true => {
                "Values are shown as they would be stored, as whoever made this page asked for. \
                 Nothing of what came in is shown."
            }
            false => {
                "This page shows no values, only where and how they differ. Whoever makes it can \
                 ask for stored values with <code>--show-values</code>."
            }
        };
        writeln!(page, "<p class=\"quiet\">{note}</p>")?;
        for Pattern {
            what,
            messages: count,
            examples,
        } in &self.patterns
        {
            writeln!(page, "<h3>{}: {}</h3>", messages(*count), Escaped(what))?;
            for example in examples {
                self.write_example(page, example)?;
            }
        }
        match self.other_patterns {
            0 => Ok(()),
            others => writeln!(page, "<p>{} in other ways.</p>", messages(others)),
        }
    }

    fn write_example(&self, page: &mut String, example: &Example) -> fmt::Result {
        let place = format!("{}, in ", example.message);
        let place = format!("{}{}", Escaped(place), shown(&example.file));
        if example.withheld {
            return writeln!(
                page,
                "<p>{place}: its values are withheld, because one component gives out what the \
                 other one protects.</p>"
            );
        }
        if example.changes.is_empty() {
            return writeln!(page, "<p>{place}</p>");
        }
        let heads: &[&str] = match self.values_shown {
            true => &["Column", "Old", "New", "How it differs"],
            false => &["Column", "How it differs"],
        };
        open_table(
            page,
            &format!("{}, in {}", example.message, example.file.display()),
            heads,
        )?;
        for change in &example.changes {
            write!(
                page,
                "<tr><th scope=\"row\">{}</th>",
                Escaped(change.place())
            )?;
            if let (Some(old), Some(new)) = (&change.old, &change.new) {
                let (old, new) = (Escaped(old), Escaped(new));
                write!(
                    page,
                    "<td><code>{old}</code></td><td><code>{new}</code></td>"
                )?;
            }
            writeln!(page, "<td>{}</td></tr>", Escaped(&change.kind))?;
        }
        close_table(page)
    }

    fn write_words(&self, page: &mut String) -> fmt::Result {
        writeln!(page, "<h2>Words</h2>\n<dl>")?;
        for (word, meaning) in [
            (
                "message",
                "What arrives and is to be stored, such as one login.",
            ),
            (
                "column",
                "One of the things that are stored of each message, as in a table.",
            ),
            (
                "refused",
                "Nothing of the message is stored; it is put aside with the reason.",
            ),
            (
                "protected field",
                "A part of the message whose raw value must not be stored. Results are searched \
                 for it, also in disguise.",
            ),
            ("null", "The column is left empty."),
            (
                "fingerprint (SHA-256)",
                "A number made of all of a file: another file has another one.",
            ),
        ] {
            writeln!(page, "<dt>{word}</dt><dd>{meaning}</dd>")?;
        }
        writeln!(page, "</dl>")
    }
}

/// In how many messages a column changes, in words and as a bar.
fn changed(column: &ColumnChange) -> String {
    let ColumnChange {
        compared, changed, ..
    } = column;
    match (column.old, column.new) {
        (Some(_), None) => "no longer written".to_owned(),
        (None, _) => "written anew".to_owned(),
        _ if *compared == 0 => share(0, 0),
        _ => {
            let share = share(*changed, *compared);
            format!(
                "{share}<meter min=\"0\" max=\"{compared}\" value=\"{changed}\" \
                 aria-label=\"{share}\"></meter>"
            )
        }
    }
}

fn open_table(page: &mut String, caption: &str, heads: &[&str]) -> fmt::Result {
    let caption = Escaped(caption);
    // Whoever has no mouse can move a wide table too.
    write!(
        page,
        "<div class=\"wide\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n<table>\n\
         <caption>{caption}</caption>\n<thead><tr>"
    )?;
    for head in heads {
        write!(page, "<th scope=\"col\">{head}</th>")?;
    }
    writeln!(page, "</tr></thead>\n<tbody>")
}

fn close_table(page: &mut String) -> fmt::Result {
    writeln!(page, "</tbody>\n</table>\n</div>")
}

fn shown(file: &Path) -> String {
    format!("<code>{}</code>", Escaped(file.display()))
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn what_is_markup_to_a_browser_is_text_on_the_page() {
        let hostile = "<script>alert('&\"')</script>";
        let shown = Escaped(hostile).to_string();
        assert_eq!(
            shown,
            "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;"
        );
    }
}
