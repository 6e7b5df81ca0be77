//! What a list's text says of a row, beside what the driver says of it.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::*;
use crate::store::list::Select;
use crate::store::row::{Columns, Entry};

/// An entry of all kinds of values.
#[derive(Debug, Clone, PartialEq)]
struct Kinds {
    text: String,
    maybe_text: Option<String>,
    number: i64,
    maybe_number: Option<i64>,
}

impl Entry for Kinds {
    const COLUMNS: &'static [&'static str] = &["number", "maybe_text", "text", "maybe_number"];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            text: row.field("text")?,
            maybe_text: row.field("maybe_text")?,
            number: row.field("number")?,
            maybe_number: row.field("maybe_number")?,
        })
    }
}

impl Kinds {
    /// A statement that has these rows, in their order.
    fn select(rows: &[Self]) -> Select {
        let mut select = Select::new("SELECT * FROM (");
        for (index, row) in rows.iter().enumerate() {
            let mut place = |value: Option<Value>, kind: &str| match value {
                Some(value) => format!("CAST({} AS {kind})", select.place(value)),
                None => format!("CAST(NULL AS {kind})"),
            };
            let text = place(Some(row.text.as_str().into()), "TEXT");
            let maybe_text = place(row.maybe_text.as_deref().map(Value::from), "TEXT");
            let number = place(Some(row.number.into()), "BIGINT");
            let maybe_number = place(row.maybe_number.map(Value::from), "BIGINT");
            if index > 0 {
                select.push(" UNION ALL ");
            }
            select.push(&format!(
                "SELECT {index} AS place, {text} AS text, {maybe_text} AS maybe_text, {number} AS number, \
                 {maybe_number} AS maybe_number"
            ));
        }
        select.push(") AS rows ORDER BY place LIMIT 100");
        select
    }
}

fn any_row() -> impl Strategy<Value = Kinds> {
    // PostgreSQL holds any text but those with a zero.
    let text = || any::<String>().prop_map(|text| text.replace('\0', "\u{1}\"\\"));
    (
        text(),
        proptest::option::of(text()),
        any::<i64>(),
        proptest::option::of(any::<i64>()),
    )
        .prop_map(|(text, maybe_text, number, maybe_number)| Kinds {
            text,
            maybe_text,
            number,
            maybe_number,
        })
}

#[test]
fn a_list_holds_what_its_rows_hold() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for fixture in runtime.block_on(all()) {
        let store = &fixture.store;
        let mut runner = TestRunner::new(Config::with_cases(64));
        let rows = proptest::collection::vec(any_row(), 1..8);
        let run = runner.run(&rows, |rows| {
            runtime.block_on(async {
                let fail = |error: StoreError| TestCaseError::fail(error.to_string());
                let driven = Kinds::select(&rows).query().fetch_all(&store.readers).await;
                let driven = driven.map_err(|error| fail(error.into()))?;
                let driven: Result<Vec<Kinds>, _> = driven.iter().map(Kinds::of).collect();
                prop_assert_eq!(driven.map_err(fail)?, rows.clone());
                let select = Kinds::select(&rows);
                let listed = select.page(store, &page(100), |_: &Kinds| Vec::new()).await;
                prop_assert_eq!(listed.map_err(fail)?.data, rows);
                Ok(())
            })
        });
        run.unwrap();
    }
}

#[tokio::test]
async fn a_list_says_which_column_holds_something_else() {
    for fixture in all().await {
        let statement =
            "SELECT 'x' AS text, 'y' AS maybe_text, 'z' AS number, NULL AS maybe_number";
        let request = page(1);
        let listed = Select::new(statement).page(&fixture.store, &request, |_: &Kinds| Vec::new());
        let error = listed.await.unwrap_err().to_string();
        assert!(error.contains("number"), "{error}");
    }
}
