//! The TLS options, and the files in `~/.postgresql` that stand in for them.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::options::Options;
use crate::output::tls::{Authorities, Identity, Protection, SslMode};

/// Where libpq keeps a user's certificates, below the home directory.
const FOLDER: &str = ".postgresql";

/// Reads the options. `all_local`: no server is on another machine.
///
/// # Errors
/// They ask for less protection than they seem to, or contradict each other.
pub(super) fn read(options: &Options, home: Option<&Path>, all_local: bool) -> Result<Protection> {
    let kept = |name: &str| {
        let file = home?.join(FOLDER).join(name);
        file.exists().then_some(file)
    };
    let named = |name: &str| options.get(name).map(PathBuf::from);
    let system = options.get("sslrootcert") == Some("system");
    let mode = match options.get("sslmode") {
        Some(mode) => SslMode::parse(mode)?,
        None if all_local && !system => SslMode::Disable,
        None => SslMode::VerifyFull,
    };
    ensure!(
        !system || mode == SslMode::VerifyFull,
        "sslrootcert=system needs sslmode=verify-full: for some name anybody gets a certificate \
         from a public authority"
    );
    let authorities = match named("sslrootcert").filter(|_| !system) {
        Some(file) => Authorities::File(file),
        None if system => Authorities::Platform,
        None => match (kept("root.crt"), mode) {
            (Some(file), _) => Authorities::File(file),
            (None, SslMode::VerifyFull) => Authorities::Platform,
            (None, SslMode::VerifyCa) => bail!(
                "sslmode=verify-ca needs the file of the authority that issues the TLS \
                 certificate: name it with sslrootcert, or choose sslmode=verify-full, which \
                 knows the platform's authorities"
            ),
            (None, SslMode::Require | SslMode::Disable) => Authorities::Anyone,
        },
    };
    let direct = match options.get("sslnegotiation") {
        None | Some("postgres") => false,
        Some("direct") if mode == SslMode::Disable => {
            bail!("sslnegotiation=direct needs TLS, which sslmode=disable turns off")
        }
        Some("direct") => true,
        Some(_) => bail!("sslnegotiation is none of postgres, direct"),
    };
    let (tls12, tls13) = versions(options)?;
    Ok(Protection {
        mode,
        authorities,
        revocations: named("sslcrl").or_else(|| kept("root.crl")),
        identity: identity(options, kept("postgresql.crt"), home)?,
        direct,
        names_server: options.switch("sslsni")?,
        tls12,
        tls13,
    })
}

/// The client's certificate, if there is one, and its key.
fn identity(
    options: &Options,
    kept: Option<PathBuf>,
    home: Option<&Path>,
) -> Result<Option<Identity>> {
    match options.get("sslcertmode") {
        None | Some("allow") => {}
        Some("disable") => return Ok(None),
        Some(_) => bail!("sslcertmode is none of disable, allow"),
    }
    let Some(certificate) = options.get("sslcert").map(PathBuf::from).or(kept) else {
        ensure!(
            options.get("sslkey").is_none(),
            "sslkey names a key and there is no certificate for it: name that with sslcert"
        );
        return Ok(None);
    };
    let key = match (options.get("sslkey"), home) {
        (Some(key), _) => PathBuf::from(key),
        (None, Some(home)) => home.join(FOLDER).join("postgresql.key"),
        (None, None) => bail!("sslcert names a certificate: name its key with sslkey"),
    };
    Ok(Some(Identity { certificate, key }))
}

