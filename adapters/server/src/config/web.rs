//! The section `[web]`: participants in browsers, and in networks that let only HTTPS out.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use url::{Host, Url};

/// Participants that come by HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// The pages that may join from a browser, besides those of the API's own origin: by https, or at an address, a name of
    /// this machine, or one that the configuration names.
    pub origins: Vec<Origin>,
    /// WebTransport; without it, browsers come by WebSocket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webtransport: Option<WebTransport>,
}

/// Where WebTransport is. With `http.tls` it shows the API's certificate; else one of its own, which browsers know by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebTransport {
    /// Where the server listens, by UDP; without it, at address and port of the API, which is TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The address that browsers are told, such as `https://rooms.example.org:7800`; without it, the host by which they have
    /// reached the API, with the port of `listen`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "address")]
    pub url: Option<String>,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Site::parse(&text) {
        Some(site) if site.scheme == "https" => Ok(Some(text.trim_end_matches('/').to_owned())),
        _ => Err(serde::de::Error::custom(format!(
            "{text:?} is no address such as \"https://rooms.example.org:7800\", without a path"
        ))),
    }
}

/// The pages of a site, as an `Origin` header names them: `https://app.example.org`, `http://localhost:*` for any port, or `*`
/// for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Pages);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pages {
    All,
    Of(Site),
    OfAnyPort { scheme: String, host: Host },
}

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) scheme: String,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl Site {
    /// Reads `scheme://host` or `scheme://host:port` of the web.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let is_web = matches!(url.scheme(), "http" | "https");
        (is_bare && is_web).then_some(())?;
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }
}

impl Origin {
    /// Whether the page at `site` is one of these; `None` is a page that does not say where it is from.
    pub(crate) fn includes(&self, site: Option<&Site>) -> bool {
        match (&self.0, site) {
            (Pages::All, _) => true,
            (Pages::Of(this), Some(site)) => this == site,
            (Pages::OfAnyPort { scheme, host }, Some(site)) => {
                (scheme, host) == (&site.scheme, &site.host)
            }
            (_, None) => false,
        }
    }

    /// Pages of this machine, wherever they are served.
    pub(super) fn local() -> Vec<Self> {
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .filter_map(|host| format!("http://{host}:*").parse().ok())
            .collect()
    }
}

/// A text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no origin, such as \"https://app.example.org\", \"http://localhost:*\" for any port, or \"*\" for all pages"
)]
pub struct InvalidOrigin(String);

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        if text == "*" {
            return Ok(Self(Pages::All));
        }
        let any_port = text.strip_suffix(":*");
        // Part of a host is no pattern.
        if any_port.unwrap_or(text).contains('*') {
            return Err(invalid());
        }
        let pages = match any_port {
            Some(any_port) => {
                let Site { scheme, host, .. } = Site::parse(any_port).ok_or_else(invalid)?;
                Pages::OfAnyPort { scheme, host }
            }
            None => Pages::Of(Site::parse(text).ok_or_else(invalid)?),
        };
        Ok(Self(pages))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pages::All => f.write_str("*"),
            Pages::Of(Site { scheme, host, port }) => write!(f, "{scheme}://{host}:{port}"),
            Pages::OfAnyPort { scheme, host } => write!(f, "{scheme}://{host}:*"),
        }
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    #[test]
    fn an_origin_is_a_site_a_host_or_all() {
        for (pages, site, expected) in [
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://A.example:443", true),
            ("https://a.example:8443", "https://a.example:8443", true),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://b.a.example", false),
            ("http://localhost:*", "http://localhost:5173", true),
            ("http://localhost:*", "https://localhost:5173", false),
            ("http://localhost:*", "http://localhost.evil.example", false),
            ("http://[::1]:*", "http://[::1]:80", true),
            ("*", "https://a.example", true),
        ] {
            let included = origin(pages).includes(Site::parse(site).as_ref());
            assert_eq!(included, expected, "{pages} {site}");
        }
        assert!(origin("*").includes(None) && !origin("https://a.example").includes(None));
    }

    #[test]
    fn what_is_no_origin_is_said() {
        for text in [
            "",
            "a.example",
            "https://",
            "ftp://a.example",
            "https://a.example/page",
            "https://a.example?x",
            "https://ann@a.example",
            "https://*.example",
            "null",
        ] {
            let error = text.parse::<Origin>().unwrap_err().to_string();
            assert!(error.contains("https://app.example.org"), "{error}");
        }
        let config = "url = \"http://a.example\"";
        let error = toml::from_str::<WebTransport>(config).unwrap_err();
        assert!(error.to_string().contains("https://rooms.example.org:7800"));
        let config = "url = \"https://a.example:7800/\"";
        let url = toml::from_str::<WebTransport>(config).unwrap().url;
        assert_eq!(url.as_deref(), Some("https://a.example:7800"));
    }

    proptest! {
        #[test]
        fn what_is_printed_can_be_read(text in "https?://[a-z]{1,8}(:[1-9][0-9]{0,3}|:\\*)?|\\*") {
            let read = origin(&text);
            prop_assert_eq!(origin(&read.to_string()), read);
        }

        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = text.parse::<Origin>();
            let _ = Site::parse(&text);
        }
    }
}
