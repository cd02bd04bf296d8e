//! A view's expectations held against the rows of its source, before anything of the view is written.

use std::path::Path;

use foretell_features::{Check, Column, Expectation, OnFailure, Rule, Timestamp, Value, View};
use serde::{Deserialize, Serialize};

use crate::error::{OfflineStoreError, Result};
use crate::file_table::write_parquet;
use crate::scan::SourceFrame;
use crate::store::OfflineStore;
use crate::validate::measure::{Verdict, measured};

mod measure;

/// File rows named for each failed check.
const EXAMPLES: usize = 5;

/// What came of a view's expectations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// The view.
    pub view: String,
    /// Rows that happened later were not looked at.
    pub to: Timestamp,
    /// Source rows looked at.
    pub rows: u64,
    /// Rows that the view leaves out because they fail a check that quarantines.
    pub quarantined: u64,
    /// One per expectation, in the definition's order.
    pub checks: Vec<CheckReport>,
}

/// What came of one expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// As the definition calls it: `min`, `unique`, `rows`.
    pub name: String,
    /// The column or expression, columns separated by commas; none for `rows` and `fresh_within`.
    pub column: Option<String>,
    /// Whether it is met.
    pub passed: bool,
    /// Rows that do not meet it, where that can be said of rows.
    pub failed_rows: u64,
    /// What was found: the least value for `min`, the first wrong one for `in` and `matches`, a count, a mean, an age.
    pub observed: Value,
    /// What it was held against.
    pub bound: String,
    /// What follows when it is not met.
    pub action: OnFailure,
    /// Up to five 0-based file rows that do not meet it.
    pub examples: Vec<u64>,
}

impl ValidationReport {
    /// The checks that failed with this action.
    pub fn failed(&self, action: OnFailure) -> impl Iterator<Item = &CheckReport> {
        self.checks.iter().filter(move |it| !it.passed && it.action == action)
    }

    /// Whether nothing of the view may be written.
    pub fn refuses(&self) -> bool {
        self.failed(OnFailure::Refuse).next().is_some()
    }
}

impl std::fmt::Display for CheckReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let column = self.column.as_ref().map(|it| format!("{it} ")).unwrap_or_default();
        write!(f, "{column}{} {}, found {}", self.name, self.bound, self.observed)?;
        match self.examples.first() {
            Some(row) => write!(f, "; {} rows fail, file row {row} is one", self.failed_rows),
            None => Ok(()),
        }
    }
}

impl OfflineStore {
    /// Holds a view's expectations against the rows of its source that happened by `to` (or have no time).
    ///
    /// # Errors
    /// An unknown view, an unreadable source, an expression that does not fit its columns. Failed checks are no error.
    pub fn validate(&self, view: &str, to: Timestamp) -> Result<ValidationReport> {
        let view = self.view(view)?;
        let rows = Rows::of(self, view, to)?;
        rows.report(self, view, to)
    }

