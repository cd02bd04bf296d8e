use crate::database::Tx;
use crate::filter::{Column, Joined};
use crate::sql::Sql;
use crate::{
    Condition, Experiment, ExperimentId, Field, Lifecycle, Order, Page, Run, RunAttribute, Tracking, TrackingError,
    View, experiments, runs,
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
    const TABLE: &'static str = "experiments";
    const KEY: &'static str = "experiment";
    const TAGS: &'static str = "experiment_tags";
    const PARAMS: Option<&'static str> = None;
    const METRICS: Option<&'static str> = None;

    fn column(self) -> &'static str {
        match self {
            Self::Id => "CAST(it.experiment AS TEXT)",
            Self::Name => "it.name",
            Self::CreationTime => "it.creation_time",
            Self::LastUpdateTime => "it.last_update_time",
        }
    }

    fn order(self) -> &'static str {
        match self {
            Self::Id => "it.experiment",
            other => other.column(),
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::CreationTime | Self::LastUpdateTime)
    }

    fn is_optional(self) -> bool {
        false
    }
}

impl Tracking {
    /// Finds runs.
    ///
    /// # Errors
    /// `Invalid` when a number is tested as text or the other way round; `Database`.
    pub async fn search_runs(&self, query: &RunQuery) -> Result<Page<Run>, TrackingError> {
        if query.experiments.is_empty() {
            return Ok(Page::cut(Vec::new(), query.offset, query.limit));
        }
        let mut tx = self.reading().await?;
        let keys: Vec<i64> = query.experiments.iter().map(|it| it.0).collect();
        let by_start = |it: &Order<RunAttribute>| it.field == Field::Attribute(RunAttribute::StartTime);
        let last = match query.order.iter().any(by_start) {
            true => "it.run_id",
            false => "it.start_time DESC, it.run_id",
        };
        let search = Search {
            within: |sql: &mut Sql| {
                sql.push("it.experiment").among(&keys);
            },
            conditions: &query.conditions,
            order: &query.order,
            view: query.view,
            last,
            limit: query.limit,
            offset: query.offset,
        };
        let page = search.keys(&mut tx).await?;
        Ok(page.with(runs::by_keys(&mut tx, &page.items).await?))
    }

    /// Finds experiments.
    ///
    /// # Errors
    /// `Invalid` when a number is tested as text or the other way round; `Database`.
    pub async fn search_experiments(&self, query: &ExperimentQuery) -> Result<Page<Experiment>, TrackingError> {
        let mut tx = self.reading().await?;
        let last = match query.order.is_empty() {
            true => "it.creation_time DESC, it.experiment",
            false => "it.experiment",
        };
        let search = Search {
            within: |sql: &mut Sql| {
                sql.push("1 = 1");
            },
            conditions: &query.conditions,
            order: &query.order,
            view: query.view,
            last,
            limit: query.limit,
            offset: query.offset,
        };
        let page = search.keys(&mut tx).await?;
        Ok(page.with(experiments::by_keys(&mut tx, &page.items).await?))
    }
}

/// What every search has.
struct Search<'a, A, W> {
    within: W,
    conditions: &'a [Condition<A>],
    order: &'a [Order<A>],
    view: View,
    last: &'static str,
    limit: u32,
    offset: u64,
}

impl<A: Column, W: Fn(&mut Sql)> Search<'_, A, W> {
    /// The internal keys of the page: what the rows hold is read for these only, not for all that are compared.
    async fn keys(&self, tx: &mut Tx) -> Result<Page<i64>, TrackingError> {
        let fields = self.conditions.iter().map(|it| &it.field);
        let joined = Joined::of(fields.chain(self.order.iter().map(|it| &it.field)))?;
        let mut sql = tx.sql(&format!("SELECT it.{}", A::KEY)).composed();
        joined.push_from(&mut sql);
        sql.push(" WHERE ");
        (self.within)(&mut sql);
        push_view(&mut sql, self.view);
        for condition in self.conditions {
            joined.push_condition(&mut sql, condition)?;
        }
        sql.push(" ORDER BY ");
        for order in self.order {
            joined.push_order(&mut sql, order);
        }
        sql.push(self.last);
        push_page(&mut sql, self.limit, self.offset);
        let rows = tx.all(sql).await?;
        let keys = rows.iter().map(|it| it.int(0)).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(keys, self.offset, self.limit))
    }
}

fn push_view(sql: &mut Sql, view: View) {
    let lifecycle = match view {
        View::ActiveOnly => Lifecycle::Active,
        View::DeletedOnly => Lifecycle::Deleted,
        View::All => return,
    };
    sql.push(" AND it.lifecycle = ").value(lifecycle.as_str());
}

/// One more than asked for, to see whether there is more.
pub(crate) fn push_page(sql: &mut Sql, limit: u32, offset: u64) {
    sql.push(" LIMIT ").value(i64::from(limit) + 1);
    sql.push(" OFFSET ").value(offset.cast_signed());
}
