//! JSON pointers (RFC 6901): read once, then compared with paths.

/// The most steps of a pointer: as deep as serde_json reads nested values. The
/// walk to a value goes one call deeper a step.
const STEPS_MAX: usize = 128;

/// A place in a JSON text, such as `/device/id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<String>,
}

impl Pointer {
    /// Reads a pointer. None where the text is none: it starts with no `/`
    /// (the empty one is the whole text), has a `~` that is neither `~0` nor
    /// `~1`, or more than 128 steps.
    pub fn parse(text: &str) -> Option<Self> {
        let steps = match text.strip_prefix('/') {
            Some(steps) => steps.split('/').map(unescape).collect::<Option<Vec<_>>>()?,
            None if text.is_empty() => Vec::new(),
            None => return None,
        };
        (steps.len() <= STEPS_MAX).then(|| Self {
            text: text.to_owned(),
            steps,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names, or indices, from the top down.
    pub(super) fn steps(&self) -> &[String] {
        &self.steps
    }
}

fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        name.push(match part.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        name.push_str(&part[1..]);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Option<Vec<String>> {
        Pointer::parse(text).map(|pointer| pointer.steps)
    }

    #[test]
    fn a_pointer_is_its_steps() {
        let owned = |steps: &[&str]| Some(steps.iter().map(|&step| step.to_owned()).collect());
        assert_eq!(steps(""), owned(&[]));
        assert_eq!(steps("/"), owned(&[""]));
        assert_eq!(steps("/device/id"), owned(&["device", "id"]));
        assert_eq!(steps("/a~1b/~0~01"), owned(&["a/b", "~~1"]));
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["ip", "ip/", "/a~", "/a~2", "/~/b", &"/x".repeat(129)] {
            assert_eq!(steps(text), None, "{text}");
        }
        assert!(steps(&"/x".repeat(128)).is_some());
    }
}
