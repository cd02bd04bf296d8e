//! Rows of files as the online store takes them.

use std::collections::BTreeSet;

use foretell_features::aggregate::WindowEvent;
use foretell_features::{EntityKey, FeatureRow, MaterializeRequest, SourceEvent, Timestamp, Value};
use foretell_features_online::{MaterializedEntity, OnlineView};
use rayon::prelude::*;

use super::Read;
use crate::entity_batches::{EntityBatch, EntityEvents};
use crate::error::{Result, definition};

/// A batch, the view it is for, and what was asked.
pub(super) struct Rows<'a> {
    view: &'a OnlineView,
    batch: &'a EntityBatch,
    request: &'a MaterializeRequest,
}

impl<'a> Rows<'a> {
    pub(super) fn of(view: &'a OnlineView, batch: &'a EntityBatch, request: &'a MaterializeRequest) -> Self {
        Self { view, batch, request }
    }

    /// The entities to write. `since`: only those among `changed`, or with a row that is newer than the instant.
    pub(super) fn entities(&self, since: Option<(Timestamp, &BTreeSet<EntityKey>)>) -> Result<Read> {
        let due: Vec<&EntityEvents> = self.batch.entities.iter().filter(|it| self.is_due(it, since)).collect();
        let entities = due.par_iter().map(|it| self.entity(it)).collect::<Result<Vec<_>>>()?;
        Ok(Read {
            unchanged: (self.batch.entities.len() - due.len()) as u64,
            entities,
        })
    }

    fn is_due(&self, entity: &EntityEvents, since: Option<(Timestamp, &BTreeSet<EntityKey>)>) -> bool {
        let newest = entity.rows.end - 1;
        if !self.view.plan.has_windows() && self.request.from.is_some_and(|from| self.time(newest) < from) {
            return false;
        }
        let Some((since, changed)) = since else { return true };
        let learned = |row: usize| self.batch.known.as_ref().and_then(|it| it[row]);
        let is_new = |row: usize| self.batch.times[row] > since || learned(row).is_some_and(|it| it > since);
        changed.contains(&entity.key) || entity.rows.clone().any(is_new)
    }

    fn entity(&self, entity: &EntityEvents) -> Result<MaterializedEntity> {
        let plan = &self.view.plan;
        let newest = entity.rows.end - 1;
        let rows = if plan.has_windows() {
            entity.rows.clone()
        } else {
            newest..newest + 1
        };
        let mut events: Vec<WindowEvent> = Vec::with_capacity(rows.len());
        let mut latest = None;
        let mut equals = Equals::default();
        for row in rows {
            let mut event = self.event(entity, row, 0)?;
            let before = equals.before(self.batch.times[row], event.window.id);
            if before > 0 {
                event = self.event(entity, row, before)?;
            }
            if row == newest && plan.has_latest() {
                latest = Some(FeatureRow {
                    event_time: self.time(row),
                    known_time: event.window.known,
                    values: event.latest,
                });
            }
            if plan.has_windows() {
                events.push(event.window);
            }
        }
        Ok(MaterializedEntity {
            key: entity.key.clone(),
            latest,
            events,
        })
    }

    fn event(&self, entity: &EntityEvents, row: usize, occurrence: u32) -> Result<SourceEvent> {
        let values: Vec<Value> = self.batch.columns.iter().map(|it| it.value(row)).collect();
        let event = self
            .view
            .plan
            .file_event(entity.key.clone(), &values, occurrence, self.request.to);
        event.map_err(|error| {
            definition(
                format!("view `{}`, entity `{}`", self.view.id.view, entity.key),
                error.to_string(),
            )
        })
    }

    fn time(&self, row: usize) -> Timestamp {
        let time = self.batch.times[row];
        if time == Timestamp(i64::MIN) {
            self.request.to
        } else {
            time
        }
    }
}

/// How often a row was there already: equal rows have equal times, so that those of one time are all to remember.
#[derive(Debug, Default)]
struct Equals {
    time: Timestamp,
    seen: Vec<(u64, u32)>,
}

impl Equals {
    fn before(&mut self, time: Timestamp, id: u64) -> u32 {
        if self.time != time {
            self.time = time;
            self.seen.clear();
        }
        match self.seen.iter_mut().find(|it| it.0 == id) {
            Some((_, count)) => {
                *count += 1;
                *count - 1
            }
            None => {
                self.seen.push((id, 1));
                0
            }
        }
    }
}
