//! Feature rows from the online store: one read per view for all entities of a request.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use foretell_features::{EntityKey, FeatureRead, FeatureRow, Status, Timestamp, Value};
use foretell_features_online::{OnlineError, OnlineStore, ViewSchema};

use crate::error::hint;
use crate::plan::{Found, Frame, RowPlan, ViewRead, ViewReads};

/// Where each view of a plan keeps its columns, found again only when they change.
#[derive(Debug)]
pub(crate) struct Positions(Vec<ArcSwapOption<Located>>);

#[derive(Debug)]
struct Located {
    columns: Arc<ViewSchema>,
    /// Per read of the view: its column.
    at: Vec<usize>,
}

impl Positions {
    pub(crate) fn of(plan: &RowPlan) -> Self {
        Self(plan.views.iter().map(|_| ArcSwapOption::empty()).collect())
    }

    /// Fills the stored features of each frame. The answer says per frame whether any view had a row.
    pub(crate) async fn fill(
        &self,
        store: &dyn OnlineStore,
        plan: &RowPlan,
        keys: &[EntityKey],
        frames: &mut [Frame],
        now: Timestamp,
    ) -> Result<Vec<bool>, OnlineError> {
        let mut any = vec![plan.views.is_empty(); keys.len()];
        for (view, known) in plan.views.iter().zip(&self.0) {
            let stored = store.read(&view.view, keys).await?;
            let located = locate(known, plan, view, &stored.columns)?;
            for ((row, frame), any) in stored.rows.iter().zip(frames.iter_mut()).zip(&mut any) {
                *any |= row.is_some();
                fill_view(view, &located.at, row.as_ref(), frame, now);
            }
        }
        Ok(any)
    }
}

fn locate(
    known: &ArcSwapOption<Located>,
    plan: &RowPlan,
    view: &ViewReads,
    columns: &Arc<ViewSchema>,
) -> Result<Arc<Located>, OnlineError> {
    if let Some(located) = known.load_full().filter(|it| Arc::ptr_eq(&it.columns, columns)) {
        return Ok(located);
    }
    let at = view
        .reads
        .iter()
        .map(|read| locate_read(plan, view, read, columns))
        .collect::<Result<_, _>>()?;
    let located = Arc::new(Located {
        columns: Arc::clone(columns),
        at,
    });
    known.store(Some(Arc::clone(&located)));
    Ok(located)
}

fn locate_read(plan: &RowPlan, view: &ViewReads, read: &ViewRead, columns: &ViewSchema) -> Result<usize, OnlineError> {
    let refuse = |reason| OnlineError::Schema {
        view: view.view.clone(),
        reason,
    };
    let expected = plan.slot(read.slot).1;
    match columns.iter().position(|it| it.0 == read.feature) {
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

/// A value that is too old counts as null; its status tells.
fn fill_view(view: &ViewReads, at: &[usize], row: Option<&FeatureRow>, frame: &mut Frame, now: Timestamp) {
    for (read, &column) in view.reads.iter().zip(at) {
        let found = row.map_or(FeatureRead::NOT_FOUND, |row| {
            FeatureRead::of(row, column, now, read.max_age)
        });
        frame.found[read.slot] = Found {
            status: found.status,
            event_time: found.event_time,
        };
        frame.values[read.slot] = if found.status == Status::Present {
            found.value
        } else {
            Value::Null
        };
    }
}
