//! What Go's own tools do not do: Go code for the interface out of `wit/`, and a
//! component out of the core module that Go builds.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use wasi_preview1_component_adapter_provider as adapter;
use wit_bindgen_core::Files;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

const WORLD: &str = "transform";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["bindings", wit, folder] => bindings(wit, Path::new(folder)),
        ["component", wit, module, file] => component(wit, module, file),
        _ => bail!("tool bindings WIT FOLDER | tool component WIT MODULE FILE"),
    }
}

fn world(wit: &str) -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    Ok((resolve, world))
}

fn bindings(wit: &str, folder: &Path) -> Result<()> {
    let (mut resolve, world) = world(wit)?;
    let mut files = Files::default();
    let mut generator = wit_bindgen_go::Opts::default().build();
    generator.generate(&mut resolve, world, &mut files)?;
    for (name, bytes) in files.iter() {
        let file = folder.join(name);
        let parent = file.parent().context("find its folder")?;
        fs::create_dir_all(parent)?;
        fs::write(file, bytes)?;
    }
    Ok(())
}

fn component(wit: &str, module: &str, file: &str) -> Result<()> {
    let (resolve, world) = world(wit)?;
    let mut module = fs::read(module)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    let component = ComponentEncoder::default()
        .module(&module)?
        .adapter(
            adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
            adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        )?
        .encode()?;
    Ok(fs::write(file, component)?)
}
