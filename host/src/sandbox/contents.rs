//! What stands in a component's file, read without running any of it: what it
//! imports and exports, and what its makers have written into it.
//!
//! The file may be anything, so nothing here is proven: whoever wrote the file
//! chose these words. What is damaged is told beside what is not. The crate
//! `wasm-metadata` reads the same sections, and gives nothing at all once one
//! of them is damaged.

use std::collections::{BTreeMap, BTreeSet};

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde::{Deserialize, Serialize};
use wasmparser::{
    ComponentName, ComponentNameSectionReader, CustomSectionReader, Encoding, Name,
    NameSectionReader, Parser, Payload, ProducersSectionReader,
};

use super::component::shown;
use super::nesting::DEPTH_MAX;

/// What any WebAssembly file begins with.
const MAGIC: &[u8; 4] = b"\0asm";
/// The sections that hold one text each, by the conventions of the Bytecode
/// Alliance's tools.
const TEXTS: [&str; 7] = [
    "authors",
    "description",
    "homepage",
    "licenses",
    "revision",
    "source",
    "version",
];
/// The text that has no section of its own, but a place in one.
const NAME: &str = "name";
/// The software bill of materials that `cargo auditable` writes: a list of
/// packages in JSON, compressed.
const SBOM: &str = ".dep-v0";
/// Uncompressed, all such sections of a file together: some hundred thousand
/// packages. Each section could hold as much, and reading them all took minutes.
const SBOM_MIB_MAX: usize = 8;
/// Imports, and exports, that are looked at. An honest component has a few, one
/// with a whole WASI some thirty.
const NAMES_MAX: usize = 1_000;
/// Fields of tools, tools, and damaged sections, that are told.
const NOTES_MAX: usize = 100;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A component.
    Component,
    /// A core module, of which a component has yet to be made.
    CoreModule,
    /// No WebAssembly.
    #[default]
    Other,
}

/// What stands in a file.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// What it is.
    pub kind: FileKind,
    /// What it imports, by full names.
    pub imports: Vec<String>,
    /// What it exports, by full names.
    pub exports: Vec<String>,
    /// What its makers say of it: `authors`, `licenses`, `source` and so on.
    pub texts: BTreeMap<String, String>,
    /// What it was made with, each with its version: its languages (`language`),
    /// tools (`processed-by`) and kits (`sdk`).
    pub producers: BTreeMap<String, BTreeMap<String, String>>,
    /// Its bill of materials, where it has one.
    pub packages: Option<BTreeSet<Package>>,
    /// What of it cannot be read.
    pub damage: Vec<String>,
}

/// A package that a component is built of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is from: `crates.io`, `git`, `local` and so on.
    pub source: String,
    /// Whether it only helped to build: `runtime` or `build`.
    #[serde(default = "runtime")]
    pub kind: String,
}

fn runtime() -> String {
    "runtime".to_owned()
}

/// What stands in `.dep-v0`.
#[derive(Deserialize)]
struct Sbom {
    packages: Vec<Package>,
}

impl Contents {
    /// Reads a file, as far as it can be read.
    pub(super) fn of(file: &[u8]) -> Self {
        let mut reading = Reading::default();
        if !file.starts_with(MAGIC) {
            return reading.contents;
        }
        for payload in Parser::new(0).parse_all(file) {
            let read = payload.and_then(|payload| reading.payload(payload));
            let stop = match read {
                Err(error) => format!("it is damaged at byte {}", error.offset()),
                Ok(()) if reading.depth > DEPTH_MAX => {
                    format!("it holds components within components, more than {DEPTH_MAX} deep")
                }
                Ok(()) => continue,
            };
            reading.contents.damage.push(stop);
            break;
        }
        reading.contents
    }
}

/// A file on its way through the parser.
#[derive(Default)]
struct Reading {
    contents: Contents,
    /// How many components and modules the parser stands in, the file itself
    /// aside.
    depth: usize,
    /// At what depth each text was found: of several the outermost counts.
    depths: BTreeMap<&'static str, usize>,
    /// What bills of materials took until now, in bytes without compression.
    sbom_bytes: usize,
}

