//! Where datagrams come from and go to.

use core::net::SocketAddr;

/// One way to a participant, as the embedder knows it.
///
/// ```
/// use parlour_core::server::Path;
/// let path = Path::Udp("192.0.2.7:40000".parse().unwrap());
/// assert_ne!(path.to_bytes(), Path::Stream(7).to_bytes());
/// assert!(!path.is_proven());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// Datagrams to and from this address, which anybody can forge.
    Udp(SocketAddr),
    /// A TCP or WebSocket connection, by a number that the embedder gave it and never gives to
    /// another. That it exists proves the address.
    Stream(u64),
}

impl Path {
    /// Bytes of [`to_bytes`](Self::to_bytes).
    pub const ENCODED_LEN: usize = 23;

    /// An encoding that no other path has: what a cookie's MAC covers.
    ///
    /// ```text
    ///  0        1             17        19          23
    /// +--------+-------------+---------+-----------+
    /// | kind   | address     | port    | scope     |   kind 4: IPv4, 6: IPv6, 0: stream
    /// +--------+-------------+---------+-----------+   unused bytes are 0
    /// ```
    pub fn to_bytes(&self) -> [u8; Self::ENCODED_LEN] {
        let (kind, address, port, scope) = match self {
            Self::Udp(SocketAddr::V4(v4)) => (4, u128::from(v4.ip().to_bits()), v4.port(), 0),
            Self::Udp(SocketAddr::V6(v6)) => (6, v6.ip().to_bits(), v6.port(), v6.scope_id()),
            Self::Stream(number) => (0, u128::from(*number), 0, 0),
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
        matches!(self, Self::Stream(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_encoding() {
        let paths = [
            Path::Udp("1.2.3.4:5".parse().unwrap()),
            Path::Udp("1.2.3.5:5".parse().unwrap()),
            Path::Udp("1.2.3.4:6".parse().unwrap()),
            Path::Udp("[::102:304]:5".parse().unwrap()),
            Path::Udp("[::ffff:1.2.3.4]:5".parse().unwrap()),
            Path::Udp("[fe80::1%1]:5".parse().unwrap()),
            Path::Udp("[fe80::1%2]:5".parse().unwrap()),
            Path::Stream(0x0102_0304),
            Path::Stream(u64::MAX),
        ];
        for (i, a) in paths.iter().enumerate() {
            for b in &paths[i + 1..] {
                assert_ne!(a.to_bytes(), b.to_bytes(), "{a:?} {b:?}");
            }
        }
        assert_eq!(paths[0].to_bytes()[13..19], [1, 2, 3, 4, 0, 5]);
    }
}
