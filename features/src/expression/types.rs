//! Type check, and the one implicit conversion there is: an integer beside a double becomes a double.

use super::{BinaryOperator, Expression, ExpressionError, Function, UnaryOperator, pattern};
use crate::spelling;
use crate::value::{DataType, Value};

/// An expression with its type; `None` is a bare NULL, which has any.
type Typed = (Expression, Option<DataType>);

impl Expression {
    /// The type, from the types of the columns.
    ///
    /// # Errors
    /// A column that is not there, or operands that do not fit: a sentence that names both.
    pub fn data_type(&self, column: &dyn Fn(&str) -> Option<DataType>) -> Result<DataType, ExpressionError> {
        typed(self, column).and_then(|(_, it)| known(self, it))
    }

    /// The same expression with every widening to double and the type of every NULL written out as a cast, and its type:
    /// both evaluators start from this, so that a result's type never depends on a row.
    ///
    /// # Errors
    /// As [`Expression::data_type`], an unknown column with the nearest one.
    pub fn typed(&self, columns: &[(String, DataType)]) -> Result<(Expression, DataType), ExpressionError> {
        self.check_columns(columns.iter().map(|(name, _)| name.as_str()))?;
        let column = |name: &str| columns.iter().find(|(it, _)| it == name).map(|(_, it)| *it);
        let (expression, data_type) = typed(self, &column)?;
        let data_type = known(self, data_type)?;
        Ok((expression, data_type))
    }

    /// Refuses the first column that is not among `names`, with the nearest one.
    ///
    /// # Errors
    /// The column and the nearest name.
    pub fn check_columns<'a>(&self, names: impl IntoIterator<Item = &'a str> + Clone) -> Result<(), ExpressionError> {
        let unknown = self
            .columns()
            .into_iter()
            .find(|it| !names.clone().into_iter().any(|name| name == *it));
        match unknown {
            None => Ok(()),
            Some(name) => Err(ExpressionError(format!(
                "unknown column `{name}`{}",
                spelling::hint(name, names)
            ))),
        }
    }
}

fn known(whole: &Expression, data_type: Option<DataType>) -> Result<DataType, ExpressionError> {
    data_type.ok_or_else(|| {
        ExpressionError(format!(
            "`{whole}` is always NULL and has no type; write cast(NULL AS double)"
        ))
    })
}

fn typed(it: &Expression, column: &dyn Fn(&str) -> Option<DataType>) -> Result<Typed, ExpressionError> {
    // What has no type is NULL in every row (`coalesce(NULL)`, a CASE of NULLs): as a bare NULL it takes the type that the
    // expression around it wants.
    let (typed, data_type) = typed_as_written(it, column)?;
    Ok(if data_type.is_none() {
        null()
    } else {
        (typed, data_type)
    })
}

fn typed_as_written(it: &Expression, column: &dyn Fn(&str) -> Option<DataType>) -> Result<Typed, ExpressionError> {
    match it {
        Expression::Column(name) => match column(name) {
            Some(data_type) => Ok((it.clone(), Some(data_type))),
            None => Err(ExpressionError(format!("unknown column `{name}`"))),
        },
        Expression::Literal(value) => Ok((it.clone(), type_of(value))),
        Expression::Unary(operator, value) => {
            let value = typed(value, column)?;
            unary(it, *operator, value)
        }
        Expression::Binary(operator, left, right) => {
            let (left, right) = (typed(left, column)?, typed(right, column)?);
            binary(it, *operator, left, right)
        }
        Expression::Call(function, arguments) => {
            let arguments = arguments.iter().map(|it| typed(it, column)).collect::<Result<_, _>>()?;
            call(it, *function, arguments)
        }
        Expression::In { value, list, negated } => {
            let mut all = vec![typed(value, column)?];
            all.extend(list.iter().map(|it| (Expression::Literal(it.clone()), type_of(it))));
            let (mut all, _) = alike(it, all)?;
            let value = Box::new(all.remove(0));
            let list = all.into_iter().filter_map(into_literal).collect();
            Ok((
                Expression::In {
                    value,
                    list,
                    negated: *negated,
                },
                Some(DataType::Boolean),
            ))
        }
        Expression::Case { branches, otherwise } => case(it, branches, otherwise.as_deref(), column),
    }
}

fn case(
    whole: &Expression,
    branches: &[(Expression, Expression)],
    otherwise: Option<&Expression>,
    column: &dyn Fn(&str) -> Option<DataType>,
) -> Result<Typed, ExpressionError> {
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    for (condition, value) in branches {
        conditions.push(wanted(whole, DataType::Boolean, typed(condition, column)?)?);
        values.push(typed(value, column)?);
    }
    if let Some(value) = otherwise {
        values.push(typed(value, column)?);
    }
    let (mut values, data_type) = alike(whole, values)?;
    let otherwise = if otherwise.is_some() {
        values.pop().map(Box::new)
    } else {
        None
    };
    let branches = conditions.into_iter().zip(values).collect();
    Ok((Expression::Case { branches, otherwise }, data_type))
}

