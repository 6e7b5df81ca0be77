//! Query parameters that an operation does not have are errors, also where no handler reads a query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{OpenApi, RefOr};

use super::describe::operations;
use super::problem::{Kind, Problem};

/// The names of the query parameters of each operation.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<(String, Method), BTreeSet<String>>);

impl Parameters {
    /// Those that a description has.
    pub(super) fn of(openapi: &mut OpenApi) -> Self {
        let mut names = BTreeMap::new();
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
                names.insert((path.clone(), method), query.collect());
            }
        }
        Self(names)
    }
}

/// Refuses a request with a parameter that its operation does not have.
pub(super) async fn refuse_unknown(
    State(known): State<Arc<Parameters>>,
    request: Request,
    next: Next,
) -> Response {
    match unknown(&known, &request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn unknown(known: &Parameters, request: &Request) -> Option<Problem> {
    let path = request
        .extensions()
        .get::<MatchedPath>()?
        .as_str()
        .to_owned();
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        method => method.clone(),
    };
    let known = known.0.get(&(path, method))?;
    let Query(sent) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
    let (name, _) = sent.iter().find(|(name, _)| !known.contains(name))?;
    let detail = if known.is_empty() {
        format!("there is no parameter {name:?}: this operation has none")
    } else {
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        format!(
            "there is no parameter {name:?}; there are {}",
            known.join(", ")
        )
    };
    Some(Problem::new(Kind::UnknownParameter, detail))
}
