//! Whoever reads the output directory while the job runs and is killed sees committed output only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Scratch, newest_checkpoint, visible};

const COMMAND: &str = "run ledger -o records=2000 -o keys=20 -o output=out -o rate=2000 \
                       --checkpoint-interval 20ms";

/// The checkpoint in a committed file's name: `part-0-chk-7.csv`.
fn checkpoint_of(file: &Path) -> u64 {
    let name = file.file_stem().unwrap().to_str().unwrap();
    name.rsplit('-').next().unwrap().parse().unwrap()
}

// Rules: H1, K2
#[test]
fn a_visible_file_is_whole_final_and_of_a_completed_checkpoint() {
    let scratch = Scratch::new();
    let mut seen: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut look = || {
        for file in visible(&scratch.path("out")) {
            let bytes = fs::read(&file).unwrap();
            let checkpoint = checkpoint_of(&file);
            // Read after the file was seen: its checkpoint must have been completed before.
            let newest = newest_checkpoint(&scratch);
            assert!(checkpoint <= newest, "{} is visible at {newest}", file.display());
            let first = seen.entry(file.clone()).or_insert_with(|| bytes.clone());
            assert_eq!(*first, bytes, "{} changed after it was visible", file.display());
        }
        seen.len()
    };
    for kill_at in [3, 8] {
        let running = scratch.start(COMMAND);
        while look() < kill_at {}
        running.kill();
        look();
    }
    let mut running = scratch.start(COMMAND);
    while !running.has_ended() {
        look();
    }
    look();
    let lines: usize = seen.values().map(|it| it.split(|byte| *byte == b'\n').count() - 1).sum();
    assert_eq!(lines, 2000, "what was seen is all there is, once");
}
