//! The configuration: a file, then environment variables.
//!
//! ```toml
//! [http]
//! listen = "127.0.0.1:7800"
//! [web]
//! origins = ["https://app.example.org"]
//! [metrics]
//! listen = "127.0.0.1:9464"
//! [media]
//! listen = "0.0.0.0:7900"
//! host = "rooms.example.org"
//! key_file = "/var/lib/parlour/parlour.key"
//! [store]
//! path = "/var/lib/parlour/parlour.db"   # or url = "postgres://parlour@localhost/parlour"
//! [rooms]
//! auto_create = false
//! ```
//!
//! `PARLOUR__MEDIA__HOST=rooms.example.org` goes before what the file says. A name that does not exist is an error.

mod compositions;
mod http;
mod recordings;
mod web;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;
use tracing_subscriber::EnvFilter;
use url::Host;

use crate::store::Place;

pub use compositions::Compositions;
pub use http::{Acme, Http, InvalidNetwork, Limits, Network, ProxyHeader, Tls};
pub use recordings::{Recordings, StorePlace};
pub(crate) use web::Site;
pub use web::{InvalidOrigin, Origin, Web, WebTransport};

/// All of it. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The API.
    pub http: Http,
    /// Participants that come by HTTP.
    pub web: Web,
    /// The rooms.
    pub media: Media,
    /// The tables.
    pub store: Tables,
    /// Settings for all rooms.
    pub rooms: Rooms,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// What is logged.
    pub log: Log,
    /// How the server shuts down.
    pub drain: Drain,
    /// How long history is kept.
    pub retention: Retention,
    /// What is sent to other servers.
    pub webhooks: Webhooks,
    /// Backups.
    pub backup: Backup,
    /// Recordings.
    pub recordings: Recordings,
    /// Compositions.
    pub compositions: Compositions,
    /// The pages for admins.
    pub portal: Portal,
}

/// The rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Where the first worker listens, by UDP and TCP; worker `n` listens `n` ports further.
    pub listen: SocketAddr,
    /// The name or address in tickets; without one, that of `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Threads that serve rooms; 0 for one per processor.
    pub workers: usize,
    /// Threads for each worker that take the sending off it.
    pub senders: usize,
    /// Where the private key is kept.
    pub key_file: PathBuf,
}

/// The tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tables {
    /// A file of SQLite.
    pub path: PathBuf,
    /// A PostgreSQL database, which then stands in the place of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Settings for all rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// Whether a room comes to exist by being joined.
    pub auto_create: bool,
}

/// Figures for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where they are served, at `/metrics`, to anybody who can connect; without it, nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or levels of parts of the program, such as `info,parlour_tokio=debug`.
    #[serde(deserialize_with = "filter")]
    pub filter: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object of JSON.
    Json,
}

fn filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let filter = String::deserialize(deserializer)?;
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(serde::de::Error::custom(format!(
            "{filter:?} is no filter, such as \"info\" or \"info,parlour_tokio=debug\": {error}"
        ))),
    }
}

/// How the server shuts down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// How long sessions may go on after the server is told to end, in seconds.
    pub timeout_s: u64,
}

/// Backups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// Where they are kept; without it, in `backups` beside the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
}

/// The pages for admins, at `/portal/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Portal {
    /// Whether admins log in with a password. Without it, everybody who reaches the server at an address of this machine may do
    /// everything, so that a server that listens elsewhere does not start.
    pub password: bool,
}

/// How long history is kept, in days. 0 is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// The events of the journal.
    pub events_days: u32,
    /// Sessions that have ended, with their participants.
    pub sessions_days: u32,
    /// The audit log.
    pub audit_days: u32,
    /// Recordings, as far as their room does not say otherwise.
    pub recordings_days: u32,
}

impl Default for Portal {
    fn default() -> Self {
        Self { password: true }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events_days: 30,
            sessions_days: 365,
            audit_days: 365,
            recordings_days: 90,
        }
    }
}

/// What is sent to other servers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Whether webhooks may go to private addresses, and by plain HTTP. Then whoever has the scope `webhooks` can reach what
    /// this machine can reach.
    pub allow_private: bool,
}

const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const ANY: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

