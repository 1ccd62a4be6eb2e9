//! The production Env keeps the contract of `seawall_env`.

use std::sync::Arc;

use seawall_env::Env;
use seawall_runtime::contract;
use seawall_runtime::tokio_env::{self, InProcessNetwork, Unobserved};

fn env() -> Env {
    tokio_env::env(Arc::new(InProcessNetwork::new()), Arc::new(Unobserved))
}

#[tokio::test]
async fn the_clock_keeps_its_contract() {
    contract::clock(&env()).await;
}

#[tokio::test]
async fn spawned_tasks_keep_their_contract() {
    contract::spawn(&env()).await;
}

#[tokio::test]
async fn entropy_keeps_its_contract() {
    contract::entropy(&env());
}

#[tokio::test]
async fn the_disk_keeps_its_contract() {
    let directory = tempfile::tempdir().unwrap();
    contract::disk(&env(), directory.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_keeps_its_contract() {
    contract::network(&env(), "coordinator").await;
}

// Rules: F9
#[tokio::test]
async fn a_scratch_file_that_a_dead_process_left_is_never_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scratch/op1-0-attempt-1");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"state of another life").unwrap();
    let file = env().disk.scratch(&path).await.unwrap();
    assert_eq!(file.length().unwrap(), 0);
    assert!(!path.exists(), "its name is gone, and nobody finds the new file either");
    file.write_at(0, b"state of this one").unwrap();
    assert_eq!(file.length().unwrap(), 17);
}
