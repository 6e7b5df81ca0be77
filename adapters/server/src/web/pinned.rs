//! Certificates that no authority has signed, which browsers know by their hashes.
//!
//! A browser accepts such a certificate for WebTransport if it has an ECDSA key of P-256, is valid for at most 14 days, and the
//! page names its hash ([W3C](https://www.w3.org/TR/webtransport/#dom-webtransportoptions-servercertificatehashes)). So there
//! are always two: the one that is shown, and the next one, whose hash is told from the time on that it is made. A page that
//! has read both hashes can connect for at least [`PERIOD`].

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::WebError;
use crate::http::{Certificate, Certificates};
use crate::time::Timestamp;

/// How long a certificate is shown.
const PERIOD: Duration = Duration::from_secs(6 * DAY);
/// How long it is valid: it is made one period before it is shown. Browsers allow 14 days.
const VALIDITY: Duration = Duration::from_secs(13 * DAY);
/// How long before it is made: clocks differ.
const BEFORE: Duration = Duration::from_secs(DAY / 2);
const DAY: u64 = 86_400;

/// The hash of a certificate, as `serverCertificateHashes` wants it, but for the base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CertificateHash)]
pub(crate) struct Hash {
    /// Always `sha-256`.
    #[schema(example = "sha-256")]
    algorithm: &'static str,
    /// The hash of the certificate's DER, in base64.
    #[schema(example = "7fCwCVTJ4QjiO6Ek9fKDtVGZ7/jiZFVDJGYKTtG0wxc=")]
    value: String,
}

/// The certificates. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Pinned(Arc<State>);

#[derive(Debug)]
struct State {
    shown: Certificates,
    pair: RwLock<Pair>,
}

#[derive(Debug)]
struct Pair {
    current: Made,
    next: Made,
    /// When the next one becomes the current one.
    until: Timestamp,
}

/// A certificate with its hash.
#[derive(Debug, Clone)]
struct Made {
    certificate: Certificate,
    hash: Hash,
}

impl Made {
    /// One that is valid from about `now` on.
    fn new(now: Timestamp) -> Result<Self, WebError> {
        let failed = |error: rcgen::Error| WebError::Certificate(error.to_string());
        // P-256, by default.
        let key = KeyPair::generate().map_err(failed)?;
        // Browsers look at the hash, not at the name.
        let mut params = CertificateParams::new(["localhost".to_owned()]).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        let from = Duration::from_millis(now.as_millis().unsigned_abs()).saturating_sub(BEFORE);
        params.not_before = date_time_ymd(1970, 1, 1) + from;
        params.not_after = params.not_before + VALIDITY;
        let der = params.self_signed(&key).map_err(failed)?.der().clone();
        let hash = Hash {
            algorithm: "sha-256",
            value: Base64::encode_string(&Sha256::digest(&der)),
        };
        let private = PrivateKeyDer::try_from(key.serialize_der());
        let private = private.map_err(|error| WebError::Certificate(error.to_owned()))?;
        let chain: Vec<CertificateDer<'static>> = vec![der];
        let certificate = Certificate::parse(chain, private).map_err(WebError::Certificate)?;
        Ok(Self { certificate, hash })
    }
}

impl Pinned {
    /// # Errors
    /// [`WebError::Certificate`]
    pub(super) fn new(now: Timestamp) -> Result<Self, WebError> {
        let pair = Pair {
            current: Made::new(now)?,
            next: Made::new(now)?,
            until: now.after(PERIOD),
        };
        let shown = Certificates::default();
        shown.set(pair.current.certificate.clone());
        Ok(Self(Arc::new(State {
            shown,
            pair: RwLock::new(pair),
        })))
    }

    /// What connections are shown.
    pub(super) fn shown(&self) -> &Certificates {
        &self.0.shown
    }

    /// The hashes of the certificate that is shown and of the next one. Renewed first: a machine that was asleep has not looked
    /// at the clock.
    pub(super) fn hashes(&self, now: Timestamp) -> Vec<Hash> {
        if let Err(error) = self.renew(now) {
            tracing::error!(%error, "the former certificate stays");
        }
        let pair = self.0.pair.read().unwrap_or_else(PoisonError::into_inner);
        vec![pair.current.hash.clone(), pair.next.hash.clone()]
    }

    /// Shows the next certificate, if its time has come. It may be called at any time; twice the period late, as when the
    /// machine was asleep, it begins anew.
    ///
    /// # Errors
    /// [`WebError::Certificate`]; the former ones stay.
    pub(super) fn renew(&self, now: Timestamp) -> Result<(), WebError> {
        let mut pair = self.0.pair.write().unwrap_or_else(PoisonError::into_inner);
        if now < pair.until {
            return Ok(());
        }
        let is_late = now >= pair.until.after(PERIOD);
        let current = match is_late {
            true => Made::new(now)?,
            false => pair.next.clone(),
        };
        *pair = Pair {
            next: Made::new(now)?,
            current,
            until: match is_late {
                true => now.after(PERIOD),
                false => pair.until.after(PERIOD),
            },
        };
        self.0.shown.set(pair.current.certificate.clone());
        tracing::info!(until = %pair.until, "WebTransport shows another certificate");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn values(pinned: &Pinned, now: Timestamp) -> [String; 2] {
        let values: Vec<_> = pinned
            .hashes(now)
            .into_iter()
            .map(|hash| hash.value)
            .collect();
        values.try_into().unwrap()
    }

    #[test]
    fn a_hash_that_was_told_is_good_for_a_period() {
        let mut now = Timestamp::from_millis(1_800_000_000_000);
        let pinned = Pinned::new(now).unwrap();
        let mut told: Vec<(Timestamp, [String; 2])> = Vec::new();
        for _ in 0..40 * 24 {
            pinned.renew(now).unwrap();
            told.push((now, values(&pinned, now)));
            let current = pinned.shown().current().unwrap();
            assert!(current.valid_from < now && now < current.expires_at);
            let valid = current.expires_at.since(current.valid_from);
            assert!(valid <= Duration::from_secs(14 * DAY));
            let shown = &values(&pinned, now)[0];
            for (at, hashes) in &told {
                if now.since(*at) <= PERIOD {
                    assert!(hashes.contains(shown), "told at {at}, not shown at {now}");
                }
            }
            now = now.after(HOUR);
        }
        told.dedup_by(|one, other| one.1 == other.1);
        assert_eq!(told.len(), 7, "one for each period begun in 40 days");
    }

    #[test]
    fn a_machine_that_was_asleep_shows_no_old_certificate() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let pinned = Pinned::new(now).unwrap();
        let before = values(&pinned, now);
        let now = now.after(Duration::from_secs(30 * DAY));
        // Before anything has looked at the clock.
        assert_ne!(values(&pinned, now), before);
        let current = pinned.shown().current().unwrap();
        assert!(now.after(PERIOD) < current.expires_at);
    }
}
