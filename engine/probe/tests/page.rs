//! `docs/probes.md`: every probe and every buggify site, where it is and what it stands for.
//!
//! Generated: `UPDATE_DOCS=1 cargo test -p seawall-probe --test page`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use seawall_probe::{Probe, Site};

/// Crates of the engine that may hold marks.
const MARKED: [&str; 2] = ["engine/protocol/src", "engine/runtime/src"];

const HEAD: &str = "\
# Probes and buggify sites

Generated from the code: `UPDATE_DOCS=1 cargo test -p seawall-probe --test page`.

A **probe** marks a rare branch of the engine. A run counts which ones it reaches, and what a sweep never reaches
was not tested. `cargo sim coverage scenarios/crash` prints the counts, the matrix of faults and phases, and what
stayed dark.

A **buggify site** is a place where something legal but unlikely may be made to happen. With `buggify = true` in a
scenario each site is active in a quarter of the seeds, and an active one fires a quarter of the times.

Both exist in the simulator's build only: without the feature `storm` of `seawall-probe` they are constants.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names that `mark!(…)` has in the code, each with the files it stands in.
fn marks(mark: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut directories: Vec<PathBuf> = MARKED.iter().map(|it| root().join(it)).collect();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("it is part of the repository") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("source is text");
            let file = path.strip_prefix(root()).expect("it is below").display().to_string();
            for rest in text.split(&format!("{mark}!(")).skip(1) {
                found.entry(last_argument(rest)).or_default().push(file.clone());
            }
        }
    }
    found
}

/// The last argument of the call whose arguments `text` begins with.
fn last_argument(text: &str) -> String {
    let mut depth = 1;
    let end = text.find(|it| {
        depth += match it {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    let arguments = &text[..end.expect("every call ends")];
    let last = arguments.rsplit(',').map(str::trim).find(|it| !it.is_empty());
    last.expect("every mark has a name").to_owned()
}

fn section<T: Copy>(
    out: &mut String,
    title: &str,
    groups: &[(&str, &[T])],
    of: impl Fn(T) -> (&'static str, &'static str),
    marks: &BTreeMap<String, Vec<String>>,
) {
    writeln!(out, "\n## {title}").expect("a string takes everything");
    for (group, names) in groups {
        writeln!(out, "\n### {group}\n").expect("a string takes everything");
        out.push_str("| name | stands for | in |\n| --- | --- | --- |\n");
        for name in *names {
            let (name, about) = of(*name);
            let file = marks.get(name).and_then(|it| it.first()).map_or("", String::as_str);
            let file = file.strip_prefix("engine/").unwrap_or(file).replace("/src/", "/");
            writeln!(out, "| {name} | {about} | `{file}` |").expect("a string takes everything");
        }
    }
}

#[test]
fn the_page_is_what_the_code_says() {
    let mut page = HEAD.to_owned();
    let title = format!("{} probes", Probe::ALL.len());
    section(&mut page, &title, Probe::GROUPS, |it| (it.name(), it.about()), &marks("sometimes"));
    let title = format!("{} buggify sites", Site::ALL.len());
    section(&mut page, &title, Site::GROUPS, |it| (it.name(), it.about()), &marks("buggify"));
    let path = root().join("docs/probes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, page).expect("written");
        return;
    }
    let written = fs::read_to_string(path).expect("it is part of the repository");
    assert!(written == page, "out of date: UPDATE_DOCS=1 cargo test -p seawall-probe --test page");
}

fn each_stands_once(table: &[&str], marks: &BTreeMap<String, Vec<String>>) {
    for name in table {
        let files = marks.get(*name).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(files.len(), 1, "{name} must mark one place: {files:?}");
    }
}

#[test]
fn each_probe_marks_one_place() {
    let names: Vec<_> = Probe::ALL.iter().map(|it| it.name()).collect();
    each_stands_once(&names, &marks("sometimes"));
}

#[test]
fn each_site_is_one_place() {
    let names: Vec<_> = Site::ALL.iter().map(|it| it.name()).collect();
    each_stands_once(&names, &marks("buggify"));
}

#[test]
fn each_is_explained_in_one_sentence() {
    let abouts =
        Probe::ALL.iter().map(|it| it.about()).chain(Site::ALL.iter().map(|it| it.about()));
    for about in abouts {
        assert!(about.ends_with('.') && !about.contains('|'), "{about}");
    }
}

#[test]
fn the_tables_are_large_enough_to_say_something() {
    assert!(Probe::ALL.len() >= 150, "{}", Probe::ALL.len());
    assert!(Site::ALL.len() >= 20, "{}", Site::ALL.len());
}
