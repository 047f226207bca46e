//! The database URL, read as libpq reads it: every part may be left open, and
//! every part may be percent-encoded.
//!
//! A URL that is misread puts a piece of its password somewhere else, from
//! where it could be displayed. So no error repeats any of it, and a bare `@`
//! or `/` of a password is recognised by what it leaves behind.

use anyhow::{Context, Result, bail, ensure};

use super::options::Options;

const PREFIXES: [&str; 2] = ["postgres://", "postgresql://"];

/// Takes the options out of the URL.
///
/// # Errors
/// It is no such URL; the message repeats nothing of it but option names.
pub(super) fn read(url: &str, options: &mut Options) -> Result<()> {
    let Some(rest) = PREFIXES.iter().find_map(|prefix| url.strip_prefix(prefix)) else {
        bail!("it does not start with postgres://");
    };
    let (credentials, rest) = match rest.find(['@', '/']) {
        Some(end) if rest[end..].starts_with('@') => (&rest[..end], &rest[end + 1..]),
        _ => ("", rest),
    };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    ensure!(
        !user.contains('?'),
        "there is an @ after the ?: in an option's value write %40 for @"
    );
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    ensure!(
        !place.contains('@'),
        "there is an @ after the user and password: inside of them write %40 for @ and %2F for /"
    );
    let (servers, database) = place.split_once('/').unwrap_or((place, ""));
    for (name, value) in [("user", user), ("password", password), ("dbname", database)] {
        if !value.is_empty() {
            options.set(name, decode(value, name)?)?;
        }
    }
    read_servers(servers, options)?;
    query
        .split('&')
        .filter(|option| !option.is_empty())
        .try_for_each(|option| read_option(option, options))
}

fn read_servers(servers: &str, options: &mut Options) -> Result<()> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for server in servers.split(',') {
        let (host, port) = match server.strip_prefix('[') {
            Some(address) => {
                let (host, rest) = address
                    .split_once(']')
                    .context("an IPv6 address lacks its ]")?;
                let port = rest.strip_prefix(':');
                ensure!(
                    port.is_some() || rest.is_empty(),
                    "an IPv6 address is followed by something else than a port"
                );
                (host, port.unwrap_or(""))
            }
            None => server.split_once(':').unwrap_or((server, "")),
        };
        hosts.push(host);
        ports.push(port);
    }
    let (hosts, ports) = (hosts.join(","), ports.join(","));
    // As with libpq, a list of hosts gives each its port, if only the default.
    for (name, list) in [("host", hosts), ("port", ports)] {
        if !list.is_empty() {
            options.set(name, decode(&list, name)?)?;
        }
    }
    Ok(())
}

fn read_option(option: &str, options: &mut Options) -> Result<()> {
    let (name, value) = option
        .split_once('=')
        .context("an option lacks its = and value")?;
    let name = decode(name, "an option's name")?;
    let value = decode(value, &name)?;
    match (name.as_str(), value.as_str()) {
        // What JDBC users write, taken by libpq as well.
        ("ssl", "true") => options.set("sslmode", "require".into()),
        _ => options.set(&name, value),
    }
}

/// Undoes the percent-encoding. Unlike in a form, a plus stands for itself.
fn decode(text: &str, what: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next())
                .zip(digit(rest.next()))
                .map(|(high, low)| high * 16 + low)
                .filter(|byte| *byte != 0)
                .with_context(|| {
                    format!(
                        "{what}: a % is not followed by two hexadecimal digits; write %25 for %"
                    )
                })?,
            byte => byte,
        });
    }
    String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("{what} is not UTF-8"))
}

fn digit(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Options {
        let mut options = Options::default();
        read(url, &mut options).unwrap();
        options
    }

    #[track_caller]
    fn assert_options(url: &str, expected: &[(&str, &str)]) {
        let options = options(url);
        for name in ["user", "password", "host", "port", "dbname", "sslmode"] {
            let expected = expected.iter().find(|(wanted, _)| *wanted == name);
            assert_eq!(
                options.get(name),
                expected.map(|(_, value)| *value),
                "{name} of {url}"
            );
        }
    }

    #[test]
    fn each_part_may_be_left_open() {
        assert_options("postgres://", &[]);
        assert_options("postgresql:///logins", &[("dbname", "logins")]);
        assert_options("postgres://db.example", &[("host", "db.example")]);
        assert_options(
            "postgres://u:p@db.example:6432/logins?sslmode=verify-full",
            &[
                ("user", "u"),
                ("password", "p"),
                ("host", "db.example"),
                ("port", "6432"),
                ("dbname", "logins"),
                ("sslmode", "verify-full"),
            ],
        );
        assert_options("postgres://u@/x", &[("user", "u"), ("dbname", "x")]);
        assert_options(
            "postgres://h?sslmode=disable&",
            &[("host", "h"), ("sslmode", "disable")],
        );
    }

    #[test]
    fn every_part_is_percent_decoded_once() {
        assert_options(
            "postgres://us%40r:p%2Fw%3a%25+ö@%2Frun%2Fpg/l%20g?ssl%6Dode=verify%2Dca",
            &[
                ("user", "us@r"),
                ("password", "p/w:%+ö"),
                ("host", "/run/pg"),
                ("dbname", "l g"),
                ("sslmode", "verify-ca"),
            ],
        );
        // libpq looks for the end of the password only.
        assert_options(
            "postgres://u:a?b:c@h",
            &[("user", "u"), ("password", "a?b:c"), ("host", "h")],
        );
    }

    #[test]
    fn several_servers_keep_their_ports() {
        assert_options(
            "postgres://a,b/x",
            &[("host", "a,b"), ("port", ","), ("dbname", "x")],
        );
        assert_options(
            "postgres://[::1]:1,[fe80::1],c:3",
            &[("host", "::1,fe80::1,c"), ("port", "1,,3")],
        );
    }

    #[test]
    fn a_later_option_wins_and_ssl_true_requires_tls() {
        assert_options(
            "postgres://a:1/x?port=9&ssl=true",
            &[
                ("host", "a"),
                ("port", "9"),
                ("dbname", "x"),
                ("sslmode", "require"),
            ],
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_being_repeated() {
        for url in [
            "mysql://canary@h/x",
            "canary",
            "postgres://u:can@ary@h/x",
            "postgres://u:12/canary@h/x",
            "postgres://u:%canary@h/x",
            "postgres://u:canary%00@h/x",
            "postgres://u:canary%ff@h/x",
            "postgres://h?user=u&password=can@ary",
            "postgres://[::canary/x",
            "postgres://[::1]canary/x",
            "postgres://h/x?canary",
            "postgres://h/x?CANARY=canary",
            "postgres://h/x?sslmode=canary%",
        ] {
            let error = read(url, &mut Options::default()).err();
            let shown = format!("{:#}", error.expect(url));
            let shown = shown.to_lowercase();
            assert!(!shown.contains("can"), "{url}: {shown}");
        }
    }
}
