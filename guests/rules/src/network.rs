//! An address cut down to its network, in the canonical text form: the address
//! with all bits past the prefix zero, a slash, the prefix's length.

use alloc::{format, string::String};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of an address, such as `203.0.113.0/24`. An IPv4 address in IPv6
/// clothes (`::ffff:203.0.113.7`) is cut as the IPv4 address it is: its first 48
/// bits are the same for all of them.
pub fn of(address: IpAddr, ipv4_prefix_bits: u8, ipv6_prefix_bits: u8) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => of_ipv4(address, ipv4_prefix_bits),
        IpAddr::V6(address) => of_ipv6(address, ipv6_prefix_bits),
    }
}

/// The network of an IPv4 address. At least one bit is kept.
fn of_ipv4(address: Ipv4Addr, prefix_bits: u8) -> String {
    let dropped = Ipv4Addr::BITS.saturating_sub(u32::from(prefix_bits));
    let mask = u32::MAX.checked_shl(dropped).unwrap_or(0);
    format!(
        "{}/{prefix_bits}",
        Ipv4Addr::from(u32::from(address) & mask)
    )
}

/// The network of an IPv6 address. At least one bit is kept.
fn of_ipv6(address: Ipv6Addr, prefix_bits: u8) -> String {
    let dropped = Ipv6Addr::BITS.saturating_sub(u32::from(prefix_bits));
    let mask = u128::MAX.checked_shl(dropped).unwrap_or(0);
    format!(
        "{}/{prefix_bits}",
        Ipv6Addr::from(u128::from(address) & mask)
    )
}