    /// Types every expectation of a view against its columns, without looking at rows.
    ///
    /// # Errors
    /// The first expression that does not fit, or a column that a reference lacks.
    pub fn check_expectations(&self, view: &str) -> Result<()> {
        let view = self.view(view)?;
        if view.expect.is_empty() {
            return Ok(());
        }
        let schema = self.schema(&view.source)?;
        for it in &view.expect {
            let place = format!("source `{}`, {}", view.source, place(view, it));
            for value in it.check.values() {
                schema.typed(&place, value)?;
            }
            match &it.check {
                Check::EachRow { value, rule } => drop(schema.typed(&place, &rule.condition(value))?),
                Check::References { source, column, .. } => {
                    let there = self.schema(source)?;
                    there.data_type(column).ok_or_else(|| there.missing(column))?;
                }
                Check::FreshWithin(_) if schema.source.event_time.is_none() => return Err(no_event_time(view)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Validates a view before it is written: a failed check that refuses is an error, warnings are logged, and rows in
    /// quarantine are written to `quarantine/<view>/<to>.parquet` of the project's state with the checks that they fail.
    /// The rows themselves are left out by [`View::admits`], here and in training alike.
    ///
    /// # Errors
    /// As [`OfflineStore::validate`]; [`OfflineStoreError::Refused`]; the quarantine file cannot be written.
    pub fn admit(&self, view: &str, to: Timestamp) -> Result<ValidationReport> {
        let view = self.view(view)?;
        let rows = Rows::of(self, view, to)?;
        let report = rows.report(self, view, to)?;
        if report.refuses() {
            let failed: Vec<String> = report.failed(OnFailure::Refuse).map(ToString::to_string).collect();
            return Err(OfflineStoreError::Refused {
                view: view.name.clone(),
                reason: failed.join("; "),
            });
        }
        for it in report.failed(OnFailure::Warn) {
            tracing::warn!(view = view.name, "expectation not met: {it}");
        }
        if report.quarantined > 0 {
            tracing::warn!(
                view = view.name,
                rows = report.quarantined,
                "rows are left out of the view"
            );
            if let Some(state) = self.state() {
                rows.put_aside(self, view, &quarantine_file(state, &view.name, to))?;
            }
        }
        Ok(report)
    }
}

fn quarantine_file(state: &Path, view: &str, to: Timestamp) -> std::path::PathBuf {
    let file = format!("{}.parquet", crate::state::file_name(to));
    state.join("quarantine").join(view).join(file)
}

fn place(view: &View, it: &Expectation) -> String {
    format!("view `{}`, expect `{}`", view.name, it.check.name())
}

fn no_event_time(view: &View) -> OfflineStoreError {
    let reason = format!("source `{}` has no `event_time`; leave it out", view.source);
    crate::error::definition(format!("view `{}`, expect `fresh_within`", view.name), reason)
}

/// The rows looked at, each expectation evaluated over them.
pub(crate) struct Rows {
    source: std::sync::Arc<SourceFrame>,
    /// Positions of the rows looked at.
    pub(crate) at: Vec<usize>,
    /// Of those rows.
    pub(crate) file_rows: Vec<u64>,
    /// The newest event of those rows.
    pub(crate) newest: Option<Timestamp>,
    /// Per expectation, its values over those rows.
    values: Vec<Vec<Column>>,
    /// Per expectation of single rows, whether each row meets it.
    holds: Vec<Option<Vec<bool>>>,
}

impl Rows {
    fn of(store: &OfflineStore, view: &View, to: Timestamp) -> Result<Self> {
        let values = view.expect.iter().flat_map(|it| it.check.values());
        let columns = values.flat_map(|it| it.columns()).map(str::to_owned).collect();
        let source = store.source(&view.source, &columns)?;
        let times = source.event_times()?;
        let by_then = |row: &usize| times.as_ref().and_then(|it| it[*row]).is_none_or(|it| it <= to);
        let at: Vec<usize> = (0..source.n_rows()).filter(by_then).collect();
        let newest = at.iter().filter_map(|row| times.as_ref().and_then(|it| it[*row])).max();
        let (mut values, mut holds) = (Vec::new(), Vec::new());
        for it in &view.expect {
            let place = place(view, it);
            let columns = it.check.values().iter().map(|it| source.evaluate(&place, it));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            values.push(columns.iter().map(|it| it.select(&at)).collect());
            holds.push(match &it.check {
                Check::EachRow { value, rule } => Some(met(&source, &place, value, rule, &at)?),
                _ => None,
            });
        }
        let file_rows = at.iter().map(|row| source.file_rows[*row]).collect();
        Ok(Self {
            source,
            at,
            file_rows,
            newest,
            values,
            holds,
        })
    }

    fn report(&self, store: &OfflineStore, view: &View, to: Timestamp) -> Result<ValidationReport> {
        let mut checks = Vec::new();
        for (position, it) in view.expect.iter().enumerate() {
            let verdict = match (&it.check, &self.holds[position]) {
                (Check::EachRow { rule, .. }, Some(holds)) => measure::each_row(rule, holds, &self.values[position][0]),
                (Check::FreshWithin(_), _) if self.source.schema.source.event_time.is_none() => {
                    return Err(no_event_time(view));
                }
                (Check::References { source, column, .. }, _) => {
                    let there = store.source(source, &[column.clone()].into())?.column(column)?;
                    measure::references(&self.values[position][0], &there)
                }
                (check, _) => measured(check, &self.values[position], self, to),
            };
            checks.push(self.check_report(it, verdict));
        }
        Ok(ValidationReport {
            view: view.name.clone(),
            to,
            rows: self.at.len() as u64,
            quarantined: self.quarantined(view).iter().filter(|it| !it.is_empty()).count() as u64,
            checks,
        })
    }

    fn check_report(&self, it: &Expectation, verdict: Verdict) -> CheckReport {
        let examples = verdict.failed.iter().take(EXAMPLES).map(|at| self.file_rows[*at]);
        CheckReport {
            name: it.check.name().to_owned(),
            column: it.check.column(),
            passed: verdict.passed,
            failed_rows: verdict.failed.len() as u64,
            observed: verdict.observed,
            bound: it.check.bound(),
            action: it.on_failure,
            examples: examples.collect(),
        }
    }

    /// Per row looked at, the quarantining checks that it fails.
    fn quarantined(&self, view: &View) -> Vec<Vec<String>> {
        let mut failed = vec![Vec::new(); self.at.len()];
        for (it, holds) in view.expect.iter().zip(&self.holds) {
            let (OnFailure::Quarantine, Some(holds)) = (it.on_failure, holds) else {
                continue;
            };
            let column = it.check.column().unwrap_or_default();
            for (reasons, holds) in failed.iter_mut().zip(holds) {
                if !holds {
                    reasons.push(format!("{column} {} {}", it.check.name(), it.check.bound()));
                }
            }
        }
        failed
    }

    /// The quarantined rows with all their columns, their file rows and the checks that they fail.
    fn put_aside(&self, store: &OfflineStore, view: &View, path: &Path) -> Result<()> {
        let failed = self.quarantined(view);
        let wrong: Vec<usize> = (0..failed.len()).filter(|it| !failed[*it].is_empty()).collect();
        let positions: Vec<usize> = wrong.iter().map(|it| self.at[*it]).collect();
        let mut table = store.source_table(&view.source)?.table.select(&positions);
        let reasons = wrong.iter().map(|it| Some(failed[*it].join("; ").into())).collect();
        let file_rows = wrong.iter().map(|it| Some(self.file_rows[*it] as i64)).collect();
        table.push("__failed_checks", Column::Str(reasons));
        table.push("__file_row", Column::Int(file_rows));
        write_parquet(path, &table)
    }
}

fn met(
    source: &SourceFrame,
    place: &str,
    value: &foretell_features::Expression,
    rule: &Rule,
    at: &[usize],
) -> Result<Vec<bool>> {
    let holds = source.holds(place, Some(&rule.condition(value)))?.unwrap_or_default();
    Ok(at.iter().map(|row| holds[*row]).collect())
}
