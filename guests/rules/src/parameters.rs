//! The parameters: what they are called, and how they become rules.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::ops::RangeInclusive;

use etl_transform::{
    Argument, Column, Description, Field, Parameter, Refusal, ValueType, value_of,
};

use crate::item::{self, Item};
use crate::mask::{Kept, Mask};
use crate::members::Tree;
use crate::{Hashes, Rules, Source};

const KEEP: &str = "keep";
const HASH: &str = "hash";
const KEYED_HASH: &str = "keyed_hash";
const NETWORK: &str = "network";
const LAST: &str = "last";
const MONTH: &str = "month";
const YEAR: &str = "year";
const DROP: &str = "drop";
const REQUIRED: &str = "required";
const OTHERS: &str = "others";
const IPV4_BITS: &str = "ipv4_prefix_bits";
const IPV6_BITS: &str = "ipv6_prefix_bits";
const MESSAGE_ID: &str = "message_id";
const SENT_DATE: &str = "sent_date";
const SENT_AT: &str = "sent_at";

/// Those that make columns of fields, in the order of the columns.
const MASKS: [&str; 7] = [KEEP, HASH, KEYED_HASH, NETWORK, LAST, MONTH, YEAR];

const OTHERS_DROP: &str = "drop";
const OTHERS_REFUSE: &str = "refuse";
const IPV4_BITS_DEFAULT: &str = "24";
const IPV6_BITS_DEFAULT: &str = "48";
const IPV4_BITS_ALLOWED: RangeInclusive<u8> = 1..=32;
const IPV6_BITS_ALLOWED: RangeInclusive<u8> = 1..=128;
/// More is no end of a value any more.
const LAST_CHARS_MAX: usize = 100;

/// What is expected of a list of fields.
const FIELDS: &str = "fields, separated by commas: members' names or JSON pointers such as \
                      /device/id, each followed by `as COLUMN` where its column has another name; \
                      %20 for a space in a name";

/// What a policy of rules declares.
pub fn declared(hashes: Hashes) -> Vec<Parameter> {
    let optional = |name: &str, help: &str| Parameter {
        name: String::from(name),
        required: false,
        default: None,
        help: String::from(help),
    };
    let mut declared = Vec::from([
        optional(
            KEEP,
            "Fields that are stored as they are: user_id, /device/type as device, \
             age:integer (or float, boolean, date, timestamp)",
        ),
        optional(
            HASH,
            "Fields stored as their SHA-256, in hexadecimal: device_id",
        ),
        optional(
            NETWORK,
            "Addresses stored as their networks: ip as network (203.0.113.0/24)",
        ),
        optional(
            LAST,
            "Fields of which the last characters are stored: card:4 as card_end",
        ),
        optional(
            MONTH,
            "Dates stored as their months: born as month (2026-11)",
        ),
        optional(YEAR, "Dates stored as their years: born as year"),
        optional(
            DROP,
            "Fields that are known and never stored: of use with others=refuse",
        ),
        optional(
            REQUIRED,
            "Those of the fields that every message has: user_id; any other may be null or absent",
        ),
        Parameter::with_default(
            OTHERS,
            OTHERS_DROP,
            "What becomes of members that no parameter names: drop, or refuse the message",
        ),
        Parameter::with_default(
            IPV4_BITS,
            IPV4_BITS_DEFAULT,
            "How many leading bits of an IPv4 address are kept, from 1 to 32",
        ),
        Parameter::with_default(
            IPV6_BITS,
            IPV6_BITS_DEFAULT,
            "How many leading bits of an IPv6 address are kept, from 1 to 128",
        ),
        optional(MESSAGE_ID, "The column for the message's id"),
        optional(
            SENT_DATE,
            "The column for the date, in UTC, on which the queue accepted the message",
        ),
        optional(
            SENT_AT,
            "The column for the moment at which the queue accepted the message",
        ),
    ]);
    if hashes == Hashes::Keyed {
        let keyed = optional(
            KEYED_HASH,
            "Fields stored as their HMAC-SHA-256 under the host's key: ip, device_id",
        );
        declared.insert(2, keyed);
    }
    declared
}

