//! The scalar expression language of `columns`, `where` and derived features: a small SQL subset, one typed IR.
//!
//! Two evaluators share it: polars offline (`foretell-features-offline`) and the row evaluators here, [`Expression::evaluate`]
//! (by name) and [`Resolved::evaluate`] (by slot, online). A property test there proves them equal.
//!
//! # Meaning, to the last case
//! The type of every expression is known from the types of its columns alone ([`Expression::typed`]); text, numbers, times
//! and booleans never mix by themselves, only integers widen to doubles. Nothing fails on a value: what has no answer is null.
//! - **null**: an operator or function with a null operand is null, except `AND`, `OR`, `IS [NOT] NULL`, `CASE`, `coalesce`,
//!   `greatest`, `least` and `nullif`. `AND`/`OR` are three-valued: `false AND null` is false, `true OR null` is true.
//! - **NaN** is null wherever it appears: in a column, or as the result of arithmetic. Infinities are numbers.
//! - `+ - *` of two integers are an integer, overflow is null; with a double among them all is double. `/` is always double.
//!   `x / 0` and `x % 0` are null. `%` takes the sign of the left side, as in SQL. `-x` and `abs(x)` of the least integer are null.
//! - Comparisons: integers exactly; an integer with a double as doubles; text by its UTF-8 bytes; false before true.
//! - `x IN (..)`: null where `x` is null; the list holds constants other than NULL. `BETWEEN` is `x >= a AND x <= b`.
//! - `CASE`: the first condition that is true (null is not) decides; without ELSE the rest is null.
//! - `greatest`, `least`: over the arguments that are not null; null when all are. `coalesce`: the first that is not null.
//!   `nullif(a, b)`: null where `a = b` is true, else `a`.
//! - `ln(x)` is null for `x <= 0`, `sqrt(x)` for `x < 0`. `floor`, `ceil`, `round` keep integers as they are; `round` goes
//!   half away from zero. `ln`, `exp`, `sqrt` are double.
//! - `length` counts characters. `concat` and `||` take texts. `x LIKE 'abc%'` is `starts_with(x, 'abc')`, a pattern without
//!   wildcard is `=`, every other pattern is refused.
//! - `matches(x, 'pattern')`: whether a regular expression (the `regex` crate's syntax, no look-around) is found anywhere in
//!   the text; `^` and `$` tie it to the ends. The pattern is a constant.
//! - `to_timestamp(text)` reads RFC 3339, `YYYY-MM-DD` and `YYYY-MM-DD HH:MM[:SS[.f]]` as UTC; with a second argument,
//!   chrono's format letters (a date without time of day is midnight). What cannot be read is null.
//! - `add_days(t, n)`: `n` days of 24 h; a fraction is rounded to the microsecond, half away from zero; overflow is null.
//! - `year month day weekday hour`: of the UTC calendar, `weekday` 1 = Monday to 7; null outside years -262143 to 262142.
//! - `cast(x AS double)`: integers widen, booleans are 0 and 1, trimmed text is read. `cast(x AS int)`: doubles are cut
//!   toward zero, outside 64 bits null; trimmed text must spell an integer. `cast(x AS text)`: integers in decimal, doubles as
//!   the shortest decimal that reads back (`3`, not `3.0`; never with an exponent), booleans `true`/`false`, times RFC 3339
//!   in UTC. `cast(x AS boolean)`: numbers are `x <> 0`, text is `true` or `false` in any case. `cast(x AS timestamp)` is
//!   `to_timestamp(x)`. Text that does not spell the type is null.

use std::collections::BTreeSet;

use crate::value::Value;

mod display;
mod evaluate;
mod function;
mod kernel;
mod parse;
mod pattern;
mod resolve;
mod types;

pub(crate) use pattern::problem as pattern_problem;
pub use resolve::Resolved;

