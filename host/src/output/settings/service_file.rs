//! The connection service file (`pg_service.conf`): options of a connection
//! under a name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::options::Options;

/// Where Debian's libpq looks for the file of the whole machine.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// Gives the options of the service that is asked for, where one is, that are
/// not given yet.
///
/// # Errors
/// No file has the service, or it cannot be read.
pub(super) fn read(
    options: &mut Options,
    variable: &impl Fn(&str) -> Option<String>,
    home: Option<&Path>,
) -> Result<()> {
    let asked = options.get("service").map(str::to_owned);
    let Some(service) = asked.or_else(|| variable("PGSERVICE")) else {
        return Ok(());
    };
    let named = options.get("servicefile").map(str::to_owned);
    let users = match named.or_else(|| variable("PGSERVICEFILE")) {
        Some(file) => {
            let file = PathBuf::from(file);
            ensure!(file.exists(), "there is no service file {}", file.display());
            Some(file)
        }
        None => home.map(|home| home.join(".pg_service.conf")),
    };
    let system = variable("PGSYSCONFDIR").unwrap_or_else(|| SYSTEM_FOLDER.into());
    let system = Path::new(&system).join("pg_service.conf");
    for file in users.into_iter().chain([system]) {
        if !file.exists() {
            continue;
        }
        let read = || -> Result<bool> {
            let text = fs::read_to_string(&file)?;
            read_section(&text, &service, options)
        };
        let mut read = read;
        if read().with_context(|| format!("read the service file {}", file.display()))? {
            return Ok(());
        }
    }
    bail!("no service file has a service {service}")
}

/// Whether the text has the service.
fn read_section(text: &str, service: &str, options: &mut Options) -> Result<bool> {
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            // The first section of that name is the one.
            if inside {
                break;
            }
            inside = header
                .strip_prefix(service)
                .is_some_and(|rest| rest.starts_with(']'));
        } else if inside {
            read_line(line, options).with_context(|| format!("line {number}"))?;
        }
    }
    Ok(inside)
}

fn read_line(line: &str, options: &mut Options) -> Result<()> {
    ensure!(
        !line.starts_with("ldap"),
        "looking up a service by LDAP is not supported"
    );
    let (name, value) = line.split_once('=').context("it is no name=value")?;
    ensure!(
        !["service", "servicefile"].contains(&name),
        "a service cannot refer to another"
    );
    options.set_if_open(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# of the team\n[other]\nhost=no.example\n[logins]\n  host=db.example\r\n\
                        port=6432\nport=1\npassword=with = and #\n\n[logins]\nuser=late\n";

    #[test]
    fn a_service_gives_what_is_open_and_its_first_value_counts() {
        let mut options = Options::default();
        options.set("dbname", "x".into()).unwrap();
        assert!(read_section(FILE, "logins", &mut options).unwrap());
        assert_eq!(options.get("host"), Some("db.example"));
        assert_eq!(options.get("port"), Some("6432"));
        assert_eq!(options.get("password"), Some("with = and #"));
        assert_eq!(options.get("user"), None);
        assert_eq!(options.get("dbname"), Some("x"));
    }

    #[test]
    fn a_service_that_is_not_there_is_not_found() {
        let found = read_section(FILE, "login", &mut Options::default());
        assert!(!found.unwrap());
        assert!(read_section("[last]", "last", &mut Options::default()).unwrap());
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_by_its_number() {
        for line in ["canary", "host =canary", "service=canary", "ldap://canary"] {
            let text = format!("[s]\n\n{line}\n");
            let error = read_section(&text, "s", &mut Options::default()).err();
            let shown = format!("{:#}", error.expect(line));
            assert!(shown.contains("line 3"), "{shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
