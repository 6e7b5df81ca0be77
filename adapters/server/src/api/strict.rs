//! Query parameters that an operation does not have are errors, also where no handler reads a query, and so are parameters
//! without a value: a filter that was forgotten to be filled in would hold for everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{OpenApi, RefOr};

use super::App;
use super::caller::authenticate;
use super::describe::operations;
use super::problem::{Kind, Problem};

/// The names of the query parameters of each operation.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<(String, Method), Known>);

#[derive(Debug)]
struct Known {
    names: BTreeSet<String>,
    needs_key: bool,
}

impl Parameters {
    /// Those that a description has.
    pub(super) fn of(openapi: &mut OpenApi) -> Self {
        let mut known = BTreeMap::new();
        // Those without a version are for machines that look after this one.
        for (path, item) in openapi
            .paths
            .paths
            .iter_mut()
            .filter(|(path, _)| path.starts_with("/v1/"))
        {
            for (method, operation) in operations(item) {
                let parameters = operation.parameters.iter().flatten();
                let query = parameters.filter_map(|parameter| match parameter {
                    RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
                        Some(parameter.name.clone())
                    }
                    _ => None,
                });
                let needs_key = operation
                    .security
                    .as_ref()
                    .is_some_and(|needed| !needed.is_empty());
                let names = query.collect();
                known.insert((path.clone(), method), Known { names, needs_key });
            }
        }
        Self(known)
    }
}

/// Refuses a request with a parameter that its operation does not have, or that has no value.
pub(super) async fn refuse_unknown(
    State((app, known)): State<(App, Arc<Parameters>)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    match unknown(&app, &known, &parts) {
        Some(problem) => problem.into_response(),
        None => next.run(Request::from_parts(parts, body)).await,
    }
}

fn unknown(app: &App, known: &Parameters, request: &Parts) -> Option<Problem> {
    let path = request.extensions.get::<MatchedPath>()?.as_str().to_owned();
    let method = match &request.method {
        &Method::HEAD => Method::GET,
        method => method.clone(),
    };
    let Known { names, needs_key } = known.0.get(&(path, method))?;
    let Query(sent) = Query::<Vec<(String, String)>>::try_from_uri(&request.uri).ok()?;
    let is_wrong = |(name, value): &&(String, String)| value.is_empty() || !names.contains(name);
    let (name, _) = sent.iter().find(is_wrong)?;
    if *needs_key && authenticate(request, app).is_err() {
        // The handler says so, and to strangers no more than that.
        return None;
    }
    let detail = if names.contains(name) {
        format!("`{name}` has no value: leave it out")
    } else if names.is_empty() {
        format!("there is no parameter {name:?}: this operation has none")
    } else {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!(
            "there is no parameter {name:?}; there are {}",
            names.join(", ")
        )
    };
    Some(Problem::new(Kind::UnknownParameter, detail))
}
