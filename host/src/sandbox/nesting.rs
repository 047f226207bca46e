//! How deep components stand within a component. wasmtime reads any depth, in
//! a time that grows with its square: a file of a few megabytes would keep it
//! for minutes.

use anyhow::{Result, ensure};

/// Deeper than any composition of components that makes sense.
pub(super) const DEPTH_MAX: usize = 32;
/// The magic number, then the version and layer.
const HEADER_BYTES: usize = 8;
/// The section that is a component of its own.
const COMPONENT_SECTION: u8 = 4;
/// Each digit of a length holds seven bits of it; 32 need five.
const LENGTH_DIGITS_MAX: usize = 5;

/// Refuses a component that is nested too deeply. Of one that is damaged it
/// says nothing: the compiler will.
pub(super) fn ensure_shallow(component: &[u8]) -> Result<()> {
    let mut unseen = vec![(component, 0)];
    while let Some((component, depth)) = unseen.pop() {
        ensure!(
            depth <= DEPTH_MAX,
            "it holds components within components, more than {DEPTH_MAX} deep"
        );
        let mut rest = component.get(HEADER_BYTES..).unwrap_or_default();
        while let Some((id, body, after)) = section(rest) {
            if id == COMPONENT_SECTION {
                unseen.push((body, depth + 1));
            }
            rest = after;
        }
    }
    Ok(())
}

/// The first section, by its id, and what follows it.
fn section(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (id, bytes) = bytes.split_first()?;
    let digits = bytes.iter().position(|digit| digit & 0x80 == 0)? + 1;
    let (digits, bytes) = bytes.split_at(digits);
    if digits.len() > LENGTH_DIGITS_MAX {
        return None;
    }
    let length = digits
        .iter()
        .rev()
        .fold(0, |length, digit| length << 7 | u64::from(digit & 0x7f));
    let (body, after) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    Some((*id, body, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Components in a component, beside a section of another kind.
    fn nested(depth: usize) -> Vec<u8> {
        let mut component = wasm_encoder::Component::new().finish();
        for _ in 0..depth {
            let mut outer = wasm_encoder::Component::new();
            outer.section(&wasm_encoder::CustomSection {
                name: "other".into(),
                data: [0xff; 200].as_slice().into(),
            });
            outer.section(&wasm_encoder::RawSection {
                id: COMPONENT_SECTION,
                data: &component,
            });
            component = outer.finish();
        }
        component
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(ensure_shallow(&nested(DEPTH_MAX)).is_ok());
        assert!(ensure_shallow(&nested(DEPTH_MAX + 1)).is_err());
    }

    #[test]
    fn damaged_files_are_left_to_the_compiler() {
        let whole = nested(3);
        for length in 0..whole.len() {
            assert!(ensure_shallow(&whole[..length]).is_ok());
        }
        let overlong = [
            &whole[..HEADER_BYTES],
            &[4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ]
        .concat();
        assert!(ensure_shallow(&overlong).is_ok());
    }
}
