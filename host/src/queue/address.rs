//! What a queue's URL says, and what else people give in its place.

use http::Uri;

use super::error::QueueError;

/// What a queue's URL is made of. Servers other than AWS's need not say where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    /// The region, in a URL of AWS.
    pub(super) region: Option<String>,
    pub(super) account: String,
    pub(super) name: String,
}

impl Address {
    /// Reads a queue's URL. `option` is the one that gives it.
    ///
    /// # Errors
    /// It is none: a name, an ARN, a URL with a space beside it.
    pub(super) fn new(url: &str, option: &str) -> Result<Self, QueueError> {
        let wrong = |words: String| Err(QueueError::configuration(format!("{option} {words}")));
        let clean = url.trim();
        if let Some(arn) = clean.strip_prefix("arn:") {
            return wrong(of_arn(arn));
        }
        if clean.is_empty() {
            return wrong("is empty: give the queue's URL".to_owned());
        }
        if clean.chars().any(char::is_whitespace) {
            return wrong("has a space within: give the queue's URL alone".to_owned());
        }
        if !clean.contains("://") {
            return wrong(match clean.contains('/') {
                true => format!("is no URL: use https://{clean}"),
                false => format!(
                    "is a queue's name: give its URL, which `aws sqs get-queue-url --queue-name \
                     {clean}` prints (https://sqs.REGION.amazonaws.com/ACCOUNT/{clean})"
                ),
            });
        }
        if clean != url {
            return wrong(format!("has a space at its end or beginning: use {clean}"));
        }
        let uri: Option<Uri> = url.parse().ok();
        let Some(uri) = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) else {
            return wrong("is no URL of http:// or https://".to_owned());
        };
        let mut steps = uri.path().rsplit('/').filter(|step| !step.is_empty());
        let Some(name) = steps.next() else {
            return wrong(format!(
                "names no queue: {url} ends before it (https://…/ACCOUNT/NAME)"
            ));
        };
        Ok(Self {
            region: uri.host().and_then(region),
            name: name.to_owned(),
            account: steps.next().unwrap_or_default().to_owned(),
        })
    }
}

/// `arn:aws:sqs:REGION:ACCOUNT:NAME`, of which the beginning is taken off.
fn of_arn(arn: &str) -> String {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        [partition, "sqs", region, account, name] => {
            let domain = match *partition {
                "aws-cn" => "amazonaws.com.cn",
                _ => "amazonaws.com",
            };
            format!("is an ARN: use https://sqs.{region}.{domain}/{account}/{name}")
        }
        _ => "is an ARN, and none of a queue: give the queue's URL".to_owned(),
    }
}

/// The region of a host of AWS: `sqs.REGION.amazonaws.com` and its forms for
/// FIPS, for both kinds of addresses, of old, and of a VPC.
fn region(host: &str) -> Option<String> {
    let labels: Vec<&str> = host.split('.').collect();
    let domain = ["amazonaws", "api"];
    let end = labels.iter().rposition(|label| domain.contains(label))?;
    let rest = labels.get(end + 1..)?;
    if !matches!(rest, ["com"] | ["com", "cn"] | ["aws"]) {
        return None;
    }
    let region = match labels.get(..end)? {
        ["sqs" | "sqs-fips", region] => region,
        [region, "queue"] => region,
        [_, "sqs", region, "vpce"] => region,
        ["queue"] => "us-east-1",
        _ => return None,
    };
    Some(region.to_owned())
}

/// Checks an endpoint that the environment gives.
///
/// # Errors
/// It has no scheme, or no host.
pub(super) fn check_endpoint(variable: &str, endpoint: &str) -> Result<(), QueueError> {
    let wrong = |words: String| {
        Err(QueueError::configuration(format!(
            "{variable} is no endpoint: {words}"
        )))
    };
    let uri: Result<Uri, _> = endpoint.parse();
    if !endpoint.contains("://") {
        return wrong(format!(
            "it lacks its scheme: use http://{endpoint} or https://{endpoint}"
        ));
    }
    match uri {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => {
            Ok(())
        }
        _ => wrong("expected http://HOST:PORT or https://HOST".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_a_url_of_aws_only() {
        for (host, found) in [
            ("sqs.eu-central-1.amazonaws.com", Some("eu-central-1")),
            ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("sqs-fips.us-east-1.amazonaws.com", Some("us-east-1")),
            ("sqs.us-west-2.api.aws", Some("us-west-2")),
            ("eu-west-1.queue.amazonaws.com", Some("eu-west-1")),
            ("queue.amazonaws.com", Some("us-east-1")),
            (
                "vpce-1a-2b.sqs.eu-west-1.vpce.amazonaws.com",
                Some("eu-west-1"),
            ),
            ("localhost", None),
            ("sqs.eu-central-1.amazonaws.com.evil.example", None),
            ("sqs.amazonaws.example", None),
        ] {
            assert_eq!(region(host).as_deref(), found, "{host}");
        }
    }

    #[test]
    fn what_is_given_in_place_of_a_url_comes_back_as_the_url() {
        let url = "https://sqs.eu-central-1.amazonaws.com/000000000007/login-queue";
        let address = Address::new(url, "--queue-url").expect("a URL");
        assert_eq!(
            (
                address.region.as_deref(),
                address.account.as_str(),
                address.name.as_str()
            ),
            (Some("eu-central-1"), "000000000007", "login-queue")
        );
        for (given, words) in [
            ("arn:aws:sqs:eu-central-1:000000000007:login-queue", url),
            ("login-queue", "--queue-name login-queue"),
            (&format!("{url} "), url),
            (&format!("\t{url}"), url),
            (
                "sqs.eu-central-1.amazonaws.com/000000000007/login-queue",
                url,
            ),
            ("", "empty"),
            ("  ", "empty"),
            ("ftp://x/1/q", "no URL of http"),
            ("https://sqs.eu-central-1.amazonaws.com", "names no queue"),
            (
                "arn:aws:sns:eu-central-1:000000000007:topic",
                "none of a queue",
            ),
            ("https://x/1/q https://x/1/r", "space within"),
        ] {
            let wrong = Address::new(given, "--queue-url").expect_err(given);
            assert!(!wrong.may_pass(), "{given}");
            let said = wrong.to_string();
            assert!(
                said.starts_with("--queue-url") && said.contains(words),
                "{given}: {said}"
            );
        }
        let own = Address::new("http://localhost:4566/000000000000/q", "--queue-url");
        assert_eq!(own.expect("a URL").region, None);
    }

    #[test]
    fn an_endpoint_has_a_scheme() {
        let check = |endpoint| check_endpoint("AWS_ENDPOINT_URL", endpoint);
        assert!(check("http://localhost:9324").is_ok());
        assert!(check("https://sqs.eu-central-1.amazonaws.com").is_ok());
        for wrong in ["localhost:9324", "127.0.0.1", "ftp://x", "http://", "://"] {
            let words = check(wrong).expect_err(wrong).to_string();
            assert!(words.contains("http://"), "{words}");
        }
    }
}
