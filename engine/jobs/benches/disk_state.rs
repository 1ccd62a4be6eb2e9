//! State larger than memory: the disk backend beside the heap, and full beside incremental snapshots.
//!
//! `cargo bench --bench disk_state`; `SEAWALL_BENCH_KEYS` sets the keys, `SEAWALL_BENCH_CACHE` the bytes of the
//! cache. Keys and values have 16 bytes. Each backend runs in a process of its own, so that its peak of
//! resident memory is its own.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use seawall_env::Disk;
use seawall_protocol::CheckpointId;
use seawall_runtime::tokio_env::FileSystem;
use seawall_stream::key::mix;
use seawall_stream::state::{
    DiskState, HeapState, RunView, SnapshotRequest, StateBackend, encode_all,
};

const KEY_GROUPS: u32 = 128;
/// Of the records behind the first snapshot, how many of a hundred touch the same hundredth of the keys.
const HOT_PERCENT: u64 = 90;

type Key = (u64, u64);
type Value = [u64; 2];

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default)
}

fn main() {
    match env::var("SEAWALL_BENCH_BACKEND").as_deref() {
        Ok("heap") => heap(),
        Ok("disk") => disk(),
        _ => {
            println!(
                "{:>8} {:>10} {:>14} {:>14} {:>12}",
                "backend", "keys", "updates/s", "skewed/s", "peak MiB"
            );
            for backend in ["heap", "disk"] {
                let this = env::current_exe().expect("this program has a path");
                let child = Command::new(this).env("SEAWALL_BENCH_BACKEND", backend).status();
                assert!(child.expect("it starts").success(), "{backend} failed");
            }
        }
    }
}

fn key(of: u64) -> Key {
    (mix(of), of)
}

/// Creates each key once, then updates at random: uniformly, and skewed. Updates per second of both.
fn fill<B: StateBackend<Key, Value>>(state: &mut B, keys: u64) -> (f64, f64) {
    let mut update = |of: u64| {
        let count = |slot: &mut Option<Value>| {
            let [count, sum] = slot.unwrap_or_default();
            *slot = Some([count + 1, sum.wrapping_add(of)]);
        };
        state.update(&key(of), count).expect("the disk works");
    };
    (0..keys).for_each(&mut update);
    let updates = keys;
    let began = Instant::now();
    (0..updates).for_each(|it| update(mix(it) % keys));
    let uniform = began.elapsed();
    let began = Instant::now();
    for it in 0..updates {
        let drawn = mix(it ^ 0x5eed);
        let among = if drawn % 100 < HOT_PERCENT { (keys / 100).max(1) } else { keys };
        update((drawn >> 8) % among);
    }
    let skewed = began.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "printed with three digits")]
    let per_second = |time: std::time::Duration| updates as f64 / time.as_secs_f64();
    (per_second(uniform), per_second(skewed))
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|it| it.starts_with("VmHWM:"));
    let kib = line.and_then(|it| it.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn report(backend: &str, keys: u64, (uniform, skewed): (f64, f64)) {
    println!("{backend:>8} {keys:>10} {uniform:>14.0} {skewed:>14.0} {:>12}", peak_mib());
}

fn request(checkpoint: u64, since: Option<u64>) -> SnapshotRequest {
    SnapshotRequest { checkpoint: CheckpointId(checkpoint), since: since.map(CheckpointId) }
}

fn heap() {
    let keys = number("SEAWALL_BENCH_KEYS", 2_000_000);
    let mut state = HeapState::<Key, Value>::new(KEY_GROUPS);
    let speeds = fill(&mut state, keys);
    report("heap", keys, speeds);
    let began = Instant::now();
    let mut view = state.view(request(1, None)).expect("memory is there");
    let stall = began.elapsed();
    let groups = encode_all(view.as_mut()).expect("numbers have an encoding");
    let bytes: usize = groups.iter().map(|it| it.bytes.len()).sum();
    println!(
        "         full snapshot: {} MiB, stall {stall:.1?}, all {:.1?}",
        bytes >> 20,
        began.elapsed()
    );
}

fn disk() {
    let keys = number("SEAWALL_BENCH_KEYS", 2_000_000);
    let cache = number("SEAWALL_BENCH_CACHE", 1 << 20);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let path = env::temp_dir().join(format!("seawall-bench-{}/scratch", std::process::id()));
    let scratch = runtime.block_on(FileSystem.scratch(&path)).expect("a scratch file opens");
    let mut state = DiskState::<Key, Value>::new(KEY_GROUPS, cache);
    state.open(Arc::from(scratch)).expect("the disk works");
    state.track_changes(None);
    let speeds = fill(&mut state, keys);
    report("disk", keys, speeds);
    snapshot(&mut state, "full", request(1, None));
    state.confirm(CheckpointId(1));
    for it in 0..keys / 100 {
        let touch = |slot: &mut Option<Value>| *slot = Some([it, it]);
        state.update(&key(mix(it) % keys), touch).expect("the disk works");
    }
    snapshot(&mut state, "incremental, 1 % changed", request(2, Some(1)));
    println!("         cache {} KiB, peak {} MiB", cache >> 10, peak_mib());
    let _ = std::fs::remove_dir(path.parent().expect("it has a parent"));
}

fn snapshot(state: &mut DiskState<Key, Value>, what: &str, request: SnapshotRequest) {
    let began = Instant::now();
    let mut view = state.view(request).expect("the disk works");
    let stall = began.elapsed();
    let runs: &mut dyn RunView = view.runs().expect("state on disk has runs");
    let mut bytes = 0;
    while let Some(run) = runs.next_run(4 << 20).expect("the disk works") {
        bytes += run.iter().map(|it| it.bytes.len()).sum::<usize>();
    }
    let all = began.elapsed();
    println!("         {what} snapshot: {} KiB, stall {stall:.1?}, all {all:.1?}", bytes >> 10);
}
