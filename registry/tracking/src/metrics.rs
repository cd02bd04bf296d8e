use std::collections::BTreeMap;

use crate::database::{Row, Tx};
use crate::sql::Arg;
use crate::{Batch, Metric, RunId, Tracking, TrackingError};

/// How a metric is read; [`metric_at`] knows the order.
pub(crate) const COLUMNS: &str = "key, value, is_nan, time, step";

impl Tracking {
    /// The latest value of each metric: of the highest step, then time, then value.
    ///
    /// # Errors
    /// `NoRun`, `Database`.
    pub async fn latest_metrics(&self, id: &RunId) -> Result<Vec<Metric>, TrackingError> {
        Ok(self.run(id).await?.metrics)
    }
}

/// Adds to the history, and moves the latest values forward.
pub(crate) async fn put(tx: &mut Tx, run: i64, batch: &Batch) -> Result<(), TrackingError> {
    let of_models = batch.model_metrics.iter().map(|it| &it.metric);
    let stored: Vec<Stored> = batch.metrics.iter().chain(of_models).map(Stored::of).collect();
    let row = |it: &Stored| -> [Arg; 6] {
        let (key, time, step) = (it.key.into(), it.time.into(), it.step.into());
        [run.into(), key, time, step, it.value.into(), it.is_nan.into()]
    };
    let history = "INSERT INTO metrics (run, key, time, step, value, is_nan)";
    let rows = stored.iter().map(row).collect();
    tx.insert(history, rows, " ON CONFLICT DO NOTHING").await?;
    let latest_metrics = "INSERT INTO latest_metrics (run, key, time, step, value, is_nan)";
    let forward = " ON CONFLICT (run, key) DO UPDATE SET
        time = excluded.time, step = excluded.step, value = excluded.value, is_nan = excluded.is_nan
        WHERE (excluded.step, excluded.time, excluded.value)
            > (latest_metrics.step, latest_metrics.time, latest_metrics.value)";
    let rows = latest(&stored).into_iter().map(row).collect();
    tx.insert(latest_metrics, rows, forward).await
}

/// The latest metrics of the runs with these internal keys.
pub(crate) async fn latest_of(tx: &mut Tx, runs: &[i64]) -> Result<BTreeMap<i64, Vec<Metric>>, TrackingError> {
    let sql = format!("SELECT run, {COLUMNS} FROM latest_metrics WHERE run");
    let mut sql = tx.sql(&sql).for_keys(runs);
    sql.push(" ORDER BY run, key");
    let mut of: BTreeMap<i64, Vec<Metric>> = BTreeMap::new();
    for row in tx.all(sql).await? {
        of.entry(row.int(0)?).or_default().push(metric_at(&row, 1)?);
    }
    Ok(of)
}

/// The metric whose columns start here.
pub(crate) fn metric_at(row: &Row, at: usize) -> Result<Metric, TrackingError> {
    let is_nan = row.truth(at + 2)?;
    Ok(Metric {
        key: row.text(at)?,
        value: if is_nan { f64::NAN } else { row.real(at + 1)? },
        time: row.int(at + 3)?,
        step: row.int(at + 4)?,
    })
}

/// A metric as the database can hold it: no NaN, no infinity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stored<'a> {
    pub(crate) key: &'a str,
    pub(crate) time: i64,
    pub(crate) step: i64,
    pub(crate) value: f64,
    pub(crate) is_nan: bool,
}

impl<'a> Stored<'a> {
    pub(crate) fn of(metric: &'a Metric) -> Self {
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
