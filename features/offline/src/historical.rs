//! The point-in-time join: features as they were known at each row's instant. Rows out = rows in, in the same order.

use std::collections::BTreeMap;

use foretell_features::{Column, EntityFrame, EntityKey, Feature, FeatureRef, RequestColumn, Table, Timestamp, View};

use crate::error::{Result, definition};
use crate::needs::{self, Columns};
use crate::partitions::Partition;
use crate::selection::{Selection, StoredFeature};
use crate::store::{OfflineStore, find_feature};
use crate::view::LoadedView;

impl OfflineStore {
    /// The features of the frame's entities at their instants, in the order of the references; the entity is the one that the
    /// views describe. Unknown entities, null keys and entities without a row yet get nulls (0 for count and sum).
    ///
    /// # Errors
    /// An unknown name, an unreadable source, a request column of the wrong type.
    pub fn historical(&self, frame: &EntityFrame, features: &[FeatureRef], except: &[FeatureRef]) -> Result<Table> {
        let selection = self.select(self.entity_of(features)?, features, except)?;
        let all = self.values(&selection, &frame.keys, &frame.times, frame.request.as_ref())?;
        Ok(chosen(&all, &selection))
    }

    /// The entity that the first view with one describes, or whose derived or request value is named first.
    fn entity_of(&self, features: &[FeatureRef]) -> Result<&str> {
        let definitions = self.definitions();
        for reference in features {
            let found = match reference {
                FeatureRef::All(view) | FeatureRef::One(view, _) => self.view(view)?.entity.as_deref(),
                FeatureRef::Bare(name) => {
                    let derived = definitions
                        .derived
                        .iter()
                        .find(|(_, all)| all.iter().any(|it| it.name == *name));
                    let request = definitions
                        .request
                        .iter()
                        .find(|(_, all)| all.iter().any(|it| it.name == *name));
                    derived
                        .map(|(entity, _)| entity)
                        .or(request.map(|(entity, _)| entity))
                        .map(String::as_str)
                }
            };
            if let Some(entity) = found {
                return Ok(entity);
            }
        }
        // Global views alone say nothing about an entity; any one will do, for their rows are the same for all.
        let any = definitions.entities.keys().next().map(String::as_str);
        any.ok_or_else(|| definition("features", "no view named here describes an entity"))
    }

    /// All that a selection reads, is sent and derives.
    pub(crate) fn values(
        &self,
        selection: &Selection,
        keys: &[Option<EntityKey>],
        times: &[Timestamp],
        request: Option<&Table>,
    ) -> Result<Table> {
        self.want_reads(selection)?;
        let mut columns: BTreeMap<&str, Column> = BTreeMap::new();
        let mut by_view: BTreeMap<&str, Vec<&StoredFeature>> = BTreeMap::new();
        for read in &selection.reads {
            by_view.entry(&read.view).or_default().push(read);
        }
        for (view, reads) in by_view {
            let view = self.view(view)?;
            let features = reads
                .iter()
                .map(|it| find_feature(view, &it.feature))
                .collect::<Result<Vec<_>>>()?;
            let answers = self.of_view(view, &features, keys, times)?;
            columns.extend(reads.iter().map(|it| it.name.as_str()).zip(answers));
        }
        let mut table = Table::new();
        for read in &selection.reads {
            table.push(
                &read.name,
                columns.remove(read.name.as_str()).expect("every read was answered"),
            );
        }
        for column in &selection.request {
            table.push(&column.name, sent(column, request, keys.len())?);
        }
        selection.derive(&mut table)?;
        Ok(table)
    }
}

impl OfflineStore {
    /// Says which columns the features selected are computed from.
    pub(crate) fn want_reads(&self, selection: &Selection) -> Result<()> {
        for read in &selection.reads {
            let view = self.view(&read.view)?;
            self.want(&view.source, self.needs(view, &[find_feature(view, &read.feature)?])?);
        }
        Ok(())
    }

    fn needs(&self, view: &View, features: &[&Feature]) -> Result<Columns> {
        let entity = view.entity.as_deref().map(|it| self.entity(it)).transpose()?;
        let schema = self.schema(&view.source)?;
        let mut columns = needs::of_features(features.iter().copied(), entity, &schema.source);
        columns.extend(needs::of_admission(view));
        Ok(columns)
    }

