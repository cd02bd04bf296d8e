//! A trained model becomes files: equal inputs, equal bytes.

use std::collections::BTreeMap;

use foretell_features::{DataType, Timestamp, Value};
use foretell_inference::golden::GOLDEN_FILE;
use foretell_inference::manifest::{FORMAT, MANIFEST_FILE};
use foretell_inference::{
    AnswerField, Encoder, FeaturePlan, Golden, Input, Lineage, Manifest, Model, Output, PackageFiles, Task,
};
use foretell_models::ModelSpec;

use crate::dataset::raw_row;
use crate::error::TrainError;
use crate::explain::{Importance, importance, spread};
use crate::fit::TabularOutcome;
use crate::forecast::ForecastOutcome;
use crate::metrics::Metrics;
use crate::statistics::statistics;

/// File name of the model card.
pub const CARD_FILE: &str = "card.md";
/// File name of the training statistics.
pub const STATISTICS_FILE: &str = "statistics.json";
/// File name of the inputs' importances.
pub const IMPORTANCE_FILE: &str = "importance.json";

/// Golden rows taken from the test rows; rows of nulls and of unseen categories are added.
const GOLDEN_ROWS: usize = 14;
/// A text that no dictionary has.
const UNSEEN: &str = "\u{1F0CF} unseen";

/// What a package says of its origin, beside the outcome.
#[derive(Debug, Clone)]
pub struct Origin {
    /// SHA-256 of the training data.
    pub data: String,
    /// SHA-256 of the definitions.
    pub definitions: String,
    /// The seed.
    pub seed: u64,
    /// The clock of the run.
    pub as_of: Timestamp,
}

/// A row model's package but for its card, and what the card says of importance.
///
/// # Errors
/// The parts do not fit each other, which a golden row would show.
pub fn tabular_package(
    spec: &ModelSpec,
    set: &foretell_features::TrainingSet,
    plan: FeaturePlan,
    outcome: TabularOutcome,
    origin: &Origin,
) -> Result<(PackageFiles, Vec<Importance>), TrainError> {
    let TabularOutcome {
        prepared,
        split,
        mut candidates,
        winner,
        ..
    } = outcome;
    let best = candidates.swap_remove(winner);
    let importances = importance(&best.predictor, &prepared.inputs, &prepared.data.x, &split.train)?;
    let statistics = statistics(&set.table, &prepared.inputs, &split.train, &best.test_answers);
    let golden = golden_rows(set, &prepared.inputs, &split.test);
    let manifest = Manifest {
        format: FORMAT,
        model: spec.name.clone(),
        task: spec.task,
        classes: Vec::new(),
        algorithm: best.spec.algorithm.clone(),
        inputs: prepared.inputs,
        outputs: outputs(spec),
        plan,
        encoder: prepared.encoder,
        calibration: best.calibration,
        conformal: best.conformal,
        decision: spec.decision.clone(),
        endpoints: spec.endpoints.clone(),
        series: None,
        predictor: best.predictor.file_name(),
        metrics: finite(&best.metrics),
        parameters: BTreeMap::new(),
        lineage: lineage(origin, split.train.len(), split.test.len()),
    };
    let model = Model::assemble(manifest, best.predictor)?;
    let golden = Golden::record(&model, golden)?;
    let mut files = PackageFiles::from([
        (MANIFEST_FILE.to_owned(), model.manifest().to_bytes()),
        (GOLDEN_FILE.to_owned(), golden.to_bytes()),
        (STATISTICS_FILE.to_owned(), to_json(&statistics)),
        (IMPORTANCE_FILE.to_owned(), to_json(&importances)),
    ]);
    files.extend(model.predictor_files());
    Ok((files, importances))
}

/// A forecast's package but for its card.
pub fn forecast_package(spec: &ModelSpec, outcome: &ForecastOutcome, origin: &Origin) -> PackageFiles {
    let manifest = Manifest {
        format: FORMAT,
        model: spec.name.clone(),
        task: Task::Forecast,
        classes: Vec::new(),
        algorithm: outcome.algorithm.clone(),
        inputs: Vec::new(),
        outputs: outcome.outputs.clone(),
        plan: FeaturePlan::default(),
        encoder: Encoder::default(),
        calibration: Default::default(),
        conformal: None,
        decision: spec.decision.clone(),
        endpoints: spec.endpoints.clone(),
        series: Some(outcome.signature.clone()),
        predictor: outcome.predictor.clone(),
        metrics: finite(&outcome.metrics),
        parameters: BTreeMap::new(),
        lineage: lineage(origin, outcome.n_train, outcome.n_test),
    };
    let mut files = outcome.files.clone();
    files.insert(MANIFEST_FILE.to_owned(), manifest.to_bytes());
    files
}

/// Metrics that are numbers: JSON has no NaN.
pub fn finite(metrics: &Metrics) -> Metrics {
    metrics
        .iter()
        .filter(|it| it.1.is_finite())
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

/// The code that trains, `foretell 0.1.0`.
pub fn code() -> &'static str {
    concat!("foretell ", env!("CARGO_PKG_VERSION"))
}

fn lineage(origin: &Origin, n_train: usize, n_test: usize) -> Lineage {
    Lineage {
        data: origin.data.clone(),
        definitions: origin.definitions.clone(),
        code: code().to_owned(),
        seed: origin.seed,
        as_of: origin.as_of,
        n_train,
        n_test,
        reproducible: true,
        imported: None,
    }
}

/// The first endpoint's answer; without one the value, its interval where there is one, and the level where there are levels.
fn outputs(spec: &ModelSpec) -> Vec<Output> {
    if let Some(endpoint) = spec.endpoints.first() {
        return endpoint
            .answer
            .iter()
            .map(|(name, field)| Output {
                name: name.clone(),
                field: *field,
            })
            .collect();
    }
    let mut fields = vec![("value", AnswerField::Value)];
    if spec.task != Task::BinaryClassification {
        fields.extend([("lower", AnswerField::Lower), ("upper", AnswerField::Upper)]);
    }
    if spec.decision.is_some() {
        fields.push(("level", AnswerField::Level));
    }
    fields
        .into_iter()
        .map(|(name, field)| Output {
            name: name.to_owned(),
            field,
        })
        .collect()
}

/// Real rows, a row of nulls, and a row of categories that nobody has seen.
fn golden_rows(set: &foretell_features::TrainingSet, inputs: &[Input], test: &[usize]) -> Vec<Vec<Value>> {
    let real = spread(test, GOLDEN_ROWS)
        .into_iter()
        .map(|row| raw_row(&set.table, inputs, row));
    let mut rows: Vec<Vec<Value>> = real.map(|row| row.into_iter().map(jsonable).collect()).collect();
    let mut unseen = rows.first().cloned().unwrap_or_else(|| vec![Value::Null; inputs.len()]);
    for (value, input) in unseen.iter_mut().zip(inputs) {
        if input.data_type == DataType::String {
            *value = Value::text(UNSEEN);
        }
    }
    rows.push(unseen);
    rows.push(vec![Value::Null; inputs.len()]);
    rows
}

/// Infinities have no JSON: a golden row has none.
fn jsonable(value: Value) -> Value {
    match value {
        Value::Float(it) if !it.is_finite() => Value::Null,
        other => other,
    }
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("names, numbers and lists are always JSON")
}
