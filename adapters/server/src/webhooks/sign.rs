//! Signatures as [Standard Webhooks](https://www.standardwebhooks.com) has them: HMAC-SHA256 of `id.timestamp.body`.
//!
//! ```
//! use parlour_server::time::Timestamp;
//! use parlour_server::webhooks::sign::{Headers, Secret, sign, verify};
//!
//! let secret = Secret::generate();
//! let (now, body) = (Timestamp::now(), br#"{"type": "participant.left"}"#);
//! let signature = sign(&secret, "evt_1", now, body);
//! let timestamp = now.as_secs().to_string();
//! let headers = Headers { id: "evt_1", timestamp: &timestamp, signature: &signature };
//! verify(&secret, &headers, body, now)?;
//! # Ok::<(), parlour_server::webhooks::sign::VerifyError>(())
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::{OsRng, RngCore as _};
use sha2::Sha256;
use thiserror::Error;

use crate::time::Timestamp;

/// The header with the event's id, which is the same in every try.
pub const ID: &str = "webhook-id";
/// The header with the time of the try, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";

/// How far a timestamp may be from the receiver's clock: older requests may be repetitions by an attacker.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1";
/// Bytes of a secret that is made here, and of one at most.
const LENGTH: usize = 32;
const MAX: usize = 64;

/// What sender and receiver share. As text it is `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new one, of 256 random bits.
    pub fn generate() -> Self {
        let mut secret = vec![0; LENGTH];
        OsRng.fill_bytes(&mut secret);
        Self(secret)
    }

    /// The text to give to the receiver.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", Base64::encode_string(&self.0))
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        // HMAC fills a shorter key up with zeros.
        let mut key = [0; MAX];
        key.iter_mut()
            .zip(&self.0)
            .for_each(|(to, from)| *to = *from);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a webhook's secret is `whsec_` and base64, as the server showed it when it made the webhook"
)]
pub struct NotASecret;

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let text = text.strip_prefix(PREFIX).ok_or(NotASecret)?;
        let secret = Base64::decode_vec(text).map_err(|_| NotASecret)?;
        let is_one = (1..=MAX).contains(&secret.len());
        is_one.then_some(Self(secret)).ok_or(NotASecret)
    }
}

/// The signature of a request, as a header has it. Several are joined by spaces.
pub fn sign(secret: &Secret, id: &str, at: Timestamp, body: &[u8]) -> String {
    let mac = secret.mac(id, &at.as_secs().to_string(), body);
    let signature = Base64::encode_string(&mac.finalize().into_bytes());
    format!("{VERSION},{signature}")
}

/// The headers of a request that say who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    /// [`ID`]
    pub id: &'a str,
    /// [`TIMESTAMP`]
    pub timestamp: &'a str,
    /// [`SIGNATURE`]
    pub signature: &'a str,
}

/// Why a request is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The timestamp cannot be read.
    #[error("the header `webhook-timestamp` is no number of seconds")]
    NoTimestamp,
    /// The request is old: somebody may have kept it and sent it again.
    #[error("the request is more than five minutes old; is the clock of this machine right?")]
    TooOld,
    /// The request is from the future.
    #[error(
        "the request is from more than five minutes ahead; is the clock of this machine right?"
    )]
    TooNew,
    /// No signature is the one that the secret makes of this request.
    #[error(
        "no signature matches: the secret is another one, or the body is not as it was sent, byte by byte"
    )]
    Mismatch,
}

