//! Changes of resources: merge patches ([RFC 7396](https://www.rfc-editor.org/rfc/rfc7396)) and what has to be true before.

use axum::http::{HeaderMap, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::extract::from_json;
use super::problem::{Kind, Problem};

/// What `former` becomes by a merge patch.
///
/// # Errors
/// If the patch is no object, or makes something that `T` cannot be.
pub(super) fn changed<T: DeserializeOwned>(
    former: &impl Serialize,
    patch: &Value,
) -> Result<T, Problem> {
    if !patch.is_object() {
        // By the standard it would take the place of everything.
        return Err(Problem::invalid_member("", "a change is an object"));
    }
    let mut merged = serde_json::to_value(former).unwrap_or_default();
    merge(&mut merged, patch.clone());
    from_json(merged.to_string().as_bytes())
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Map::new().into();
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(&key);
            } else {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

/// The header `If-Match`: a resource has to have one of these ETags. By default it is any.
#[derive(Debug, Default)]
pub(super) struct Precondition(Option<Vec<String>>);

impl Precondition {
    /// # Errors
    /// If the header cannot be read.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(header) = headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let malformed = |_| Problem::new(Kind::Malformed, "If-Match is no list of ETags");
        let etags = header.to_str().map_err(malformed)?.split(',');
        Ok(Self(Some(
            etags.map(|etag| etag.trim().to_owned()).collect(),
        )))
    }

    /// # Errors
    /// If the resource, a `what` such as `room`, has none of the ETags, or is not there and so has none.
    pub(super) fn check(
        &self,
        etag: impl FnOnce() -> Option<String>,
        what: &str,
    ) -> Result<(), Problem> {
        let Some(etags) = &self.0 else {
            return Ok(());
        };
        let is_meant = |etag: String| etags.iter().any(|any| any == "*" || *any == etag);
        if etag().is_some_and(is_meant) {
            return Ok(());
        }
        let detail = format!("the {what} is not as it was when you read it: read it again");
        Err(Problem::new(Kind::EtagMismatch, detail))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_merges_as_its_standard_says() {
        // Appendix A of RFC 7396.
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!([1, 2]),
                json!({"a": "b", "c": null}),
                json!({"a": "b"}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, result, "{target} and {patch}");
        }
    }
}
