//! Gets a certificate from an authority by ACME, and renews it.
//!
//! The authority checks each name by TLS-ALPN-01: it connects to port 443 and asks for the protocol `acme-tls/1`, and the
//! listener of the API shows a proof. So no second listener and no port 80 is needed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier,
    LetsEncrypt, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::tls::{Certificate, Certificates, TlsError, read};
use crate::config::Acme;
use crate::disk;
use crate::time::Timestamp;

/// The files in the folder: the key and the certificate with its chain; and the account.
const CERTIFICATE: &str = "certificate.pem";
const ACCOUNT: &str = "account.json";

/// How long an authority may take, for one step and for all.
const STEP: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90));
const PATIENCE: Duration = Duration::from_secs(300);
/// The time before the next try after failures. Authorities count failures: Let's Encrypt allows five an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// How often to look at the clock: it may jump, as when a machine was asleep.
const LOOK: Duration = Duration::from_secs(3_600);

/// Why there is no new certificate.
#[derive(Debug, Error)]
enum OrderError {
    #[error(transparent)]
    Acme(#[from] instant_acme::Error),
    #[error("the authority offers no TLS-ALPN-01 for {0}")]
    NoChallenge(String),
    #[error(
        "the authority could not verify the domains: {0}; each domain has to lead to this server at port 443"
    )]
    Refused(String),
    #[error("the authority took longer than {} s", PATIENCE.as_secs())]
    TooSlow,
    #[error("cannot make a key: {0}")]
    Key(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot read {ACCOUNT}: {0}; remove it to begin with a new account")]
    Account(serde_json::Error),
}

/// The account in its file.
#[derive(Serialize, Deserialize)]
struct Kept {
    directory: String,
    credentials: AccountCredentials,
}

/// Makes the folder, and takes the certificate that is in it, if it is for the same domains.
///
/// # Errors
/// If the folder cannot be used.
pub(super) fn load(config: &Acme, certificates: &Certificates) -> Result<(), TlsError> {
    let failed = |source| TlsError::Cache {
        path: config.cache.clone(),
        source,
    };
    fs::create_dir_all(&config.cache).map_err(failed)?;
    let path = config.cache.join(CERTIFICATE);
    if !path.exists() {
        tracing::info!(domains = ?config.domains, "there is no certificate yet: getting one");
        return Ok(());
    }
    match read(&path, &path) {
        Ok(certificate) if is_for(&certificate, config) => certificates.set(certificate),
        Ok(_) => tracing::info!("the certificate is for other domains: getting another"),
        Err(error) => tracing::warn!(%error, "the certificate cannot be used: getting another"),
    }
    Ok(())
}

fn is_for(certificate: &Certificate, config: &Acme) -> bool {
    let sorted = |names: &[String]| {
        let mut names: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
        names.sort();
        names
    };
    sorted(&certificate.domains) == sorted(&config.domains)
}

/// When to get another certificate: after two thirds of its time.
fn due(certificate: &Certificate) -> Timestamp {
    let time = certificate.expires_at.since(certificate.valid_from);
    certificate.valid_from.after(time * 2 / 3)
}

/// Gets a certificate when there is none, and another when its time comes. It does not end.
pub(super) async fn renew(config: &Acme, certificates: &Certificates) {
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = certificates
            .current()
            .map(|certificate| due(&certificate).since(Timestamp::now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            sleep(wait.min(LOOK)).await;
            continue;
        }
        let ordered = timeout(PATIENCE, order(config, certificates)).await;
        certificates.forget_proofs();
        match ordered.unwrap_or(Err(OrderError::TooSlow)) {
            Ok(certificate) => {
                tracing::info!(until = %certificate.expires_at, domains = ?config.domains, "got a certificate");
                let is_due = due(&certificate) <= Timestamp::now();
                certificates.set(certificate);
                if !is_due {
                    pause = FIRST_PAUSE;
                    continue;
                }
                tracing::error!("its time is nearly over already: is the clock right?");
            }
            Err(error) => {
                let again_s = pause.as_secs();
                tracing::error!(%error, again_s, "got no certificate");
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Gets a certificate and keeps it.
async fn order(config: &Acme, certificates: &Certificates) -> Result<Certificate, OrderError> {
    let account = account(config).await?;
    let domains = config.domains.iter().cloned().map(Identifier::Dns);
    let domains: Vec<_> = domains.collect();
    let mut order = account.new_order(&NewOrder::new(&domains)).await?;
    prove(&mut order, certificates).await?;
    let checked = order.poll_ready(&STEP).await;
    if !matches!(checked, Ok(OrderStatus::Ready)) {
        let refusals = refusals(&mut order).await?;
        return Err(match checked {
            Err(error) if refusals.is_empty() => error.into(),
            _ => OrderError::Refused(refusals),
        });
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(config.domains.clone())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&STEP).await?;
    let path = config.cache.join(CERTIFICATE);
    keep(&path, &format!("{}{chain}", key.serialize_pem()))?;
    Ok(read(&path, &path)?)
}

/// Shows the proofs of all domains, and says so.
async fn prove(order: &mut Order, certificates: &Certificates) -> Result<(), OrderError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let domain = authorization.identifier().to_string();
        let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
        let mut challenge = challenge.ok_or_else(|| OrderError::NoChallenge(domain.clone()))?;
        certificates.prove(&domain, challenge.key_authorization().digest().as_ref())?;
        challenge.set_ready().await?;
    }
    Ok(())
}

/// What the authority found wrong.
async fn refusals(order: &mut Order) -> Result<String, OrderError> {
    let mut refusals = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let domain = authorization.identifier().to_string();
        let state = authorization.refresh().await?;
        let problems = state
            .challenges
            .iter()
            .filter_map(|challenge| challenge.error.as_ref());
        refusals.extend(problems.map(|problem| format!("{domain}: {problem}")));
    }
    Ok(refusals.join("; "))
}

/// The account, made if there is none, or none at this authority.
async fn account(config: &Acme) -> Result<Account, OrderError> {
    let directory = config.directory.as_deref();
    let directory = directory.unwrap_or(LetsEncrypt::Production.url());
    let path = config.cache.join(ACCOUNT);
    if path.exists() {
        let text = fs::read_to_string(&path).map_err(|source| TlsError::Read {
            path: path.clone(),
            source,
        })?;
        let kept: Kept = serde_json::from_str(&text).map_err(OrderError::Account)?;
        if kept.directory == directory {
            return Ok(client(config)?.from_credentials(kept.credentials).await?);
        }
    }
    let contact = format!("mailto:{}", config.email);
    let new = NewAccount {
        contact: &[&contact],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, credentials) = client(config)?
        .create(&new, directory.to_owned(), None)
        .await?;
    let kept = Kept {
        directory: directory.to_owned(),
        credentials,
    };
    let text = serde_json::to_string_pretty(&kept).map_err(OrderError::Account)?;
    keep(&path, &text)?;
    Ok(account)
}

fn client(config: &Acme) -> Result<AccountBuilder, instant_acme::Error> {
    match &config.directory_ca {
        Some(path) => Account::builder_with_root(path),
        None => Account::builder(),
    }
}

/// Writes a file that only its owner may read: as a whole, or not at all.
fn keep(path: &Path, content: &str) -> Result<(), TlsError> {
    disk::replace(path, content.as_bytes()).map_err(|source| TlsError::Cache {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