    /// Features of one view, partition by partition.
    fn of_view(
        &self,
        view: &View,
        features: &[&Feature],
        keys: &[Option<EntityKey>],
        times: &[Timestamp],
    ) -> Result<Vec<Column>> {
        let partitions = self.partitions(&view.source, view.entity.as_deref(), &self.needs(view, features)?)?;
        let loaded = |at: usize| -> Result<LoadedView<'_>> {
            let Partition { source, events } = self.admitted(view, partitions.load(at)?)?;
            let knowledge = self.knowledge;
            Ok(LoadedView {
                view,
                source,
                events,
                knowledge,
            })
        };
        if view.entity.is_none() {
            return global(&loaded(0)?, features, times);
        }
        if partitions.len() == 1 {
            return loaded(0)?.columns(features, keys, times);
        }
        let mut answers = Scattered::new(keys.len());
        for (at, rows) in partitions
            .parted(keys.iter().map(Option::as_ref))
            .into_iter()
            .enumerate()
        {
            // The first partition is asked even for nothing, so that no question is without answer columns.
            if at == 0 || !rows.is_empty() {
                let of_rows: Vec<Option<EntityKey>> = rows.iter().map(|row| keys[*row].clone()).collect();
                let at_rows: Vec<Timestamp> = rows.iter().map(|row| times[*row]).collect();
                answers.add(&rows, loaded(at)?.columns(features, &of_rows, &at_rows)?);
            }
        }
        Ok(answers.in_order())
    }
}

/// Answers that come by partition.
struct Scattered {
    /// Where the answer to each row is among those that came.
    places: Vec<usize>,
    came: usize,
    columns: Vec<Column>,
}

impl Scattered {
    fn new(rows: usize) -> Self {
        Self {
            places: vec![0; rows],
            came: 0,
            columns: Vec::new(),
        }
    }

    fn add(&mut self, rows: &[usize], columns: Vec<Column>) {
        for row in rows {
            self.places[*row] = self.came;
            self.came += 1;
        }
        if self.columns.is_empty() {
            self.columns = columns;
        } else {
            self.columns
                .iter_mut()
                .zip(columns)
                .for_each(|(all, more)| append(all, more));
        }
    }

    /// The answers in the order of the rows asked for.
    fn in_order(self) -> Vec<Column> {
        self.columns.iter().map(|it| it.select(&self.places)).collect()
    }
}

fn append(all: &mut Column, more: Column) {
    match (all, more) {
        (Column::Bool(a), Column::Bool(b)) => a.extend(b),
        (Column::Int(a), Column::Int(b)) => a.extend(b),
        (Column::Float(a), Column::Float(b)) => a.extend(b),
        (Column::Str(a), Column::Str(b)) => a.extend(b),
        (Column::Time(a), Column::Time(b)) => a.extend(b),
        _ => unreachable!("a feature has one type in all partitions"),
    }
}

/// A global view's answers depend on the instant alone: each instant is asked once.
fn global(view: &LoadedView<'_>, features: &[&Feature], times: &[Timestamp]) -> Result<Vec<Column>> {
    let mut instants = times.to_vec();
    instants.sort_unstable();
    instants.dedup();
    let whole = vec![Some(EntityKey(Vec::new())); instants.len()];
    let answers = view.columns(features, &whole, &instants)?;
    let rows: Vec<usize> = times
        .iter()
        .map(|it| instants.partition_point(|other| other < it))
        .collect();
    Ok(answers.iter().map(|it| it.select(&rows)).collect())
}

/// The columns a model sees, in order.
pub(crate) fn chosen(all: &Table, selection: &Selection) -> Table {
    let mut table = Table::new();
    for (name, _) in &selection.columns {
        table.push(
            name,
            all.column(name).expect("every selected column was computed").clone(),
        );
    }
    table
}

fn sent(column: &RequestColumn, request: Option<&Table>, rows: usize) -> Result<Column> {
    let Some(values) = request.and_then(|it| it.column(&column.name)) else {
        return Ok(Column::nulls(column.data_type, rows));
    };
    let cast = Column::from_values(column.data_type, (0..rows).map(|row| values.value(row)));
    cast.map_err(|(row, error)| {
        definition(
            format!("request column `{}`, row {row}", column.name),
            error.to_string(),
        )
    })
}
