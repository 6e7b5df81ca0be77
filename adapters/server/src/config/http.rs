//! The section `[http]`: where the API listens, by which certificate, whom it trusts, and how much a client may.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// The API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where it listens. Without TLS it is to be reached from elsewhere through a proxy only.
    pub listen: SocketAddr,
    /// The proxies before it: addresses and networks whose word about a client's address is believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they say it.
    pub proxy_header: ProxyHeader,
    /// Whether it speaks TLS, and the certificate.
    pub tls: Tls,
    /// How much a client may.
    pub limits: Limits,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 7800).into(),
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
            tls: Tls::default(),
            limits: Limits::default(),
        }
    }
}

/// A header in which a proxy names its client. The other one is ignored: a proxy passes on what it does not know, and so
/// what its client has invented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, which nginx, Caddy and most others write.
    #[default]
    XForwardedFor,
    /// `Forwarded`, [RFC 7239](https://www.rfc-editor.org/rfc/rfc7239).
    Forwarded,
}

/// A network, such as `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

/// A text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither an address such as 127.0.0.1 nor a network such as 10.0.0.0/8 or fd00::/8"
)]
pub struct InvalidNetwork(String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let network = text.parse().or_else(|_| text.parse().map(IpAddr::into));
        let network = network.map_err(|_| InvalidNetwork(text.to_owned()))?;
        Ok(Self(network))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// How much a client may. Over its limit, it gets 429 `rate-limited`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests a second by one API key. So many may come at once, too.
    pub requests_per_s: NonZeroU32,
    /// Requests of one API key that are being answered, streams of events among them.
    pub concurrent: NonZeroU32,
    /// Refreshes of tokens a minute from one address, or from one IPv6 network of 64 bits.
    pub refreshes_per_min: NonZeroU32,
    /// Guests a minute that join by a link, from one address or one IPv6 network of 64 bits.
    pub guests_per_min: NonZeroU32,
    /// Logins to the portal a minute, right or wrong, from one address or one IPv6 network of 64 bits. Of one name four times as
    /// many are possible from all addresses together.
    pub logins_per_min: NonZeroU32,
    /// Seconds that a client may take to send a request: its head, and then its body.
    pub receive_s: NonZeroU32,
    /// Seconds until a request is answered, or the client is told to try again.
    pub answer_s: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        let limit = |limit| NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
        Self {
            requests_per_s: limit(50),
            concurrent: limit(100),
            refreshes_per_min: limit(5),
            guests_per_min: limit(30),
            logins_per_min: limit(5),
            receive_s: limit(10),
            answer_s: limit(30),
        }
    }
}

/// Whether the API speaks TLS, and by which certificate: `"off"`, `{ cert, key }` or `{ acme = { … } }`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tls {
    /// It does not.
    #[default]
    Off,
    /// By a certificate of the operator.
    Files {
        /// The certificate and those up to the authority, as PEM.
        cert: PathBuf,
        /// The private key, as PEM.
        key: PathBuf,
    },
    /// By a certificate that the server gets by itself.
    Acme(Acme),
}

/// How to get a certificate by ACME ([RFC 8555](https://www.rfc-editor.org/rfc/rfc8555)). Setting it agrees to the
/// authority's terms of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// The names that the certificate is for. The authority connects to each at port 443.
    #[serde(deserialize_with = "domains")]
    pub domains: Vec<String>,
    /// Where the authority writes to if something is wrong.
    #[serde(deserialize_with = "email")]
    pub email: String,
    /// The authority's directory; without one, Let's Encrypt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// A file with the root certificate of the authority's own API, as PEM, if no public one has signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_ca: Option<PathBuf>,
    /// The folder that keeps account, key and certificate.
    pub cache: PathBuf,
}

/// Names that an authority can prove by a connection.
fn domains<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    use serde::de::Error as _;
    let domains = Vec::<String>::deserialize(deserializer)?;
    if domains.is_empty() {
        return Err(D::Error::custom("name at least one domain"));
    }
    for domain in &domains {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if domain.parse::<IpAddr>().is_ok() || !domain.split('.').all(is_label) {
            return Err(D::Error::custom(format!(
                "{domain:?} is no domain name, such as \"rooms.example.org\"; wildcards and addresses are not possible, \
                 and names of other scripts are written with xn--"
            )));
        }
    }
    Ok(domains)
}

fn email<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let email = String::deserialize(deserializer)?;
    let is_address = |(user, host): (&str, &str)| !user.is_empty() && !host.is_empty();
    if email.rsplit_once('@').is_some_and(is_address) {
        return Ok(email);
    }
    Err(serde::de::Error::custom(format!(
        "{email:?} is no address of e-mail, such as \"admin@example.org\""
    )))
}

const TLS_SHAPE: &str =
    "\"off\", { cert = FILE, key = FILE }, or { acme = { domains, email, cache } }";

