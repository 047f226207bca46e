//! Another account, where the tests run as root: servers refuse root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::supervised::scratch_name;

pub struct Account {
    pub user: u32,
    pub group: u32,
}

impl Account {
    /// None where the tests' own account will do.
    pub fn for_server() -> Result<Option<Account>, String> {
        let made_by_us = scratch_name();
        fs::create_dir(&made_by_us)
            .map_err(|error| format!("create {}: {error}", made_by_us.display()))?;
        let metadata = fs::metadata(&made_by_us).map_err(|error| error.to_string())?;
        fs::remove_dir(&made_by_us).map_err(|error| error.to_string())?;
        if metadata.uid() != 0 {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Account::find(&accounts, name))
            .map(Some)
            .ok_or_else(|| {
                "PostgreSQL refuses to run as root, and there is no account `postgres` or \
                 `nobody` to run it as: add one, or run the tests as another user"
                    .to_owned()
            })
    }

    fn find(accounts: &str, name: &str) -> Option<Account> {
        let line = accounts
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Account {
            user: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }

    pub fn run_as<'c>(account: Option<&Account>, command: &'c mut Command) -> &'c mut Command {
        if let Some(account) = account {
            command.uid(account.user).gid(account.group);
        }
        // The account may not be allowed to enter the directory of the tests.
        command.current_dir("/")
    }
}