/// Whether the bearer of `secret` sent this request not long ago. The body is the bytes as they came.
///
/// # Errors
/// [`VerifyError`]
pub fn verify(
    secret: &Secret,
    headers: &Headers<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), VerifyError> {
    let seconds: i64 = headers
        .timestamp
        .parse()
        .map_err(|_| VerifyError::NoTimestamp)?;
    let sent = Timestamp::from_millis(seconds.saturating_mul(1_000));
    // The signature does not tell fractions of a second.
    let second = Duration::from_secs(1);
    if now.since(sent) > TOLERANCE + second {
        return Err(VerifyError::TooOld);
    }
    if sent.since(now) > TOLERANCE {
        return Err(VerifyError::TooNew);
    }
    let matches = |signature: &str| {
        let signature = signature.strip_prefix(VERSION)?.strip_prefix(',')?;
        let signature = Base64::decode_vec(signature).ok()?;
        let mac = secret.mac(headers.id, headers.timestamp, body);
        mac.verify_slice(&signature).ok()
    };
    let mut signatures = headers.signature.split(' ');
    signatures.find_map(matches).ok_or(VerifyError::Mismatch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the specification.
    const EXAMPLE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_signature_is_that_of_the_specification() {
        let secret: Secret = EXAMPLE.parse().unwrap();
        let at = Timestamp::from_millis(1_614_265_330_999);
        let signature = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn an_independent_receiver_believes_it() {
        let (secret, now) = (Secret::generate(), Timestamp::now());
        let body = br#"{"type": "room.created"}"#;
        let receiver = standardwebhooks::Webhook::new(&secret.expose()).unwrap();
        let mut headers = axum::http::HeaderMap::new();
        headers.insert(ID, "evt_1".parse().unwrap());
        headers.insert(TIMESTAMP, now.as_secs().into());
        let both = [&Secret::generate(), &secret].map(|secret| sign(secret, "evt_1", now, body));
        headers.insert(SIGNATURE, both.join(" ").parse().unwrap());
        receiver.verify(body, &headers).unwrap();
        receiver.verify(b"{}", &headers).unwrap_err();
    }

    #[test]
    fn what_is_not_as_it_was_sent_is_refused() {
        let (secret, body) = (Secret::generate(), b"body");
        let sent = Timestamp::from_millis(1_000_000_000);
        let timestamp = sent.as_secs().to_string();
        let signature = sign(&secret, "evt_1", sent, body);
        let headers = Headers {
            id: "evt_1",
            timestamp: &timestamp,
            signature: &signature,
        };
        let check = |headers: Headers<'_>, body: &[u8], now| verify(&secret, &headers, body, now);
        let (minutes, moment) = (TOLERANCE, Duration::from_secs(2));
        assert_eq!(check(headers, body, sent), Ok(()));
        assert_eq!(check(headers, body, sent.after(minutes)), Ok(()));
        assert_eq!(check(headers, body, sent.before(minutes)), Ok(()));
        let (late, early) = (sent.after(minutes + moment), sent.before(minutes + moment));
        assert_eq!(check(headers, body, late), Err(VerifyError::TooOld));
        assert_eq!(check(headers, body, early), Err(VerifyError::TooNew));
        assert_eq!(check(headers, b"bodz", sent), Err(VerifyError::Mismatch));
        let other = Headers {
            id: "evt_2",
            ..headers
        };
        assert_eq!(check(other, body, sent), Err(VerifyError::Mismatch));
        let other = Headers {
            timestamp: "1000001",
            ..headers
        };
        assert_eq!(check(other, body, sent), Err(VerifyError::Mismatch));
        let other = Headers {
            timestamp: "soon",
            ..headers
        };
        assert_eq!(check(other, body, sent), Err(VerifyError::NoTimestamp));
        for cut in [
            "",
            "v1",
            "v1,",
            "v2,AAAA",
            &signature[3..],
            &signature[..20],
        ] {
            let other = Headers {
                signature: cut,
                ..headers
            };
            assert_eq!(
                check(other, body, sent),
                Err(VerifyError::Mismatch),
                "{cut}"
            );
        }
        let among = format!("v1,AAAA v2,x {signature} v1,BBBB");
        let among = Headers {
            signature: &among,
            ..headers
        };
        assert_eq!(check(among, body, sent), Ok(()));
        let stranger = Secret::generate();
        assert_eq!(
            verify(&stranger, &headers, body, sent),
            Err(VerifyError::Mismatch)
        );
    }

    #[test]
    fn a_secret_is_read_as_it_is_written_and_not_printed() {
        let secret = Secret::generate();
        assert_eq!(secret.expose().parse().as_ref(), Ok(&secret));
        assert_eq!(format!("{secret:?}"), "Secret");
        let longest = Secret(vec![7; MAX]);
        assert_eq!(longest.expose().parse(), Ok(longest));
        let too_long = Secret(vec![7; MAX + 1]).expose();
        for bad in [
            "",
            "whsec_",
            "whsec_!",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "sk_AAAA",
            &too_long,
        ] {
            assert_eq!(bad.parse::<Secret>(), Err(NotASecret), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_makes_it_panic(
            id in ".*", timestamp in "-?[0-9]{0,22}|.*", signature in "(v1,[A-Za-z0-9+/=]{0,60} ?|.){0,5}", body: Vec<u8>, now: i64,
        ) {
            let secret: Secret = EXAMPLE.parse().unwrap();
            let headers = Headers { id: &id, timestamp: &timestamp, signature: &signature };
            prop_assert!(verify(&secret, &headers, &body, Timestamp::from_millis(now)).is_err());
        }
    }
}
