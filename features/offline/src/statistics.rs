//! What the features of a view look like at an instant, over all entities known by then: one pass, bounded memory, kept per
//! materialization so that the next one can be compared with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foretell_features::{Column, DataType, EntityFrame, FeatureRef, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::entity_batches::EntityBatchSpec;
use crate::error::{OfflineStoreError, Result};
use crate::sketch::{Distinct, Quantiles, TopValues};
use crate::state::{file_name, write_whole};
use crate::store::OfflineStore;

mod drift;

pub use drift::{FeatureDrift, drift};

/// The features of a view as they are served at an instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewStatistics {
    /// The view.
    pub view: String,
    /// The instant.
    pub at: Timestamp,
    /// Entities with a row by then.
    pub entities: u64,
    /// One per feature, in their order.
    pub features: Vec<FeatureStatistics>,
}

/// One feature over all entities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureStatistics {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Values that are not null.
    pub count: u64,
    /// Nulls, values older than the view's `max_age` among them.
    pub nulls: u64,
    /// Infinite values; `numbers` leaves them out.
    pub infinite: u64,
    /// Different values.
    pub distinct: u64,
    /// Whether `distinct` was counted; else it is estimated, to 1 % or so.
    pub distinct_exact: bool,
    /// The least value.
    pub least: Value,
    /// The greatest value.
    pub greatest: Value,
    /// Of numbers.
    pub numbers: Option<NumberStatistics>,
    /// The most frequent texts or booleans.
    pub top: Vec<TopValue>,
    /// Whether `top` was counted; else rare texts may be counted too low.
    pub top_exact: bool,
}

/// Of the finite numbers of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberStatistics {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation; none of fewer than two values.
    pub std: Option<f64>,
    /// At 0.01, 0.05, 0.25, 0.5, 0.75, 0.95 and 0.99.
    pub quantiles: Vec<(f64, f64)>,
    /// Twenty bins of equal width from the least to the greatest value; one where all are equal.
    pub histogram: Vec<Bin>,
    /// At 0, 0.01, .. 1: what drift is measured from.
    pub percentiles: Vec<f64>,
    /// Whether quantiles, percentiles and the histogram were taken from all values; else they are estimated, to 0.1 % of rank.
    pub exact: bool,
}

/// Values from `from` (included) to `to` (excluded, but for the last bin).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower end.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// Values in it.
    pub count: u64,
}

/// A text and how often it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopValue {
    /// The text.
    pub value: Arc<str>,
    /// How often.
    pub count: u64,
}

const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];
const BINS: usize = 20;
const TOP: usize = 10;

/// Statistics kept of a view; older ones are removed.
const KEPT: usize = 30;

impl OfflineStore {
    /// The features of a view at an instant, over all entities that have a row by then.
    ///
    /// # Errors
    /// An unknown view, an unreadable source.
    pub fn statistics(&self, view: &str, at: Timestamp) -> Result<ViewStatistics> {
        let mut features: Vec<Seen> = self.view_schema(view)?.into_iter().map(Seen::of).collect();
        let spec = EntityBatchSpec {
            view,
            to: at,
            expressions: &[],
            keys: None,
            files: None,
        };
        let all = [FeatureRef::All(view.to_owned())];
        let totals = self.for_each_entity_batch(&spec, |batch| {
            let keys: Vec<_> = batch.entities.into_iter().map(|it| Some(it.key)).collect();
            let times = vec![at; keys.len()];
            let table = self.historical(&EntityFrame::new(keys, times), &all, &[])?;
            for (seen, (_, column)) in features.iter_mut().zip(table.iter()) {
                seen.add(column);
            }
            Ok::<(), OfflineStoreError>(())
        })?;
        Ok(ViewStatistics {
            view: view.to_owned(),
            at,
            entities: totals.entities,
            features: features.into_iter().map(Seen::finished).collect(),
        })
    }

    /// Statistics of a view at an instant, kept under `statistics/<view>/` of the project's state, the last thirty of them.
    /// Without a state folder nothing is done.
    ///
    /// # Errors
    /// As [`OfflineStore::statistics`]; the file cannot be written.
    pub fn keep_statistics(&self, view: &str, at: Timestamp) -> Result<Option<ViewStatistics>> {
        let Some(state) = self.state() else { return Ok(None) };
        let statistics = self.statistics(view, at)?;
        let folder = folder(state, view);
        let text = serde_json::to_vec_pretty(&statistics).expect("statistics are finite numbers and texts");
        write_whole(&folder.join(format!("{}.json", file_name(at))), &text)?;
        let kept = files(&folder)?;
        for (_, path) in kept.iter().take(kept.len().saturating_sub(KEPT)) {
            // A file that cannot be removed is one more kept.
            let _ = std::fs::remove_file(path);
        }
        Ok(Some(statistics))
    }

    /// The statistics kept of a view, oldest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn kept_statistics(&self, view: &str) -> Result<Vec<ViewStatistics>> {
        self.view(view)?;
        let Some(state) = self.state() else {
            return Ok(Vec::new());
        };
        let all = files(&folder(state, view))?;
        Ok(all.into_iter().map(|(it, _)| it).collect())
    }
}

fn folder(state: &Path, view: &str) -> PathBuf {
    state.join("statistics").join(view)
}

