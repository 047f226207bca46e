//! The committed components are what anyone gets from the committed source.

use std::{fs, path::PathBuf};

use guests_build::{Component, GUESTS, committed};

#[test]
fn committed_components_are_what_the_source_builds() {
    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for guest in GUESTS {
        let component = Component::build(guest).expect("builds");
        component.write(&fresh).expect("is written");
        let name = component.file_name();
        let bytes = fs::read(fresh.join(&name)).expect("is there");
        assert!(
            fs::read(committed().join(&name)).is_ok_and(|committed| committed == bytes),
            "guests/{name} is not what the source builds: run `cargo guests` and commit the file"
        );
    }
}

#[test]
fn every_committed_component_has_a_source() {
    let mut files: Vec<String> = fs::read_dir(committed())
        .expect("is a folder")
        .map(|entry| {
            entry
                .expect("is readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.ends_with(".wasm"))
        .collect();
    files.sort();
    assert_eq!(files, GUESTS.map(|guest| format!("{guest}.wasm")));
}
