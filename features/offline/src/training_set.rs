//! Training sets: entities x cutoffs, features as known then, labels of what happened afterwards.

use std::collections::{BTreeSet, HashMap};

use foretell_features::{
    Column, EntityKey, Expression, FeatureKind, FeatureRef, LabelSpec, Table, Timestamp, TrainingSet, TrainingSetSpec,
};
use rayon::prelude::*;

use crate::error::{OfflineStoreError, Result, definition};
use crate::historical::chosen;
use crate::label::{Label, LabelKind, cutoffs, source_name};
use crate::selection::{Selection, over_table};
use crate::store::{OfflineStore, find_feature};

impl OfflineStore {
    /// Features and labels for a model, see [`TrainingSet`].
    ///
    /// # Errors
    /// An unknown name, an unreadable source, a horizon longer than the data, nobody in the population.
    pub fn training_set(&self, spec: &TrainingSetSpec) -> Result<TrainingSet> {
        let selection = self.training_selection(spec)?;
        let mut wide = selection.clone();
        if let Some(filter) = &spec.population.filter {
            self.need_all(&spec.entity, filter, &mut wide)?;
        }
        let default_source = self.first_source(&spec.features)?;
        let label = Label::of(self, self.entity(&spec.entity)?, &spec.label, default_source.as_deref())?;
        let frame = match &spec.cutoffs {
            None => self.row_table(spec, &label)?,
            Some(given) => self.at_cutoffs(spec, &selection, &label, &cutoffs(spec, &label, given)?)?,
        };
        let keys: Vec<Option<EntityKey>> = frame.keys.iter().cloned().map(Some).collect();
        let all = self.values(&wide, &keys, &frame.times, None)?;
        let kept = filtered(spec.population.filter.as_ref(), &all, frame.keys.len())?;
        Ok(frame.finished(spec, &label, &chosen(&all, &selection), &kept))
    }

    /// The columns that [`OfflineStore::training_set`] will have, and what serving must read for them. A label column never
    /// comes in by `view:*`.
    ///
    /// # Errors
    /// As [`OfflineStore::select`]; the label itself named as a feature.
    pub fn training_selection(&self, spec: &TrainingSetSpec) -> Result<Selection> {
        let LabelSpec::Column { column, .. } = &spec.label else {
            return self.select(&spec.entity, &spec.features, &spec.except);
        };
        let default_source = self.first_source(&spec.features)?;
        let source = source_name(&spec.label, default_source.as_deref())?;
        let mut except = spec.except.clone();
        for reference in &spec.features {
            let (FeatureRef::All(name) | FeatureRef::One(name, _)) = reference else {
                continue;
            };
            let view = self.view(name)?;
            let is_label = |kind: &FeatureKind| match kind {
                FeatureKind::Latest { value } => view.source == source && value.as_column() == Some(column),
                FeatureKind::Aggregate { .. } => false,
            };
            match reference {
                FeatureRef::One(_, feature) if is_label(&find_feature(view, feature)?.kind) => {
                    return Err(definition(
                        "features",
                        format!("`{reference}` is the label itself; leave it out"),
                    ));
                }
                FeatureRef::One(..) => {}
                _ => except.extend(
                    view.features
                        .iter()
                        .filter(|it| is_label(&it.kind))
                        .map(|it| FeatureRef::One(name.clone(), it.name.clone())),
                ),
            }
        }
        self.select(&spec.entity, &spec.features, &except)
    }

    fn first_source(&self, features: &[FeatureRef]) -> Result<Option<String>> {
        let view = features.iter().find_map(|it| match it {
            FeatureRef::All(view) | FeatureRef::One(view, _) => Some(view),
            FeatureRef::Bare(_) => None,
        });
        view.map(|it| Ok(self.view(it)?.source.clone())).transpose()
    }

    /// Every entity of the label's source once, in file order.
    fn row_table(&self, spec: &TrainingSetSpec, label: &Label) -> Result<Frame> {
        if let LabelKind::Ahead { .. } = label.kind {
            return Err(definition(
                "training.cutoffs",
                "a label that looks ahead needs cutoffs, `{ every = \"30d\", count = 6 }`",
            ));
        }
        let mut frame = Frame::default();
        for (rank, key) in label.events.keys().iter().enumerate() {
            if let Some(value) = label.value(key, spec.as_of) {
                frame.push(key.clone(), spec.as_of, rank as u64, value);
            }
        }
        if frame.keys.is_empty() {
            let reason = format!("source `{}` has no row with a key and a label", label.source.name());
            return Err(OfflineStoreError::NoRows { reason });
        }
        Ok(frame)
    }

    fn at_cutoffs(
        &self,
        spec: &TrainingSetSpec,
        selection: &Selection,
        label: &Label,
        cutoffs: &[Timestamp],
    ) -> Result<Frame> {
        let mut frame = Frame::default();
        let mut ranks = Ranks::default();
        for &cutoff in cutoffs {
            label.appearing(cutoff).into_iter().for_each(|key| ranks.add(key));
            let people = self.population(spec, selection, label, cutoff)?;
            people.iter().for_each(|key| ranks.add(key));
            let mut rows: Vec<(u64, EntityKey)> = people.into_iter().map(|key| (ranks.0[&key], key)).collect();
            rows.sort_unstable();
            let labels: Vec<Option<f64>> = rows.par_iter().map(|(_, key)| label.value(key, cutoff)).collect();
            for ((rank, key), value) in rows.into_iter().zip(labels) {
                if let Some(value) = value {
                    frame.push(key, cutoff, rank, value);
                }
            }
        }
        if frame.keys.is_empty() {
            Err(nobody(label, cutoffs))
        } else {
            Ok(frame)
        }
    }

