//! How one row of a source becomes what a view keeps of it: compiled once per definition, no I/O.
//!
//! Pushed rows and rows of files go through the same plan, so that a retry is recognised whichever way it came.

use xxhash_rust::xxh3::Xxh3;

use crate::aggregate::{WindowEvent, WindowFeature, WindowPlan, aggregate_type};
use crate::definition::{Aggregation, FeatureKind};
use crate::expression::{Expression, ExpressionError, Resolved};
use crate::row::{EntityKey, KeyError};
use crate::time::Timestamp;
use crate::value::{DataType, Value};
use crate::view_definition::ViewDefinition;
use crate::window::Window;

/// A view ready to take rows of its source and to be read.
#[derive(Debug)]
pub struct ViewPlan {
    /// File columns that a row must have, in the order in which [`ViewPlan::event`] takes them.
    pub inputs: Vec<(String, DataType)>,
    /// Name and type of every feature.
    pub columns: Vec<(String, DataType)>,
    /// Per feature: its place among the latest values, or among the window features.
    pub slots: Vec<Slot>,
    /// Name and type of the latest values, in stored order.
    pub latest: Vec<(String, DataType)>,
    /// The aggregates.
    pub windows: WindowPlan,
    computed: Vec<Resolved>,
    filter: Option<Resolved>,
    /// `None` where the key is no column: the rows of a file that are their own keys.
    key: Option<Vec<(String, DataType, usize)>>,
    source: String,
    event_time: Option<usize>,
    known_time: Option<usize>,
    latest_values: Vec<Resolved>,
    streams: Vec<(Option<Resolved>, Option<Resolved>)>,
}

/// Where a feature's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The n-th stored latest value.
    Latest(usize),
    /// The n-th window feature.
    Window(usize),
}

/// What one source row means to a view.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceEvent {
    /// Whom it is about.
    pub key: EntityKey,
    /// What windows see.
    pub window: WindowEvent,
    /// The latest values, in stored order.
    pub latest: Vec<Value>,
}

/// A definition that cannot be compiled, or a row that cannot be taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// An expression that does not fit its columns.
    #[error("{place}: {error}")]
    Expression {
        /// View and feature, or source and column.
        place: String,
        /// In what way.
        error: ExpressionError,
    },
    /// Rows of this source cannot come one by one.
    #[error("source `{source_name}` takes no rows: {reason}")]
    Source {
        /// The source.
        source_name: String,
        /// Why.
        reason: String,
    },
    /// A value that its column cannot hold.
    #[error("column `{column}` is {expected}. got=`{got}`")]
    Value {
        /// The column.
        column: String,
        /// Its type.
        expected: DataType,
        /// What came instead.
        got: Value,
    },
    /// No time to put the row at.
    #[error("column `{column}` is null; every row needs an event time")]
    Time {
        /// The time column.
        column: String,
    },
}

impl ViewPlan {
    /// Types every expression and fixes every position.
    ///
    /// # Errors
    /// An expression that does not fit, with the feature's name.
    pub fn compile(definition: &ViewDefinition) -> Result<Self, PlanError> {
        let mut compiling = Compiling::new(definition);
        let computed = compiling.computed()?;
        let filter = definition.source.filter.as_ref();
        let place = format!("source `{}`, where", definition.source.name);
        let filter = filter.map(|it| compiling.resolve(&place, it)).transpose()?;
        let features = FeaturePlans::compile(definition, &compiling)?;
        Ok(Self {
            inputs: definition.inputs.clone(),
            columns: features.columns,
            slots: features.slots,
            latest: features.latest,
            windows: WindowPlan::new(features.stream_types, features.windows),
            computed,
            filter,
            key: compiling.key(),
            source: definition.source.name.clone(),
            event_time: compiling.time(definition.source.event_time.as_deref())?,
            known_time: compiling.time(definition.source.known_time.as_deref())?,
            latest_values: features.latest_values,
            streams: features.streams,
        })
    }

    /// Whether the view has latest values.
    pub fn has_latest(&self) -> bool {
        !self.latest.is_empty()
    }

    /// Whether the view has aggregates.
    pub fn has_windows(&self) -> bool {
        !self.windows.features().is_empty()
    }

    /// What a row means to the view: `None` where `where` drops it or its key is null. `row` holds the [`ViewPlan::inputs`]
    /// in order; `occurrence` counts equal rows of one batch from 0; `now` is the time of rows of a source without times.
    ///
    /// # Errors
    /// A value that its column cannot hold, a null time, a source whose rows have no key of their own.
    pub fn event(&self, row: &[Value], occurrence: u32, now: Timestamp) -> Result<Option<SourceEvent>, PlanError> {
        let (id, values) = self.values_of(row, occurrence)?;
        if self
            .filter
            .as_ref()
            .is_some_and(|it| it.evaluate(&values) != Value::Bool(true))
        {
            return Ok(None);
        }
        let Some(key) = self.key_of(&values)? else {
            return Ok(None);
        };
        self.event_of(key, id, &values, now).map(Some)
    }

