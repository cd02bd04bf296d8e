//! Series on a regular grid: one value per step, gaps NaN, what is known of the future beyond the last value.

use foretell_features::{
    Column, DataType, EntityKey, ForecastTest, Series, SeriesSet, SeriesSpec, Span, Timestamp, Value,
};
use rayon::prelude::*;

use crate::error::{OfflineStoreError, Result, definition, missing_column};
use crate::keys::KeyIndex;
use crate::scan::SourceFrame;
use crate::store::OfflineStore;

impl OfflineStore {
    /// The series of a forecast, in order of their keys. Times are rounded down to the grid and values that fall on one step
    /// are summed; rows whose value is null after the last known value are the known future.
    ///
    /// # Errors
    /// An unknown name, an unreadable source, a column of the wrong type, a horizon longer than every series.
    pub fn series_set(&self, spec: &SeriesSpec) -> Result<SeriesSet> {
        let source = self.source(&spec.source)?;
        let mut rows = Rows::of(spec, &source)?;
        if let ForecastTest::File(test) = &spec.test {
            rows.append_test(Rows::of(spec, &*self.source(test)?)?)?;
        }
        let (keys, codes) = KeyIndex::of(&rows.keys, rows.values.len());
        let statics = self.statics(spec, &source, &rows, keys.keys())?;
        let groups = grouped(&codes, keys.keys().len());
        let mut built: Vec<Series> = groups
            .par_iter()
            .zip(keys.keys())
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
        let other = spec.statics_from.as_deref().map(|it| self.source(it)).transpose()?;
        let other_keys = other.as_ref().map(|it| indexed(spec, it)).transpose()?;
        let mut by_series = vec![Vec::with_capacity(spec.statics.len()); keys.len()];
        let mut types = Vec::new();
        for name in &spec.statics {
            let own = source.data_type(name).is_some();
            let (from, index): (&SourceFrame, _) = match (&other, &other_keys) {
                (Some(other), Some(index)) if !own => (other, index),
                _ => (source, &rows.index),
            };
            let column = from.meant_column(name)?;
            let first = first_values(&column, &index.1, index.0.keys().len());
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

/// The rows of a source as a series sees them, in file order.
struct Rows {
    keys: Vec<Column>,
    index: (KeyIndex, Vec<Option<u32>>),
    times: Vec<Option<Timestamp>>,
    /// Whether times are counts of steps, not instants.
    counted: bool,
    values: Vec<f64>,
    judged: Vec<bool>,
    known: Vec<Column>,
    test: Vec<bool>,
}

impl Rows {
    fn of(spec: &SeriesSpec, source: &SourceFrame) -> Result<Self> {
        let keys = key_columns(spec, source)?;
        let (times, counted) = times(spec, source)?;
        let values = source.meant_column(&spec.value)?;
        if !matches!(values, Column::Int(_) | Column::Float(_)) {
            let reason = format!("it is {}, not a number", values.data_type());
            return Err(definition(format!("series value `{}`", spec.value), reason));
        }
        let rows = source.n_rows();
        Ok(Self {
            index: KeyIndex::of(&keys, rows),
            keys,
            times,
            counted,
            values: (0..rows).map(|row| values.number(row)).collect(),
            judged: source
                .holds("series.judged", spec.judged.as_ref())?
                .unwrap_or_else(|| vec![true; rows]),
            known: spec
                .known
                .iter()
                .map(|it| source.meant_column(it))
                .collect::<Result<_>>()?,
            test: tested(spec, source)?,
        })
    }

    /// Adds the rows of the test source. Counts of steps go on where the series ends.
    fn append_test(&mut self, test: Rows) -> Result<()> {
        let mut ends = vec![0; self.index.0.keys().len()];
        if self.counted {
            for (row, code) in self.index.1.iter().enumerate() {
                let Some((code, time)) = code.zip(self.times[row]).filter(|_| !self.values[row].is_nan()) else {
                    continue;
                };
                ends[code as usize] = time.0.max(ends[code as usize]);
            }
        }
        let end = |row: usize| {
            let key = test.index.1[row].map(|it| &test.index.0.keys()[it as usize]);
            key.and_then(|it| self.index.0.code(it))
                .map_or(0, |it| ends[it as usize])
        };
        let times: Vec<_> = match test.counted {
            true => test
                .times
                .iter()
                .enumerate()
                .map(|(row, it)| it.map(|it| Timestamp(it.0 + end(row) + 1)))
                .collect(),
            false => test.times.clone(),
        };
        self.times.extend(times);
        self.values.extend(&test.values);
        self.judged.extend(&test.judged);
        self.test.extend(std::iter::repeat_n(true, test.values.len()));
        for (mine, theirs) in self
            .keys
            .iter_mut()
            .chain(&mut self.known)
            .zip(test.keys.into_iter().chain(test.known))
        {
            append(mine, theirs)?;
        }
        Ok(())
    }

    /// One series from its rows; `None` where no value is known.
    fn series(&self, spec: &SeriesSpec, key: &EntityKey, rows: &[u32], statics: Vec<Value>) -> Result<Option<Series>> {
        let grid = Grid {
            step: spec.step,
            counted: self.counted,
        };
        let dated = || {
            rows.iter()
                .map(|it| *it as usize)
                .filter_map(|row| Some((row, self.times[row]?)))
        };
        let valued = || {
            dated()
                .filter(|(row, _)| !self.values[*row].is_nan())
                .map(|(_, time)| time)
        };
        let (Some(first), Some(last)) = (valued().min(), valued().max()) else {
            return Ok(None);
        };
        let start = grid.floor(first);
        let len = grid.position(start, last).map_or(0, |it| it + 1);
        let beyond = dated()
            .filter_map(|(_, time)| grid.position(start, time))
            .max()
            .map_or(0, |it| it + 1);
        if beyond > 100 * rows.len() + 10_000 {
            let reason = format!(
                "it makes {beyond} steps of {} rows in series `{key}`; is the step right?",
                rows.len()
            );
            return Err(definition(format!("series step `{}`", spec.step), reason));
        }
        let mut values = vec![f64::NAN; len];
        let mut judged = vec![false; len];
        let mut known: Vec<Vec<Value>> = vec![vec![Value::Null; beyond]; self.known.len()];
        let mut first_test = len;
        for (row, time) in dated() {
            let Some(at) = grid.position(start, time) else { continue };
            for (covariate, column) in known.iter_mut().zip(&self.known) {
                covariate[at] = column.value(row);
            }
            if at >= len {
                continue;
            }
            if !self.values[row].is_nan() {
                values[at] = self.values[row] + if values[at].is_nan() { 0.0 } else { values[at] };
                judged[at] |= self.judged[row];
            }
            if self.test[row] {
                first_test = first_test.min(at);
            }
        }
        let test_start = match spec.test {
            ForecastTest::Last => len.saturating_sub(spec.horizon),
            _ => first_test,
        };
        let start = grid.instant(start);
        Ok(Some(Series {
            key: key.clone(),
            start,
            values,
            judged,
            known,
            statics,
            test_start,
        }))
    }
}

/// The grid of a series: steps of equal length from a start.
#[derive(Debug, Clone, Copy)]
struct Grid {
    step: Span,
    counted: bool,
}

impl Grid {
    /// Down to the step, where steps and days fit into each other (to the day for longer steps); else as it is.
    fn floor(self, time: Timestamp) -> Timestamp {
        let unit = self.step.0.min(Span::DAY.0);
        let fits = self.step.0 % unit == 0 && Span::DAY.0 % unit == 0;
        if self.counted || !fits {
            time
        } else {
            Timestamp(time.0.div_euclid(unit) * unit)
        }
    }

    /// The step that an instant falls into, none before the start.
    fn position(self, start: Timestamp, time: Timestamp) -> Option<usize> {
        let distance = time.since(start).0;
        let step = if self.counted { 1 } else { self.step.0 };
        usize::try_from(distance.div_euclid(step)).ok()
    }

    /// Counts of steps begin in 1970.
    fn instant(self, start: Timestamp) -> Timestamp {
        if self.counted {
            Timestamp(start.0.saturating_mul(self.step.0))
        } else {
            start
        }
    }
}

fn key_columns(spec: &SeriesSpec, source: &SourceFrame) -> Result<Vec<Column>> {
    let as_key = |name: &String| match source.column(name)? {
        column @ (Column::Int(_) | Column::Str(_)) => Ok(column),
        column => {
            let texts = (0..column.len()).map(|row| column.value(row));
            Ok(Column::from_values(DataType::String, texts).expect("everything can be text"))
        }
    };
    spec.key.iter().map(as_key).collect()
}

fn indexed(spec: &SeriesSpec, source: &SourceFrame) -> Result<(KeyIndex, Vec<Option<u32>>)> {
    Ok(KeyIndex::of(&key_columns(spec, source)?, source.n_rows()))
}

/// Instants, or counts of steps where the time column is integers (a `wide` source).
fn times(spec: &SeriesSpec, source: &SourceFrame) -> Result<(Vec<Option<Timestamp>>, bool)> {
    match source.column(&spec.time)? {
        Column::Time(times) => Ok((times, false)),
        Column::Int(counts) => Ok((counts.into_iter().map(|it| it.map(Timestamp)).collect(), true)),
        Column::Str(texts) => match source.as_times(&spec.time, &Column::Str(texts))? {
            Column::Time(times) => Ok((times, false)),
            _ => unreachable!("a cast to times gives times"),
        },
        other => {
            let reason = format!("it is {}, not a time", other.data_type());
            Err(definition(format!("series time `{}`", spec.time), reason))
        }
    }
}

fn tested(spec: &SeriesSpec, source: &SourceFrame) -> Result<Vec<bool>> {
    let ForecastTest::Column { column, value } = &spec.test else {
        return Ok(vec![false; source.n_rows()]);
    };
    if source.data_type(column).is_none() {
        return Err(missing_column(
            source.name(),
            column,
            source.schema.iter().map(|(name, _)| name.as_str()),
        ));
    }
    let column = source.column(column)?;
    Ok((0..column.len())
        .map(|row| column.value(row).to_string() == *value)
        .collect())
}

fn grouped(codes: &[Option<u32>], groups: usize) -> Vec<Vec<u32>> {
    let mut rows = vec![Vec::new(); groups];
    for (row, code) in (0u32..).zip(codes) {
        if let Some(code) = code {
            rows[*code as usize].push(row);
        }
    }
    rows
}

/// The first value that is not null of each key.
fn first_values(column: &Column, codes: &[Option<u32>], keys: usize) -> Vec<Value> {
    let mut first = vec![Value::Null; keys];
    for (row, code) in codes.iter().enumerate() {
        let Some(code) = code else { continue };
        let slot = &mut first[*code as usize];
        if slot.is_null() {
            *slot = column.value(row);
        }
    }
    first
}

fn append(mine: &mut Column, theirs: Column) -> Result<()> {
    match (mine, theirs) {
        (Column::Bool(a), Column::Bool(b)) => a.extend(b),
        (Column::Int(a), Column::Int(b)) => a.extend(b),
        (Column::Float(a), Column::Float(b)) => a.extend(b),
        (Column::Float(a), Column::Int(b)) => a.extend(b.into_iter().map(|it| it.map(|it| it as f64))),
        (Column::Str(a), Column::Str(b)) => a.extend(b),
        (Column::Time(a), Column::Time(b)) => a.extend(b),
        (a, b) => {
            let reason = format!(
                "a column is {} in the series and {} in the test file",
                a.data_type(),
                b.data_type()
            );
            return Err(definition(
                "series.test",
                format!("{reason}; declare its type in both sources"),
            ));
        }
    }
    Ok(())
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
