//! Bodies, queries and paths of requests: read strictly, with an error that says where they are wrong.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::limits::unreadable;
use super::problem::{FieldError, Kind, Problem};

/// A JSON body. Unknown members are errors, if its type says so.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let is_json = essence.eq_ignore_ascii_case("application/json")
            || essence.eq_ignore_ascii_case("application/merge-patch+json");
        if !is_json {
            return Err(Problem::new(
                Kind::Malformed,
                "send the body as JSON, with `Content-Type: application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(Kind::TooLarge, "a request has at most 1 MiB")
            }
            _ => unreadable(&rejection),
        })?;
        from_json(&bytes).map(Self)
    }
}

/// Reads JSON.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        if error.is_data() {
            Problem::invalid(vec![FieldError {
                pointer,
                detail: without_line(&error.to_string()).to_owned(),
            }])
        } else {
            Problem::new(Kind::Malformed, format!("the body is no JSON: {error}"))
        }
    })?;
    let end = deserializer.end();
    end.map_err(|_| Problem::new(Kind::Malformed, "there is something behind the JSON value"))?;
    Ok(value)
}

/// The pointer says where; a line and column are of no use to a program.
fn without_line(error: &str) -> &str {
    error
        .rsplit_once(" at line ")
        .map_or(error, |(error, _)| error)
}

/// Where in a JSON value, as [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901) writes it.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

/// The query of a URL. Unknown parameters are errors, if its type says so; a parameter that is given twice is a list.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum_extra::extract::Query::from_request_parts(parts, state).await;
        let query =
            query.map_err(|error| Problem::new(Kind::UnknownParameter, error.to_string()))?;
        Ok(Self(query.0))
    }
}

/// The variable parts of a path.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        let path = path.map_err(|error| Problem::new(Kind::Malformed, error.to_string()))?;
        Ok(Self(path.0))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "it is only read")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "it is only read")]
        number: u8,
    }

    #[test]
    fn an_error_says_where_it_is() {
        let read = |json: &str| from_json::<Outer>(json.as_bytes());
        assert!(read(r#"{"inner": [{"number": 1}]}"#).is_ok());
        let wrong = read(r#"{"inner": [{"number": 1}, {"number": 256}]}"#).unwrap_err();
        assert_eq!(wrong.errors()[0].pointer, "/inner/1/number");
        assert_eq!(
            wrong.errors()[0].detail,
            "invalid value: integer `256`, expected u8"
        );
        let unknown = read(r#"{"inner": [{"nummer": 1}]}"#).unwrap_err();
        assert_eq!(unknown.errors()[0].pointer, "/inner/0/nummer");
        for broken in ["", "{", "{}{}", "nonsense"] {
            assert_ne!(read(broken).unwrap_err().kind(), Kind::NotFound);
        }
        assert_eq!(
            read(r#"{"inner": []} x"#).unwrap_err().kind(),
            Kind::Malformed
        );
    }
}
