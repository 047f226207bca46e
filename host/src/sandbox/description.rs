//! What a component says of itself, checked before it is believed.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};

use super::bindings::exports::etl::transform::policy as types;
use super::guard::Pointer;
use crate::foreign::{component_words, is_visible};
use crate::row::{Column, ValueType};

/// A PostgreSQL identifier's length in bytes (`NAMEDATALEN` less one).
const IDENTIFIER_BYTES_MAX: usize = 63;
/// PostgreSQL's own bound on the columns of a table.
const COLUMNS_MAX: usize = 1_600;
/// The component's name and version, and a parameter's name: what stands in
/// logs and metrics. As long as an identifier.
const NAME_BYTES_MAX: usize = IDENTIFIER_BYTES_MAX;
/// Parameters: more than anybody sets.
const PARAMETERS_MAX: usize = 100;
/// A text for a person, a default, or a pointer.
pub(super) const TEXT_BYTES_MAX: usize = 1_024;
/// Fields of a body: each may be looked for in every message. As many as a
/// table has columns.
const FIELDS_MAX: usize = COLUMNS_MAX;

/// What a component says of itself.
#[derive(Clone, Debug)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version, as its authors number it.
    pub version: String,
    /// The columns that it writes; none where they follow from parameters that it
    /// has not been given.
    pub columns: Vec<Column>,
    /// The input fields that it reads.
    pub fields: Vec<Field>,
    /// The parameters that it takes.
    pub parameters: Vec<Parameter>,
}

/// A field of a message's body.
#[derive(Clone, Debug)]
pub struct Field {
    /// Where it stands.
    pub pointer: Pointer,
    /// Whether its raw value must never leave the sandbox.
    pub sensitive: bool,
}

/// A parameter that an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it is where it is not given.
    pub default: Option<String>,
    /// One line of help.
    pub help: String,
}

impl Description {
    /// Takes over a component's words.
    ///
    /// # Errors
    /// The description contradicts itself or could not be a table's.
    pub(super) fn check(described: types::Description) -> Result<Self> {
        // Before anything is repeated, or compared with everything else.
        bounded(&described)?;
        ensure!(
            is_visible(&described.version),
            "its version is no text that can be read"
        );
        let description = Self {
            name: described.name,
            version: component_words(&described.version),
            columns: described.columns.into_iter().map(column).collect(),
            fields: described
                .fields
                .into_iter()
                .map(field)
                .collect::<Result<_>>()?,
            parameters: described.parameters.into_iter().map(parameter).collect(),
        };
        ensure!(
            description.name.chars().all(is_name) && !description.name.is_empty(),
            "its name is not made of lower-case letters, digits, `_` and `-`"
        );
        let columns = &description.columns;
        for column in columns {
            let bytes = column.name.len();
            ensure!(
                is_visible(&column.name) && (1..=IDENTIFIER_BYTES_MAX).contains(&bytes),
                "it describes a column whose name is no identifier of 1 to \
                 {IDENTIFIER_BYTES_MAX} bytes, all of them to be seen"
            );
        }
        no_name_twice("column", columns.iter().map(|column| &column.name))?;
        for parameter in &description.parameters {
            ensure!(
                parameter.name.chars().all(is_name) && !parameter.name.is_empty(),
                "it describes a parameter whose name is not made of lower-case letters, \
                 digits, `_` and `-`"
            );
            ensure!(
                !(parameter.required && parameter.default.is_some()),
                "its parameter {} is required and has a default",
                parameter.name
            );
        }
        no_name_twice(
            "parameter",
            description
                .parameters
                .iter()
                .map(|parameter| &parameter.name),
        )?;
        Ok(description)
    }

    /// Takes over what a component says of itself once it is configured: columns
    /// and fields may follow from the parameters, and nothing else.
    ///
    /// # Errors
    /// As [`Description::check`]; it has no columns, or has become another.
    pub(super) fn configured(&self, described: types::Description) -> Result<Self> {
        let configured = Self::check(described)?;
        ensure!(
            !configured.columns.is_empty(),
            "it describes no columns, also once it is configured"
        );
        ensure!(
            self.name == configured.name
                && self.version == configured.version
                && self.parameters == configured.parameters,
            "once it is configured it describes another name, version or parameters"
        );
        Ok(configured)
    }