/// Whether TLS 1.2 and TLS 1.3 may be spoken. Older ones never are.
fn versions(options: &Options) -> Result<(bool, bool)> {
    // 0 stands for all that are older than 1.2.
    let number = |name: &str, default: u8| match options.get(name) {
        None => Ok(default),
        Some(version) => match version.to_ascii_lowercase().as_str() {
            "tlsv1" | "tlsv1.1" => Ok(0),
            "tlsv1.2" => Ok(2),
            "tlsv1.3" => Ok(3),
            _ => bail!("{name} is none of TLSv1.2, TLSv1.3"),
        },
    };
    let oldest = number("ssl_min_protocol_version", 2)?;
    let newest = number("ssl_max_protocol_version", 3)?;
    ensure!(
        newest >= 2 && oldest <= newest,
        "ssl_min_protocol_version and ssl_max_protocol_version leave no version of TLS (1.2 and \
         1.3 are spoken here)"
    );
    Ok((oldest <= 2, newest == 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::settings::tests::Folder;

    const REMOTE: &str = "postgres://u@db.example/x";

    fn protection(home: &Folder, options: &str) -> Result<Protection> {
        let settings = home.parse(&format!("{REMOTE}?{options}"), &[])?;
        Ok(settings.protection().clone())
    }

    fn refusal(options: &str) -> String {
        let refused = protection(&Folder::new(), options).err();
        format!("{:#}", refused.expect(options))
    }

    #[test]
    fn authorities_are_those_named_then_the_users_own_then_the_platforms() {
        let home = Folder::new();
        let authorities = |options: &str| protection(&home, options).unwrap().authorities;
        assert_eq!(authorities("sslmode=verify-full"), Authorities::Platform);
        assert_eq!(authorities("sslmode=require"), Authorities::Anyone);
        let own = Authorities::File(home.write(".postgresql/root.crt", "", 0o644));
        for mode in ["require", "verify-ca", "verify-full"] {
            assert_eq!(authorities(&format!("sslmode={mode}")), own, "{mode}");
            assert_eq!(
                authorities(&format!("sslmode={mode}&sslrootcert=%2Fa%20file")),
                Authorities::File("/a file".into()),
                "{mode}"
            );
        }
        assert_eq!(authorities("sslrootcert=system"), Authorities::Platform);
    }

    #[test]
    fn a_mode_that_would_check_nothing_is_refused() {
        assert!(refusal("sslmode=verify-ca").contains("sslrootcert"));
        for mode in ["disable", "require", "verify-ca"] {
            let shown = refusal(&format!("sslmode={mode}&sslrootcert=system"));
            assert!(shown.contains("verify-full"), "{shown}");
        }
    }

    #[test]
    fn a_client_certificate_is_the_one_named_or_the_users_own() {
        let home = Folder::new();
        let identity = |options: &str| protection(&home, options).unwrap().identity;
        assert_eq!(identity(""), None);
        let certificate = home.write(".postgresql/postgresql.crt", "", 0o644);
        let key = home.path().join(".postgresql/postgresql.key");
        let own = Identity { certificate, key };
        assert_eq!(identity(""), Some(own.clone()));
        assert_eq!(identity("sslcertmode=disable"), None);
        let named = Identity {
            certificate: "/c".into(),
            ..own
        };
        assert_eq!(identity("sslcert=/c"), Some(named));
        let named = Identity {
            certificate: "/c".into(),
            key: "/k".into(),
        };
        assert_eq!(identity("sslcert=/c&sslkey=/k"), Some(named));
        assert!(refusal("sslkey=/k").contains("sslcert"));
    }

    #[test]
    fn revoked_certificates_are_those_of_the_file_named_or_the_users_own() {
        let home = Folder::new();
        let revocations = |options: &str| protection(&home, options).unwrap().revocations;
        assert_eq!(revocations(""), None);
        let own = home.write(".postgresql/root.crl", "", 0o644);
        assert_eq!(revocations(""), Some(own));
        assert_eq!(revocations("sslcrl=/l"), Some("/l".into()));
    }

    #[test]
    fn versions_before_tls_1_2_are_not_spoken() {
        let home = Folder::new();
        let versions = |options: &str| {
            let protection = protection(&home, options).unwrap();
            (protection.tls12, protection.tls13)
        };
        assert_eq!(versions(""), (true, true));
        assert_eq!(versions("ssl_min_protocol_version=TLSv1"), (true, true));
        assert_eq!(versions("ssl_min_protocol_version=TLSv1.3"), (false, true));
        assert_eq!(versions("ssl_max_protocol_version=TLSv1.2"), (true, false));
        for none in [
            "ssl_max_protocol_version=TLSv1.1",
            "ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
            "ssl_min_protocol_version=SSLv3",
        ] {
            assert!(refusal(none).contains("1.2"));
        }
    }

    #[test]
    fn tls_from_the_first_byte_needs_tls() {
        assert!(
            protection(&Folder::new(), "sslnegotiation=direct")
                .unwrap()
                .direct
        );
        assert!(refusal("sslmode=disable&sslnegotiation=direct").contains("sslmode"));
        assert!(refusal("sslnegotiation=later").contains("direct"));
    }
}
