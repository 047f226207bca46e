//! An address cut down to its network, in the canonical text form: the address
//! with all bits past the prefix zero, a slash, the prefix's length.

use alloc::{format, string::String};
use core::net::{Ipv4Addr, Ipv6Addr};

/// The network of an IPv4 address. At least one bit is kept.
pub fn of_ipv4(address: Ipv4Addr, prefix_bits: u8) -> String {
    let dropped = Ipv4Addr::BITS.saturating_sub(u32::from(prefix_bits));
    let mask = u32::MAX.checked_shl(dropped).unwrap_or(0);
    format!(
        "{}/{prefix_bits}",
        Ipv4Addr::from(u32::from(address) & mask)
    )
}

/// The network of an IPv6 address. At least one bit is kept.
pub fn of_ipv6(address: Ipv6Addr, prefix_bits: u8) -> String {
    let dropped = Ipv6Addr::BITS.saturating_sub(u32::from(prefix_bits));
    let mask = u128::MAX.checked_shl(dropped).unwrap_or(0);
    format!(
        "{}/{prefix_bits}",
        Ipv6Addr::from(u128::from(address) & mask)
    )
}