/// Reads the rules.
pub fn read(description: Description, arguments: &[Argument]) -> Result<Rules, Refusal> {
    let bits = Bits {
        ipv4: bits(&description, arguments, IPV4_BITS, IPV4_BITS_ALLOWED)?,
        ipv6: bits(&description, arguments, IPV6_BITS, IPV6_BITS_ALLOWED)?,
    };
    let mut reader = Reader {
        rules: Rules {
            description,
            tree: Tree::new(),
            required: Vec::new(),
            sources: Vec::new(),
            refuse_others: false,
        },
        uses: Vec::new(),
    };
    let items = |reader: &Reader, name| match value_of(arguments, name) {
        Some(list) => item::read(list).ok_or_else(|| reader.refuses(name, FIELDS)),
        None => Ok(Vec::new()),
    };
    // The rules know only then which columns are required.
    for item in items(&reader, DROP)? {
        reader.drops(&item)?;
    }
    let mut wanted = Vec::new();
    for name in MASKS {
        for item in items(&reader, name)? {
            let mask = reader.mask(name, &item, &bits)?;
            let field = reader.field(name, &item, usage(&mask))?;
            wanted.push((name, field, mask, item.column));
        }
    }
    for item in items(&reader, REQUIRED)? {
        reader.requires(&item)?;
    }
    if let Some(column) = value_of(arguments, MESSAGE_ID) {
        reader.column(MESSAGE_ID, column, ValueType::Text, true, Source::MessageId)?;
    }
    for (name, field, mask, column) in wanted {
        let (value_type, required) = (mask.value_type(), reader.rules.required[field]);
        let source = Source::Field { field, mask };
        reader.column(name, &column, value_type, required, source)?;
    }
    if let Some(column) = value_of(arguments, SENT_DATE) {
        reader.column(SENT_DATE, column, ValueType::Date, true, Source::SentDate)?;
    }
    if let Some(column) = value_of(arguments, SENT_AT) {
        reader.column(SENT_AT, column, ValueType::Timestamp, true, Source::SentAt)?;
    }
    reader.rules.refuse_others = match value_of(arguments, OTHERS).unwrap_or(OTHERS_DROP) {
        OTHERS_DROP => false,
        OTHERS_REFUSE => true,
        _ => return Err(reader.refuses(OTHERS, "drop or refuse")),
    };
    if !reader.uses.iter().any(|usage| *usage != Usage::Dropped) {
        let words = "a field, here or in another parameter: there is nothing to store";
        return Err(reader.refuses(KEEP, words));
    }
    Ok(reader.rules)
}

/// How many bits of an address are kept.
struct Bits {
    ipv4: u8,
    ipv6: u8,
}

fn bits(
    description: &Description,
    arguments: &[Argument],
    name: &str,
    allowed: RangeInclusive<u8>,
) -> Result<u8, Refusal> {
    let default = match name {
        IPV4_BITS => IPV4_BITS_DEFAULT,
        _ => IPV6_BITS_DEFAULT,
    };
    let value = value_of(arguments, name).unwrap_or(default);
    match number(value) {
        Some(bits) if allowed.contains(&bits) => Ok(bits),
        _ => {
            let (start, end) = (allowed.start(), allowed.end());
            let expected = format!("a number of bits from {start} to {end}");
            Err(refusal(description, name, &expected))
        }
    }
}

/// Digits alone: `parse` takes a leading plus sign.
fn number<N: core::str::FromStr>(digits: &str) -> Option<N> {
    let digits_only = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| digits.parse().ok())?
}

fn refusal(description: &Description, name: &str, expected: &str) -> Refusal {
    let mut parameters = description.parameters.iter();
    let place = parameters.position(|parameter| parameter.name == name);
    Refusal {
        // All names are those of declared parameters.
        parameter: place.unwrap_or_default() as u32,
        expected: expected.to_string(),
    }
}

/// What is done with a field.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Usage {
    Kept,
    Masked,
    Dropped,
}

