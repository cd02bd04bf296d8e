//! Writing: rows of features, rows of sources, and what a materialization says. All are monotone in event time, and all may
//! be repeated.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foretell_features::aggregate::WindowEvent;
use foretell_features::spelling;
use foretell_features::{EntityKey, FeatureRow, Source, SourceEvent, Span, Timestamp, Value};

use crate::admit;
use crate::catalog::{OnlineView, stored_key};
use crate::codec;
use crate::online_features::{OnlineFeatures, damaged};
use crate::record::{self, Parts};
use crate::store::{Edit, OnlineError, PutReport};
use crate::windows::WindowState;

/// Names that Feast's clients give the times, whatever the source calls them.
const EVENT_TIMESTAMP: &str = "event_timestamp";
const CREATED: &str = "created";

/// Rows of a source as an application sends them: named columns, row by row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceRows {
    /// Column names.
    pub columns: Vec<String>,
    /// One value per column each.
    pub rows: Vec<Vec<Value>>,
}

/// What the files say about one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct MaterializedEntity {
    /// Whom.
    pub key: EntityKey,
    /// The newest row, where the view has latest values: these alone, in stored order.
    pub latest: Option<FeatureRow>,
    /// The events of its windows.
    pub events: Vec<WindowEvent>,
}

impl OnlineFeatures {
    /// Writes rows of a view of latest values, all its features in order. Of rows of one key the newest stays, of equal times
    /// the last.
    ///
    /// # Errors
    /// A row that does not fit (nothing is written), a view with aggregates, the store.
    pub async fn put(&self, view: &OnlineView, rows: Vec<(EntityKey, FeatureRow)>) -> Result<PutReport, OnlineError> {
        if view.plan.has_windows() {
            let reason = "it aggregates over events, so send the rows of its source".to_owned();
            return Err(schema(view, reason));
        }
        let sent = rows.len() as u64;
        let newest = admit::newest_by_key(&view.id.view, &view.plan.latest, rows)?;
        let erased = &self.inner.catalog.load().erased;
        let alive = |it: &(EntityKey, FeatureRow)| {
            erased
                .until(view.definition.key(), &it.0)
                .is_none_or(|t| it.1.event_time > t)
        };
        let (keys, rows): (Vec<_>, Vec<_>) = newest
            .into_iter()
            .filter(alive)
            .map(|(key, row)| (stored_key(&key), row))
            .unzip();
        let change = move |at: usize, stored: Option<&[u8]>| Ok(newer(&rows[at], stored));
        let written = self.inner.store.update(&view.space, keys, Arc::new(change)).await?;
        Ok(PutReport {
            written,
            kept: sent - written,
        })
    }

    /// Writes rows of a source into every view version on it: latest values and windows. All rows are checked before any is
    /// written. Equal rows in one call are as many events; the same call again is a retry.
    ///
    /// # Errors
    /// No view on the source, a missing column or a value that does not fit (nothing is written), the store.
    pub async fn push(&self, source: &str, rows: &SourceRows, now: Timestamp) -> Result<PutReport, OnlineError> {
        self.refresh().await?;
        let on_source = |it: &Arc<OnlineView>| it.definition.source.name == source;
        let views: Vec<Arc<OnlineView>> = self.views().into_iter().filter(on_source).collect();
        if views.is_empty() {
            let source_name = source.to_owned();
            return Err(OnlineError::UnknownSource { source_name });
        }
        let mut writes = Vec::with_capacity(views.len());
        for view in views {
            let events = self.events(&view, rows, now)?;
            writes.push((view, events));
        }
        let mut report = PutReport::default();
        for (view, events) in writes {
            report += self.add(&view, events, now).await?;
        }
        Ok(report)
    }

    /// Whether every view on the source would take the rows; nothing is written.
    ///
    /// # Errors
    /// A missing column or a value that does not fit.
    pub(crate) fn check(&self, source: &str, rows: &SourceRows, now: Timestamp) -> Result<(), OnlineError> {
        let views = self
            .views()
            .into_iter()
            .filter(|it| it.definition.source.name == source);
        views
            .into_iter()
            .try_for_each(|view| self.events(&view, rows, now).map(drop))
    }

    /// The same into one view version.
    ///
    /// # Errors
    /// As [`OnlineFeatures::push`].
    pub async fn push_to(
        &self,
        view: &OnlineView,
        rows: &SourceRows,
        now: Timestamp,
    ) -> Result<PutReport, OnlineError> {
        let events = self.events(view, rows, now)?;
        self.add(view, events, now).await
    }

