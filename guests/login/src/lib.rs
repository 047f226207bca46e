//! The login message: from its body to typed fields, or to the reason why it is
//! rejected. Every policy over logins reads them through here, so that they
//! agree on what a good message is and differ only in what they store.
//!
//! A message with several faults is rejected for the first one in the order of
//! [`Field`]: the answer does not depend on the order of the object's members.

#![no_std]

extern crate alloc;

mod app_version;
mod masked;
mod members;
mod sent_date;

use alloc::{borrow::Cow, vec::Vec};

use etl_transform::{Reason, Rejection};
use members::{Member, Members};

pub use masked::{masked, masked_columns};
pub use sent_date::sent_date;

/// A member of the message, in the order in which a policy declares its fields:
/// `Field::Ip as u32` is the index that a rejection names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
#[allow(missing_docs, reason = "each is a member of the message by its name")]
pub enum Field {
    UserId,
    AppVersion,
    DeviceType,
    Ip,
    DeviceId,
    Locale,
}

impl Field {
    /// How many there are.
    const COUNT: usize = 6;

    /// The member that a name stands for.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "user_id" => Self::UserId,
            "app_version" => Self::AppVersion,
            "device_type" => Self::DeviceType,
            "ip" => Self::Ip,
            "device_id" => Self::DeviceId,
            "locale" => Self::Locale,
            _ => return None,
        })
    }

    /// A rejection for this field.
    pub const fn rejected(self, reason: Reason) -> Rejection {
        Rejection::at(reason, self as u32)
    }
}

/// The input fields as a policy describes them, in the order of [`Field`]. The
/// address and the device are what must never leave the sandbox.
pub fn fields() -> Vec<etl_transform::Field> {
    use etl_transform::Field;
    Vec::from([
        Field::plain("/user_id"),
        Field::plain("/app_version"),
        Field::plain("/device_type"),
        Field::sensitive("/ip"),
        Field::sensitive("/device_id"),
        Field::plain("/locale"),
    ])
}

/// A login, as its message tells it. Texts are borrowed from the body unless
/// they were written with JSON escapes.
///
/// All texts but `ip` and `device_id`, which nobody stores as they are, can be
/// stored: they hold no U+0000.
#[derive(Debug, PartialEq)]
pub struct Login<'a> {
    /// Who logged in.
    pub user_id: Cow<'a, str>,
    /// The application's version: major × 1,000,000 + minor × 1,000 + patch.
    pub app_version: i32,
    /// The kind of device.
    pub device_type: Cow<'a, str>,
    /// The address, as it was sent: not necessarily one.
    pub ip: Cow<'a, str>,
    /// The device, as it was sent.
    pub device_id: Cow<'a, str>,
    /// The locale, where there is one.
    pub locale: Option<Cow<'a, str>>,
}

impl<'a> Login<'a> {
    /// Reads a message's body.
    ///
    /// # Errors
    /// - `malformed`: no JSON text, a member given twice, or beyond what the
    ///   JSON parser reads (half a surrogate pair; a number beyond a 64-bit
    ///   float in the place of a text);
    /// - `unsupported`: JSON, and not an object with any member of a login;
    /// - `missing`, `wrong-type`, `invalid`, `out-of-range`: with the field.
    pub fn parse(body: &'a str) -> Result<Self, Rejection> {
        let mut members = Members::read(body)?;
        Ok(Self {
            user_id: storable(required(&mut members, Field::UserId)?, Field::UserId)?,
            app_version: app_version::parse(&required(&mut members, Field::AppVersion)?)
                .map_err(|reason| Field::AppVersion.rejected(reason))?,
            device_type: storable(
                required(&mut members, Field::DeviceType)?,
                Field::DeviceType,
            )?,
            ip: required(&mut members, Field::Ip)?,
            device_id: required(&mut members, Field::DeviceId)?,
            locale: optional(&mut members, Field::Locale)?
                .map(|locale| storable(locale, Field::Locale))
                .transpose()?,
        })
    }
}

/// The text of a member that must be there.
fn required<'a>(members: &mut Members<'a>, field: Field) -> Result<Cow<'a, str>, Rejection> {
    match members.take(field) {
        Some(Member::Text(text)) => Ok(text),
        Some(Member::Null | Member::Other) => Err(field.rejected(Reason::WrongType)),
        None => Err(field.rejected(Reason::Missing)),
    }
}

/// The text of a member that may be null or absent, which mean the same.
fn optional<'a>(
    members: &mut Members<'a>,
    field: Field,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    match members.take(field) {
        Some(Member::Text(text)) => Ok(Some(text)),
        Some(Member::Other) => Err(field.rejected(Reason::WrongType)),
        Some(Member::Null) | None => Ok(None),
    }
}

/// A text that PostgreSQL can store: `\u0000` is legal JSON and no legal text.
/// JSON has it as an escape only, and a text with escapes is not borrowed.
fn storable(text: Cow<'_, str>, field: Field) -> Result<Cow<'_, str>, Rejection> {
    if matches!(&text, Cow::Owned(text) if text.contains('\0')) {
        return Err(field.rejected(Reason::Invalid));
    }
    Ok(text)
}
