use sqlx::{QueryBuilder, Sqlite};

use crate::experiments::{self, ExperimentRow};
use crate::filter::{Column, push_condition, push_order};
use crate::runs::{self, RunRow};
use crate::{
    Condition, Experiment, ExperimentId, Lifecycle, Order, Page, Run, RunAttribute, Tracking, TrackingError, View,
};

/// Which runs, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct RunQuery {
    /// Runs of these experiments; none gives none.
    pub experiments: Vec<ExperimentId>,
    /// All must hold.
    pub conditions: Vec<Condition<RunAttribute>>,
    /// Then newest start first, then run id.
    pub order: Vec<Order<RunAttribute>>,
    /// Active, deleted or both.
    pub view: View,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u64,
}

impl RunQuery {
    /// The active runs of one experiment, newest first.
    pub fn of(experiment: ExperimentId) -> Self {
        let (conditions, order) = (Vec::new(), Vec::new());
        Self {
            experiments: vec![experiment],
            conditions,
            order,
            view: View::ActiveOnly,
            limit: 1000,
            offset: 0,
        }
    }
}

/// What every experiment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExperimentAttribute {
    /// Its id, compared as text.
    Id,
    /// Its name.
    Name,
    /// ms; a number.
    CreationTime,
    /// ms; a number.
    LastUpdateTime,
}

/// Which experiments, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentQuery {
    /// All must hold.
    pub conditions: Vec<Condition<ExperimentAttribute>>,
    /// Empty: newest first; then id.
    pub order: Vec<Order<ExperimentAttribute>>,
    /// Active, deleted or both.
    pub view: View,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u64,
}

impl Default for ExperimentQuery {
    /// The active ones, newest first.
    fn default() -> Self {
        Self {
            conditions: Vec::new(),
            order: Vec::new(),
            view: View::ActiveOnly,
            limit: 1000,
            offset: 0,
        }
    }
}

impl Column for ExperimentAttribute {
    const TAGS: &'static str = "experiment_tags";
    const KEY: &'static str = "experiment";

    fn column(self) -> &'static str {
        match self {
            Self::Id => "experiment",
            Self::Name => "name",
            Self::CreationTime => "creation_time",
            Self::LastUpdateTime => "last_update_time",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::CreationTime | Self::LastUpdateTime)
    }
}

impl Tracking {
    /// Finds runs.
    ///
    /// # Errors
    /// `Invalid` when a number is tested as text or the other way round; `Database`.
    pub async fn search_runs(&self, query: &RunQuery) -> Result<Page<Run>, TrackingError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
        sql.push(runs::COLUMNS)
            .push(" FROM runs it WHERE it.experiment IN (SELECT value FROM json_each(");
        sql.push_bind(experiments::json_list(query.experiments.iter().map(|it| it.0)))
            .push("))");
        push_view(&mut sql, query.view);
        query
            .conditions
            .iter()
            .try_for_each(|it| push_condition(&mut sql, it))?;
        sql.push(" ORDER BY ");
        query.order.iter().for_each(|it| push_order(&mut sql, it));
        sql.push("it.start_time DESC, it.run_id");
        push_page(&mut sql, query.limit, query.offset);

        let mut tx = self.reading().await?;
        let rows: Vec<RunRow> = sql.build_query_as().persistent(false).fetch_all(&mut *tx).await?;
        let page = Page::cut(rows, query.offset, query.limit);
        let next = page.with(Vec::new());
        Ok(Page {
            items: runs::with_contents(&mut tx, page.items).await?,
            ..next
        })
    }

    /// Finds experiments.
    ///
    /// # Errors
    /// `Invalid` when a number is tested as text or the other way round; `Database`.
    pub async fn search_experiments(&self, query: &ExperimentQuery) -> Result<Page<Experiment>, TrackingError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
        sql.push(experiments::COLUMNS).push(" FROM experiments it WHERE 1");
        push_view(&mut sql, query.view);
        query
            .conditions
            .iter()
            .try_for_each(|it| push_condition(&mut sql, it))?;
        sql.push(" ORDER BY ");
        query.order.iter().for_each(|it| push_order(&mut sql, it));
        sql.push(if query.order.is_empty() {
            "it.creation_time DESC, it.experiment"
        } else {
            "it.experiment"
        });
        push_page(&mut sql, query.limit, query.offset);

        let mut tx = self.reading().await?;
        let rows: Vec<ExperimentRow> = sql.build_query_as().persistent(false).fetch_all(&mut *tx).await?;
        let page = Page::cut(rows, query.offset, query.limit);
        let next = page.with(Vec::new());
        Ok(Page {
            items: experiments::with_tags(&mut tx, page.items).await?,
            ..next
        })
    }
}

fn push_view(sql: &mut QueryBuilder<Sqlite>, view: View) {
    let lifecycle = match view {
        View::ActiveOnly => Lifecycle::Active,
        View::DeletedOnly => Lifecycle::Deleted,
        View::All => return,
    };
    sql.push(" AND it.lifecycle = ").push_bind(lifecycle.as_str());
}

/// One more than asked for, to see whether there is more.
fn push_page(sql: &mut QueryBuilder<Sqlite>, limit: u32, offset: u64) {
    sql.push(" LIMIT ")
        .push_bind(i64::from(limit) + 1)
        .push(" OFFSET ")
        .push_bind(offset.cast_signed());
}
