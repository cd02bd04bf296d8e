//! What a run read and made: data sets, logged models.

use std::collections::BTreeMap;

use crate::database::Tx;
use crate::sql::Arg;
use crate::{DATASET_CONTEXT_TAG, ExperimentId, Lifecycle, ModelId, RunId, Tracking, TrackingError, rules, runs};

const INPUT: &str = "input";
const OUTPUT: &str = "output";
/// Summaries in one answer.
const MAX_SUMMARIES: i64 = 1000;

/// Data, named by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its name; with the digest unique in an experiment.
    pub name: String,
    /// Of its content.
    pub digest: String,
    /// What kind of place it came from.
    pub source_type: String,
    /// The place, usually JSON.
    pub source: String,
    /// Its columns, usually JSON.
    pub schema: Option<String>,
    /// Statistics, usually JSON.
    pub profile: Option<String>,
}

/// A data set that a run read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetInput {
    /// The data set.
    pub dataset: Dataset,
    /// Free words, one of them what it was for: [`DATASET_CONTEXT_TAG`].
    pub tags: BTreeMap<String, String>,
}

/// A logged model that a run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOutput {
    /// The model.
    pub model_id: ModelId,
    /// At which step of the run.
    pub step: i64,
}

/// A data set as runs of an experiment used it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment_id: ExperimentId,
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// What it was for.
    pub context: Option<String>,
}

impl Tracking {
    /// Notes what an active run read. What is noted already stays as it is, so a retry is harmless.
    ///
    /// # Errors
    /// `Invalid`, `TooLong`, `NoRun`, `RunLifecycle`, `Database`.
    pub async fn log_inputs(
        &self,
        id: &RunId,
        datasets: &[DatasetInput],
        models: &[ModelId],
    ) -> Result<(), TrackingError> {
        datasets.iter().try_for_each(rules::check_dataset)?;
        let mut tx = self.writing().await?;
        let run = runs::require(&mut tx, id, Lifecycle::Active).await?;
        for input in datasets {
            let dataset = put_dataset(&mut tx, run.experiment, &input.dataset).await?;
            put_input(&mut tx, run.key, dataset, input).await?;
        }
        put_models(&mut tx, run.key, INPUT, models.iter().map(|it| (it, 0))).await?;
        tx.commit().await
    }

    /// Notes which logged models an active run made.
    ///
    /// # Errors
    /// `NoRun`, `RunLifecycle`, `Database`.
    pub async fn log_outputs(&self, id: &RunId, models: &[ModelOutput]) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        let run = runs::require(&mut tx, id, Lifecycle::Active).await?.key;
        put_models(&mut tx, run, OUTPUT, models.iter().map(|it| (&it.model_id, it.step))).await?;
        tx.commit().await
    }

    /// The data sets that runs of these experiments read, at most 1000.
    ///
    /// # Errors
    /// `Database`.
    pub async fn search_datasets(&self, experiments: &[ExperimentId]) -> Result<Vec<DatasetSummary>, TrackingError> {
        let mut tx = self.reading().await?;
        let keys: Vec<i64> = experiments.iter().map(|it| it.0).collect();
        let sql = "SELECT DISTINCT d.experiment, d.name, d.digest, t.value
            FROM datasets d JOIN run_datasets i ON i.dataset = d.dataset
            LEFT JOIN run_dataset_tags t ON t.run = i.run AND t.dataset = i.dataset AND t.key = $1
            WHERE d.experiment";
        let mut sql = tx.sql(sql).bind(DATASET_CONTEXT_TAG).for_keys(&keys);
        sql.push(" ORDER BY 1, 2, 3, 4 LIMIT ").value(MAX_SUMMARIES);
        let rows = tx.all(sql).await?;
        let summary = |row: &crate::database::Row| {
            Ok(DatasetSummary {
                experiment_id: ExperimentId(row.int(0)?),
                name: row.text(1)?,
                digest: row.text(2)?,
                context: row.maybe_text(3)?,
            })
        };
        rows.iter().map(summary).collect()
    }
}

/// The internal key of the data set, which is made if its experiment has none of this name and digest.
async fn put_dataset(tx: &mut Tx, experiment: i64, it: &Dataset) -> Result<i64, TrackingError> {
    let insert = "INSERT INTO datasets (experiment, name, digest, source_type, source, schema, profile)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (experiment, name, digest) DO NOTHING";
    let insert = tx.sql(insert).bind(experiment).bind(&it.name).bind(&it.digest);
    let insert = insert.bind(&it.source_type).bind(&it.source);
    tx.run(insert.bind(it.schema.as_deref()).bind(it.profile.as_deref()))
        .await?;
    let select = "SELECT dataset FROM datasets WHERE experiment = $1 AND name = $2 AND digest = $3";
    let select = tx.sql(select).bind(experiment).bind(&it.name).bind(&it.digest);
    let row = tx.first(select).await?.ok_or(sqlx::Error::RowNotFound)?;
    row.int(0)
}

