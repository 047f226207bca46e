//! `sslmode`: each mode means what libpq's manual says, and none falls back to
//! less.

use anyhow::{Result, bail};

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// In plain text.
    Disable,
    /// Encrypted; whoever answers is believed, unless authorities are named.
    Require,
    /// Encrypted, by a server whose certificate a trusted authority issued.
    VerifyCa,
    /// The same, and the certificate is for the host that was asked for.
    VerifyFull,
}

impl SslMode {
    /// Reads an `sslmode`.
    ///
    /// # Errors
    /// It is one of libpq's two modes that may end in plain text without a
    /// word, or none at all.
    pub fn parse(mode: &str) -> Result<Self> {
        Ok(match mode {
            "disable" => Self::Disable,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            "allow" | "prefer" => bail!(
                "sslmode={mode} may fall back to plain text without a word: choose disable, \
                 require, verify-ca or verify-full"
            ),
            _ => bail!("sslmode is none of disable, require, verify-ca, verify-full"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_may_end_in_plain_text_is_refused_with_the_remedy() {
        for mode in ["allow", "prefer"] {
            let shown = SslMode::parse(mode).expect_err(mode).to_string();
            assert!(
                shown.contains(mode) && shown.contains("verify-full"),
                "{shown}"
            );
        }
        assert!(SslMode::parse("Verify-Full").is_err());
    }
}
