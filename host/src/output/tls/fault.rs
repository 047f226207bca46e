//! What a fault of TLS means for the operator.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// What the driver says where a server answers that it has no TLS.
const WITHOUT_TLS: &str = "server does not support TLS";

const NOT_FIT: &str = "the certificate is not fit for a server";

/// What is wrong and what mends it, where an error is a fault of TLS that no
/// waiting mends. A connection that breaks during the handshake is not one.
pub(in crate::output) fn fault(error: &tokio_postgres::Error) -> Option<String> {
    let cause = error.source()?;
    if cause.to_string() == WITHOUT_TLS {
        return Some(
            "the server speaks no TLS, and sslmode asks for it: set ssl = on at the server, or \
             choose sslmode=disable to send everything in plain text"
                .into(),
        );
    }
    of_handshake(of_rustls(cause)?)
}

/// rustls reports through the stream that it protects.
fn of_rustls<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let inner = cause.downcast_ref::<io::Error>()?.get_ref()?;
    inner.downcast_ref()
}

fn of_handshake(error: &rustls::Error) -> Option<String> {
    use rustls::Error::{
        AlertReceived, InvalidCertificate, NoApplicationProtocol, PeerIncompatible,
    };

    let remedy = match error {
        // A signature does not fit where an authority was made anew under the
        // name of its predecessor.
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its issuer is not trusted here; name the file of its authority with sslrootcert"
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "it is not the certificate of the host that was asked for; connect by a name in its \
             subjectAltName, which sslmode=verify-full checks"
        }
        InvalidCertificate(CertificateError::Other(other)) => of_webpki(&other.0.to_string()),
        InvalidCertificate(_) => NOT_FIT,
        PeerIncompatible(_) | NoApplicationProtocol => {
            "the server speaks no TLS that is spoken here (1.2 and 1.3)"
        }
        AlertReceived(alert) if blames_client(*alert) => {
            "the server refuses the client; where it demands a certificate, name one with sslcert \
             and sslkey"
        }
        _ => return None,
    };
    Some(format!("TLS handshake: {error}: {remedy}"))
}

/// webpki's words, for what OpenSSL lets pass.
fn of_webpki(words: &str) -> &'static str {
    match words {
        "UnsupportedCertVersion" => {
            "the certificate is one of X.509 version 1; issue it anew with a subjectAltName \
             (openssl x509 -req -extfile), which makes it one of version 3"
        }
        "CaUsedAsEndEntity" => {
            "the certificate says that it is an authority; name this very certificate with \
             sslrootcert, or issue one for the server"
        }
        _ => NOT_FIT,
    }
}

/// Whether the server will say the same again tomorrow.
fn blames_client(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol
            | AlertDescription::ProtocolVersion
            | AlertDescription::UnknownCA
            | AlertDescription::UnrecognisedName
            | AlertDescription::UnsupportedCertificate
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_believed_is_explained_and_a_broken_stream_is_not() {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let stream = io::Error::new(io::ErrorKind::InvalidData, unknown);
        let words = of_rustls(&stream).and_then(of_handshake);
        assert!(words.expect("a fault").contains("sslrootcert"));

        let old = rustls::OtherError(std::sync::Arc::new(io::Error::other(
            "UnsupportedCertVersion",
        )));
        let old = rustls::Error::InvalidCertificate(CertificateError::Other(old));
        assert!(of_handshake(&old).expect("a fault").contains("version 1"));

        let broken = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(of_rustls(&broken).is_none());
        let alert = rustls::Error::AlertReceived(AlertDescription::InternalError);
        assert!(of_handshake(&alert).is_none());
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        assert!(of_handshake(&alert).expect("a fault").contains("sslcert"));
    }
}
