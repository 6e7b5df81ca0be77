//! The parameters of an operation of the API as arguments of a command: read from the API's own description.

use std::sync::OnceLock;

use clap::builder::{PossibleValuesParser, TypedValueParser as _, ValueParser};
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value, json};

use super::values::{duration, number, pair, time};

/// The API's description, as JSON.
pub(crate) fn openapi() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION
        .get_or_init(|| serde_json::to_value(parlour_server::api::openapi()).unwrap_or_default())
}

/// Where a parameter stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A part of the path.
    Path,
    /// The query.
    Query,
    /// A member of the body.
    Body,
}

/// The values that a parameter can have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Text,
    Choice(Vec<String>),
    Number,
    /// A duration, of so many milliseconds a unit.
    Duration(i64),
    Flag,
    Time,
    /// A list; its values separated by commas, or chosen from these.
    Texts {
        is_split: bool,
        choices: Vec<String>,
    },
    /// Texts by their keys.
    Map,
    /// `"all"` or a list of participants.
    Targets,
    /// All else, as JSON.
    Json,
}

/// A parameter of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Its name in the API.
    pub(crate) member: String,
    /// Where it stands.
    pub(crate) place: Place,
    shape: Shape,
    is_required: bool,
    /// Whether `none` stands for no value.
    is_nullable: bool,
    help: String,
    /// The name of the argument.
    name: String,
    /// Whether it stands without a flag.
    pub(crate) is_positional: bool,
}

/// Lists whose values never have a comma.
const SPLIT: [&str; 3] = ["grants", "scopes", "events"];

/// The flag for [`Shape::Targets`].
const ALL: &str = "all";

/// The parameters of an operation, but for those that lead from page to page. `positional` names the members of the body that
/// need no flag.
pub(crate) fn parameters(operation: &Value, is_patch: bool, positional: &[&str]) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    let mut add = |member: &str, place, schema: &Value, help: Option<&str>, is_required| {
        let resolved = Schema::of(schema);
        let shape = resolved.shape(member, place);
        let name = match &shape {
            Shape::Duration(_) => without_unit(member),
            _ => member,
        };
        let is_text = matches!(shape, Shape::Text | Shape::Texts { .. });
        parameters.push(Parameter {
            is_nullable: place == Place::Body && resolved.is_nullable && (is_patch || !is_text),
            help: (help.or(resolved.description))
                .filter(|_| (place, member) != (Place::Path, "session"))
                .unwrap_or_else(|| known(member))
                .replace('\n', " ")
                .trim_end_matches('.')
                .to_owned(),
            is_positional: place == Place::Path
                || shape == Shape::Targets
                || positional.contains(&member),
            member: member.to_owned(),
            place,
            shape,
            is_required,
            name: name.replace('_', "-"),
        });
    };
    for parameter in list(&operation["parameters"]) {
        let (place, name) = match (text(&parameter["in"]), text(&parameter["name"])) {
            ("path", name) => (Place::Path, name),
            ("query", name) if !["limit", "cursor"].contains(&name) => (Place::Query, name),
            _ => continue,
        };
        // A command may take more than the API: a room in the place of its session.
        let own = Some(known(name)).filter(|help| place == Place::Path && !help.is_empty());
        let help = own.or(parameter["description"].as_str());
        let is_required = parameter["required"] == true;
        add(name, place, &parameter["schema"], help, is_required);
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let mut members = Vec::new();
    let mut required = Vec::new();
    members_of(body, &mut members, &mut required);
    // Positional arguments stand in the order in which they are named.
    members.sort_by_key(|(member, _)| positional.iter().position(|name| name == member));
    for (member, schema) in members {
        let is_required = required.contains(&member);
        let help = schema["description"].as_str();
        add(member, Place::Body, schema, help, is_required);
    }
    parameters
}

