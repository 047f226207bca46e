//! The fields of a body as they stand in it, whatever their types. Everything
//! else is skipped without being read: its numbers may be of any size, and it
//! may nest as deep as it likes (serde_json skips values with a loop).

use alloc::{borrow::Cow, string::String, vec, vec::Vec};
use core::{fmt, mem};

use etl_transform::{Reason, Rejection};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// A field's value.
pub enum Scalar<'a> {
    /// It is not there.
    Absent,
    /// JSON's null.
    Null,
    /// A string.
    Text(Cow<'a, str>),
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number beyond what a column holds.
    Large(u64),
    /// Any other number.
    Float(f64),
    /// An array or object.
    Other,
}

/// Where the fields stand: objects in objects.
pub struct Tree {
    objects: Vec<Object>,
}

/// The members of an object that matter, sorted by name.
#[derive(Default)]
struct Object {
    members: Vec<(String, Place)>,
}

#[derive(Clone, Copy)]
enum Place {
    Field(usize),
    Object(usize),
}

impl Tree {
    const ROOT: usize = 0;

    /// A body without any field.
    pub fn new() -> Self {
        Self {
            objects: vec![Object::default()],
        }
    }

    /// Adds a field. None where it is inside another one, or around it.
    pub fn add(&mut self, steps: &[String], field: usize) -> Option<()> {
        let (last, above) = steps.split_last()?;
        let mut object = Self::ROOT;
        for step in above {
            object = match self.find(object, step) {
                Ok(place) => match self.objects[object].members[place].1 {
                    Place::Object(inner) => inner,
                    Place::Field(_) => return None,
                },
                Err(place) => {
                    let inner = self.objects.len();
                    self.objects.push(Object::default());
                    let member = (step.clone(), Place::Object(inner));
                    self.objects[object].members.insert(place, member);
                    inner
                }
            };
        }
        match self.find(object, last) {
            Ok(_) => None,
            Err(place) => {
                let member = (last.clone(), Place::Field(field));
                self.objects[object].members.insert(place, member);
                Some(())
            }
        }
    }

    fn find(&self, object: usize, name: &str) -> Result<usize, usize> {
        let members = &self.objects[object].members;
        members.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}

/// The fields that a body has.
pub struct Members<'a> {
    /// By their places in the description.
    pub fields: Vec<Scalar<'a>>,
    /// Whether there is anything else.
    pub others: bool,
    /// Whether there is an object at all.
    object: bool,
    /// Whether a field is given twice.
    ambiguous: bool,
}

impl<'a> Members<'a> {
    /// Reads a message's body, of which so many fields are known.
    ///
    /// # Errors
    /// `malformed` and `unsupported`, both without a field.
    pub fn read(body: &'a str, tree: &Tree, fields: usize) -> Result<Self, Rejection> {
        let mut found = Members {
            fields: Vec::new(),
            others: false,
            object: false,
            ambiguous: false,
        };
        found.fields.resize_with(fields, || Scalar::Absent);
        let mut deserializer = serde_json::Deserializer::from_str(body);
        let root = Within {
            tree,
            object: Tree::ROOT,
            found: &mut found,
        };
        let read = root.deserialize(&mut deserializer);
        if read.and_then(|()| deserializer.end()).is_err() || found.ambiguous {
            return Err(Rejection::whole(Reason::Malformed));
        }
        let absent = |field: &Scalar<'_>| matches!(field, Scalar::Absent);
        if !found.object || found.fields.iter().all(absent) {
            return Err(Rejection::whole(Reason::Unsupported));
        }
        Ok(found)
    }
}

/// Reads one object of the tree.
struct Within<'t, 'f, 'a> {
    tree: &'t Tree,
    object: usize,
    found: &'f mut Members<'a>,
}

impl Within<'_, '_, '_> {
    /// Something else stands where an object should: nobody can say what the
    /// fields below it are.
    fn mark_other(self) {
        let mut objects = vec![self.object];
        while let Some(object) = objects.pop() {
            for (_, place) in &self.tree.objects[object].members {
                match place {
                    Place::Field(field) => self.found.fields[*field] = Scalar::Other,
                    Place::Object(inner) => objects.push(*inner),
                }
            }
        }
    }

    fn mark_other_unless_root(self) {
        if self.object != Tree::ROOT {
            self.mark_other();
        }
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

// The answer is given for each type, and not by serde's default, whose error
// text would bring the printing of floating-point numbers into the component.
impl<'de> Visitor<'de> for Within<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.mark_other_unless_root();
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.mark_other_unless_root();
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.mark_other_unless_root();
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.mark_other_unless_root();
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.mark_other_unless_root();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        self.mark_other_unless_root();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Within {
            tree,
            object: place,
            found,
        } = self;
        found.object = true;
        let members = &tree.objects[place].members;
        let mut seen = vec![false; members.len()];
        while let Some(member) = object.next_key_seed(Named {
            tree,
            object: place,
        })? {
            let Some(member) = member else {
                found.others = true;
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            found.ambiguous |= mem::replace(&mut seen[member], true);
            match members[member].1 {
                Place::Field(field) => found.fields[field] = object.next_value()?,
                Place::Object(inner) => object.next_value_seed(Within {
                    tree,
                    object: inner,
                    found: &mut *found,
                })?,
            }
        }
        Ok(())
    }
}

/// A member's name: that of a known one, or none that matters.
struct Named<'t> {
    tree: &'t Tree,
    object: usize,
}

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Option<usize>;

    fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.tree.find(self.object, name).ok())
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;

            fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Ok(())
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Boolean(value))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Integer(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
                Ok(match i64::try_from(number) {
                    Ok(number) => Scalar::Integer(number),
                    Err(_) => Scalar::Large(number),
                })
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Float(number))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(String::from(text))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Scalar<'de>, A::Error> {
                while array.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Scalar<'de>, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}