    /// The same for a row of a file whose key is known and which `where` has kept.
    ///
    /// # Errors
    /// A value that its column cannot hold, a null time.
    pub fn file_event(
        &self,
        key: EntityKey,
        row: &[Value],
        occurrence: u32,
        now: Timestamp,
    ) -> Result<SourceEvent, PlanError> {
        let (id, values) = self.values_of(row, occurrence)?;
        self.event_of(key, id, &values, now)
    }

    /// The row's identity, and its inputs and computed columns.
    fn values_of(&self, row: &[Value], occurrence: u32) -> Result<(u64, Vec<Value>), PlanError> {
        let mut values = Vec::with_capacity(row.len() + self.computed.len());
        for (value, (name, data_type)) in row.iter().zip(&self.inputs) {
            let cast = value.clone().cast(*data_type).map_err(|error| PlanError::Value {
                column: name.clone(),
                expected: error.expected,
                got: error.got,
            })?;
            values.push(cast);
        }
        let id = row_id(&values, occurrence);
        for it in &self.computed {
            let value = it.evaluate(&values);
            values.push(value);
        }
        Ok((id, values))
    }

    fn event_of(&self, key: EntityKey, id: u64, values: &[Value], now: Timestamp) -> Result<SourceEvent, PlanError> {
        let time = match self.event_time {
            Some(at) => self.time_at(values, at)?.ok_or_else(|| PlanError::Time {
                column: self.name_of(at),
            })?,
            None => now,
        };
        let known = match self.known_time {
            Some(at) => self.time_at(values, at)?,
            None => None,
        };
        let streams = self
            .streams
            .iter()
            .map(|(value, filter)| stream_value(value, filter, values));
        let window = WindowEvent {
            time,
            known,
            id,
            values: streams.collect(),
        };
        let latest = self.latest_values.iter().map(|it| it.evaluate(values)).collect();
        Ok(SourceEvent { key, window, latest })
    }

    fn name_of(&self, at: usize) -> String {
        self.inputs
            .get(at)
            .map_or_else(|| "event time".to_owned(), |it| it.0.clone())
    }

    fn key_of(&self, values: &[Value]) -> Result<Option<EntityKey>, PlanError> {
        let key = self.key.as_ref().ok_or_else(|| PlanError::Source {
            source_name: self.source.clone(),
            reason: "its rows are their own keys, which only a file has".to_owned(),
        })?;
        let parts = key
            .iter()
            .map(|(name, data_type, at)| (name.as_str(), *data_type, values[*at].clone()));
        match EntityKey::from_values(parts) {
            Ok(key) => Ok(Some(key)),
            Err(KeyError::Null { .. }) => Ok(None),
            Err(KeyError::Type { column, expected, got }) => Err(PlanError::Value { column, expected, got }),
        }
    }

    /// A computed time may still be text.
    fn time_at(&self, values: &[Value], at: usize) -> Result<Option<Timestamp>, PlanError> {
        match values[at].clone().cast(DataType::Timestamp) {
            Ok(Value::Time(it)) => Ok(Some(it)),
            Ok(_) => Ok(None),
            Err(error) => Err(PlanError::Value {
                column: self.name_of(at),
                expected: error.expected,
                got: error.got,
            }),
        }
    }
}

/// The features of a view in the making.
#[derive(Default)]
struct FeaturePlans<'a> {
    columns: Vec<(String, DataType)>,
    slots: Vec<Slot>,
    latest: Vec<(String, DataType)>,
    latest_values: Vec<Resolved>,
    windows: Vec<WindowFeature>,
    /// What distinguishes the streams so far.
    sources: Vec<StreamSource<'a>>,
    stream_types: Vec<Option<DataType>>,
    streams: Vec<(Option<Resolved>, Option<Resolved>)>,
}

/// The value expression and the `where` of a stream.
type StreamSource<'a> = (Option<&'a Expression>, Option<&'a Expression>);

impl<'a> FeaturePlans<'a> {
    fn compile(definition: &'a ViewDefinition, compiling: &Compiling<'_>) -> Result<Self, PlanError> {
        let mut plans = Self::default();
        for feature in &definition.view.features {
            let place = format!("view `{}`, feature `{}`", definition.view.name, feature.name);
            let (slot, data_type) = match &feature.kind {
                FeatureKind::Latest { value } => plans.add_latest(&feature.name, compiling.resolve(&place, value)?),
                FeatureKind::Aggregate {
                    aggregation,
                    value,
                    filter,
                    window,
                } => {
                    let stream = plans.stream(compiling, &place, (value.as_ref(), filter.as_ref()))?;
                    plans.add_window(&place, stream, *aggregation, *window)?
                }
            };
            plans.slots.push(slot);
            plans.columns.push((feature.name.clone(), data_type));
        }
        Ok(plans)
    }

