//! Each planted bug is caught by the property it names, on a path that can be read.

use seawall_models::{Verdict, check_planted, is_caught, models, plants};

#[test]
fn every_plant_with_a_model_is_caught_by_its_property() {
    for plant in plants::all() {
        let Some(report) = check_planted(plant) else { continue };
        assert!(is_caught(plant, &report), "{}: {report}", plant.name);
    }
}

#[test]
fn every_model_catches_a_plant() {
    for model in models() {
        assert!(plants::all().any(|plant| plant.model == Some(model.name)), "{}", model.name);
    }
}

#[test]
fn a_path_reads_as_a_story() {
    let plant = plants::find("records-pass-the-barrier").expect("it is planted");
    let report = check_planted(plant).expect("it has a model");
    let Verdict::Violated { steps, .. } = report.verdict else { panic!("not found") };
    assert_eq!(
        steps,
        [
            "a job runs exactly once",
            "source/0 is triggered for checkpoint 1",
            "source/1 is triggered for checkpoint 1",
            "operator/0 takes the next element from source/0",
            "operator/1 takes the next element from source/0",
            "source/0 emits a record",
            "operator/0 takes the next element from source/0",
            "sink/0 takes the next element from operator/0",
            "operator/0 takes the next element from source/1",
        ]
    );
}
