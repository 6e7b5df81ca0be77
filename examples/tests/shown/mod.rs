//! Compares the code on a page with code that is compiled.

/// The lines between two lines, without the indentation of the first one in between.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let lines: Vec<&str> = text.lines().collect();
    let is = |wanted: &str| {
        let wanted = wanted.to_owned();
        move |line: &&str| line.trim() == wanted
    };
    let start = lines.iter().position(is(begin)).expect(begin) + 1;
    let length = lines[start..].iter().position(is(end)).expect(end);
    let part = &lines[start..start + length];
    let indentation = part[0].len() - part[0].trim_start().len();
    part.iter()
        .map(|line| line.get(indentation..).unwrap_or_default())
        .collect()
}

/// The Rust code in the section `name` of `page` is that of the same section of `source`, which is compiled.
pub(crate) fn assert_shown(page: &str, source: &str, name: &str) {
    let section = between(
        page,
        &format!("<!-- {name}:begin -->"),
        &format!("<!-- {name}:end -->"),
    );
    let shown = between(&section.join("\n"), "```rust", "```").join("\n");
    let compiled = between(source, &format!("// <<< {name}"), "// >>>").join("\n");
    assert_eq!(
        shown, compiled,
        "{name}: the page shows other code than the test compiles"
    );
}
