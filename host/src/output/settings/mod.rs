//! Where the database is and how to get in: the URL first, then the connection
//! service file, then the `PG*` variables, then libpq's defaults, which is the
//! order that libpq keeps.
//!
//! Two things differ on purpose. Without an `sslmode`, another machine is
//! spoken to with `verify-full` (libpq: `prefer`, which may end in plain
//! text). And a file or an option that is named and cannot be honoured is an
//! error, where libpq sometimes goes on without it.

mod options;
mod password_file;
mod protection;
mod servers;
mod service_file;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::seq::SliceRandom;
use tokio_postgres::Config;
use tokio_postgres::config::{
    ChannelBinding, LoadBalanceHosts, SslNegotiation, TargetSessionAttrs,
};

use self::options::Options;
use self::password_file::{PasswordFile, Wanted};
use self::servers::Server;
use super::tls::{Protection, SslMode};

/// How long one address may take to answer, unless `connect_timeout` says so.
const ADDRESS_SECS_DEFAULT: u64 = 5;
/// For how many addresses of a host there is time: an IPv6 and an IPv4 one.
const ADDRESSES_TIMED: u64 = 2;
/// What sessions are called at the server.
const APPLICATION_NAME: &str = "etl-host";

/// Where the database is. Holds a password, so it has no `Debug`.
#[derive(Clone)]
pub struct Settings {
    servers: Vec<Server>,
    /// Everything but the server and the password.
    common: Config,
    user: String,
    database: String,
    password: Option<String>,
    password_file: Option<PasswordFile>,
    address_secs_max: u64,
    protection: Protection,
}

/// One server to try, with the password that is right for it now.
pub(super) struct Target {
    /// Host and port, for messages.
    pub(super) place: String,
    pub(super) config: Config,
}

impl Settings {
    /// Reads a URL such as `postgres://user:password@host:5432/db?sslmode=verify-full`;
    /// what it does not say comes from the connection service file and from
    /// `variable` (the `PG*` variables).
    ///
    /// Without an `sslmode` servers that are all on this machine are spoken to
    /// in plain text, and any other with `verify-full`: nobody has to ask for
    /// safety. As with libpq, TLS does not concern a Unix socket.
    ///
    /// # Errors
    /// Something cannot be read or honoured; the message repeats no value that
    /// may be secret.
    pub fn parse(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = variable("HOME")
            .map(PathBuf::from)
            .or_else(std::env::home_dir);
        let home = home.as_deref();
        let mut options = Options::default();
        if !url.is_empty() {
            url::read(url, &mut options).context("read the database URL")?;
        }
        service_file::read(&mut options, &variable, home)?;
        options.fill_in(&variable);
        options.refuse_what_cannot_be_kept()?;

        let servers = Server::all(&options)?;
        let all_local = servers.iter().all(Server::is_local);
        let protection = protection::read(&options, home, all_local)?;
        if protection.mode == SslMode::VerifyFull {
            let unnamed = servers.iter().any(Server::is_unnamed);
            ensure!(
                !unnamed,
                "sslmode=verify-full needs the host's name beside its hostaddr"
            );
        }
        let user = user(&options, &variable)?;
        let address_secs_max = match options.number("connect_timeout")? {
            Some(seconds @ 1..) => seconds.unsigned_abs(),
            _ => ADDRESS_SECS_DEFAULT,
        };
        let password_file = options
            .get("passfile")
            .map(PathBuf::from)
            .or_else(|| home.map(|home| home.join(".pgpass")));
        Ok(Self {
            common: common(&options, &protection, address_secs_max)?,
            database: options.get("dbname").unwrap_or(&user).to_owned(),
            user,
            password: options.get("password").map(str::to_owned),
            password_file: password_file.map(PasswordFile::at),
            servers,
            address_secs_max,
            protection,
        })
    }

