//! From a model's TOML to a version: the one entry for the command line and for retraining.

use std::collections::BTreeMap;
use std::time::Instant;

use foretell_features::{Timestamp, TrainingSetSpec};
use foretell_features_offline::OfflineStore;
use foretell_inference::PackageFiles;
use foretell_models::{ModelSpec, Subject, TabularSpec};
use foretell_registry::Registry;
use foretell_tracking::Tracking;

use crate::champion::{recorded, rescore};
use crate::definitions::{DefinitionTexts, add_definitions};
use crate::digest::{of_series_set, of_texts, of_training_set};
use crate::error::TrainError;
use crate::fit::{TabularInput, TabularOutcome, train_tabular};
use crate::forecast::{ForecastTrainInput, train_forecast};
use crate::gate::{GateResult, Rivals, judge, judge_parity, own_rules};
use crate::metrics::{Metrics, calibration_table};
use crate::package::{CARD_FILE, Origin, finite, forecast_package, tabular_package};
use crate::plan::plan;
use crate::progress::Progress;
use crate::publish::{Publication, champion, digest, publish};
use crate::report::{CandidateReport, CardFacts, TrainReport, card};
use crate::track::{TrackedCandidate, name_version, track};

/// What to train, from what, and what to do with it.
#[derive(Clone, Copy)]
pub struct TrainRequest<'a> {
    /// The model.
    pub spec: &'a ModelSpec,
    /// Where its rows come from.
    pub offline: &'a OfflineStore,
    /// Where the version goes; `None` registers nothing.
    pub registry: Option<&'a Registry>,
    /// Where the candidates are written down.
    pub tracking: Option<&'a Tracking>,
    /// Chance.
    pub seed: u64,
    /// The clock: no label looks beyond it, and the version bears it.
    pub as_of: Timestamp,
    /// The time of day, for the registry's log and for tracking; the package does not depend on it.
    pub now: Timestamp,
    /// Take over from a champion that is there, if the gates hold.
    pub promote: bool,
    /// The share of served values that are what the files say, where a gate asks for it; or why it is not known.
    pub parity: Option<Result<f64, &'a str>>,
    /// Who.
    pub actor: &'a str,
    /// TOML of the features and of the model, by path in the project: it travels in the package.
    pub definitions: &'a DefinitionTexts,
    /// Digest that the rows must have; anything else is [`TrainError::DataChanged`].
    pub expect_data: Option<&'a str>,
    /// Hears what is being done.
    pub progress: &'a dyn Progress,
}

/// What training gave.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOutcome {
    /// For `train --json`.
    pub report: TrainReport,
    /// How the gates went.
    pub gates: Vec<GateResult>,
    /// The version; `None` when nothing was registered.
    pub version: Option<u64>,
    /// Whether it is the champion now.
    pub promoted: bool,
    /// Digest of the package, as the registry names it.
    pub digest: String,
    /// The package.
    pub package: PackageFiles,
}

impl TrainOutcome {
    /// Whether every gate holds; the command line exits with 3 where not.
    pub fn gates_hold(&self) -> bool {
        self.gates.iter().all(|it| it.passed)
    }
}

/// A fitted model on its way into the registry, of rows or of series.
struct Trained {
    files: PackageFiles,
    algorithm: String,
    metrics: Metrics,
    gates: Vec<GateResult>,
    candidates: Vec<TrackedCandidate>,
    n_train: usize,
    n_test: usize,
}

impl Trained {
    fn parameters(&self) -> &BTreeMap<String, String> {
        let winner = self.candidates.iter().find(|it| it.won);
        &winner.expect("one candidate won").parameters
    }
}