fn usage(mask: &Mask) -> Usage {
    match mask {
        Mask::Keep(_) => Usage::Kept,
        _ => Usage::Masked,
    }
}

/// The rules, as far as they are read.
struct Reader {
    rules: Rules,
    /// Of each field.
    uses: Vec<Usage>,
}

impl Reader {
    fn refuses(&self, name: &str, expected: &str) -> Refusal {
        refusal(&self.rules.description, name, expected)
    }

    fn mask(&self, name: &str, item: &Item<'_>, bits: &Bits) -> Result<Mask, Refusal> {
        if name != KEEP && name != LAST && item.setting.is_some() {
            let words = "fields without a setting: %3A for a colon in a name";
            return Err(self.refuses(name, words));
        }
        Ok(match name {
            KEEP => {
                let kept = item.setting.map_or(Some(Kept::Text), Kept::named);
                let words = "text, integer, float, boolean, date or timestamp after the colon";
                Mask::Keep(kept.ok_or_else(|| self.refuses(name, words))?)
            }
            LAST => {
                let count = item.setting.and_then(number);
                let count = count.filter(|count| (1..=LAST_CHARS_MAX).contains(count));
                let words = "a number of characters for each field, from 1 to 100, as in card:4";
                Mask::Last(count.ok_or_else(|| self.refuses(name, words))?)
            }
            HASH => Mask::Hash,
            KEYED_HASH => Mask::KeyedHash,
            NETWORK => Mask::Network {
                ipv4_prefix_bits: bits.ipv4,
                ipv6_prefix_bits: bits.ipv6,
            },
            MONTH => Mask::Month,
            _ => Mask::Year,
        })
    }

    fn drops(&mut self, item: &Item<'_>) -> Result<(), Refusal> {
        if item.setting.is_some() {
            return Err(self.refuses(DROP, "fields without a setting: %3A for a colon in a name"));
        }
        self.field(DROP, item, Usage::Dropped).map(drop)
    }

    /// The place of a field, which may be new.
    fn field(&mut self, name: &str, item: &Item<'_>, usage: Usage) -> Result<usize, Refusal> {
        let pointer = item.pointer();
        if let Some(known) = self.place(&pointer) {
            // A value that one parameter keeps is no secret of another.
            if self.uses[known] != usage || usage == Usage::Dropped {
                let words = "a field that no other parameter keeps, masks or drops";
                return Err(self.refuses(name, words));
            }
            return Ok(known);
        }
        let place = self.uses.len();
        if self.rules.tree.add(&item.steps, place).is_none() {
            let words = "a field that is neither inside another one nor around it";
            return Err(self.refuses(name, words));
        }
        self.rules.description.fields.push(match usage {
            Usage::Kept => Field::plain(&pointer),
            Usage::Masked | Usage::Dropped => Field::sensitive(&pointer),
        });
        self.rules.required.push(false);
        self.uses.push(usage);
        Ok(place)
    }

    fn place(&self, pointer: &str) -> Option<usize> {
        let mut fields = self.rules.description.fields.iter();
        fields.position(|field| field.pointer == pointer)
    }

    fn requires(&mut self, item: &Item<'_>) -> Result<(), Refusal> {
        match self.place(&item.pointer()) {
            Some(field) if item.setting.is_none() => {
                self.rules.required[field] = true;
                Ok(())
            }
            _ => Err(self.refuses(REQUIRED, "fields that another parameter names")),
        }
    }

    fn column(
        &mut self,
        parameter: &str,
        name: &str,
        value_type: ValueType,
        required: bool,
        source: Source,
    ) -> Result<(), Refusal> {
        let columns = &mut self.rules.description.columns;
        if name.is_empty() || columns.iter().any(|column| column.name == name) {
            let words = "a column that no other field has: `FIELD as COLUMN` gives it a name";
            return Err(self.refuses(parameter, words));
        }
        columns.push(match required {
            true => Column::required(name, value_type),
            false => Column::nullable(name, value_type),
        });
        self.rules.sources.push(source);
        Ok(())
    }
}
