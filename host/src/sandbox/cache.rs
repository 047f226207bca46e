//! Compiled components, kept between runs: compiling takes from a second to
//! many, loading what was compiled takes milliseconds.
//!
//! What is loaded from here is run as native code, unverified by wasmtime. So
//! the folder must be the user's own and closed to everyone else, and an entry
//! counts only where its checksum covers what it was compiled from, by which
//! wasmtime, with which settings and for which CPU. Anything else is compiled
//! anew and replaced. Whoever can write as the same user is not kept out: he
//! could change the program itself.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::component::Digest;

/// What every entry begins with; another layout gets another number.
const FORMAT: &[u8; 16] = b"etl-host cache 1";
const CHECKSUM_BYTES: usize = 32;
/// Entries that are kept; the oldest go first. A few components, each for a
/// few settings and versions of the host.
const ENTRIES_MAX: usize = 32;
/// The largest entry that is read: compiled code has about four times the size
/// of its component, which has 64 MiB at most.
const ENTRY_MIB_MAX: u64 = 512;
const ENDING: &str = "cwasm";
/// Everyone else's permissions.
const OTHERS: u32 = 0o077;

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// Under what a component's compiled code is kept.
struct Key([u8; 32]);

impl Cache {
    /// The cache in a folder, which is created where it is missing.
    ///
    /// # Errors
    /// The folder cannot be created or written to, or others may write to it
    /// or read it.
    pub fn open(folder: &Path) -> Result<Self> {
        let cache = Self {
            folder: folder.to_owned(),
        };
        let opened = || -> Result<()> {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(folder)?;
            let found = fs::symlink_metadata(folder)?;
            ensure!(found.is_dir(), "it is no folder");
            ensure!(
                found.mode() & OTHERS == 0,
                "others may use it (mode {:o}): chmod 700",
                found.mode() & 0o777
            );
            // Whose files ours are, only the file system can tell.
            let (probe, file) = cache.new_file()?;
            let own = file.metadata()?.uid();
            fs::remove_file(probe)?;
            ensure!(found.uid() == own, "it belongs to somebody else");
            Ok(())
        };
        opened().with_context(|| format!("use cache folder {}", folder.display()))?;
        Ok(cache)
    }

    /// The compiled component, if it is kept here and whole.
    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let key = Key::new(engine, digest);
        let mut entry = Vec::new();
        let file = File::open(self.path(&key)).ok()?;
        let mut file = file.take(ENTRY_MIB_MAX << 20);
        file.read_to_end(&mut entry).ok()?;
        let code = code(&entry, &key)?;
        // SAFETY: the bytes are what `Component::serialize` gave for this very
        // component, engine and CPU: the checksum covers both, and nobody but
        // this user can have put them into the folder. They are a copy in
        // memory, which nobody changes between the check and the use.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, code) };
        component.ok()
    }

    /// Keeps a compiled component.
    ///
    /// # Errors
    /// It cannot be written. Nothing depends on it.
    pub(super) fn keep(
        &self,
        engine: &Engine,
        digest: &Digest,
        component: &Component,
    ) -> Result<()> {
        let key = Key::new(engine, digest);
        let code = component.serialize().map_err(super::component::told)?;
        let (path, mut file) = self.new_file()?;
        let written = file
            .write_all(FORMAT)
            .and_then(|()| file.write_all(&key.checksum(&code)))
            .and_then(|()| file.write_all(&code))
            // Under its name only once it is whole.
            .and_then(|()| fs::rename(&path, self.path(&key)));
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.context("write a compiled component")?;
        self.prune()
    }

    /// A new file in the folder that nobody else can open.
    fn new_file(&self) -> Result<(PathBuf, File)> {
        let name = format!("{:032x}.new", rand::random::<u128>());
        let path = self.folder.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok((path, file))
    }

    fn path(&self, key: &Key) -> PathBuf {
        let name: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name).with_extension(ENDING)
    }

    /// Removes the oldest entries, and what a killed host left half written.
    fn prune(&self) -> Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            // Another host may have removed it meanwhile.
            if let Ok(modified) = file.metadata().and_then(|found| found.modified()) {
                files.push((modified, file.path()));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(ENTRIES_MAX);
        for (_, path) in files.into_iter().take(surplus) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }
}

impl Key {
    fn new(engine: &Engine, digest: &Digest) -> Self {
        let mut hasher = Sha(Sha256::new());
        hasher.0.update(FORMAT);
        hasher.0.update(digest.0);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.0.finalize().into())
    }

    fn checksum(&self, code: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let hash = Sha256::new().chain_update(self.0).chain_update(code);
        hash.finalize().into()
    }
}

/// What an entry holds, where it is whole and of this key.
fn code<'a>(entry: &'a [u8], key: &Key) -> Option<&'a [u8]> {
    let (checksum, code) = entry
        .strip_prefix(FORMAT)?
        .split_first_chunk::<CHECKSUM_BYTES>()?;
    (*checksum == key.checksum(code)).then_some(code)
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
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("etl-host-cache-{name}-{:x}", rand::random::<u64>()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    #[test]
    fn an_entry_is_whole_and_of_its_key_or_nothing() {
        let (key, other) = (Key([1; 32]), Key([2; 32]));
        let entry = [&FORMAT[..], &key.checksum(b"code"), b"code"].concat();
        assert_eq!(code(&entry, &key), Some(&b"code"[..]));
        assert_eq!(code(&entry, &other), None);
        for length in 0..entry.len() {
            assert_eq!(code(&entry[..length], &key), None, "{length} bytes");
        }
        for position in 0..entry.len() {
            let mut poisoned = entry.clone();
            poisoned[position] ^= 1;
            assert_eq!(code(&poisoned, &key), None, "byte {position}");
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

    #[test]
    fn the_oldest_entries_go_first() {
        let folder = folder("prune");
        let cache = Cache::open(&folder).unwrap();
        let names: Vec<PathBuf> = (0..ENTRIES_MAX + 3)
            .map(|n| folder.join(format!("{n}.{ENDING}")))
            .collect();
        for (name, secs) in names.iter().zip(1..) {
            let modified = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(secs);
            File::create(name).unwrap().set_modified(modified).unwrap();
        }
        cache.prune().unwrap();
        let left: Vec<bool> = names.iter().map(|name| name.exists()).collect();
        assert_eq!(left[..3], [false; 3]);
        assert!(left[3..].iter().all(|left| *left));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_use_is_refused() {
        for mode in [0o755, 0o710, 0o702] {
            let folder = folder("open");
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            let error = Cache::open(&folder).unwrap_err();
            assert!(format!("{error:#}").contains("chmod 700"), "{error:#}");
            fs::remove_dir(folder).unwrap();
        }
    }

    #[test]
    fn a_link_is_no_folder() {
        let folder = folder("linked");
        let link = folder.join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(Cache::open(&link).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
