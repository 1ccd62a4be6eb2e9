//! How fast the models are searched: states per second, one thread, over the engine's own cores.
//!
//! `cargo bench --bench states`. Each figure is the median of its searches in this one process.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

use seawall_models::{Size, check, models};

const SEARCHES: usize = 3;

fn main() {
    println!("median of {SEARCHES} searches, one thread");
    println!(
        "{:<12}  {:>10}  {:>10}  {:>12}  {:>12}",
        "model", "unique", "generated", "k unique/s", "k generated/s"
    );
    for model in models() {
        let mut searches: Vec<_> = (0..SEARCHES)
            .map(|_| check(model.name, Size::Merge).expect("the model is listed"))
            .collect();
        searches.sort_by_key(|it| it.elapsed);
        let report = &searches[SEARCHES / 2];
        let seconds = report.elapsed.as_secs_f64();
        println!(
            "{:<12}  {:>10}  {:>10}  {:>12.0}  {:>12.0}",
            model.name,
            report.unique,
            report.generated,
            report.unique as f64 / seconds / 1e3,
            report.generated as f64 / seconds / 1e3
        );
    }
}
