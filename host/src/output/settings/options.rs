//! The options of a connection, by the names that libpq's manual gives them,
//! each with the variable that stands in for it. What libpq knows is known
//! here; what would protect the connection and cannot be had is refused by
//! name instead of being left out.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

/// Every option, and its variable where it has one.
const KNOWN: [(&str, &str); 44] = [
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("client_encoding", ""),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("fallback_application_name", ""),
    ("gssdelegation", ""),
    ("gssencmode", "PGGSSENCMODE"),
    ("gsslib", ""),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("keepalives", ""),
    ("keepalives_count", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("krbsrvname", ""),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("replication", ""),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("service", "PGSERVICE"),
    ("servicefile", "PGSERVICEFILE"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("sslcert", "PGSSLCERT"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslcompression", "PGSSLCOMPRESSION"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslkey", "PGSSLKEY"),
    ("sslkeylogfile", ""),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslpassword", ""),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslsni", "PGSSLSNI"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("tcp_user_timeout", ""),
    ("tty", "PGTTY"),
    ("user", "PGUSER"),
];

/// The longest option name that an error repeats, in bytes: a mistyped URL may
/// have a secret where a name belongs.
const NAME_BYTES_SHOWN_MAX: usize = 32;

/// Options that are given. They may hold a password, so there is no `Debug`.
#[derive(Default)]
pub(super) struct Options(BTreeMap<&'static str, String>);

impl Options {
    /// Gives an option, in place of an earlier value.
    ///
    /// # Errors
    /// There is no such option.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<()> {
        self.0.insert(known(name)?, value);
        Ok(())
    }

    /// Gives an option that is not given yet.
    ///
    /// # Errors
    /// There is no such option.
    pub(super) fn set_if_open(&mut self, name: &str, value: &str) -> Result<()> {
        self.0.entry(known(name)?).or_insert_with(|| value.into());
        Ok(())
    }

    /// Gives from its variable each option that is not given yet.
    pub(super) fn fill_in(&mut self, variable: &impl Fn(&str) -> Option<String>) {
        for (name, its_variable) in KNOWN {
            if let Some(value) = variable(its_variable).filter(|_| !its_variable.is_empty()) {
                self.0.entry(name).or_insert(value);
            }
        }
    }

    /// An option's value; to be empty is not to be given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(known(name).is_ok(), "no option {name}");
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>> {
        self.get(name)
            .map(|value| match value.trim().parse() {
                Ok(number) => Ok(number),
                Err(_) => bail!("{name} is no whole number"),
            })
            .transpose()
    }

    /// A switch, on unless it is 0.
    ///
    /// # Errors
    /// It is neither 0 nor another whole number.
    pub(super) fn switch(&self, name: &str) -> Result<bool> {
        Ok(self.number(name)? != Some(0))
    }

    /// Refuses what asks for a protection that cannot be had here.
    ///
    /// # Errors
    /// The first such option.
    pub(super) fn refuse_what_cannot_be_kept(&self) -> Result<()> {
        for (name, remedy) in [
            ("require_auth", "let pg_hba.conf name the method"),
            ("requirepeer", "connect by TCP with sslmode=verify-full"),
            ("replication", "leave it out"),
            ("sslcrldir", "name one file with sslcrl"),
            (
                "sslpassword",
                "store the key without a passphrase, readable by its owner only",
            ),
            ("sslkeylogfile", "leave it out"),
        ] {
            ensure!(
                self.get(name).is_none(),
                "{name} is not supported: {remedy}"
            );
        }
        for (name, value, remedy) in [
            (
                "gssencmode",
                "require",
                "encrypt with TLS, sslmode=verify-full",
            ),
            (
                "sslcertmode",
                "require",
                "let pg_hba.conf demand the certificate",
            ),
        ] {
            ensure!(
                self.get(name) != Some(value),
                "{name}={value} is not supported: {remedy}"
            );
        }
        Ok(())
    }
}

fn known(name: &str) -> Result<&'static str> {
    // The driver has a name of its own for this one.
    let wanted = match name {
        "keepalives_retries" => "keepalives_count",
        name => name,
    };
    if let Some((name, _)) = KNOWN.iter().find(|(name, _)| *name == wanted) {
        return Ok(name);
    }
    let like_a_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    ensure!(
        !like_a_name || name.is_empty() || name.len() > NAME_BYTES_SHOWN_MAX,
        "there is no option `{name}`"
    );
    bail!("there is an option whose name libpq does not know")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_named_unless_it_may_be_a_secret() {
        let mut options = Options::default();
        let mut refusal = |name: &str| {
            let error = options.set(name, "canary".into()).err();
            error.expect("refused").to_string()
        };
        assert_eq!(refusal("sslrootcrt"), "there is no option `sslrootcrt`");
        assert!(!refusal("Canary-42").contains("anary"));
    }

    #[test]
    fn a_variable_gives_only_what_is_open_and_an_empty_value_closes() {
        let mut options = Options::default();
        options.set("port", String::new()).unwrap();
        options.set_if_open("port", "1").unwrap();
        options.set_if_open("host", "service.example").unwrap();
        options.fill_in(&|name| Some(format!("from {name}")));
        assert_eq!(options.get("port"), None);
        assert_eq!(options.get("host"), Some("service.example"));
        assert_eq!(options.get("dbname"), Some("from PGDATABASE"));
        assert_eq!(options.get("client_encoding"), None);
    }

    #[test]
    fn a_protection_that_cannot_be_had_is_refused() {
        for (name, value) in [
            ("require_auth", "scram-sha-256"),
            ("requirepeer", "postgres"),
            ("gssencmode", "require"),
            ("sslcertmode", "require"),
            ("sslpassword", "canary"),
        ] {
            let mut options = Options::default();
            options.set(name, value.into()).unwrap();
            let error = options.refuse_what_cannot_be_kept().err();
            let shown = error.expect("refused").to_string();
            assert!(shown.contains(name), "{shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
