//! Stateless proof of address, which a busy server requests before it spends a Diffie-Hellman operation on a stranger.

use core::fmt;

use rand_core::CryptoRngCore;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::mac::mac;
use crate::time::{Duration, Instant};
use crate::wire::ConnectionId;

/// A cookie is accepted for at least this long, and for at most twice as long.
pub const COOKIE_LIFETIME: Duration = Duration::from_secs(120);

/// Issues and checks cookies. A cookie is a MAC over the client's address and connection id, under a secret that is
/// replaced every [`COOKIE_LIFETIME`]; the previous secret stays valid for the same time.
///
/// The idea is that of the stateless cookies of [RFC 9147 §5.1](https://www.rfc-editor.org/rfc/rfc9147.html#section-5.1).
pub struct CookieJar {
    secrets: Secrets,
    rotate_at: Instant,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Secrets {
    current: [u8; 32],
    previous: [u8; 32],
}

impl CookieJar {
    /// Draws the first secrets.
    pub fn new(now: Instant, rng: &mut dyn CryptoRngCore) -> Self {
        // Nobody knows the first `previous` secret, so it accepts nothing; that saves an `Option`.
        let mut secrets = Secrets {
            current: [0; 32],
            previous: [0; 32],
        };
        rng.fill_bytes(&mut secrets.current);
        rng.fill_bytes(&mut secrets.previous);
        Self {
            secrets,
            rotate_at: now + COOKIE_LIFETIME,
        }
    }

    /// When [`CookieJar::handle_timeout`] is due. Always some instant.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        Some(self.rotate_at)
    }

    /// Replaces the secret if it is due. Call it before checking a cookie after an idle time.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut dyn CryptoRngCore) {
        if now < self.rotate_at {
            return;
        }
        self.secrets.previous = self.secrets.current;
        rng.fill_bytes(&mut self.secrets.current);
        if now >= self.rotate_at + COOKIE_LIFETIME {
            // Two lifetimes have passed: the previous secret is out of date too.
            rng.fill_bytes(&mut self.secrets.previous);
        }
        self.rotate_at = now + COOKIE_LIFETIME;
    }

    /// The cookie for a client at `address` (any unambiguous encoding of IP address and port).
    pub fn issue(&self, address: &[u8], client_id: ConnectionId) -> [u8; 16] {
        cookie(&self.secrets.current, address, client_id)
    }

    /// Whether `cookie` was issued to this client at this address within its lifetime.
    pub fn verify(&self, address: &[u8], client_id: ConnectionId, cookie: &[u8; 16]) -> bool {
        let matches = |secret| -> Choice { self::cookie(secret, address, client_id).ct_eq(cookie) };
        (matches(&self.secrets.current) | matches(&self.secrets.previous)).into()
    }
}

fn cookie(secret: &[u8; 32], address: &[u8], client_id: ConnectionId) -> [u8; 16] {
    mac(secret, b"parlourC", &[&client_id.0.to_be_bytes(), address])
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar")
            .field("rotate_at", &self.rotate_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use proptest::prelude::*;

    use super::*;
    use crate::secure::test_rng::TestRng;

    const ID: ConnectionId = ConnectionId(0x0102_0304);
    const ADDRESS: &[u8] = b"192.0.2.1:5000";
    const START: Instant = Instant::from_micros(1_000_000);

    #[test]
    fn a_cookie_lives_one_to_two_lifetimes() {
        let mut rng = TestRng::new(1);
        let mut jar = CookieJar::new(START, &mut rng);
        let due = jar.poll_timeout().unwrap();
        assert_eq!(due, START + COOKIE_LIFETIME);

        let cookie = jar.issue(ADDRESS, ID);
        jar.handle_timeout(START + Duration::from_secs(119), &mut rng);
        assert_eq!(jar.issue(ADDRESS, ID), cookie);
        jar.handle_timeout(due, &mut rng);
        assert_ne!(jar.issue(ADDRESS, ID), cookie);
        assert!(jar.verify(ADDRESS, ID, &cookie));
        jar.handle_timeout(due + COOKIE_LIFETIME, &mut rng);
        assert!(!jar.verify(ADDRESS, ID, &cookie));
    }

    #[test]
    fn after_a_long_sleep_no_old_cookie_is_good() {
        let mut rng = TestRng::new(1);
        let mut jar = CookieJar::new(START, &mut rng);
        let cookie = jar.issue(ADDRESS, ID);
        let woken = START + 2 * COOKIE_LIFETIME;
        jar.handle_timeout(woken, &mut rng);
        assert!(!jar.verify(ADDRESS, ID, &cookie));
        assert_eq!(jar.poll_timeout(), Some(woken + COOKIE_LIFETIME));
    }

    #[test]
    fn another_jar_accepts_nothing() {
        let cookie = CookieJar::new(START, &mut TestRng::new(1)).issue(ADDRESS, ID);
        assert!(!CookieJar::new(START, &mut TestRng::new(2)).verify(ADDRESS, ID, &cookie));
    }

    #[test]
    fn the_secrets_are_not_printed() {
        let printed = format!("{:?}", CookieJar::new(START, &mut TestRng::new(1)));
        assert!(!printed.contains("current"), "{printed}");
    }

    proptest! {
        #[test]
        fn a_cookie_is_good_for_its_client_at_its_address_only(
            address in prop::collection::vec(any::<u8>(), 0..40),
            other_address in prop::collection::vec(any::<u8>(), 0..40),
            id: u32,
            other_id: u32,
            bit in 0usize..128,
        ) {
            let jar = CookieJar::new(START, &mut TestRng::new(3));
            let cookie = jar.issue(&address, ConnectionId(id));
            prop_assert!(jar.verify(&address, ConnectionId(id), &cookie));
            prop_assert_eq!(
                jar.verify(&other_address, ConnectionId(id), &cookie),
                address == other_address
            );
            prop_assert_eq!(jar.verify(&address, ConnectionId(other_id), &cookie), id == other_id);
            let mut altered = cookie;
            altered[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!jar.verify(&address, ConnectionId(id), &altered));
        }
    }
}