/// The help for what the API's description leaves to its name.
fn known(member: &str) -> &'static str {
    match member {
        "room" => "The room's name",
        "session" => {
            "The session: its id, or the name of a room for the session that goes on in it"
        }
        "participant" => "The participant's id",
        "stream" => "The stream's key",
        "order" => "What comes first: the newest, or with `asc` the oldest",
        "refresh_token" => "The refresh token",
        "guest_link" => "The guest link",
        "participants" => "The participants",
        "to" => "The participants that it goes to",
        _ => match member.rsplit_once('_') {
            Some((_, "after")) => "From this time on",
            Some((_, "before")) => "Before this time",
            _ => "Its id",
        },
    }
}

fn members_of<'a>(
    schema: &'a Value,
    members: &mut Vec<(&'a str, &'a Value)>,
    required: &mut Vec<&'a str>,
) {
    let schema = followed(schema);
    for part in list(&schema["allOf"]) {
        members_of(part, members, required);
    }
    for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
        members.push((member, schema));
    }
    required.extend(list(&schema["required"]).iter().map(text));
}

/// The schema that a reference leads to.
fn followed(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        Some(reference) => openapi()
            .pointer(reference.trim_start_matches('#'))
            .map_or(schema, followed),
        None => schema,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn without_unit(member: &str) -> &str {
    let stem = member.strip_suffix("_ms");
    stem.or_else(|| member.strip_suffix("_s")).unwrap_or(member)
}

/// A schema without its detours.
struct Schema<'a> {
    reference: &'a str,
    schema: &'a Value,
    is_nullable: bool,
    description: Option<&'a str>,
}

impl<'a> Schema<'a> {
    fn of(schema: &'a Value) -> Self {
        let either = [&schema["oneOf"], &schema["anyOf"]].map(list).concat();
        let is_null = |schema: &Value| schema["type"] == "null";
        let any = [&schema["oneOf"], &schema["anyOf"]];
        let alternatives = any.into_iter().flat_map(list);
        let mut others = alternatives.filter(|schema| !is_null(schema));
        if let (true, Some(other), None) =
            (either.iter().any(is_null), others.next(), others.next())
        {
            return Self {
                is_nullable: true,
                ..Self::of(other)
            };
        }
        let target = followed(schema);
        let is_nullable = list(&target["type"]).iter().any(|kind| kind == "null");
        Self {
            reference: text(&schema["$ref"]),
            schema: target,
            is_nullable,
            description: schema["description"].as_str(),
        }
    }

    fn kind(&self) -> &str {
        let kinds = &self.schema["type"];
        let of_list = list(kinds).iter().map(text).find(|kind| *kind != "null");
        of_list.unwrap_or_else(|| text(kinds))
    }

    fn choices(&self) -> Vec<String> {
        let names = list(&self.schema["enum"]).iter().map(text);
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        // An enumeration whose variants are described.
        let each = list(&self.schema["oneOf"]).iter();
        names.extend(
            each.map(|one| text(&one["const"]))
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
        names
    }

    fn shape(&self, member: &str, place: Place) -> Shape {
        if self.reference.ends_with("/Ids") {
            return Shape::Targets;
        }
        let choices = self.choices();
        match self.kind() {
            "string" | "" if !choices.is_empty() => Shape::Choice(choices),
            "string" if self.schema["format"] == "date-time" => Shape::Time,
            "string" => Shape::Text,
            "boolean" => Shape::Flag,
            "integer" | "number" if member.ends_with("_ms") => Shape::Duration(1),
            "integer" | "number" if member.ends_with("_s") => Shape::Duration(1_000),
            "integer" | "number" => Shape::Number,
            "array" => {
                let items = Schema::of(&self.schema["items"]);
                if items.kind() != "string" {
                    return Shape::Json;
                }
                Shape::Texts {
                    is_split: place == Place::Body && SPLIT.contains(&member),
                    choices: items.choices(),
                }
            }
            "object" if is_of_texts(&self.schema["additionalProperties"]) => Shape::Map,
            _ => Shape::Json,
        }
    }
}

fn is_of_texts(schema: &Value) -> bool {
    let kind = &schema["type"];
    *kind == "string" || list(kind).first().is_some_and(|kind| kind == "string")
}

impl Parameter {
    /// The argument's id, which no other flag's is.
    fn id(&self) -> String {
        format!("api/{}", self.member)
    }

