//! Completes the API's description: what follows from an operation's shape need not stand beside each handler.
//!
//! * Parameters of paths have a description and a form, from one list.
//! * Each operation has the problems that its shape allows: a body can be invalid, a key can lack a scope. Those of its own a
//!   handler names with [`Problems`](super::problem::Problems).
//! * Defaults are told in words: generators of clients take members with a `default` for required, or send it each time.
//! * Schemas of flattened structures are one object each, which generators of clients read better than `allOf`.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{
    AdditionalProperties, AllOf, ArrayItems, KnownFormat, Object, OneOf, Schema, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required, Response};

use super::problem::{Kind, add_problems};

/// The parameters of paths: name, meaning, form, and an example.
const PARAMETERS: [(&str, &str, &str, &str); 4] = [
    (
        "room",
        "The room's name.",
        "^[A-Za-z0-9._~-]{1,48}$",
        "kitchen",
    ),
    (
        "session",
        "The session's id: 32 hexadecimal digits.",
        "^[0-9a-f]{32}$",
        "9f0c6d3e51a84b7c8d2e0f1a2b3c4d5e",
    ),
    (
        "participant",
        "The participant's id: at most 36 printable ASCII characters.",
        "^[!-~]{1,36}$",
        "anna",
    ),
    (
        "stream",
        "The stream's key: at most 24 printable ASCII characters.",
        "^[!-~]{1,24}$",
        "mic",
    ),
];

/// Completes what the handlers describe.
pub(super) fn complete(openapi: &mut OpenApi) {
    for (path, item) in &mut openapi.paths.paths {
        for (method, operation) in operations(item) {
            complete_operation(path, &method, operation);
        }
    }
    if let Some(components) = &mut openapi.components {
        for schema in components.schemas.values_mut() {
            if let RefOr::T(schema) = schema {
                tell_defaults(schema);
            }
        }
        let names: BTreeSet<String> = components.schemas.keys().cloned().collect();
        let former: BTreeMap<String, RefOr<Schema>> =
            components.schemas.clone().into_iter().collect();
        for (name, schema) in &mut components.schemas {
            if let Some(entry) = name
                .strip_prefix("List_")
                .filter(|entry| names.contains(*entry))
            {
                list_of(entry, schema);
            }
            if let RefOr::T(Schema::AllOf(all)) = schema
                && let Some(flat) = flat(all, &former)
            {
                *schema = flat.into();
            }
        }
    }
}

/// The operations of a path.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn complete_operation(path: &str, method: &Method, operation: &mut Operation) {
    let open = serde_json::json!([{}]);
    let is_open = serde_json::to_value(&operation.security).is_ok_and(|security| security == open);
    if is_open {
        // An empty list says the same, and generators of clients do not ask for a key then.
        operation.security = Some(Vec::new());
    }
    // Those without a version are for machines that look after this one.
    if !path.starts_with("/v1/") {
        return;
    }
    let is_repeatable = *method == Method::POST && !is_open;
    let has_body = operation.request_body.is_some();
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter_mut() {
        if let RefOr::T(parameter) = parameter {
            describe_parameter(parameter);
        }
    }
    if is_repeatable {
        parameters.push(RefOr::T(idempotency_key()));
    }
    let mut kinds = vec![Kind::Malformed, Kind::UnknownParameter];
    if !is_open {
        kinds.extend([Kind::Unauthenticated, Kind::KeyRevoked, Kind::ScopeMissing]);
    }
    if has_body {
        kinds.extend([Kind::Validation, Kind::TooLarge, Kind::TooSlow]);
    }
    if is_repeatable {
        kinds.extend([Kind::InProgress, Kind::IdempotencyMismatch, Kind::TooLarge]);
    }
    kinds.extend([
        Kind::RateLimited,
        Kind::TimedOut,
        Kind::Internal,
        Kind::StorageUnavailable,
    ]);
    add_problems(&mut operation.responses.responses, kinds);
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            describe_response(status, response);
        }
    }
}

fn describe_parameter(parameter: &mut Parameter) {
    if let Some(schema) = &mut parameter.schema {
        unsigned(schema);
    }
    if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        && let SchemaType::Array(types) = &schema.schema_type
        && let [only, Type::Null] = types.as_slice()
    {
        // It is left out, but never null.
        schema.schema_type = only.clone().into();
    }
    match parameter.parameter_in {
        ParameterIn::Path => {}
        ParameterIn::Query => {
            if let Some(schema) = &mut parameter.schema {
                not_empty(schema);
            }
            return;
        }
        _ => return,
    }
    let known = PARAMETERS.iter().find(|(name, ..)| *name == parameter.name);
    let Some((_, description, pattern, example)) = known else {
        return;
    };
    if parameter.description.is_none() {
        parameter.description = Some((*description).to_owned());
    }
    if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
        schema.pattern = Some((*pattern).to_owned());
        schema.examples = vec![(*example).into()];
    }
}

fn idempotency_key() -> Parameter {
    let form = Object::builder().schema_type(Type::String);
    let form = form.min_length(Some(1)).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 255 printable ASCII characters. The same request with the same key gets the stored answer for 24 hours, \
             with `Idempotency-Replayed: true`.",
        ))
        .schema(Some(form.pattern(Some("^[!-~]([ -~]*[!-~])?$"))))
        .build()
}

