//! The folder of the cache, by an open handle.
//!
//! A check by name says nothing of what the same name means a moment later. So
//! the folder is opened once for each use, from the root downwards and without
//! following a link; what was opened is what is checked, and its entries are
//! opened from it and checked likewise.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, open, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

/// The permissions of a file's group, and of everyone else.
const OTHERS: u32 = 0o077;
/// The permission to write, of the group and of everyone else.
const OTHERS_WRITE: u32 = 0o022;
/// In such a folder only an entry's owner renames or removes the entry.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// To open a folder that is passed through: no permission to list it is needed.
#[cfg(target_os = "linux")]
const PASSED: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PASSED: OFlags = OFlags::RDONLY;

/// A folder that is its user's alone, in folders that nobody else can change.
pub(super) struct Folder(File);

impl Folder {
    /// Opens a folder. `owner` is its user, as the file system knows him.
    ///
    /// # Errors
    /// It is none, is somebody else's, or others may use it or change a folder
    /// above it. The message has the remedy.
    pub(super) fn open(path: &Path, owner: u32) -> Result<Self> {
        let (above, name) = split(path)?;
        let mut reached = PathBuf::from("/");
        let mut folder = File::from(open("/", folder_flags(PASSED), Mode::empty())?);
        for part in above.components() {
            let Component::Normal(part) = part else {
                continue;
            };
            folder = entered(&folder, part, PASSED, &reached)?;
            reached.push(part);
            ensure_kept(&folder.metadata()?, owner, &reached)?;
        }
        let folder = entered(&folder, &name, OFlags::RDONLY, &reached)?;
        let found = folder.metadata()?;
        ensure!(
            found.mode() & OTHERS == 0,
            "others may use it (mode {:o}): chmod 700",
            permissions(&found)
        );
        ensure!(found.uid() == owner, "it belongs to somebody else");
        Ok(Self(folder))
    }

    /// An entry, open for reading; None where there is none of this name.
    ///
    /// # Errors
    /// It is no plain file of this user alone.
    pub(super) fn entry(&self, name: &str, owner: u32) -> Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let entry = match openat(&self.0, name, flags, Mode::empty()) {
            Ok(entry) => File::from(entry),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => bail!("its entry is a link"),
            Err(error) => return Err(error).context("open its entry"),
        };
        let found = entry.metadata()?;
        ensure!(found.is_file(), "its entry is no plain file");
        ensure!(found.uid() == owner, "its entry belongs to somebody else");
        ensure!(
            found.mode() & OTHERS == 0,
            "others may use its entry (mode {:o})",
            permissions(&found)
        );
        ensure!(found.nlink() == 1, "its entry has another name elsewhere");
        Ok(Some(entry))
    }

    /// A new file that nobody else can open, for writing and reading.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn create(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = openat(
            &self.0,
            name,
            flags | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        );
        Ok(File::from(file.context("make a file in it")?))
    }

    /// Gives a file another name, which takes the place of an older one.
    ///
    /// # Errors
    /// The file system refuses.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<()> {
        renameat(&self.0, from, &self.0, to).context("rename a file in it")
    }

    /// Removes a file. That it is gone already is as good.
    pub(super) fn remove(&self, name: &OsStr) {
        let _ = unlinkat(&self.0, name, AtFlags::empty());
    }

    /// The names of what it holds; what was changed longest ago comes first.
    ///
    /// # Errors
    /// It cannot be listed.
    pub(super) fn names(&self) -> Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            // Another host may have removed it meanwhile.
            if let Ok(found) = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
                let changed = (found.st_mtime, found.st_mtime_nsec);
                names.push((changed, name.to_owned()));
            }
        }
        names.sort();
        Ok(names.into_iter().map(|(_, name)| name).collect())
    }
}

/// The folder above, through all links, and the name in it.
fn split(path: &Path) -> Result<(PathBuf, OsString)> {
    let (above, name) = match (path.parent(), path.file_name()) {
        (Some(above), Some(name)) if above.as_os_str().is_empty() => {
            (fs::canonicalize(".")?, name.to_owned())
        }
        (Some(above), Some(name)) => (fs::canonicalize(above)?, name.to_owned()),
        // It ends in `.` or `..`.
        _ => {
            let path = fs::canonicalize(path)?;
            let name = path.file_name().context("it is the root of all folders")?;
            let above = path.parent().unwrap_or(Path::new("/"));
            (above.to_owned(), name.to_owned())
        }
    };
    Ok((above, name))
}

fn folder_flags(access: OFlags) -> OFlags {
    access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn entered(folder: &File, name: &OsStr, access: OFlags, reached: &Path) -> Result<File> {
    match openat(folder, name, folder_flags(access), Mode::empty()) {
        Ok(entered) => Ok(File::from(entered)),
        Err(Errno::LOOP | Errno::NOTDIR) => bail!("it is no folder, but a file or a link"),
        Err(error) => {
            let what = || format!("open {}", reached.join(name).display());
            Err(error).with_context(what)
        }
    }
}

/// Refuses a folder above in which somebody else could put another folder in
/// the place of one that is passed through.
fn ensure_kept(found: &Metadata, owner: u32, path: &Path) -> Result<()> {
    let mode = found.mode();
    let path = path.display();
    ensure!(
        [ROOT, owner].contains(&found.uid()),
        "{path} above it belongs to somebody else: choose another folder"
    );
    ensure!(
        mode & OTHERS_WRITE == 0 || mode & STICKY != 0,
        "others may change {path} above it (mode {:o}): chmod go-w {path}, or choose another \
         folder",
        permissions(found)
    );
    Ok(())
}

fn permissions(found: &Metadata) -> u32 {
    found.mode() & 0o7777
}