    /// The id of the flag for all participants.
    fn all(&self) -> String {
        format!("api/{}/{ALL}", self.member)
    }

    /// What the user writes for it.
    pub(crate) fn written(&self) -> String {
        if self.is_positional {
            self.value_name()
        } else {
            format!("--{}", self.name)
        }
    }

    fn value_name(&self) -> String {
        let name = match self.shape {
            Shape::Targets => "PARTICIPANT",
            Shape::Map => "KEY=VALUE",
            Shape::Flag => "true|false",
            Shape::Duration(_) if !self.is_positional => "DURATION",
            Shape::Time if !self.is_positional => "TIME",
            _ => return self.name.replace('-', "_").to_uppercase(),
        };
        name.to_owned()
    }

    /// The arguments of a command for it.
    pub(crate) fn arguments(&self) -> Vec<Arg> {
        let mut help = self.help.clone();
        match &self.shape {
            Shape::Map if self.is_nullable_map() => help.push_str("; KEY alone removes one"),
            Shape::Texts { is_split: true, .. } => help.push_str("; separated by commas"),
            Shape::Json => help.push_str("; JSON"),
            Shape::Time => help.push_str("; such as 2026-11-05T09:00:00Z, -2h or +7d"),
            _ => {}
        }
        if self.is_nullable {
            help.push_str("; `none` for no value");
        }
        let is_list = matches!(
            self.shape,
            Shape::Texts { .. } | Shape::Map | Shape::Targets
        );
        let mut argument = Arg::new(self.id())
            .help(help)
            .value_name(self.value_name())
            .value_parser(self.parser())
            .action(if is_list {
                ArgAction::Append
            } else {
                ArgAction::Set
            });
        if !self.is_positional {
            argument = argument.long(self.name.clone());
        }
        match &self.shape {
            Shape::Targets => {
                let all = Arg::new(self.all())
                    .long(ALL)
                    .help("All participants")
                    .action(ArgAction::SetTrue);
                let all = all.conflicts_with(self.id());
                let argument = argument.num_args(1..).required_unless_present(all.get_id());
                return vec![argument, all];
            }
            Shape::Texts { is_split, .. } => {
                if *is_split {
                    argument = argument.value_delimiter(',');
                }
                if self.is_positional {
                    argument = argument.num_args(1..);
                }
            }
            Shape::Flag => {
                argument = argument
                    .hide_possible_values(true)
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true");
            }
            Shape::Time | Shape::Number => argument = argument.allow_hyphen_values(true),
            _ => {}
        }
        vec![argument.required(self.is_required)]
    }

    fn is_nullable_map(&self) -> bool {
        self.shape == Shape::Map && self.is_nullable
    }

    /// Parses what the user writes to what the API takes.
    fn parser(&self) -> ValueParser {
        let is_nullable = self.is_nullable;
        let or_none = move |text: &str, parse: &dyn Fn(&str) -> Result<Value, String>| {
            if is_nullable && text == "none" {
                return Ok(Value::Null);
            }
            parse(text)
        };
        match &self.shape {
            Shape::Choice(choices) | Shape::Texts { choices, .. } if !choices.is_empty() => {
                PossibleValuesParser::new(choices.clone())
                    .map(Value::String)
                    .into()
            }
            Shape::Flag => PossibleValuesParser::new(["true", "false"])
                .map(|text| Value::Bool(text == "true"))
                .into(),
            Shape::Number => ValueParser::new(move |text: &str| or_none(text, &number)),
            Shape::Duration(millis) => {
                let millis = *millis;
                ValueParser::new(move |text: &str| or_none(text, &|text| duration(text, millis)))
            }
            Shape::Time => ValueParser::new(move |text: &str| or_none(text, &time)),
            Shape::Map => ValueParser::new(move |text: &str| pair(text)),
            Shape::Json => ValueParser::new(move |text: &str| {
                serde_json::from_str::<Value>(text).map_err(|error| error.to_string())
            }),
            _ => ValueParser::new(move |text: &str| or_none(text, &|text| Ok(text.into()))),
        }
    }

