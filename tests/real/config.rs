//! Settings of `seawall run` from a file, `-D` and flags: which one counts, and what is refused.

use std::time::Duration;

use async_trait::async_trait;
use seawall::local;
use seawall::prelude::*;
use seawall::runtime::connectors::file_sink::FileSinkWriter;
use seawall::stream::error::ConnectorError;
use seawall::stream::sink::{Sink, SinkContext};
use serde_json::Value;

use crate::support::{Scratch, newest_checkpoint};

const JOB: &str = "run keyed-count -o records=100 -o keys=5 -o output=out";

/// What `seawall config` says of each key.
fn shown(scratch: &Scratch, arguments: &str, key: &str) -> (String, String) {
    let said = scratch.finish(&format!("config {key} {arguments} --json"));
    let said: Value = serde_json::from_str(&said).unwrap();
    let said = said.as_array().unwrap().iter().find(|it| it["key"] == key).unwrap();
    (said["value"].as_str().unwrap().to_owned(), said["from"].as_str().unwrap().to_owned())
}

#[test]
fn the_value_that_counts_is_shown_with_its_place() {
    let scratch = Scratch::new();
    scratch
        .write("my.yaml", "execution:\n  checkpointing:\n    interval: 2 s\n    num-retained: 3\n");
    let interval = "execution.checkpointing.interval";
    let of = |arguments: &str| {
        let (value, from) = shown(&scratch, arguments, interval);
        format!("{value}, {from}")
    };
    assert_eq!(of(""), "1 s, the default of seawall run");
    assert_eq!(of("--config my.yaml"), "2 s, in my.yaml line 3");
    assert_eq!(
        of("--config my.yaml --checkpoint-interval 3s"),
        "3 s, given with --checkpoint-interval"
    );
    assert_eq!(of(&format!("--config my.yaml -D {interval}=4s")), "4 s, given with -D");
    assert_eq!(of(&format!("-D {interval}=none")), "none, given with -D");
    insta::assert_snapshot!(
        "config_table",
        scratch.finish("config checkpointing --config my.yaml")
    );
}

#[test]
fn a_job_runs_with_the_settings_of_a_file() {
    let scratch = Scratch::new();
    let config = "execution.checkpointing.dir = \"file://{dir}/elsewhere\"\n\
                  execution.checkpointing.interval = \"20 ms\"\nexecution.checkpointing.num-retained = 3\n\
                  [restart-strategy]\ntype = \"failure-rate\"\n\
                  [pipeline]\nmax-parallelism = 64\n";
    let directory = scratch.path("").canonicalize().unwrap();
    scratch.write("my.toml", config.replace("{dir}", directory.to_str().unwrap()));
    scratch.finish(&format!("{JOB} -o rate=1000 --config my.toml"));
    assert!(!scratch.path("seawall-data").exists());
    let shown = scratch.finish("checkpoint show elsewhere --json");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["operators"][1]["key_groups"], 64);
    let list = scratch.finish("checkpoint list elsewhere --json");
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["checkpoints"].as_array().unwrap().len(), 3);
    assert_eq!(newest_checkpoint(&scratch), 0);
}

#[test]
fn an_alias_warns_and_works() {
    let scratch = Scratch::new();
    scratch.write("old.yaml", "state.backend: FsStateBackend\ncheckpoint.interval: 1000\n");
    let said = scratch.run(&format!("{JOB} --config old.yaml"));
    assert_eq!(said.code, 0);
    insta::assert_snapshot!("config_warnings", said.stderr);
}

// Rules: B8
#[test]
fn what_is_wrong_is_told_before_anything_is_written() {
    let scratch = Scratch::new();
    scratch.write(
        "wrong.yaml",
        "execution:\n  checkpointing:\n    timeout: 5 ms\n    intervall: 1 s\n",
    );
    let before = scratch.tree();
    let mut messages = Vec::new();
    for arguments in [
        "--config wrong.yaml",
        "--config missing.yaml",
        "-D execution.checkpointing.interval=2s --checkpoint-interval 1s",
        "-D restart-strategy.type=failure-rate --restart-attempts 3",
        "--restart-attempts 0 --restart-delay 2s",
        "-D execution.checkpointing.dir=ftp://somewhere/else",
        "-D taskmanager.numberOfTaskSlots=1",
        "-D pipeline.max-parallelism=4 --parallelism 5",
        "-D jobmanager.scheduler=adaptive",
    ] {
        let said = scratch.run(&format!("{JOB} {arguments}"));
        assert_eq!(said.code, 2, "{arguments}: {}", said.stderr);
        messages.push(format!("$ {arguments}\n{}", said.stderr));
        assert_eq!(scratch.tree(), before, "{arguments} wrote something");
    }
    insta::assert_snapshot!("config_refusals", messages.join("\n"));
}

/// Files that pretend to be a system that ends transactions.
#[derive(Clone)]
struct Impatient(FileSink<u64>, Duration);

#[async_trait]
impl Sink for Impatient {
    type Record = u64;
    type Writer = FileSinkWriter<u64>;

    fn transaction_timeout(&self) -> Option<Duration> {
        Some(self.1)
    }

    async fn open(&self, context: SinkContext) -> Result<FileSinkWriter<u64>, ConnectorError> {
        self.0.open(context).await
    }
}

// Rules: K9
#[test]
fn a_sink_whose_transactions_end_too_early_is_warned_of() {
    let settings = Configuration::new()
        .set("execution.checkpointing.interval", "1 min")
        .and_then(|it| it.settings())
        .unwrap();
    let warnings = |timeout| {
        let builder = JobBuilder::new("impatient", 1);
        let file = FileSink::new("out", |_: &u64, _: &mut Vec<u8>| {});
        let source = GeneratorSource { records: 1, keys: 1, seed: 1 };
        builder.source("generate", source).sink("orders", Impatient(file, timeout));
        local::warnings(&builder.build(), &settings)
    };
    assert_eq!(warnings(Duration::from_hours(1)), []);
    insta::assert_snapshot!("config_transaction_timeout", warnings(Duration::from_mins(1))[0]);
}
