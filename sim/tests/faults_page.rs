//! `docs/faults.md` is the catalogue of faults, written from the code:
//! `UPDATE_DOCS=1 cargo test -p seawall-sim --test faults_page`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use seawall_sim::fault::VERBS;
use seawall_sim::fault::kinds::{Bite, Class, Family, KINDS, Kind};

const HEAD: &str = "\
# Faults

Every kind of fault that the simulator knows, how a scenario spells it, and what proves that it bites: a test
runs each kind and the same run without it, and looks for what the last line of the kind names
(`tests/simulated/bite.rs`). The swarm draws from the same list: what a spelling leaves open, a range or a
`worker-*`, is drawn from the seed.

A fault is a trigger and a verb in one `[[fault]]` table, or a line of `[job]`:

```toml
[[fault]]
on = { event = \"snapshot-acked\", nth = 3 }
crash = { node = \"worker-1\", restart_after = \"2s\" }
```

| trigger | |
| --- | --- |
| `at = \"1s..3s\"` | at a virtual time |
| `every = \"5s\"` | again and again in the safety phase, half to one and a half of this apart |
| `on = { event, nth, checkpoint, subtask, node, after }` | at the nth event that matches: before the next step of whoever reports it, or `after` so long |
| `on = { fault, nth, node, after }` | because another fault just happened: the nth of this verb, on this node |
| `on = { call, path, when, nth, node, after }` | at the nth call to the disk: `any`, `read`, `write` or `sync`, `before` or `after` it has its effect |

**Survivable** kinds must not change what a user sees; the swarm draws them. Kinds **beyond the contract** destroy
what nobody has a second copy of. Of those the engine owes one thing: that the damage is noticed. What is the
last copy of a completed checkpoint is spared where the world can know it, and the trace says `STRUCK ... spared`.
";

fn page() -> String {
    let mut page = String::from(HEAD);
    for family in Family::ALL {
        let kinds: Vec<_> = KINDS.iter().filter(|it| it.family == family).collect();
        write!(page, "\n## {}: {} kinds\n", family.title(), kinds.len()).expect("a string");
        for it in kinds {
            kind(&mut page, it);
        }
    }
    page.push_str("\n## Verbs and their keys\n\n| verb | key | |\n| --- | --- | --- |\n");
    for verb in VERBS {
        writeln!(page, "| `{}` | | {} |", verb.name, verb.about.trim()).expect("a string");
        for (key, about) in verb.keys() {
            writeln!(page, "| | `{key}` | {about} |").expect("a string");
        }
    }
    page
}

fn kind(page: &mut String, kind: &Kind) {
    let class = match kind.class {
        Class::Survivable => "",
        Class::Beyond => " (beyond the contract)",
    };
    let trigger = kind.trigger.map_or(String::new(), |it| format!("on = {{ {it} }}\n"));
    let bite = match kind.bite {
        Bite::Strike(name) => format!("the world counts a strike of `{name}`"),
        Bite::Struck => "the trace says `STRUCK`".to_owned(),
        Bite::Event(event) => format!("the event `{event}` occurs, and only with it"),
        Bite::More(event) => format!("the event `{event}` occurs more often"),
        Bite::Slower => "the job takes longer".to_owned(),
        Bite::Course => "the run takes another course".to_owned(),
        Bite::Output => "the input, and with it the output, is another one".to_owned(),
    };
    let jobs = match kind.jobs {
        [] => String::new(),
        jobs => format!(" For the jobs {}.", jobs.join(", ")),
    };
    let Kind { name, about, spelling, .. } = kind;
    write!(
        page,
        "\n### {name}{class}\n\n{about}{jobs}\n\n```toml\n{trigger}{spelling}\n```\n\nBites: {bite}.\n"
    )
    .expect("a string");
}

#[test]
fn the_page_of_faults_is_what_the_code_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page()).expect("the page can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "run it again with UPDATE_DOCS=1");
}

#[test]
fn the_catalogue_has_more_than_45_kinds_with_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = KINDS.iter().map(|it| it.name).collect();
    assert_eq!(names.len(), KINDS.len());
    assert!(names.len() >= 45, "{} kinds", names.len());
}

#[test]
fn every_verb_is_of_some_kind() {
    for verb in VERBS {
        let spelled = format!("{} = {{", verb.name);
        assert!(KINDS.iter().any(|it| it.spelling.starts_with(&spelled)), "{}", verb.name);
    }
}