/// Says in general what an answer is, where its handler does not.
fn describe_response(status: &str, response: &mut Response) {
    if response.description.is_empty() {
        let description = match status {
            "200" => "It is so, or was done.",
            "201" => "It was made.",
            "202" => "It was begun.",
            "204" => "It was done; there is nothing more to say.",
            _ => return,
        };
        response.description = description.to_owned();
    }
}

/// A list refers to the schema of its entries.
fn list_of(entry: &str, list: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(list)) = list
        && let Some(RefOr::T(Schema::Array(data))) = list.properties.get_mut("data")
    {
        data.items = RefOr::Ref(Ref::from_schema_name(entry)).into();
    }
}

/// One object with the members of all; none if there is something else among them.
///
/// A part that is referred to belongs to an answer, where all its members are present. A part that is there in full belongs to
/// a request.
fn flat(all: &AllOf, schemas: &BTreeMap<String, RefOr<Schema>>) -> Option<Object> {
    let mut flat = Object::new();
    flat.schema_type = Type::Object.into();
    flat.description.clone_from(&all.description);
    for part in &all.items {
        let (part, is_answer) = match part {
            RefOr::Ref(to) => (schemas.get(to.ref_location.rsplit('/').next()?)?, true),
            part => (part, false),
        };
        let mut part = match part {
            RefOr::T(Schema::Object(part)) => part.clone(),
            RefOr::T(Schema::AllOf(part)) => self::flat(part, schemas)?,
            _ => return None,
        };
        if is_answer {
            part.required = part.properties.keys().cloned().collect();
        } else if part.additional_properties.is_some() {
            flat.additional_properties = part.additional_properties;
        }
        flat.properties.extend(part.properties);
        flat.required.extend(part.required);
    }
    Some(flat)
}

/// A parameter without a value is refused.
fn not_empty(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(text)) if text.schema_type == Type::String.into() => {
            text.min_length = Some(1);
        }
        RefOr::T(Schema::Array(list)) => {
            if let ArrayItems::RefOrSchema(each) = &mut list.items {
                not_empty(each);
            }
        }
        _ => {}
    }
}

/// A number of 32 bits without a sign is more than `int32` allows.
fn unsigned(schema: &mut RefOr<Schema>) {
    let int32 = Some(SchemaFormat::KnownFormat(KnownFormat::Int32));
    if let RefOr::T(Schema::Object(schema)) = schema
        && schema.format == int32
        && schema.minimum.is_some()
    {
        schema.format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
        schema.maximum.get_or_insert(u32::MAX.into());
    }
}

/// Moves the defaults of members into their descriptions.
fn tell_defaults(schema: &mut Schema) {
    match schema {
        Schema::Object(object) => object.properties.values_mut().for_each(tell_default),
        Schema::AllOf(all) => {
            for part in &mut all.items {
                if let RefOr::T(part) = part {
                    tell_defaults(part);
                }
            }
        }
        _ => {}
    }
}

fn tell_default(member: &mut RefOr<Schema>) {
    unsigned(member);
    if let RefOr::T(inner) = member {
        tell_defaults(inner);
    }
    let (default, description) = match member {
        RefOr::T(Schema::Object(member)) => (member.default.take(), &mut member.description),
        RefOr::T(Schema::Array(member)) => (member.default.take(), &mut member.description),
        RefOr::T(Schema::OneOf(member)) => (member.default.take(), &mut member.description),
        RefOr::Ref(to) => {
            if let Some(default) = to.default.take().and_then(|default| in_words(&default)) {
                to.description = format!("{} {default}", to.description).trim().to_owned();
            }
            return;
        }
        RefOr::T(_) => return,
    };
    if let Some(default) = default.and_then(|default| in_words(&default)) {
        let former = description.take().unwrap_or_default();
        *description = Some(format!("{former} {default}").trim().to_owned());
    }
}

/// Nothing needs no words.
fn in_words(default: &Value) -> Option<String> {
    let is_empty = match default {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    (!is_empty).then(|| format!("Default: `{default}`."))
}

/// The schema of a merge patch ([RFC 7396](https://www.rfc-editor.org/rfc/rfc7396)) of what has this schema: nothing is
/// required, nothing has a default, and `null` resets. `inner` are its members that are objects with members of their own.
pub(super) fn change_of<const N: usize>(
    mut schema: RefOr<Schema>,
    inner: [(&str, RefOr<Schema>); N],
) -> RefOr<Schema> {
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.required.clear();
        object.description = Some("Changes: what is left out stays, `null` resets.".to_owned());
        for (name, member) in inner {
            object
                .properties
                .insert(name.to_owned(), change_of(member, []));
        }
        for member in object.properties.values_mut() {
            *member = nullable(member.clone());
        }
    }
    schema
}

fn nullable(schema: RefOr<Schema>) -> RefOr<Schema> {
    let null = Object::with_type(Type::Null);
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.default = None;
            object.property_names = None;
            if let SchemaType::Type(only) = &object.schema_type {
                object.schema_type = SchemaType::from_iter([only.clone(), Type::Null]);
            }
            if let Some(AdditionalProperties::RefOr(value)) =
                object.additional_properties.as_deref_mut()
            {
                *value = nullable(value.clone());
            }
            object.into()
        }
        RefOr::Ref(to) => {
            let plain = Ref::new(to.ref_location);
            let description = Some(to.description).filter(|text| !text.is_empty());
            Schema::OneOf(
                OneOf::builder()
                    .item(plain)
                    .item(null)
                    .description(description)
                    .build(),
            )
            .into()
        }
        other => Schema::OneOf(OneOf::builder().item(other).item(null).build()).into(),
    }
}