impl Default for Media {
    fn default() -> Self {
        Self {
            listen: (ANY, 7900).into(),
            host: None,
            workers: 0,
            senders: 0,
            key_file: "parlour.key".into(),
        }
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            path: "parlour.db".into(),
            url: None,
        }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self { auto_create: true }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::default(),
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { timeout_s: 30 }
    }
}

/// Why a configuration is none.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file holds something that is not possible; the source says in which line.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The error, and its place.
        source: Box<toml::de::Error>,
    },
    /// An environment variable is not possible.
    #[error("the environment variable {name}: {detail}")]
    Variable {
        /// Its name.
        name: String,
        /// The error.
        detail: String,
    },
}

/// The environment variable with the log's filter: a short name for `PARLOUR__LOG__FILTER`.
pub const LOG_FILTER: &str = "PARLOUR_LOG";

/// How the names of environment variables begin.
const PREFIX: &str = "PARLOUR__";

impl Config {
    /// Reads the file, if one is named, and what `variables` say otherwise.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?,
            None => String::new(),
        };
        let invalid = |source| ConfigError::File {
            path: file.unwrap_or(Path::new("")).to_owned(),
            source: Box::new(source),
        };
        let config: Self = toml::from_str(&text).map_err(invalid)?;
        config.overridden(variables)
    }

    /// The same but for what `variables` say.
    ///
    /// # Errors
    /// [`ConfigError::Variable`]
    pub fn overridden(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        for (name, value) in variables {
            let place = match name.strip_prefix(PREFIX) {
                Some(place) => place.to_lowercase(),
                None if name == LOG_FILTER => "log__filter".to_owned(),
                None => continue,
            };
            let refused = |detail: String| ConfigError::Variable {
                name: name.clone(),
                detail,
            };
            let table = toml::Table::try_from(&self);
            let mut table = table.map_err(|error| refused(error.to_string()))?;
            let (sections, key) = place
                .rsplit_once("__")
                .ok_or_else(|| refused("its name is not PARLOUR__SECTION__NAME".to_owned()))?;
            let mut section = Some(&mut table);
            for name in sections.split("__") {
                let table =
                    section.map(|table| table.entry(name).or_insert(toml::Table::new().into()));
                section = table.and_then(toml::Value::as_table_mut);
            }
            let section = section.ok_or_else(|| refused(format!("{sections:?} is no section")))?;
            section.insert(key.to_owned(), value_of(value));
            self = table
                .try_into()
                .map_err(|error: toml::de::Error| refused(error.message().to_owned()))?;
        }
        Ok(self)
    }

    /// A configuration for a first try: loopback only, everything in `folder`, rooms by joining, webhooks to this machine.
    pub fn dev(folder: &Path) -> Self {
        Self {
            media: Media {
                listen: (LOOPBACK, 7900).into(),
                key_file: folder.join("parlour.key"),
                ..Media::default()
            },
            store: Tables {
                path: folder.join("parlour.db"),
                url: None,
            },
            web: Web {
                origins: Origin::local(),
                webtransport: cfg!(feature = "webtransport").then(WebTransport::default),
            },
            webhooks: Webhooks {
                allow_private: true,
            },
            portal: Portal { password: false },
            metrics: Metrics {
                listen: Some((LOOPBACK, 9464).into()),
            },
            ..Self::default()
        }
    }

    /// The names by which the server is reached, as far as the configuration says so.
    pub(crate) fn names(&self) -> Vec<Host> {
        let certified = match &self.http.tls {
            Tls::Acme(acme) => acme.domains.as_slice(),
            Tls::Off | Tls::Files { .. } => &[],
        };
        let named = certified.iter().chain(&self.media.host);
        let mut names: Vec<_> = named.filter_map(|name| Host::parse(name).ok()).collect();
        let webtransport = self.web.webtransport.as_ref();
        let url = webtransport.and_then(|webtransport| webtransport.url.as_deref());
        names.extend(url.and_then(Site::parse).map(|site| site.host));
        names
    }

    /// Where backups are kept.
    pub fn backups(&self) -> PathBuf {
        let beside = || self.store.path.with_file_name("backups");
        self.backup.folder.clone().unwrap_or_else(beside)
    }

    /// Where recordings are written before they are stored.
    pub fn spool(&self) -> PathBuf {
        let beside = || self.store.path.with_file_name("spool");
        self.recordings.spool.clone().unwrap_or_else(beside)
    }

    /// Where recordings are stored.
    pub fn recordings_store(&self) -> StorePlace {
        let beside = || StorePlace::Folder(self.store.path.with_file_name("recordings"));
        self.recordings.store.clone().unwrap_or_else(beside)
    }

    /// Where the tables are.
    pub fn place(&self) -> Place {
        match &self.store.url {
            Some(url) => Place::Postgres(url.clone()),
            None => Place::Sqlite(self.store.path.clone()),
        }
    }
}

