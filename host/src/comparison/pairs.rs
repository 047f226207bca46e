//! The columns of two components, matched by their names.

use crate::row::{Column, Row, Value};

/// The columns of one component, and those of another.
pub struct Pairs<'a> {
    /// What both write, in the order of the one.
    pub both: Vec<Pair<'a>>,
    /// What the one writes alone.
    pub only_one: Vec<&'a Column>,
    /// What the other writes alone.
    pub only_other: Vec<&'a Column>,
}

/// A column that both write, and its place in the rows of each.
pub struct Pair<'a> {
    /// As the one describes it.
    pub one: &'a Column,
    /// As the other describes it.
    pub other: &'a Column,
    place: usize,
    other_place: usize,
}

impl<'a> Pairs<'a> {
    /// Matches columns.
    pub fn of(one: &'a [Column], other: &'a [Column]) -> Self {
        let place_in = |columns: &[Column], name: &str| {
            let mut places = columns.iter();
            places.position(|column| column.name == name)
        };
        let alone = |some: &'a [Column], others: &[Column]| -> Vec<&'a Column> {
            let is_alone = |column: &&Column| place_in(others, &column.name).is_none();
            some.iter().filter(is_alone).collect()
        };
        let both = one.iter().enumerate().filter_map(|(place, column)| {
            let other_place = place_in(other, &column.name)?;
            Some(Pair {
                one: column,
                other: &other[other_place],
                place,
                other_place,
            })
        });
        Self {
            both: both.collect(),
            only_one: alone(one, other),
            only_other: alone(other, one),
        }
    }
}

impl Pair<'_> {
    /// Its values in a row of each, where they differ. A float is its bits, so
    /// that NaN is like NaN; a value that is missing is null.
    pub fn differs<'r>(&self, one: &'r Row, other: &'r Row) -> Option<(&'r Value, &'r Value)> {
        let one = one.get(self.place).unwrap_or(&Value::Null);
        let other = other.get(self.other_place).unwrap_or(&Value::Null);
        let same = match (one, other) {
            (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
            _ => one == other,
        };
        (!same).then_some((one, other))
    }
}
