//! The source and destination of datagrams.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// One way to a participant, as the embedder knows it.
///
/// ```
/// use parlour_core::server::Path;
/// let path = Path::udp("192.0.2.7:40000".parse().unwrap());
/// let stream = Path::Stream { id: 7, from: "192.0.2.7".parse().unwrap() };
/// assert_ne!(path.to_bytes(), stream.to_bytes());
/// assert_eq!(path.source(), stream.source());
/// assert!(stream.is_proven() && !path.is_proven());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// Datagrams.
    Udp {
        /// The other end's address, which may be forged.
        remote: SocketAddr,
        /// This end's address: the one that was asked, and that answers have to come from. `None` if the embedder's
        /// socket has no other, or cannot choose.
        local: Option<IpAddr>,
    },
    /// A TCP or WebSocket connection. Its existence proves the address.
    Stream {
        /// A number that the embedder gave it and never gives to another.
        id: u64,
        /// The other end's address, as far as the embedder knows.
        from: IpAddr,
    },
}

impl Path {
    /// Bytes of [`to_bytes`](Self::to_bytes).
    pub const ENCODED_LEN: usize = 23;

    /// Datagrams to and from `remote`, at the one address that this end has.
    pub const fn udp(remote: SocketAddr) -> Self {
        let local = None;
        Self::Udp { remote, local }
    }

    /// Whether both lead to the same socket at the other end, perhaps from different addresses of this one: knowledge
    /// of the receiver by one path holds for the other.
    pub fn has_same_remote(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Udp { remote: a, .. }, Self::Udp { remote: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }

    /// An encoding of the other end that is unique to it: the input of a cookie's MAC.
    ///
    /// ```text
    ///  0        1             17        19          23
    /// +--------+-------------+---------+-----------+
    /// | kind   | address     | port    | scope     |   kind 4: IPv4, 6: IPv6, 0: stream
    /// +--------+-------------+---------+-----------+   unused bytes are 0
    /// ```
    pub fn to_bytes(&self) -> [u8; Self::ENCODED_LEN] {
        let (kind, address, port, scope) = match self {
            Self::Udp { remote, .. } => match remote {
                SocketAddr::V4(v4) => (4, u128::from(v4.ip().to_bits()), v4.port(), 0),
                SocketAddr::V6(v6) => (6, v6.ip().to_bits(), v6.port(), v6.scope_id()),
            },
            Self::Stream { id, .. } => (0, u128::from(*id), 0, 0),
        };
        let fields = [
            &[kind][..],
            &address.to_be_bytes(),
            &port.to_be_bytes(),
            &scope.to_be_bytes(),
        ];
        let mut encoded = [0; Self::ENCODED_LEN];
        for (out, byte) in encoded.iter_mut().zip(fields.into_iter().flatten()) {
            *out = *byte;
        }
        encoded
    }

    /// Whether a packet that came this way proves that packets sent this way arrive there.
    pub const fn is_proven(&self) -> bool {
        matches!(self, Self::Stream { .. })
    }
}

/// The presumed owner of a path: one address has all its ports, any number of connections, and for IPv6 its whole
/// network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 network: the upper 64 bits.
    V6(u64),
}

impl Path {
    /// The key by which limits "from one address" count.
    pub fn source(&self) -> Source {
        let address = match self {
            Self::Udp { remote, .. } => remote.ip(),
            Self::Stream { from, .. } => *from,
        };
        match address.to_canonical() {
            IpAddr::V4(v4) => Source::V4(v4),
            IpAddr::V6(v6) => Source::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_an_address_has_its_ports_and_network() {
        let source = |address: &str| Path::udp(address.parse().unwrap()).source();
        assert_eq!(source("192.0.2.1:5"), source("192.0.2.1:6"));
        assert_eq!(source("192.0.2.1:5"), source("[::ffff:192.0.2.1]:6"));
        assert_ne!(source("192.0.2.1:5"), source("192.0.2.2:5"));
        assert_eq!(source("[2001:db8::1]:5"), source("[2001:db8::2]:5"));
        assert_ne!(source("[2001:db8::1]:5"), source("[2001:db8:0:1::1]:5"));
        let stream = |id, from: &str| Path::Stream {
            id,
            from: from.parse().unwrap(),
        };
        assert_eq!(stream(1, "192.0.2.1").source(), source("192.0.2.1:5"));
        assert_eq!(
            stream(1, "2001:db8::1").source(),
            stream(2, "2001:db8::2").source()
        );
        assert_ne!(
            stream(1, "192.0.2.1").source(),
            stream(2, "192.0.2.2").source()
        );
    }

    #[test]
    fn another_address_of_this_end_is_another_path_to_the_same_end() {
        let at = |local: &str| Path::Udp {
            remote: "192.0.2.1:5".parse().unwrap(),
            local: Some(local.parse().unwrap()),
        };
        let (a, b) = (at("203.0.113.1"), at("203.0.113.2"));
        assert_ne!(a, b);
        assert!(a.has_same_remote(&b));
        assert_eq!(a.to_bytes(), b.to_bytes());
        assert!(!a.has_same_remote(&Path::udp("192.0.2.1:6".parse().unwrap())));
    }

    #[test]
    fn every_field_of_the_other_end_is_in_the_encoding() {
        let stream = |id| Path::Stream {
            id,
            from: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let paths = [
            Path::udp("1.2.3.4:5".parse().unwrap()),
            Path::udp("1.2.3.5:5".parse().unwrap()),
            Path::udp("1.2.3.4:6".parse().unwrap()),
            Path::udp("[::102:304]:5".parse().unwrap()),
            Path::udp("[::ffff:1.2.3.4]:5".parse().unwrap()),
            Path::udp("[fe80::1%1]:5".parse().unwrap()),
            Path::udp("[fe80::1%2]:5".parse().unwrap()),
            stream(0x0102_0304),
            stream(u64::MAX),
        ];
        for (i, a) in paths.iter().enumerate() {
            for b in &paths[i + 1..] {
                assert_ne!(a.to_bytes(), b.to_bytes(), "{a:?} {b:?}");
            }
        }
        assert_eq!(paths[0].to_bytes()[13..19], [1, 2, 3, 4, 0, 5]);
    }
}
