//! The keyed hash: HMAC-SHA-256 under keys that never enter a guest.
//!
//! Without a key a hash hides nothing that can be guessed: all 2³² IPv4
//! addresses are hashed in minutes. With one, only its holder can tell which
//! input a value stands for.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::key_file;
use crate::hex::bytes_of;

/// The shortest key, in bytes: the hash's own length, below which RFC 2104
/// (section 3) discourages keys, because they weaken it.
pub const KEY_BYTES_MIN: usize = 32;
/// The longest key, in bytes: the hash's block, beyond which HMAC hashes the
/// key first (RFC 2104, section 2) and nothing is gained.
pub const KEY_BYTES_MAX: usize = 64;
/// The longest id of a key, in characters: it stands in every ledger entry.
pub const KEY_ID_CHARS_MAX: usize = 64;

/// The operator's keys: the current one, under which a component hashes, and
/// older ones, by which earlier rows can be found.
#[derive(Clone)]
pub struct Keys {
    current: Key,
    older: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    mac: Hmac<Sha256>,
}

impl Keys {
    /// Reads the keys of a file; see [`Keys::parse`].
    ///
    /// # Errors
    /// It cannot be read, does not hold keys, or others than its owner may read
    /// or change it.
    pub fn read(file: &Path) -> Result<Self> {
        key_file::read(file)
            .and_then(|text| Self::parse(&text))
            .with_context(|| format!("read key file {}", file.display()))
    }

    /// Reads keys: a line each, an id, a colon and the key in hexadecimal, the
    /// current one first. Empty lines, and those that begin with `#`, say
    /// nothing.
    ///
    /// # Errors
    /// There is none, or a line is no key; the error names the line and shows
    /// nothing of it.
    pub fn parse(text: &str) -> Result<Self> {
        let mut keys: Vec<Key> = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = Key::parse(line).with_context(|| format!("line {number}"))?;
            ensure!(
                keys.iter().all(|other| other.id != key.id),
                "line {number}: its id is an earlier line's"
            );
            keys.push(key);
        }
        if keys.is_empty() {
            bail!(
                "there is no key: write a line such as 2026-11:KEY, the key from \
                 `openssl rand -hex 32`"
            );
        }
        let older = keys.split_off(1);
        let Some(current) = keys.pop() else {
            bail!("there is no key");
        };
        Ok(Self { current, older })
    }

    /// A key that everyone knows.
    pub(super) fn public() -> Self {
        let current = Key {
            id: "public".to_owned(),
            mac: Hmac::new(&Default::default()),
        };
        Self {
            current,
            older: Vec::new(),
        }
    }

    /// The id of the key under which components hash.
    pub fn current_id(&self) -> &str {
        &self.current.id
    }

    /// The hash of a value under the current key.
    pub(super) fn hash(&self, value: &[u8]) -> Vec<u8> {
        self.current.hash(value).to_vec()
    }

    /// The hash of a value under each key, in lower-case hexadecimal, with the
    /// key's id: the current one first.
    pub fn hashes(&self, value: &[u8]) -> impl Iterator<Item = (&str, String)> {
        let keys = std::iter::once(&self.current).chain(&self.older);
        keys.map(move |key| {
            let hash = key.hash(value);
            let hex = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            (key.id.as_str(), hex)
        })
    }
}

impl Key {
    fn parse(line: &str) -> Result<Self> {
        let (id, hex) = line
            .split_once(':')
            .context("a key is written ID:HEXADECIMAL")?;
        let (id, hex) = (id.trim(), hex.trim());
        let fits = (1..=KEY_ID_CHARS_MAX).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        ensure!(
            fits,
            "a key's id has 1 to {KEY_ID_CHARS_MAX} letters, digits, '-', '_' and '.'"
        );
        let key = bytes_of(hex).context("the key is not in hexadecimal")?;
        ensure!(
            (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()),
            "the key has {} bytes, and should have {KEY_BYTES_MIN} to {KEY_BYTES_MAX}: \
             `openssl rand -hex {KEY_BYTES_MIN}`",
            key.len()
        );
        let mac = Hmac::new_from_slice(&key).context("take the key")?;
        Ok(Self {
            id: id.to_owned(),
            mac,
        })
    }

    fn hash(&self, value: &[u8]) -> [u8; 32] {
        self.mac
            .clone()
            .chain_update(value)
            .finalize()
            .into_bytes()
            .into()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = std::iter::once(&self.current).chain(&self.older);
        f.debug_list().entries(ids.map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";
    const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn the_first_key_is_the_current_one_and_every_one_has_its_hash() {
        let text = format!("# rotated in November\n\n 2026-11 : {NEW} \n2025-07:{OLD}\n");
        let keys = Keys::parse(&text).unwrap();
        assert_eq!(keys.current_id(), "2026-11");
        // As `printf 203.0.113.7 | openssl dgst -sha256 -mac HMAC -macopt hexkey:…` says.
        let hashes: Vec<(&str, String)> = keys.hashes(b"203.0.113.7").collect();
        assert_eq!(
            hashes,
            [
                ("2026-11", HASH_NEW.to_owned()),
                ("2025-07", HASH_OLD.to_owned())
            ]
        );
        assert_eq!(
            keys.hash(b"203.0.113.7")[..2],
            bytes_of(HASH_NEW).unwrap()[..2]
        );
    }

    const HASH_NEW: &str = "cb909c2566f2858afd639c0219c05b20bf137e73a1088841d98f1e421e5bcb33";
    const HASH_OLD: &str = "9df8158b5794e6e827f0d42e6fcc4669d49d681d2e048553a0925e6e0a7507a0";

    #[test]
    fn what_is_no_key_is_refused_by_its_line_and_not_shown() {
        let short = &NEW[2..];
        let long = NEW.repeat(3);
        for (text, words) in [
            ("", "openssl rand"),
            ("# nothing", "openssl rand"),
            (NEW, "line 1: a key is written"),
            (&format!("a:{NEW}\nb:{NEW}x"), "line 2: the key is not in"),
            (&format!("a:{short}"), "line 1: the key has 31 bytes"),
            (&format!("a:{long}"), "line 1: the key has 96 bytes"),
            (&format!("a b:{NEW}"), "line 1: a key's id"),
            (&format!(":{NEW}"), "line 1: a key's id"),
            (&format!("a:{NEW}\na:{OLD}"), "line 2: its id"),
        ] {
            let error = format!("{:#}", Keys::parse(text).unwrap_err());
            assert!(error.contains(words), "{error}");
            assert!(!error.contains(short), "{error}");
        }
    }

    #[test]
    fn keys_are_not_shown() {
        let keys = Keys::parse(&format!("a:{NEW}\nb:{OLD}")).unwrap();
        assert_eq!(format!("{keys:?}"), r#"["a", "b"]"#);
    }
}