/// A number, a flag or whatever TOML has, else a text.
fn value_of(text: String) -> toml::Value {
    let parsed: Result<toml::Table, _> = toml::from_str(&format!("value = {text}"));
    let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
    parsed.unwrap_or(toml::Value::String(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlour.toml");
        std::fs::write(&path, text).unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(&path), variables).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_go_before_the_file_and_the_file_before_defaults() {
        let text = "[media]\nhost = \"a.example\"\nworkers = 2\n[rooms]\nauto_create = true\n";
        let config = load(
            text,
            &[
                ("PARLOUR__MEDIA__HOST", "b.example"),
                ("PARLOUR__ROOMS__AUTO_CREATE", "false"),
                ("PARLOUR__STORE__URL", "postgres://x@y/z"),
                ("PARLOUR__HTTP__LIMITS__CONCURRENT", "7"),
                ("PARLOUR_LOG", "debug"),
                ("PARLOUR__HTTP__TLS", "{ cert = \"a\", key = \"b\" }"),
                ("HOME", "elsewhere"),
            ],
        )
        .unwrap();
        assert_eq!(config.media.host.as_deref(), Some("b.example"));
        assert_eq!(config.media.workers, 2);
        assert!(!config.rooms.auto_create);
        assert_eq!(config.http.limits.concurrent.get(), 7);
        assert_eq!(config.log.filter, "debug");
        assert!(matches!(config.http.tls, Tls::Files { .. }));
        assert_eq!(config.http.listen, Http::default().listen);
        assert_eq!(
            config.place(),
            Place::Postgres("postgres://x@y/z".to_owned())
        );
        assert_eq!(load("", &[]), Ok(Config::default()));
        assert_eq!(Config::load(None, []).unwrap(), Config::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, variables, says) in [
            (
                "[media]\nhots = \"x\"\n",
                &[][..],
                ["line 2", "hots", "expected one of"],
            ),
            (
                "[media]\nworkers = \"two\"\n",
                &[],
                ["line 2", "workers", "expected"],
            ),
            ("[medium]\n", &[], ["line 1", "medium", "media"]),
            (
                "[log]\nfilter = \"info,=\"\n",
                &[],
                ["line 2", "info,=", "parlour_tokio=debug"],
            ),
            (
                "[http]\ntls = \"on\"\n",
                &[],
                ["parlour.toml", "line 2", "{ cert = FILE, key = FILE }"],
            ),
            (
                "",
                &[("PARLOUR__HTTP__LISTEN__PORT", "1")],
                ["PARLOUR__HTTP__LISTEN__PORT", "http__listen", "no section"],
            ),
            ("[media\n", &[], ["parlour.toml", "line 1", "]"]),
            (
                "",
                &[("PARLOUR__MEDIA__HOTS", "x")],
                ["PARLOUR__MEDIA__HOTS", "hots", "host"],
            ),
            (
                "",
                &[("PARLOUR__MEDIA__WORKERS", "two")],
                ["PARLOUR__MEDIA__WORKERS", "string", "expected"],
            ),
            (
                "",
                &[("PARLOUR__MEDIA", "two")],
                ["PARLOUR__MEDIA", "SECTION", "NAME"],
            ),
        ] {
            let error = load(text, variables).unwrap_err();
            for part in says {
                assert!(error.contains(part), "{error:?} lacks {part:?}");
            }
        }
        let missing = Config::load(Some(Path::new("nowhere.toml")), []).unwrap_err();
        assert!(missing.to_string().contains("nowhere.toml"));
    }

    #[test]
    fn what_is_printed_can_be_read() {
        let printed = toml::to_string(&Config::default()).unwrap();
        assert_eq!(load(&printed, &[]), Ok(Config::default()));
    }
}
