//! What a view expects of its source's rows (`[view.X.expect]`), checked before anything of the view is written.
//!
//! A null passes every expectation but `not_null` and `null_rate`, so that "absent" and "wrong" are told apart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::definition::SourceName;
use crate::expression::{BinaryOperator, Expression, Function, UnaryOperator};
use crate::time::Span;
use crate::value::Value;

/// One thing expected, and what follows when it is not so.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// What is expected.
    pub check: Check,
    /// What follows when it fails.
    pub on_failure: OnFailure,
}

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// Of every row by itself.
    EachRow {
        /// Over source columns.
        value: Expression,
        /// What must hold of it.
        rule: Rule,
    },
    /// No two rows have the same values; rows with a null among them are passed over.
    Unique(Vec<Expression>),
    /// In file order no value is less than the one before; nulls are passed over.
    Increasing(Expression),
    /// The share of rows that are null, 0 to 1.
    NullRate(Expression, Bounds),
    /// The mean of what is not null.
    Mean(Expression, Bounds),
    /// A quantile of what is not null (linear between neighbours).
    Quantile {
        /// Over source columns.
        value: Expression,
        /// Which, 0 to 1.
        q: f64,
        /// Where it must lie.
        bounds: Bounds,
    },
    /// How many rows there are.
    Rows(Bounds),
    /// The newest event is no older than this.
    FreshWithin(Span),
    /// Every value that is not null is also in a column of another source.
    References {
        /// Over source columns.
        value: Expression,
        /// The other source.
        source: SourceName,
        /// Its column.
        column: String,
    },
}

/// What must hold of one value.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// It is not null (nor NaN).
    NotNull,
    /// It is not less.
    Min(Value),
    /// It is not greater.
    Max(Value),
    /// It is one of these.
    In(Vec<Value>),
    /// The regular expression is found in it.
    Matches(String),
}

/// Inclusive; one side may be open.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    /// Not less.
    pub min: Option<f64>,
    /// Not greater.
    pub max: Option<f64>,
}

/// What follows when an expectation is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nothing of the view is written.
    #[default]
    Refuse,
    /// It is said, and the view is written all the same.
    Warn,
    /// The rows are left out, in training as in materialization, and kept in a file of their own.
    Quarantine,
}

impl Expectation {
    /// The condition under which a row is let in, where failing rows are quarantined; it is never null.
    pub fn admits(&self) -> Option<Expression> {
        match &self.check {
            Check::EachRow { value, rule } if self.on_failure == OnFailure::Quarantine => Some(rule.condition(value)),
            _ => None,
        }
    }
}

impl Check {
    /// What is checked, as the definition calls it: `min`, `unique`, `rows`.
    pub fn name(&self) -> &'static str {
        match self {
            Check::EachRow { rule, .. } => rule.name(),
            Check::Unique(_) => "unique",
            Check::Increasing(_) => "increasing",
            Check::NullRate(..) => "null_rate",
            Check::Mean(..) => "mean",
            Check::Quantile { .. } => "quantile",
            Check::Rows(_) => "rows",
            Check::FreshWithin(_) => "fresh_within",
            Check::References { .. } => "references",
        }
    }

    /// The expressions it looks at; none for `rows` and `fresh_within`.
    pub fn values(&self) -> &[Expression] {
        match self {
            Check::Unique(values) => values,
            Check::EachRow { value, .. }
            | Check::Increasing(value)
            | Check::NullRate(value, _)
            | Check::Mean(value, _)
            | Check::Quantile { value, .. }
            | Check::References { value, .. } => std::slice::from_ref(value),
            Check::Rows(_) | Check::FreshWithin(_) => &[],
        }
    }

    /// The columns or expressions it looks at, as they are written.
    pub fn column(&self) -> Option<String> {
        let text = |it: &Expression| it.as_column().map_or_else(|| it.to_string(), str::to_owned);
        let all: Vec<String> = self.values().iter().map(text).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// What it is held against, as the definition writes it: `10000`, `>= 100`, `2d`.
    pub fn bound(&self) -> String {
        match self {
            Check::EachRow { rule, .. } => rule.bound(),
            Check::Unique(_) | Check::Increasing(_) => "true".to_owned(),
            Check::NullRate(_, bounds) | Check::Mean(_, bounds) | Check::Rows(bounds) => bounds.to_string(),
            Check::Quantile { q, bounds, .. } => format!("q {q}: {bounds}"),
            Check::FreshWithin(span) => span.to_string(),
            Check::References { source, column, .. } => format!("{source}.{column}"),
        }
    }
}

impl Rule {
    /// A condition that is true for the rows that meet the rule, false for all others, and never null.
    pub fn condition(&self, value: &Expression) -> Expression {
        let compared = |operator, bound: &Value| {
            let bound = Box::new(Expression::Literal(bound.clone()));
            Expression::Binary(operator, Box::new(value.clone()), bound)
        };
        let holds = match self {
            Rule::NotNull => return Expression::Unary(UnaryOperator::IsNotNull, Box::new(value.clone())),
            Rule::Min(bound) => compared(BinaryOperator::GreaterOrEqual, bound),
            Rule::Max(bound) => compared(BinaryOperator::LessOrEqual, bound),
            Rule::In(list) => Expression::In {
                value: Box::new(value.clone()),
                list: list.clone(),
                negated: false,
            },
            Rule::Matches(pattern) => {
                let pattern = Expression::Literal(Value::text(pattern.as_str()));
                Expression::Call(Function::Matches, vec![value.clone(), pattern])
            }
        };
        Expression::Call(Function::Coalesce, vec![holds, Expression::Literal(Value::Bool(true))])
    }

    fn name(&self) -> &'static str {
        match self {
            Rule::NotNull => "not_null",
            Rule::Min(_) => "min",
            Rule::Max(_) => "max",
            Rule::In(_) => "in",
            Rule::Matches(_) => "matches",
        }
    }

    fn bound(&self) -> String {
        match self {
            Rule::NotNull => "true".to_owned(),
            Rule::Min(it) | Rule::Max(it) => it.to_string(),
            Rule::In(list) => list.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
            Rule::Matches(pattern) => pattern.clone(),
        }
    }
}

impl Bounds {
    /// Whether the number lies within; NaN does not.
    pub fn hold(&self, number: f64) -> bool {
        self.min.is_none_or(|it| number >= it) && self.max.is_none_or(|it| number <= it) && !number.is_nan()
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) => write!(f, "{min} to {max}"),
            (Some(min), None) => write!(f, ">= {min}"),
            (None, Some(max)) => write!(f, "<= {max}"),
            (None, None) => f.write_str("any"),
        }
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnFailure::Refuse => "refuse",
            OnFailure::Warn => "warn",
            OnFailure::Quarantine => "quarantine",
        })
    }
}
