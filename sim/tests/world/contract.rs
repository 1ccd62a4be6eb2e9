//! The simulated Env keeps the contract of `seawall_env`, as the production one does.

use std::path::Path;

use seawall_runtime::contract;

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
