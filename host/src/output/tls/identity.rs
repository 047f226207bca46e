//! The client's own certificate and its key, which only its owner may read.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What others than the owner may not do with a key, if the owner is root:
/// its group may read, so that a key of the whole machine can be shared.
const FORBIDDEN_OF_ROOTS: u32 = 0o037;
/// The same for everybody else's key.
const FORBIDDEN: u32 = 0o077;
const ROOT: u32 = 0;

/// The files with the client's certificate and its key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// One cannot be read, or the key is open to others.
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let certificate = self.certificate.display();
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .with_context(|| format!("read the client's certificate {certificate}"))?;
        ensure!(
            !chain.is_empty(),
            "there is no PEM certificate in {certificate}"
        );
        Ok((chain, self.read_key()?))
    }

    fn read_key(&self) -> Result<PrivateKeyDer<'static>> {
        let path = self.key.display();
        let metadata =
            fs::metadata(&self.key).with_context(|| format!("find the private key {path}"))?;
        ensure!(
            metadata.is_file(),
            "the private key {path} is not a plain file"
        );
        ensure!(
            is_private(metadata.uid(), metadata.mode()),
            "the private key {path} is open to its group or others: chmod 0600 it (0640 where \
             root owns it)"
        );
        PrivateKeyDer::from_pem_file(&self.key).with_context(|| {
            format!(
                "read the private key {path} (PEM; one with a passphrase cannot be read: store it \
                 without)"
            )
        })
    }
}

/// libpq's rule.
fn is_private(owner: u32, mode: u32) -> bool {
    let forbidden = match owner {
        ROOT => FORBIDDEN_OF_ROOTS,
        _ => FORBIDDEN,
    };
    mode & forbidden == 0
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} with the key {}",
            self.certificate.display(),
            self.key.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;
    use crate::output::settings::tests::Folder;

    #[test]
    fn a_key_is_for_its_owner_and_roots_for_its_group() {
        const SOMEBODY: u32 = 1000;
        assert!(is_private(SOMEBODY, 0o100_600));
        assert!(is_private(SOMEBODY, 0o100_400));
        assert!(!is_private(SOMEBODY, 0o100_640));
        assert!(!is_private(SOMEBODY, 0o100_604));
        assert!(is_private(ROOT, 0o100_640));
        assert!(!is_private(ROOT, 0o100_660));
        assert!(!is_private(ROOT, 0o100_644));
    }

    #[test]
    fn a_certificate_is_used_with_a_key_that_nobody_else_may_read() {
        let home = Folder::new();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["etl".to_owned()]).unwrap();
        let identity = Identity {
            certificate: home.write("c", &cert.pem(), 0o644),
            key: home.write("k", &signing_key.serialize_pem(), 0o600),
        };
        assert_eq!(identity.read().unwrap().0, [cert.der().clone()]);

        home.write("k", &signing_key.serialize_pem(), 0o644);
        let refusal = || format!("{:#}", identity.read().expect_err("refused"));
        assert!(refusal().contains("0600"));
        home.write("k", "-----BEGIN ENCRYPTED PRIVATE KEY-----", 0o600);
        assert!(refusal().contains("passphrase"));
        home.write("c", "", 0o644);
        assert!(refusal().contains("no PEM certificate"));
        fs::remove_file(home.path().join("k")).unwrap();
        home.write("c", &cert.pem(), 0o644);
        assert!(refusal().contains("find the private key"));
    }
}
