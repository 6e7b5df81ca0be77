//! Lists: pages and cursors.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{Kind, Problem};
use crate::store::{self, Cursor, PageRequest, Sort};
use crate::time::Timestamp;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// How long a cursor is valid.
const VALID: Duration = Duration::from_secs(24 * 3_600);

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The newest.
    #[default]
    Desc,
    /// The oldest.
    Asc,
}

/// Part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The entries.
    pub(super) data: Vec<T>,
    /// The `cursor` of the next page; `null` if this is the last one.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// The content of a cursor: JSON in base64url.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The sorted columns of the last entry.
    k: Vec<store::Value>,
    /// When it was given out, in milliseconds since 1970.
    t: i64,
}

/// The page that the parameters of a request ask for.
pub(super) fn page_request(
    limit: Option<u32>,
    cursor: Option<&str>,
    order: Option<Order>,
    sort: Sort,
) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let detail = format!("`limit` is {limit}; 1 to {MAX_LIMIT} is possible");
        return Err(Problem::new(Kind::UnknownParameter, detail));
    }
    Ok(PageRequest {
        after: cursor.map(|cursor| open(cursor, sort)).transpose()?,
        limit,
        order: match order.unwrap_or_default() {
            Order::Desc => store::Order::Desc,
            Order::Asc => store::Order::Asc,
        },
    })
}

fn open(cursor: &str, sort: Sort) -> Result<Cursor, Problem> {
    let refused = |detail| Problem::new(Kind::UnknownParameter, detail);
    let sealed = Base64UrlUnpadded::decode_vec(cursor).ok();
    let sealed = sealed.and_then(|json| serde_json::from_slice::<Sealed>(&json).ok());
    let unknown = || refused("`cursor` is none that this list has given");
    let sealed = sealed.ok_or_else(unknown)?;
    let age = Timestamp::now().since(Timestamp::from_millis(sealed.t));
    if age > VALID {
        return Err(refused("`cursor` is older than a day: begin the list anew"));
    }
    let cursor = Cursor(sealed.k);
    sort.fits(&cursor).then_some(cursor).ok_or_else(unknown)
}

impl<T> List<T> {
    /// A page as the API gives it.
    pub(super) fn new<R>(page: store::Page<R>, entry: impl Fn(R) -> T) -> Self {
        let cursor = |Cursor(k)| {
            let t = Timestamp::now().as_millis();
            let json = serde_json::to_vec(&Sealed { k, t }).unwrap_or_default();
            Base64UrlUnpadded::encode_string(&json)
        };
        Self {
            data: page.data.into_iter().map(entry).collect(),
            next_cursor: page.next.map(cursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EventFilter, RoomFilter};

    #[test]
    fn a_cursor_leads_back_to_its_place_for_a_day() {
        let page = store::Page {
            data: vec![1],
            next: Some(Cursor(vec![7.into(), "a".into()])),
        };
        let list = List::new(page, |n| n);
        let next = list.next_cursor.unwrap();
        let request = page_request(None, Some(&next), None, RoomFilter::SORT).unwrap();
        assert_eq!(request.after, Some(Cursor(vec![7.into(), "a".into()])));
        assert_eq!(request.limit, DEFAULT_LIMIT);
        assert!(page_request(None, Some(&next), None, EventFilter::SORT).is_err());
        let old = Sealed {
            k: vec![7.into()],
            t: Timestamp::now()
                .before(VALID + Duration::from_secs(1))
                .as_millis(),
        };
        let old = Base64UrlUnpadded::encode_string(&serde_json::to_vec(&old).unwrap());
        for bad in ["", "x", "AAAA", &old] {
            let refused = page_request(None, Some(bad), None, RoomFilter::SORT).unwrap_err();
            assert_eq!(refused.kind(), Kind::UnknownParameter);
        }
    }

    #[test]
    fn a_limit_has_limits() {
        for (limit, is_valid) in [
            (0, false),
            (1, true),
            (MAX_LIMIT, true),
            (MAX_LIMIT + 1, false),
        ] {
            assert_eq!(
                page_request(Some(limit), None, None, RoomFilter::SORT).is_ok(),
                is_valid
            );
        }
    }
}