/// A scalar expression over named columns. SQL's three-valued logic; integer `+ - *` stay integers, `/` is always double,
/// division by zero is null, NaN is null.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A column by name.
    Column(String),
    /// A constant.
    Literal(Value),
    /// `-x`, `NOT x`, `x IS NULL`, `x IS NOT NULL`
    Unary(UnaryOperator, Box<Expression>),
    /// Arithmetic, comparison, AND, OR.
    Binary(BinaryOperator, Box<Expression>, Box<Expression>),
    /// `f(x, ..)`
    Call(Function, Vec<Expression>),
    /// `x IN (..)`; `negated` is NOT IN.
    In {
        /// What is looked for.
        value: Box<Expression>,
        /// Constants.
        list: Vec<Value>,
        /// NOT IN.
        negated: bool,
    },
    /// `CASE WHEN c THEN v .. ELSE e END`
    Case {
        /// Conditions and values.
        branches: Vec<(Expression, Expression)>,
        /// Null when absent.
        otherwise: Option<Box<Expression>>,
    },
}

/// One operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `-x`
    Negate,
    /// `NOT x`
    Not,
    /// `x IS NULL`
    IsNull,
    /// `x IS NOT NULL`
    IsNotNull,
}

/// Two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

/// Functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Function {
    Abs,
    Ln,
    Exp,
    Sqrt,
    Floor,
    Ceil,
    Round,
    /// Greatest non-null argument.
    Greatest,
    /// Least non-null argument.
    Least,
    /// First non-null argument.
    Coalesce,
    /// `nullif(a, b)`: null where equal.
    NullIf,
    Lower,
    Upper,
    Length,
    Concat,
    /// `starts_with(text, prefix)`
    StartsWith,
    /// `matches(text, 'pattern')`: the regular expression, a constant, is found in the text.
    Matches,
    /// `to_timestamp(text)`, `to_timestamp(text, 'format')` with chrono's format letters.
    ToTimestamp,
    /// `add_days(t, n)`
    AddDays,
    /// Calendar parts of a time: year, month 1-12, day 1-31, weekday 1 = Monday to 7, hour.
    Year,
    Month,
    Day,
    Weekday,
    Hour,
    /// `cast(x as type)` keeps the target in the function.
    ToDouble,
    ToInt64,
    ToText,
    ToBoolean,
}

/// An expression that cannot be read, or does not type-check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpressionError(pub String);

impl serde::Serialize for Expression {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Expression {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Expression::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Expression {
    /// Reads the SQL text of one expression. Names are columns unless a `(` follows; `"double quotes"` hold odd names,
    /// `emp.var.rate` is one column with dots in its name, `'single quotes'` hold text.
    ///
    /// # Errors
    /// What cannot be read and what would be right; a wrong function comes with the nearest one.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        parse::expression(text)
    }

    /// A column by name, whatever the name looks like.
    pub fn column(name: impl Into<String>) -> Self {
        Expression::Column(name.into())
    }

    /// The name, where the expression is one column and nothing else.
    pub fn as_column(&self) -> Option<&str> {
        match self {
            Expression::Column(name) => Some(name),
            _ => None,
        }
    }

    /// The columns used, sorted, each once.
    pub fn columns(&self) -> Vec<&str> {
        let mut found = BTreeSet::new();
        self.visit(&mut |it| {
            if let Expression::Column(name) = it {
                found.insert(name.as_str());
            }
        });
        found.into_iter().collect()
    }

    fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Expression)) {
        see(self);
        match self {
            Expression::Column(_) | Expression::Literal(_) => {}
            Expression::Unary(_, value) | Expression::In { value, .. } => value.visit(see),
            Expression::Binary(_, left, right) => {
                left.visit(see);
                right.visit(see);
            }
            Expression::Call(_, arguments) => arguments.iter().for_each(|it| it.visit(see)),
            Expression::Case { branches, otherwise } => {
                for (condition, value) in branches {
                    condition.visit(see);
                    value.visit(see);
                }
                if let Some(it) = otherwise {
                    it.visit(see);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
