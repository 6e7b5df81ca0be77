//! Logins of the portal: passwords, and who is logged in, in memory.
//!
//! A login is a cookie of 256 random bits. Tables and memory hold its hash only, and the CSRF token is made of the cookie, so that
//! neither a copy of the database nor a look at another page's requests gives one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, PasswordHash};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::auth::{is_same_secret, random_secret};
use crate::store::LoginRow;
use crate::time::Timestamp;

/// How long a login is valid.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 3_600);
/// Passwords that are hashed at a time: each takes 19 MiB and some 20 ms of a core.
const AT_ONCE: usize = 2;
/// Characters of a password.
pub(crate) const PASSWORD: std::ops::RangeInclusive<usize> = 10..=256;

/// Whether admins may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=32).contains(&name.len()) && name.chars().all(is_plain)
}

/// The actor of what an admin does: no key has such an id.
pub(crate) fn actor(admin: &str) -> String {
    format!("admin:{admin}")
}

fn hash(parts: [&str; 2]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    Base64UrlUnpadded::encode_string(&hash.finalize())
}

/// What the cookie of a login holds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Cookie(String);

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie")
    }
}

impl Cookie {
    pub(crate) fn random() -> Self {
        Self(random_secret("plg_"))
    }

    pub(crate) fn new(value: &str) -> Self {
        Self(value.to_owned())
    }

    pub(crate) fn value(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> String {
        hash(["login", &self.0])
    }

    /// What has to stand in the header of a request that changes something.
    pub(crate) fn csrf_token(&self) -> String {
        hash(["csrf", &self.0])
    }

    /// Whether `token` is the CSRF token.
    pub(crate) fn has_csrf_token(&self, token: &str) -> bool {
        is_same_secret(&self.csrf_token(), token)
    }
}

/// Who is logged in.
#[derive(Debug)]
pub(crate) struct Logins {
    by_hash: RwLock<BTreeMap<String, LoginRow>>,
    hashing: Semaphore,
}

impl Default for Logins {
    /// Nobody is.
    fn default() -> Self {
        Self {
            by_hash: RwLock::default(),
            hashing: Semaphore::new(AT_ONCE),
        }
    }
}

impl Logins {
    /// Those that the tables hold are logged in.
    pub(crate) fn fill(&self, rows: Vec<LoginRow>) {
        let rows = rows.into_iter().map(|row| (row.hash.clone(), row));
        self.change(|logins| logins.extend(rows));
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, LoginRow>)) {
        change(&mut self.by_hash.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The login of this cookie, as long as it is valid. A hash is looked up: how long that takes tells nothing of a cookie.
    pub(crate) fn find(&self, cookie: &Cookie, now: Timestamp) -> Option<LoginRow> {
        let logins = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let login = logins.get(&cookie.hash())?;
        (login.expires_at > now).then(|| login.clone())
    }

    /// Somebody is logged in from now on.
    pub(crate) fn add(&self, login: LoginRow, now: Timestamp) {
        self.change(|logins| {
            logins.retain(|_, login| login.expires_at > now);
            logins.insert(login.hash.clone(), login);
        });
    }

    /// A login is over.
    pub(crate) fn end(&self, cookie: &Cookie) {
        self.change(|logins| drop(logins.remove(&cookie.hash())));
    }

    /// All logins of an admin are over.
    pub(crate) fn end_all(&self, admin: &str) {
        self.change(|logins| logins.retain(|_, login| login.admin != admin));
    }

    /// The hash of a password, to be stored. `None` if the system gives no random bits.
    pub(crate) async fn hash_password(&self, password: String) -> Option<String> {
        self.hash(move || hash_password(&password)).await?
    }

    /// Whether a password is that of a hash. Without a hash it is not, after as long a time.
    pub(crate) async fn verify_password(&self, password: String, hash: Option<String>) -> bool {
        let verified = self.hash(move || {
            let is_known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODYS.clone());
            let hash = PasswordHash::new(&hash);
            let is_right = hash.is_ok_and(|hash| {
                let argon2 = Argon2::default();
                argon2.verify_password(password.as_bytes(), &hash).is_ok()
            });
            is_known && is_right
        });
        verified.await.unwrap_or(false)
    }

    /// Computes away from the threads that answer requests.
    async fn hash<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _turn = self.hashing.acquire().await.ok()?;
        tokio::task::spawn_blocking(compute).await.ok()
    }
}

/// A hash that takes as long as any, for names that do not exist.
static NOBODYS: LazyLock<String> =
    LazyLock::new(|| hash_password(&random_secret("")).unwrap_or_default());

fn hash_password(password: &str) -> Option<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.ok().map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(cookie: &Cookie, admin: &str, expires_at: i64) -> LoginRow {
        LoginRow {
            hash: cookie.hash(),
            admin: admin.to_owned(),
            expires_at: Timestamp::from_millis(expires_at),
        }
    }

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let logins = Logins::default();
        let hash = logins.hash_password("correct horse".to_owned()).await;
        let hash = hash.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let is_right = |password: &str, hash: Option<&String>| {
            logins.verify_password(password.to_owned(), hash.cloned())
        };
        assert!(is_right("correct horse", Some(&hash)).await);
        assert!(!is_right("correct horse ", Some(&hash)).await);
        assert!(!is_right("", Some(&hash)).await && !is_right("", None).await);
        assert!(!is_right("x", Some(&"$argon2id$".to_owned())).await);
        let again = logins.hash_password("correct horse".to_owned()).await;
        assert_ne!(again, Some(hash), "each has a salt of its own");
    }

    #[test]
    fn a_login_ends_by_its_time_by_its_bearer_and_with_its_admin() {
        let cookies = [(); 4].map(|()| Cookie::random());
        let logins = Logins::default();
        logins.fill(vec![login(&cookies[0], "anna", 10)]);
        let now = Timestamp::from_millis(9);
        let is_in = |n: usize, now| logins.find(&cookies[n], now).is_some();
        logins.add(login(&cookies[1], "anna", 20), now);
        logins.add(login(&cookies[2], "ben", 20), now);
        assert!(is_in(0, now) && is_in(1, now) && is_in(2, now) && !is_in(3, now));
        let later = Timestamp::from_millis(10);
        assert!(!is_in(0, later) && is_in(1, later));
        logins.end(&cookies[2]);
        assert!(!is_in(2, later));
        logins.end_all("anna");
        assert!(!is_in(1, later));
    }

    #[test]
    fn a_csrf_token_is_of_one_cookie_and_is_not_its_hash() {
        let (one, other) = (Cookie::random(), Cookie::random());
        assert!(one.has_csrf_token(&one.csrf_token()));
        for wrong in [&*other.csrf_token(), &*one.hash(), one.value(), ""] {
            assert!(!one.has_csrf_token(wrong));
        }
    }

    #[test]
    fn names_are_plain() {
        assert!(is_name("anna") && is_name("a.b_c-9"));
        for name in ["", "a b", "a:b", "ä", &"a".repeat(33)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
