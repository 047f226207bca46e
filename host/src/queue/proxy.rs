//! Proxies, as the environment names them: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY
//! and NO_PROXY, in capitals or not, read as curl reads them. An empty variable
//! is none.
//!
//! A proxy's user and password are nowhere shown. Endpoints that give the
//! machine's own credentials are asked without a proxy, as all SDKs do: they
//! are on the machine, or one step away.

use aws_smithy_http_client::proxy::ProxyConfig;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::error::QueueError;

/// Where a machine or a container gets its credentials (AWS: EC2's metadata,
/// ECS's and EKS's agents).
const CREDENTIAL_HOSTS: [&str; 5] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
];
/// The variables that name such an endpoint elsewhere.
const CREDENTIAL_VARIABLES: [&str; 2] = [
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
];

/// A proxy.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    /// How to use it. Its `Debug` shows a password, so this type has none.
    pub(super) config: Config,
    /// Its host and port, and the variable that names it, for messages.
    pub(super) place: String,
}

/// A proxy's configuration, which is not shown.
#[derive(Clone)]
pub(super) struct Config(pub(super) ProxyConfig);

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Config")
    }
}

/// Which proxy is for which address.
#[derive(Debug)]
pub(super) struct Proxies {
    pub(super) for_https: Option<Proxy>,
    pub(super) for_http: Option<Proxy>,
    /// Whether NO_PROXY exempts all, addresses in digits too.
    exempts_all: bool,
    /// Tells what else NO_PROXY exempts.
    exempting: Matcher,
    /// Endpoints of credentials: host and port, as in a URL.
    credential_endpoints: Vec<String>,
}

impl Proxies {
    /// The proxies that the variables name.
    ///
    /// # Errors
    /// A variable names no proxy that can be used.
    pub(super) fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, QueueError> {
        let first = |names: &[&'static str]| -> Option<(&'static str, String)> {
            names.iter().find_map(|name| {
                let value = variable(name)?.trim().to_owned();
                (!value.is_empty()).then_some((*name, value))
            })
        };
        let exempt = first(&["NO_PROXY", "no_proxy"]).map(|(_, rules)| rules);
        let exempt = exempt.unwrap_or_default();
        let https = first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
        let http = first(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]);
        let proxy = |named: Option<(&str, String)>| {
            named
                .map(|(name, url)| Proxy::new(name, &url, &exempt))
                .transpose()
        };
        let endpoints = CREDENTIAL_VARIABLES.iter().filter_map(|name| {
            let uri: Uri = variable(name)?.parse().ok()?;
            Some(uri.authority()?.to_string())
        });
        Ok(Self {
            for_https: proxy(https)?,
            for_http: proxy(http)?,
            exempts_all: exempt.split(',').any(|rule| rule.trim() == "*"),
            exempting: Matcher::builder()
                .all("http://any.invalid")
                .no(exempt.clone())
                .build(),
            credential_endpoints: endpoints.collect(),
        })
    }

    /// The proxy that an address is asked through.
    pub(super) fn of(&self, uri: &Uri) -> Option<&Proxy> {
        let host = uri.host()?;
        let authority = uri.authority()?.as_str();
        let gives_credentials = CREDENTIAL_HOSTS.contains(&host)
            || self.credential_endpoints.iter().any(|own| own == authority);
        if gives_credentials || self.exempts_all || self.exempting.intercept(uri).is_none() {
            return None;
        }
        match uri.scheme_str() {
            Some("https") => self.for_https.as_ref(),
            _ => self.for_http.as_ref(),
        }
    }
}

