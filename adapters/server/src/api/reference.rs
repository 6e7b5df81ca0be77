//! `docs/API.md`: the API's description as a page to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::problem::Kind;

const INTRODUCTION: &str = "\
# The API of the room server

This page is made of the server's own description, `/openapi.json`; `parlour openapi --markdown` prints it.
[SERVER.md](SERVER.md) says how to run a server and what keys, history and limits are.

* Requests and answers are JSON in UTF-8. Times are RFC 3339 in UTC with milliseconds; `_s` and `_ms` in a name are seconds
  and milliseconds.
* A key is sent as `Authorization: Bearer <id>.<secret>`. Each operation names the scope that the key needs; a key with the
  scope `admin` may do everything. In the examples, `$API` is the server's address and `$KEY` a key.
* Unknown members of a body and unknown query parameters are errors. Parameters and members without a mark are optional.
* A filter that is given twice means either. A range is half open: `created_after` ≤ t < `created_before`.
* A list is `{\"data\": […], \"next_cursor\": …}`, newest first. The next page is asked for with `cursor`; a cursor is valid for
  a day, and `null` says that there is no further page.
* `Idempotency-Key` on a `POST`: the same request with the same key within 24 hours gets the stored answer.
* Every answer has an `X-Request-Id`, which the server's log has, too.
";

const PROBLEMS: &str = "
## Problems

An error is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): a [Problem](#problem) whose
`type` is `urn:parlour:problem:` and one of these names. A `detail` says what to do. Those that follow from what every
operation is are not listed with each of them.

| name | status | meaning | |
|---|---|---|---|
";

/// The problems that any operation may have.
const COMMON: [Kind; 14] = [
    Kind::Malformed,
    Kind::UnknownParameter,
    Kind::Unauthenticated,
    Kind::KeyRevoked,
    Kind::ScopeMissing,
    Kind::Validation,
    Kind::TooLarge,
    Kind::InProgress,
    Kind::IdempotencyMismatch,
    Kind::TooSlow,
    Kind::RateLimited,
    Kind::TimedOut,
    Kind::Internal,
    Kind::StorageUnavailable,
];

/// The page.
///
/// # Errors
/// If the text cannot be written, which does not happen.
pub(super) fn markdown(openapi: &Value) -> Result<String, std::fmt::Error> {
    let mut page = INTRODUCTION.to_owned();
    let of_tag = by_tag(openapi);
    for tag in list(&openapi["tags"]) {
        let name = text(&tag["name"]);
        let operations = of_tag.get(name).map(Vec::as_slice).unwrap_or_default();
        writeln!(
            page,
            "\n## {}\n\n{}\n",
            title(name),
            text(&tag["description"])
        )?;
        writeln!(page, "| operation | does | scope |\n|---|---|---|")?;
        for operation in operations {
            let Operation { method, path, of } = operation;
            let summary = text(&of["summary"]);
            writeln!(
                page,
                "| [`{method} {path}`](#{}) | {summary} | {} |",
                anchor(summary),
                operation.scope()
            )?;
        }
        for operation in operations {
            operation.write(&mut page)?;
        }
    }
    page.push_str(PROBLEMS);
    for kind in Kind::ALL {
        let (name, status, meaning) = (kind.name(), kind.status().as_u16(), kind.title());
        let anywhere = if COMMON.contains(kind) {
            "any operation"
        } else {
            ""
        };
        writeln!(page, "| `{name}` | {status} | {meaning} | {anywhere} |")?;
    }
    writeln!(page, "\n## Objects")?;
    for (name, schema) in entries(&openapi["components"]["schemas"]) {
        if !name.starts_with("List_") {
            write_object(&mut page, name, schema)?;
        }
    }
    Ok(page)
}

/// An operation and its place.
struct Operation<'a> {
    method: String,
    path: &'a str,
    of: &'a Value,
}

fn by_tag(openapi: &Value) -> BTreeMap<&str, Vec<Operation<'_>>> {
    let mut of_tag: BTreeMap<&str, Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in entries(&openapi["paths"]) {
        for (method, of) in entries(item) {
            let method = method.to_uppercase();
            let operation = Operation { method, path, of };
            of_tag
                .entry(text(&of["tags"][0]))
                .or_default()
                .push(operation);
        }
    }
    of_tag
}

