//! From a core module to a component, and the proof that it is what it claims:
//! a component of the world `transform` that imports nothing.

use anyhow::{Context, Result, bail, ensure};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::Resolve;

const WIT: &str = include_str!("../../../wit/transform.wit");
const WORLD: &str = "transform";

/// Encodes a core module and checks the component.
pub fn component(module: &[u8]) -> Result<Vec<u8>> {
    let bytes = ComponentEncoder::default()
        .module(module)?
        .validate(true)
        .encode()?;
    ensure_world(&bytes)?;
    let imports = imports(&bytes)?;
    ensure!(imports.is_empty(), "it imports {}", imports.join(", "));
    Ok(bytes)
}

/// Checks that a host of the world can run the component.
fn ensure_world(component: &[u8]) -> Result<()> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("transform.wit", WIT)?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    wit_component::targets(&resolve, world, component)
        .with_context(|| format!("it is no component of the world {WORLD}"))
}

/// What a component imports, by name.
fn imports(component: &[u8]) -> Result<Vec<String>> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("it is no component");
    };
    let imports = resolve.worlds[world].imports.keys();
    Ok(imports.map(|name| resolve.name_world_key(name)).collect())
}
