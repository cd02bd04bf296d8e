//! Training sets: entities x cutoffs, features as known then, labels of what happened afterwards.

use std::collections::{BTreeSet, HashMap};

use foretell_features::{
    Column, EntityKey, Expression, FeatureKind, FeatureRef, LabelSpec, Span, Table, Timestamp, TrainingSet,
    TrainingSetSpec,
};
use rayon::prelude::*;

use crate::error::{OfflineStoreError, Result, definition};
use crate::historical::chosen;
use crate::label::{self, Answer, Label, cutoffs, source_name};
use crate::needs::Columns;
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
        self.want_reads(&wide)?;
        let default_source = self.first_source(&spec.features)?;
        self.want(
            source_name(&spec.label, default_source.as_deref())?,
            label::needed(&spec.label),
        );
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
    fn row_table(&self, spec: &TrainingSetSpec, label: &Label<'_>) -> Result<Frame> {
        if label.looks_ahead() {
            return Err(definition(
                "training.cutoffs",
                "a label that looks ahead needs cutoffs, `{ every = \"30d\", count = 6 }`",
            ));
        }
        let mut all: Vec<(u64, EntityKey, Option<Answer>)> = Vec::new();
        for at in 0..label.partitions.len() {
            let part = label.part(at)?;
            all.extend(part.entities().map(|(row, key)| {
                let answer = part.answer(&key, spec.as_of);
                (row, key, answer)
            }));
        }
        // Stable: in one partition the order is there already.
        all.sort_by_key(|(row, ..)| *row);
        let mut frame = Frame::default();
        for (rank, (_, key, answer)) in (0..).zip(all) {
            if let Some(answer) = answer {
                frame.push(key, spec.as_of, rank, answer);
            }
        }
        if frame.keys.is_empty() {
            let reason = format!("source `{}` has no row with a key and a label", label.name());
            return Err(OfflineStoreError::NoRows { reason });
        }
        Ok(frame)
    }

    fn at_cutoffs(
        &self,
        spec: &TrainingSetSpec,
        selection: &Selection,
        label: &Label<'_>,
        cutoffs: &[Timestamp],
    ) -> Result<Frame> {
        let newcomers = newcomers(label, cutoffs)?;
        let populations = self.populations(spec, selection, label, cutoffs)?;
        let mut ranks = Ranks::default();
        let mut asked: Vec<(u64, EntityKey, Timestamp)> = Vec::new();
        for ((cutoff, new), people) in cutoffs.iter().zip(newcomers).zip(populations) {
            new.iter().for_each(|key| ranks.add(key));
            people.iter().for_each(|key| ranks.add(key));
            let mut rows: Vec<(u64, EntityKey)> = people.into_iter().map(|key| (ranks.0[&key], key)).collect();
            rows.sort_unstable();
            asked.extend(rows.into_iter().map(|(rank, key)| (rank, key, *cutoff)));
        }
        drop(ranks);
        let answers = answered(label, &asked)?;
        let mut frame = Frame::default();
        for ((rank, key, cutoff), answer) in asked.into_iter().zip(answers) {
            if let Some(answer) = answer {
                frame.push(key, cutoff, rank, answer);
            }
        }
        if frame.keys.is_empty() {
            Err(nobody(label, cutoffs))
        } else {
            Ok(frame)
        }
    }

    /// Whom the model looks at, at each cutoff; the filter over features comes later.
    fn populations(
        &self,
        spec: &TrainingSetSpec,
        selection: &Selection,
        label: &Label<'_>,
        cutoffs: &[Timestamp],
    ) -> Result<Vec<BTreeSet<EntityKey>>> {
        let mut people = vec![BTreeSet::new(); cutoffs.len()];
        if let Some(within) = spec.population.active_within {
            let source = spec.population.source.as_deref().unwrap_or(label.name());
            if self.schema(source)?.source.event_time.is_none() {
                let reason = format!("source `{source}` has no event_time; name an event source, `population.source`");
                return Err(definition("training.population.active_within", reason));
            }
            self.add_seen(source, &spec.entity, Some(within), cutoffs, &mut people)?;
            return Ok(people);
        }
        let sources: BTreeSet<&str> = selection
            .reads
            .iter()
            .filter_map(|it| self.entity_source(&it.view).transpose())
            .collect::<Result<_>>()?;
        let (events, snapshots): (Vec<&str>, Vec<&str>) = sources
            .into_iter()
            .partition(|it| self.definitions().sources[*it].event_time.is_some());
        for source in if events.is_empty() { snapshots } else { events } {
            self.add_seen(source, &spec.entity, None, cutoffs, &mut people)?;
        }
        Ok(people)
    }

    /// The source of a view, unless the view is global.
    fn entity_source(&self, view: &str) -> Result<Option<&str>> {
        let view = self.view(view)?;
        Ok(view.entity.is_some().then_some(view.source.as_str()))
    }

    /// Adds to each cutoff the entities with an event before it (and not longer ago than `within`) that was known at it.
    fn add_seen(
        &self,
        source: &str,
        entity: &str,
        within: Option<Span>,
        cutoffs: &[Timestamp],
        people: &mut [BTreeSet<EntityKey>],
    ) -> Result<()> {
        for partition in self.partitions(source, Some(entity), &Columns::new())?.each() {
            let events = partition?.events;
            for (cutoff, people) in cutoffs.iter().zip(people.iter_mut()) {
                let from = within.map_or(Timestamp(i64::MIN), |it| cutoff.minus(it));
                let seen = |code: &u32| {
                    let mut events_then = events.between(Some(*code), from, *cutoff);
                    events_then.any(|it| events.was_known(it, *cutoff, self.knowledge))
                };
                people.extend((0..events.n_keys()).filter(seen).map(|code| events.key(code)));
            }
        }
        Ok(())
    }
}

