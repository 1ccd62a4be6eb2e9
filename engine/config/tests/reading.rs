//! Files, arguments and code; which of them wins; and every message.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::time::Duration;

use seawall_config::{Configuration, Origin, markdown};
use tempfile::TempDir;

const INTERVAL: &str = "execution.checkpointing.interval";

/// The configuration of a file with this name and text; messages without the scratch directory.
fn file(name: &str, text: &str) -> Result<Configuration, String> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    let scratch = format!("{}/", directory.path().display());
    Configuration::from_file(path).map_err(|it| it.to_string().replace(&scratch, ""))
}

fn refused(name: &str, text: &str) -> String {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    let scratch = format!("{}/", directory.path().display());
    let settings = Configuration::from_file(path).and_then(|it| it.settings());
    settings.unwrap_err().to_string().replace(&scratch, "")
}

#[test]
fn yaml_and_toml_nested_and_flat_mean_the_same() {
    let expected =
        file("flat.yaml", "execution.checkpointing.interval: 10 s\nheartbeat.timeout: 1min\n")
            .unwrap()
            .settings()
            .unwrap();
    assert_eq!(expected.checkpoint.interval, Some(Duration::from_secs(10)));
    for (name, text) in [
        (
            "nested.yml",
            "execution:\n  checkpointing:\n    interval: 10s # often\nheartbeat:\n  timeout: \"1 min\"\n",
        ),
        (
            "mixed.yaml",
            "---\nexecution:\n  checkpointing.interval: '10000'\nheartbeat.timeout: 60 s\n",
        ),
        (
            "nested.toml",
            "[execution.checkpointing]\ninterval = \"10 s\"\n[heartbeat]\ntimeout = \"1 min\"\n",
        ),
        (
            "flat.toml",
            "execution.checkpointing.interval = 10_000\n\"heartbeat.timeout\" = \"60 s\"\n",
        ),
    ] {
        let text = text.replace("10_000", "10000");
        assert_eq!(file(name, &text).unwrap().settings().unwrap(), expected, "{name}");
    }
    for empty in ["", "# nothing\n", "---\n"] {
        assert!(file("empty.yaml", empty).unwrap().settings().is_ok());
    }
}

