//! From the expression language to polars. The property test in `tests/expressions.rs` holds it to the row evaluator.
//!
//! Logic, comparisons and choice are polars' own; number arithmetic is a kernel here, because polars wraps on overflow and
//! divides by zero; text, time and casts call the row evaluator for each row, so that they cannot differ.

use foretell_features::expression::{BinaryOperator, Function, Resolved, UnaryOperator};
use foretell_features::{Column, DataType, Expression, ExpressionError, Value};
use polars::prelude as pl;

use crate::column::{constant, from_column, our_type, polars_type, to_column};

/// The polars expression and its type; `columns` are the frame's, normalised.
///
/// # Errors
/// An unknown column, or operands that do not fit.
pub(crate) fn lower(
    expression: &Expression,
    columns: &[(String, DataType)],
) -> Result<(pl::Expr, DataType), ExpressionError> {
    let (typed, data_type) = expression.typed(columns)?;
    let lowered = Lowering { columns }.expression(&typed)?;
    Ok((lowered, data_type))
}

/// Names and types of a normalised frame.
pub(crate) fn schema_of(frame: &pl::DataFrame) -> Vec<(String, DataType)> {
    frame
        .columns()
        .iter()
        .map(|it| (it.name().to_string(), our_type(it.dtype())))
        .collect()
}

struct Lowering<'a> {
    columns: &'a [(String, DataType)],
}

impl Lowering<'_> {
    fn expression(&self, it: &Expression) -> Result<pl::Expr, ExpressionError> {
        if it.columns().is_empty() {
            return self.folded(it);
        }
        match it {
            Expression::Column(name) => Ok(pl::col(name.as_str())),
            Expression::Literal(value) => Ok(constant(value)),
            Expression::Unary(operator, value) => self.unary(it, *operator, value),
            Expression::Binary(operator, left, right) => self.binary(*operator, left, right),
            Expression::Call(Function::Coalesce, arguments) => {
                let arguments = arguments
                    .iter()
                    .map(|it| self.expression(it))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(pl::coalesce(&arguments))
            }
            // The pattern is a constant and stays in the expression.
            Expression::Call(Function::Matches, arguments) => self.by_row(it, &arguments[..1]),
            Expression::Call(_, arguments) => self.by_row(it, arguments),
            Expression::In { value, list, negated } => self.is_in(it, value, list, *negated),
            Expression::Case { branches, otherwise } => self.case(it, branches, otherwise.as_deref()),
        }
    }

    /// Without a column there is one value for all rows.
    fn folded(&self, it: &Expression) -> Result<pl::Expr, ExpressionError> {
        let value = it.evaluate(&|_| Value::Null);
        Ok(constant(&value).cast(polars_type(self.type_of(it)?)))
    }

    /// A typed expression has a type but for a bare NULL, which is as good as a null double.
    fn type_of(&self, it: &Expression) -> Result<DataType, ExpressionError> {
        match it {
            Expression::Literal(Value::Null) => Ok(DataType::Double),
            _ => it.data_type(&|name| self.columns.iter().find(|(it, _)| it == name).map(|(_, it)| *it)),
        }
    }

    fn unary(
        &self,
        whole: &Expression,
        operator: UnaryOperator,
        value: &Expression,
    ) -> Result<pl::Expr, ExpressionError> {
        match operator {
            UnaryOperator::IsNull => Ok(self.expression(value)?.is_null()),
            UnaryOperator::IsNotNull => Ok(self.expression(value)?.is_not_null()),
            UnaryOperator::Not => Ok(self.expression(value)?.not()),
            UnaryOperator::Negate => self.by_row(whole, std::slice::from_ref(value)),
        }
    }

    fn binary(
        &self,
        operator: BinaryOperator,
        left: &Expression,
        right: &Expression,
    ) -> Result<pl::Expr, ExpressionError> {
        let (a, b) = (self.expression(left)?, self.expression(right)?);
        Ok(match operator {
            BinaryOperator::And => a.and(b),
            BinaryOperator::Or => a.or(b),
            BinaryOperator::Equal => a.eq(b),
            BinaryOperator::NotEqual => a.neq(b),
            BinaryOperator::Less => a.lt(b),
            BinaryOperator::LessOrEqual => a.lt_eq(b),
            BinaryOperator::Greater => a.gt(b),
            BinaryOperator::GreaterOrEqual => a.gt_eq(b),
            arithmetic => {
                let integer = operator != BinaryOperator::Divide && self.type_of(left)? == DataType::Int64;
                let data_type = if integer { DataType::Int64 } else { DataType::Double };
                mapped(vec![a, b], data_type, move |columns| {
                    compute(arithmetic, &columns[0], &columns[1])
                })
            }
        })
    }

    fn is_in(
        &self,
        whole: &Expression,
        value: &Expression,
        list: &[Value],
        negated: bool,
    ) -> Result<pl::Expr, ExpressionError> {
        const FEW: usize = 16;
        if list.is_empty() || list.len() > FEW {
            return self.by_row(whole, std::slice::from_ref(value));
        }
        let data_type = polars_type(self.type_of(value)?);
        let value = self.expression(value)?;
        let equal = list
            .iter()
            .map(|it| value.clone().eq(constant(it).cast(data_type.clone())));
        let any = equal.reduce(pl::Expr::or).expect("the list is not empty");
        Ok(if negated { any.not() } else { any })
    }

    fn case(
        &self,
        whole: &Expression,
        branches: &[(Expression, Expression)],
        otherwise: Option<&Expression>,
    ) -> Result<pl::Expr, ExpressionError> {
        let data_type = polars_type(self.type_of(whole)?);
        let mut answer = match otherwise {
            Some(it) => self.expression(it)?,
            None => pl::lit(pl::NULL).cast(data_type.clone()),
        };
        for (condition, value) in branches.iter().rev() {
            answer = pl::when(self.expression(condition)?)
                .then(self.expression(value)?)
                .otherwise(answer);
        }
        Ok(answer.cast(data_type))
    }

    /// The row evaluator over the operands' columns.
    fn by_row(&self, whole: &Expression, operands: &[Expression]) -> Result<pl::Expr, ExpressionError> {
        let data_type = self.type_of(whole)?;
        let slots: Vec<(String, DataType)> = operands
            .iter()
            .enumerate()
            .map(|(at, it)| Ok((at.to_string(), self.type_of(it)?)))
            .collect::<Result<_, ExpressionError>>()?;
        let resolved = over_slots(whole).resolve(&slots)?;
        let lowered = operands
            .iter()
            .map(|it| self.expression(it))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(mapped(lowered, data_type, move |columns| {
            evaluate_rows(&resolved, data_type, columns)
        }))
    }
}