    /// Whom the model looks at, at one cutoff; the filter over features comes later.
    fn population(
        &self,
        spec: &TrainingSetSpec,
        selection: &Selection,
        label: &Label,
        cutoff: Timestamp,
    ) -> Result<BTreeSet<EntityKey>> {
        if let Some(within) = spec.population.active_within {
            let source = spec.population.source.as_deref().unwrap_or(label.source.name());
            if self.source(source)?.source.event_time.is_none() {
                let reason = format!("source `{source}` has no event_time; name an event source, `population.source`");
                return Err(definition("training.population.active_within", reason));
            }
            return self.seen(source, &spec.entity, cutoff.minus(within), cutoff);
        }
        let sources: BTreeSet<&str> = selection
            .reads
            .iter()
            .filter_map(|it| self.entity_source(&it.view).transpose())
            .collect::<Result<_>>()?;
        let (events, snapshots): (Vec<&str>, Vec<&str>) = sources
            .into_iter()
            .partition(|it| self.definitions().sources[*it].event_time.is_some());
        let sources = if events.is_empty() { snapshots } else { events };
        let mut people = BTreeSet::new();
        for source in sources {
            people.extend(self.seen(source, &spec.entity, Timestamp(i64::MIN), cutoff)?);
        }
        Ok(people)
    }

    /// The source of a view, unless the view is global.
    fn entity_source(&self, view: &str) -> Result<Option<&str>> {
        let view = self.view(view)?;
        Ok(view.entity.is_some().then_some(view.source.as_str()))
    }

    /// Entities with an event in `[from, to)` that was known at `to`.
    fn seen(&self, source: &str, entity: &str, from: Timestamp, to: Timestamp) -> Result<BTreeSet<EntityKey>> {
        let events = self.events(source, Some(entity))?;
        let seen = |code: u32| {
            events
                .between(Some(code), from, to)
                .any(|it| events.was_known(it, to, self.knowledge))
        };
        Ok((0..)
            .zip(events.keys())
            .filter(|(code, _)| seen(*code))
            .map(|(_, key)| key.clone())
            .collect())
    }
}

/// The rows before features are joined.
#[derive(Debug, Default)]
struct Frame {
    keys: Vec<EntityKey>,
    times: Vec<Timestamp>,
    appearance: Vec<u64>,
    label: Vec<f64>,
}

/// One number per entity, in the order in which they were added.
#[derive(Debug, Default)]
struct Ranks(HashMap<EntityKey, u64>);

impl Frame {
    fn push(&mut self, key: EntityKey, time: Timestamp, appearance: u64, label: f64) {
        self.keys.push(key);
        self.times.push(time);
        self.appearance.push(appearance);
        self.label.push(label);
    }

    /// With its features, the rows that `population.filter` keeps.
    fn finished(self, spec: &TrainingSetSpec, label: &Label, table: &Table, kept: &[usize]) -> TrainingSet {
        let timed = spec.cutoffs.is_some();
        let keys: Vec<EntityKey> = kept.iter().map(|&row| self.keys[row].clone()).collect();
        let cutoff = |row: usize| timed.then_some(self.times[row]);
        let label_end = |row: usize| timed.then_some(self.times[row].plus(label.horizon()));
        let file_row = match label.kind {
            LabelKind::Ahead { .. } => Vec::new(),
            LabelKind::Column(_) => kept
                .iter()
                .filter_map(|&row| label.file_row(&self.keys[row], self.times[row]))
                .collect(),
        };
        TrainingSet {
            table: if kept.len() == self.keys.len() {
                table.clone()
            } else {
                table.select(kept)
            },
            keys,
            cutoffs: kept.iter().map(|&row| cutoff(row)).collect(),
            label: kept.iter().map(|&row| self.label[row]).collect(),
            label_end: kept.iter().map(|&row| label_end(row)).collect(),
            file_row,
            appearance: kept.iter().map(|&row| self.appearance[row]).collect(),
        }
    }
}

impl Ranks {
    fn add(&mut self, key: &EntityKey) {
        let next = self.0.len() as u64;
        if !self.0.contains_key(key) {
            self.0.insert(key.clone(), next);
        }
    }
}

/// The rows for which the condition over features is true.
fn filtered(filter: Option<&Expression>, table: &Table, rows: usize) -> Result<Vec<usize>> {
    let Some(filter) = filter else {
        return Ok((0..rows).collect());
    };
    let place = "training.population.filter";
    let Column::Bool(holds) = over_table(table, filter, place)? else {
        return Err(definition(place, format!("`{filter}` is not a condition")));
    };
    let kept: Vec<usize> = (0..rows).filter(|&row| holds[row] == Some(true)).collect();
    if kept.is_empty() {
        return Err(OfflineStoreError::NoRows {
            reason: format!("`{filter}` holds for none of {rows} rows"),
        });
    }
    Ok(kept)
}

fn nobody(label: &Label, cutoffs: &[Timestamp]) -> OfflineStoreError {
    let seen = label.events.span().map_or(String::new(), |(first, last)| {
        format!("; source `{}` has events from {first} to {last}", label.source.name())
    });
    let (first, last) = (
        cutoffs.first().copied().unwrap_or_default(),
        cutoffs.last().copied().unwrap_or_default(),
    );
    let reason = format!(
        "no entity belongs to the population at the cutoffs {first} to {last}{seen}; check `as_of` and `population`"
    );
    OfflineStoreError::NoRows { reason }
}