fn unary(whole: &Expression, operator: UnaryOperator, value: Typed) -> Result<Typed, ExpressionError> {
    let (value, data_type) = match operator {
        UnaryOperator::IsNull | UnaryOperator::IsNotNull => {
            let value = cast_to(value.0, value.1, value.1.unwrap_or(DataType::Double));
            (value, DataType::Boolean)
        }
        UnaryOperator::Not => (wanted(whole, DataType::Boolean, value)?, DataType::Boolean),
        UnaryOperator::Negate => number(whole, value)?,
    };
    Ok((Expression::Unary(operator, Box::new(value)), Some(data_type)))
}

fn binary(whole: &Expression, operator: BinaryOperator, left: Typed, right: Typed) -> Result<Typed, ExpressionError> {
    let (left, right, data_type) = match operator {
        BinaryOperator::And | BinaryOperator::Or => {
            let boolean = DataType::Boolean;
            (wanted(whole, boolean, left)?, wanted(whole, boolean, right)?, boolean)
        }
        BinaryOperator::Divide => {
            let double = DataType::Double;
            (wanted(whole, double, left)?, wanted(whole, double, right)?, double)
        }
        BinaryOperator::Add | BinaryOperator::Subtract | BinaryOperator::Multiply | BinaryOperator::Modulo => {
            let ((left, a), (right, b)) = (number(whole, left)?, number(whole, right)?);
            let data_type = if a == b { a } else { DataType::Double };
            (
                cast_to(left, Some(a), data_type),
                cast_to(right, Some(b), data_type),
                data_type,
            )
        }
        _ => {
            let (mut both, _) = alike(whole, vec![left, right])?;
            let right = both.pop().expect("two went in");
            (both.pop().expect("two went in"), right, DataType::Boolean)
        }
    };
    Ok((
        Expression::Binary(operator, Box::new(left), Box::new(right)),
        Some(data_type),
    ))
}

fn call(whole: &Expression, function: Function, arguments: Vec<Typed>) -> Result<Typed, ExpressionError> {
    use DataType::{Boolean, Double, Int64, String, Timestamp};
    let all = |data_type: DataType, arguments: Vec<Typed>| -> Result<Vec<Expression>, ExpressionError> {
        arguments.into_iter().map(|it| wanted(whole, data_type, it)).collect()
    };
    let (arguments, data_type) = match function {
        Function::Abs | Function::Floor | Function::Ceil | Function::Round => {
            let (value, data_type) = number(whole, only(arguments))?;
            (vec![value], Some(data_type))
        }
        Function::Ln | Function::Exp | Function::Sqrt => (all(Double, arguments)?, Some(Double)),
        Function::Greatest | Function::Least | Function::Coalesce | Function::NullIf => alike(whole, arguments)?,
        Function::Lower | Function::Upper | Function::Concat => (all(String, arguments)?, Some(String)),
        Function::Length => (all(String, arguments)?, Some(Int64)),
        Function::StartsWith => (all(String, arguments)?, Some(Boolean)),
        Function::Matches => {
            pattern::check(whole, arguments.get(1).map(|it| &it.0))?;
            (all(String, arguments)?, Some(Boolean))
        }
        Function::ToTimestamp => match arguments.as_slice() {
            // A time stays a time, a bare NULL becomes one; everything else is text with its format.
            [(_, None | Some(Timestamp))] => (vec![only(arguments).0], Some(Timestamp)),
            _ => (all(String, arguments)?, Some(Timestamp)),
        },
        Function::AddDays => {
            let mut arguments = arguments.into_iter();
            let time = wanted(whole, Timestamp, arguments.next().unwrap_or_else(null))?;
            let (days, _) = number(whole, arguments.next().unwrap_or_else(null))?;
            (vec![time, days], Some(Timestamp))
        }
        Function::Year | Function::Month | Function::Day | Function::Weekday | Function::Hour => {
            (all(Timestamp, arguments)?, Some(Int64))
        }
        Function::ToDouble => (vec![not_a_time(whole, only(arguments))?], Some(Double)),
        Function::ToInt64 => (vec![not_a_time(whole, only(arguments))?], Some(Int64)),
        Function::ToBoolean => (vec![not_a_time(whole, only(arguments))?], Some(Boolean)),
        Function::ToText => (vec![only(arguments).0], Some(String)),
    };
    Ok((Expression::Call(function, arguments), data_type))
}