impl Reading {
    fn payload(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        let outermost = self.depth == 0;
        match payload {
            Payload::Version { encoding, .. } if outermost => {
                self.contents.kind = match encoding {
                    Encoding::Component => FileKind::Component,
                    Encoding::Module => FileKind::CoreModule,
                };
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.depth += 1,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if outermost => {
                for import in imports {
                    note(&mut self.contents.imports, import?.name.name);
                }
            }
            Payload::ComponentExportSection(exports) if outermost => {
                for export in exports {
                    note(&mut self.contents.exports, export?.name.name);
                }
            }
            Payload::ImportSection(imports) if outermost => {
                for import in imports.into_imports() {
                    let import = import?;
                    let name = format!("{}.{}", import.module, import.name);
                    note(&mut self.contents.imports, &name);
                }
            }
            Payload::CustomSection(section) => self.custom(&section),
            _ => {}
        }
        Ok(())
    }

    /// What nobody runs. A damaged one leaves the others readable.
    fn custom(&mut self, section: &CustomSectionReader<'_>) {
        let data = section.data_reader();
        let read = match section.name() {
            "component-name" => self.component_name(ComponentNameSectionReader::new(data)),
            "name" => self.module_name(NameSectionReader::new(data)),
            "producers" => ProducersSectionReader::new(data)
                .ok()
                .and_then(|section| self.producers(section).ok()),
            SBOM => self.sbom(section.data()),
            other => match TEXTS.into_iter().find(|text| *text == other) {
                Some(text) => self.text(text, section.data()),
                None => Some(()),
            },
        };
        let damage = &mut self.contents.damage;
        if read.is_none() && damage.len() < NOTES_MAX {
            damage.push(format!("its section {} is damaged", section.name()));
        }
    }

    fn component_name(&mut self, section: ComponentNameSectionReader<'_>) -> Option<()> {
        for name in section {
            if let ComponentName::Component { name, .. } = name.ok()? {
                self.keep(NAME, name);
            }
        }
        Some(())
    }

    fn module_name(&mut self, section: NameSectionReader<'_>) -> Option<()> {
        for name in section {
            if let Name::Module { name, .. } = name.ok()? {
                self.keep(NAME, name);
            }
        }
        Some(())
    }

    fn producers(&mut self, section: ProducersSectionReader<'_>) -> wasmparser::Result<()> {
        for field in section {
            let field = field?;
            let kept = &mut self.contents.producers;
            if kept.len() >= NOTES_MAX {
                break;
            }
            let kept = kept.entry(shown(field.name)).or_default();
            for tool in field.values {
                let tool = tool?;
                if kept.len() < NOTES_MAX {
                    kept.insert(shown(tool.name), shown(tool.version));
                }
            }
        }
        Ok(())
    }

    fn sbom(&mut self, data: &[u8]) -> Option<()> {
        let left = (SBOM_MIB_MAX << 20).checked_sub(self.sbom_bytes)?;
        let json = decompress_to_vec_zlib_with_limit(data, left);
        // A damaged one takes as long as a whole one.
        let taken = match &json {
            Ok(json) => json.len(),
            Err(damaged) => damaged.output.len(),
        };
        self.sbom_bytes += taken.max(1);
        let json = json.ok()?;
        let sbom: Sbom = serde_json::from_slice(&json).ok()?;
        let kept = self.contents.packages.get_or_insert_default();
        kept.extend(sbom.packages.into_iter().map(|package| Package {
            name: shown(&package.name),
            version: shown(&package.version),
            source: shown(&package.source),
            kind: shown(&package.kind),
        }));
        Some(())
    }

    fn text(&mut self, name: &'static str, data: &[u8]) -> Option<()> {
        self.keep(name, std::str::from_utf8(data).ok()?);
        Some(())
    }

    fn keep(&mut self, name: &'static str, text: &str) {
        let further_out = self
            .depths
            .get(name)
            .is_none_or(|depth| self.depth < *depth);
        if further_out {
            self.depths.insert(name, self.depth);
            self.contents.texts.insert(name.to_owned(), shown(text));
        }
    }
}

fn note(names: &mut Vec<String>, name: &str) {
    if names.len() < NAMES_MAX {
        names.push(shown(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{Component, CustomSection, ModuleSection, ProducersField, ProducersSection};

    fn custom<'a>(name: &'a str, data: &'a [u8]) -> CustomSection<'a> {
        CustomSection {
            name: name.into(),
            data: data.into(),
        }
    }

    fn producers(tool: &str) -> ProducersSection {
        let mut field = ProducersField::new();
        field.value(tool, "1.0");
        let mut section = ProducersSection::new();
        section.field("processed-by", &field);
        section
    }

    #[test]
    fn the_outermost_words_count_and_tools_add_up() {
        let mut module = wasm_encoder::Module::new();
        module
            .section(&custom("authors", b"the module's"))
            .section(&custom("licenses", b"MIT"))
            .section(&producers("linker"));
        let mut component = Component::new();
        component
            .section(&ModuleSection(&module))
            .section(&custom("authors", b"the component's\x1b[2J"))
            .section(&producers("encoder"));
        let contents = Contents::of(&component.finish());
        assert_eq!(contents.kind, FileKind::Component);
        assert_eq!(contents.texts["authors"], r"the component's\u{1b}[2J");
        assert_eq!(contents.texts["licenses"], "MIT");
        let tools: Vec<&String> = contents.producers["processed-by"].keys().collect();
        assert_eq!(tools, ["encoder", "linker"]);
        assert_eq!((contents.packages, contents.damage.len()), (None, 0));
    }

    #[test]
    fn a_damaged_section_leaves_the_others_readable() {
        let mut component = Component::new();
        component
            .section(&custom("authors", b"\xff"))
            .section(&custom(SBOM, b"no packages"))
            .section(&custom("producers", b"\x01\xff"))
            .section(&custom("licenses", b"MIT"));
        let contents = Contents::of(&component.finish());
        assert_eq!(contents.texts["licenses"], "MIT");
        assert_eq!(
            contents.damage,
            [
                "its section authors is damaged",
                "its section .dep-v0 is damaged",
                "its section producers is damaged"
            ]
        );
    }

    #[test]
    fn a_bill_of_materials_is_read_and_a_bomb_is_not() {
        let compressed = |json: &[u8]| miniz_oxide::deflate::compress_to_vec_zlib(json, 9);
        let packages = |json: &[u8]| {
            let data = compressed(json);
            let mut component = Component::new();
            component.section(&custom(SBOM, &data));
            Contents::of(&component.finish()).packages
        };
        let read = packages(
            br#"{"packages":[{"name":"b","version":"2.0.0","source":"crates.io","root":true},
                {"name":"a","version":"1.0.0","source":"git","kind":"build","dependencies":[0]}]}"#,
        );
        let read: Vec<Package> = read.unwrap().into_iter().collect();
        let kinds: Vec<(&str, &str)> = read
            .iter()
            .map(|package| (package.name.as_str(), package.kind.as_str()))
            .collect();
        assert_eq!(kinds, [("a", "build"), ("b", "runtime")]);
        let mut bomb = br#"{"packages":[]}"#.to_vec();
        bomb.resize((SBOM_MIB_MAX << 20) + 1, b' ');
        assert_eq!(packages(&bomb), None);
    }

    /// 500 sections of 8 MiB each took 192 s.
    #[test]
    fn bills_of_materials_are_bounded_together() {
        let bill = |name: &str, bytes: usize| {
            let name = format!("{name}{}", "x".repeat(bytes));
            let json =
                format!(r#"{{"packages":[{{"name":"{name}","version":"1","source":"local"}}]}}"#);
            miniz_oxide::deflate::compress_to_vec_zlib(json.as_bytes(), 6)
        };
        let read = |bills: &[Vec<u8>]| {
            let mut component = Component::new();
            for data in bills {
                component.section(&custom(SBOM, data));
            }
            Contents::of(&component.finish())
        };
        let count = |contents: &Contents| contents.packages.as_ref().map_or(0, BTreeSet::len);
        let within = read(&[bill("a", 1 << 20), bill("b", 1 << 20), bill("c", 1 << 20)]);
        assert_eq!((count(&within), within.damage.len()), (3, 0));
        // Each would be read on its own, and so would the small one at the end.
        let mut many = vec![bill("a", 7 << 20); 500];
        many.push(bill("b", 1 << 10));
        let over = read(&many);
        assert_eq!((count(&over), over.damage.len()), (1, NOTES_MAX));
        // Damaged ones count too.
        let mut cut = bill("a", 7 << 20);
        cut.truncate(cut.len() - 8);
        let damaged = read(&[cut.clone(), cut, bill("b", 7 << 20)]);
        assert_eq!((count(&damaged), damaged.damage.len()), (0, 3));
    }

    #[test]
    fn whatever_is_cut_off_or_no_webassembly_is_read_as_far_as_it_goes() {
        let mut component = Component::new();
        component
            .section(&custom("licenses", b"MIT"))
            .section(&custom("authors", b"somebody"));
        let whole = component.finish();
        for length in 0..whole.len() {
            let contents = Contents::of(&whole[..length]);
            assert!(contents.texts.len() < 2);
        }
        assert_eq!(Contents::of(b"no WebAssembly").kind, FileKind::Other);
        let module = wasm_encoder::Module::new().finish();
        assert_eq!(Contents::of(&module).kind, FileKind::CoreModule);
    }
}
