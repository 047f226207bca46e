//! Invented logins, the same in each run.

/// The n-th login, some 170 bytes of JSON, no two alike. Addresses are of
/// RFC 5737, devices are numbers that no authority gives.
pub fn body(n: usize) -> String {
    let user = format!("{:032x}", digits(n, 1 << 127));
    let (a, b, c) = (&user[..8], &user[8..12], &user[12..16]);
    let (d, e) = (&user[16..20], &user[20..]);
    let network = ["192.0.2", "198.51.100", "203.0.113"][n % 3];
    let ip = 1 + digits(n, 254);
    let (version, device) = (n % 10, ["android", "ios"][n % 2]);
    let locale = [r#""DE""#, r#""PT""#, "null"][n / 2 % 3];
    let (area, group, serial) = (n % 100, 1 + n % 49, digits(n, 9_999));
    format!(
        r#"{{"user_id":"{a}-{b}-{c}-{d}-{e}","app_version":"2.{version}.0","device_type":"{device}","ip":"{network}.{ip}","locale":{locale},"device_id":"9{area:02}-{group:02}-{serial:04}"}}"#
    )
}

/// A number below the bound that follows from `n` and looks like any other.
pub fn digits(n: usize, bound: u128) -> u128 {
    let mixed = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (mixed ^ mixed >> 64) % bound
}
