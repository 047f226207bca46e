//! The login's six members as they stand in a JSON object, whatever their
//! types. Reading and judging are two steps, so that a wrong type is told from
//! bad JSON and every fault carries its field.
//!
//! Everything else in the object is skipped without being read: its numbers may
//! be of any size, and it may nest as deep as it likes (serde_json skips values
//! with a loop, not by recursion).

use alloc::{borrow::Cow, string::String};
use core::fmt;

use etl_transform::{Reason, Rejection};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Field;

/// The value of one of the login's members.
pub enum Member<'a> {
    /// A JSON string.
    Text(Cow<'a, str>),
    /// JSON's null.
    Null,
    /// A value of any other type, which no member of a login has.
    Other,
}

/// The members that the body's object has, each once.
pub struct Members<'a>([Option<Member<'a>>; Field::COUNT]);

impl<'a> Members<'a> {
    /// Reads a message's body.
    ///
    /// # Errors
    /// `malformed` and `unsupported`, both without a field.
    pub fn read(body: &'a str) -> Result<Self, Rejection> {
        let Ok(Body { members, ambiguous }) = serde_json::from_str(body) else {
            return Err(Rejection::whole(Reason::Malformed));
        };
        if ambiguous {
            return Err(Rejection::whole(Reason::Malformed));
        }
        if members.0.iter().all(Option::is_none) {
            return Err(Rejection::whole(Reason::Unsupported));
        }
        Ok(members)
    }

    /// Takes a member out.
    pub fn take(&mut self, field: Field) -> Option<Member<'a>> {
        self.0[field as usize].take()
    }
}

/// What a JSON text holds. One that is no object has no members.
struct Body<'a> {
    members: Members<'a>,
    /// Whether a member is given twice.
    ambiguous: bool,
}

impl Body<'_> {
    const EMPTY: Self = Self {
        members: Members([const { None }; Field::COUNT]),
        ambiguous: false,
    };
}

/// The visits by values that are all one to a visitor. The answer is given for
/// each type, and not by serde's default, whose error text would bring the
/// printing of floating-point numbers into every component.
macro_rules! visit_others {
    ($answer:expr) => {
        fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($answer)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($answer)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($answer)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($answer)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
            while array.next_element::<IgnoredAny>()?.is_some() {}
            Ok($answer)
        }
    };
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyVisitor;

        impl<'de> Visitor<'de> for BodyVisitor {
            type Value = Body<'de>;

            visit_others!(Body::EMPTY);

            fn visit_str<E>(self, _: &str) -> Result<Body<'de>, E> {
                Ok(Body::EMPTY)
            }

            fn visit_unit<E>(self) -> Result<Body<'de>, E> {
                Ok(Body::EMPTY)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Body<'de>, A::Error> {
                let mut body = Body::EMPTY;
                while let Some(Name(field)) = object.next_key()? {
                    if let Some(field) = field {
                        let member = &mut body.members.0[field as usize];
                        body.ambiguous |= member.is_some();
                        *member = Some(object.next_value()?);
                    } else {
                        object.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(body)
            }
        }

        deserializer.deserialize_any(BodyVisitor)
    }
}

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MemberVisitor;

        impl<'de> Visitor<'de> for MemberVisitor {
            type Value = Member<'de>;

            visit_others!(Member::Other);

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
                Ok(Member::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
                Ok(Member::Text(Cow::Owned(String::from(text))))
            }

            fn visit_unit<E>(self) -> Result<Member<'de>, E> {
                Ok(Member::Null)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Member<'de>, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }
        }

        deserializer.deserialize_any(MemberVisitor)
    }
}

/// A member's name: one of the login's, or none that matters.
struct Name(Option<Field>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name;

            visit_others!(Name(None));

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(Field::named(name)))
            }
        }

        deserializer.deserialize_any(NameVisitor)
    }
}
