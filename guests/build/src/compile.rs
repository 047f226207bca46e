//! From a guest's source to a core module. Everything that could make the bytes
//! differ between two machines is settled here: the toolchain, the flags, the
//! paths that the compiler writes into panic messages, the environment.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{Guest, Runtime};

const TARGET: &str = "wasm32-unknown-unknown";
const TARGET_STD: &str = "wasm32-wasip2";

/// The profile in the workspace's `Cargo.toml`.
const PROFILE: &str = "guest";

/// The stack of a guest, in bytes. It lies below the data in memory, and the
/// host keeps only so much of an instance's memory warm: Rust's 1 MiB would be
/// cleared anew for each instance. An overflow runs below address 0 and traps.
const STACK_BYTES: u32 = 16 * 1024;

/// The memory that an instance begins with, in bytes: what a batch of some
/// hundred messages takes. To grow costs a system call, for each instance anew;
/// pages that nobody touches cost nothing.
const MEMORY_BYTES: u32 = 1024 * 1024;

/// Vectors of 128 bits, which every runtime of the component model has.
const FEATURES: &str = "+simd128";

/// Compiles a guest.
///
/// Each is compiled by itself: in one build with others, cargo would give it
/// the features that they want of a dependency they share.
pub fn core_module(workspace: &Path, guest: Guest) -> Result<Vec<u8>> {
    let (target, flags) = match guest.runtime {
        Runtime::None { .. } => {
            let features = format!("-Ctarget-feature={FEATURES}");
            let stack = format!("-Clink-arg=-zstack-size={STACK_BYTES}");
            let memory = format!("-Clink-arg=--initial-memory={MEMORY_BYTES}");
            (TARGET, vec![features, stack, memory])
        }
        // `encode` makes components of all guests alike, not the linker of one.
        Runtime::Std => {
            let linker = "-Clink-arg=--skip-wit-component".to_owned();
            (TARGET_STD, vec![linker])
        }
    };
    let rustc = Rustc::ask(workspace)?;
    rustc.ensure_pinned(workspace)?;

    let target_folder = workspace.join("target/guests");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace)
        .args(["build", "--quiet", "--locked", "--package", guest.name])
        .args(["--profile", PROFILE, "--target", target])
        .arg("--target-dir")
        .arg(&target_folder);
    for (name, _) in env::vars_os() {
        if changes_the_build(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    let flags = rustc.flags(workspace, flags)?;
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);

    let status = cargo.status().context("start cargo")?;
    ensure!(status.success(), "cargo build: {status}");
    let path = target_folder
        .join(target)
        .join(PROFILE)
        .join(guest.file_name());
    fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// Whether an environment variable overrides the profile or the target that the
/// bytes are promised for.
fn changes_the_build(variable: &str) -> bool {
    let prefixes = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"];
    prefixes.iter().any(|prefix| variable.starts_with(prefix))
        || ["RUSTFLAGS", "CARGO_INCREMENTAL"].contains(&variable)
}

/// The compiler that cargo is going to run.
struct Rustc {
    release: String,
    commit: String,
    sysroot: PathBuf,
}

impl Rustc {
    fn ask(workspace: &Path) -> Result<Self> {
        let version = run_rustc(workspace, &["--version", "--verbose"])?;
        let line = |name: &str| {
            version
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::to_owned)
                .with_context(|| format!("find {name:?} in the words of rustc --version"))
        };
        Ok(Self {
            release: line("release: ")?,
            commit: line("commit-hash: ")?,
            sysroot: PathBuf::from(run_rustc(workspace, &["--print", "sysroot"])?.trim_end()),
        })
    }

    /// Another compiler gives other bytes, and nobody would see why.
    fn ensure_pinned(&self, workspace: &Path) -> Result<()> {
        let file = fs::read_to_string(workspace.join("rust-toolchain.toml"))
            .context("read rust-toolchain.toml")?;
        let Some(pinned) = file
            .lines()
            .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
        else {
            bail!("find the channel in rust-toolchain.toml");
        };
        ensure!(
            self.release == pinned,
            "the components are built with Rust {pinned} and this is {}: use rustup, which \
             follows rust-toolchain.toml",
            self.release
        );
        Ok(())
    }

    /// The flags, in cargo's encoding, with a guest's own. No path of this
    /// machine gets into the bytes: of several that match, rustc takes the last.
    fn flags(&self, workspace: &Path, own: Vec<String>) -> Result<String> {
        let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
        let library = self.sysroot.join("lib/rustlib/src/rust");
        Ok([
            remap(workspace, "/etl-host"),
            remap(&cargo_home()?, "/cargo"),
            // What rustc itself writes where the library's source is absent.
            remap(&library, &format!("/rustc/{}", self.commit)),
        ]
        .into_iter()
        .chain(own)
        .collect::<Vec<_>>()
        .join("\u{1f}"))
    }
}

fn run_rustc(workspace: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .current_dir(workspace)
        .args(arguments)
        .output()
        .context("start rustc")?;
    ensure!(output.status.success(), "rustc: {}", output.status);
    String::from_utf8(output.stdout).context("read the words of rustc")
}

/// Where cargo keeps the sources of the dependencies.
fn cargo_home() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("CARGO_HOME") {
        return Ok(PathBuf::from(folder));
    }
    let home = env::home_dir().context("find the home folder")?;
    Ok(home.join(".cargo"))
}
