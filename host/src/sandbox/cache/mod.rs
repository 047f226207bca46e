//! Compiled components, kept between runs: compiling takes from a second to
//! many, loading what was compiled takes milliseconds.
//!
//! What is loaded from here is run as native code, unverified by wasmtime. So
//! the folder must be the user's own and closed to everyone else, the folders
//! above it must be safe from everyone else, both at each use; and an entry
//! counts only where its checksum covers what it was compiled from, by which
//! wasmtime, with which settings and for which CPU. Anything else is compiled
//! anew and replaced. Whoever can write as the same user is not kept out: he
//! could change the program itself.

mod entry;
mod folder;

use std::fs::{DirBuilder, File};
use std::io::{Read, Seek};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use wasmtime::Engine;
use wasmtime::component::Component;

pub(super) use entry::Key;
use folder::Folder;

/// Entries that are kept; the oldest go first. A few components, each for a
/// few settings and versions of the host.
const ENTRIES_MAX: usize = 32;
/// The largest entry that is written or read: compiled code has about four
/// times the size of its component, which has 64 MiB at most.
pub(super) const ENTRY_MIB_MAX: u64 = 512;
const ENDING: &str = "cwasm";

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Who the host's user is in this file system, which alone can tell.
    owner: u32,
}

/// The cache during one use: its folder, opened and checked.
pub(super) struct OpenCache {
    folder: Folder,
    owner: u32,
}

impl Cache {
    /// The cache in a folder, which is created where it is missing.
    ///
    /// # Errors
    /// The folder cannot be created or written to, others may write to it or
    /// read it, or others may put another folder in its place.
    pub fn open(folder: &Path) -> Result<Self> {
        let opened = || -> Result<Self> {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(folder)?;
            let found = folder.symlink_metadata()?;
            let opened = Folder::open(folder, found.uid())?;
            // Whose files ours are, only the file system can tell.
            let probe = draft_name();
            let own = opened
                .create(&probe)
                .and_then(|file| Ok(file.metadata()?.uid()));
            opened.remove(probe.as_ref());
            let owner = own?;
            ensure!(found.uid() == owner, "it belongs to somebody else");
            Ok(Self {
                folder: folder.to_owned(),
                owner,
            })
        };
        opened().with_context(|| format!("use cache folder {}", folder.display()))
    }

    /// Opens the folder for one use.
    ///
    /// # Errors
    /// It is not what it was: gone, or open to others.
    pub(super) fn opened(&self) -> Result<OpenCache> {
        let folder = Folder::open(&self.folder, self.owner);
        Ok(OpenCache {
            folder: folder
                .with_context(|| format!("use cache folder {}", self.folder.display()))?,
            owner: self.owner,
        })
    }
}

impl OpenCache {
    /// The compiled component, if it is kept here and whole.
    ///
    /// # Errors
    /// What stands in its place is no file of this user alone.
    pub(super) fn load(&self, engine: &Engine, key: &Key) -> Result<Option<Component>> {
        let Some(file) = self.folder.entry(&entry_name(key), self.owner)? else {
            return Ok(None);
        };
        let entry = read(file)?;
        let code = key.code(&entry);
        Ok(code.and_then(|code| component(engine, code).ok()))
    }

    /// A new file for what is compiled, which becomes an entry once it is whole.
    ///
    /// # Errors
    /// The file system gives none.
    pub(super) fn draft(self) -> Result<Draft> {
        let name = draft_name();
        let file = self.folder.create(&name)?;
        Ok(Draft {
            file,
            place: Some((self, name)),
        })
    }

    /// Removes the oldest entries, and what a killed host left half written.
    fn prune(&self) -> Result<()> {
        let names = self.folder.names()?;
        let surplus = names.len().saturating_sub(ENTRIES_MAX);
        for name in names.into_iter().take(surplus) {
            self.folder.remove(&name);
        }
        Ok(())
    }
}

/// Where the compiler writes what it has compiled: a file of the cache, or one
/// in memory that has no name.
pub(super) struct Draft {
    file: File,
    place: Option<(OpenCache, String)>,
}

