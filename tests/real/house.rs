//! The house: who may import whom, what has no standard library, and what the program contains.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each package with the packages of the workspace it may use. Cargo enforces what is listed in the
/// manifests; this enforces the manifests.
const ARROWS: &[(&str, &str, &[&str])] = &[
    ("engine/probe", "probe", &[]),
    ("engine/protocol", "protocol", &["probe"]),
    ("engine/spec", "spec", &["protocol"]),
    ("engine/env", "env", &["protocol"]),
    ("engine/stream", "stream", &["protocol", "env"]),
    ("engine/runtime", "runtime", &["probe", "protocol", "env", "stream"]),
    ("engine/jobs", "jobs", &["protocol", "env", "stream", "runtime"]),
    ("engine/config", "config", &["protocol"]),
    ("models", "models", &["protocol", "spec"]),
    ("sim", "sim", &["probe", "protocol", "spec", "env", "stream", "runtime", "jobs", "models"]),
    (".", "the program", &["protocol", "env", "stream", "runtime", "jobs", "config"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn manifest(directory: &str) -> toml::Table {
    fs::read_to_string(root().join(directory).join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Names of dependencies that end up in what others link.
fn dependencies(directory: &str) -> BTreeSet<String> {
    let manifest = manifest(directory);
    let mut names = BTreeSet::new();
    for section in ["dependencies", "build-dependencies"] {
        let section = manifest.get(section).and_then(|it| it.as_table());
        names.extend(section.into_iter().flat_map(|it| it.keys().cloned()));
    }
    assert!(!manifest.contains_key("target"), "{directory} hides dependencies behind a target");
    names
}

#[test]
fn every_arrow_points_as_the_house_is_drawn() {
    for (directory, name, allowed) in ARROWS {
        for dependency in dependencies(directory) {
            if let Some(used) = dependency.strip_prefix("seawall-") {
                assert!(allowed.contains(&used), "{name} must not use {used}");
            }
        }
    }
}

#[test]
fn every_member_of_the_workspace_has_its_arrows() {
    let manifest = manifest(".");
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().map(|it| it.as_str().unwrap()).collect();
    let drawn = ARROWS.iter().map(|(directory, ..)| *directory).filter(|it| *it != ".");
    assert_eq!(members, drawn.collect());
}

#[test]
fn only_the_simulator_depends_on_madsim_and_only_models_on_stateright() {
    for (directory, name, _) in ARROWS {
        let dependencies = dependencies(directory);
        assert_eq!(dependencies.contains("madsim"), *directory == "sim", "{name}");
        assert!(!dependencies.contains("stateright") || *directory == "models", "{name}");
        assert!(!dependencies.iter().any(|it| it.starts_with("madsim-")), "{name}");
    }
}

#[test]
fn protocol_and_spec_have_no_standard_library() {
    // The probe crate has one too, but only in the simulator's build, which counts by thread.
    for directory in ["engine/protocol", "engine/spec"] {
        let source = fs::read_to_string(root().join(directory).join("src/lib.rs")).unwrap();
        assert!(source.lines().any(|it| it == "#![no_std]"), "{directory}");
        for (path, line) in code(directory) {
            let is_test = path.to_str().unwrap().contains("test");
            assert!(is_test || !line.contains("extern crate std"), "{}: {line}", path.display());
        }
    }
}

#[test]
fn only_the_worlds_and_the_programs_name_an_executor() {
    // Built from parts: the words must not be in this program's own text.
    let executors: BTreeMap<String, &[&str]> = BTreeMap::from([
        (["to", "kio::"].concat(), ["engine/runtime/src/tokio_env", "engine/cli"].as_slice()),
        (["mad", "sim::"].concat(), ["sim/src"].as_slice()),
    ]);
    for (directory, ..) in ARROWS.iter().filter(|(directory, ..)| *directory != ".") {
        for (path, line) in code(directory).into_iter().chain(code("engine/cli")) {
            let path = path.strip_prefix(root()).unwrap().to_path_buf();
            for (executor, rooms) in &executors {
                let is_room = rooms.iter().any(|room| path.starts_with(room));
                assert!(is_room || !line.contains(executor), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn the_program_contains_no_symbol_of_madsim() {
    let needle = ["mad", "sim"].concat();
    for binary in [env!("CARGO_BIN_EXE_seawall").into(), std::env::current_exe().unwrap()] {
        let binary: PathBuf = binary;
        let bytes = fs::read(&binary).unwrap();
        // Symbol names, debug information and paths are plain text in the file.
        let found = bytes.windows(needle.len()).position(|it| it == needle.as_bytes());
        if binary == Path::new(env!("CARGO_BIN_EXE_seawall")) {
            assert_eq!(found, None, "{} contains {needle}", binary.display());
        } else {
            // The search itself works: this test's own name is in its binary.
            assert!(found.is_some());
        }
    }
}

#[test]
fn a_production_build_has_no_storm() {
    let features = |package: &str| {
        let arguments = ["tree", "--offline", "--edges", "normal,features", "--package", package];
        let tree =
            Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        String::from_utf8(tree.stdout).unwrap()
    };
    let storm = "seawall-probe feature \"storm\"";
    let production = features("seawall");
    assert!(production.contains("seawall-probe v"), "it is in the tree: {production}");
    assert!(!production.contains(storm), "counters and buggify sites are for the simulator");
    assert!(features("seawall-sim").contains(storm), "which has them");
}

/// Lines of code below `src` of a package, or of the directory itself, without comments.
fn code(directory: &str) -> Vec<(PathBuf, String)> {
    let source = root().join(directory).join("src");
    let mut directories = vec![if source.exists() { source } else { root().join(directory) }];
    let mut lines = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|it| !it.trim_start().starts_with("//"));
                lines.extend(code.map(|it| (path.clone(), it.to_owned())));
            }
        }
    }
    lines
}

/// Documents, and what is said of them.
const DOCUMENTS: &[&str] =
    &["README.md", "sim/README.md", "examples/own-job/README.md", "tests/data/README.md"];

#[test]
fn every_page_that_a_document_names_is_there() {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|it| it.unwrap().path());
    let pages = pages.filter(|it| it.extension().is_some_and(|it| it == "md"));
    let named_in = DOCUMENTS.iter().map(|it| root().join(it)).chain(pages);
    let mut missing = Vec::new();
    for document in named_in {
        let text = fs::read_to_string(&document).unwrap();
        let here = document.parent().unwrap();
        // In running text a page is named from the root, in a link from the document.
        let named = text.split(|it: char| !(it.is_ascii_alphanumeric() || "-_./".contains(it)));
        let named = named.map(|it| it.trim_end_matches('.')).filter(|it| it.starts_with("docs/"));
        let linked = text.split("](").skip(1).filter_map(|it| it.split([')', '#']).next());
        let linked = linked.filter(|it| !it.is_empty() && !it.contains("://"));
        let paths = named.map(|it| root().join(it)).chain(linked.map(|it| here.join(it)));
        missing.extend(paths.filter(|it| !it.exists()).map(|it| (document.clone(), it)));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
