//! The row evaluator by column name.

use super::kernel::{binary, call, clean, is_in, unary};
use super::{BinaryOperator, Expression, Function};
use crate::value::Value;

impl Expression {
    /// The value for one row, whose columns `column` gives by name. Evaluate what [`Expression::typed`] returned where the
    /// type of the answer must not depend on the row (an integer where the other branch is a double, say).
    pub fn evaluate(&self, column: &dyn Fn(&str) -> Value) -> Value {
        match self {
            Expression::Column(name) => clean(column(name)),
            Expression::Literal(value) => value.clone(),
            Expression::Unary(operator, value) => unary(*operator, value.evaluate(column)),
            Expression::Binary(operator, left, right) => {
                let left = left.evaluate(column);
                if decided(*operator, &left) {
                    return left;
                }
                binary(*operator, &left, &right.evaluate(column))
            }
            Expression::Call(Function::Coalesce, arguments) => {
                let mut values = arguments.iter().map(|it| it.evaluate(column));
                values.find(|it| !it.is_null()).unwrap_or_default()
            }
            Expression::Call(function, arguments) => {
                let values: Vec<Value> = arguments.iter().map(|it| it.evaluate(column)).collect();
                call(*function, &values)
            }
            Expression::In { value, list, negated } => is_in(&value.evaluate(column), list, *negated),
            Expression::Case { branches, otherwise } => {
                let taken = branches
                    .iter()
                    .find(|(condition, _)| condition.evaluate(column) == Value::Bool(true));
                let value = taken.map(|(_, value)| value).or(otherwise.as_deref());
                value.map_or(Value::Null, |it| it.evaluate(column))
            }
        }
    }
}

/// Whether the left side of AND or OR settles it.
pub(super) fn decided(operator: BinaryOperator, left: &Value) -> bool {
    match operator {
        BinaryOperator::And => *left == Value::Bool(false),
        BinaryOperator::Or => *left == Value::Bool(true),
        _ => false,
    }
}
