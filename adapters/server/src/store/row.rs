//! Rows, whichever way they come out of the database.
//!
//! A driver gives a row at a time and value by value: with SQLite each row crosses threads, and each of its values is allocated
//! several times. Hence a page of a list comes as one [text](read): a JSON array of rows, each an array of values, which both
//! engines write alike.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::StoreError;

/// What a row of a table is read from.
pub(super) trait Columns {
    /// The number in this column; `None` for `NULL`.
    fn number(&self, column: &'static str) -> Result<Option<i64>, sqlx::Error>;

    /// The text in this column; `None` for `NULL`.
    fn text(&self, column: &'static str) -> Result<Option<Cow<'_, str>>, sqlx::Error>;

    /// The value of this column.
    fn field<T: Field>(&self, column: &'static str) -> Result<T, StoreError> {
        Ok(T::of(self, column)?)
    }
}

/// What a column can hold.
pub(super) trait Field: Sized {
    fn of(row: &(impl Columns + ?Sized), column: &'static str) -> Result<Self, sqlx::Error>;
}

impl Field for Option<i64> {
    fn of(row: &(impl Columns + ?Sized), column: &'static str) -> Result<Self, sqlx::Error> {
        row.number(column)
    }
}

impl Field for i64 {
    fn of(row: &(impl Columns + ?Sized), column: &'static str) -> Result<Self, sqlx::Error> {
        row.number(column)?.ok_or_else(|| unlike(column, "NULL"))
    }
}

impl Field for Option<String> {
    fn of(row: &(impl Columns + ?Sized), column: &'static str) -> Result<Self, sqlx::Error> {
        Ok(row.text(column)?.map(Cow::into_owned))
    }
}

impl Field for String {
    fn of(row: &(impl Columns + ?Sized), column: &'static str) -> Result<Self, sqlx::Error> {
        let text = row.text(column)?.map(Cow::into_owned);
        text.ok_or_else(|| unlike(column, "NULL"))
    }
}

/// The error of a column that holds something else than it should.
fn unlike(column: &'static str, found: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("there is {found}").into(),
    }
}

impl Columns for AnyRow {
    fn number(&self, column: &'static str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn text(&self, column: &'static str) -> Result<Option<Cow<'_, str>>, sqlx::Error> {
        let text: Option<&str> = self.try_get(column)?;
        Ok(text.map(Cow::Borrowed))
    }
}

/// An entry of a list.
pub(super) trait Entry: Sized {
    /// The columns that it is read from.
    const COLUMNS: &'static [&'static str];

    /// Reads a row that has these columns.
    fn of(row: &impl Columns) -> Result<Self, StoreError>;
}

/// Reads a text of rows with the columns of such entries.
pub(super) fn read<T: Entry>(text: &str) -> Result<Vec<T>, StoreError> {
    let rows: Result<Vec<Vec<Cell<'_>>>, _> = serde_json::from_str(text);
    let rows = rows.map_err(|error| sqlx::Error::Decode(error.into()))?;
    let columns = T::COLUMNS;
    let rows = rows.iter().map(|cells| Listed { columns, cells });
    rows.map(|row| T::of(&row)).collect()
}

/// A row in such a text.
struct Listed<'r> {
    columns: &'static [&'static str],
    cells: &'r [Cell<'r>],
}

/// A value in such a text.
#[derive(Debug)]
enum Cell<'t> {
    Null,
    Number(i64),
    Text(Cow<'t, str>),
}

impl Listed<'_> {
    fn cell(&self, column: &'static str) -> Result<&Cell<'_>, sqlx::Error> {
        let place = self.columns.iter().position(|name| *name == column);
        let cell = place.and_then(|place| self.cells.get(place));
        cell.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()))
    }
}

impl Columns for Listed<'_> {
    fn number(&self, column: &'static str) -> Result<Option<i64>, sqlx::Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Number(number) => Ok(Some(*number)),
            Cell::Text(_) => Err(unlike(column, "a text")),
        }
    }

    fn text(&self, column: &'static str) -> Result<Option<Cow<'_, str>>, sqlx::Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(Cow::Borrowed(text))),
            Cell::Number(_) => Err(unlike(column, "a number")),
        }
    }
}

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyCell)
    }
}

struct AnyCell;

impl<'de> Visitor<'de> for AnyCell {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, an integer or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Cell::Null)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Cell::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let number = i64::try_from(number).map_err(Error::custom)?;
        Ok(Cell::Number(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }
}
