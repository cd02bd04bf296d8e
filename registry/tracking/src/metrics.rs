use std::collections::BTreeMap;

use sqlx::{FromRow, QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};

use crate::batch::ROWS;
use crate::runs::MetricsOf;
use crate::{Metric, Page, RunId, Tracking, TrackingError};

impl Tracking {
    /// All values of one metric, by time, step and value. A run without it gives an empty page.
    ///
    /// # Errors
    /// `NoRun`, `Database`.
    pub async fn metric_history(
        &self,
        id: &RunId,
        key: &str,
        limit: u32,
        offset: u64,
    ) -> Result<Page<Metric>, TrackingError> {
        let mut tx = self.reading().await?;
        let run: Option<i64> = sqlx::query_scalar("SELECT run FROM runs WHERE run_id = ?")
            .bind(id.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        let run = run.ok_or_else(|| TrackingError::NoRun { id: id.clone() })?;
        let sql = "SELECT run, key, value, is_nan, time, step FROM metrics WHERE run = ? AND key = ?
            ORDER BY time, step, value, is_nan LIMIT ? OFFSET ?";
        let rows = sqlx::query_as(sql)
            .bind(run)
            .bind(key)
            .bind(i64::from(limit) + 1)
            .bind(offset.cast_signed());
        let rows: Vec<MetricRow> = rows.fetch_all(&mut *tx).await?;
        Ok(Page::cut(rows.into_iter().map(|it| it.metric).collect(), offset, limit))
    }

    /// The latest value of each metric: of the highest step, then time, then value.
    ///
    /// # Errors
    /// `NoRun`, `Database`.
    pub async fn latest_metrics(&self, id: &RunId) -> Result<Vec<Metric>, TrackingError> {
        Ok(self.run(id).await?.metrics)
    }
}

/// Adds to the history, and moves the latest values forward.
pub(crate) async fn put(tx: &mut SqliteConnection, run: i64, metrics: &[Metric]) -> Result<(), TrackingError> {
    let stored: Vec<Stored> = metrics.iter().map(Stored::of).collect();
    let all: Vec<&Stored> = stored.iter().collect();
    insert(tx, "INSERT OR IGNORE INTO metrics", run, &all, "").await?;
    let forward = " ON CONFLICT (run, key) DO UPDATE SET
        time = excluded.time, step = excluded.step, value = excluded.value, is_nan = excluded.is_nan
        WHERE (excluded.step, excluded.time, excluded.value) > (step, time, value)";
    insert(tx, "INSERT INTO latest_metrics", run, &latest(&stored), forward).await
}

async fn insert(
    tx: &mut SqliteConnection,
    into: &'static str,
    run: i64,
    rows: &[&Stored<'_>],
    conflict: &'static str,
) -> Result<(), TrackingError> {
    for rows in rows.chunks(ROWS) {
        let mut sql = QueryBuilder::<Sqlite>::new(into);
        sql.push(" (run, key, time, step, value, is_nan) ");
        sql.push_values(rows, |mut row, it| {
            row.push_bind(run)
                .push_bind(it.key.to_owned())
                .push_bind(it.time)
                .push_bind(it.step);
            row.push_bind(it.value).push_bind(it.is_nan);
        });
        sql.push(conflict).build().persistent(false).execute(&mut *tx).await?;
    }
    Ok(())
}

/// The latest metrics of the runs in a JSON list of internal keys.
pub(crate) async fn latest_of(tx: &mut SqliteConnection, runs: &str) -> Result<MetricsOf, TrackingError> {
    let sql = "SELECT run, key, value, is_nan, time, step FROM latest_metrics
        WHERE run IN (SELECT value FROM json_each(?)) ORDER BY run, key";
    let rows: Vec<MetricRow> = sqlx::query_as(sql).bind(runs).fetch_all(tx).await?;
    let mut of = MetricsOf::new();
    for row in rows {
        of.entry(row.run).or_default().push(row.metric);
    }
    Ok(of)
}

/// A metric as the database can hold it: no NaN, no infinity.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stored<'a> {
    key: &'a str,
    time: i64,
    step: i64,
    value: f64,
    is_nan: bool,
}

impl<'a> Stored<'a> {
    fn of(metric: &'a Metric) -> Self {
        let is_nan = metric.value.is_nan();
        let value = if is_nan {
            0.0
        } else {
            metric.value.clamp(f64::MIN, f64::MAX)
        };
        Self {
            key: &metric.key,
            time: metric.time,
            step: metric.step,
            value,
            is_nan,
        }
    }

    fn is_later_than(&self, other: &Self) -> bool {
        (self.step, self.time, self.value) > (other.step, other.time, other.value)
    }
}

/// The last of each key.
fn latest<'s, 'a>(metrics: &'s [Stored<'a>]) -> Vec<&'s Stored<'a>> {
    let mut last: BTreeMap<&str, &Stored<'a>> = BTreeMap::new();
    for metric in metrics {
        let known = last.entry(metric.key).or_insert(metric);
        if metric.is_later_than(known) {
            *known = metric;
        }
    }
    last.into_values().collect()
}

struct MetricRow {
    run: i64,
    metric: Metric,
}

impl<'r> FromRow<'r, SqliteRow> for MetricRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        let is_nan: bool = row.try_get(3)?;
        let value = if is_nan { f64::NAN } else { row.try_get(2)? };
        let metric = Metric {
            key: row.try_get(1)?,
            value,
            time: row.try_get(4)?,
            step: row.try_get(5)?,
        };
        Ok(Self {
            run: row.try_get(0)?,
            metric,
        })
    }
}
