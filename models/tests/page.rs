//! `docs/models.md`: each rule has a switch in a model, or a reason for having none.
//!
//! The table of switches is generated: `UPDATE_DOCS=1 cargo test -p seawall-models --test page`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use seawall_models::plants;

const BEGIN: &str = "<!-- switches -->\n";
const END: &str = "<!-- end of switches -->\n";
/// Groups whose every rule is in one of the two tables. What must come of them (T) is stated by properties;
/// of failover, leadership and figures (O, P, S) only what has a switch is listed.
const GROUPS: &str = "ABCDEFGHIJKMNR";

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(docs(name)).expect("it is part of the repository")
}

/// The labels of `docs/rules.md`, in its order.
fn rules() -> Vec<String> {
    let label = |line: &str| Some(line.strip_prefix("- **")?.split_once("** ")?.0.to_owned());
    read("rules.md").lines().filter_map(label).collect()
}

/// For each label its rows: plant, model and property.
fn switches() -> BTreeMap<&'static str, Vec<String>> {
    let mut switches: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for plant in plants::all() {
        let Some(model) = plant.model else { continue };
        for label in plant.rules {
            let row = format!(
                "| **{label}** | {} | {} | {model} | {} |",
                plant.name, plant.about, plant.model_property
            );
            switches.entry(*label).or_default().push(row);
        }
    }
    switches
}

fn table() -> String {
    let mut table = String::from("| rule | planted bug | what it does | model | property |\n");
    table.push_str("| --- | --- | --- | --- | --- |\n");
    let switches = switches();
    for label in rules() {
        for row in switches.get(label.as_str()).into_iter().flatten() {
            writeln!(table, "{row}").expect("a string takes everything");
        }
    }
    table
}

#[test]
fn the_table_of_switches_is_what_the_plants_say() {
    let page = read("models.md");
    let (head, rest) = page.split_once(BEGIN).expect("the table has a place");
    let (written, tail) = rest.split_once(END).expect("the table has an end");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(docs("models.md"), format!("{head}{BEGIN}{table}{END}{tail}")).expect("written");
        return;
    }
    assert!(
        written == table,
        "out of date: UPDATE_DOCS=1 cargo test -p seawall-models --test page"
    );
}

#[test]
fn each_rule_has_a_switch_or_a_reason_for_having_none() {
    let page = read("models.md");
    let (_, reasons) = page.split_once("## Rules without one").expect("the reasons have a place");
    let label = |line: &str| Some(line.strip_prefix("| **")?.split_once("** | ")?.0.to_owned());
    let reasons: Vec<String> = reasons.lines().filter_map(label).collect();
    let switches = switches();
    let is_asked_for = |label: &&String| GROUPS.contains(&label[..1]);
    let rules = rules();
    for label in rules.iter().filter(is_asked_for) {
        let has_reason = reasons.contains(label);
        assert!(switches.contains_key(label.as_str()) != has_reason, "{label}: one of both tables");
    }
    for label in switches.keys().map(|it| (*it).to_owned()).chain(reasons) {
        assert!(rules.contains(&label), "{label} is no rule");
    }
}
