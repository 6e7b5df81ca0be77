//! Where a webhook may go: to the public internet, and nowhere into the server's own network.
//!
//! A URL is looked at when it is set and at each try, and the addresses that its name resolves to at each connection
//! (`client`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;
use url::{Host, Url};

/// Bytes of a URL.
const MAX_URL: usize = 2_048;

/// Why a webhook may not go there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is no URL.
    #[error("this is no URL: {0}")]
    NotAUrl(String),
    /// It is too long.
    #[error("the URL has {0} bytes, and {MAX_URL} are possible")]
    TooLong(usize),
    /// Its content would lie open on its way.
    #[error("a webhook goes to an https:// address, so that nobody reads or changes it on its way")]
    NotHttps,
    /// A password in it would be shown to whoever reads the webhook.
    #[error(
        "a URL with a user or a password is not possible: the signature says who sends; verify it"
    )]
    Credentials,
    /// Spaces and the like, which programs read in different ways.
    #[error("a URL has no spaces, backslashes or control characters")]
    Characters,
    /// An address in a form that hides what it is.
    #[error("write the address as {0}")]
    Disguised(Ipv4Addr),
    /// It leads into the server's own network.
    #[error(
        "{0} is not a public address; set `webhooks.allow_private` in the configuration to send to it"
    )]
    Private(String),
}

/// Where webhooks may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether private addresses and plain HTTP are possible.
    pub allow_private: bool,
}

impl Rules {
    /// The URL, if a webhook may go there.
    ///
    /// # Errors
    /// [`TargetError`]
    pub fn check(self, text: &str) -> Result<Url, TargetError> {
        if text.len() > MAX_URL {
            return Err(TargetError::TooLong(text.len()));
        }
        if text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return Err(TargetError::Characters);
        }
        let url = Url::parse(text).map_err(|error| TargetError::NotAUrl(error.to_string()))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private => {}
            _ => return Err(TargetError::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let private = |host: &dyn ToString| Err(TargetError::Private(host.to_string()));
        match url.host() {
            None => return Err(TargetError::NotAUrl("it names no host".to_owned())),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let is_local = name == "localhost" || name.ends_with(".localhost");
                if is_local && !self.allow_private {
                    return private(&name);
                }
            }
            Some(Host::Ipv4(address)) => {
                // The parser reads 2130706433, 0x7f.1 and 0177.0.0.1 as addresses, as some resolvers do.
                let (_, host) = text.split_once("://").unwrap_or_default();
                let rest = host.strip_prefix(&address.to_string());
                if !rest
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?', '#']))
                {
                    return Err(TargetError::Disguised(address));
                }
                if !self.allows(address.into()) {
                    return private(&address);
                }
            }
            Some(Host::Ipv6(address)) => {
                if !self.allows(address.into()) {
                    return private(&address);
                }
            }
        }
        Ok(url)
    }

    /// Whether a webhook may go to this address.
    pub fn allows(self, address: IpAddr) -> bool {
        self.allow_private || is_public(address)
    }
}

/// Whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By the [registry](https://www.iana.org/assignments/iana-ipv4-special-registry) of special addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // This network, private, shared by providers, this machine, this link, private.
        [0 | 10 | 127, ..] | [169, 254, ..] | [192, 168, ..] => true,
        [100, b, ..] => (64..128).contains(&b),
        [172, b, ..] => (16..32).contains(&b),
        // Protocol assignments, documentation, the former relays of 6to4.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Measurements.
        [198, 18 | 19, ..] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        _ => false,
    };
    !is_special
}