impl Operation<'_> {
    /// What the key needs.
    fn scope(&self) -> String {
        match self.of["security"][0]["key"][0].as_str() {
            Some(scope) => format!("`{scope}`"),
            None => "no key".to_owned(),
        }
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let Self { method, path, of } = self;
        writeln!(
            page,
            "\n### {}\n\n`{method} {path}` · {}",
            text(&of["summary"]),
            self.scope()
        )?;
        if let Some(description) = of["description"].as_str() {
            writeln!(page, "\n{description}")?;
        }
        self.write_parameters(page)?;
        let body = &of["requestBody"]["content"]["application/json"];
        if !body.is_null() {
            writeln!(page, "\nBody: {}", type_of(&body["schema"]))?;
        }
        writeln!(page)?;
        for (status, response) in entries(&of["responses"]) {
            if status.starts_with('2') {
                self.write_answer(page, status, response)?;
            }
        }
        let problems = self.problems();
        if !problems.is_empty() {
            writeln!(page, "* [Problems](#problems): {}", problems.join(", "))?;
        }
        self.write_example(page, &body["example"])
    }

    fn write_parameters(&self, page: &mut String) -> std::fmt::Result {
        let parameters = list(&self.of["parameters"]);
        let parameters: Vec<_> = parameters
            .filter(|parameter| parameter["name"] != "Idempotency-Key")
            .collect();
        if parameters.is_empty() {
            return Ok(());
        }
        writeln!(page, "\n| parameter | in | form | |\n|---|---|---|---|")?;
        for parameter in parameters {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            let (form, meaning) = (
                type_of(&parameter["schema"]),
                cell(&parameter["description"]),
            );
            writeln!(page, "| `{name}` | {place} | {form} | {meaning} |")?;
        }
        Ok(())
    }

    fn write_answer(&self, page: &mut String, status: &str, response: &Value) -> std::fmt::Result {
        let content = entries(&response["content"]).next();
        let body = content.map(|(kind, content)| match kind {
            "application/json" => type_of(&content["schema"]),
            kind => format!("{} as `{kind}`", type_of(&content["schema"])),
        });
        let headers: Vec<_> = entries(&response["headers"])
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        write!(page, "* {status}")?;
        if let Some(body) = body {
            write!(page, ": {body}")?;
        }
        if !headers.is_empty() {
            write!(page, ", with {}", headers.join(" and "))?;
        }
        writeln!(page, ". {}", cell(&response["description"]))
    }

    /// The names of the problems of its own.
    fn problems(&self) -> Vec<String> {
        let common: BTreeSet<_> = COMMON.iter().map(|kind| kind.name()).collect();
        let mut names = Vec::new();
        for (_, response) in entries(&self.of["responses"]) {
            for line in text(&response["description"]).lines() {
                let name = line
                    .strip_prefix('`')
                    .and_then(|line| line.split_once("`:"));
                names.extend(
                    name.map(|(name, _)| name)
                        .filter(|name| !common.contains(name)),
                );
            }
        }
        names.iter().map(|name| format!("`{name}`")).collect()
    }

    fn write_example(&self, page: &mut String, body: &Value) -> std::fmt::Result {
        let mut path = self.path.to_owned();
        for parameter in list(&self.of["parameters"]).filter(|parameter| parameter["in"] == "path")
        {
            let example = parameter["schema"]["examples"][0].as_str().unwrap_or("…");
            path = path.replace(&format!("{{{}}}", text(&parameter["name"])), example);
        }
        write!(page, "\n```sh\ncurl")?;
        if self.of["security"][0]["key"].is_array() {
            write!(page, " -H \"Authorization: Bearer $KEY\"")?;
        }
        match self.method.as_str() {
            "GET" | "POST" if !body.is_null() || self.method == "GET" => {}
            method => write!(page, " -X {method}")?,
        }
        if !body.is_null() {
            write!(page, " \\\n  --json '{body}'")?;
        }
        writeln!(page, " \\\n  $API{path}\n```")
    }
}

fn write_object(page: &mut String, name: &str, schema: &Value) -> std::fmt::Result {
    writeln!(page, "\n### {name}\n\n{}", text(&schema["description"]))?;
    let required: BTreeSet<_> = list(&schema["required"]).map(text).collect();
    let mut members = entries(&schema["properties"]).peekable();
    if members.peek().is_none() {
        return writeln!(page, "\nIts form: {}", type_of(schema));
    }
    writeln!(page, "\n| member | form | |\n|---|---|---|")?;
    for (member, schema) in members {
        let mark = if required.contains(member) { "**" } else { "" };
        let default = &schema["default"];
        let default = if default.is_null() {
            String::new()
        } else {
            format!(" Without it: `{default}`.")
        };
        let meaning = cell(&schema["description"]);
        writeln!(
            page,
            "| {mark}`{member}`{mark} | {} | {meaning}{default} |",
            type_of(schema)
        )?;
    }
    Ok(())
}

/// The form of a value, in words.
fn type_of(schema: &Value) -> String {
    if let Some(to) = schema["$ref"].as_str() {
        let name = to.rsplit('/').next().unwrap_or_default();
        return match name.strip_prefix("List_") {
            Some(entry) => format!("list of {}", link(entry)),
            None => link(name),
        };
    }
    let choices: Vec<_> = ["oneOf", "anyOf"]
        .iter()
        .flat_map(|any| list(&schema[*any]))
        .map(type_of)
        .collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    let values: Vec<_> = list(&schema["enum"])
        .map(|value| format!("`{}`", text(value)))
        .collect();
    if !values.is_empty() {
        return values.join(", ");
    }
    let types: Vec<String> = match &schema["type"] {
        Value::String(only) => vec![simple(only, schema)],
        types => list(types).map(|one| simple(text(one), schema)).collect(),
    };
    if types.is_empty() {
        "any value".to_owned()
    } else {
        types.join(" or ")
    }
}

fn simple(name: &str, schema: &Value) -> String {
    let range = [
        ("minimum", "from"),
        ("maximum", "to"),
        ("maxLength", "at most"),
    ];
    let range: Vec<_> = range
        .iter()
        .filter_map(|(key, word)| Some(format!("{word} {}", schema.get(*key)?)))
        .collect();
    let range = if range.is_empty() {
        String::new()
    } else {
        format!(" {}", range.join(" "))
    };
    match name {
        "array" => format!("list of {}", type_of(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map to {}", type_of(&schema["additionalProperties"]))
        }
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "string" if !range.is_empty() => format!("string of{range}"),
        name => format!("{name}{range}"),
    }
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", anchor(name))
}

/// The anchor that a heading has.
fn anchor(heading: &str) -> String {
    let heading = heading.to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect()
}

/// A text that fits into one cell of a table.
fn cell(value: &Value) -> String {
    text(value).replace('\n', " ").replace('|', "\\|")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}