/// For each cutoff the entities that appear before it and before no earlier one, by their first row in the label's files.
fn newcomers(label: &Label<'_>, cutoffs: &[Timestamp]) -> Result<Vec<Vec<EntityKey>>> {
    let mut new: Vec<Vec<(u64, EntityKey)>> = vec![Vec::new(); cutoffs.len()];
    for at in 0..label.partitions.len() {
        let part = label.part(at)?;
        let mut known = vec![false; part.events.n_keys() as usize];
        for (cutoff, new) in cutoffs.iter().zip(&mut new) {
            for (row, entity) in part.appearing(*cutoff) {
                if !std::mem::replace(&mut known[entity as usize], true) {
                    new.push((row, part.events.key(entity)));
                }
            }
        }
    }
    let in_order = |mut all: Vec<(u64, EntityKey)>| {
        all.sort_by_key(|(row, _)| *row);
        all.into_iter().map(|(_, key)| key).collect()
    };
    Ok(new.into_iter().map(in_order).collect())
}

/// The label of each row, partition by partition.
fn answered(label: &Label<'_>, asked: &[(u64, EntityKey, Timestamp)]) -> Result<Vec<Option<Answer>>> {
    let mut answers = vec![None; asked.len()];
    let parted = label.partitions.parted(asked.iter().map(|(_, key, _)| Some(key)));
    for (at, rows) in parted.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        let part = label.part(at)?;
        let of_row = |row: &usize| part.answer(&asked[*row].1, asked[*row].2);
        let of_part: Vec<Option<Answer>> = rows.par_iter().map(of_row).collect();
        for (row, answer) in rows.iter().zip(of_part) {
            answers[*row] = answer;
        }
    }
    Ok(answers)
}

/// The rows before features are joined.
#[derive(Debug, Default)]
struct Frame {
    keys: Vec<EntityKey>,
    times: Vec<Timestamp>,
    appearance: Vec<u64>,
    label: Vec<f64>,
    /// Of a column label.
    file_row: Vec<Option<u64>>,
}

/// One number per entity, in the order in which they were added.
#[derive(Debug, Default)]
struct Ranks(HashMap<EntityKey, u64>);

impl Frame {
    fn push(&mut self, key: EntityKey, time: Timestamp, appearance: u64, label: Answer) {
        self.keys.push(key);
        self.times.push(time);
        self.appearance.push(appearance);
        self.label.push(label.value);
        self.file_row.push(label.file_row);
    }

    /// With its features, the rows that `population.filter` keeps.
    fn finished(self, spec: &TrainingSetSpec, label: &Label<'_>, table: &Table, kept: &[usize]) -> TrainingSet {
        let timed = spec.cutoffs.is_some();
        let keys: Vec<EntityKey> = kept.iter().map(|&row| self.keys[row].clone()).collect();
        let cutoff = |row: usize| timed.then_some(self.times[row]);
        let label_end = |row: usize| timed.then_some(self.times[row].plus(label.horizon()));
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
            file_row: kept.iter().filter_map(|&row| self.file_row[row]).collect(),
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

fn nobody(label: &Label<'_>, cutoffs: &[Timestamp]) -> OfflineStoreError {
    let seen = label.span().map_or(String::new(), |(first, last)| {
        format!("; source `{}` has events from {first} to {last}", label.name())
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
