//! The file of the keys: who else may read it, or change it.
//!
//! A key that others know hides nothing. So the file is opened once, through
//! all links, and what was opened is what is checked and read:
//!
//! - everybody else may do nothing with it, and its group may not write to it;
//! - its group may read it where that is how it is shared: where root owns it,
//!   as the files of a Kubernetes secret, or where another user does who is of
//!   a group with this one;
//! - no folder that holds it, by its name or behind its links, can be written
//!   to by everybody, unless only owners replace files there (`/tmp`).
//!
//! A pipe will do too, as a shell's `<(…)` makes one.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::{getegid, geteuid, getgroups};

/// The most that is read of it, in bytes: a thousand keys with long ids.
const FILE_KIB_MAX: u64 = 256;
/// What nobody but the owner may do, whoever he is.
const NEVER_OTHERS: u32 = 0o037;
/// That its group may read it.
const GROUP_READS: u32 = 0o040;
/// That everybody may change a folder.
const EVERYBODY_WRITES: u32 = 0o002;
/// That in a folder only an entry's owner renames or removes the entry.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// The text of a key file.
///
/// # Errors
/// It cannot be read, or others may read or change it: with the remedy.
pub(super) fn read(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let found = file.metadata()?;
    let kind = found.file_type();
    ensure!(
        kind.is_file() || kind.is_fifo(),
        "it is neither a plain file nor a pipe"
    );
    ensure_private(&found, &User::this())?;
    if kind.is_file() {
        ensure_kept(path)?;
    }
    let mut text = String::new();
    let read = file
        .by_ref()
        .take((FILE_KIB_MAX << 10) + 1)
        .read_to_string(&mut text)?;
    ensure!(
        read as u64 <= FILE_KIB_MAX << 10,
        "it has more than {FILE_KIB_MAX} KiB"
    );
    Ok(text)
}

/// Who reads the file.
struct User {
    id: u32,
    groups: Vec<u32>,
}

impl User {
    fn this() -> Self {
        // What cannot be listed, nothing is accepted for.
        let mut groups = getgroups().unwrap_or_default();
        groups.push(getegid());
        Self {
            id: geteuid().as_raw(),
            groups: groups
                .into_iter()
                .map(rustix::process::Gid::as_raw)
                .collect(),
        }
    }

    /// Whether the group of a file is how its owner shares it with this user.
    fn shares(&self, owner: u32, group: u32) -> bool {
        owner == ROOT || (owner != self.id && self.groups.contains(&group))
    }
}

fn ensure_private(found: &Metadata, user: &User) -> Result<()> {
    ensure!(
        is_private((found.uid(), found.gid()), found.mode(), user),
        "others may read or change it (mode {:o}): chmod 600 it; in a Kubernetes secret's volume \
         set defaultMode: 0400, and fsGroup where the host is not root",
        found.mode() & 0o777
    );
    Ok(())
}

fn is_private((owner, group): (u32, u32), mode: u32, user: &User) -> bool {
    mode & NEVER_OTHERS == 0 && (mode & GROUP_READS == 0 || user.shares(owner, group))
}

