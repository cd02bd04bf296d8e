//! Labels: the instants training looks back from, whom it looks at, and what happened afterwards.

use crate::expression::Expression;
use crate::time::{Span, Timestamp};

/// The instants at which training looks back and labels look ahead.
#[derive(Debug, Clone, PartialEq)]
pub enum Cutoffs {
    /// `every` apart, `count` of them, the last one such that its label is complete at the project's clock.
    Every {
        /// Distance.
        every: Span,
        /// How many.
        count: usize,
    },
    /// Given.
    At(Vec<Timestamp>),
}

/// Who counts at a cutoff. All given conditions hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Population {
    /// Had an event in the label's source (or `active_source`) within this span before the cutoff.
    pub active_within: Option<Span>,
    /// The source that `active_within` looks at; the label's source where absent.
    pub source: Option<String>,
    /// Over features of the row.
    pub filter: Option<Expression>,
}

/// What happens after the cutoff.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelSpec {
    /// `column = "Churn", positive = "Yes"`: a column of a snapshot source. With `positive` the label is 1 where equal, else
    /// the number itself.
    Column {
        /// The source; the first view's source where absent.
        source: Option<String>,
        /// Its column.
        column: String,
        /// The value that means 1 (text as written in the file).
        positive: Option<String>,
    },
    /// 1 iff no event in `[cutoff, cutoff + horizon)`.
    Absence(Ahead),
    /// 1 iff an event in `[cutoff, cutoff + horizon)`.
    Occurrence(Ahead),
    /// Sum of `value` over `[cutoff, cutoff + horizon)`.
    Total {
        /// Source, horizon, filter.
        ahead: Ahead,
        /// What is summed.
        value: Expression,
    },
}

/// Events after the cutoff.
#[derive(Debug, Clone, PartialEq)]
pub struct Ahead {
    /// The event source.
    pub source: String,
    /// How far ahead.
    pub horizon: Span,
    /// Events that count.
    pub filter: Option<Expression>,
}