    fn add_latest(&mut self, name: &str, value: Resolved) -> (Slot, DataType) {
        let data_type = value.data_type();
        self.latest.push((name.to_owned(), data_type));
        self.latest_values.push(value);
        (Slot::Latest(self.latest.len() - 1), data_type)
    }

    fn add_window(
        &mut self,
        place: &str,
        stream: usize,
        aggregation: Aggregation,
        window: Option<Window>,
    ) -> Result<(Slot, DataType), PlanError> {
        let data_type =
            aggregate_type(aggregation, self.stream_types[stream]).map_err(|reason| PlanError::Expression {
                place: place.to_owned(),
                error: ExpressionError(reason),
            })?;
        self.windows.push(WindowFeature {
            stream,
            aggregation,
            window,
        });
        Ok((Slot::Window(self.windows.len() - 1), data_type))
    }

    /// The stream of these expressions, made where it is the first of its kind.
    fn stream(&mut self, compiling: &Compiling<'_>, place: &str, source: StreamSource<'a>) -> Result<usize, PlanError> {
        if let Some(at) = self.sources.iter().position(|it| *it == source) {
            return Ok(at);
        }
        let resolve = |it: &Expression| compiling.resolve(place, it);
        let value = source.0.map(resolve).transpose()?;
        let filter = source.1.map(resolve).transpose()?;
        self.stream_types.push(value.as_ref().map(Resolved::data_type));
        self.streams.push((value, filter));
        self.sources.push(source);
        Ok(self.sources.len() - 1)
    }
}

/// The row's content as 64 bits, the same on every machine and in every build.
fn row_id(values: &[Value], occurrence: u32) -> u64 {
    let mut hash = Xxh3::new();
    for value in values {
        match value {
            Value::Null => hash.update(&[0]),
            Value::Bool(it) => hash.update(&[1, u8::from(*it)]),
            Value::Int(it) => {
                hash.update(&[2]);
                hash.update(&it.to_le_bytes());
            }
            // Adding 0.0 makes the two zeros one.
            Value::Float(it) => {
                hash.update(&[3]);
                hash.update(&(it + 0.0).to_le_bytes());
            }
            Value::Time(it) => {
                hash.update(&[4]);
                hash.update(&it.0.to_le_bytes());
            }
            Value::Str(it) => {
                hash.update(&[5]);
                hash.update(&(it.len() as u64).to_le_bytes());
                hash.update(it.as_bytes());
            }
        }
    }
    hash.update(&occurrence.to_le_bytes());
    hash.digest()
}

fn stream_value(value: &Option<Resolved>, filter: &Option<Resolved>, row: &[Value]) -> Option<Value> {
    let counts = filter.as_ref().is_none_or(|it| it.evaluate(row) == Value::Bool(true));
    counts.then(|| value.as_ref().map_or(Value::Null, |it| it.evaluate(row)))
}

/// Columns known so far: inputs, then computed ones.
struct Compiling<'a> {
    definition: &'a ViewDefinition,
    columns: Vec<(String, DataType)>,
}

impl<'a> Compiling<'a> {
    fn new(definition: &'a ViewDefinition) -> Self {
        Self {
            definition,
            columns: definition.inputs.clone(),
        }
    }

    /// Computed columns in file order, as far as the inputs allow: those that the view does not use lack theirs.
    fn computed(&mut self) -> Result<Vec<Resolved>, PlanError> {
        let mut computed = Vec::new();
        for (name, expression) in &self.definition.source.columns {
            let known = |column: &&str| self.columns.iter().any(|it| it.0 == **column);
            if !expression.columns().iter().all(known) {
                continue;
            }
            let place = format!("source `{}`, column `{name}`", self.definition.source.name);
            let resolved = self.resolve(&place, expression)?;
            self.columns.push((name.clone(), resolved.data_type()));
            computed.push(resolved);
        }
        Ok(computed)
    }

    fn resolve(&self, place: &str, expression: &Expression) -> Result<Resolved, PlanError> {
        expression
            .resolve(&self.columns)
            .map_err(|error| PlanError::Expression {
                place: place.to_owned(),
                error,
            })
    }

    fn key(&self) -> Option<Vec<(String, DataType, usize)>> {
        let place = |(name, data_type): &(String, DataType)| {
            let at = self.columns.iter().rposition(|it| it.0 == *name)?;
            Some((name.clone(), *data_type, at))
        };
        self.definition.key().iter().map(place).collect()
    }

    fn time(&self, column: Option<&str>) -> Result<Option<usize>, PlanError> {
        let place = |name: &str| self.columns.iter().rposition(|it| it.0 == name);
        match column {
            None => Ok(None),
            Some(name) => place(name).map(Some).ok_or_else(|| PlanError::Source {
                source_name: self.definition.source.name.clone(),
                reason: format!("time column `{name}` is not among its columns"),
            }),
        }
    }
}