impl Proxy {
    fn new(variable: &str, url: &str, exempt: &str) -> Result<Self, QueueError> {
        // The value is not repeated: it may hold a password.
        let wrong = || {
            QueueError::configuration(format!(
                "{variable} names no proxy that can be used: expected http://HOST:PORT or \
                 http://USER:PASSWORD@HOST:PORT (https:// where the proxy itself speaks TLS), \
                 with other characters than letters and digits percent-encoded in USER and \
                 PASSWORD"
            ))
        };
        let url = match url.contains("://") {
            true => url.to_owned(),
            false => format!("http://{url}"),
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?.as_str();
        let place = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        // A password with a `/` in it would be taken for a port.
        let ends_there = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !ends_there || url.contains('@') != authority.contains('@') {
            return Err(wrong());
        }
        let config = ProxyConfig::all(uri.clone()).map_err(|_| wrong())?;
        Ok(Self {
            place: format!("{place} ({variable})"),
            config: Config(config.no_proxy(exempt)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, QueueError> {
        Proxies::new(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn place(variables: &[(&str, &str)], uri: &'static str) -> Option<String> {
        let proxies = proxies(variables).expect("proxies");
        let proxy = proxies.of(&Uri::from_static(uri));
        proxy.map(|proxy| proxy.place.clone())
    }

    const QUEUE: &str = "https://sqs.eu-central-1.amazonaws.com/";

    #[test]
    fn a_proxy_is_the_one_of_its_scheme_in_capitals_or_not() {
        let https = ("HTTPS_PROXY", "http://one:3128");
        let http = ("http_proxy", "two:3128");
        let all = ("all_proxy", "http://three:3128");
        let one = "one:3128 (HTTPS_PROXY)";
        assert_eq!(place(&[https, http], QUEUE).as_deref(), Some(one));
        let two = "two:3128 (http_proxy)";
        assert_eq!(place(&[https, http], "http://queue/").as_deref(), Some(two));
        let three = "three:3128 (all_proxy)";
        assert_eq!(place(&[http, all], QUEUE).as_deref(), Some(three));
        assert_eq!(place(&[http], QUEUE), None);
        let empty = ("HTTPS_PROXY", "");
        let lower = ("https_proxy", "http://one:3128");
        assert!(place(&[empty, lower], QUEUE).is_some());
        assert_eq!(place(&[empty], QUEUE), None);
    }

    #[test]
    fn exempt_hosts_and_endpoints_of_credentials_are_asked_themselves() {
        let all = ("ALL_PROXY", "http://proxy:3128");
        for rules in [
            ".amazonaws.com",
            "amazonaws.com",
            "*",
            "x, sqs.eu-central-1.amazonaws.com",
        ] {
            assert_eq!(place(&[all, ("NO_PROXY", rules)], QUEUE), None, "{rules}");
        }
        for rules in ["aws.com", "us-east-1.amazonaws.com", ""] {
            assert!(
                place(&[all, ("no_proxy", rules)], QUEUE).is_some(),
                "{rules}"
            );
        }
        let own = "http://10.1.2.0:9324/";
        assert_eq!(place(&[all, ("NO_PROXY", "10.0.0.0/8")], own), None);
        assert_eq!(place(&[all, ("NO_PROXY", "*")], own), None);
        for uri in [
            "http://169.254.169.254/latest",
            "http://169.254.170.2/v2",
            "http://[fd00:ec2::254]/",
        ] {
            assert_eq!(place(&[all], uri), None, "{uri}");
        }
        let agent = (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://127.0.0.1:7/v1",
        );
        assert_eq!(place(&[all, agent], "http://127.0.0.1:7/v1"), None);
        assert!(place(&[all, agent], "http://127.0.0.1:8/").is_some());
    }

    #[test]
    fn a_proxy_s_password_is_nowhere_shown() {
        let given = [("HTTPS_PROXY", "http://user:invented-secret@proxy:3128")];
        assert_eq!(
            place(&given, QUEUE).as_deref(),
            Some("proxy:3128 (HTTPS_PROXY)")
        );
        let shown = format!("{:?}", proxies(&given));
        assert!(!shown.contains("invented-secret"), "{shown}");
        for wrong in [
            "socks5://proxy:1080",
            "http://user:invented-secret/x@",
            "http://",
            "ftp://invented-secret",
        ] {
            let refused = proxies(&[("HTTPS_PROXY", wrong)]).expect_err(wrong);
            assert!(!refused.may_pass());
            let words = refused.to_string();
            assert!(
                words.contains("HTTPS_PROXY") && !words.contains("invented-secret"),
                "{words}"
            );
        }
    }
}
