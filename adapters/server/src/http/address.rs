//! The address of a client that comes through proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};

use crate::config::{Http, Network, ProxyHeader};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word is believed, and how they say it.
#[derive(Debug)]
pub(crate) struct Proxies {
    trusted: Vec<Network>,
    header: ProxyHeader,
}

impl Proxies {
    pub(crate) fn new(config: &Http) -> Self {
        Self {
            trusted: config.trusted_proxies.clone(),
            header: config.proxy_header,
        }
    }

    /// The client of a request that came from `peer`: the last address on its way that is not that of a trusted proxy. A
    /// proxy appends the address of its peer, so whatever the client has written stands before and is not reached. A
    /// proxy that does not know its client stands for it.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let (name, address): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ProxyHeader::XForwardedFor => (X_FORWARDED_FOR, node),
            ProxyHeader::Forwarded => (header::FORWARDED, forwarded),
        };
        let lines = headers.get_all(name).into_iter().rev();
        // A line that is no text stands for a hop that is not known.
        let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while self.trusts(client) {
            match hops.next().and_then(address) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

/// An address, perhaps with a port.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address: Option<IpAddr> = text.parse().ok().or_else(with_port).or_else(bracketed);
    address.map(|address| address.to_canonical())
}

/// The `for` of one hop: `for=192.0.2.1;proto=https`, `for="[2001:db8::1]:4711"`.
fn forwarded(hop: &str) -> Option<IpAddr> {
    let pairs = hop.split(';').filter_map(|pair| pair.split_once('='));
    let is_for = |(name, _): &(&str, &str)| name.trim().eq_ignore_ascii_case("for");
    let (_, value) = pairs.into_iter().find(is_for)?;
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    node(unquoted.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn proxies(header: ProxyHeader) -> Proxies {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"];
        Proxies {
            trusted: trusted.map(|network| network.parse().unwrap()).into(),
            header,
        }
    }

    fn client(header: ProxyHeader, peer: &str, lines: &[&str]) -> String {
        let name = match header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => header::FORWARDED,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let client = proxies(header).client(peer.parse().unwrap(), &headers);
        client.to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        for (peer, lines, expected) in [
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                &["198.51.100.1, 10.0.0.2,fd00::7 "],
                "198.51.100.1",
            ),
            ("127.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9,"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9", "ä"], "10.0.0.1"),
        ] {
            assert_eq!(
                client(ProxyHeader::XForwardedFor, peer, lines),
                expected,
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn forwarded_is_read_where_it_is_chosen() {
        for (lines, expected) in [
            (
                &["for=198.51.100.1;proto=https;by=10.0.0.1"][..],
                "198.51.100.1",
            ),
            (&["FOR=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (
                &["for=203.0.113.9, proto=http; for=198.51.100.1"],
                "198.51.100.1",
            ),
            (&["for=203.0.113.9, for=_hidden"], "10.0.0.1"),
            (&["for=\"203.0.113.9, for=198.51.100.1"], "198.51.100.1"),
            (&["by=198.51.100.1"], "10.0.0.1"),
        ] {
            assert_eq!(
                client(ProxyHeader::Forwarded, "10.0.0.1", lines),
                expected,
                "{lines:?}"
            );
        }
    }

    proptest! {
        /// What a client writes changes nothing: neither without a proxy, nor before what a proxy appends.
        #[test]
        fn a_client_cannot_choose_its_address(
            written in proptest::collection::vec("[ -~]{0,60}|[0-9a-f:.,; =\"for]{0,60}", 0..4),
            is_forwarded: bool,
        ) {
            let (header, appended) = if is_forwarded {
                (ProxyHeader::Forwarded, "for=198.51.100.1;proto=https")
            } else {
                (ProxyHeader::XForwardedFor, "198.51.100.1")
            };
            let written: Vec<&str> = written.iter().map(String::as_str).collect();
            prop_assert_eq!(client(header, "192.0.2.1", &written), "192.0.2.1");
            let mut lines = written.clone();
            lines.push(appended);
            prop_assert_eq!(client(header, "10.0.0.1", &lines), "198.51.100.1");
            let one = format!("{}, {appended}", written.join(", "));
            prop_assert_eq!(client(header, "10.0.0.1", &[&one]), "198.51.100.1");
        }
    }
}