#[test]
fn numbers_and_booleans_need_no_quotes() {
    let yaml = "restart-strategy:\n  type: exponential-delay\n  exponential-delay:\n    \
                backoff-multiplier: 2.5\nexecution.checkpointing.num-retained: 3\n\
                execution.checkpointing.incremental: FALSE\n";
    let toml = "restart-strategy.type = \"exponential-delay\"\n\
                restart-strategy.exponential-delay.backoff-multiplier = 2.5\n\
                execution.checkpointing.num-retained = 3\nexecution.checkpointing.incremental = false\n";
    let yaml = file("a.yaml", yaml).unwrap().settings().unwrap();
    assert_eq!(yaml, file("a.toml", toml).unwrap().settings().unwrap());
    assert_eq!(yaml.checkpoint.retained, 3);
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_code() {
    let program =
        Configuration::new().set_at(INTERVAL, "1 s", Origin::Program("seawall run")).unwrap();
    let interval =
        |it: &Configuration| it.settings().unwrap().checkpoint.interval.unwrap().as_secs();
    assert_eq!(interval(&program), 1);
    let code = program.set(INTERVAL, "2 s").unwrap();
    assert_eq!(interval(&code), 2);
    assert_eq!(interval(&code.clone().set(INTERVAL, "3 s").unwrap()), 3, "the later call wins");
    let with_file = code.merge(file("a.yaml", "execution.checkpointing.interval: 4 s").unwrap());
    assert_eq!(interval(&with_file), 4);
    let all = with_file.with_arguments(&["execution.checkpointing.interval=5 s".into()]).unwrap();
    assert_eq!(interval(&all), 5);
    assert_eq!(all.given(INTERVAL).unwrap().origin, Origin::CommandLine);
}

#[test]
fn none_leaves_a_key_unset_that_has_no_default() {
    let program =
        Configuration::new().set_at(INTERVAL, "1 s", Origin::Program("seawall run")).unwrap();
    let unset = program.set(INTERVAL, "none").unwrap();
    assert_eq!(unset.settings().unwrap().checkpoint.interval, None);
    let strategy = Configuration::new().set("restart-strategy.type", "none").unwrap();
    assert_eq!(format!("{:?}", strategy.settings().unwrap().restart), "None");
    assert!(Configuration::new().set("heartbeat.interval", "none").is_err());
}

#[test]
fn without_a_trigger_nothing_restarts_and_with_one_delays_grow() {
    let none = Configuration::new().settings().unwrap();
    assert_eq!(format!("{:?}", none.restart), "None");
    let some = Configuration::new().set(INTERVAL, "1 s").unwrap().settings().unwrap();
    assert!(format!("{:?}", some.restart).starts_with("ExponentialDelay { initial: 1s, max: 60s"));
}

// Rules: B7
#[test]
fn the_effective_interval_is_never_below_the_pause() {
    let settings = Configuration::new()
        .set(INTERVAL, "1 s")
        .and_then(|it| it.set("execution.checkpointing.min-pause", "5 s"))
        .and_then(|it| it.settings())
        .unwrap();
    assert_eq!(settings.effective_interval(), Some(Duration::from_secs(5)));
    insta::assert_snapshot!("warning_pause_above_interval", settings.warnings[0]);
}

// Rules: K9
#[test]
fn a_transaction_timeout_that_a_restart_can_outlast_is_warned_of() {
    let settings = Configuration::new()
        .set(INTERVAL, "1 min")
        .and_then(|it| it.set("restart-strategy.type", "fixed-delay"))
        .and_then(|it| it.settings())
        .unwrap();
    // 10 min + 1 min + 50 s + 3 min + 1 s.
    let warned = |seconds| settings.transaction_warning("orders", Duration::from_secs(seconds));
    assert_eq!(warned(892), None);
    insta::assert_snapshot!("warning_transaction_timeout", warned(891).unwrap());
    let unbounded = Configuration::new().settings().unwrap();
    let warned = unbounded.transaction_warning("orders", Duration::from_hours(1));
    insta::assert_snapshot!("warning_transaction_without_interval", warned.unwrap());
}

// Rules: B8
#[test]
fn each_mistake_has_its_message() {
    let flag = |key: &str, value: &str| {
        Configuration::new()
            .set_at(key, value, Origin::Flag("--checkpoint-interval"))
            .and_then(|it| it.with_arguments(&[format!("{INTERVAL}=2 s")]))
            .and_then(|it| it.settings())
            .unwrap_err()
            .to_string()
    };
    let arguments = |pairs: &[&str]| {
        let pairs: Vec<_> = pairs.iter().map(|it| (*it).to_owned()).collect();
        let settings = Configuration::new().with_arguments(&pairs).and_then(|it| it.settings());
        settings.unwrap_err().to_string()
    };
    let messages = [
        refused("a.yaml", "execution:\n  checkpointing:\n    intervall: 10 s\n"),
        refused("a.toml", "[restart-strategy]\ntyp = \"none\"\n"),
        arguments(&["rest.port=8081"]),
        refused("a.yaml", "execution.checkpointing.timeout: 9 ms\n"),
        refused("a.yaml", "\nexecution.checkpointing.interval: ten\n"),
        arguments(&["execution.checkpointing.max-concurrent-checkpoints=9"]),
        arguments(&["execution.checkpointing.mode=MAYBE_ONCE"]),
        refused("a.yaml", "state.backend.type: rocksdb\nstate.backend.incremental: true\n"),
        arguments(&["jobmanager.execution.failover-strategy=none"]),
        arguments(&["heartbeat.interval=10 s", "heartbeat.timeout=10 s"]),
        arguments(&["restart-strategy.fixed-delay.attempts=3"]),
        arguments(&["execution.checkpointing.trigger.combination=all"]),
        arguments(&[
            "execution.checkpointing.interval=1 s",
            "execution.checkpointing.interval-during-backlog=5 ms",
        ]),
        arguments(&["execution.checkpointing.interval-during-backlog=1 s"]),
        arguments(&["heartbeat.timeout=1 min", "heartbeat.timeout=2 min"]),
        flag(INTERVAL, "1 s"),
        refused("a.yaml", "heartbeat.timeout: 1 min\nheartbeat:\n  timeout: 2 min\n"),
        refused("a.yaml", "checkpoint.timeout: 1 min\nexecution.checkpointing.timeout: 2 min\n"),
        arguments(&["heartbeat.timeout"]),
        refused("a.yaml", "heartbeat:\n  timeout:\n"),
        refused("a.yaml", "heartbeat:\n  timeout: [1 s, 2 s]\n  interval: 0\n"),
        refused("a.toml", "[heartbeat]\ntimeout = [1, 2]\ninterval = 2024-01-01\n"),
        refused("a.yaml", "heartbeat:\n  timeout: 1 s\n interval: 2 s\n"),
        refused("a.yaml", "heartbeat: &it\n  timeout: 1 min\n"),
        refused("a.yaml", "heartbeat.timeout: 1 min\n---\nheartbeat.timeout: 2 min\n"),
        refused("a.yaml", "- heartbeat\n"),
        refused("a.toml", "[heartbeat\ntimeout = 1\n"),
        refused("a.conf", ""),
    ];
    insta::assert_snapshot!("messages", messages.join("\n\n"));
    let missing = Configuration::from_file("/nowhere/config.yaml").unwrap_err().to_string();
    assert!(
        missing.starts_with("cannot read the configuration /nowhere/config.yaml: "),
        "{missing}"
    );
}

// Rules: B8, E9, E10, E12
#[test]
fn barriers_that_overtake_are_refused_beside_what_contradicts_them() {
    const OVERTAKE: &str = "execution.checkpointing.unaligned.enabled=true";
    let settings = |pairs: &[&str]| {
        let pairs: Vec<_> = pairs.iter().map(|it| (*it).to_owned()).collect();
        Configuration::new().with_arguments(&pairs).and_then(|it| it.settings())
    };
    let two = "execution.checkpointing.max-concurrent-checkpoints=2";
    let counted = "execution.checkpointing.mode=AT_LEAST_ONCE";
    let time = "execution.checkpointing.aligned-checkpoint-timeout=1 s";
    for (contradicts, why, hint) in [
        (two, "max-concurrent-checkpoints = 2", "checkpoints to 1, or let barriers wait"),
        (counted, "at-least-once never waits", "to EXACTLY_ONCE, or let barriers wait"),
        ("execution.checkpointing.timeout=9 ms", "9 ms", "10 ms or longer"),
    ] {
        let message = settings(&[OVERTAKE, contradicts]).unwrap_err().to_string();
        assert!(message.contains(why) && message.contains(hint), "{message}");
        if !contradicts.contains("9 ms") {
            assert!(settings(&[contradicts]).is_ok(), "{contradicts} alone is fine");
        }
    }
    let message = settings(&[time]).unwrap_err().to_string();
    assert!(message.contains("set execution.checkpointing.unaligned.enabled to true"), "{message}");
    assert!(settings(&[OVERTAKE, time]).unwrap().warnings.is_empty());

    let late = settings(&[OVERTAKE, time, "execution.checkpointing.timeout=1 s"]).unwrap();
    assert!(late.warnings[0].0.contains("given up before its barriers overtake"));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let error = file("a.yaml", "heartbeat.timeout: x\nhartbeat.interval: 1 s\n").unwrap_err();
    assert_eq!(error.matches("hint: ").count(), 2, "{error}");
}

#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, markdown()).unwrap();
    }
    let page = fs::read_to_string(path).unwrap_or_default();
    assert!(page == markdown(), "run UPDATE_DOCS=1 cargo test -p seawall-config");
}
