//! Lists: filters, order, and pages that follow each other without gap or repetition.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Row as _};

use super::row::{self, Entry};
use super::{Engine, Store, StoreError};
use crate::time::Timestamp;

/// Most values of a column for which a list is put together of their parts.
const MOST_PARTS: usize = 100;

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest.
    #[default]
    Desc,
    /// The oldest.
    Asc,
}

/// Where a page begins: behind the entry with these values in the columns by which the list is sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub Vec<Value>);

/// By which columns a list is sorted, which are unique together.
#[derive(Debug, Clone, Copy)]
pub struct Sort(pub(super) &'static [(&'static str, Column)]);

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Int,
    Text,
}

impl Sort {
    /// Whether a cursor is one of a list that is sorted so.
    pub fn fits(self, cursor: &Cursor) -> bool {
        let kinds = cursor.0.iter().map(|value| match value {
            Value::Int(_) => Column::Int,
            Value::Text(_) => Column::Text,
        });
        kinds.eq(self.0.iter().map(|(_, kind)| *kind))
    }
}

/// From when on, and before when.
pub(super) type Times = [Option<Timestamp>; 2];

/// Whether entries that begin and end are sorted by their end: if only that is asked for.
pub(super) fn is_by_end(began: Times, ended: Times) -> bool {
    let is_any = |times: Times| times.iter().any(Option::is_some);
    is_any(ended) && !is_any(began)
}

/// Which part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Behind which entry; from the beginning without one.
    pub after: Option<Cursor>,
    /// How many entries at most.
    pub limit: u32,
    /// Which end comes first.
    pub order: Order,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub data: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// A value in a statement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number or a time.
    Int(i64),
    /// A text.
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// A statement that is put together from fixed texts; all values are bound.
#[derive(Debug)]
pub(super) struct Select {
    sql: String,
    values: Vec<Value>,
    has_filter: bool,
    /// A column and the places of the values that it may have.
    split: Option<(&'static str, Vec<String>)>,
}

impl Select {
    /// Begins with `SELECT … FROM …`.
    pub(super) fn new(base: &'static str) -> Self {
        Self {
            sql: base.to_owned(),
            values: Vec::new(),
            has_filter: false,
            split: None,
        }
    }

