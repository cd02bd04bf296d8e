//! The rows of a series' source, and one series made from its rows.

use foretell_features::{Column, DataType, EntityKey, ForecastTest, Series, SeriesSpec, Span, Timestamp, Value};

use crate::error::{Result, definition, missing_column};
use crate::keys::{KeyIndex, NO_KEY};
use crate::scan::SourceFrame;
use crate::series_set::indexed;

/// The rows of a source as a series sees them, in file order.
pub(super) struct Rows {
    pub(super) keys: Vec<Column>,
    pub(super) index: (KeyIndex, Vec<u32>),
    times: Vec<Option<Timestamp>>,
    /// Whether times are counts of steps, not instants.
    counted: bool,
    pub(super) values: Vec<f64>,
    judged: Vec<bool>,
    pub(super) known: Vec<Column>,
    test: Vec<bool>,
}

impl Rows {
    pub(super) fn of(spec: &SeriesSpec, source: &SourceFrame) -> Result<Self> {
        let keys = key_columns(spec, source)?;
        let (times, counted) = times(spec, source)?;
        let values = source.meant_column(&spec.value)?;
        if !matches!(values, Column::Int(_) | Column::Float(_)) {
            let reason = format!("it is {}, not a number", values.data_type());
            return Err(definition(format!("series value `{}`", spec.value), reason));
        }
        let rows = source.n_rows();
        Ok(Self {
            index: indexed(&keys, rows),
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
    pub(super) fn append_test(&mut self, test: Rows) -> Result<()> {
        let mut ends = vec![0; self.index.0.len()];
        if self.counted {
            for (row, code) in self.index.1.iter().enumerate() {
                let Some(time) = self.times[row].filter(|_| *code != NO_KEY && !self.values[row].is_nan()) else {
                    continue;
                };
                ends[*code as usize] = time.0.max(ends[*code as usize]);
            }
        }
        let end = |row: usize| {
            let code = Some(test.index.1[row]).filter(|it| *it != NO_KEY);
            code.and_then(|it| self.index.0.code(&test.index.0.key(it)))
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
    pub(super) fn series(
        &self,
        spec: &SeriesSpec,
        key: &EntityKey,
        rows: &[u32],
        statics: Vec<Value>,
    ) -> Result<Option<Series>> {
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

pub(super) fn key_columns(spec: &SeriesSpec, source: &SourceFrame) -> Result<Vec<Column>> {
    let as_key = |name: &String| match source.column(name)? {
        column @ (Column::Int(_) | Column::Str(_)) => Ok(column),
        column => {
            let texts = (0..column.len()).map(|row| column.value(row));
            Ok(Column::from_values(DataType::String, texts).expect("everything can be text"))
        }
    };
    spec.key.iter().map(as_key).collect()
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
            source.schema.columns.iter().map(|(name, _)| name.as_str()),
        ));
    }
    let column = source.column(column)?;
    Ok((0..column.len())
        .map(|row| column.value(row).to_string() == *value)
        .collect())
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
