//! An entry of the cache: what compiled code is kept under, and how it is told
//! from anything else.

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use crate::sandbox::component::Digest;

/// What every entry begins with; another layout gets another number.
const FORMAT: &[u8; 16] = b"etl-host cache 1";
const CHECKSUM_BYTES: usize = 32;

/// What code was compiled from: which component, by which wasmtime, with which
/// settings and for which CPU.
pub(in crate::sandbox) struct Key([u8; 32]);

impl Key {
    pub(in crate::sandbox) fn new(engine: &Engine, digest: &Digest) -> Self {
        let mut hasher = Sha(Sha256::new());
        hasher.0.update(FORMAT);
        hasher.0.update(digest.0);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.0.finalize().into())
    }

    /// What stands in an entry before the code.
    pub(in crate::sandbox) fn head(&self, code: &[u8]) -> Vec<u8> {
        [&FORMAT[..], &self.checksum(code)].concat()
    }

    /// What an entry holds, where it is whole and of this key.
    pub(super) fn code<'a>(&self, entry: &'a [u8]) -> Option<&'a [u8]> {
        let (checksum, code) = entry
            .strip_prefix(FORMAT)?
            .split_first_chunk::<CHECKSUM_BYTES>()?;
        (*checksum == self.checksum(code)).then_some(code)
    }

    /// The name of its entry, without an ending.
    pub(super) fn name(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn checksum(&self, code: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let hash = Sha256::new().chain_update(self.0).chain_update(code);
        hash.finalize().into()
    }
}

/// SHA-256 as a hasher: its own result, of 64 bits, is not used.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_whole_and_of_its_key_or_nothing() {
        let (key, other) = (Key([1; 32]), Key([2; 32]));
        let entry = [&key.head(b"code")[..], b"code"].concat();
        assert_eq!(key.code(&entry), Some(&b"code"[..]));
        assert_eq!(other.code(&entry), None);
        for length in 0..entry.len() {
            assert_eq!(key.code(&entry[..length]), None, "{length} bytes");
        }
        for position in 0..entry.len() {
            let mut poisoned = entry.clone();
            poisoned[position] ^= 1;
            assert_eq!(key.code(&poisoned), None, "byte {position}");
        }
    }

    #[test]
    fn a_key_is_of_one_component_and_one_kind_of_engine() {
        let key = |config: &wasmtime::Config, digest: u8| {
            let engine = Engine::new(config).unwrap();
            Key::new(&engine, &Digest([digest; 32])).0
        };
        let (plain, mut interrupted) = (wasmtime::Config::new(), wasmtime::Config::new());
        interrupted.epoch_interruption(true);
        assert_eq!(key(&plain, 1), key(&plain, 1));
        assert_ne!(key(&plain, 1), key(&plain, 2));
        assert_ne!(key(&plain, 1), key(&interrupted, 1));
    }
}
