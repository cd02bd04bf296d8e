//! `foretell train`: candidates, gates, registry.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use foretell_features::Timestamp;
use foretell_features_offline::OfflineStore;
use foretell_registry::Registry;
use foretell_serving::Clock;
use foretell_tracking::Tracking;
use foretell_training::{Progress as TrainingProgress, TrainOutcome, TrainRequest};

use crate::arguments::{Common, Train};
use crate::output::{self, Progress};
use crate::project::{Checked, Project};

pub(crate) async fn run(common: &Common, verb: Train) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let checked = project.check()?;
    // Every name is checked before the first model costs time.
    verb.models.iter().try_for_each(|name| checked.model(name).map(drop))?;
    let session = Session::open(&project, checked, verb.no_register).await?;
    let mut outcomes = Vec::new();
    for name in &verb.models {
        let settings = Settings {
            seed: verb.seed,
            as_of: verb.as_of,
            promote: verb.promote,
        };
        let outcome = session
            .train(name, &settings)
            .await
            .with_context(|| format!("{name} was not trained"))?;
        if common.json {
            outcome
                .gates
                .iter()
                .filter(|it| !it.passed)
                .for_each(|it| eprintln!("gate refused: {}", it.reason));
        } else {
            output::print_text(&describe(&outcome));
        }
        outcomes.push(outcome);
    }
    if common.json {
        let reports: Vec<_> = outcomes.iter().map(|it| &it.report).collect();
        output::print_json(&reports);
    }
    let passed = outcomes.iter().all(TrainOutcome::gates_hold);
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(output::GATE_REFUSED)
    })
}

/// How to train.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub seed: u64,
    pub as_of: Option<Timestamp>,
    pub promote: bool,
}

/// What training models of one project needs, opened once.
pub(crate) struct Session {
    pub checked: Checked,
    pub offline: Arc<OfflineStore>,
    project: Project,
    now: Timestamp,
    registry: Option<Registry>,
    tracking: Tracking,
}

impl Session {
    pub(crate) async fn open(project: &Project, checked: Checked, no_register: bool) -> Result<Self> {
        let offline = project.offline(checked.definitions.clone())?;
        let registry = match no_register {
            true => None,
            false => Some(project.signing_registry()?),
        };
        let tracking = Tracking::open(&project.settings.tracking.url, &project.root).await?;
        Ok(Self {
            checked,
            offline: Arc::new(offline),
            project: project.clone(),
            now: project.now(),
            registry,
            tracking,
        })
    }

    pub(crate) async fn train(&self, name: &str, settings: &Settings) -> Result<TrainOutcome> {
        let progress = Bar {
            model: name.to_owned(),
            progress: Progress::new(),
        };
        let actor = super::models::actor();
        let spec = self.checked.model(name)?;
        let parity = super::features::measured_parity(&self.project, &self.offline, spec).await;
        let request = TrainRequest {
            spec,
            offline: &self.offline,
            registry: self.registry.as_ref(),
            tracking: Some(&self.tracking),
            seed: settings.seed,
            as_of: settings.as_of.unwrap_or(self.now),
            now: Clock::Real.now(),
            promote: settings.promote,
            parity: parity
                .as_ref()
                .map(|it| it.as_ref().map(|it| it.share()).map_err(String::as_str)),
            actor: &actor,
            definitions: &self.checked.texts_of(spec),
            expect_data: None,
            progress: &progress,
        };
        Ok(foretell_training::train(request).await?)
    }
}

struct Bar {
    model: String,
    progress: Progress,
}

impl TrainingProgress for Bar {
    fn stage(&self, what: &str, done: u64, total: u64) {
        self.progress.set(&format!("{}: {what}", self.model), done, total);
    }
}

/// What came of one model, for people.
pub(crate) fn describe(outcome: &TrainOutcome) -> String {
    let report = &outcome.report;
    let mut rows = vec![vec![
        "candidate".to_owned(),
        "fit".to_owned(),
        "test metrics".to_owned(),
    ]];
    for candidate in &report.candidates {
        let mark = if candidate.algorithm == report.algorithm {
            "* "
        } else {
            "  "
        };
        let metrics = shown(candidate.metrics.iter().map(|(name, value)| (name.as_str(), *value)));
        rows.push(vec![
            format!("{mark}{}", candidate.algorithm),
            format!("{:.1} s", candidate.fit_seconds),
            metrics,
        ]);
    }
    let version = match outcome.version {
        Some(version) => format!("registered as {}@{version}", report.model),
        None => "not registered".to_owned(),
    };
    let alias = match (outcome.version, outcome.promoted) {
        (Some(_), true) => ", champion",
        (Some(_), false) => ", challenger",
        (None, _) => "",
    };
    let mut text = format!(
        "{}: {} from {} rows, tested on {}, {:.1} s; {version}{alias}\n",
        report.model, report.algorithm, report.n_train, report.n_test, report.seconds
    );
    text.push_str(&output::table(&rows));
    for gate in &outcome.gates {
        let verdict = if gate.passed { "passed" } else { "REFUSED" };
        text.push_str(&format!("gate {verdict}: {}\n", gate.reason));
    }
    text
}

/// The metrics that people look at first, in that order.
fn shown<'a>(metrics: impl Iterator<Item = (&'a str, f64)> + Clone) -> String {
    const ORDER: [&str; 11] = [
        "roc_auc",
        "pr_auc",
        "log_loss",
        "ece",
        "spearman",
        "mae",
        "rmse",
        "wape",
        "rmspe",
        "smape",
        "coverage_90",
    ];
    let find = |name: &&str| {
        metrics
            .clone()
            .find(|(it, _)| it == name)
            .map(|(it, value)| format!("{it} {value:.4}"))
    };
    ORDER.iter().filter_map(find).collect::<Vec<_>>().join("  ")
}
