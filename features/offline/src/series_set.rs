//! Series on a regular grid: one value per step, gaps NaN, what is known of the future beyond the last value.

use foretell_features::{Column, DataType, EntityKey, ForecastTest, Series, SeriesSet, SeriesSpec, Value};
use rayon::prelude::*;

use crate::column::from_column;
use crate::error::{OfflineStoreError, Result, definition};
use crate::keys::{KeyIndex, NO_KEY};
use crate::needs::Columns;
use crate::scan::SourceFrame;
use crate::store::OfflineStore;

mod rows;

use rows::{Rows, key_columns};

impl OfflineStore {
    /// The series of a forecast, in order of their keys. Times are rounded down to the grid and values that fall on one step
    /// are summed; rows whose value is null after the last known value are the known future.
    ///
    /// # Errors
    /// An unknown name, an unreadable source, a column of the wrong type, a horizon longer than every series.
    pub fn series_set(&self, spec: &SeriesSpec) -> Result<SeriesSet> {
        let needed = needed(spec);
        let source = self.source(&spec.source, &needed)?;
        let mut rows = Rows::of(spec, &source)?;
        if let ForecastTest::File(test) = &spec.test {
            rows.append_test(Rows::of(spec, &*self.source(test, &needed)?)?)?;
        }
        let (index, codes) = indexed(&rows.keys, rows.values.len());
        let keys = index.keys();
        let statics = self.statics(spec, &source, &rows, &keys)?;
        let groups = grouped(&codes, keys.len());
        let mut built: Vec<Series> = groups
            .par_iter()
            .zip(&keys)
            .zip(statics.by_series)
            .map(|((group, key), statics)| rows.series(spec, key, group, statics))
            .collect::<Result<Vec<Option<Series>>>>()?
            .into_iter()
            .flatten()
            .collect();
        built.sort_by(|a, b| a.key.cmp(&b.key));
        long_enough(spec, &built)?;
        let known_types = spec
            .known
            .iter()
            .cloned()
            .zip(rows.known.iter().map(Column::data_type))
            .collect();
        Ok(SeriesSet {
            step: spec.step,
            series: built,
            known_types,
            static_types: statics.types,
        })
    }

    /// Static values of each series: from the source's own columns, else by key from `statics_from`.
    fn statics(&self, spec: &SeriesSpec, source: &SourceFrame, rows: &Rows, keys: &[EntityKey]) -> Result<Statics> {
        let other = spec
            .statics_from
            .as_deref()
            .map(|it| self.source(it, &needed(spec)))
            .transpose()?;
        let other_keys = other.as_ref().map(|it| index_of(spec, it)).transpose()?;
        let mut by_series = vec![Vec::with_capacity(spec.statics.len()); keys.len()];
        let mut types = Vec::new();
        for name in &spec.statics {
            let own = source.data_type(name).is_some();
            let (from, index): (&SourceFrame, _) = match (&other, &other_keys) {
                (Some(other), Some(index)) if !own => (other, index),
                _ => (source, &rows.index),
            };
            let column = from.meant_column(name)?;
            let first = first_values(&column, &index.1, index.0.len());
            for (values, key) in by_series.iter_mut().zip(keys) {
                values.push(
                    index
                        .0
                        .code(key)
                        .map_or(Value::Null, |code| first[code as usize].clone()),
                );
            }
            types.push((name.clone(), column.data_type()));
        }
        Ok(Statics { by_series, types })
    }
}

struct Statics {
    by_series: Vec<Vec<Value>>,
    types: Vec<(String, DataType)>,
}

/// Every column that a forecast names, whichever source has it.
fn needed(spec: &SeriesSpec) -> Columns {
    let mut columns: Columns = spec
        .key
        .iter()
        .chain(&spec.known)
        .chain(&spec.statics)
        .cloned()
        .collect();
    columns.extend([spec.time.clone(), spec.value.clone()]);
    columns.extend(spec.judged.iter().flat_map(|it| it.columns()).map(str::to_owned));
    if let ForecastTest::Column { column, .. } = &spec.test {
        columns.insert(column.clone());
    }
    columns
}

fn index_of(spec: &SeriesSpec, source: &SourceFrame) -> Result<(KeyIndex, Vec<u32>)> {
    Ok(indexed(&key_columns(spec, source)?, source.n_rows()))
}

fn indexed(keys: &[Column], rows: usize) -> (KeyIndex, Vec<u32>) {
    let keys: Vec<_> = keys.iter().map(|it| from_column("key", it)).collect();
    KeyIndex::of(&keys, rows)
}

fn grouped(codes: &[u32], groups: usize) -> Vec<Vec<u32>> {
    let mut rows = vec![Vec::new(); groups];
    for (row, code) in (0u32..).zip(codes).filter(|(_, code)| **code != NO_KEY) {
        rows[*code as usize].push(row);
    }
    rows
}

/// The first value that is not null of each key.
fn first_values(column: &Column, codes: &[u32], keys: usize) -> Vec<Value> {
    let mut first = vec![Value::Null; keys];
    for (row, code) in codes.iter().enumerate().filter(|(_, code)| **code != NO_KEY) {
        let slot = &mut first[*code as usize];
        if slot.is_null() {
            *slot = column.value(row);
        }
    }
    first
}

fn long_enough(spec: &SeriesSpec, series: &[Series]) -> Result<()> {
    let Some(longest) = series.iter().map(|it| it.values.len()).max() else {
        let reason = format!(
            "source `{}` has no series with a value in `{}`",
            spec.source, spec.value
        );
        return Err(OfflineStoreError::NoRows { reason });
    };
    if matches!(spec.test, ForecastTest::Last) && longest <= spec.horizon {
        let reason = format!("{} steps, but the longest series has {longest}", spec.horizon);
        return Err(definition(
            "series.horizon",
            format!("{reason}; shorten the horizon or bring more history"),
        ));
    }
    Ok(())
}
