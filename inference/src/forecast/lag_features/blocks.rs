//! The features, block by block: each block names its columns and fills them in the same order.

use chrono::{Datelike, Timelike};
use foretell_features::{ColumnKind, Span, Timestamp};

use super::past::{Past, mean};
use super::{KnownColumn, LagColumn, LagLayout};
use crate::forecast::Future;

/// Same-phase means reach back this many short seasons.
const PHASES: [usize; 4] = [4, 8, 13, 52];
/// How far the nearest unusual day is looked for, in steps.
const NEAR: usize = 14;

pub(super) fn columns(layout: &LagLayout) -> Vec<LagColumn> {
    let mut columns = vec![column("step", "trend")];
    columns.extend(common_columns(layout));
    columns.extend(PHASES.map(|it| column(&format!("phase_mean_{it}"), "seasonal")));
    columns.push(column("phase_zero_share", "seasonal"));
    columns.extend((1..=layout.years).flat_map(yearly_columns));
    columns.extend(calendar_columns(layout));
    columns.extend(known_columns(layout));
    let statics = layout.statics.iter();
    columns.extend(statics.map(|(name, kind)| LagColumn {
        kind: *kind,
        ..column(name, "level")
    }));
    columns
}

fn column(name: &str, group: &str) -> LagColumn {
    LagColumn {
        name: name.to_owned(),
        group: group.to_owned(),
        kind: ColumnKind::Numeric,
    }
}

fn common_columns(layout: &LagLayout) -> Vec<LagColumn> {
    let level = [
        "last",
        "mean_1",
        "mean_4",
        "mean_13",
        "mean_52",
        "variation",
        "zero_share",
    ];
    let trend = ["trend_4", "trend_13"];
    let mut columns: Vec<LagColumn> = level.iter().map(|it| column(it, "level")).collect();
    columns.extend(trend.iter().map(|it| column(it, "trend")));
    columns.extend(
        (1..=layout.years)
            .flat_map(|year| [4, 13].map(|window| column(&format!("growth_{window}_year_{year}"), "trend"))),
    );
    columns
}

/// Levels over several windows and how they moved, in base units (a week of days).
pub(super) fn common(layout: &LagLayout, past: &Past<'_>, scale: f64) -> Vec<f64> {
    let base = layout.seasons.base();
    let window = |n: usize| past.mean(1, n * base);
    let (month, quarter) = (window(4), window(13));
    let mut row = vec![
        past.value(1) / scale,
        window(1) / scale,
        month / scale,
        quarter / scale,
        window(52) / scale,
    ];
    row.push(past.variation(4 * base));
    row.push(past.zero_share(1, 1, 4 * base));
    row.push(month / past.mean(4 * base + 1, 8 * base));
    row.push(month / quarter);
    for year in 1..=layout.years {
        let back = year * layout.long_back(1);
        row.push(month / past.mean(back + 1, back + 4 * base));
        row.push(quarter / past.mean(back + 1, back + 13 * base));
    }
    row
}

/// Means of the same phase (weekday) over several reaches; `phase` 0 is the first step's.
pub(super) fn phase(layout: &LagLayout, past: &Past<'_>, scale: f64, phase: usize) -> Vec<f64> {
    let short = layout.seasons.short;
    let back = short - phase;
    let mut row: Vec<f64> = PHASES
        .iter()
        .map(|&n| past.mean_every(back, short, n) / scale)
        .collect();
    row.push(past.zero_share(back, short, 8));
    row
}

fn yearly_columns(year: usize) -> [LagColumn; 5] {
    ["value", "near_mean", "wide_mean", "change", "wide_change"]
        .map(|it| column(&format!("year_{year}_{it}"), "yearly"))
}

/// The same phase of the long season, by value, with its neighbours, and relative to how the series stood at that origin.
pub(super) fn yearly_into(layout: &LagLayout, past: &Past<'_>, scale: f64, step: usize, out: &mut Vec<f64>) {
    let base = layout.seasons.base();
    for year in 1..=layout.years {
        let season = year * layout.long_back(step);
        let back = season + 1 - step;
        let around = |reach: usize| past.mean(back.saturating_sub(reach).max(1), back + reach);
        let before = past.mean(season + 1, season + 4 * base);
        let (near, wide) = (around(base / 2), around(base));
        out.extend([
            past.value(back) / scale,
            near / scale,
            wide / scale,
            near / before,
            wide / before,
        ]);
    }
}

fn calendar_columns(layout: &LagLayout) -> Vec<LagColumn> {
    let mut columns = vec![column("phase", "seasonal")];
    if layout.step < Span::DAY {
        columns.extend([column("hour", "seasonal"), column("weekday", "seasonal")]);
    }
    columns.extend(["day_of_month", "month", "day_of_year"].map(|it| column(it, "yearly")));
    columns
}

