//! Which server a command speaks to: `parlour context`, flags and environment variables.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ask::confirm;
use super::client::{Client, Request};
use super::failure::{Exit, Failure};
use super::output::{Output, View};
use super::values::millis;

/// A server and a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// The server's URL.
    pub(crate) url: String,
    /// `<id>.<secret>` of an API key.
    pub(crate) key: String,
    /// All of a ticket but its token, as the server says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticket_base: Option<String>,
}

/// Where `serve --dev` writes its context while it runs, in its folder.
pub(crate) const DEV_FILE: &str = "parlour-dev/context.toml";

/// What the context of [`DEV_FILE`] is called.
const DEV: &str = "parlour-dev";

/// The contexts of this user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Contexts {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    contexts: BTreeMap<String, Context>,
}

impl Contexts {
    fn load() -> Result<Self, Failure> {
        Ok(read(&contexts_file()?)?.unwrap_or_default())
    }

    fn save(&self) -> Result<(), Failure> {
        write_private(&contexts_file()?, self)
    }

    fn take(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let detail =
                format!("there is no context named {name:?}; `parlour context list` lists them");
            Failure::new(Exit::NotFound, detail)
        })
    }
}

/// Where the contexts are.
pub(crate) fn contexts_file() -> Result<PathBuf, Failure> {
    let base = etcetera::choose_base_strategy();
    let base = base.context("there is no home folder for the contexts")?;
    Ok(base.config_dir().join("parlour").join("contexts.toml"))
}

/// Reads a file of TOML, if there is one.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let error = anyhow::Error::from(error);
            return Err(error
                .context(format!("cannot read {}", path.display()))
                .into());
        }
    };
    // The error would show a line of the file, which may be a key's.
    let parsed = toml::from_str(&text).map_err(|error| {
        let line = text.get(..error.span().map_or(0, |span| span.start));
        let line = line.unwrap_or_default().lines().count().max(1);
        anyhow::anyhow!("{}, line {line}: {}", path.display(), error.message())
    });
    Ok(Some(parsed?))
}

/// Writes a file that only this user can read: whole, or not at all.
pub(crate) fn write_private(path: &Path, content: &impl Serialize) -> Result<(), Failure> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // It is made with mode 0600 under a name of its own.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let text = toml::to_string(content).map_err(std::io::Error::other)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        std::io::Result::Ok(())
    };
    Ok(write().with_context(|| format!("cannot write {}", path.display()))?)
}

/// The server to speak to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The server's URL, instead of a context's.
    #[arg(long, global = true, env = "PARLOUR_URL", value_name = "URL")]
    url: Option<String>,
    /// The API key, `<id>.<secret>`, instead of a context's.
    #[arg(
        long,
        global = true,
        env = "PARLOUR_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    key: Option<String>,
    /// The context to use, instead of that of `serve --dev` in this folder, or the current one.
    #[arg(long, global = true, env = "PARLOUR_CONTEXT", value_name = "NAME")]
    context: Option<String>,
    /// For how long a request may take, with all its tries.
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = patience)]
    request_timeout: Duration,
}

fn patience(text: &str) -> Result<Duration, String> {
    let millis = millis(text)?;
    match u64::try_from(millis) {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err("more than nothing is needed".to_owned()),
    }
}

/// Where a context was found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Flags,
    Dev,
    Named(String),
}

impl Connection {
    /// A client for the server.
    ///
    /// # Errors
    /// If none is named.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.client_for(&self.find()?.1)
    }

    fn client_for(&self, context: &Context) -> Result<Client, Failure> {
        Client::new(&context.url, &context.key, self.request_timeout)
    }

    /// The server and its key.
    ///
    /// # Errors
    /// If none is named.
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        Ok(self.find()?.1)
    }

    fn find(&self) -> Result<(Source, Context), Failure> {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let (url, key) = (given(&self.url), given(&self.key));
        if let (Some(url), Some(key)) = (&url, &key) {
            let context = Context {
                url: url.clone(),
                key: key.clone(),
                ticket_base: None,
            };
            return Ok((Source::Flags, context));
        }
        let found = self.configured(given(&self.context))?;
        let Some((source, mut context)) = found else {
            let detail = match (url, key) {
                (Some(_), None) => "there is no key: give --key, too, or set PARLOUR_KEY",
                (None, Some(_)) => "there is no server: give --url, too, or set PARLOUR_URL",
                _ => {
                    "no server is named: start `parlour serve --dev` in this folder, or use `parlour context add`, \
                     or set PARLOUR_URL and PARLOUR_KEY"
                }
            };
            return Err(Failure::new(Exit::Usage, detail));
        };
        if let Some(url) = url.filter(|url| *url != context.url) {
            let detail = format!(
                "the context's key is for {}: give --key for {url}, too",
                context.url
            );
            return Err(Failure::new(Exit::Usage, detail));
        }
        if let Some(key) = key {
            context.key = key;
        }
        Ok((source, context))
    }

    fn configured(&self, name: Option<String>) -> Result<Option<(Source, Context)>, Failure> {
        if name.as_deref().is_none_or(|name| name == DEV)
            && let Some(context) = read(Path::new(DEV_FILE))?
        {
            return Ok(Some((Source::Dev, context)));
        }
        let contexts = Contexts::load()?;
        let Some(name) = name.or_else(|| contexts.current.clone()) else {
            return Ok(None);
        };
        let context = contexts.take(&name)?.clone();
        Ok(Some((Source::Named(name), context)))
    }

    /// All of a ticket but its token: as the context has it, else as the server says it, which the context then keeps.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub(crate) async fn ticket_base(&self) -> Result<String, Failure> {
        let (source, context) = self.find()?;
        if let Some(base) = context.ticket_base {
            return Ok(base);
        }
        let client = self.client_for(&context)?;
        let server = client.send(&Request::get("v1/server")).await?;
        let base = server["ticket_base"].as_str().map(str::to_owned);
        let base = base.context("the server does not say how its tickets begin")?;
        if let Source::Named(name) = source {
            let mut contexts = Contexts::load()?;
            if let Some(kept) = contexts.contexts.get_mut(&name) {
                kept.ticket_base = Some(base.clone());
                contexts.save()?;
            }
        }
        Ok(base)
    }
}