/// Global unicast, but for what stands for another address or for none. All others are refused: IPv4 addresses in IPv6
/// (mapped, compatible, NAT64), local ones, multicast, and what is not given out.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Protocol assignments, with Teredo.
        [0x2001, 0..0x200, ..] => false,
        // Documentation.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // 6to4.
        [0x2002, ..] => false,
        [0x2000..0x4000, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STRICT: Rules = Rules {
        allow_private: false,
    };
    const LAX: Rules = Rules {
        allow_private: true,
    };

    #[test]
    fn public_targets_are_allowed() {
        for url in [
            "https://example.org/hooks?key=1",
            "https://example.org:8443",
            "HTTPS://EXAMPLE.ORG/",
            "https://8.8.8.8/",
            "https://8.8.8.8:444",
            "https://[2606:4700:4700::1111]:444/x",
            "https://bücher.example/",
            "https://172.15.255.255/",
            "https://172.32.0.0/",
            "https://100.63.0.1/",
            "https://100.128.0.1/",
            "https://192.0.1.1/",
            "https://223.255.255.255/",
        ] {
            assert!(STRICT.check(url).is_ok(), "{url}: {:?}", STRICT.check(url));
        }
    }

    #[test]
    fn no_disguise_of_a_private_address_is_allowed() {
        for host in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "2130706433",
            "0x7f000001",
            "017700000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "127.0.0.1.",
            "134744072",
            "8.8.2056",
            "０x7f.1",
            "１２７.0.0.1",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "[::]",
            "[::1]",
            "[::127.0.0.1]",
            "[::8.8.8.8]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[100::1]",
            "[5f00::1]",
        ] {
            let refused = STRICT.check(&format!("https://{host}/hook"));
            assert!(
                matches!(
                    refused,
                    Err(TargetError::Private(_) | TargetError::Disguised(_))
                ),
                "{host}: {refused:?}"
            );
        }
    }

    #[test]
    fn what_is_no_target_is_named() {
        use TargetError as E;
        let long = format!("https://example.org/{}", "a".repeat(MAX_URL));
        for (url, error) in [
            ("http://example.org/", E::NotHttps),
            ("ftp://example.org/", E::NotHttps),
            ("https://user@example.org/", E::Credentials),
            ("https://:secret@example.org/", E::Credentials),
            ("https://example.org@127.0.0.1/", E::Credentials),
            ("https://exa mple.org/", E::Characters),
            ("https://example.org\\@127.0.0.1/", E::Characters),
            ("https://127.0.0.1\t/", E::Characters),
            (&long, E::TooLong(long.len())),
        ] {
            assert_eq!(STRICT.check(url), Err(error), "{url}");
        }
        for url in [
            "",
            "example.org",
            "https://",
            "https://[::1",
            "https://a:99999/",
        ] {
            assert!(matches!(STRICT.check(url), Err(E::NotAUrl(_))), "{url}");
        }
    }

    #[test]
    fn where_it_is_allowed_a_webhook_stays_at_home() {
        for url in [
            "http://127.0.0.1:8000/",
            "http://localhost/",
            "https://[::1]/",
            "https://10.0.0.1/",
        ] {
            assert!(LAX.check(url).is_ok(), "{url}");
        }
        assert_eq!(LAX.check("ftp://example.org/"), Err(TargetError::NotHttps));
        assert_eq!(
            LAX.check("http://2130706433/"),
            Err(TargetError::Disguised(Ipv4Addr::LOCALHOST))
        );
    }

    proptest! {
        #[test]
        fn what_is_allowed_is_public_however_it_is_written(text in "https?://([0-9a-fx.:\\[\\]]{1,20}|.*)(/.*)?") {
            if let Ok(url) = STRICT.check(&text) {
                prop_assert_eq!(url.scheme(), "https");
                match url.host().unwrap() {
                    Host::Ipv4(address) => prop_assert!(is_public(address.into())),
                    Host::Ipv6(address) => prop_assert!(is_public(address.into())),
                    Host::Domain(_) => {}
                }
            }
        }

        #[test]
        fn nothing_that_stands_for_a_private_address_is_public(a: u8, b: u8, c: u8) {
            let inner = Ipv4Addr::new(127, a, b, c);
            let [hi, lo] = [u16::from_be_bytes([127, a]), u16::from_be_bytes([b, c])];
            prop_assert!(!is_public(inner.into()));
            prop_assert!(!is_public(inner.to_ipv6_mapped().into()));
            prop_assert!(!is_public(inner.to_ipv6_compatible().into()));
            prop_assert!(!is_public(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, hi, lo).into()));
            prop_assert!(!is_public(Ipv6Addr::new(0x2002, hi, lo, 0, 0, 0, 0, 1).into()));
        }
    }
}