    /// Puts the operator's parameters into the order in which the component
    /// declares them, with defaults filled in.
    ///
    /// # Errors
    /// A parameter is unknown, given twice, or missing.
    pub(super) fn arguments(&self, given: &[(String, String)]) -> Result<Vec<(String, String)>> {
        self.ensure_known(given)?;
        let mut arguments = Vec::new();
        for parameter in &self.parameters {
            let value = given
                .iter()
                .find(|(name, _)| *name == parameter.name)
                .map(|(_, value)| value)
                .or(parameter.default.as_ref());
            match value {
                Some(value) => arguments.push((parameter.name.clone(), value.clone())),
                None if parameter.required => bail!(
                    "its parameter {name} is missing: give --param {name}=VALUE ({help})",
                    name = parameter.name,
                    help = parameter.help
                ),
                None => {}
            }
        }
        Ok(arguments)
    }

    /// The parameters that must be given and are not.
    ///
    /// # Errors
    /// One that is given is unknown, or given twice.
    pub(super) fn missing(&self, given: &[(String, String)]) -> Result<Vec<&str>> {
        self.ensure_known(given)?;
        let is_given = |name: &str| given.iter().any(|(given, _)| given == name);
        let missing = self
            .parameters
            .iter()
            .filter(|parameter| parameter.required && !is_given(&parameter.name));
        Ok(missing.map(|parameter| parameter.name.as_str()).collect())
    }

    fn ensure_known(&self, given: &[(String, String)]) -> Result<()> {
        no_name_twice("parameter", given.iter().map(|(name, _)| name))?;
        for (name, _) in given {
            if !self.parameters.iter().any(|known| known.name == *name) {
                bail!(
                    "parameter {name} is unknown to it; {}",
                    self.known_parameters()
                );
            }
        }
        Ok(())
    }

    fn known_parameters(&self) -> String {
        if self.parameters.is_empty() {
            return "it takes none".into();
        }
        let known: Vec<String> = self
            .parameters
            .iter()
            .map(|parameter| format!("{} ({})", parameter.name, parameter.help))
            .collect();
        format!("it takes {}", known.join(", "))
    }
}

/// Refuses a description of more, or longer, than anybody reads.
fn bounded(described: &types::Description) -> Result<()> {
    let counts = [
        ("columns", described.columns.len(), COLUMNS_MAX),
        ("fields", described.fields.len(), FIELDS_MAX),
        ("parameters", described.parameters.len(), PARAMETERS_MAX),
    ];
    for (what, count, max) in counts {
        ensure!(count <= max, "it describes more than {max} {what}");
    }
    let names = [("name", &described.name), ("version", &described.version)];
    let parameters = described.parameters.iter();
    let names = names.into_iter().chain(
        parameters
            .clone()
            .map(|parameter| ("parameter", &parameter.name)),
    );
    for (what, name) in names {
        ensure!(
            name.len() <= NAME_BYTES_MAX,
            "it describes a {what} of more than {NAME_BYTES_MAX} bytes"
        );
    }
    let helps = parameters
        .clone()
        .map(|parameter| ("help", &parameter.help));
    let defaults =
        parameters.filter_map(|parameter| Some(("default", parameter.default.as_ref()?)));
    let pointers = described.fields.iter();
    let pointers = pointers.map(|field| ("pointer", &field.pointer));
    for (what, text) in helps.chain(defaults).chain(pointers) {
        ensure!(
            text.len() <= TEXT_BYTES_MAX,
            "it describes a {what} of more than {TEXT_BYTES_MAX} bytes"
        );
    }
    Ok(())
}

fn is_name(character: char) -> bool {
    matches!(character, 'a'..='z' | '0'..='9' | '_' | '-')
}

