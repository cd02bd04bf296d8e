//! An imported model becomes a package: a manifest for rows alone, and golden rows that are made up, since nobody sent any.

mod made_up;

use std::collections::BTreeMap;

use foretell_features::{Timestamp, Value};
use sha2::{Digest, Sha256};

use crate::calibration::Calibration;
use crate::error::InferenceError;
use crate::golden::{GOLDEN_FILE, Golden};
use crate::import::Imported;
use crate::manifest::{FORMAT, FeaturePlan, ImportedFrom, Input, Lineage, MANIFEST_FILE, Manifest, PackageFiles, Task};
use crate::model::{Model, PredictOptions, RowPredictor};
use crate::predictor::Predictor;
use crate::preprocessing::Encoder;
use crate::tree::{TREES_FILE, TreeEnsemble};

/// What a package says of a model that came from elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The model's name here.
    pub model: String,
    /// The file that was imported, as it was called.
    pub file: String,
    /// SHA-256 of that file, `sha256:..`.
    pub sha256: String,
    /// When it was imported.
    pub at: Timestamp,
    /// For the golden rows.
    pub seed: u64,
}

/// `sha256:` and the digest of a file, for [`Arrival::sha256`].
pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|it| format!("{it:02x}")).collect();
    format!("sha256:{hex}")
}

/// Other names for the inputs, in the model's order: the file had none, or others.
///
/// # Errors
/// Another number of names than inputs, or a name twice.
pub fn rename_inputs(imported: &mut Imported, names: &[String]) -> Result<(), InferenceError> {
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    if names.len() != imported.inputs.len() || distinct.len() != names.len() {
        let reason = format!(
            "{} different names were given, the model has {} inputs: {}",
            distinct.len(),
            imported.inputs.len(),
            listed(imported.inputs.iter().map(|it| it.name.as_str()))
        );
        return Err(InferenceError::Request(reason));
    }
    for (input, name) in imported.inputs.iter_mut().zip(names) {
        input.name.clone_from(name);
    }
    Ok(())
}

/// Other names for the classes, in the order of the model's outputs.
///
/// # Errors
/// Another number of names than classes, or a name twice.
pub fn rename_classes(imported: &mut Imported, names: &[String]) -> Result<(), InferenceError> {
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    let expected = match imported.task {
        Task::MulticlassClassification => imported.predictor.predictor().n_outputs(),
        Task::BinaryClassification => 2,
        _ => 0,
    };
    if names.len() != expected || distinct.len() != expected {
        let reason = format!(
            "{} different class names were given, the model has {expected} classes",
            distinct.len()
        );
        return Err(InferenceError::Request(reason));
    }
    imported.classes = names.to_vec();
    Ok(())
}

/// The files of a package that answers as the imported model does.
///
/// # Errors
/// The model has more outputs than its task, or no made-up row can be scored.
pub fn package(imported: Imported, arrival: &Arrival) -> Result<PackageFiles, InferenceError> {
    let names: Vec<String> = imported.inputs.iter().map(|it| it.name.clone()).collect();
    let manifest = manifest(&imported, arrival);
    let made_up = made_up::rows(&imported, arrival.seed);
    let refuse = |reason: String| InferenceError::Import {
        file: arrival.file.clone(),
        reason,
    };
    let model = Model::assemble(manifest, imported.predictor).map_err(|error| refuse(said(error)))?;
    let scored = model.predict_rows(&made_up, PredictOptions::default())?;
    let rows: Vec<_> = made_up
        .into_iter()
        .zip(&scored)
        .filter(|it| it.1.is_ok())
        .map(|it| it.0)
        .collect();
    if rows.is_empty() {
        let reason = scored
            .into_iter()
            .find_map(Result::err)
            .map_or_else(String::new, |it| it.to_string());
        return Err(refuse(format!(
            "no made-up row of {} can be scored: {reason}",
            listed(names.iter().map(String::as_str))
        )));
    }
    check_walk(&model, &rows).map_err(refuse)?;
    let golden = Golden::record(&model, rows)?;
    let mut files = PackageFiles::from([
        (MANIFEST_FILE.to_owned(), model.manifest().to_bytes()),
        (GOLDEN_FILE.to_owned(), golden.to_bytes()),
    ]);
    files.extend(model.predictor_files());
    Ok(files)
}

fn manifest(imported: &Imported, arrival: &Arrival) -> Manifest {
    let n_outputs = imported.predictor.predictor().n_outputs();
    let classes = match (imported.task, imported.classes.as_slice()) {
        (Task::MulticlassClassification, []) => (0..n_outputs).map(|it| it.to_string()).collect(),
        (Task::MulticlassClassification | Task::BinaryClassification, named) => named.to_vec(),
        _ => Vec::new(),
    };
    let inputs = imported.inputs.iter().map(|it| Input {
        name: it.name.clone(),
        data_type: it.data_type,
    });
    Manifest {
        format: FORMAT,
        model: arrival.model.clone(),
        task: imported.task,
        classes,
        algorithm: imported.algorithm.clone(),
        inputs: inputs.collect(),
        outputs: Vec::new(),
        plan: FeaturePlan::default(),
        encoder: Encoder {
            inputs: imported.inputs.iter().map(|it| it.encoding.clone()).collect(),
        },
        calibration: Calibration::Identity,
        conformal: None,
        decision: None,
        endpoints: Vec::new(),
        series: None,
        predictor: imported.predictor.file_name(),
        metrics: BTreeMap::new(),
        parameters: BTreeMap::new(),
        lineage: lineage(imported, arrival),
    }
}

fn lineage(imported: &Imported, arrival: &Arrival) -> Lineage {
    Lineage {
        data: String::new(),
        definitions: String::new(),
        code: concat!("foretell ", env!("CARGO_PKG_VERSION")).to_owned(),
        seed: arrival.seed,
        as_of: arrival.at,
        n_train: 0,
        n_test: 0,
        reproducible: false,
        imported: Some(ImportedFrom {
            origin: imported.origin.clone(),
            file: arrival.file.clone(),
            sha256: arrival.sha256.clone(),
            golden: format!("made up from the model's own thresholds, seed {}", arrival.seed),
            reasons_by_cover: imported.cover_known,
        }),
    }
}

/// The golden rows are what the plain walk over the trees says: here at the latest another way of computing them would show.
fn check_walk(model: &Model, rows: &[Vec<Value>]) -> Result<(), String> {
    let of = |it: &RowPredictor| it.predictor().to_file();
    let Some((name, bytes)) = model.row_predictor().map(of).filter(|it| it.0 == TREES_FILE) else {
        return Ok(());
    };
    let x = model.encode(rows).0;
    let trees = TreeEnsemble::from_bytes(&bytes).map_err(said)?;
    let fast = trees.predict(&x).map_err(said)?;
    match fast == trees.raw(&x) {
        true => Ok(()),
        false => Err(format!("the ways to compute `{name}` do not agree")),
    }
}

fn said(error: InferenceError) -> String {
    match error {
        InferenceError::Damaged { reason, .. } | InferenceError::Request(reason) => reason,
        other => other.to_string(),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.collect();
    let more = if names.len() > SHOWN { ", .." } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}
