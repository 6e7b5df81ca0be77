//! A file of the store as an answer.

use std::ops::Range;

use axum::body::Body as Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use object_store::path::Path;
use utoipa::ToSchema;

use super::App;
use super::problem::{Kind, Problem};
use crate::recordings::ArchiveError;

/// The bytes of a file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it describes what is sent in pieces")]
pub(crate) struct FileBytes(Vec<u8>);

/// A file that the store has.
#[derive(Debug)]
pub(super) struct StoredFile<'a> {
    /// The id of what it is the file of.
    pub(super) id: &'a str,
    /// Where the store has it.
    pub(super) place: Result<Path, ArchiveError>,
    /// Its bytes.
    pub(super) size: u64,
    /// The hash of its bytes, in hexadecimal.
    pub(super) sha256: &'a str,
    pub(super) content_type: &'static str,
    /// The name under which it is kept.
    pub(super) name: String,
}

impl StoredFile<'_> {
    /// The file, or the one range of it that the request's headers ask for.
    pub(super) async fn answer(self, app: &App, headers: &HeaderMap) -> Result<Response, Problem> {
        let size = self.size;
        let tag = format!("\"{}\"", self.sha256);
        let asked = headers
            .get(header::RANGE)
            .and_then(|range| range.to_str().ok());
        let is_same = |if_range: &HeaderValue| if_range.as_bytes() == tag.as_bytes();
        let asked = asked.filter(|_| headers.get(header::IF_RANGE).is_none_or(is_same));
        let range = match asked.map_or(Asked::All, |asked| range_of(asked, size)) {
            Asked::All => None,
            Asked::Part(range) => Some(range),
            Asked::Outside => {
                let detail = format!("the file has {size} bytes");
                let mut problem = Problem::new(Kind::RangeNotSatisfiable, detail).into_response();
                put(
                    &mut problem,
                    header::CONTENT_RANGE,
                    &format!("bytes */{size}"),
                );
                return Ok(problem);
            }
        };
        let unavailable = |error| unavailable(self.id, &error);
        let whole = 0..size;
        let bytes = range.clone().unwrap_or_else(|| whole.clone());
        let length = bytes.end - bytes.start;
        let place = self.place.map_err(unavailable)?;
        let stream = app.recordings().archive().read(place, bytes).await;
        let body = Bytes::from_stream(stream.map_err(unavailable)?);
        let mut response = (StatusCode::OK, body).into_response();
        if let Some(range) = range {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let last = range.end.saturating_sub(1);
            let says = format!("bytes {}-{last}/{size}", range.start);
            put(&mut response, header::CONTENT_RANGE, &says);
        }
        for (name, value) in [
            (header::CONTENT_TYPE, self.content_type),
            (header::CONTENT_LENGTH, &length.to_string()),
            (header::ACCEPT_RANGES, "bytes"),
            (header::ETAG, &tag),
            (
                header::CONTENT_DISPOSITION,
                &format!("attachment; filename=\"{}\"", self.name),
            ),
        ] {
            put(&mut response, name, value);
        }
        Ok(response)
    }
}

/// The store does not give what it has of that id.
pub(super) fn unavailable(id: &str, error: &ArchiveError) -> Problem {
    tracing::error!(id, %error, "a file of the store cannot be read");
    Problem::new(Kind::StoreUnavailable, "the log says why; try again later")
}

/// Sets a header. All of these are plain text.
fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What a request wants of a file.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Part(Range<u64>),
    Outside,
}

/// The range that `Range` asks for, as [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-14.2) has it. Whoever asks for
/// several gets the whole file, and so does who asks for something else than bytes.
fn range_of(asked: &str, size: u64) -> Asked {
    let Some((first, last)) = asked
        .strip_prefix("bytes=")
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Asked::All;
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(last)) if first.is_empty() => size.saturating_sub(last)..size,
        _ => return Asked::All,
    };
    match range.start < range.end {
        true => Asked::Part(range),
        false => Asked::Outside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_http_has_it() {
        for (asked, expected) in [
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=90-", Asked::Part(90..100)),
            ("bytes=90-1000", Asked::Part(90..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=99-99", Asked::Part(99..100)),
            ("bytes=100-", Asked::Outside),
            ("bytes=100-200", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=9-8", Asked::All),
            ("bytes=0-1,5-6", Asked::All),
            ("items=0-1", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=0-18446744073709551615", Asked::Part(0..100)),
        ] {
            assert_eq!(range_of(asked, 100), expected, "{asked}");
        }
        assert_eq!(range_of("bytes=0-", 0), Asked::Outside);
    }
}