fn null() -> Typed {
    (Expression::Literal(Value::Null), None)
}

/// The parser has checked the number of arguments; an expression built by hand lacks them as NULL.
fn only(arguments: Vec<Typed>) -> Typed {
    arguments.into_iter().next().unwrap_or_else(null)
}

/// Casts from text, numbers and booleans exist, from times to numbers there is none.
fn not_a_time(whole: &Expression, (value, data_type): Typed) -> Result<Expression, ExpressionError> {
    match data_type {
        Some(DataType::Timestamp) => Err(mismatch(
            whole,
            &value,
            DataType::Timestamp,
            "a number, a text or a boolean",
        )),
        // A bare NULL under a cast has the cast's type.
        _ => Ok(value),
    }
}

fn number(whole: &Expression, (value, data_type): Typed) -> Result<(Expression, DataType), ExpressionError> {
    match data_type {
        Some(it @ (DataType::Int64 | DataType::Double)) => Ok((value, it)),
        None => Ok((cast_to(value, None, DataType::Double), DataType::Double)),
        Some(other) => Err(mismatch(whole, &value, other, "a number")),
    }
}

fn wanted(whole: &Expression, to: DataType, (value, from): Typed) -> Result<Expression, ExpressionError> {
    match (from, to) {
        (None, _) | (Some(DataType::Int64), DataType::Double) => Ok(cast_to(value, from, to)),
        (Some(from), to) if from == to => Ok(value),
        (Some(from), _) => Err(mismatch(whole, &value, from, to_name(to))),
    }
}

/// All of one type; integers beside doubles widen, bare NULLs take the type of the others.
fn alike(whole: &Expression, values: Vec<Typed>) -> Result<(Vec<Expression>, Option<DataType>), ExpressionError> {
    let mut common: Option<(DataType, &Expression)> = None;
    for (value, data_type) in &values {
        let Some(data_type) = *data_type else { continue };
        common = Some(match common {
            None => (data_type, value),
            Some((it, first)) if it == data_type => (it, first),
            Some((DataType::Int64, _)) if data_type == DataType::Double => (DataType::Double, value),
            Some((DataType::Double, first)) if data_type == DataType::Int64 => (DataType::Double, first),
            Some((it, first)) => return Err(conflict(whole, (first, it), (value, data_type))),
        });
    }
    let common = common.map(|(it, _)| it);
    let to = common.unwrap_or(DataType::Double);
    Ok((
        values
            .into_iter()
            .map(|(value, from)| cast_to(value, from, to))
            .collect(),
        common,
    ))
}

fn cast_to(value: Expression, from: Option<DataType>, to: DataType) -> Expression {
    match (from, value) {
        (Some(from), value) if from == to => value,
        (_, Expression::Literal(Value::Int(it))) if to == DataType::Double => {
            Expression::Literal(Value::Float(it as f64))
        }
        (_, value) => {
            let function = match to {
                DataType::Double => Function::ToDouble,
                DataType::Int64 => Function::ToInt64,
                DataType::String => Function::ToText,
                DataType::Boolean => Function::ToBoolean,
                DataType::Timestamp => Function::ToTimestamp,
            };
            Expression::Call(function, vec![value])
        }
    }
}

fn into_literal(it: Expression) -> Option<Value> {
    match it {
        Expression::Literal(value) => Some(value),
        _ => None,
    }
}

fn type_of(value: &Value) -> Option<DataType> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(DataType::Boolean),
        Value::Int(_) => Some(DataType::Int64),
        Value::Float(_) => Some(DataType::Double),
        Value::Str(_) => Some(DataType::String),
        Value::Time(_) => Some(DataType::Timestamp),
    }
}

fn to_name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "a boolean",
        DataType::Int64 => "an integer",
        DataType::Double => "a number",
        DataType::String => "a text",
        DataType::Timestamp => "a timestamp",
    }
}

fn mismatch(whole: &Expression, value: &Expression, got: DataType, expected: &str) -> ExpressionError {
    let fix = match got {
        DataType::String => "; cast it, or write to_timestamp(..) for a time",
        DataType::Boolean => "; write cast(x AS int)",
        _ => "",
    };
    ExpressionError(format!("in `{whole}`, `{value}` is {got}, not {expected}{fix}"))
}

fn conflict(whole: &Expression, a: (&Expression, DataType), b: (&Expression, DataType)) -> ExpressionError {
    let types = [a.1, b.1];
    let fix = if types.contains(&DataType::Timestamp) && types.contains(&DataType::String) {
        "; write TIMESTAMP '2026-06-30'"
    } else {
        "; cast one of them"
    };
    let message = format!("in `{whole}`, `{}` is {} and `{}` is {}{fix}", a.0, a.1, b.0, b.1);
    ExpressionError(message)
}