    /// The value that the user has given, as the API takes it.
    pub(crate) fn value(&self, matches: &ArgMatches) -> Option<Value> {
        let given = matches.get_many::<Value>(&self.id());
        match self.shape {
            Shape::Targets if matches.get_flag(&self.all()) => Some(json!("all")),
            Shape::Targets | Shape::Texts { .. } => {
                let given: Vec<_> = given?.cloned().collect();
                match given.as_slice() {
                    [Value::Null] => Some(Value::Null),
                    _ => Some(Value::Array(given)),
                }
            }
            Shape::Map => {
                let pairs = given?.map(|pair| (text(&pair[0]).to_owned(), pair[1].clone()));
                Some(Value::Object(Map::from_iter(pairs)))
            }
            _ => given?.next().cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, method: &str, positional: &[&str]) -> Vec<Parameter> {
        let operation = &openapi()["paths"][path][method];
        assert!(operation.is_object(), "{path} {method}");
        parameters(operation, method == "patch", positional)
    }

    fn parse(parameters: &[Parameter], words: &[&str]) -> Result<Value, clap::Error> {
        let arguments = parameters.iter().flat_map(Parameter::arguments);
        let command = clap::Command::new("x").no_binary_name(true).args(arguments);
        let matches = command.try_get_matches_from(words)?;
        let given = parameters.iter();
        let given = given.filter_map(|one| Some((one.member.clone(), one.value(&matches)?)));
        Ok(Value::Object(given.collect()))
    }

    #[test]
    fn what_the_user_writes_is_what_the_api_takes() {
        let room = of("/v1/rooms/{room}", "patch", &[]);
        let given = parse(
            &room,
            &[
                "kitchen",
                "--lobby",
                "--title",
                "A room",
                "--max-participants",
                "none",
                "--empty-timeout",
                "10m",
                "--on-duplicate",
                "refuse",
                "--attributes",
                "a=b=c",
                "--attributes",
                "d",
            ],
        );
        assert_eq!(
            given.unwrap(),
            json!({
                "room": "kitchen", "lobby": true, "title": "A room", "max_participants": null,
                "empty_timeout_s": 600, "on_duplicate": "refuse", "attributes": {"a": "b=c", "d": null},
            })
        );
        assert_eq!(
            parse(&room, &["x", "--lobby=false"]).unwrap()["lobby"],
            false
        );
        for bad in [
            &["x", "--lobby=maybe"][..],
            &[],
            &["x", "--on-duplicate", "ask"],
        ] {
            assert!(parse(&room, bad).is_err(), "{bad:?}");
        }
        let kick = of("/v1/sessions/{session}/kick", "post", &[]);
        let given = parse(&kick, &["s", "bob", "carol", "--keep-out=false"]).unwrap();
        let expected = json!({"session": "s", "participants": ["bob", "carol"], "keep_out": false});
        assert_eq!(given, expected);
        let given = parse(&kick, &["s", "--all", "--except", "a,b"]).unwrap();
        assert_eq!(
            given,
            json!({"session": "s", "participants": "all", "except": ["a,b"]})
        );
        assert!(parse(&kick, &["s"]).is_err());
        assert!(parse(&kick, &["s", "bob", "--all"]).is_err());
        let key = of("/v1/keys", "post", &["id"]);
        let given = parse(&key, &["backend", "--scopes", "read,tokens"]).unwrap();
        assert_eq!(
            given,
            json!({"id": "backend", "scopes": ["read", "tokens"]})
        );
        assert!(parse(&key, &["backend"]).is_err());
        assert!(parse(&key, &["backend", "--scopes", "everything"]).is_err());
    }
}