/// Servers and their keys, by names.
///
/// A command takes its server from `--url` and `--key`, which may also stand in PARLOUR_URL and PARLOUR_KEY; else from the context
/// that `--context` names; else from the `serve --dev` that runs in this folder; else from the current context.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Adds a context; the first one becomes the current one.
    #[command(
        after_long_help = "Example:\n  parlour context add production --url https://rooms.example.org --key - < key"
    )]
    Add {
        /// Its name.
        name: String,
        /// The server's URL.
        #[arg(long, env = "PARLOUR_URL")]
        url: String,
        /// The API key, `<id>.<secret>`; `-` reads it from stdin, so that it is in no list of processes.
        #[arg(long, env = "PARLOUR_KEY", hide_env_values = true)]
        key: String,
        /// Makes it the current one.
        #[arg(long)]
        r#use: bool,
        /// Replaces the context of that name, if there is one.
        #[arg(long)]
        replace: bool,
    },
    /// Lists the contexts; the one in use has a star.
    #[command(after_long_help = "Example:\n  parlour context list")]
    List,
    /// Makes a context the current one.
    #[command(after_long_help = "Example:\n  parlour context use production")]
    Use {
        /// Its name.
        name: String,
    },
    /// Removes a context, with its key.
    #[command(after_long_help = "Example:\n  parlour context remove production --yes")]
    Remove {
        /// Its name.
        name: String,
        /// Does not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

impl ContextCommand {
    /// Changes or lists the contexts.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let mut contexts = Contexts::load()?;
        match self {
            Self::Add {
                name,
                url,
                key,
                r#use,
                replace,
            } => {
                if name == DEV {
                    let detail =
                        format!("{DEV:?} is the context of `serve --dev`: choose another name");
                    return Err(Failure::new(Exit::Usage, detail));
                }
                if contexts.contexts.contains_key(name) && !replace {
                    let detail = format!("there is a context named {name:?}: say --replace");
                    return Err(Failure::new(Exit::Conflict, detail));
                }
                let context = Context {
                    url: url.trim_end_matches('/').to_owned(),
                    key: key_from(key)?,
                    ticket_base: None,
                };
                // Only to see whether the URL is one.
                Client::new(&context.url, &context.key, Duration::from_secs(1))?;
                contexts.contexts.insert(name.clone(), context);
                if *r#use || contexts.current.is_none() {
                    contexts.current = Some(name.clone());
                }
                contexts.save()
            }
            Self::List => list(&contexts, output),
            Self::Use { name } => {
                contexts.take(name)?;
                contexts.current = Some(name.clone());
                contexts.save()
            }
            Self::Remove { name, yes } => {
                contexts.take(name)?;
                confirm(&format!("Removes the context {name} and its key."), *yes)?;
                contexts.contexts.remove(name);
                if contexts.current.as_ref() == Some(name) {
                    contexts.current = None;
                }
                contexts.save()
            }
        }
    }
}

fn key_from(given: &str) -> Result<String, Failure> {
    let mut key = given.to_owned();
    if given == "-" {
        key.clear();
        let read = std::io::stdin().read_to_string(&mut key);
        read.context("cannot read the key from stdin")?;
    }
    let key = key.trim();
    match split_key(key) {
        Some(_) => Ok(key.to_owned()),
        None => Err(Failure::new(Exit::Usage, NOT_A_KEY)),
    }
}

/// What to say of a text that is no key.
pub(crate) const NOT_A_KEY: &str = "the key is none: it is <id>.<secret>, as `parlour serve` prints it, or `parlour key create` in two parts";

/// Id and secret of a key.
pub(crate) fn split_key(key: &str) -> Option<(&str, &str)> {
    let (id, secret) = key.split_once('.')?;
    (!id.is_empty() && !secret.is_empty()).then_some((id, secret))
}

fn list(contexts: &Contexts, output: &Output) -> Result<(), Failure> {
    let dev: Option<Context> = read(Path::new(DEV_FILE))?;
    let used = match &dev {
        Some(_) => Some(DEV),
        None => contexts.current.as_deref(),
    };
    let dev = dev.iter().map(|context| (DEV, context));
    let named = contexts
        .contexts
        .iter()
        .map(|(name, context)| (name.as_str(), context));
    // Not even a part of the secrets.
    let entry = |(name, context): (&str, &Context)| {
        let key = split_key(&context.key).map(|(id, _)| id);
        json!({
            "name": name,
            "in_use": if used == Some(name) { "*" } else { "" },
            "url": context.url,
            "key": key,
        })
    };
    let entries: Vec<_> = dev.chain(named).map(entry).collect();
    let view = View {
        id: "name",
        columns: &["in_use", "name", "url", "key"],
    };
    output.entries(&view, &entries)
}