    /// Replaces what was known of entities before `through` by what the files say; what was pushed at or after it stays. A
    /// materialization older than the stored one changes nothing.
    ///
    /// # Errors
    /// A row that does not fit, the store.
    pub async fn replace(
        &self,
        view: &OnlineView,
        entities: Vec<MaterializedEntity>,
        through: Timestamp,
    ) -> Result<PutReport, OnlineError> {
        let sent = entities.len() as u64;
        let catalog = self.inner.catalog.load_full();
        let mut keys = Vec::with_capacity(entities.len());
        let mut alive = Vec::with_capacity(entities.len());
        for mut entity in entities {
            admit::check_key(&view.id.view, &entity.key)?;
            if let Some(until) = catalog.erased.until(view.definition.key(), &entity.key) {
                entity.events.retain(|it| it.time > until);
                entity.latest = entity.latest.filter(|it| it.event_time > until);
                if entity.events.is_empty() && entity.latest.is_none() {
                    continue;
                }
            }
            if let Some(row) = entity.latest.take() {
                entity.latest = Some(admit::checked(&view.id.view, &view.plan.latest, row)?);
            }
            keys.push(stored_key(&entity.key));
            alive.push(entity);
        }
        let writer = self.view_of(view)?;
        let change = move |at: usize, stored: Option<&[u8]>| Ok(replaced(&writer, &alive[at], through, stored));
        let written = self.inner.store.update(&view.space, keys, Arc::new(change)).await?;
        Ok(PutReport {
            written,
            kept: sent - written,
        })
    }

    /// The shared form of a view that somebody holds.
    fn view_of(&self, view: &OnlineView) -> Result<Arc<OnlineView>, OnlineError> {
        let found = self.inner.catalog.load().views.get(&view.id).cloned();
        found.ok_or_else(|| OnlineError::UnknownView {
            view: view.id.view.clone(),
        })
    }

    /// What the rows mean to a view, by entity.
    fn events(
        &self,
        view: &OnlineView,
        rows: &SourceRows,
        now: Timestamp,
    ) -> Result<BTreeMap<EntityKey, Vec<SourceEvent>>, OnlineError> {
        let places = places(view, rows)?;
        let mut seen: HashMap<u64, u32> = HashMap::new();
        let mut by_entity: BTreeMap<EntityKey, Vec<SourceEvent>> = BTreeMap::new();
        let erased = &self.inner.catalog.load().erased;
        for (number, row) in rows.rows.iter().enumerate() {
            if row.len() != rows.columns.len() {
                let reason = format!(
                    "row {number} has {} values for {} columns",
                    row.len(),
                    rows.columns.len()
                );
                return Err(schema(view, reason));
            }
            let values: Vec<Value> = places
                .iter()
                .map(|at| at.map_or(Value::Null, |at| row[at].clone()))
                .collect();
            let taken = |occurrence| {
                let event = view.plan.event(&values, occurrence, now);
                event.map_err(|error| schema(view, format!("row {number}: {error}")))
            };
            let Some(mut event) = taken(0)? else { continue };
            let again = seen.entry(event.window.id).or_default();
            if *again > 0 {
                event = taken(*again)?.expect("the same row is taken again");
            }
            *again += 1;
            admit::check_key(&view.id.view, &event.key)?;
            let until = erased.until(view.definition.key(), &event.key);
            if until.is_none_or(|until| event.window.time > until) {
                by_entity.entry(event.key.clone()).or_default().push(event);
            }
        }
        Ok(by_entity)
    }

    async fn add(
        &self,
        view: &OnlineView,
        events: BTreeMap<EntityKey, Vec<SourceEvent>>,
        now: Timestamp,
    ) -> Result<PutReport, OnlineError> {
        let entities = events.len() as u64;
        let (keys, events): (Vec<_>, Vec<_>) = events.into_iter().map(|(key, it)| (stored_key(&key), it)).unzip();
        let writer = self.view_of(view)?;
        let change = move |at: usize, stored: Option<&[u8]>| added(&writer, &events[at], now, stored);
        let written = self.inner.store.update(&view.space, keys, Arc::new(change)).await?;
        Ok(PutReport {
            written,
            kept: entities - written,
        })
    }
}

/// Where each input of the plan is among the columns sent; a known time may be missing.
fn places(view: &OnlineView, rows: &SourceRows) -> Result<Vec<Option<usize>>, OnlineError> {
    let sent = |name: &str| rows.columns.iter().position(|it| it == name);
    let source: &Source = &view.definition.source;
    let place = |(name, _): &(String, foretell_features::DataType)| {
        let is = |time: &Option<String>| time.as_ref() == Some(name);
        let found = sent(name)
            .or_else(|| sent(EVENT_TIMESTAMP).filter(|_| is(&source.event_time)))
            .or_else(|| sent(CREATED).filter(|_| is(&source.known_time)));
        if found.is_none() && !is(&source.known_time) {
            let hint = spelling::hint(name, rows.columns.iter().map(String::as_str));
            return Err(schema(
                view,
                format!("column `{name}` of source `{}` is missing{hint}", source.name),
            ));
        }
        Ok(found)
    };
    view.plan.inputs.iter().map(place).collect()
}

