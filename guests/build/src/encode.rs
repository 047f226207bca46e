//! From a core module to a component, and the proof that it is what it claims:
//! a component of its world, which imports what that world has and no more.

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;
use wit_parser::Resolve;

use crate::Runtime;

const WIT: &str = include_str!("../../../wit/transform.wit");

/// Encodes a core module and checks that the component is of its world, where
/// it has one.
pub fn component(module: &[u8], runtime: Runtime) -> Result<Vec<u8>> {
    let bytes = ComponentEncoder::default()
        .module(module)?
        .validate(true)
        .encode()?;
    if let Runtime::None { world } = runtime {
        ensure_world(&bytes, world)?;
    }
    Ok(bytes)
}

/// Checks that a host of the world can run the component: an import that the
/// world does not have is named.
fn ensure_world(component: &[u8], world: &str) -> Result<()> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("transform.wit", WIT)?;
    let found = resolve.select_world(&[package], Some(world))?;
    wit_component::targets(&resolve, found, component)
        .with_context(|| format!("it is no component of the world {world}"))
}
