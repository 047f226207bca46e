//! Builds the transform components that are committed beside their sources in
//! `guests/`, and in `tests/guests/` those that tests need, the same bytes on
//! every machine: whoever doubts one rebuilds it and compares.
//!
//! A guest is compiled to a core module by cargo (`compile`), which becomes a
//! component and is held against the world it claims (`encode`).

mod compile;
mod encode;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The guests, each a package and a folder of this name.
pub const GUESTS: [Guest; 7] = [
    Guest {
        name: "sha256_mask",
        runtime: Runtime::None { world: "transform" },
        folder: "guests",
    },
    Guest {
        name: "hmac_mask",
        runtime: Runtime::None {
            world: "keyed-transform",
        },
        folder: "guests",
    },
    Guest {
        name: "truncate_mask",
        runtime: Runtime::None { world: "transform" },
        folder: "guests",
    },
    Guest {
        name: "rule_mask",
        runtime: Runtime::None { world: "transform" },
        folder: "guests",
    },
    Guest {
        name: "keyed_rule_mask",
        runtime: Runtime::None {
            world: "keyed-transform",
        },
        folder: "guests",
    },
    // Not for users: it breaks each rule on request.
    Guest {
        name: "misbehave",
        runtime: Runtime::None { world: "transform" },
        folder: "tests/guests",
    },
    // Not for users: it uses its WASI on request.
    Guest {
        name: "with_wasi",
        runtime: Runtime::Std,
        folder: "tests/guests",
    },
];

/// A guest, and where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The name of its package, its folder and its file.
    pub name: &'static str,
    /// What it is built on.
    pub runtime: Runtime,
    /// The folder of its source and of its file, from the repository's root.
    pub folder: &'static str,
}

/// What a guest is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// `core` and `alloc` alone.
    None {
        /// The world that it is held against: it imports what that has and no
        /// more.
        world: &'static str,
    },
    /// Rust's `std`, which imports a WASI that no world in `wit/` has.
    Std,
}

impl Guest {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.wasm", self.name)
    }

    /// The folder of its committed file.
    #[must_use]
    pub fn committed(&self) -> PathBuf {
        workspace().join(self.folder)
    }
}

/// A component as the source builds it.
pub struct Component {
    /// The guest it is built from.
    pub guest: Guest,
    /// The bytes of the `.wasm` file.
    pub bytes: Vec<u8>,
}

impl Component {
    /// Builds a guest.
    ///
    /// # Errors
    /// The toolchain is another than the pinned one, the guest does not
    /// compile, or what comes out is no component of its world.
    pub fn build(guest: Guest) -> Result<Self> {
        Self::build_in(&workspace(), guest)
    }

    /// The same from a workspace that is a copy of this one.
    ///
    /// # Errors
    /// As [`Component::build`].
    pub fn build_in(workspace: &Path, guest: Guest) -> Result<Self> {
        let name = guest.name;
        let module = compile::core_module(workspace, guest)
            .with_context(|| format!("compile guest {name}"))?;
        let bytes = encode::component(&module, guest.runtime)
            .with_context(|| format!("encode guest {name}"))?;
        Ok(Self { guest, bytes })
    }

    /// Writes it into a folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(self.guest.file_name());
        fs::write(&path, &self.bytes).with_context(|| format!("write {}", path.display()))
    }

    /// Whether a folder holds exactly these bytes.
    pub fn is_in(&self, folder: &Path) -> bool {
        fs::read(folder.join(self.guest.file_name())).is_ok_and(|bytes| bytes == self.bytes)
    }

    /// One line for a person: guest, size in bytes, SHA-256.
    pub fn summary(&self) -> String {
        let digest = Sha256::digest(&self.bytes);
        format!(
            "{:<16} {:>7} bytes  sha256 {digest:x}",
            self.guest.name,
            self.bytes.len()
        )
    }
}

/// The root of the workspace, two folders above this package.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map_or_else(PathBuf::new, Path::to_path_buf)
}