impl Draft {
    /// One that is not kept.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn in_memory() -> Result<Self> {
        let file = nameless().context("make a file in memory")?;
        Ok(Self { file, place: None })
    }

    /// Another handle of the file.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn file(&self) -> Result<File> {
        self.file.try_clone().context("duplicate a file handle")
    }

    /// The component whose code stands in it.
    ///
    /// # Errors
    /// It is not whole or not of this key, or the engine has no room for it.
    pub(super) fn component(&self, engine: &Engine, key: &Key) -> Result<Component> {
        let entry = read(self.file()?)?;
        let code = key.code(&entry);
        component(engine, code.context("the compiled code is not whole")?)
    }

    /// Makes it an entry. Where it is not kept, there is nothing to do.
    ///
    /// # Errors
    /// The file system refuses. Nothing depends on it.
    pub(super) fn keep(mut self, key: &Key) -> Result<()> {
        if let Some((cache, name)) = &self.place {
            cache.folder.rename(name, &entry_name(key))?;
            cache.prune()?;
            self.place = None;
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some((cache, name)) = &self.place {
            cache.folder.remove(name.as_ref());
        }
    }
}

#[cfg(target_os = "linux")]
fn nameless() -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(File::from(memfd_create("compiled", MemfdFlags::CLOEXEC)?))
}

#[cfg(not(target_os = "linux"))]
fn nameless() -> std::io::Result<File> {
    tempfile::tempfile()
}

/// All of a file, into memory that nobody else changes.
fn read(mut file: File) -> Result<Vec<u8>> {
    file.rewind()?;
    let bytes = file.metadata()?.len();
    ensure!(
        bytes <= ENTRY_MIB_MAX << 20,
        "the compiled code has more than {ENTRY_MIB_MAX} MiB"
    );
    let mut entry = Vec::with_capacity(usize::try_from(bytes)? + 1);
    file.take(bytes).read_to_end(&mut entry)?;
    Ok(entry)
}

/// The component of compiled code whose checksum is right.
fn component(engine: &Engine, code: &[u8]) -> Result<Component> {
    // SAFETY: the bytes are what `Engine::precompile_component` gave for this
    // very component, engine and CPU: the checksum covers both, and nobody but
    // this user can have written the file that they were read from, as its open
    // handle says. They are a copy in memory, which nobody changes between the
    // check and the use.
    #[allow(unsafe_code)]
    let component = unsafe { Component::deserialize(engine, code) };
    component.map_err(super::component::told)
}

fn entry_name(key: &Key) -> String {
    format!("{}.{ENDING}", key.name())
}

