//! The hot path: columns become positions once, so that a row is a slice and no name is looked up.

use super::evaluate::decided;
use super::kernel::{binary, call, clean, is_in, unary};
use super::{BinaryOperator, Expression, ExpressionError, Function, UnaryOperator};
use crate::value::{DataType, Value};

/// A type-checked expression over the positions of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    root: Node,
    data_type: DataType,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Slot(usize),
    /// A double column: a request may spell 3.0 as 3.
    DoubleSlot(usize),
    Literal(Value),
    Unary(UnaryOperator, Box<Node>),
    Binary(BinaryOperator, Box<(Node, Node)>),
    Call(Function, Vec<Node>),
    In(Box<Node>, Vec<Value>, bool),
    Case(Vec<(Node, Node)>, Option<Box<Node>>),
}

impl Expression {
    /// Type-checks against the columns of a row and fixes their positions.
    ///
    /// # Errors
    /// As [`Expression::typed`].
    pub fn resolve(&self, columns: &[(String, DataType)]) -> Result<Resolved, ExpressionError> {
        let (typed, data_type) = self.typed(columns)?;
        Ok(Resolved {
            root: node(&typed, columns),
            data_type,
        })
    }
}

impl Resolved {
    /// The value for a row with the columns given to [`Expression::resolve`], in that order.
    pub fn evaluate(&self, row: &[Value]) -> Value {
        self.root.evaluate(row)
    }

    /// The type of the answer.
    pub fn data_type(&self) -> DataType {
        self.data_type
    }
}

fn node(it: &Expression, columns: &[(String, DataType)]) -> Node {
    let boxed = |it: &Expression| Box::new(node(it, columns));
    match it {
        Expression::Column(name) => {
            let at = columns
                .iter()
                .position(|(it, _)| it == name)
                .expect("a typed expression knows its columns");
            if columns[at].1 == DataType::Double {
                Node::DoubleSlot(at)
            } else {
                Node::Slot(at)
            }
        }
        Expression::Literal(value) => Node::Literal(value.clone()),
        Expression::Unary(operator, value) => Node::Unary(*operator, boxed(value)),
        Expression::Binary(operator, left, right) => {
            Node::Binary(*operator, Box::new((node(left, columns), node(right, columns))))
        }
        Expression::Call(function, arguments) => {
            Node::Call(*function, arguments.iter().map(|it| node(it, columns)).collect())
        }
        Expression::In { value, list, negated } => Node::In(boxed(value), list.clone(), *negated),
        Expression::Case { branches, otherwise } => {
            let branches = branches
                .iter()
                .map(|(a, b)| (node(a, columns), node(b, columns)))
                .collect();
            Node::Case(branches, otherwise.as_deref().map(boxed))
        }
    }
}

impl Node {
    fn evaluate(&self, row: &[Value]) -> Value {
        match self {
            Node::Slot(at) => row[*at].clone(),
            Node::DoubleSlot(at) => match &row[*at] {
                Value::Int(it) => Value::Float(*it as f64),
                other => clean(other.clone()),
            },
            Node::Literal(value) => value.clone(),
            Node::Unary(operator, value) => unary(*operator, value.evaluate(row)),
            Node::Binary(operator, sides) => {
                let left = sides.0.evaluate(row);
                if decided(*operator, &left) {
                    return left;
                }
                binary(*operator, &left, &sides.1.evaluate(row))
            }
            Node::Call(Function::Coalesce, all) => all
                .iter()
                .map(|it| it.evaluate(row))
                .find(|it| !it.is_null())
                .unwrap_or_default(),
            // No allocation for the usual one or two arguments.
            Node::Call(function, all) => match all.as_slice() {
                [a] => call(*function, &[a.evaluate(row)]),
                [a, b] => call(*function, &[a.evaluate(row), b.evaluate(row)]),
                many => call(*function, &many.iter().map(|it| it.evaluate(row)).collect::<Vec<_>>()),
            },
            Node::In(value, list, negated) => is_in(&value.evaluate(row), list, *negated),
            Node::Case(branches, otherwise) => {
                let taken = branches
                    .iter()
                    .find(|(condition, _)| condition.evaluate(row) == Value::Bool(true));
                let value = taken.map(|(_, value)| value).or(otherwise.as_deref());
                value.map_or(Value::Null, |it| it.evaluate(row))
            }
        }
    }
}
