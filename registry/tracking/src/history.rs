//! The history of metrics: whole, in pages, and thinned out for a plot.

use crate::database::Tx;
use crate::metrics::{COLUMNS, metric_at};
use crate::sql::Sql;
use crate::{Metric, Page, RunId, Tracking, TrackingError, runs};

/// A value and the run that it was logged to.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkMetric {
    /// The run.
    pub run_id: RunId,
    /// The value.
    pub metric: Metric,
}

/// Steps from the first to the last, both counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRange {
    /// The first step.
    pub start: i64,
    /// The last step.
    pub end: i64,
}

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
        let run = runs::key_of(&mut tx, id).await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM metrics WHERE run = $1 AND key = $2
             ORDER BY time, step, value, is_nan LIMIT $3 OFFSET $4"
        );
        let sql = tx.sql(&sql).bind(run).bind(key).bind(i64::from(limit) + 1);
        let metrics = metrics(&mut tx, sql.bind(offset.cast_signed())).await?;
        Ok(Page::cut(metrics, offset, limit))
    }

    /// The first `limit` values of one metric of several runs, by run id, then as [`Tracking::metric_history`]. Runs that
    /// are not there have none.
    ///
    /// # Errors
    /// `Database`.
    pub async fn metric_history_of(
        &self,
        ids: &[RunId],
        key: &str,
        limit: u32,
    ) -> Result<Vec<BulkMetric>, TrackingError> {
        let mut tx = self.reading().await?;
        let mut found = Vec::new();
        let mut ids: Vec<&RunId> = ids.iter().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let run = match runs::key_of(&mut tx, id).await {
                Err(TrackingError::NoRun { .. }) => continue,
                run => run?,
            };
            let left = i64::from(limit) - i64::try_from(found.len()).unwrap_or(i64::MAX);
            let sql = format!(
                "SELECT {COLUMNS} FROM metrics WHERE run = $1 AND key = $2
                 ORDER BY time, step, value, is_nan LIMIT $3"
            );
            let sql = tx.sql(&sql).bind(run).bind(key).bind(left.max(0));
            found.extend(with_run(id, metrics(&mut tx, sql).await?));
        }
        Ok(found)
    }

    /// At most `limit` values of one metric per run, evenly spread over its steps, the first and the last among them; in
    /// the order of the runs given, then by step.
    ///
    /// # Errors
    /// `NoRun`, `Database`.
    pub async fn sampled_history(
        &self,
        ids: &[RunId],
        key: &str,
        steps: Option<StepRange>,
        limit: u32,
    ) -> Result<Vec<BulkMetric>, TrackingError> {
        let mut tx = self.reading().await?;
        let mut found = Vec::new();
        for id in ids {
            let run = runs::key_of(&mut tx, id).await?;
            found.extend(with_run(id, sample(&mut tx, run, key, steps, limit).await?));
        }
        Ok(found)
    }
}

fn with_run(id: &RunId, metrics: Vec<Metric>) -> impl Iterator<Item = BulkMetric> {
    metrics.into_iter().map(|metric| BulkMetric {
        run_id: id.clone(),
        metric,
    })
}

async fn metrics(tx: &mut Tx, sql: Sql) -> Result<Vec<Metric>, TrackingError> {
    tx.all(sql).await?.iter().map(|row| metric_at(row, 0)).collect()
}

async fn sample(
    tx: &mut Tx,
    run: i64,
    key: &str,
    steps: Option<StepRange>,
    limit: u32,
) -> Result<Vec<Metric>, TrackingError> {
    let steps = steps.unwrap_or(StepRange {
        start: i64::MIN,
        end: i64::MAX,
    });
    let of = "FROM metrics WHERE run = $1 AND key = $2 AND step BETWEEN $3 AND $4";
    let bound = |sql: Sql| sql.bind(run).bind(key).bind(steps.start).bind(steps.end);
    let count = bound(tx.sql(&format!("SELECT count(*) {of}")));
    let count = tx.first(count).await?.map_or(Ok(0), |it| it.int(0))?;
    let places = evenly_spaced(count, i64::from(limit.max(1)));
    let place = "row_number() OVER (ORDER BY step, time, value, is_nan) - 1 AS place";
    let sql = tx.sql(&format!(
        "SELECT {COLUMNS} FROM (SELECT {COLUMNS}, {place} {of}) AS placed WHERE place"
    ));
    let mut sql = bound(sql).for_keys(&places);
    sql.push(" ORDER BY place");
    metrics(tx, sql).await
}

/// Places, from 0, of at most `limit` of `count` rows: the first of each of `limit` parts of equal size (earlier parts have
/// the rest), and the last row.
fn evenly_spaced(count: i64, limit: i64) -> Vec<i64> {
    let parts = limit.min(count);
    let mut places: Vec<i64> = (0..parts)
        .map(|part| part * (count / parts) + part.min(count % parts))
        .collect();
    if let Some(last) = places.last_mut()
        && *last != count - 1
    {
        *last = count - 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_the_first_and_the_last() {
        let cases: [(i64, i64, &[i64]); 6] = [
            (0, 5, &[]),
            (3, 5, &[0, 1, 2]),
            (10, 1, &[9]),
            (10, 2, &[0, 9]),
            (10, 4, &[0, 3, 6, 9]),
            (11, 4, &[0, 3, 6, 10]),
        ];
        for (count, limit, expected) in cases {
            assert_eq!(evenly_spaced(count, limit), expected, "{limit} of {count}");
        }
    }
}