/// The expression with its operands replaced by the columns `0`, `1`, ..
fn over_slots(whole: &Expression) -> Expression {
    let slot = |at: usize| Expression::Column(at.to_string());
    match whole {
        Expression::Unary(operator, _) => Expression::Unary(*operator, Box::new(slot(0))),
        Expression::In { list, negated, .. } => Expression::In {
            value: Box::new(slot(0)),
            list: list.clone(),
            negated: *negated,
        },
        Expression::Call(Function::Matches, arguments) => {
            let pattern = arguments.get(1).cloned();
            Expression::Call(
                Function::Matches,
                [Some(slot(0)), pattern].into_iter().flatten().collect(),
            )
        }
        Expression::Call(function, arguments) => Expression::Call(*function, (0..arguments.len()).map(slot).collect()),
        other => other.clone(),
    }
}

/// An elementwise function of several columns; one of length 1 stands for all rows.
fn mapped(
    mut operands: Vec<pl::Expr>,
    data_type: DataType,
    function: impl Fn(&[Column]) -> Column + Send + Sync + 'static,
) -> pl::Expr {
    let first = operands.remove(0);
    let kernel = move |columns: &mut [pl::Column]| {
        let name = columns[0].name().clone();
        let ours: Vec<Column> = columns.iter().map(to_column).collect();
        Ok(from_column(&name, &function(&ours)))
    };
    let field = move |_: &pl::Schema, fields: &[pl::Field]| {
        Ok(pl::Field::new(fields[0].name().clone(), polars_type(data_type)))
    };
    first.map_many(kernel, &operands, field)
}

fn evaluate_rows(resolved: &Resolved, data_type: DataType, columns: &[Column]) -> Column {
    let rows = height(columns);
    let mut answer = Column::nulls(data_type, 0);
    let mut row = vec![Value::Null; columns.len()];
    for at in 0..rows {
        for (value, column) in row.iter_mut().zip(columns) {
            *value = column.value(if column.len() == 1 { 0 } else { at });
        }
        answer.push(resolved.evaluate(&row));
    }
    answer
}

fn height(columns: &[Column]) -> usize {
    columns.iter().map(Column::len).find(|len| *len != 1).unwrap_or(1)
}

/// Arithmetic with the rules of the language: integers stay integers or become null, NaN is null.
fn compute(operator: BinaryOperator, left: &Column, right: &Column) -> Column {
    let rows = if left.len() == 1 { right.len() } else { left.len() };
    match (left, right) {
        (Column::Int(a), Column::Int(b)) if operator != BinaryOperator::Divide => {
            let integer = integer_kernel(operator);
            Column::Int((0..rows).map(|row| integer(at(a, row)?, at(b, row)?)).collect())
        }
        _ => {
            let double = double_kernel(operator);
            let pair = |row: usize| Some((at_double(left, row)?, at_double(right, row)?));
            let values = (0..rows).map(|row| pair(row).and_then(|(a, b)| double(a, b)).filter(|it| !it.is_nan()));
            Column::Float(values.collect())
        }
    }
}

fn integer_kernel(operator: BinaryOperator) -> fn(i64, i64) -> Option<i64> {
    match operator {
        BinaryOperator::Add => i64::checked_add,
        BinaryOperator::Subtract => i64::checked_sub,
        BinaryOperator::Multiply => i64::checked_mul,
        // The least integer modulo -1 is 0, not an overflow.
        _ => |a, b| (b != 0).then(|| a.wrapping_rem(b)),
    }
}

fn double_kernel(operator: BinaryOperator) -> fn(f64, f64) -> Option<f64> {
    match operator {
        BinaryOperator::Add => |a, b| Some(a + b),
        BinaryOperator::Subtract => |a, b| Some(a - b),
        BinaryOperator::Multiply => |a, b| Some(a * b),
        BinaryOperator::Divide => |a, b| (b != 0.0).then(|| a / b),
        _ => |a, b| Some(a % b),
    }
}

fn at<T: Copy>(values: &[Option<T>], row: usize) -> Option<T> {
    values[if values.len() == 1 { 0 } else { row }]
}

fn at_double(column: &Column, row: usize) -> Option<f64> {
    match column {
        Column::Float(it) => at(it, row),
        Column::Int(it) => at(it, row).map(|it| it as f64),
        _ => None,
    }
}
