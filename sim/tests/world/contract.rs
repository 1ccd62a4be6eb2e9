//! The simulated Env keeps the contract of `seawall_env`, as the production one does.

use std::path::Path;

use seawall_runtime::contract;
use seawall_runtime::storage::contract::{self as storage, Condition};
use seawall_runtime::storage::{Storage, open};

use crate::{env, run};

#[test]
fn the_simulated_world_keeps_the_contract_of_every_env() {
    for seed in 0..20 {
        run(seed, |world| async move {
            let env = env(&world, "coordinator");
            env.disk.create_directory(Path::new("/data")).await.unwrap();
            contract::all(&env, Path::new("/data"), "coordinator").await;
        });
    }
}

// Rules: R1, R2, H6, I9
#[test]
fn checkpoint_storage_on_the_simulated_disk_keeps_its_contract() {
    for seed in 0..5 {
        run(seed, |world| async move {
            let disk = env(&world, "coordinator").disk;
            storage::all(&Storage::on_disk(disk, "/data/job"), Condition::LookedAt).await;
        });
    }
}

// Rules: R1, R2, H2, I9, P5
#[test]
fn checkpoint_storage_in_memory_keeps_its_contract_in_simulated_time() {
    run(1, |world| async move {
        let memory = open("memory://", env(&world, "coordinator").disk).unwrap();
        storage::all(&memory, Condition::InOneStep).await;
    });
}