    /// Hosts, ports and database, for messages: no user, no password.
    pub fn place(&self) -> String {
        let places: Vec<String> = self.servers.iter().map(Server::place).collect();
        format!("{}/{}", places.join(","), self.database)
    }

    /// How the connection is protected.
    pub(super) fn protection(&self) -> &Protection {
        &self.protection
    }

    /// The longest wait for one server: connection, TLS and authentication.
    pub(super) fn server_secs_max(&self) -> u64 {
        self.address_secs_max.saturating_mul(ADDRESSES_TIMED)
    }

    /// The servers in the order in which they are to be tried. Reads the
    /// password file, which may have changed since the last connection.
    pub(super) fn targets(&self) -> Vec<Target> {
        let mut servers: Vec<&Server> = self.servers.iter().collect();
        if self.common.get_load_balance_hosts() == LoadBalanceHosts::Random {
            servers.shuffle(&mut rand::rng());
        }
        servers.into_iter().map(|one| self.target(one)).collect()
    }

    fn target(&self, server: &Server) -> Target {
        let mut config = self.common.clone();
        server.add_to(&mut config);
        config.user(&self.user).dbname(&self.database);
        let password = self.password.clone().or_else(|| {
            self.password_file.as_ref()?.password(&Wanted {
                host: &server.name_in_password_file(),
                port: server.port(),
                database: &self.database,
                user: &self.user,
            })
        });
        if let Some(password) = password {
            config.password(password);
        }
        Target {
            place: server.place(),
            config,
        }
    }
}

/// As with libpq the account's name, not `$USER`; that only where the account
/// has no name, as in a container under an invented number.
fn user(options: &Options, variable: &impl Fn(&str) -> Option<String>) -> Result<String> {
    options
        .get("user")
        .map(str::to_owned)
        .or_else(|| whoami::username().ok())
        .or_else(|| variable("USER"))
        .context("no database user is given, and this account has no name: set PGUSER")
}

fn common(options: &Options, protection: &Protection, address_secs_max: u64) -> Result<Config> {
    let mut config = Config::new();
    let name = options
        .get("application_name")
        .or_else(|| options.get("fallback_application_name"));
    config
        .application_name(name.unwrap_or(APPLICATION_NAME))
        .connect_timeout(Duration::from_secs(address_secs_max))
        .keepalives(options.switch("keepalives")?)
        .ssl_mode(match protection.mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            _ => tokio_postgres::config::SslMode::Require,
        })
        .ssl_negotiation(match protection.direct {
            true => SslNegotiation::Direct,
            false => SslNegotiation::Postgres,
        })
        .channel_binding(channel_binding(options, protection.mode)?)
        .target_session_attrs(target_session_attrs(options)?)
        .load_balance_hosts(match options.get("load_balance_hosts") {
            None | Some("disable") => LoadBalanceHosts::Disable,
            Some("random") => LoadBalanceHosts::Random,
            Some(_) => bail!("load_balance_hosts is none of disable, random"),
        });
    if let Some(options) = options.get("options") {
        config.options(options);
    }
    if let Some(seconds @ 1..) = options.number("keepalives_idle")? {
        config.keepalives_idle(Duration::from_secs(seconds.unsigned_abs()));
    }
    if let Some(seconds @ 1..) = options.number("keepalives_interval")? {
        config.keepalives_interval(Duration::from_secs(seconds.unsigned_abs()));
    }
    if let Some(retries @ 1..) = options.number("keepalives_count")? {
        let retries = u32::try_from(retries).context("keepalives_count is too large")?;
        config.keepalives_retries(retries);
    }
    if let Some(milliseconds @ 1..) = options.number("tcp_user_timeout")? {
        config.tcp_user_timeout(Duration::from_millis(milliseconds.unsigned_abs()));
    }
    Ok(config)
}

