//! TLS to PostgreSQL.
//!
//! The files of a connection (authorities, revocations, the client's own
//! certificate) are read again for each one, so that what was renewed there is
//! used without a restart. A file that was found at the start and is gone later
//! is an error and never a reason to check less.

mod fault;
mod identity;
mod ssl_mode;
mod verifier;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(super) use self::fault::fault;
pub use self::identity::Identity;
pub use self::ssl_mode::SslMode;
use self::verifier::{Issued, Unverified};

/// The name of PostgreSQL's protocol, without which a server does not take TLS
/// from the first byte (PostgreSQL manual, "Protocol Flow", ALPN).
const PROTOCOL: &[u8] = b"postgresql";

/// How connections are protected.
#[derive(Clone, Debug)]
pub struct Protection {
    /// What must hold.
    pub mode: SslMode,
    /// Who may have issued the server's certificate.
    pub authorities: Authorities,
    /// The file of certificates that were revoked.
    pub revocations: Option<PathBuf>,
    /// What the server is shown when it asks who is there.
    pub identity: Option<Identity>,
    /// Whether TLS begins with the first byte (`sslnegotiation=direct`).
    pub direct: bool,
    /// Whether the server is told which host is wanted.
    pub names_server: bool,
    /// Whether TLS 1.2 may be spoken.
    pub tls12: bool,
    /// Whether TLS 1.3 may be spoken.
    pub tls13: bool,
}

/// Who may have issued a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// Nobody checks.
    Anyone,
    /// Those that the platform trusts.
    Platform,
    /// Those in this PEM file.
    File(PathBuf),
}

impl Protection {
    /// Prepares TLS from the files as they are now.
    ///
    /// # Errors
    /// A file cannot be read, or is not fit for its purpose.
    pub fn connector(&self) -> Result<MakeRustlsConnect> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions())
            .context("set up TLS")?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let identity = match self.mode {
            SslMode::Disable => None,
            _ => self.identity.as_ref(),
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.read()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .with_context(|| format!("use the client's certificate {identity}"))?
            }
        };
        config.enable_sni = self.names_server;
        if self.direct {
            config.alpn_protocols = vec![PROTOCOL.to_vec()];
        }
        Ok(MakeRustlsConnect::new(config))
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let tls12 = self.tls12.then_some(&rustls::version::TLS12);
        let tls13 = self.tls13.then_some(&rustls::version::TLS13);
        tls12.into_iter().chain(tls13).collect()
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        let named = match (self.mode, &self.authorities) {
            (SslMode::Disable, _) | (SslMode::Require, Authorities::Anyone) => {
                return Ok(Arc::new(Unverified(provider)));
            }
            (_, Authorities::Anyone) => bail!("sslmode asks for a check, and nothing is trusted"),
            (_, Authorities::Platform) => Vec::new(),
            (_, Authorities::File(file)) => CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect)
                .with_context(|| format!("read the authorities in {}", file.display()))?,
        };
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Authorities::File(file) => named
                .iter()
                .try_for_each(|one: &CertificateDer<'_>| roots.add(one.clone()))
                .with_context(|| format!("trust the authorities in {}", file.display()))?,
            _ => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        ensure!(
            !roots.is_empty(),
            "no certificate authority is known here: install the platform's (Debian: \
             ca-certificates), or name a file that has one with sslrootcert"
        );
        let mut builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        if let Some(file) = &self.revocations {
            let lists: Vec<CertificateRevocationListDer<'static>> =
                CertificateRevocationListDer::pem_file_iter(file)
                    .and_then(Iterator::collect)
                    .with_context(|| format!("read the revocations in {}", file.display()))?;
            ensure!(
                !lists.is_empty(),
                "there is no revocation list in {}",
                file.display()
            );
            // As OpenSSL does for libpq: the whole chain, and a list that is
            // out of date says nothing.
            builder = builder.with_crls(lists).enforce_revocation_expiration();
        }
        let by_authority = builder
            .build()
            .context("set up the verification of certificates")?;
        Ok(Arc::new(Issued {
            by_authority,
            // A list of revocations would have to be asked about it as well.
            trusted_itself: match self.revocations {
                Some(_) => Vec::new(),
                None => named,
            },
            any_name: self.mode != SslMode::VerifyFull,
        }))
    }
}