fn draft_name() -> String {
    format!("{:032x}.new", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::sandbox::component::Digest;
    use crate::sandbox::engine::{Instructions, compiling};

    /// A folder of a test's own, removed at its end.
    struct Home(PathBuf);

    impl Home {
        fn new() -> Self {
            let name = format!("etl-host-cache-{:x}", rand::random::<u64>());
            let home = std::env::temp_dir().join(name);
            fs::create_dir(&home).unwrap();
            fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
            Self(home)
        }

        fn folder(&self, name: &str, mode: u32) -> PathBuf {
            let folder = self.0.join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            folder
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn refusal<T>(opened: Result<T>) -> String {
        format!("{:#}", opened.err().expect("it is refused"))
    }

    /// An empty component's code, kept under this key.
    fn keep(cache: &Cache) -> (Engine, Key) {
        let component = b"\0asm\x0d\0\x01\0";
        let engine = compiling(Instructions::Uncounted).unwrap();
        let key = Key::new(&engine, &Digest::of(component));
        let code = engine.precompile_component(component).unwrap();
        let draft = cache.opened().unwrap().draft().unwrap();
        let mut file = draft.file().unwrap();
        file.write_all(&[key.head(&code), code].concat()).unwrap();
        draft.component(&engine, &key).unwrap();
        draft.keep(&key).unwrap();
        (engine, key)
    }

    #[test]
    fn what_is_kept_is_loaded_and_a_draft_that_is_not_kept_goes() {
        let home = Home::new();
        let cache = Cache::open(&home.0).unwrap();
        let (engine, key) = keep(&cache);
        let opened = cache.opened().unwrap();
        assert!(opened.load(&engine, &key).unwrap().is_some());
        drop(cache.opened().unwrap().draft().unwrap());
        assert_eq!(opened.folder.names().unwrap().len(), 1);
    }

    #[test]
    fn an_entry_that_others_could_have_made_is_refused() {
        let home = Home::new();
        let cache = Cache::open(&home.0).unwrap();
        let (engine, key) = keep(&cache);
        let entry = home.0.join(entry_name(&key));
        let load = || cache.opened().unwrap().load(&engine, &key);

        fs::set_permissions(&entry, Permissions::from_mode(0o640)).unwrap();
        assert!(refusal(load()).contains("mode 640"));
        fs::set_permissions(&entry, Permissions::from_mode(0o600)).unwrap();
        assert!(load().unwrap().is_some());

        let other = home.0.join("other");
        fs::hard_link(&entry, &other).unwrap();
        assert!(refusal(load()).contains("another name"));
        fs::remove_file(&entry).unwrap();
        symlink(&other, &entry).unwrap();
        assert!(refusal(load()).contains("a link"));
        fs::remove_file(&entry).unwrap();
        fs::create_dir(&entry).unwrap();
        assert!(refusal(load()).contains("no plain file"));
        fs::remove_dir(&entry).unwrap();
        assert!(load().unwrap().is_none());

        let stranger = OpenCache {
            folder: Folder::open(&home.0, cache.owner).unwrap(),
            owner: cache.owner + 1,
        };
        fs::rename(&other, &entry).unwrap();
        assert!(refusal(stranger.load(&engine, &key)).contains("somebody else"));
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let home = Home::new();
        let cache = Cache::open(&home.0).unwrap();
        let names: Vec<PathBuf> = (0..ENTRIES_MAX + 3)
            .map(|n| home.0.join(format!("{n}.{ENDING}")))
            .collect();
        for (name, secs) in names.iter().zip(1..) {
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
            File::create(name).unwrap().set_modified(modified).unwrap();
        }
        cache.opened().unwrap().prune().unwrap();
        let left: Vec<bool> = names.iter().map(|name| name.exists()).collect();
        assert_eq!(left[..3], [false; 3]);
        assert!(left[3..].iter().all(|left| *left));
    }

    #[test]
    fn a_folder_that_others_may_use_is_refused() {
        let home = Home::new();
        for mode in [0o755, 0o710, 0o702] {
            let folder = home.folder("open", mode);
            assert!(refusal(Cache::open(&folder)).contains("chmod 700"));
        }
    }

    #[test]
    fn a_folder_below_one_that_others_may_change_is_refused() {
        let home = Home::new();
        let above = home.folder("above", 0o700);
        let folder = home.folder("above/between/cache", 0o700);
        for (mode, kept) in [
            (0o755, true),
            (0o711, true),
            (0o775, false),
            (0o757, false),
            (0o1777, true),
        ] {
            fs::set_permissions(&above, Permissions::from_mode(mode)).unwrap();
            let opened = Cache::open(&folder);
            assert_eq!(opened.is_ok(), kept, "mode {mode:o}");
            if !kept {
                let refusal = refusal(opened);
                assert!(refusal.contains("chmod go-w"), "{refusal}");
                assert!(refusal.contains("above it"), "{refusal}");
            }
        }
    }

    #[test]
    fn a_folder_below_somebody_elses_is_refused() {
        let home = Home::new();
        let folder = home.folder("between/cache", 0o700);
        let owner = fs::metadata(&folder).unwrap().uid();
        assert!(Folder::open(&folder, owner).is_ok());
        // To another user, this user is somebody else; whose the root's
        // folders are, everybody accepts.
        assert!(refusal(Folder::open(&folder, owner + 1)).contains("somebody else"));
    }

    #[test]
    fn a_link_is_no_folder_and_one_above_is_followed_and_checked() {
        let home = Home::new();
        let folder = home.folder("real/cache", 0o700);
        let link = home.0.join("link");
        symlink(&folder, &link).unwrap();
        assert!(refusal(Cache::open(&link)).contains("link"));
        symlink(home.0.join("real"), home.0.join("above")).unwrap();
        let through = home.0.join("above/cache");
        assert!(Cache::open(&through).is_ok());
        home.folder("real", 0o777);
        assert!(Cache::open(&through).is_err());
    }

    #[test]
    fn a_folder_that_is_swapped_after_the_start_is_refused_at_the_next_use() {
        let home = Home::new();
        let folder = home.folder("cache", 0o700);
        let cache = Cache::open(&folder).unwrap();
        keep(&cache);
        assert!(cache.opened().is_ok());

        fs::set_permissions(&folder, Permissions::from_mode(0o750)).unwrap();
        assert!(refusal(cache.opened()).contains("chmod 700"));
        let away = home.0.join("away");
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        fs::rename(&folder, &away).unwrap();
        assert!(cache.opened().is_err());
        symlink(&away, &folder).unwrap();
        assert!(refusal(cache.opened()).contains("link"));
    }
}
