//! A command for each operation of the API, made from a table and from the API's own description.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand, value_parser};
use reqwest::Method;
use serde_json::{Map, Value};

use super::ask::confirm;
use super::block_on;
use super::client::{Client, Request};
use super::context::Connection;
use super::failure::{Exit, Failure};
use super::output::{Format, Output, View};
use super::parameters::{Parameter, Place, openapi, parameters};

/// An operation of the API as a command. Its help and arguments come from the API's description.
#[derive(Debug)]
pub(crate) struct Verb {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    positional: &'static [&'static str],
    example: &'static str,
    deletes: bool,
    view: Option<View>,
}

impl Verb {
    /// `parlour RESOURCE name` for the operation `method path`. The example lacks `parlour`.
    pub(crate) const fn new(
        name: &'static str,
        method: &'static str,
        path: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            name,
            method,
            path,
            positional: &[],
            example,
            deletes: false,
            view: None,
        }
    }

    /// Members of the body that stand without a flag, in this order.
    pub(crate) const fn positional(mut self, members: &'static [&'static str]) -> Self {
        self.positional = members;
        self
    }

    /// It deletes what cannot be had again: the user is asked.
    pub(crate) const fn deleting(mut self) -> Self {
        self.deletes = true;
        self
    }

    /// Its answers are other things than the entries of its resource.
    pub(crate) const fn shown(mut self, view: View) -> Self {
        self.view = Some(view);
        self
    }

    /// What the API's description says of it.
    pub(crate) fn operation(&self) -> &'static Value {
        &openapi()["paths"][self.path][self.method.to_lowercase()]
    }

    /// Method and path.
    #[cfg(test)]
    pub(crate) fn operation_name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn summary(&self) -> &'static str {
        let summary = self.operation()["summary"].as_str().unwrap_or_default();
        summary.trim_end_matches('.')
    }

    fn parameters(&self) -> Vec<Parameter> {
        let is_patch = self.method == "PATCH";
        parameters(self.operation(), is_patch, self.positional)
    }

    /// Whether it is a list that comes in pages.
    fn has_pages(&self) -> bool {
        let parameters = self.operation()["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "cursor"))
    }

    fn command(&self) -> Command {
        let summary = self.summary();
        let description = self.operation()["description"].as_str().unwrap_or_default();
        let mut command = Command::new(self.name)
            .about(summary)
            .after_long_help(format!("Example:\n  parlour {}", self.example));
        if !description.is_empty() {
            command = command.long_about(format!("{summary}\n\n{description}"));
        }
        command = command.args(self.parameters().iter().flat_map(Parameter::arguments));
        if self.has_pages() {
            command = command.args([
                Arg::new("limit")
                    .long("limit")
                    .value_name("NUMBER")
                    .value_parser(value_parser!(u64).range(1..))
                    .default_value("50")
                    .help("Entries at most"),
                Arg::new("all")
                    .long("all")
                    .action(ArgAction::SetTrue)
                    .conflicts_with("limit")
                    .help("All entries"),
            ]);
        }
        if self.deletes {
            let yes = Arg::new("yes")
                .long("yes")
                .short('y')
                .action(ArgAction::SetTrue);
            command = command.arg(yes.help("Does not ask"));
        }
        command
    }
}

/// A resource of the API: a command with a verb for each operation.
pub(crate) trait Table: Send + Sync + 'static {
    /// How its entries are shown.
    const VIEW: View;
    /// The operations.
    const VERBS: &'static [Verb];
}

/// A verb of the table `T`, with what the user has given.
#[derive(Debug)]
pub(crate) struct Call<T> {
    verb: &'static Verb,
    given: Vec<(Parameter, Value)>,
    /// How many entries of a list; `None` for all.
    limit: Option<u64>,
    yes: bool,
    table: PhantomData<T>,
}

