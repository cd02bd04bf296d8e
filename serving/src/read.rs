//! Features from the online store: one read per view for all entities of a request.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use foretell_features::{EntityKey, FeatureRead, Timestamp};
use foretell_features_online::{OnlineError, OnlineFeatures, OnlineView, Projection};

use crate::error::hint;
use crate::plan::{Found, Frame, RowPlan, ViewRead, ViewReads};

/// Where each view of a plan keeps its features, found again only when definitions change.
#[derive(Debug)]
pub(crate) struct Positions(Vec<ArcSwapOption<Located>>);

/// The key of a global view.
const GLOBAL: [EntityKey; 1] = [EntityKey(Vec::new())];

#[derive(Debug)]
struct Located {
    generation: u64,
    view: Arc<OnlineView>,
    wanted: Projection,
}

impl Positions {
    pub(crate) fn of(plan: &RowPlan) -> Self {
        Self(plan.views.iter().map(|_| ArcSwapOption::empty()).collect())
    }

    /// Fills the stored features of each frame as of `now`. The answer says per frame whether any view had a record.
    pub(crate) async fn fill(
        &self,
        store: &OnlineFeatures,
        plan: &RowPlan,
        keys: &[EntityKey],
        frames: &mut [Frame],
        now: Timestamp,
    ) -> Result<Vec<bool>, OnlineError> {
        let mut any = vec![plan.views.is_empty(); keys.len()];
        for (view, known) in plan.views.iter().zip(&self.0) {
            let located = locate(known, store, plan, view).await?;
            if located.view.definition.entity.is_none() {
                // A global view has one row for all, and says nothing about whether the entity is known.
                let read = store.read(&located.view, &GLOBAL, &located.wanted, now).await?;
                frames.iter_mut().for_each(|frame| fill_view(view, read.row(0), frame));
                continue;
            }
            let read = store.read(&located.view, keys, &located.wanted, now).await?;
            for (at, (frame, any)) in frames.iter_mut().zip(&mut any).enumerate() {
                *any |= read.found[at];
                fill_view(view, read.row(at), frame);
            }
        }
        Ok(any)
    }
}

async fn locate(
    known: &ArcSwapOption<Located>,
    store: &OnlineFeatures,
    plan: &RowPlan,
    view: &ViewReads,
) -> Result<Arc<Located>, OnlineError> {
    let generation = store.generation();
    if let Some(located) = known.load_full().filter(|it| it.generation == generation) {
        return Ok(located);
    }
    let stored = store.view(&view.view, view.version.as_deref()).await?;
    let places = view.reads.iter().map(|read| place(plan, view, read, &stored));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    let max_age = view.reads.iter().find_map(|it| it.max_age);
    let located = Arc::new(Located {
        generation,
        wanted: stored.project(&places, max_age),
        view: stored,
    });
    known.store(Some(Arc::clone(&located)));
    Ok(located)
}

fn place(plan: &RowPlan, view: &ViewReads, read: &ViewRead, stored: &OnlineView) -> Result<usize, OnlineError> {
    let refuse = |reason| OnlineError::Schema {
        view: view.view.clone(),
        reason,
    };
    let expected = plan.slot(read.slot).1;
    let columns = stored.columns();
    match stored.feature(&read.feature) {
        None => {
            let hint = hint(&read.feature, columns.iter().map(|it| it.0.as_str()));
            Err(refuse(format!(
                "the model reads `{}`, which is not stored{hint}; materialize the view",
                read.feature
            )))
        }
        Some(at) if columns[at].1 != expected => Err(refuse(format!(
            "the model was trained on `{}` as {expected}, stored is {}; train the model again",
            read.feature, columns[at].1
        ))),
        Some(at) => Ok(at),
    }
}

fn fill_view(view: &ViewReads, reads: &[FeatureRead], frame: &mut Frame) {
    for (read, found) in view.reads.iter().zip(reads) {
        frame.found[read.slot] = Found {
            status: found.status,
            event_time: found.event_time,
        };
        frame.values[read.slot] = found.clone().into_counted();
    }
}