pub(super) fn calendar_into(layout: &LagLayout, time: Timestamp, out: &mut Vec<f64>) {
    out.push(layout.seasons.phase(layout.step, time) as f64);
    let Some(moment) = chrono::DateTime::from_timestamp_micros(time.0) else {
        let missing = calendar_columns(layout).len() - 1;
        out.extend(std::iter::repeat_n(f64::NAN, missing));
        return;
    };
    if layout.step < Span::DAY {
        out.push(f64::from(moment.hour()) + f64::from(moment.minute()) / 60.0);
        out.push(f64::from(moment.weekday().num_days_from_monday()));
    }
    out.extend([moment.day(), moment.month(), moment.ordinal()].map(f64::from));
}

fn known_columns(layout: &LagLayout) -> Vec<LagColumn> {
    let mut columns = Vec::new();
    for known in &layout.known {
        let parts: &[&str] = if known.usual.is_some() {
            &["since", "until", "phase_mean"]
        } else {
            &["relative"]
        };
        let same_kind = ["", "_previous", "_next"].map(|part| (part, known.kind));
        let numbers = parts.iter().map(|part| (*part, ColumnKind::Numeric));
        let named = same_kind.into_iter().chain(numbers).map(|(part, kind)| LagColumn {
            name: if part.is_empty() || part.starts_with('_') {
                format!("{}{part}", known.name)
            } else {
                format!("{}_{part}", known.name)
            },
            group: known.name.clone(),
            kind,
        });
        columns.extend(named);
    }
    if layout.flags().next().is_some() {
        columns.extend(["alike_phase_mean", "alike_mean"].map(|it| column(it, "seasonal")));
    }
    columns
}

/// Covariates at the step and around it, and how the series went when they were the same.
pub(super) fn known_into(
    layout: &LagLayout,
    past: &Past<'_>,
    scale: f64,
    step: usize,
    future: &Future,
    out: &mut Vec<f64>,
) {
    let around = Around { layout, past, future };
    let step = i64::try_from(step).expect("a horizon is short");
    for (at, known) in layout.known.iter().enumerate() {
        out.extend([around.get(step, at), around.get(step - 1, at), around.get(step + 1, at)]);
        match known.usual {
            Some(usual) => {
                out.push(around.nearest(step, at, usual, -1));
                out.push(around.nearest(step, at, usual, 1));
                out.push(around.alike(step, &[at], true) / scale);
            }
            None => out.push(around.get(step, at) / around.usual_size(at)),
        }
    }
    let flags: Vec<usize> = layout.flags().map(|(at, _): (usize, &KnownColumn)| at).collect();
    if !flags.is_empty() {
        out.push(around.alike(step, &flags, true) / scale);
        out.push(around.alike(step, &flags, false) / scale);
    }
}

/// Covariates on both sides of the origin; step 0 is the last one of the past.
struct Around<'a> {
    layout: &'a LagLayout,
    past: &'a Past<'a>,
    future: &'a Future,
}

impl Around<'_> {
    /// NaN where unknown, and beyond the horizon: what the caller happens to know there was not known to every training row.
    fn get(&self, step: i64, column: usize) -> f64 {
        match usize::try_from(step) {
            Ok(ahead @ 1..) if ahead <= self.layout.horizon => self.future.get(ahead, column),
            Ok(1..) => f64::NAN,
            _ => self.past.known(usize::try_from(1 - step).expect("a past step"), column),
        }
    }

    /// Steps to the nearest unusual value before (`direction` -1) or after (1), 0 at the step itself; NaN where none is near.
    fn nearest(&self, step: i64, column: usize, usual: f64, direction: i64) -> f64 {
        let reach = i64::try_from(NEAR).expect("a small constant");
        let is_unusual = |distance: &i64| {
            let value = self.get(step + direction * distance, column);
            !value.is_nan() && value != usual
        };
        (0..=reach).find(is_unusual).map_or(f64::NAN, |it| it as f64)
    }

    /// Mean of past values of steps at which all these covariates were as they are at `step`, of the same phase or of any.
    fn alike(&self, step: i64, columns: &[usize], same_phase: bool) -> f64 {
        let short = i64::try_from(self.layout.seasons.short).expect("a season is short");
        let (first, every) = if same_phase {
            (short - (step - 1).rem_euclid(short), short)
        } else {
            (1, 1)
        };
        let (first, every) = (usize::try_from(first).unwrap_or(1), usize::try_from(every).unwrap_or(1));
        let backs = (first..=self.past.n_known_steps()).step_by(every);
        let is_alike = |back: &usize| {
            columns
                .iter()
                .all(|&it| self.past.known(*back, it) == self.get(step, it))
        };
        mean(
            backs
                .filter(is_alike)
                .map(|back| self.past.value(back))
                .filter(|&it| self.past.counts(it)),
        )
    }

    fn usual_size(&self, column: usize) -> f64 {
        let reach = self.past.n_known_steps().min(4 * self.layout.seasons.base());
        mean(
            (1..=reach)
                .map(|back| self.past.known(back, column))
                .filter(|it| !it.is_nan()),
        )
    }
}
