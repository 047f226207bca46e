//! The servers of a database: `host`, `hostaddr` and `port` are lists that
//! belong together, item by item.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::options::Options;

/// Where PostgreSQL listens by default on Debian and its like.
const SOCKET_FOLDER: &str = "/var/run/postgresql";
/// What a password file calls the server that nobody named.
const LOCALHOST: &str = "localhost";
const PORT_DEFAULT: u16 = 5432;

/// One server that may have the database.
#[derive(Clone)]
pub(super) struct Server {
    /// A name, an address, or the folder of a Unix socket; empty where only
    /// the address is given.
    host: String,
    /// Where it is, if the name is not to be looked up.
    address: Option<IpAddr>,
    port: u16,
}

impl Server {
    /// All servers that the options name; the one on this machine where they
    /// name none.
    ///
    /// # Errors
    /// The lists do not fit together, or an item cannot be read.
    pub(super) fn all(options: &Options) -> Result<Vec<Self>> {
        let list = |name: &str| -> Vec<&str> {
            options
                .get(name)
                .map_or_else(Vec::new, |list| list.split(',').collect())
        };
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
        let count = hosts.len().max(addresses.len()).max(1);
        ensure!(
            hosts.is_empty() || addresses.is_empty() || hosts.len() == addresses.len(),
            "there are {} hosts and {} addresses (hostaddr) for them",
            hosts.len(),
            addresses.len()
        );
        ensure!(
            ports.len() <= 1 || ports.len() == count,
            "there are {} ports for {count} hosts",
            ports.len()
        );
        (0..count)
            .map(|i| {
                let port = ports.get(i).or(ports.first());
                Self::new(
                    hosts.get(i).copied().unwrap_or_default(),
                    addresses.get(i).copied().unwrap_or_default(),
                    port.copied().unwrap_or_default(),
                )
            })
            .collect()
    }

    fn new(host: &str, address: &str, port: &str) -> Result<Self> {
        let address = match address {
            "" => None,
            address => Some(
                address
                    .parse()
                    .ok()
                    .context("hostaddr is no numeric address")?,
            ),
        };
        let host = match host {
            "" if address.is_some() => "",
            "" if Path::new(SOCKET_FOLDER).is_dir() => SOCKET_FOLDER,
            "" => LOCALHOST,
            host => host,
        };
        ensure!(
            !host.contains('@'),
            "a host's name has no @ in it: in a password, write it as %40"
        );
        let port = match port.trim() {
            "" => PORT_DEFAULT,
            port => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .context("a port is no number from 1 to 65535")?,
        };
        Ok(Self {
            host: host.to_owned(),
            address,
            port,
        })
    }

    /// Its host and port, for messages.
    pub(super) fn place(&self) -> String {
        match &self.address {
            Some(address) if self.host.is_empty() => format!("{address}:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether it is on this machine.
    pub(super) fn is_local(&self) -> bool {
        let loopback = |address: &IpAddr| address.is_loopback();
        match &self.address {
            Some(address) => loopback(address),
            None => {
                self.is_socket()
                    || self.host == LOCALHOST
                    || self.host.parse().is_ok_and(|address| loopback(&address))
            }
        }
    }

    /// Whether there is no name that a certificate could be checked against.
    pub(super) fn is_unnamed(&self) -> bool {
        self.host.is_empty()
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What the password file calls it.
    pub(super) fn name_in_password_file(&self) -> String {
        match &self.address {
            _ if self.host == SOCKET_FOLDER => LOCALHOST.into(),
            Some(address) if self.host.is_empty() => address.to_string(),
            _ => self.host.clone(),
        }
    }

    /// Makes it the server to connect to.
    pub(super) fn add_to(&self, config: &mut Config) {
        config.port(self.port);
        match &self.address {
            // The driver takes no TLS name but a host's.
            Some(address) if self.host.is_empty() => config.host(address.to_string()),
            Some(address) => config.host(&self.host).hostaddr(*address),
            None => config.host(&self.host),
        };
        if self.is_socket() {
            config.ssl_mode(SslMode::Disable);
        }
    }

    fn is_socket(&self) -> bool {
        self.address.is_none() && self.host.starts_with('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(given: &[(&str, &str)]) -> Vec<Server> {
        let mut options = Options::default();
        for (name, value) in given {
            options.set(name, (*value).to_owned()).unwrap();
        }
        Server::all(&options).unwrap()
    }

    fn places(given: &[(&str, &str)]) -> Vec<String> {
        servers(given).iter().map(Server::place).collect()
    }

    #[test]
    fn lists_belong_together_and_one_port_is_for_all() {
        assert_eq!(places(&[("host", "a,b"), ("port", "7")]), ["a:7", "b:7"]);
        assert_eq!(
            places(&[("host", "a,b"), ("port", "7,")]),
            ["a:7", "b:5432"]
        );
        assert_eq!(
            places(&[("hostaddr", "192.0.2.1,::1"), ("host", "a,")]),
            ["a:5432", "::1:5432"]
        );
    }

    #[test]
    fn a_server_on_this_machine_is_known_by_where_it_is() {
        let local = |given: &[(&str, &str)]| servers(given)[0].is_local();
        assert!(local(&[]));
        assert!(local(&[("host", "/run/pg")]));
        assert!(local(&[("host", "127.0.0.7")]));
        assert!(local(&[("host", "db.example"), ("hostaddr", "::1")]));
        assert!(!local(&[("host", "localhost"), ("hostaddr", "192.0.2.1")]));
        assert!(!local(&[("host", "localhost.example")]));
        assert!(!local(&[("host", "/run/pg"), ("hostaddr", "192.0.2.1")]));
    }

    #[test]
    fn a_password_file_knows_a_server_by_its_name() {
        let name = |given: &[(&str, &str)]| servers(given)[0].name_in_password_file();
        assert_eq!(name(&[]), "localhost");
        assert_eq!(name(&[("host", SOCKET_FOLDER)]), "localhost");
        assert_eq!(name(&[("host", "/run/pg")]), "/run/pg");
        assert_eq!(name(&[("host", "a"), ("hostaddr", "192.0.2.1")]), "a");
        assert_eq!(name(&[("hostaddr", "192.0.2.1")]), "192.0.2.1");
    }
}
