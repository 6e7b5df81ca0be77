//! docs/SECURITY.md names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of a program's or module's tests, by the first part of their names in the table.
const PLACES: &[(&str, &str)] = &[
    ("security", "tests/tests/security"),
    ("scenarios", "tests/tests/scenarios"),
    ("core", "core/src"),
    ("record", "adapters/record/src"),
    ("tokio", "adapters/tokio/tests"),
    ("tokio-src", "adapters/tokio/src"),
    ("server", "adapters/server/tests"),
    ("server-src", "adapters/server/src"),
    ("files", "adapters/files/src"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The tests that a page names, as `place::module::name` in backticks.
fn named(page: &str) -> Vec<(&'static str, Vec<String>)> {
    let mut named = Vec::new();
    for text in page.split('`').skip(1).step_by(2) {
        let mut parts = text.split("::").map(str::to_owned);
        let place = parts.next().unwrap_or_default();
        let rest: Vec<_> = parts.collect();
        let known = PLACES.iter().find(|(name, _)| *name == place);
        if let (Some((_, folder)), true) = (known, rest.len() >= 2) {
            named.push((*folder, rest));
        }
    }
    named
}

/// The reason that there is no such test.
fn missing(folder: &str, path: &[String]) -> Option<String> {
    let (name, modules) = path.split_last()?;
    let file = root()
        .join(folder)
        .join(modules.join("/"))
        .with_extension("rs");
    let Ok(source) = fs::read_to_string(&file) else {
        return Some(format!("{} is no file", file.display()));
    };
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else {
        return Some(format!("{name} is not in {}", file.display()));
    };
    // Nothing but attributes and words stand between the attribute and the name.
    let attributes = before.rsplit(['}', ';', '{']).next().unwrap_or_default();
    let is_test = attributes.contains("#[test]") || attributes.contains("#[tokio::test");
    (!is_test || attributes.contains("#[ignore")).then(|| format!("{name} is no test that runs"))
}

#[test]
fn every_claim_has_a_test_that_exists() {
    let page = fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let tests = named(&page);
    assert!(tests.len() >= 50, "only {} tests are named", tests.len());
    for (folder, path) in tests {
        assert_eq!(missing(folder, &path), None);
    }
    // Each row of the table of claims names one.
    let claims = page.split("## Claims").nth(1).expect("a table of claims");
    let rows = claims.lines().filter(|line| line.starts_with("| "));
    for row in rows.skip(1) {
        assert!(!named(row).is_empty(), "no test for: {row}");
    }
}

#[test]
fn every_test_here_is_named() {
    let page = fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let folder = root().join("tests/tests/security");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        if module == "claims" || module == "main" {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for test in source.split("#[test]").skip(1) {
            let name = test.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            let full = format!("security::{module}::{name}");
            assert!(page.contains(&full), "{full} proves no claim");
        }
    }
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    let path = |module: &str, name: &str| vec![module.to_owned(), name.to_owned()];
    let folder = "tests/tests/security";
    let this = path("claims", "every_claim_has_a_test_that_exists");
    assert_eq!(missing(folder, &this), None);
    assert!(missing(folder, &path("claims", "never_written")).is_some());
    assert!(missing(folder, &path("claims", "root")).is_some());
    assert!(missing(folder, &path("nowhere", "x")).is_some());
}
