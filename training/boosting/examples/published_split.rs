//! Fits the published churn and conversion sets on their published split and prints test figures.
//!
//! `FORETELL_DATA=folder cargo run --example published_split -p foretell-boosting -- [set=telco] [seeds=3] [name=value ..]`

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use foretell_boosting::{BoostData, Booster, Loss, Parameters};
use foretell_features::Value;
use foretell_inference::Predictor;

#[path = "../tests/published/mod.rs"]
mod published;
use published::{SETS, Set, auc, log_loss};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named: Vec<(&str, &str)> = arguments.iter().filter_map(|it| it.split_once('=')).collect();
    let option = |name: &str| named.iter().find(|it| it.0 == name).map(|it| it.1);
    let seeds: u64 = option("seeds").map_or(3, |it| it.parse().expect("seeds is a number"));
    let parameters = parameters(&named);
    let folder = published::folder().expect("set FORETELL_DATA to the folder of the public data sets");
    let mut means = [0.0; 3];
    let sets: Vec<&Set> = SETS
        .iter()
        .filter(|set| option("set").is_none_or(|it| set.name.starts_with(it)))
        .collect();
    for set in &sets {
        let line = run(set, &folder, &parameters, seeds);
        means
            .iter_mut()
            .zip(line)
            .for_each(|(mean, it)| *mean += it / sets.len() as f64);
    }
    println!(
        "{:<22} auc {:.4}  logloss {:.4}  refit logloss {:.4}",
        "mean", means[0], means[1], means[2]
    );
}

fn parameters(named: &[(&str, &str)]) -> Parameters {
    let value = |text: &str| match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(it), _) => Value::Int(it),
        (_, Ok(it)) => Value::Float(it),
        _ => Value::text(text),
    };
    let own = named.iter().filter(|it| !["set", "seeds"].contains(&it.0));
    let changes: BTreeMap<String, Value> = own.map(|(name, text)| ((*name).to_owned(), value(text))).collect();
    Parameters::for_loss(Loss::Logistic)
        .with_named(&changes)
        .expect("parameters are known")
}

/// AUC and log loss of the early-stopped fit, log loss after a refit on all training rows; means over seeds.
fn run(set: &Set, folder: &Path, parameters: &Parameters, seeds: u64) -> [f64; 3] {
    let table = set.read(folder).expect("the set can be read");
    let (train, test) = table.published_split();
    let (mut sums, mut aucs, mut trees) = ([0.0; 3], Vec::new(), 0);
    let start = Instant::now();
    for seed in 0..seeds {
        let (inner, held) = train.inner_split(seed);
        let booster = Booster::new(parameters.clone());
        let fitted = booster
            .fit(&inner.data(), Some(&held.data()), seed, &mut |_, _| {})
            .expect("the set can be fitted");
        let p = |ensemble: &foretell_inference::TreeEnsemble| -> Vec<f64> {
            ensemble
                .predict(&test.x)
                .expect("same columns")
                .iter()
                .map(|it| ensemble.link().apply(*it))
                .collect()
        };
        let early = p(&fitted.ensemble);
        let all = Booster::new(Parameters {
            rounds: fitted.best_iteration.max(1) * 11 / 10,
            ..parameters.clone()
        });
        let refit = all
            .fit(&BoostData { ..train.data() }, None, seed, &mut |_, _| {})
            .expect("the set can be fitted");
        aucs.push(auc(&early, &test.label));
        trees += fitted.best_iteration;
        let refitted = p(&refit.ensemble);
        for (sum, it) in sums.iter_mut().zip([
            auc(&early, &test.label),
            log_loss(&early, &test.label),
            log_loss(&refitted, &test.label),
        ]) {
            *sum += it / seeds as f64;
        }
        if seed == 0 {
            print!("{:<22} refit auc {:.4}  ", set.name, auc(&refitted, &test.label));
        }
    }
    let low = aucs.iter().copied().fold(1.0, f64::min);
    println!(
        "auc {:.4} (least {low:.4})  logloss {:.4}  refit logloss {:.4}  trees {}  {:.2} s",
        sums[0],
        sums[1],
        sums[2],
        trees / seeds as usize,
        start.elapsed().as_secs_f64()
    );
    sums
}