/// What is stored, as far as it can be read: a damaged record counts as absent, writing heals it.
fn stored_parts(stored: Option<&[u8]>) -> Option<Parts<'_>> {
    stored.and_then(|it| record::parts(it).ok())
}

fn newer(row: &FeatureRow, stored: Option<&[u8]>) -> Edit {
    let time = stored_parts(stored).and_then(|it| codec::decode_time(it.latest?).ok());
    match admit::replaces(admit::time(row), time) {
        true => Edit::Write(record::encode(row.event_time, Some(&codec::encode(row)), None)),
        false => Edit::Keep,
    }
}

/// The newest of a row and what is stored; `None` where the stored one stays.
fn newer_latest(row: Option<&FeatureRow>, stored: Option<&[u8]>) -> Option<Vec<u8>> {
    let row = row?;
    let time = stored.and_then(|it| codec::decode_time(it).ok());
    admit::replaces(admit::time(row), time).then(|| codec::encode(row))
}

fn added(
    view: &OnlineView,
    events: &[SourceEvent],
    now: Timestamp,
    stored: Option<&[u8]>,
) -> Result<Edit, OnlineError> {
    let parts = stored_parts(stored);
    let before = parts.and_then(|it| it.latest);
    let rows: Vec<FeatureRow> = events.iter().filter(|_| view.plan.has_latest()).map(row_of).collect();
    let newest = rows.iter().reduce(|best, it| {
        if admit::replaces(admit::time(it), Some(admit::time(best))) {
            it
        } else {
            best
        }
    });
    let latest = newer_latest(newest, before);
    let mut windows = None;
    if view.plan.has_windows() {
        let section = parts.and_then(|it| it.windows);
        let state = section.map_or_else(
            || Ok(WindowState::default()),
            |it| WindowState::decode(&view.plan.windows, it),
        );
        // Taking a damaged section for an empty one would forget events; only the files can heal it.
        let mut state = state.map_err(|it| damaged(view, it))?;
        // Every event is to be added, so no short cut on the first that was there already.
        let added = events
            .iter()
            .filter(|it| state.add(&view.plan.windows, it.window.clone()))
            .count();
        if added > 0 {
            state.compact(&view.plan.windows, now);
            windows = Some(state.encode(&view.plan.windows));
        }
    }
    if latest.is_none() && windows.is_none() {
        return Ok(Edit::Keep);
    }
    let newest = events
        .iter()
        .map(|it| it.window.time)
        .chain(parts.map(|it| it.newest))
        .max();
    let windows = windows.as_deref().or(parts.and_then(|it| it.windows));
    let record = record::encode(newest.unwrap_or(now), latest.as_deref().or(before), windows);
    Ok(Edit::Write(record))
}

fn replaced(view: &OnlineView, entity: &MaterializedEntity, through: Timestamp, stored: Option<&[u8]>) -> Edit {
    let parts = stored_parts(stored);
    let before = parts.and_then(|it| it.latest);
    let latest = newer_latest(entity.latest.as_ref(), before);
    let mut windows = None;
    if view.plan.has_windows() {
        let mut state = window_state(view, parts);
        // Events at the very instant are the files' as well: they count for all who read later.
        let before = through.plus(Span(1));
        if state.through().is_none_or(|last| last <= before) {
            state.replace(&view.plan.windows, entity.events.clone(), before);
            state.compact(&view.plan.windows, through);
            windows = Some(state.encode(&view.plan.windows));
        }
    }
    if latest.is_none() && windows.is_none() {
        return Edit::Keep;
    }
    let times = entity
        .events
        .iter()
        .map(|it| it.time)
        .chain(entity.latest.as_ref().map(|it| it.event_time));
    let newest = times.chain(parts.map(|it| it.newest)).max();
    let windows = windows.as_deref().or(parts.and_then(|it| it.windows));
    Edit::Write(record::encode(
        newest.unwrap_or(through),
        latest.as_deref().or(before),
        windows,
    ))
}

/// What a materialization builds on: a damaged section counts as none, the files heal it.
fn window_state(view: &OnlineView, parts: Option<Parts<'_>>) -> WindowState {
    let stored = parts.and_then(|it| it.windows);
    let state = stored.and_then(|it| WindowState::decode(&view.plan.windows, it).ok());
    state.unwrap_or_default()
}

fn row_of(event: &SourceEvent) -> FeatureRow {
    FeatureRow {
        event_time: event.window.time,
        known_time: event.window.known,
        values: event.latest.clone(),
    }
}

fn schema(view: &OnlineView, reason: String) -> OnlineError {
    OnlineError::Schema {
        view: view.id.view.clone(),
        reason,
    }
}
