//! Which tests hold which rule: `docs/rules-coverage.md`, generated from the comments above tests.
//!
//! A test that proves a rule says so in the line above its `#[test]`: `// Rules: C1, C2`. The rules are
//! those of `docs/rules.md`. Write the page anew with `UPDATE_DOCS=1 cargo test --test real rules_coverage`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Groups whose every rule must have a test. The others belong to parts of the engine yet to come.
const COVERED_GROUPS: &str = "ABCDEFGHIJKNRS";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Each label with its rule, in the order of `docs/rules.md`.
fn rules() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let rule = |line: &str| {
        let (label, rule) = line.strip_prefix("- **")?.split_once("** ")?;
        Some((label.to_owned(), rule.to_owned()))
    };
    text.lines().filter_map(rule).collect()
}

fn sources(directory: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(directory).unwrap().map(|it| it.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                sources(&path, into);
            }
        } else if name.ends_with(".rs") {
            into.push(path);
        }
    }
}

/// For each label the tests that name it, as `file: test`.
fn claims() -> BTreeMap<String, Vec<String>> {
    let mut files = Vec::new();
    for directory in ["engine", "models", "sim", "tests"] {
        sources(&root().join(directory), &mut files);
    }
    let mut claims: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let file = file.strip_prefix(root()).unwrap().display().to_string();
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            let Some(labels) = line.trim().strip_prefix("// Rules: ") else { continue };
            let after = lines
                .by_ref()
                .find_map(|line| line.split_once("fn ")?.1.split_once('('))
                .unwrap_or_else(|| panic!("{file}: `{}` is above no test", line.trim()));
            for label in labels.split(", ") {
                claims.entry(label.to_owned()).or_default().push(format!("{file}: {}", after.0));
            }
        }
    }
    claims
}

fn page() -> String {
    let claims = claims();
    let mut page = String::from(
        "# Which tests hold which rule\n\n\
         Generated from the comments above the tests; the rules are explained in [rules.md](rules.md).\n\n\
         | rule | tests |\n| --- | --- |\n",
    );
    for (label, rule) in rules() {
        let tests = claims.get(&label).map(|it| it.join("<br>")).unwrap_or_default();
        writeln!(page, "| **{label}** {rule} | {tests} |").unwrap();
    }
    page
}

#[test]
fn every_label_above_a_test_is_a_rule() {
    let rules = rules();
    for (label, tests) in claims() {
        assert!(rules.iter().any(|it| it.0 == label), "{label} is no rule: {tests:?}");
    }
}

#[test]
fn every_rule_has_a_test() {
    let claims = claims();
    let uncovered: Vec<_> = rules()
        .into_iter()
        .filter(|(label, _)| COVERED_GROUPS.contains(&label[..1]) && !claims.contains_key(label))
        .map(|(label, rule)| format!("{label}: {rule}"))
        .collect();
    assert!(uncovered.is_empty(), "no test names:\n{}", uncovered.join("\n"));
}

#[test]
fn the_page_is_what_the_tests_say() {
    let (path, page) = (root().join("docs/rules-coverage.md"), page());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "out of date: UPDATE_DOCS=1 cargo test --test real rules_coverage");
}
