//! What requests have in common that delete many of a kind.

use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Kind, Problem};

/// What one request deletes at most by ids.
const MAX_IDS: usize = 1_000;

/// Which of them are to be deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Which<Filter> {
    /// Those of these ids.
    Ids(Vec<String>),
    /// Those that match it.
    Filter(Filter),
}

/// What a request names: either `ids` or `filter`, and something of it.
pub(super) fn which<Filter: Default + PartialEq>(
    ids: Vec<String>,
    filter: Option<Filter>,
) -> Result<Which<Filter>, Problem> {
    let invalid = |pointer, detail: &str| Err(Problem::invalid_member(pointer, detail));
    match filter {
        None if ids.is_empty() => invalid("/ids", "name them, or choose them with `filter`"),
        None if ids.len() > MAX_IDS => {
            let detail = format!("{} are more than {MAX_IDS}: ask more than once", ids.len());
            invalid("/ids", &detail)
        }
        None => Ok(Which::Ids(ids)),
        Some(_) if !ids.is_empty() => invalid("/filter", "send either `ids` or `filter`"),
        Some(filter) if filter == Filter::default() => invalid(
            "/filter",
            "it would be all of them: name at least one member",
        ),
        Some(filter) => Ok(Which::Filter(filter)),
    }
}

/// What was deleted, or would be.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// How many.
    pub(super) deleted: i64,
    /// The bytes of their files.
    pub(super) bytes: i64,
}

impl Deleted {
    /// Those, by their sizes.
    pub(super) fn of(sizes: impl ExactSizeIterator<Item = Option<i64>>) -> Self {
        let mut deleted = Self::default();
        deleted.add(sizes);
        deleted
    }

    /// Adds some, by their sizes.
    pub(super) fn add(&mut self, sizes: impl ExactSizeIterator<Item = Option<i64>>) {
        self.deleted += i64::try_from(sizes.len()).unwrap_or(i64::MAX);
        self.bytes += sizes.flatten().sum::<i64>();
    }

    /// Itself, if it is as many as the one who asks expects.
    pub(super) fn expecting(self, expected: Option<u32>) -> Result<Self, Problem> {
        match expected {
            Some(expected) if self.deleted != i64::from(expected) => {
                let detail = format!(
                    "{} match, not {expected} as expected, and nothing is deleted: look at the list again, and ask with `dry_run` for their number",
                    self.deleted
                );
                Err(Problem::new(Kind::CountChanged, detail))
            }
            _ => Ok(self),
        }
    }
}