/// Trains a model, judges it, registers it as `challenger`, and makes it `champion` when the gates hold and there is no
/// champion yet or `promote` is set. A failed gate is an outcome, not an error.
///
/// # Errors
/// [`TrainError`]: nothing was registered then, or the version was and only writing down what followed failed.
pub async fn train(request: TrainRequest<'_>) -> Result<TrainOutcome, TrainError> {
    let started = Instant::now();
    let model = &request.spec.name;
    let rival = match request.registry {
        Some(registry) => champion(registry, model).await?,
        None => None,
    };
    let rival = rival.as_ref().map(|(_, files)| files);
    let mut trained = outside_runtime(|| match &request.spec.subject {
        Subject::Tabular(tabular) => train_rows(&request, tabular, rival),
        Subject::Series(_) => train_series(&request, rival),
    })?;
    add_definitions(&mut trained.files, request.definitions);
    let mut report = TrainReport {
        model: model.clone(),
        version: None,
        task: request.spec.task.to_string(),
        algorithm: trained.algorithm.clone(),
        metrics: finite(&trained.metrics),
        candidates: trained.candidates.iter().map(candidate_report).collect(),
        n_train: trained.n_train,
        n_test: trained.n_test,
        seconds: started.elapsed().as_secs_f64(),
    };
    let run = match request.tracking {
        Some(tracking) => track(tracking, model, request.actor, request.now, &trained.candidates).await?,
        None => None,
    };
    let published = match request.registry {
        Some(registry) => {
            request.progress.stage("registering", 0, 0);
            let publication = Publication {
                files: &trained.files,
                report: &report,
                parameters: trained.parameters(),
                gates: &trained.gates,
                run: run.as_ref(),
                promote: request.promote,
                actor: request.actor,
                time: request.now,
            };
            Some(publish(registry, publication).await?)
        }
        None => None,
    };
    report.version = published.as_ref().map(|it| it.version);
    if let (Some(tracking), Some(run), Some(version)) = (request.tracking, &run, report.version) {
        name_version(tracking, run, version).await?;
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(TrainOutcome {
        version: report.version,
        promoted: published.is_some_and(|it| it.promoted),
        digest: digest(&trained.files)?,
        gates: trained.gates,
        package: trained.files,
        report,
    })
}

/// Computes on a thread of its own: the offline engine brings an own runtime, which must not be entered from within another.
pub(crate) fn outside_runtime<T: Send>(compute: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(compute).join() {
        Ok(computed) => computed,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn train_rows(
    request: &TrainRequest<'_>,
    tabular: &TabularSpec,
    rival: Option<&PackageFiles>,
) -> Result<Trained, TrainError> {
    let TrainRequest {
        spec,
        offline,
        seed,
        progress,
        ..
    } = *request;
    progress.stage("reading features and labels", 0, 0);
    let set_spec = training_set_spec(tabular, request.as_of);
    let selection = offline.training_selection(&set_spec)?;
    let set = offline.training_set(&set_spec)?;
    let data = checked_data(request, of_training_set(&set))?;
    let outcome = train_tabular(&TabularInput {
        spec,
        tabular,
        set: &set,
        seed,
        progress,
    })?;
    progress.stage("judging and packing", 0, 0);
    let y: Vec<f64> = outcome
        .split
        .test
        .iter()
        .map(|&row| outcome.prepared.data.y[row])
        .collect();
    let champion = rival.map(|files| rescore(files, spec.task, &set, &y, &outcome.split.test));
    let rivals = Rivals {
        baseline: outcome.baseline(),
        champion: champion.as_ref().map(as_rival),
    };
    let metrics = outcome.best().metrics.clone();
    let own_gates = judge(&spec.name, spec.task, &own_rules(&spec.gates), &metrics, rivals)?;
    let mut gates = judge(&spec.name, spec.task, &spec.gates, &metrics, rivals)?;
    gates.extend(judge_parity(&spec.gates, request.parity));
    let plan = plan(
        offline.definitions(),
        &tabular.entity,
        &selection,
        &outcome.prepared.inputs,
    );
    let origin = origin(request, data);
    let candidates = tracked(&outcome);
    let (n_train, n_test) = (outcome.split.train.len(), outcome.split.test.len());
    let algorithm = outcome.best().spec.algorithm.clone();
    let chosen_by = outcome.chosen_by;
    let calibration = match spec.task {
        foretell_inference::Task::BinaryClassification => calibration_table(&y, &outcome.best().test_answers),
        _ => Vec::new(),
    };
    let notes = notes(&outcome);
    let (mut files, importances) = tabular_package(spec, &set, plan, outcome, &origin)?;
    let facts = CardFacts {
        spec,
        chosen_by,
        candidates: card_rows(&candidates),
        gates: &own_gates,
        importances: &importances,
        calibration,
        notes: &notes,
    };
    add_card(&mut files, &facts)?;
    Ok(Trained {
        files,
        algorithm,
        metrics,
        gates,
        candidates,
        n_train,
        n_test,
    })
}

fn train_series(request: &TrainRequest<'_>, rival: Option<&PackageFiles>) -> Result<Trained, TrainError> {
    let TrainRequest {
        spec,
        offline,
        seed,
        progress,
        ..
    } = *request;
    let series = spec.series().expect("the caller matched the subject");
    progress.stage("reading series", 0, 0);
    let set = offline.series_set(series)?;
    let data = checked_data(request, of_series_set(&set))?;
    let say = |what: &str| progress.stage(what, 0, 0);
    let outcome = train_forecast(&ForecastTrainInput {
        spec,
        set: &set,
        seed,
        progress: &say,
    })?;
    progress.stage("judging and packing", 0, 0);
    let champion = rival.map(|files| recorded(files, spec.task));
    let baseline = outcome.candidates.first().map(|it| &it.metrics);
    let rivals = Rivals {
        baseline,
        champion: champion.as_ref().map(as_rival),
    };
    let own_gates = judge(&spec.name, spec.task, &own_rules(&spec.gates), &outcome.metrics, rivals)?;
    let gates = judge(&spec.name, spec.task, &spec.gates, &outcome.metrics, rivals)?;
    let mut files = forecast_package(spec, &outcome, &origin(request, data));
    let candidates: Vec<TrackedCandidate> = outcome
        .candidates
        .iter()
        .map(|it| tracked_forecast(&outcome, it))
        .collect();
    let facts = CardFacts {
        spec,
        chosen_by: &outcome.chosen_by,
        candidates: card_rows(&candidates),
        gates: &own_gates,
        importances: &[],
        calibration: Vec::new(),
        notes: &outcome.notes,
    };
    add_card(&mut files, &facts)?;
    let (algorithm, metrics) = (outcome.algorithm, outcome.metrics);
    Ok(Trained {
        files,
        algorithm,
        metrics,
        gates,
        candidates,
        n_train: outcome.n_train,
        n_test: outcome.n_test,
    })
}

/// The digest of the rows, if it is the one that is expected.
fn checked_data(request: &TrainRequest<'_>, digest: String) -> Result<String, TrainError> {
    match request.expect_data {
        Some(expected) if expected != digest => Err(TrainError::DataChanged {
            model: request.spec.name.clone(),
            recorded: expected.to_owned(),
            got: digest,
        }),
        _ => Ok(digest),
    }
}

/// What the offline engine is asked for.
pub fn training_set_spec(tabular: &TabularSpec, as_of: Timestamp) -> TrainingSetSpec {
    TrainingSetSpec {
        entity: tabular.entity.clone(),
        features: tabular.features.clone(),
        except: tabular.except.clone(),
        cutoffs: tabular.cutoffs.clone(),
        population: tabular.population.clone(),
        label: tabular.label.clone(),
        as_of,
    }
}

/// Reads the manifest back and writes the card beside it: what is shown is what is loaded.
fn add_card(files: &mut PackageFiles, facts: &CardFacts<'_>) -> Result<(), TrainError> {
    let model = foretell_inference::Model::load(files)?;
    files.insert(CARD_FILE.to_owned(), card(model.manifest(), facts).into_bytes());
    Ok(())
}

fn as_rival(it: &Result<Metrics, String>) -> Result<&Metrics, &str> {
    it.as_ref().map_err(String::as_str)
}

fn origin(request: &TrainRequest<'_>, data: String) -> Origin {
    Origin {
        data,
        definitions: of_texts(request.definitions),
        seed: request.seed,
        as_of: request.as_of,
    }
}

fn notes(outcome: &TabularOutcome) -> Vec<String> {
    let mut notes = outcome.prepared.notes.clone();
    if outcome.split.left_out > 0 {
        let rows = outcome.split.left_out;
        notes.push(format!(
            "{rows} rows are in neither part: their label looks past the test's cutoff"
        ));
    }
    notes
}

fn tracked(outcome: &TabularOutcome) -> Vec<TrackedCandidate> {
    let of = |(at, it): (usize, &crate::fit::Candidate)| {
        let given = it
            .spec
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()));
        let found = it
            .tuned
            .iter()
            .map(|(name, value)| (format!("tuned_{name}"), value.to_string()));
        TrackedCandidate {
            algorithm: it.spec.algorithm.clone(),
            parameters: given.chain(found).collect(),
            metrics: it.metrics.clone(),
            validation: (outcome.chosen_by.to_owned(), it.validation),
            fit_seconds: it.fit_seconds,
            won: at == outcome.winner,
        }
    };
    outcome.candidates.iter().enumerate().map(of).collect()
}

fn tracked_forecast(
    outcome: &crate::forecast::ForecastOutcome,
    it: &crate::forecast::ForecastCandidate,
) -> TrackedCandidate {
    let validation = it.validation.get(&outcome.chosen_by).copied().unwrap_or(f64::NAN);
    TrackedCandidate {
        algorithm: it.algorithm.clone(),
        parameters: Default::default(),
        metrics: it.metrics.clone(),
        validation: (outcome.chosen_by.clone(), validation),
        fit_seconds: it.fit_seconds,
        won: it.algorithm == outcome.algorithm,
    }
}

fn card_rows(candidates: &[TrackedCandidate]) -> Vec<(String, f64, Metrics)> {
    candidates
        .iter()
        .map(|it| (it.algorithm.clone(), it.validation.1, finite(&it.metrics)))
        .collect()
}

fn candidate_report(it: &TrackedCandidate) -> CandidateReport {
    CandidateReport {
        algorithm: it.algorithm.clone(),
        metrics: finite(&it.metrics),
        fit_seconds: it.fit_seconds,
    }
}