fn no_name_twice<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        ensure!(
            seen.insert(name),
            "the {what} {} is given twice",
            component_words(name)
        );
    }
    Ok(())
}

fn column(column: types::Column) -> Column {
    Column {
        name: column.name,
        value_type: match column.type_ {
            types::ValueType::Boolean => ValueType::Boolean,
            types::ValueType::Integer => ValueType::Integer,
            types::ValueType::Float => ValueType::Float,
            types::ValueType::Text => ValueType::Text,
            types::ValueType::Bytes => ValueType::Bytes,
            types::ValueType::Date => ValueType::Date,
            types::ValueType::Timestamp => ValueType::Timestamp,
            types::ValueType::Json => ValueType::Json,
        },
        nullable: column.nullable,
    }
}

fn field(field: types::Field) -> Result<Field> {
    let pointer = Pointer::parse(&field.pointer)
        .context("it describes a field that is no JSON pointer, such as `/ip`")?;
    ensure!(
        is_visible(&field.pointer),
        "it describes a field by a JSON pointer with characters that cannot be seen: {}",
        component_words(&field.pointer)
    );
    Ok(Field {
        pointer,
        sensitive: field.sensitive,
    })
}

fn parameter(parameter: types::Parameter) -> Parameter {
    Parameter {
        name: parameter.name,
        required: parameter.required,
        default: parameter.default,
        help: component_words(&parameter.help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> types::Description {
        types::Description {
            name: "mask".into(),
            version: "1.0.0".into(),
            columns: vec![types::Column {
                name: "user_id".into(),
                type_: types::ValueType::Text,
                nullable: false,
            }],
            fields: vec![],
            parameters: vec![types::Parameter {
                name: "bits".into(),
                required: false,
                default: Some("24".into()),
                help: "bits to keep".into(),
            }],
        }
    }

    fn complaint(change: impl FnOnce(&mut types::Description)) -> String {
        let mut described = described();
        change(&mut described);
        Description::check(described).unwrap_err().to_string()
    }

    #[test]
    fn a_description_that_could_be_no_tables_is_refused() {
        assert!(complaint(|d| d.name = "A b".into()).contains("name"));
        assert!(complaint(|d| d.columns[0].name = "x".repeat(64)).contains("63 bytes"));
        assert!(complaint(|d| d.columns[0].name = "x\u{1b}[31m".into()).contains("identifier"));
        assert!(complaint(|d| d.columns.push(d.columns[0].clone())).contains("twice"));
        assert!(complaint(|d| d.parameters[0].required = true).contains("default"));
        let field = types::Field {
            pointer: "/ip".into(),
            sensitive: true,
        };
        assert!(complaint(|d| d.fields = vec![field; 1_601]).contains("1600 fields"));
        let parameter = described().parameters.remove(0);
        assert!(complaint(|d| d.parameters = vec![parameter; 101]).contains("100 parameters"));
        let column = described().columns.remove(0);
        assert!(complaint(|d| d.columns = vec![column; 1_601]).contains("1600 columns"));
        for pointer in ["ip", "/a~2b"] {
            let field = types::Field {
                pointer: pointer.into(),
                sensitive: true,
            };
            assert!(complaint(|d| d.fields.push(field)).contains("JSON pointer"));
        }
    }

    /// Each reads as another name, or as none.
    #[test]
    fn names_with_what_nobody_sees_are_refused_and_shown_escaped() {
        for (hidden, escaped) in [
            ("i\u{200b}p", "i\\u{200b}p"),
            ("i\u{202e}p", "i\\u{202e}p"),
            ("ip\u{fe0f}", "ip\\u{fe0f}"),
            ("i\u{ad}p", "i\\u{ad}p"),
            ("ip\u{3164}", "ip\\u{3164}"),
            ("ip\u{2800}", "ip\\u{2800}"),
            ("ip\u{e0061}", "ip\\u{e0061}"),
            ("ip\u{a0}", "ip\\u{a0}"),
            ("\u{301}", "\\u{301}"),
            ("ip\n", "ip\\n"),
            ("ip\u{1b}[2J", "ip\\u{1b}[2J"),
            ("ip\u{378}", "ip\\u{378}"),
        ] {
            let field = types::Field {
                pointer: format!("/{hidden}"),
                sensitive: true,
            };
            let complaint_of_pointer = complaint(|d| d.fields.push(field));
            let shown = format!("cannot be seen: /{escaped}");
            assert!(
                complaint_of_pointer.ends_with(&shown),
                "{complaint_of_pointer}"
            );
            let column = complaint(|d| d.columns[0].name = hidden.into());
            assert!(
                column.contains("identifier") && column.is_ascii(),
                "{column}"
            );
            let version = complaint(|d| d.version = hidden.into());
            assert!(
                version.contains("version") && version.is_ascii(),
                "{version}"
            );
        }
    }

    #[test]
    fn names_of_any_language_are_taken_and_words_are_shown_escaped() {
        let mut described = described();
        described.columns[0].name = "größe".into();
        described.version = "1.0-β".into();
        described.parameters[0].help = "\u{1b}[2Jbits\u{202e} – к".into();
        described.fields.push(types::Field {
            pointer: "/名前".into(),
            sensitive: true,
        });
        let description = Description::check(described).unwrap();
        assert_eq!(description.fields[0].pointer.as_str(), "/名前");
        assert_eq!(description.columns[0].name, "größe");
        assert_eq!(description.version, "1.0-\\u{3b2}");
        let help = &description.parameters[0].help;
        assert_eq!(help, "\\u{1b}[2Jbits\\u{202e} \\u{2013} \\u{43a}");
    }

    #[test]
    fn columns_and_fields_follow_from_parameters_and_nothing_else_does() {
        let unconfigured = Description::check(types::Description {
            columns: vec![],
            ..described()
        });
        let unconfigured = unconfigured.unwrap();
        let configured = |change: fn(&mut types::Description)| {
            let mut described = described();
            change(&mut described);
            let configured = unconfigured.configured(described);
            configured.map_err(|error| error.to_string())
        };
        assert_eq!(configured(|_| {}).unwrap().columns.len(), 1);
        let complaint = configured(|d| d.columns.clear()).unwrap_err();
        assert!(complaint.contains("no columns"), "{complaint}");
        for change in [
            (|d| d.name.push('2')) as fn(&mut types::Description),
            |d| d.version.push('2'),
            |d| d.parameters.clear(),
            |d| d.parameters[0].default = None,
        ] {
            let complaint = configured(change).unwrap_err();
            assert!(complaint.contains("another name"), "{complaint}");
        }
    }

    #[test]
    fn texts_that_nobody_could_read_are_refused_and_not_repeated() {
        let long = || "x".repeat(1 << 20);
        let field = || types::Field {
            pointer: format!("/{}", long()),
            sensitive: true,
        };
        for complaint in [
            complaint(|d| d.name = long()),
            complaint(|d| d.version = long()),
            complaint(|d| d.columns[0].name = long()),
            complaint(|d| d.parameters[0].name = long()),
            complaint(|d| d.parameters[0].help = long()),
            complaint(|d| d.parameters[0].default = Some(long())),
            complaint(|d| d.fields.push(field())),
        ] {
            assert!(complaint.contains(" bytes"), "{complaint:.100}");
            assert!(complaint.len() < 100, "{complaint:.100}");
        }
    }

    #[test]
    fn parameters_are_filled_in_and_unknown_ones_refused() {
        let description = Description::check(described()).unwrap();
        let defaults = description.arguments(&[]).unwrap();
        assert_eq!(defaults, [("bits".to_string(), "24".to_string())]);
        let unknown = [("bit".to_string(), "8".to_string())];
        let error = description.arguments(&unknown).unwrap_err().to_string();
        assert!(error.contains("bits (bits to keep)"), "{error}");
        let twice = [
            ("bits".to_string(), "8".to_string()),
            ("bits".to_string(), "9".to_string()),
        ];
        assert!(description.arguments(&twice).is_err());
    }
}
