//! The password file (`~/.pgpass`): lines of host:port:database:user:password.
//!
//! It is read again for each connection, so that a password that was changed
//! there is used without a restart.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Event;

/// What a group or others may do with a file.
const GROUP_AND_OTHERS: u32 = 0o077;

/// A password file, there or not.
#[derive(Clone)]
pub(super) struct PasswordFile {
    path: PathBuf,
    /// What the operator was told last: each complaint is logged once, not
    /// with each connection.
    complaint: Arc<Mutex<Option<String>>>,
}

/// Whose password is wanted.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

impl PasswordFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self {
            path,
            complaint: Arc::default(),
        }
    }

    /// The password, where the file has it. As with libpq a file that is
    /// missing has none, and one that others may read is not used.
    pub(super) fn password(&self, wanted: &Wanted<'_>) -> Option<String> {
        let metadata = fs::metadata(&self.path).ok()?;
        let complaint = fault(&self.path, &metadata);
        if let Some(words) = self.news(complaint.clone()) {
            Event::Warning(&words).log();
        }
        if complaint.is_some() {
            return None;
        }
        let text = fs::read(&self.path).ok()?;
        text.split(|byte| *byte == b'\n')
            .filter_map(|line| std::str::from_utf8(line).ok())
            .find_map(|line| of_line(line.strip_suffix('\r').unwrap_or(line), wanted))
    }

    fn news(&self, complaint: Option<String>) -> Option<String> {
        let mut last = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *last == complaint {
            return None;
        }
        last.clone_from(&complaint);
        complaint
    }
}

/// Why the file is not used.
fn fault(path: &Path, metadata: &Metadata) -> Option<String> {
    let path = path.display();
    if !metadata.is_file() {
        return Some(format!(
            "password file {path} is not a plain file: not used"
        ));
    }
    (metadata.permissions().mode() & GROUP_AND_OTHERS != 0).then(|| {
        format!("password file {path} is open to its group or others: not used; chmod 0600 it")
    })
}

/// The line's password, if the line is for what is wanted.
fn of_line(line: &str, wanted: &Wanted<'_>) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let port = wanted.port.to_string();
    let mut rest = line;
    for wanted in [wanted.host, &port, wanted.database, wanted.user] {
        let any = rest.strip_prefix("*:");
        rest = match any {
            Some(rest) => rest,
            None => {
                let (field, rest) = field(rest);
                (field == wanted).then_some(rest?)?
            }
        };
    }
    Some(field(rest).0)
}

/// The field up to the next bare colon, and what follows that colon. A
/// backslash takes the next character as it is.
fn field(line: &str) -> (String, Option<&str>) {
    let mut field = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => return (field, Some(characters.as_str())),
            '\\' => field.push(characters.next().unwrap_or('\\')),
            character => field.push(character),
        }
    }
    (field, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted<'_> = Wanted {
        host: "db.example",
        port: 5432,
        database: "logins",
        user: "etl",
    };

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        for (line, expected) in [
            ("db.example:5432:logins:etl:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            ("*:*:*:etl:", Some("")),
            ("*:*:*:etl:a\\:b\\\\c:rest", Some("a:b\\c")),
            ("db\\.example:*:*:*:p", Some("p")),
            ("db.example:5433:logins:etl:secret", None),
            ("db.example:5432:logins:et:secret", None),
            ("db.example*:5432:logins:etl:secret", None),
            ("#*:*:*:*:secret", None),
            ("db.example:5432:logins:etl", None),
            ("", None),
        ] {
            assert_eq!(of_line(line, &WANTED).as_deref(), expected, "{line}");
        }
        let ipv6 = Wanted {
            host: "::1",
            ..WANTED
        };
        assert_eq!(of_line("\\:\\:1:*:*:*:p", &ipv6).as_deref(), Some("p"));
    }

    #[test]
    fn the_file_is_read_again_and_only_while_it_is_private() {
        let folder = crate::output::settings::tests::Folder::new();
        let path = folder.write(".pgpass", "no\n*:*:*:*:old\r\n*:*:*:*:later", 0o600);
        let file = PasswordFile::at(path.clone());
        assert_eq!(file.password(&WANTED).as_deref(), Some("old"));
        folder.write(".pgpass", "*:*:*:*:new", 0o600);
        assert_eq!(file.password(&WANTED).as_deref(), Some("new"));
        folder.write(".pgpass", "*:*:*:*:new", 0o640);
        assert_eq!(file.password(&WANTED), None);
        let told = file.complaint.lock().unwrap().clone();
        assert!(told.expect("a complaint").contains("0600"));
        let missing = PasswordFile::at(folder.path().join("missing"));
        assert_eq!(missing.password(&WANTED), None);
    }

    #[test]
    fn a_complaint_is_made_once() {
        let file = PasswordFile::at(PathBuf::new());
        let open = Some("it is open".to_owned());
        assert_eq!(file.news(open.clone()), open);
        assert_eq!(file.news(open.clone()), None);
        assert_eq!(file.news(None), None);
        assert_eq!(file.news(open.clone()), open);
    }
}