/// How [`Tls`] is written, but for `"off"`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsTable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cert: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acme: Option<Acme>,
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = Tls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(TLS_SHAPE)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Tls, E> {
                match text {
                    "off" => Ok(Tls::Off),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Tls, M::Error> {
                let table = TlsTable::deserialize(MapAccessDeserializer::new(map))?;
                match table {
                    TlsTable {
                        cert: Some(cert),
                        key: Some(key),
                        acme: None,
                    } => Ok(Tls::Files { cert, key }),
                    TlsTable {
                        cert: None,
                        key: None,
                        acme: Some(acme),
                    } => Ok(Tls::Acme(acme)),
                    _ => Err(serde::de::Error::custom(format!(
                        "this is not one of: {TLS_SHAPE}"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

impl Serialize for Tls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let table = match self.clone() {
            Self::Off => return serializer.serialize_str("off"),
            Self::Files { cert, key } => TlsTable {
                cert: Some(cert),
                key: Some(key),
                acme: None,
            },
            Self::Acme(acme) => TlsTable {
                cert: None,
                key: None,
                acme: Some(acme),
            },
        };
        table.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Http, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn tls_has_three_shapes() {
        let tls = |text: &str| read(&format!("tls = {text}")).map(|http| http.tls);
        assert_eq!(tls("\"off\""), Ok(Tls::Off));
        let files = Tls::Files {
            cert: "a.pem".into(),
            key: "b.pem".into(),
        };
        assert_eq!(tls("{ cert = \"a.pem\", key = \"b.pem\" }"), Ok(files));
        let acme = tls("{ acme = { domains = [\"a.example\"], email = \"x@y\", cache = \"c\" } }");
        assert!(
            matches!(&acme, Ok(Tls::Acme(acme)) if acme.domains == ["a.example"]),
            "{acme:?}"
        );
        for (text, says) in [
            ("\"on\"", ["line 1", "on", "cert = FILE"]),
            ("true", ["line 1", "boolean", "cert = FILE"]),
            (
                "{ cert = \"a.pem\" }",
                ["line 1", "not one of", "key = FILE"],
            ),
            (
                "{ certificate = \"a.pem\" }",
                ["line 1", "certificate", "`cert`"],
            ),
            (
                "{ acme = { domains = [], email = \"x@y\", cache = \"c\" } }",
                ["line 1", "at least one", "domain"],
            ),
            (
                "{ acme = { domains = [\"*.example\"], email = \"x@y\", cache = \"c\" } }",
                ["line 1", "*.example", "wildcards"],
            ),
            (
                "{ acme = { domains = [\"192.0.2.1\"], email = \"x@y\", cache = \"c\" } }",
                ["line 1", "192.0.2.1", "addresses"],
            ),
            (
                "{ acme = { domains = [\"a.example\"], email = \"xy\", cache = \"c\" } }",
                ["line 1", "\"xy\"", "admin@"],
            ),
            (
                "{ acme = { domains = [\"a.example\"], email = \"x@y\" } }",
                ["line 1", "cache", "missing"],
            ),
        ] {
            let error = tls(text).unwrap_err();
            for part in says {
                assert!(error.contains(part), "{error:?} lacks {part:?}");
            }
        }
    }

    #[test]
    fn what_is_printed_can_be_read() {
        for text in [
            "",
            "tls = { cert = \"a.pem\", key = \"b.pem\" }\ntrusted_proxies = [\"127.0.0.1\", \"fd00::/8\"]",
            "tls = { acme = { domains = [\"a.example\"], email = \"x@y\", directory = \"https://ca/\", cache = \"c\" } }",
            "proxy_header = \"forwarded\"\n[limits]\nconcurrent = 3",
        ] {
            let http = read(text).unwrap();
            let printed = toml::to_string(&http).unwrap();
            assert_eq!(read(&printed), Ok(http), "{printed}");
        }
    }

    #[test]
    fn networks_and_limits_are_checked() {
        let http = read("trusted_proxies = [\"10.0.0.0/8\", \"::1\"]").unwrap();
        let [ten, one] = http.trusted_proxies[..] else {
            panic!("{http:?}");
        };
        assert!(ten.contains([10, 1, 2, 3].into()) && !ten.contains([11, 0, 0, 0].into()));
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
        for (text, says) in [
            (
                "trusted_proxies = [\"10.0.0.0/33\"]",
                ["line 1", "10.0.0.0/33", "fd00::/8"],
            ),
            (
                "trusted_proxies = [\"proxy\"]",
                ["line 1", "proxy", "127.0.0.1"],
            ),
            (
                "proxy_header = \"via\"",
                ["line 1", "via", "x-forwarded-for"],
            ),
            ("[limits]\nconcurrent = 0", ["line 2", "0", "nonzero"]),
        ] {
            let error = read(text).unwrap_err();
            for part in says {
                assert!(error.contains(part), "{error:?} lacks {part:?}");
            }
        }
    }
}
