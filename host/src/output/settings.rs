//! Where the database is and how to get in: the URL, then the `PG*` variables.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::tls::SslMode;

/// Where PostgreSQL listens by default on Debian and its like.
const SOCKET_FOLDER: &str = "/var/run/postgresql";

/// Where the database is. Holds a password, so it has no `Debug`.
#[derive(Clone)]
pub struct Settings {
    pub(super) config: Config,
    pub(super) ssl_mode: SslMode,
    pub(super) root_cert: Option<PathBuf>,
}

impl Settings {
    /// Reads a URL such as `postgres://user:password@host:5432/db?sslmode=verify-full`;
    /// what it does not say comes from `variable` (the `PG*` variables).
    ///
    /// Without an `sslmode` a server on this machine is spoken to in plain
    /// text, and any other with `verify-full`: nobody has to ask for safety.
    ///
    /// # Errors
    /// The URL does not parse; the message does not repeat it.
    pub fn parse(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        ensure!(
            url.is_empty() || url.starts_with("postgres://") || url.starts_with("postgresql://"),
            "the database URL does not start with postgres://"
        );
        let (url, mut ssl) = without_ssl_options(url);
        let mut config: Config = match url.is_empty() {
            true => Config::new(),
            // The driver's message names the option at fault, not the URL.
            false => url.parse().context("read the database URL")?,
        };
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        fill_in(&mut config, &variable)?;
        ssl.mode = ssl.mode.or_else(|| variable("PGSSLMODE"));
        ssl.root_cert = ssl.root_cert.or_else(|| variable("PGSSLROOTCERT"));
        let ssl_mode = match &ssl.mode {
            Some(mode) => SslMode::parse(mode)?,
            None if is_local(&config) => SslMode::Disable,
            None => SslMode::VerifyFull,
        };
        config.ssl_mode(match ssl_mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            _ => tokio_postgres::config::SslMode::Require,
        });
        if config.get_application_name().is_none() {
            config.application_name("etl-host");
        }
        Ok(Self {
            config,
            ssl_mode,
            root_cert: ssl.root_cert.map(PathBuf::from),
        })
    }

    /// Host, port and database, for messages: no user, no password.
    pub fn place(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => "localhost".into(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        match self.config.get_dbname() {
            Some(database) => format!("{host}:{port}/{database}"),
            None => format!("{host}:{port}"),
        }
    }
}

#[derive(Default)]
struct SslOptions {
    mode: Option<String>,
    root_cert: Option<String>,
}

/// Takes the TLS options out of the URL: the driver knows only some of them,
/// and its `sslmode` falls back to plain text.
fn without_ssl_options(url: &str) -> (String, SslOptions) {
    let mut ssl = SslOptions::default();
    let Some((place, query)) = url.split_once('?') else {
        return (url.to_owned(), ssl);
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "sslmode" => ssl.mode = Some(value.to_owned()),
                "sslrootcert" => ssl.root_cert = Some(value.replace("%2F", "/")),
                _ => return true,
            }
            false
        })
        .collect();
    match kept.is_empty() {
        true => (place.to_owned(), ssl),
        false => (format!("{place}?{}", kept.join("&")), ssl),
    }
}

fn fill_in(config: &mut Config, variable: &impl Fn(&str) -> Option<String>) -> Result<()> {
    if config.get_hosts().is_empty() {
        match variable("PGHOST") {
            Some(host) => config.host(&host),
            None if Path::new(SOCKET_FOLDER).is_dir() => config.host(SOCKET_FOLDER),
            None => config.host("localhost"),
        };
    }
    if config.get_ports().is_empty()
        && let Some(port) = variable("PGPORT")
    {
        config.port(port.parse().context("read PGPORT")?);
    }
    if config.get_user().is_none()
        && let Some(user) = variable("PGUSER").or_else(|| variable("USER"))
    {
        config.user(&user);
    }
    if config.get_password().is_none()
        && let Some(password) = variable("PGPASSWORD")
    {
        config.password(&password);
    }
    if config.get_dbname().is_none()
        && let Some(database) = variable("PGDATABASE")
    {
        config.dbname(&database);
    }
    Ok(())
}

fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(host) => {
            let address = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost"
                || address
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Settings> {
        Settings::parse(url, |_| None)
    }

    #[test]
    fn plain_text_is_never_a_silent_default_for_another_machine() {
        let mode = |url: &str| parse(url).unwrap().ssl_mode;
        assert_eq!(mode("postgres://u@db.example/x"), SslMode::VerifyFull);
        assert_eq!(mode("postgres://u@localhost/x"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1/x"), SslMode::Disable);
        assert_eq!(
            mode("postgres://u@localhost/x?sslmode=verify-ca"),
            SslMode::VerifyCa
        );
        assert_eq!(
            mode("postgres://u@db.example/x?connect_timeout=3&sslmode=disable"),
            SslMode::Disable
        );
        assert!(parse("postgres://u@db.example/x?sslmode=prefer").is_err());
    }

    #[test]
    fn variables_fill_in_what_the_url_leaves_open() {
        let variable = |name: &str| match name {
            "PGHOST" => Some("db.example".to_owned()),
            "PGPORT" => Some("6432".to_owned()),
            "PGDATABASE" => Some("logins".to_owned()),
            _ => None,
        };
        let settings = Settings::parse("", variable).unwrap();
        assert_eq!(settings.place(), "db.example:6432/logins");
        let settings = Settings::parse("postgres://other.example/", variable).unwrap();
        assert_eq!(settings.place(), "other.example:5432/logins");
    }

    #[test]
    fn an_unreadable_url_is_not_repeated() {
        let error = parse("postgres://u:canary-password@host:notaport/x").err();
        let shown = format!("{:#}", error.expect("refused"));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
