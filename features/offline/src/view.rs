//! The features of one view for entities at instants.

use std::collections::BTreeMap;
use std::sync::Arc;

use foretell_features::aggregate::aggregate_type;
use foretell_features::{
    Aggregation, Column, DataType, EntityKey, Expression, Feature, FeatureKind, Span, Timestamp, Value, View, Window,
};
use polars::prelude as pl;
use rayon::prelude::*;

use crate::aggregate::{Aggregate, Event};
use crate::column::{interned, our_type};
use crate::error::{Result, definition};
use crate::events::{EventIndex, Knowledge, Query};
use crate::scan::{SourceFrame, SourceSchema};

/// A view with its source's rows in memory.
pub(crate) struct LoadedView<'a> {
    pub(crate) view: &'a View,
    pub(crate) source: Arc<SourceFrame>,
    pub(crate) events: Arc<EventIndex>,
    pub(crate) knowledge: Knowledge,
}

impl LoadedView<'_> {
    /// The features' values, one row per key and time, in their order.
    pub(crate) fn columns(
        &self,
        features: &[&Feature],
        keys: &[Option<EntityKey>],
        times: &[Timestamp],
    ) -> Result<Vec<Column>> {
        self.answers(features, &self.queries(keys, times), self.view.max_age)
    }

    fn queries(&self, keys: &[Option<EntityKey>], times: &[Timestamp]) -> Vec<Query> {
        keys.par_iter()
            .zip(times)
            .map(|(key, at)| self.events.query(key.as_ref(), *at))
            .collect()
    }

    fn answers(&self, features: &[&Feature], queries: &[Query], max_age: Option<Span>) -> Result<Vec<Column>> {
        let newest = || {
            queries
                .par_iter()
                .map(|it| self.events.latest(*it, max_age, self.knowledge))
                .collect()
        };
        let mut latest: Option<Vec<Option<usize>>> = None;
        let mut values = Evaluated::default();
        let mut columns = Vec::new();
        for feature in features {
            let place = place(self.view, feature);
            columns.push(match &feature.kind {
                FeatureKind::Latest { value } => {
                    let values = self.source.evaluate_frame(&place, value)?;
                    taken(&values, latest.get_or_insert_with(newest), &self.events)
                }
                FeatureKind::Aggregate {
                    aggregation,
                    value,
                    filter,
                    window,
                } => {
                    let value = value
                        .as_ref()
                        .map(|it| values.of(&self.source, &place, it))
                        .transpose()?;
                    let filter = self.source.holds(&place, filter.as_ref())?;
                    let aggregate = Aggregate {
                        aggregation: *aggregation,
                        values: value,
                        filter,
                    };
                    let data_type = feature_type(self.view, feature, &self.source.schema)?;
                    self.aggregated(&aggregate, *window, data_type, queries)
                }
            });
        }
        Ok(columns)
    }

    fn aggregated(
        &self,
        aggregate: &Aggregate,
        window: Option<Window>,
        data_type: DataType,
        queries: &[Query],
    ) -> Column {
        let all_known = !self.events.has_known_times() || self.knowledge == Knowledge::Hindsight;
        let every_event = all_known && aggregate.filter.is_none() && aggregate.values.is_none();
        let answer = |query: &Query| -> Value {
            let events = self.events.window(*query, window);
            if every_event && aggregate.aggregation == Aggregation::Count {
                return Value::Int(events.len() as i64);
            }
            let known = events.filter(|it| all_known || self.events.was_known(*it, query.at, self.knowledge));
            aggregate.over(
                known.map(|it| Event {
                    row: self.events.row(it),
                    time: self.events.time(it),
                    known: self.events.known_time(it),
                }),
                query.at,
            )
        };
        let answers: Vec<Value> = queries.par_iter().map(answer).collect();
        let mut column = Column::nulls(data_type, 0);
        answers.into_iter().for_each(|it| column.push(it));
        column
    }
}

/// What features of one view have in common is evaluated once.
#[derive(Debug, Default)]
struct Evaluated(BTreeMap<String, Arc<Column>>);

impl Evaluated {
    fn of(&mut self, source: &SourceFrame, place: &str, expression: &Expression) -> Result<Arc<Column>> {
        let text = expression.to_string();
        if let Some(column) = self.0.get(&text) {
            return Ok(column.clone());
        }
        let column = Arc::new(source.evaluate(place, expression)?);
        self.0.insert(text, column.clone());
        Ok(column)
    }
}

/// The type of a feature, from the types of its source's columns.
pub(crate) fn feature_type(view: &View, feature: &Feature, source: &SourceSchema) -> Result<DataType> {
    let typed = |it: &Expression| source.typed(&format!("source `{}`, {}", source.name(), place(view, feature)), it);
    match &feature.kind {
        FeatureKind::Latest { value } => typed(value),
        FeatureKind::Aggregate {
            aggregation,
            value,
            window,
            ..
        } => {
            let since = matches!(
                aggregation,
                Aggregation::SinceLast { .. } | Aggregation::SinceFirst { .. }
            );
            if source.source.event_time.is_none() && (window.is_some() || since) {
                let reason = format!("source `{}` has no event_time, so a window means nothing", view.source);
                return Err(definition(place(view, feature), reason));
            }
            let values = value.as_ref().map(typed).transpose()?;
            aggregate_type(*aggregation, values).map_err(|reason| definition(place(view, feature), reason))
        }
    }
}

fn place(view: &View, feature: &Feature) -> String {
    format!("view `{}`, feature `{}`", view.name, feature.name)
}

/// The values of the newest events, none where there is no event.
fn taken(values: &pl::Column, newest: &[Option<usize>], events: &EventIndex) -> Column {
    let series = values.as_materialized_series().rechunk();
    let rows = newest.iter().map(|it| it.map(|event| events.row(event)));
    match our_type(series.dtype()) {
        DataType::Boolean => {
            let values = series.bool().expect("checked above");
            Column::Bool(rows.map(|row| values.get(row?)).collect())
        }
        DataType::Int64 => {
            let values = series.i64().expect("checked above");
            Column::Int(rows.map(|row| values.get(row?)).collect())
        }
        DataType::Double => {
            let values = series.f64().expect("checked above");
            Column::Float(rows.map(|row| values.get(row?).filter(|it| !it.is_nan())).collect())
        }
        DataType::String => {
            let values = series.str().expect("checked above");
            Column::Str(interned(rows.map(|row| values.get(row?))))
        }
        DataType::Timestamp => {
            let values = series.datetime().expect("checked above").physical();
            Column::Time(rows.map(|row| values.get(row?).map(Timestamp)).collect())
        }
    }
}
