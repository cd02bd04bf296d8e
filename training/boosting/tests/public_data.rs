//! Test figures on public sets, when their folder is at hand (`FORETELL_DATA`).

mod published;

use foretell_boosting::{Booster, Loss, Parameters};
use foretell_inference::Predictor;
use published::{SETS, auc, log_loss};

/// Early stopping on an inner fifth, defaults otherwise.
fn check(name: &str, least_auc: f64, most_log_loss: f64) {
    let Some(folder) = published::folder() else {
        eprintln!("no public data here, nothing checked");
        return;
    };
    let set = SETS.iter().find(|it| it.name == name).unwrap();
    let (train, test) = set.read(&folder).unwrap().published_split();
    let (inner, held) = train.inner_split(1);
    let booster = Booster::new(Parameters::for_loss(Loss::Logistic));
    let ensemble = booster
        .fit(&inner.data(), Some(&held.data()), 1, &mut |_, _| {})
        .unwrap()
        .ensemble;
    let p: Vec<f64> = ensemble
        .predict(&test.x)
        .unwrap()
        .iter()
        .map(|it| ensemble.link().apply(*it))
        .collect();
    let (auc, loss) = (auc(&p, &test.label), log_loss(&p, &test.label));
    assert!(
        auc >= least_auc && loss <= most_log_loss,
        "{name}: auc {auc}, log loss {loss}"
    );
}

#[test]
fn telco_is_ranked_and_calibrated_as_published() {
    check("telco", 0.835, 0.435);
}

#[test]
fn bank_marketing_without_duration_is_ranked_and_calibrated_as_published() {
    check("bank_additional", 0.795, 0.271);
}