/// Refuses a file in whose place everybody could put another one.
fn ensure_kept(path: &Path) -> Result<()> {
    let real = fs::canonicalize(path)?;
    for file in [path, &real] {
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mode = fs::metadata(folder).context("look at its folder")?.mode();
        ensure!(
            mode & EVERYBODY_WRITES == 0 || mode & STICKY != 0,
            "everybody may put another file in its place (mode {:o} of {}): chmod o-w the folder",
            mode & 0o7777,
            folder.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Home(PathBuf);

    impl Home {
        fn new() -> Self {
            let name = format!("etl-host-keys-{:x}", rand::random::<u64>());
            let home = std::env::temp_dir().join(name);
            fs::create_dir(&home).unwrap();
            Self(home)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "key").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn refusal(path: &Path) -> String {
        format!("{:#}", read(path).expect_err("it is refused"))
    }

    #[test]
    fn who_shares_a_key_by_a_group_is_root_or_somebody_else() {
        const ME: u32 = 1000;
        const OTHER: u32 = 100;
        const OURS: u32 = 2000;
        const THEIRS: u32 = 3000;
        let me = User {
            id: ME,
            groups: vec![OURS, ME],
        };
        for (owner, group, mode, private) in [
            (ME, ME, 0o100_600, true),
            (ME, ME, 0o100_400, true),
            (ME, ME, 0o100_640, false),
            (ME, OURS, 0o100_440, false),
            (ME, ME, 0o100_604, false),
            (ME, ME, 0o100_602, false),
            (ME, ME, 0o100_601, false),
            // A secret of Kubernetes, by default and as it should be.
            (ROOT, OURS, 0o100_644, false),
            (ROOT, OURS, 0o100_440, true),
            (ROOT, OURS, 0o100_640, true),
            (ROOT, OURS, 0o100_660, false),
            (ROOT, OURS, 0o100_650, false),
            // What an agent writes for this user to read.
            (OTHER, OURS, 0o100_640, true),
            (OTHER, THEIRS, 0o100_640, false),
            (OTHER, OURS, 0o100_644, false),
        ] {
            let found = is_private((owner, group), mode, &me);
            assert_eq!(found, private, "{owner} {group} {mode:o}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_or_change_is_refused_behind_any_link() {
        let home = Home::new();
        for mode in [0o600, 0o400] {
            assert_eq!(read(&home.file("private", mode)).unwrap(), "key");
        }
        for mode in [0o644, 0o604, 0o606, 0o620, 0o622, 0o666, 0o777] {
            let file = home.file("open", mode);
            let link = home.0.join("link");
            let _ = fs::remove_file(&link);
            symlink(&file, &link).unwrap();
            for path in [file, link] {
                let refusal = refusal(&path);
                assert!(refusal.contains("chmod 600"), "{mode:o}: {refusal}");
                assert!(refusal.contains(&format!("{mode:o}")), "{refusal}");
            }
        }
    }

    #[test]
    fn a_secret_of_kubernetes_is_read_through_its_links() {
        let home = Home::new();
        home.file("..2026_11_30/keys", 0o400);
        symlink("..2026_11_30", home.0.join("..data")).unwrap();
        symlink("..data/keys", home.0.join("keys")).unwrap();
        assert_eq!(read(&home.0.join("keys")).unwrap(), "key");
        // As the volume is mounted.
        fs::set_permissions(&home.0, Permissions::from_mode(0o3777)).unwrap();
        assert_eq!(read(&home.0.join("keys")).unwrap(), "key");
        home.file("..2026_11_30/keys", 0o644);
        assert!(refusal(&home.0.join("keys")).contains("defaultMode: 0400"));
    }

    #[test]
    fn a_file_that_everybody_can_replace_is_refused() {
        let home = Home::new();
        let file = home.file("below/keys", 0o600);
        symlink(&file, home.0.join("link")).unwrap();
        let below = home.0.join("below");
        for (mode, kept) in [(0o777, false), (0o1777, true), (0o775, true)] {
            fs::set_permissions(&below, Permissions::from_mode(mode)).unwrap();
            for path in [&file, &home.0.join("link")] {
                assert_eq!(read(path).is_ok(), kept, "{mode:o}");
            }
        }
        fs::set_permissions(&home.0, Permissions::from_mode(0o777)).unwrap();
        assert!(refusal(&home.0.join("link")).contains("chmod o-w"));
        assert!(read(&file).is_ok());
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let home = Home::new();
        assert!(refusal(&home.0).contains("neither"));
        assert!(refusal(Path::new("/dev/null")).contains("neither"));
        let file = home.file("large", 0o600);
        fs::write(&file, "#".repeat((FILE_KIB_MAX << 10) as usize + 1)).unwrap();
        assert!(refusal(&file).contains("256 KiB"));
    }
}
