//! The certificate that the API shows, and how it changes while the server runs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::time::Timestamp;

/// By this protocol an authority asks for a proof: [RFC 8737](https://www.rfc-editor.org/rfc/rfc8737).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// Why there is no certificate to show.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check the path in `http.tls`, and who may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file has no certificate, or no private key, as PEM.
    #[error("{path} has no {what} as PEM: {detail}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// The error.
        detail: String,
    },
    /// The certificate is none, or is not that of the key.
    #[error("the certificate in {cert} and the key in {key} cannot be used: {detail}")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        detail: String,
    },
    /// The folder for certificates cannot be used.
    #[error(
        "cannot keep certificates in {path}: {source}; check the path, and who may write there"
    )]
    Cache {
        /// The folder, or a file in it.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A certificate with its key, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    key: Arc<CertifiedKey>,
    pub(crate) valid_from: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(super) domains: Vec<String>,
}

impl Certificate {
    /// A certificate with those of the authorities that lead to it, and its key, both as PEM.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, String> {
        let first = chain.first().ok_or("there is none")?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|error| error.to_string())?;
        let at = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_millis(time.timestamp().saturating_mul(1_000))
        };
        let validity = parsed.validity();
        let (valid_from, expires_at) = (at(validity.not_before), at(validity.not_after));
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let domains = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        let domains = domains.collect();
        let key =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|error| error.to_string())?;
        Ok(Self {
            key: Arc::new(key),
            valid_from,
            expires_at,
            domains,
        })
    }
}

/// Reads a certificate and its key. Both may be in one file.
///
/// # Errors
/// [`TlsError`]
pub(super) fn read(cert: &Path, key: &Path) -> Result<Certificate, TlsError> {
    let content = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Read {
            path: path.to_owned(),
            source,
        })
    };
    let missing = |path: &Path, what, detail: String| TlsError::Missing {
        path: path.to_owned(),
        what,
        detail,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content(cert)?).collect();
    let chain = chain.map_err(|error| missing(cert, "certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(missing(cert, "certificate", "there is none".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&content(key)?)
        .map_err(|error| missing(key, "private key", error.to_string()))?;
    let certificate = Certificate::parse(chain, private).map_err(|detail| TlsError::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        detail,
    })?;
    if certificate.expires_at <= Timestamp::now() {
        tracing::error!(file = %cert.display(), at = %certificate.expires_at, "the certificate has expired: clients will refuse it");
    }
    Ok(certificate)
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// The certificates that connections are shown. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificates(Arc<Shown>);

#[derive(Debug, Default)]
struct Shown {
    current: RwLock<Option<Certificate>>,
    /// For authorities that are checking names.
    proofs: RwLock<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl Certificates {
    /// Shows another certificate from the next connection on.
    pub(crate) fn set(&self, certificate: Certificate) {
        let current = self.0.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }

    pub(crate) fn current(&self) -> Option<Certificate> {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the certificate expires; `None` if there is none yet.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.current().map(|current| current.expires_at)
    }

    /// Reads the operator's files anew.
    ///
    /// # Errors
    /// [`TlsError`]; the former certificate stays.
    pub(crate) fn reload(&self, cert: &Path, key: &Path) -> Result<(), TlsError> {
        self.set(read(cert, key)?);
        Ok(())
    }

    /// Shows an authority that asks for `domain` the proof that this server is its.
    ///
    /// # Errors
    /// If the proof cannot be made.
    pub(super) fn prove(&self, domain: &str, digest: &[u8]) -> Result<(), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([domain.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let chain = vec![params.self_signed(&key)?.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der());
        let key = key.map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        // Not `from_der`, which refuses the extension that the proof consists of.
        let key = provider().key_provider.load_private_key(key);
        let proof = CertifiedKey::new(chain, key.map_err(|_| rcgen::Error::CouldNotParseKeyPair)?);
        let proofs = self.0.proofs.write();
        let mut proofs = proofs.unwrap_or_else(PoisonError::into_inner);
        proofs.insert(domain.to_lowercase(), Arc::new(proof));
        Ok(())
    }

    /// Shows no proofs any more.
    pub(super) fn forget_proofs(&self) {
        let proofs = self.0.proofs.write();
        proofs.unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// TLS 1.2 and 1.3 with these certificates.
    ///
    /// # Errors
    /// If the cipher suites have none for them.
    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0) as _);
        config.alpn_protocols = [b"h2", &b"http/1.1"[..], ACME_TLS]
            .map(<[u8]>::to_vec)
            .into();
        Ok(Arc::new(config))
    }

    /// TLS 1.3 with these certificates, for `protocol` over QUIC.
    ///
    /// # Errors
    /// If the cipher suites have none for them.
    #[cfg(feature = "webtransport")]
    pub(crate) fn quic_config(&self, protocol: &[u8]) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0) as _);
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut protocols = hello.alpn().into_iter().flatten();
        if protocols.any(|protocol| protocol == ACME_TLS) {
            let name = hello.server_name()?.to_lowercase();
            let proofs = self.proofs.read().unwrap_or_else(PoisonError::into_inner);
            return proofs.get(&name).cloned();
        }
        let current = self.current.read();
        let current = current.unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|current| Arc::clone(&current.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_files_is_said_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let pair = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([format!("{name}.example")]).unwrap();
            let cert = params.self_signed(&key).unwrap();
            let cert = write(&format!("{name}.pem"), &cert.pem());
            (cert, write(&format!("{name}.key"), &key.serialize_pem()))
        };
        let ((cert, key), (other, other_key)) = (pair("one"), pair("other"));
        assert_eq!(read(&cert, &key).unwrap().domains, ["one.example"]);
        let empty = write("empty.pem", "");
        let broken = write(
            "broken.pem",
            "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n",
        );
        let nonsense = write(
            "nonsense.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        for (cert, key, says) in [
            (
                Path::new("nowhere.pem"),
                &*key,
                ["nowhere.pem", "No such file"],
            ),
            (
                &*cert,
                Path::new("nowhere.key"),
                ["nowhere.key", "No such file"],
            ),
            (&*empty, &*key, ["empty.pem", "no certificate"]),
            (&*broken, &*key, ["broken.pem", "no certificate"]),
            (&*nonsense, &*key, ["nonsense.pem", "cannot be used"]),
            (&*cert, &*empty, ["empty.pem", "no private key"]),
            (&*cert, &*cert, ["one.pem", "no private key"]),
            (&*other, &*key, ["other.pem", "one.key"]),
            (&*cert, &*other_key, ["one.pem", "other.key"]),
        ] {
            let error = read(cert, key).unwrap_err().to_string();
            for part in says {
                assert!(error.contains(part), "{error:?} lacks {part:?}");
            }
        }
    }
}