/// The statistics of a folder by instant.
fn files(folder: &Path) -> Result<Vec<(ViewStatistics, PathBuf)>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for path in entries.flatten().map(|it| it.path()) {
        if path.extension().is_some_and(|it| it == "json") {
            let read = std::fs::read(&path).map_err(|error| error.to_string());
            let parsed = read.and_then(|it| serde_json::from_slice(&it).map_err(|error| error.to_string()));
            let statistics: ViewStatistics = parsed.map_err(|reason| OfflineStoreError::Read {
                name: "statistics".to_owned(),
                path: path.display().to_string(),
                reason: format!("{reason}; remove the file"),
            })?;
            found.push((statistics, path));
        }
    }
    found.sort_by_key(|(it, _)| it.at);
    Ok(found)
}

/// One feature while its values go by.
#[derive(Debug)]
struct Seen {
    name: String,
    data_type: DataType,
    count: u64,
    nulls: u64,
    infinite: u64,
    distinct: Distinct,
    least: Value,
    greatest: Value,
    moments: Moments,
    quantiles: Quantiles,
    top: TopValues,
}

impl Seen {
    fn of((name, data_type): (String, DataType)) -> Self {
        Self {
            name,
            data_type,
            count: 0,
            nulls: 0,
            infinite: 0,
            distinct: Distinct::default(),
            least: Value::Null,
            greatest: Value::Null,
            moments: Moments::default(),
            quantiles: Quantiles::default(),
            top: TopValues::default(),
        }
    }

    fn add(&mut self, column: &Column) {
        for row in 0..column.len() {
            match column.value(row) {
                Value::Null => self.nulls += 1,
                value => self.add_value(value),
            }
        }
    }

    fn add_value(&mut self, value: Value) {
        self.count += 1;
        self.distinct.add(&value);
        match &value {
            Value::Int(it) => self.add_number(*it as f64),
            Value::Float(it) => self.add_number(*it),
            Value::Str(it) => self.top.add(it),
            Value::Bool(it) => self.top.add(&Arc::from(if *it { "true" } else { "false" })),
            Value::Time(_) | Value::Null => {}
        }
        if self.least.is_null() || less(&value, &self.least) {
            self.least = value.clone();
        }
        if self.greatest.is_null() || less(&self.greatest, &value) {
            self.greatest = value;
        }
    }

    fn add_number(&mut self, number: f64) {
        if number.is_finite() {
            self.moments.add(number);
            self.quantiles.add(number);
        } else {
            self.infinite += 1;
        }
    }

    fn finished(self) -> FeatureStatistics {
        let top = self.top.top(TOP).into_iter();
        FeatureStatistics {
            name: self.name,
            data_type: self.data_type,
            count: self.count,
            nulls: self.nulls,
            infinite: self.infinite,
            distinct: self.distinct.count(),
            distinct_exact: self.distinct.is_exact(),
            least: finite(self.least),
            greatest: finite(self.greatest),
            top: top.map(|(value, count)| TopValue { value, count }).collect(),
            top_exact: self.top.is_exact(),
            numbers: numbers(&self.moments, self.quantiles),
        }
    }
}

/// JSON has no infinities.
fn finite(value: Value) -> Value {
    match value {
        Value::Float(it) if it.is_infinite() => Value::text(if it > 0.0 { "infinity" } else { "-infinity" }),
        other => other,
    }
}

fn less(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a < b,
        (Value::Float(a), Value::Float(b)) => a < b,
        (Value::Str(a), Value::Str(b)) => a < b,
        (Value::Time(a), Value::Time(b)) => a < b,
        (Value::Bool(a), Value::Bool(b)) => !a & b,
        _ => false,
    }
}

fn numbers(moments: &Moments, quantiles: Quantiles) -> Option<NumberStatistics> {
    let (least, greatest) = quantiles.ends()?;
    let exact = quantiles.is_exact();
    let sorted = quantiles.sorted();
    let at = |q: f64| sorted.at(q).unwrap_or(least);
    let bins = if greatest > least { BINS } else { 1 };
    let edge = |bin: usize| match bin {
        _ if bin == bins => greatest,
        // Halves first, so that the width of the widest range is no infinity.
        _ => least + (greatest / bins as f64 - least / bins as f64) * bin as f64,
    };
    let below = |bin: usize| {
        if bin == bins {
            moments.n
        } else {
            sorted.below(edge(bin))
        }
    };
    let histogram = (0..bins).map(|bin| Bin {
        from: edge(bin),
        to: edge(bin + 1),
        count: below(bin + 1).saturating_sub(below(bin)),
    });
    Some(NumberStatistics {
        mean: moments.mean,
        std: moments.std(),
        quantiles: QUANTILES.iter().map(|q| (*q, at(*q))).collect(),
        histogram: histogram.collect(),
        percentiles: (0..=100).map(|it| at(f64::from(it) / 100.0)).collect(),
        exact,
    })
}

/// Welford's running mean and sum of squared differences.
#[derive(Debug, Default)]
struct Moments {
    n: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.n += 1;
        let before = value - self.mean;
        self.mean += before / self.n as f64;
        self.squares += before * (value - self.mean);
    }

    fn std(&self) -> Option<f64> {
        (self.n > 1)
            .then(|| (self.squares / (self.n - 1) as f64).sqrt())
            .filter(|it| it.is_finite())
    }
}
