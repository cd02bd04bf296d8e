//! Which logged models a search finds, and in which order.

use crate::filter::{Column, Joined, check_kind, push_metric_test};
use crate::search::push_page;
use crate::sql::Sql;
use crate::{
    Condition, ExperimentId, Field, LoggedModel, MeasuredOn, Order, Page, Test, Tracking, TrackingError, logged_models,
};

/// What every logged model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelAttribute {
    /// Its id.
    Id,
    /// Its name.
    Name,
    /// What kind of model; may be missing.
    ModelType,
    /// Whether its files are there.
    Status,
    /// The run that made it; may be missing.
    SourceRunId,
    /// Where its files are.
    ArtifactUri,
    /// ms; a number.
    CreationTime,
    /// ms; a number.
    LastUpdateTime,
}

impl Column for ModelAttribute {
    const TABLE: &'static str = "logged_models";
    const KEY: &'static str = "model";
    const TAGS: &'static str = "model_tags";
    const PARAMS: Option<&'static str> = Some("model_params");
    /// A model keeps all that was measured, by run and data set: see [`push_metric_condition`].
    const METRICS: Option<&'static str> = None;

    fn column(self) -> &'static str {
        match self {
            Self::Id => "it.model_id",
            Self::Name => "it.name",
            Self::ModelType => "it.model_type",
            Self::Status => "it.status",
            Self::SourceRunId => "it.source_run_id",
            Self::ArtifactUri => "it.artifact_uri",
            Self::CreationTime => "it.creation_time",
            Self::LastUpdateTime => "it.last_update_time",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::CreationTime | Self::LastUpdateTime)
    }

    fn is_optional(self) -> bool {
        matches!(self, Self::ModelType | Self::SourceRunId)
    }
}

/// One key of an order of logged models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOrder {
    /// What is compared, and in which direction. Of a metric it is the latest value (by time, then step).
    pub by: Order<ModelAttribute>,
    /// For a metric: of those measured on this data set.
    pub dataset: Option<MeasuredOn>,
}

/// Which logged models, in which order. Deleted ones are never found.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelQuery {
    /// Models of these experiments; none gives none.
    pub experiments: Vec<ExperimentId>,
    /// All must hold; a condition on a metric holds when one of its values passes.
    pub conditions: Vec<Condition<ModelAttribute>>,
    /// Conditions on metrics look at values measured on one of these only; without such a condition, models that have any
    /// value measured on one of these.
    pub datasets: Vec<MeasuredOn>,
    /// Then newest first, then by id.
    pub order: Vec<ModelOrder>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u64,
}

impl ModelQuery {
    /// The models of one experiment, newest first.
    pub fn of(experiment: ExperimentId) -> Self {
        Self {
            experiments: vec![experiment],
            conditions: Vec::new(),
            datasets: Vec::new(),
            order: Vec::new(),
            limit: 50,
            offset: 0,
        }
    }
}

impl Tracking {
    /// Finds logged models.
    ///
    /// # Errors
    /// `Invalid` when a number is tested as text or the other way round; `Database`.
    pub async fn search_logged_models(&self, query: &ModelQuery) -> Result<Page<LoggedModel>, TrackingError> {
        if query.experiments.is_empty() {
            return Ok(Page::cut(Vec::new(), query.offset, query.limit));
        }
        let mut tx = self.reading().await?;
        let mut sql = tx.sql("SELECT it.model").composed();
        push_search(&mut sql, query)?;
        let rows = tx.all(sql).await?;
        let keys = rows.iter().map(|it| it.int(0)).collect::<Result<Vec<_>, _>>()?;
        let page = Page::cut(keys, query.offset, query.limit);
        Ok(page.with(logged_models::by_keys(&mut tx, &page.items).await?))
    }
}

fn push_search(sql: &mut Sql, query: &ModelQuery) -> Result<(), TrackingError> {
    let is_metric = |it: &Field<ModelAttribute>| matches!(it, Field::Metric(_));
    let fields = query.conditions.iter().map(|it| &it.field);
    let fields = fields.chain(query.order.iter().map(|it| &it.by.field));
    let joined = Joined::of(fields.filter(|it| !is_metric(it)))?;
    let keys: Vec<i64> = query.experiments.iter().map(|it| it.0).collect();
    joined.push_from(sql);
    sql.push(" WHERE it.experiment").among(&keys);
    sql.push(" AND it.lifecycle = 'active'");
    for condition in &query.conditions {
        match &condition.field {
            Field::Metric(key) => push_metric_condition(sql, condition, key, &query.datasets)?,
            _ => joined.push_condition(sql, condition)?,
        }
    }
    if !query.datasets.is_empty() && !query.conditions.iter().any(|it| is_metric(&it.field)) {
        sql.push(" AND EXISTS (SELECT 1 FROM model_metrics m WHERE m.model = it.model");
        push_datasets(sql, &query.datasets);
        sql.push(")");
    }
    sql.push(" ORDER BY ");
    for order in &query.order {
        match &order.by.field {
            Field::Metric(key) => push_metric_order(sql, order, key),
            _ => joined.push_order(sql, &order.by),
        }
    }
    sql.push("it.creation_time DESC, it.model_id");
    push_page(sql, query.limit, query.offset);
    Ok(())
}

fn push_metric_condition(
    sql: &mut Sql,
    condition: &Condition<ModelAttribute>,
    key: &str,
    datasets: &[MeasuredOn],
) -> Result<(), TrackingError> {
    check_kind(condition)?;
    let absent = condition.test == Test::IsNull;
    sql.push(if absent { " AND NOT EXISTS (" } else { " AND EXISTS (" });
    sql.push("SELECT 1 FROM model_metrics m WHERE m.model = it.model AND m.key = ")
        .value(key);
    if let Test::Number(..) = condition.test {
        sql.push(" AND ");
        push_metric_test(sql, "m.value", "m.is_nan", &condition.test);
    }
    push_datasets(sql, datasets);
    sql.push(")");
    Ok(())
}

/// Appends ` AND ..`: the value `m` was measured on one of these.
fn push_datasets(sql: &mut Sql, datasets: &[MeasuredOn]) {
    for (i, dataset) in datasets.iter().enumerate() {
        sql.push(if i == 0 { " AND (" } else { " OR " });
        push_dataset(sql, dataset);
    }
    sql.push(if datasets.is_empty() { "" } else { ")" });
}

fn push_dataset(sql: &mut Sql, dataset: &MeasuredOn) {
    sql.push("(m.dataset_name = ").value(&dataset.name);
    if let Some(digest) = &dataset.digest {
        sql.push(" AND m.dataset_digest = ").value(digest);
    }
    sql.push(")");
}

/// What is missing comes last, NaN before it.
fn push_metric_order(sql: &mut Sql, order: &ModelOrder, key: &str) {
    sql.push("coalesce(");
    push_latest(sql, "m.is_nan", key, order.dataset.as_ref());
    sql.push(", 2), ");
    push_latest(sql, "m.value", key, order.dataset.as_ref());
    sql.push(if order.by.descending { " DESC, " } else { ", " });
}

/// Appends a column of the latest value of a metric.
fn push_latest(sql: &mut Sql, column: &str, key: &str, dataset: Option<&MeasuredOn>) {
    sql.push(&format!(
        "(SELECT {column} FROM model_metrics m WHERE m.model = it.model AND m.key = "
    ));
    sql.value(key);
    if let Some(dataset) = dataset {
        push_dataset(sql.push(" AND "), dataset);
    }
    sql.push(" ORDER BY m.time DESC, m.step DESC, m.run_id LIMIT 1)");
}