/// The tags go with the first mention.
async fn put_input(tx: &mut Tx, run: i64, dataset: i64, input: &DatasetInput) -> Result<(), TrackingError> {
    let insert = tx.sql("INSERT INTO run_datasets (run, dataset) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    if tx.run(insert.bind(run).bind(dataset)).await? == 0 {
        return Ok(());
    }
    let tag = |(key, value): (&String, &String)| [run.into(), dataset.into(), key.into(), value.into()];
    let rows = input.tags.iter().map(tag).collect();
    tx.insert("INSERT INTO run_dataset_tags (run, dataset, key, value)", rows, "")
        .await
}

async fn put_models(
    tx: &mut Tx,
    run: i64,
    direction: &str,
    models: impl Iterator<Item = (&ModelId, i64)>,
) -> Result<(), TrackingError> {
    let row =
        |(id, step): (&ModelId, i64)| -> [Arg; 4] { [run.into(), direction.into(), id.as_str().into(), step.into()] };
    let insert = "INSERT INTO run_models (run, direction, model_id, step)";
    tx.insert(insert, models.map(row).collect(), " ON CONFLICT DO NOTHING")
        .await
}

/// The data sets of the runs with these internal keys, in the order in which the experiment met them.
pub(crate) async fn inputs_of(tx: &mut Tx, runs: &[i64]) -> Result<BTreeMap<i64, Vec<DatasetInput>>, TrackingError> {
    let sql = "SELECT i.run, d.dataset, d.name, d.digest, d.source_type, d.source, d.schema, d.profile
        FROM run_datasets i JOIN datasets d ON d.dataset = i.dataset WHERE i.run";
    let mut sql = tx.sql(sql).for_keys(runs);
    sql.push(" ORDER BY i.run, i.dataset");
    let rows = tx.all(sql).await?;
    if rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut tags = tags_of(tx, runs).await?;
    let mut of: BTreeMap<i64, Vec<DatasetInput>> = BTreeMap::new();
    for row in rows {
        let dataset = Dataset {
            name: row.text(2)?,
            digest: row.text(3)?,
            source_type: row.text(4)?,
            source: row.text(5)?,
            schema: row.maybe_text(6)?,
            profile: row.maybe_text(7)?,
        };
        let tags = tags.remove(&(row.int(0)?, row.int(1)?)).unwrap_or_default();
        of.entry(row.int(0)?).or_default().push(DatasetInput { dataset, tags });
    }
    Ok(of)
}

/// By run and data set.
async fn tags_of(tx: &mut Tx, runs: &[i64]) -> Result<BTreeMap<(i64, i64), BTreeMap<String, String>>, TrackingError> {
    let sql = tx
        .sql("SELECT run, dataset, key, value FROM run_dataset_tags WHERE run")
        .for_keys(runs);
    let mut of: BTreeMap<_, BTreeMap<String, String>> = BTreeMap::new();
    for row in tx.all(sql).await? {
        of.entry((row.int(0)?, row.int(1)?))
            .or_default()
            .insert(row.text(2)?, row.text(3)?);
    }
    Ok(of)
}

/// What a run read and made of logged models.
pub(crate) type ModelsOfRun = (Vec<ModelId>, Vec<ModelOutput>);

/// The logged models of the runs with these internal keys.
pub(crate) async fn models_of(tx: &mut Tx, runs: &[i64]) -> Result<BTreeMap<i64, ModelsOfRun>, TrackingError> {
    let mut sql = tx
        .sql("SELECT run, direction, model_id, step FROM run_models WHERE run")
        .for_keys(runs);
    sql.push(" ORDER BY run, direction, step, model_id");
    let mut of: BTreeMap<i64, ModelsOfRun> = BTreeMap::new();
    for row in tx.all(sql).await? {
        let (inputs, outputs) = of.entry(row.int(0)?).or_default();
        let (model_id, step) = (ModelId(row.text(2)?), row.int(3)?);
        match row.text(1)?.as_str() {
            INPUT => inputs.push(model_id),
            _ => outputs.push(ModelOutput { model_id, step }),
        }
    }
    Ok(of)
}
