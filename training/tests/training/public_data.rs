//! The examples on public data, where it is at hand: the numbers that were promised.

use std::time::Instant;

use foretell_training::TrainOutcome;

use crate::project::{example, public_data};

/// Trains an example, prints what it reached, and checks bounds on its test metrics.
fn check(name: &str, model: &str, folder: &str, bounds: &[(&str, f64, f64)]) {
    let Some(data) = public_data().map(|it| it.join(folder)) else {
        return eprintln!("no public data here: {name} is not tried");
    };
    let started = Instant::now();
    let outcome = example(name, model, &data).train(None, false).unwrap();
    show(name, &outcome, started);
    for (metric, least, most) in bounds {
        let value = outcome.report.metrics[*metric];
        assert!(
            (*least..=*most).contains(&value),
            "{name}: {metric} is {value}, not within {least}..={most}"
        );
    }
    assert!(outcome.gates_hold(), "{:?}", outcome.gates);
}

fn show(name: &str, outcome: &TrainOutcome, started: Instant) {
    println!(
        "{name}: {} in {:.1} s",
        outcome.report.algorithm,
        started.elapsed().as_secs_f64()
    );
    for it in &outcome.report.candidates {
        println!("  {} {:.2} s {:?}", it.algorithm, it.fit_seconds, it.metrics);
    }
    println!("{}", String::from_utf8_lossy(&outcome.package["card.md"]));
}

#[test]
fn telco_churn_is_ranked_and_calibrated() {
    check(
        "telco",
        "churn",
        "churn",
        &[("roc_auc", 0.83, 1.0), ("log_loss", 0.0, 0.44), ("ece", 0.0, 0.04)],
    );
}

#[test]
fn bank_marketing_conversion_is_ranked_without_the_call_length() {
    check(
        "bank-marketing",
        "conversion",
        "conversion",
        &[("roc_auc", 0.79, 0.85), ("log_loss", 0.0, 0.275)],
    );
}

#[test]
fn online_retail_customers_are_ranked_and_their_intervals_hold() {
    let bounds = [
        ("spearman", 0.5, 1.0),
        ("mae", 0.0, 1200.0),
        ("coverage_90", 0.86, 0.94),
        ("gini", 0.85, 1.0),
    ];
    check("online-retail", "ltv", "ltv", &bounds);
}