fn channel_binding(options: &Options, mode: SslMode) -> Result<ChannelBinding> {
    Ok(match options.get("channel_binding") {
        None | Some("prefer") => ChannelBinding::Prefer,
        Some("disable") => ChannelBinding::Disable,
        Some("require") if mode == SslMode::Disable => {
            bail!("channel_binding=require needs TLS, which sslmode=disable turns off")
        }
        Some("require") => ChannelBinding::Require,
        Some(_) => bail!("channel_binding is none of disable, prefer, require"),
    })
}

fn target_session_attrs(options: &Options) -> Result<TargetSessionAttrs> {
    Ok(match options.get("target_session_attrs") {
        None | Some("any") => TargetSessionAttrs::Any,
        Some("read-write") => TargetSessionAttrs::ReadWrite,
        Some("read-only") => TargetSessionAttrs::ReadOnly,
        Some("primary" | "standby" | "prefer-standby") => bail!(
            "of target_session_attrs any, read-write and read-only are supported: to write, \
             choose read-write"
        ),
        Some(_) => bail!("target_session_attrs is none of any, read-write, read-only"),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio_postgres::config::Host;

    use super::*;

    /// A folder of one test, removed at its end; a home for its settings.
    pub(in crate::output) struct Folder(PathBuf);

    impl Folder {
        pub(in crate::output) fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "etl-host-settings-{}-{}",
                std::process::id(),
                COUNT.fetch_add(1, Ordering::Relaxed)
            );
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(in crate::output) fn path(&self) -> &Path {
            &self.0
        }

        pub(in crate::output) fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        /// Reads settings in an environment of these variables alone.
        pub(in crate::output) fn parse(
            &self,
            url: &str,
            variables: &[(&str, &str)],
        ) -> Result<Settings> {
            Settings::parse(url, |name| match name {
                "HOME" => Some(self.0.display().to_string()),
                name => {
                    let given = variables.iter().find(|(given, _)| *given == name);
                    given.map(|(_, value)| (*value).to_owned())
                }
            })
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn refusal(url: &str, variables: &[(&str, &str)]) -> String {
        let settings = Folder::new().parse(url, variables);
        format!("{:#}", settings.err().expect(url))
    }

    fn password(settings: &Settings) -> Option<String> {
        let target = settings.targets().remove(0);
        let password = target.config.get_password()?;
        Some(String::from_utf8_lossy(password).into_owned())
    }

    #[test]
    fn plain_text_is_never_a_silent_default_for_another_machine() {
        let mode = |url: &str| {
            let settings = Folder::new().parse(url, &[]).unwrap();
            settings.protection.mode
        };
        assert_eq!(mode("postgres://u@db.example/x"), SslMode::VerifyFull);
        assert_eq!(mode("postgres://u@localhost/x"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1,[::1]/x"), SslMode::Disable);
        assert_eq!(mode("postgres://u@%2Frun%2Fpg/x"), SslMode::Disable);
        for remote in [
            "postgres://u@localhost,db.example/x",
            "postgres://u@db.example,localhost/x",
            "postgres://u@localhost/x?hostaddr=192.0.2.1",
            "postgres://u@localhost/x?sslrootcert=system",
        ] {
            assert_eq!(mode(remote), SslMode::VerifyFull, "{remote}");
        }
        assert_eq!(
            mode("postgres://u@db.example/x?connect_timeout=3&sslmode=disable"),
            SslMode::Disable
        );
        assert!(refusal("postgres://u@db.example/x?sslmode=prefer", &[]).contains("verify-full"));
        assert!(refusal("postgres://db.example/x", &[("PGSSLMODE", "allow")]).contains("plain"));
    }

    #[test]
    fn the_url_comes_before_the_service_file_and_that_before_the_variables() {
        let home = Folder::new();
        home.write(
            ".pg_service.conf",
            "[logins]\nport=2\ndbname=of_service\nuser=of_service\n",
            0o644,
        );
        let variables = [
            ("PGSERVICE", "logins"),
            ("PGHOST", "of.variable"),
            ("PGPORT", "3"),
            ("PGDATABASE", "of_variable"),
            ("PGUSER", "of_variable"),
            ("PGAPPNAME", "of_variable"),
        ];
        let settings = home.parse("postgres:///of_url", &variables).unwrap();
        assert_eq!(settings.place(), "of.variable:2/of_url");
        assert_eq!(settings.user, "of_service");
        assert_eq!(settings.common.get_application_name(), Some("of_variable"));
        let settings = home.parse("", &variables).unwrap();
        assert_eq!(settings.place(), "of.variable:2/of_service");
        let settings = home
            .parse("postgres://?service=logins", &variables[1..])
            .unwrap();
        assert_eq!(settings.place(), "of.variable:2/of_service");
        assert!(refusal("", &[("PGSERVICE", "nowhere")]).contains("nowhere"));
        assert!(refusal("", &[("PGSERVICE", "x"), ("PGSERVICEFILE", "/no/file")]).contains("/no/"));
    }

    #[test]
    fn a_machines_service_file_is_read_after_the_users_own() {
        let home = Folder::new();
        home.write(".pg_service.conf", "[mine]\nhost=mine.example\n", 0o644);
        home.write(
            "system/pg_service.conf",
            "[mine]\nhost=no\n[all]\nhost=all.example\n",
            0o644,
        );
        let system = home.path().join("system").display().to_string();
        for (service, place) in [("mine", "mine.example"), ("all", "all.example")] {
            let variables = [("PGSERVICE", service), ("PGSYSCONFDIR", system.as_str())];
            let settings = home.parse("postgres://u@/x", &variables).unwrap();
            assert_eq!(settings.place(), format!("{place}:5432/x"));
        }
    }

    #[test]
    fn a_database_is_named_for_its_user_where_nobody_names_it() {
        let settings = Folder::new().parse("postgres://etl@db.example", &[]);
        assert_eq!(settings.unwrap().place(), "db.example:5432/etl");
    }

    #[test]
    fn a_password_comes_from_the_url_then_the_variable_then_the_file() {
        let home = Folder::new();
        home.write(".pgpass", "db.example:5432:x:u:of_file", 0o600);
        let other = home.write("other", "*:*:*:*:of_other", 0o600);
        let other = other.display().to_string();
        let variables = [("PGPASSWORD", "of_variable")];
        for (url, variables, expected) in [
            ("postgres://u:of_url@db.example/x", &variables[..], "of_url"),
            ("postgres://u@db.example/x", &variables[..], "of_variable"),
            ("postgres://u@db.example/x", &[], "of_file"),
            (
                "postgres://u@db.example/x",
                &[("PGPASSWORD", "")],
                "of_file",
            ),
            (
                "postgres://u@db.example/x",
                &[("PGPASSFILE", other.as_str())],
                "of_other",
            ),
        ] {
            let settings = home.parse(url, variables).unwrap();
            assert_eq!(password(&settings).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn a_changed_password_file_counts_at_the_next_connection() {
        let home = Folder::new();
        home.write(".pgpass", "*:*:*:*:old", 0o600);
        let settings = home.parse("postgres://u@db.example/x", &[]).unwrap();
        assert_eq!(password(&settings).as_deref(), Some("old"));
        home.write(".pgpass", "*:*:*:*:new", 0o600);
        assert_eq!(password(&settings).as_deref(), Some("new"));
    }

    #[test]
    fn each_server_has_its_own_password_and_address() {
        let home = Folder::new();
        home.write(".pgpass", "a:1:*:*:for_a\nb:2:*:*:for_b", 0o600);
        let url = "postgres://u@a:1,b:2/x?hostaddr=192.0.2.1,192.0.2.2\
                   &target_session_attrs=read-write&sslmode=verify-full&sslrootcert=system";
        let settings = home.parse(url, &[]).unwrap();
        assert_eq!(settings.place(), "a:1,b:2/x");
        let configs: Vec<Config> = settings.targets().into_iter().map(|t| t.config).collect();
        for (config, host, address, password) in [
            (&configs[0], "a", "192.0.2.1", "for_a"),
            (&configs[1], "b", "192.0.2.2", "for_b"),
        ] {
            assert_eq!(config.get_hosts(), [Host::Tcp(host.into())]);
            assert_eq!(
                config.get_hostaddrs(),
                [address.parse::<std::net::IpAddr>().unwrap()]
            );
            assert_eq!(config.get_password(), Some(password.as_bytes()));
            assert_eq!(
                config.get_target_session_attrs(),
                TargetSessionAttrs::ReadWrite
            );
        }
    }

    #[test]
    fn tls_does_not_concern_a_unix_socket() {
        let url = "postgres://u@%2Frun%2Fpg,db.example/x?sslmode=verify-full";
        let targets = Folder::new().parse(url, &[]).unwrap().targets();
        let modes: Vec<_> = targets
            .iter()
            .map(|one| one.config.get_ssl_mode())
            .collect();
        assert_eq!(
            modes,
            [
                tokio_postgres::config::SslMode::Disable,
                tokio_postgres::config::SslMode::Require
            ]
        );
    }

    #[test]
    fn an_address_without_a_name_cannot_be_verified_in_full() {
        let url = "postgres://u@/x?hostaddr=192.0.2.1";
        assert!(refusal(url, &[]).contains("hostaddr"));
        let settings = Folder::new().parse(&format!("{url}&sslmode=require"), &[]);
        let config = settings.unwrap().targets().remove(0).config;
        assert_eq!(config.get_hosts(), [Host::Tcp("192.0.2.1".into())]);
    }

    #[test]
    fn options_of_the_session_reach_the_driver() {
        let url = "postgres://u@db.example/x?connect_timeout=7&keepalives_idle=30\
                   &keepalives_count=4&tcp_user_timeout=1500&channel_binding=require";
        let variables = [
            ("PGOPTIONS", "-c statement_timeout=5s"),
            ("PGCONNECT_TIMEOUT", "9"),
        ];
        let settings = Folder::new().parse(url, &variables).unwrap();
        let config = settings.targets().remove(0).config;
        assert_eq!(settings.server_secs_max(), 14);
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(30));
        assert_eq!(config.get_keepalives_retries(), Some(4));
        assert_eq!(
            config.get_tcp_user_timeout(),
            Some(&Duration::from_millis(1500))
        );
        assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
        assert_eq!(config.get_options(), Some("-c statement_timeout=5s"));
        assert_eq!(config.get_application_name(), Some(APPLICATION_NAME));
    }

    #[test]
    fn a_value_that_cannot_be_honoured_is_refused() {
        for (option, word) in [
            ("target_session_attrs=primary", "read-write"),
            ("target_session_attrs=most", "target_session_attrs"),
            ("channel_binding=maybe", "channel_binding"),
            ("sslmode=disable&channel_binding=require", "sslmode=disable"),
            ("load_balance_hosts=yes", "load_balance_hosts"),
            ("connect_timeout=soon", "connect_timeout"),
            ("port=70000", "port"),
            ("port=1,2", "2 ports"),
            ("hostaddr=db.example", "hostaddr"),
            ("hostaddr=192.0.2.1,192.0.2.2", "2 addresses"),
        ] {
            let shown = refusal(&format!("postgres://u@db.example/x?{option}"), &[]);
            assert!(shown.contains(word), "{option}: {shown}");
        }
    }

    #[test]
    fn an_unreadable_url_is_not_repeated() {
        let shown = refusal("postgres://u:canary-password@host:notaport/x", &[]);
        assert!(!shown.contains("canary"), "{shown}");
        assert!(!shown.contains("notaport"), "{shown}");
    }
}
