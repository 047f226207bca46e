//! A policy for those who need to know where logins come from and not from
//! whom: the address is cut down to its network, and the device is dropped.
//!
//! It writes the same columns as `sha256_mask`, so one can take the other's
//! place over the same table (where `masked_device_id` takes null).

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::{format, string::String, vec::Vec};
use core::{net::IpAddr, ops::RangeInclusive};

use etl_transform::{
    Argument, Column, Description, Message, Outcome, Parameter, Policy, Reason, Refusal, Rejection,
    Row, Value, ValueType, value_of,
};
use login::{Field, Login, sent_date};
use rules::network;

etl_transform::export!(TruncateMask);

/// The policy: how many leading bits of an address are kept.
pub struct TruncateMask {
    ipv4_prefix_bits: u8,
    ipv6_prefix_bits: u8,
}

/// A parameter that is a number of leading bits.
struct PrefixBits {
    /// Its index in the description.
    index: u32,
    name: &'static str,
    default: &'static str,
    allowed: RangeInclusive<u8>,
    help: &'static str,
}

const IPV4: PrefixBits = PrefixBits {
    index: 0,
    name: "ipv4_prefix_bits",
    default: "24",
    allowed: 1..=32,
    help: "How many leading bits of an IPv4 address are kept, from 1 to 32",
};

const IPV6: PrefixBits = PrefixBits {
    index: 1,
    name: "ipv6_prefix_bits",
    default: "48",
    allowed: 1..=128,
    help: "How many leading bits of an IPv6 address are kept, from 1 to 128",
};

impl PrefixBits {
    fn describe(&self) -> Parameter {
        Parameter::with_default(self.name, self.default, self.help)
    }

    /// Reads the value given, or the default.
    fn read(&self, arguments: &[Argument]) -> Result<u8, Refusal> {
        let value = value_of(arguments, self.name).unwrap_or(self.default);
        // `parse` takes a leading plus sign, which is no part of a number here.
        let digits_only = value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse() {
            Ok(bits) if digits_only && self.allowed.contains(&bits) => Ok(bits),
            _ => Err(Refusal {
                parameter: self.index,
                expected: format!(
                    "a number of bits from {} to {}",
                    self.allowed.start(),
                    self.allowed.end()
                ),
            }),
        }
    }
}

impl Policy for TruncateMask {
    fn describe() -> Description {
        Description {
            name: String::from("truncate_mask"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            columns: Vec::from([
                Column::required("user_id", ValueType::Text),
                Column::required("device_type", ValueType::Text),
                Column::required("masked_ip", ValueType::Text),
                Column::nullable("masked_device_id", ValueType::Text),
                Column::nullable("locale", ValueType::Text),
                Column::required("app_version", ValueType::Integer),
                Column::required("create_date", ValueType::Date),
            ]),
            fields: login::fields(),
            parameters: Vec::from([IPV4.describe(), IPV6.describe()]),
        }
    }

    fn configure(arguments: &[Argument]) -> Result<Self, Refusal> {
        Ok(Self {
            ipv4_prefix_bits: IPV4.read(arguments)?,
            ipv6_prefix_bits: IPV6.read(arguments)?,
        })
    }

    fn transform(&self, message: &Message) -> Outcome {
        match self.row(message) {
            Ok(row) => Outcome::Rows(Vec::from([row])),
            Err(rejection) => Outcome::Reject(rejection),
        }
    }
}

impl TruncateMask {
    /// The row of a login, its values in the order of the columns.
    fn row(&self, message: &Message) -> Result<Row, Rejection> {
        let login = Login::parse(&message.body)?;
        let create_date = sent_date(message.sent_ms)?;
        Ok(Vec::from([
            Value::Text(login.user_id.into_owned()),
            Value::Text(login.device_type.into_owned()),
            Value::Text(self.masked_ip(&login.ip)?),
            Value::Null,
            login
                .locale
                .map_or(Value::Null, |locale| Value::Text(locale.into_owned())),
            Value::Integer(i64::from(login.app_version)),
            Value::Date(create_date),
        ]))
    }

    /// The network of an address, such as `203.0.113.0/24`.
    fn masked_ip(&self, ip: &str) -> Result<String, Rejection> {
        let address: IpAddr = ip
            .parse()
            .map_err(|_| Field::Ip.rejected(Reason::Invalid))?;
        Ok(network::of(
            address,
            self.ipv4_prefix_bits,
            self.ipv6_prefix_bits,
        ))
    }
}
