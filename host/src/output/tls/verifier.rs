//! Whether a server is believed.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// `require`: encrypts, and believes whoever answers. Signatures are still
/// checked, so that the one who answers holds the key that it shows: channel
/// binding rests on that.
#[derive(Debug)]
pub(super) struct Unverified(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        match verify_tls13_signature(message, cert, dss, algorithms) {
            // Such as the server's in PostgreSQL's manual (openssl x509 -req):
            // webpki does not read it, and only its key is needed.
            Err(Error::InvalidCertificate(error)) if says(&error, "UnsupportedCertVersion") => {
                verify_tls13_signature_with_raw_key(message, &public_key(cert)?, dss, algorithms)
            }
            verdict => verdict,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify-ca` and `verify-full`: a trusted authority issued the certificate.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) by_authority: Arc<WebPkiServerVerifier>,
    /// Certificates that the operator named. The usual home-made server
    /// certificate (`openssl req -x509`, as in PostgreSQL's manual) says that
    /// it is an authority, and webpki takes none for a server's (webpki's
    /// `CaUsedAsEndEntity`); OpenSSL takes it if it is named itself.
    pub(super) trusted_itself: Vec<CertificateDer<'static>>,
    /// Whether the certificate may be another host's.
    pub(super) any_name: bool,
}

impl ServerCertVerifier for Issued {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.by_authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The name is what is checked last, once the chain holds.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.any_name => Ok(ServerCertVerified::assertion()),
            Err(Error::InvalidCertificate(error))
                if is_authority_for_server(&error) && self.trusted_itself.contains(end_entity) =>
            {
                if !self.any_name {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// Whether all that is wrong so far is an authority's certificate in a
/// server's place. webpki finds that only once it has found the dates right,
/// which a test below holds it to.
fn is_authority_for_server(error: &CertificateError) -> bool {
    says(error, "CaUsedAsEndEntity")
}

/// Whether it is this error of webpki's, for which rustls has no name.
fn says(error: &CertificateError, name: &str) -> bool {
    matches!(error, CertificateError::Other(other) if other.0.to_string() == name)
}

/// The public key of a certificate of version 1, which is read like that of an
/// old authority.
fn public_key(cert: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let mut store = RootCertStore::empty();
    store.add(cert.clone().into_owned())?;
    let anchor = store.roots.first();
    let anchor = anchor.ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(sequence(&anchor.subject_public_key_info).into())
}

/// The DER sequence of these contents.
fn sequence(contents: &[u8]) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    /// Lengths up to this stand for themselves; longer ones follow the number
    /// of their bytes, which has the top bit set.
    const SHORT_MAX: usize = 0x7f;
    let length = contents.len();
    let mut der = vec![SEQUENCE];
    let big_endian = length.to_be_bytes();
    let zeros = length.leading_zeros() as usize / 8;
    if length > SHORT_MAX {
        der.push(0x80 | (big_endian.len() - zeros) as u8);
        der.extend(&big_endian[zeros..]);
    } else {
        der.push(length as u8);
    }
    der.extend(contents);
    der
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
        DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams,
        SerialNumber, date_time_ymd,
    };

    use super::super::{Authorities, Protection, SslMode};
    use super::*;
    use crate::output::settings::tests::Folder;

    const HOST: &str = "db.example";

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn server_params() -> CertificateParams {
        let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(7_u64));
        params
    }

    fn issued_by(authority: &Authority, params: &CertificateParams) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, authority).unwrap().der().clone()
    }

    /// As `openssl req -x509` makes it.
    fn home_made(mut params: CertificateParams) -> (String, CertificateDer<'static>) {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        (made.pem(), made.der().clone())
    }

    fn protection(home: &Folder, mode: SslMode, authorities: &str) -> Protection {
        Protection {
            mode,
            authorities: Authorities::File(home.write("root.crt", authorities, 0o644)),
            revocations: None,
            identity: None,
            direct: false,
            names_server: true,
            tls12: true,
            tls13: true,
        }
    }

    fn verdict(
        protection: &Protection,
        certificate: &CertificateDer<'_>,
        host: &str,
    ) -> Result<(), Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = protection.verifier(provider).unwrap();
        let name = ServerName::try_from(host).unwrap();
        verifier
            .verify_server_cert(certificate, &[], &name, &[], UnixTime::now())
            .map(|_| ())
    }

    #[test]
    fn each_mode_checks_what_it_says() {
        let (home, ours, foreign) = (Folder::new(), authority("ours"), authority("foreign"));
        let right = issued_by(&ours, &server_params());
        let unknown = issued_by(&foreign, &server_params());
        for (mode, wrong_name) in [
            // With authorities named, `require` is `verify-ca`.
            (SslMode::Require, true),
            (SslMode::VerifyCa, true),
            (SslMode::VerifyFull, false),
        ] {
            let protection = protection(&home, mode, &ours.pem());
            assert!(verdict(&protection, &right, HOST).is_ok(), "{mode:?}");
            let wrong = verdict(&protection, &right, "other.example");
            assert_eq!(wrong.is_ok(), wrong_name, "{mode:?}");
            assert_eq!(
                verdict(&protection, &unknown, HOST),
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
                "{mode:?}"
            );
        }
        // Such as the one before it, of the same name.
        let namesake = issued_by(&authority("ours"), &server_params());
        let by_name = protection(&home, SslMode::VerifyCa, &ours.pem());
        assert!(verdict(&by_name, &namesake, HOST).is_err());
        let mut anyone = protection(&home, SslMode::Require, "");
        anyone.authorities = Authorities::Anyone;
        assert!(verdict(&anyone, &unknown, "other.example").is_ok());
    }

    #[test]
    fn a_public_key_is_read_as_it_stands_in_the_certificate() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate = server_params().self_signed(&key).unwrap();
            let read = public_key(certificate.der()).unwrap();
            assert_eq!(read.as_ref(), key.subject_public_key_info());
        }
        for (length, header) in [
            (127, &[0x30, 127][..]),
            (128, &[0x30, 0x81, 128]),
            (294, &[0x30, 0x82, 1, 38]),
        ] {
            let der = sequence(&vec![7; length]);
            assert_eq!(der.strip_prefix(header), Some(&vec![7; length][..]));
        }
    }

    #[test]
    fn an_expired_certificate_is_refused_whoever_issued_it() {
        let (home, ours) = (Folder::new(), authority("ours"));
        let mut params = server_params();
        params.not_after = date_time_ymd(2020, 1, 1);
        let expired = issued_by(&ours, &params);
        let (own_pem, own) = home_made(params);
        for (authorities, certificate) in [(ours.pem(), expired), (own_pem, own)] {
            let protection = protection(&home, SslMode::VerifyCa, &authorities);
            let error = verdict(&protection, &certificate, HOST).err();
            let shown = error.expect("refused").to_string();
            assert!(shown.contains("expired"), "{shown}");
        }
    }

    #[test]
    fn a_home_made_certificate_is_believed_if_it_is_named_itself() {
        let home = Folder::new();
        let (pem, certificate) = home_made(server_params());
        let (other_pem, _) = home_made(server_params());
        let full = protection(&home, SslMode::VerifyFull, &pem);
        assert_eq!(verdict(&full, &certificate, HOST), Ok(()));
        assert!(verdict(&full, &certificate, "other.example").is_err());
        let by_authority = protection(&home, SslMode::VerifyCa, &pem);
        assert_eq!(
            verdict(&by_authority, &certificate, "other.example"),
            Ok(())
        );
        let other = protection(&home, SslMode::VerifyCa, &other_pem);
        assert!(verdict(&other, &certificate, HOST).is_err());
    }

    #[test]
    fn an_authority_is_no_server_even_if_another_issued_it() {
        let (home, ours) = (Folder::new(), authority("ours"));
        let mut params = server_params();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let protection = protection(&home, SslMode::VerifyCa, &ours.pem());
        assert!(verdict(&protection, &issued_by(&ours, &params), HOST).is_err());
    }

    #[test]
    fn a_revoked_certificate_is_refused() {
        let (home, ours) = (Folder::new(), authority("ours"));
        let certificate = issued_by(&ours, &server_params());
        let mut protection = protection(&home, SslMode::VerifyFull, &ours.pem());
        // An out-of-date list no longer says that 7 is a good one.
        for (revoked, next_year, believed) in
            [(8_u64, 2200, true), (7, 2200, false), (8, 2025, false)]
        {
            let list = CertificateRevocationListParams {
                this_update: date_time_ymd(2024, 1, 1),
                next_update: date_time_ymd(next_year, 1, 1),
                crl_number: SerialNumber::from(1_u64),
                issuing_distribution_point: None,
                revoked_certs: vec![RevokedCertParams {
                    serial_number: SerialNumber::from(revoked),
                    revocation_time: date_time_ymd(2024, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                }],
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let list = list.signed_by(&ours).unwrap().pem().unwrap();
            protection.revocations = Some(home.write("root.crl", &list, 0o644));
            let verdict = verdict(&protection, &certificate, HOST);
            assert_eq!(verdict.is_ok(), believed, "{verdict:?}");
        }
    }

    #[test]
    fn files_that_are_not_fit_are_named() {
        let home = Folder::new();
        let refusal = |protection: &Protection| {
            let connector = protection.connector();
            format!("{:#}", connector.err().expect("refused"))
        };
        let empty = protection(&home, SslMode::VerifyFull, "");
        assert!(refusal(&empty).contains("sslrootcert"));
        let mut missing = empty.clone();
        missing.authorities = Authorities::File(home.path().join("missing.crt"));
        assert!(refusal(&missing).contains("missing.crt"));
        // Plain text needs no file.
        missing.mode = SslMode::Disable;
        assert!(missing.connector().is_ok());
        let mut unlisted = protection(&home, SslMode::VerifyFull, &authority("ours").pem());
        unlisted.revocations = Some(home.write("root.crl", "", 0o644));
        assert!(refusal(&unlisted).contains("root.crl"));
    }
}