    /// Binds a value; gives its place in the statement.
    pub(super) fn place(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn condition(&mut self, condition: &str) {
        self.sql += if self.has_filter { " AND " } else { " WHERE " };
        self.has_filter = true;
        self.sql += condition;
    }

    /// Continues the statement as it is.
    pub(super) fn push(&mut self, text: &str) {
        self.sql += text;
    }

    /// The next condition belongs to another part of the statement than the former ones.
    pub(super) fn begin_filter(&mut self) {
        self.has_filter = false;
    }

    /// A condition without values.
    pub(super) fn that(&mut self, condition: &'static str) {
        self.condition(condition);
    }

    /// A condition on one value, such as `created_at >=`.
    pub(super) fn compare(&mut self, left: &'static str, right: impl Into<Value>) {
        let place = self.place(right.into());
        self.condition(&format!("{left} {place}"));
    }

    /// One of two such conditions.
    pub(super) fn either(&mut self, left: [&'static str; 2], right: [Value; 2]) {
        let [a, b] = right.map(|value| self.place(value));
        self.condition(&format!("({} {a} OR {} {b})", left[0], left[1]));
    }

    /// The column has any of the values; all do if there are none.
    pub(super) fn any_of(&mut self, column: &'static str, values: &[impl AsRef<str>]) {
        if values.is_empty() {
            return;
        }
        let places = self.places(values);
        self.condition(&format!("{column} IN ({places})"));
    }

    /// The same for a list that is [`sorted`](Self::sorted) by an index which begins with that column: each value's entries are
    /// found in order, so that a page of them is enough. `IN` would have all of them read and sorted.
    pub(super) fn each_of(&mut self, column: &'static str, values: &[impl AsRef<str>]) {
        let mut values: Vec<_> = values.iter().map(AsRef::as_ref).collect();
        values.sort_unstable();
        values.dedup();
        if self.split.is_none() && (2..=MOST_PARTS).contains(&values.len()) {
            let places = values.iter().map(|value| self.place((*value).into()));
            self.split = Some((column, places.collect()));
        } else {
            self.any_of(column, &values);
        }
    }

    /// The same of a condition that ends in `(SELECT … WHERE column`.
    pub(super) fn any_of_sub(&mut self, condition: &'static str, values: &[impl AsRef<str>]) {
        if values.is_empty() {
            return;
        }
        let places = self.places(values);
        self.condition(&format!("{condition} IN ({places}))"));
    }

    fn places(&mut self, values: &[impl AsRef<str>]) -> String {
        let places: Vec<_> = values
            .iter()
            .map(|value| self.place(value.as_ref().into()))
            .collect();
        places.join(", ")
    }

    /// The column is in the half-open range `from <= column < before`.
    pub(super) fn range(
        &mut self,
        column: [&'static str; 2],
        from: Option<i64>,
        before: Option<i64>,
    ) {
        let [at_least, less] = column;
        if let Some(from) = from {
            self.compare(at_least, from);
        }
        if let Some(before) = before {
            self.compare(less, before);
        }
    }

    /// The same for a column of times.
    pub(super) fn times(&mut self, column: [&'static str; 2], [from, before]: Times) {
        let [from, before] = [from, before].map(|time| time.map(Timestamp::as_millis));
        self.range(column, from, before);
    }

    /// Sorted, and no more of it than one page and an entry.
    pub(super) fn sorted(mut self, sort: Sort, page: &PageRequest) -> Self {
        let columns: Vec<_> = sort.0.iter().map(|(column, _)| *column).collect();
        let (compare, order) = match page.order {
            Order::Desc => ("<", "DESC"),
            Order::Asc => (">", "ASC"),
        };
        if let Some(Cursor(values)) = &page.after
            && values.len() == columns.len()
        {
            let places = values.iter().map(|value| self.place(value.clone()));
            let places: Vec<_> = places.collect();
            let (columns, places) = (columns.join(", "), places.join(", "));
            self.condition(&format!("({columns}) {compare} ({places})"));
        }
        let sorted: Vec<_> = columns
            .iter()
            .map(|column| format!("{column} {order}"))
            .collect();
        let limit = self.place(Value::Int(i64::from(page.limit) + 1));
        let end = format!(" ORDER BY {} LIMIT {limit}", sorted.join(", "));
        if let Some((column, places)) = self.split.take() {
            let and = if self.has_filter { "AND" } else { "WHERE" };
            let parts = places.iter().enumerate().map(|(index, place)| {
                let Self { sql, .. } = &self;
                format!("SELECT * FROM ({sql} {and} {column} = {place}{end}) AS part{index}")
            });
            let parts: Vec<_> = parts.collect();
            self.sql = format!("SELECT * FROM ({}) AS parts", parts.join(" UNION ALL "));
        }
        self.sql += &end;
        self
    }

    /// What stands behind all conditions.
    pub(super) fn ending(mut self, end: &str) -> Self {
        self.sql += end;
        self
    }

    /// One page. `key` gives an entry's columns by which the list is [sorted](Self::sorted).
    pub(super) async fn page<T: Entry>(
        self,
        store: &Store,
        page: &PageRequest,
        key: impl Fn(&T) -> Vec<Value>,
    ) -> Result<Page<T>, StoreError> {
        let collected = self.collected(store.engine, T::COLUMNS).query();
        let text = collected.fetch_one(&store.readers).await?;
        let mut data = row::read(text.try_get(0)?)?;
        let limit = page.limit as usize;
        // The one entry more says that there is another page.
        let has_more = data.len() > limit;
        data.truncate(limit);
        let next = data
            .last()
            .filter(|_| has_more)
            .map(|last| Cursor(key(last)));
        Ok(Page { data, next })
    }

    /// All rows in one text, as [`row::read`] takes it.
    fn collected(mut self, engine: Engine, columns: &[&str]) -> Self {
        let (rows, row) = match engine {
            Engine::Sqlite => ("json_group_array", "json_array"),
            Engine::Postgres => ("json_agg", "json_build_array"),
        };
        // Both take the rows in the order of the inner statement. Of none, PostgreSQL makes `NULL`.
        self.sql = format!(
            "SELECT CAST(COALESCE({rows}({row}({})), '[]') AS TEXT) FROM ({}) AS listed",
            columns.join(", "),
            self.sql
        );
        self
    }

    /// The statement with its values bound.
    pub(super) fn query(self) -> Query<'static, Any, AnyArguments> {
        let mut query = sqlx::query(AssertSqlSafe(self.sql));
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
            };
        }
        query
    }

    #[cfg(test)]
    /// What the database says about how it finds the rows, if asked so.
    pub(super) fn explained(mut self, explain: &str) -> Query<'static, Any, AnyArguments> {
        self.sql.insert_str(0, explain);
        self.query()
    }
}
