//! Component files that nobody should load, written byte by byte: small enough
//! to read, so no binary fixture has to be trusted.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A component that is nothing at all: no import, no export.
pub const EMPTY_COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// What a compiler gives before anybody makes a component of it.
pub const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// A component that wants these interfaces, by their full names, from its host.
pub fn component_importing(interfaces: &[&str]) -> Vec<u8> {
    const TYPE_SECTION: u8 = 7;
    const IMPORT_SECTION: u8 = 10;
    // One type: an instance that exports nothing.
    let types = [1, 0x42, 0];
    // Each import: a plain name, then "an instance of type 0".
    let mut imports = vec![one_byte(interfaces.len())];
    for interface in interfaces {
        imports.extend([0, one_byte(interface.len())]);
        imports.extend(interface.as_bytes());
        imports.extend([5, 0]);
    }

    let mut component = EMPTY_COMPONENT.to_vec();
    for (id, body) in [(TYPE_SECTION, types.to_vec()), (IMPORT_SECTION, imports)] {
        component.extend([id, one_byte(body.len())]);
        component.extend(body);
    }
    component
}

/// A length as LEB128 has it below 128.
fn one_byte(length: usize) -> u8 {
    assert!(length < 128, "this encoder writes one-byte lengths only");
    u8::try_from(length).expect("below 128")
}

/// A file that is gone when the test is done with it.
pub struct ScratchFile {
    pub path: PathBuf,
}

impl ScratchFile {
    pub fn new(name: &str, content: impl AsRef<[u8]>) -> ScratchFile {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = std::env::temp_dir().join(format!(
            "etl-host-{}-{}-{name}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::write(&path, content).expect("write a scratch file");
        ScratchFile { path }
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