impl<T: Table> FromArgMatches for Call<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let verb = T::VERBS.iter().find(|verb| verb.name == name);
        let verb = verb.ok_or_else(missing)?;
        let parameters = verb.parameters().into_iter();
        let given = parameters.filter_map(|one| {
            let value = one.value(matches)?;
            Some((one, value))
        });
        let has_pages = verb.has_pages();
        Ok(Self {
            given: given.collect(),
            limit: (has_pages && !matches.get_flag("all"))
                .then(|| matches.get_one("limit").copied())
                .flatten(),
            yes: verb.deletes && matches.get_flag("yes"),
            table: PhantomData,
            verb,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Table> Subcommand for Call<T> {
    fn augment_subcommands(command: Command) -> Command {
        let verbs = T::VERBS.iter().map(Verb::command);
        command.subcommands(verbs).subcommand_required(true)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        T::VERBS.iter().any(|verb| verb.name == name)
    }
}

/// What a command does at a server.
pub(crate) trait Run {
    /// Does it.
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure>;
}

/// A command that asks a server.
#[derive(Debug, Args)]
pub(crate) struct Remote<C: Subcommand> {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: C,
}

impl<C: Subcommand + Run> Remote<C> {
    /// Runs it.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        block_on(self.command.run(&self.connection, output))
    }
}

impl<T: Table> Run for Call<T> {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        if self.verb.deletes {
            let named = self.given.iter().filter(|(one, _)| one.is_positional);
            let named: Vec<_> = named.map(|(_, value)| as_text(value)).collect();
            confirm(
                &format!("{}: {}.", self.verb.summary(), named.join(" ")),
                self.yes,
            )?;
        }
        let client = connection.client()?;
        let done = self.call(&client, output).await;
        done.map_err(|failure| {
            failure.with_arguments(|pointer| {
                let member = pointer.trim_start_matches('/').split('/').next();
                let parameters = self.verb.parameters();
                let of = parameters
                    .iter()
                    .find(|one| Some(one.member.as_str()) == member);
                of.map(Parameter::written)
            })
        })
    }
}

impl<T: Table> Call<T> {
    fn view(&self) -> &View {
        self.verb.view.as_ref().unwrap_or(&T::VIEW)
    }

    fn path_values(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_path = self
            .given
            .iter()
            .filter(|(one, _)| one.place == Place::Path);
        of_path.map(|(one, value)| (one.member.as_str(), value.as_str().unwrap_or_default()))
    }

    async fn call(&self, client: &Client, output: &Output) -> Result<(), Failure> {
        let mut request = Request::new(
            self.verb.method.parse().unwrap_or(Method::GET),
            self.path(client).await?,
        );
        let mut body = Map::new();
        for (parameter, value) in &self.given {
            let member = parameter.member.clone();
            match (parameter.place, value) {
                (Place::Path, _) => {}
                (Place::Query, Value::Array(values)) => {
                    let each = values.iter().map(|value| (member.clone(), as_text(value)));
                    request.query.extend(each);
                }
                (Place::Query, value) => request.query.push((member, as_text(value))),
                (Place::Body, value) => drop(body.insert(member, value.clone())),
            }
        }
        if self.verb.operation()["requestBody"].is_object() {
            request.body = Some(Value::Object(body));
        }
        if self.verb.has_pages() {
            return self.pages(client, request, output).await;
        }
        match client.send(&request).await? {
            Value::Null => Ok(()),
            answer => match answer["data"].as_array() {
                Some(entries) if answer.get("next_cursor").is_some() => {
                    output.entries(self.view(), entries)
                }
                _ => output.entry(self.view(), &answer),
            },
        }
    }

    /// The parts of the path. A session may be given by its room.
    async fn path(&self, client: &Client) -> Result<Vec<String>, Failure> {
        let mut parts = Vec::new();
        for part in self.verb.path.trim_start_matches('/').split('/') {
            let member = part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'));
            let Some(member) = member else {
                parts.push(part.to_owned());
                continue;
            };
            let value = self.path_values().find(|(name, _)| *name == member);
            let value = value.map_or("", |(_, value)| value);
            parts.push(match member {
                "session" if !is_session(value) => client.session_of(value).await?,
                _ => value.to_owned(),
            });
        }
        Ok(parts)
    }

    /// Follows the cursors of a list.
    async fn pages(
        &self,
        client: &Client,
        mut request: Request,
        output: &Output,
    ) -> Result<(), Failure> {
        /// The most that the API gives at a time.
        const PAGE: u64 = 200;
        let filters = request.query.clone();
        let mut missing = self.limit;
        let mut collected = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            request.query.clone_from(&filters);
            let size = missing.map_or(PAGE, |missing| missing.min(PAGE));
            request.query.push(("limit".to_owned(), size.to_string()));
            request
                .query
                .extend(cursor.take().map(|cursor| ("cursor".to_owned(), cursor)));
            let mut page = client.send(&request).await?;
            let Value::Array(entries) = page["data"].take() else {
                let detail = "the server's list is none: is it a Parlour server of this version?";
                return Err(Failure::new(Exit::Failed, detail));
            };
            missing = missing.map(|missing| missing.saturating_sub(entries.len() as u64));
            if matches!(output.format(), Format::Jsonl | Format::Id) {
                output.entries(self.view(), &entries)?;
            } else {
                collected.extend(entries);
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || missing == Some(0) {
                break;
            }
        }
        if !matches!(output.format(), Format::Jsonl | Format::Id) {
            output.entries(self.view(), &collected)?;
        }
        if cursor.is_some() {
            output.note("There are more: use --limit or --all.");
        }
        Ok(())
    }
}

fn is_session(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A value as a query has it.
fn as_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
