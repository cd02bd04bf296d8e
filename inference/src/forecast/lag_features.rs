//! What the boosted forecaster looks at, computed by one function for training and for serving.
//!
//! Everything is known at the origin, for every step up to the horizon: past values, the calendar, and covariates that are
//! known ahead (never beyond the horizon). Values of the series enter as ratios to its recent size, [`Origin::scale`], and so
//! does the target, so that one model serves all series. [`LagLayout::columns`] is the list.

mod blocks;
mod past;

use foretell_features::{ColumnKind, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ForecastState, Future, Seasons};
use past::Past;

/// What the features of a model are made of. Two models with equal layouts have equal columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagLayout {
    /// Distance of two values.
    pub step: Span,
    /// Greatest horizon.
    pub horizon: usize,
    /// Season lengths.
    pub seasons: Seasons,
    /// How many long seasons back are looked at; 0 where the history is too short.
    pub years: usize,
    /// Values that make the scale of a series.
    pub scale_window: usize,
    /// Values are never below zero.
    pub nonnegative: bool,
    /// A zero is an idle step (closed), not a small value: means pass over it.
    pub skip_zeros: bool,
    /// Covariates known ahead.
    pub known: Vec<KnownColumn>,
    /// Key parts, then static attributes: name and kind.
    pub statics: Vec<(String, ColumnKind)>,
}

/// A covariate known ahead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownColumn {
    /// Its name.
    pub name: String,
    /// Quantity or category.
    pub kind: ColumnKind,
    /// The most frequent of its values, where they are few (a flag, a kind of day); `None` for a quantity such as a price.
    pub usual: Option<f64>,
}

/// One column of the matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct LagColumn {
    /// `weekday_mean_4`, `promo_next`, ..
    pub name: String,
    /// The component that its contributions belong to: `level`, `trend`, `seasonal`, `yearly`, or a covariate's name.
    pub group: String,
    /// Quantity or category.
    pub kind: ColumnKind,
}

/// One series seen from one instant: what does not depend on the step is computed once.
#[derive(Debug)]
pub struct Origin<'a> {
    layout: &'a LagLayout,
    past: Past<'a>,
    statics: &'a [f64],
    last_time: Timestamp,
    scale: f64,
    /// Features that are the same for all steps.
    common: Vec<f64>,
    /// Features by phase of the short season, the first step's phase first.
    phases: Vec<Vec<f64>>,
}

impl LagLayout {
    /// Values of a series that features look at.
    pub fn memory(&self) -> usize {
        let Seasons { short, .. } = self.seasons;
        let base = self.seasons.base();
        let phases = if short <= 31 { 52 * short } else { 4 * short };
        let years = self.long_back(self.horizon) * self.years;
        phases.max(13 * base).max(self.scale_window).max(years + 5 * base + 1)
    }

    /// Steps of past covariates that features look at.
    pub fn known_memory(&self) -> usize {
        if self.known.is_empty() {
            0
        } else {
            (26 * self.seasons.short).min(self.memory())
        }
    }

    /// The columns, in order.
    pub fn columns(&self) -> Vec<LagColumn> {
        blocks::columns(self)
    }

    /// Looks at a state.
    pub fn origin<'a>(&'a self, state: &'a ForecastState) -> Origin<'a> {
        self.origin_of(&state.recent, &state.recent_known, &state.statics, state.last_time)
    }

    /// Looks at the end of `recent`, whose last value is of the instant `last_time`; `known` ends there as well.
    pub fn origin_of<'a>(
        &'a self,
        recent: &'a [f64],
        known: &'a [f64],
        statics: &'a [f64],
        last_time: Timestamp,
    ) -> Origin<'a> {
        let recent = &recent[recent.len().saturating_sub(self.memory())..];
        let n_known = self.known.len();
        let known = &known[known.len().saturating_sub(self.known_memory() * n_known)..];
        let past = Past {
            values: recent,
            known,
            n_known,
            skip_zeros: self.skip_zeros,
        };
        let scale = past.scale(self.scale_window, 4 * self.seasons.base());
        let common = blocks::common(self, &past, scale);
        let phases = (0..self.seasons.short)
            .map(|phase| blocks::phase(self, &past, scale, phase))
            .collect();
        Origin {
            layout: self,
            past,
            statics,
            last_time,
            scale,
            common,
            phases,
        }
    }

    /// Steps back, in whole long seasons, to a value that is known for the step `step`; 0 without a long season.
    fn long_back(&self, step: usize) -> usize {
        self.seasons.long.map_or(0, |long| long * step.div_ceil(long))
    }

    /// Positions of the covariates that have few values.
    fn flags(&self) -> impl Iterator<Item = (usize, &KnownColumn)> {
        self.known.iter().enumerate().filter(|(_, it)| it.usual.is_some())
    }
}

impl Origin<'_> {
    /// The recent size of the series, in its own unit: targets and past values are divided by it. Always positive.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Appends the features of step `step` (from 1 on) to `out`, one per column.
    pub fn row_into(&self, step: usize, future: &Future, out: &mut Vec<f64>) {
        let time = self.last_time.plus(Span(
            self.layout.step.0 * i64::try_from(step).expect("a horizon is short"),
        ));
        out.push(step as f64);
        out.extend_from_slice(&self.common);
        out.extend_from_slice(&self.phases[(step - 1) % self.phases.len()]);
        blocks::yearly_into(self.layout, &self.past, self.scale, step, out);
        blocks::calendar_into(self.layout, time, out);
        blocks::known_into(self.layout, &self.past, self.scale, step, future, out);
        out.extend_from_slice(self.statics);
    }
}

#[cfg(test)]
mod tests;
