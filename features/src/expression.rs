//! The scalar expression language of `columns`, `where` and derived features: a small SQL subset, one typed IR.
//!
//! Two evaluators share it: polars offline (`foretell-features-offline`) and [`Expression::evaluate`] online; a property test
//! there proves them equal, nulls and NaN included.

use crate::value::Value;

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
    /// `to_timestamp(text)`, `to_timestamp(text, 'format')` with chrono's format letters.
    ToTimestamp,
    /// `date_add(t, n, 'unit')`-free form: `add_days(t, n)`.
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
