//! The keyed hash of the world `keyed-transform`. On wasm the host computes it,
//! with a key that the component never sees; natively, where a policy is
//! tested, it is computed here with [`TEST_KEY`].

use alloc::vec::Vec;

/// The key that policies are tested with; no host uses it.
#[cfg(not(target_family = "wasm"))]
pub const TEST_KEY: [u8; 32] = [7; 32];

/// HMAC-SHA-256 of each value under the host's current key, in order, 32 bytes
/// each.
#[cfg(target_family = "wasm")]
pub fn hmac_sha256(values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    glue::etl::transform::keyed_hash::hmac_sha256(values)
}

/// HMAC-SHA-256 of each value under [`TEST_KEY`], in order, 32 bytes each.
#[cfg(not(target_family = "wasm"))]
pub fn hmac_sha256(values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    use hmac::{Hmac, KeyInit, Mac};
    let keyed = Hmac::<sha2::Sha256>::new_from_slice(&TEST_KEY).expect("HMAC takes any length");
    let hash = |value: &Vec<u8>| {
        let hash = keyed.clone().chain_update(value).finalize();
        hash.into_bytes().to_vec()
    };
    values.iter().map(hash).collect()
}

#[cfg(target_family = "wasm")]
mod glue {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package etl:sdk;

            world keyed {
                import etl:transform/keyed-hash@0.1.0;
            }
        ",
        world: "etl:sdk/keyed",
        generate_all,
    });
}
