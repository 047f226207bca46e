//! The committed components are what anyone gets from the committed source.

use std::{collections::BTreeSet, fs, path::PathBuf};

use guests_build::{Component, GUESTS};

#[test]
fn committed_components_are_what_the_source_builds() {
    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for guest in GUESTS {
        let component = Component::build(guest).expect("builds");
        component.write(&fresh).expect("is written");
        let name = guest.file_name();
        let bytes = fs::read(fresh.join(&name)).expect("is there");
        assert!(
            fs::read(guest.committed().join(&name)).is_ok_and(|committed| committed == bytes),
            "{}/{name} is not what the source builds: run `cargo guests` and commit the file",
            guest.folder
        );
    }
}

#[test]
fn every_committed_component_has_a_source() {
    let mut files = BTreeSet::new();
    let folders: BTreeSet<PathBuf> = GUESTS.iter().map(|guest| guest.committed()).collect();
    for folder in folders {
        for entry in fs::read_dir(&folder).expect("is a folder") {
            let path = entry.expect("is readable").path();
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                files.insert(path);
            }
        }
    }
    let known = GUESTS.map(|guest| guest.committed().join(guest.file_name()));
    assert_eq!(files, BTreeSet::from(known));
}
