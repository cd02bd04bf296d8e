//! The champion, scored again on the test rows of this run: the only fair comparison.

use foretell_features::TrainingSet;
use foretell_inference::{Model, PackageFiles, PredictOptions, Task};

use crate::dataset::raw_row;
use crate::fit::measure;
use crate::metrics::Metrics;

/// Metrics of the champion's answers for the given rows, or why there are none.
///
/// # Errors
/// In words: the package does not load, predicts something else, or needs an input that the rows lack.
pub fn rescore(
    files: &PackageFiles,
    task: Task,
    set: &TrainingSet,
    y: &[f64],
    rows: &[usize],
) -> Result<Metrics, String> {
    let model = Model::load(files).map_err(|error| error.to_string())?;
    let manifest = model.manifest();
    if manifest.task != task {
        return Err(format!("it is a model of {}, not of {task}", manifest.task));
    }
    if let Some(gone) = manifest.inputs.iter().find(|it| set.table.column(&it.name).is_none()) {
        return Err(format!("its input `{}` is no feature of the model any more", gone.name));
    }
    let raw: Vec<_> = rows
        .iter()
        .map(|&row| raw_row(&set.table, &manifest.inputs, row))
        .collect();
    let predictions = model
        .predict_rows(&raw, PredictOptions::default())
        .map_err(|error| error.to_string())?;
    let answers: Result<Vec<f64>, _> = predictions.into_iter().map(|it| it.map(|it| it.value)).collect();
    let answers = answers.map_err(|error| error.to_string())?;
    let by = manifest.conformal.as_ref().and_then(|it| it.segments.as_ref());
    let column = by.and_then(|it| model.input_position(&it.input));
    let segments: Vec<Option<&str>> = raw.iter().map(|row| row[column?].as_str()).collect();
    let intervals = manifest.conformal.as_ref().map(|it| (it, segments.as_slice()));
    Ok(measure(task, y, &answers, intervals))
}

/// The metrics a forecast's champion had when it was trained: its states have seen this run's test steps, so that it cannot
/// be scored on them.
///
/// # Errors
/// In words: the package does not load, or predicts something else.
pub fn recorded(files: &PackageFiles, task: Task) -> Result<Metrics, String> {
    let model = Model::load(files).map_err(|error| error.to_string())?;
    let manifest = model.manifest();
    match manifest.task == task {
        true => Ok(manifest.metrics.clone()),
        false => Err(format!("it is a model of {}, not of {task}", manifest.task)),
    }
}
