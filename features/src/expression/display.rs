//! The SQL text of an expression, which [`Expression::parse`] reads back to the same expression.

use std::fmt::{self, Write};

use sqlparser::keywords::ALL_KEYWORDS;

use super::{BinaryOperator, Expression, UnaryOperator};
use crate::value::Value;

/// How tightly an expression binds; a looser one inside a tighter one needs parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Compare,
    Add,
    Multiply,
    Atom,
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Column(name) => column(f, name),
            Expression::Literal(value) => literal(f, value),
            Expression::Unary(operator, value) => unary(f, *operator, value),
            Expression::Binary(operator, left, right) => {
                let own = self.binding();
                // Comparisons do not chain; everything else groups from the left.
                within(f, left, if own == Binding::Compare { Binding::Add } else { own })?;
                write!(f, " {} ", operator.symbol())?;
                within(f, right, own.tighter())
            }
            Expression::Call(function, arguments) if function.is_cast() => {
                f.write_str("cast(")?;
                list(f, arguments)?;
                write!(f, " AS {})", function.name())
            }
            Expression::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                list(f, arguments)?;
                f.write_char(')')
            }
            Expression::In {
                value,
                list: constants,
                negated,
            } => {
                within(f, value, Binding::Add)?;
                f.write_str(if *negated { " NOT IN (" } else { " IN (" })?;
                for (at, it) in constants.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    literal(f, it)?;
                }
                f.write_char(')')
            }
            Expression::Case { branches, otherwise } => {
                f.write_str("CASE")?;
                for (condition, value) in branches {
                    write!(f, " WHEN {condition} THEN {value}")?;
                }
                if let Some(value) = otherwise {
                    write!(f, " ELSE {value}")?;
                }
                f.write_str(" END")
            }
        }
    }
}

impl Expression {
    fn binding(&self) -> Binding {
        match self {
            Expression::Unary(UnaryOperator::Not, _) => Binding::Not,
            Expression::Unary(UnaryOperator::IsNull | UnaryOperator::IsNotNull, _) | Expression::In { .. } => {
                Binding::Compare
            }
            Expression::Binary(operator, ..) => match operator {
                BinaryOperator::Or => Binding::Or,
                BinaryOperator::And => Binding::And,
                BinaryOperator::Add | BinaryOperator::Subtract => Binding::Add,
                BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => Binding::Multiply,
                _ => Binding::Compare,
            },
            _ => Binding::Atom,
        }
    }
}

impl Binding {
    fn tighter(self) -> Self {
        match self {
            Binding::Or => Binding::And,
            Binding::And => Binding::Not,
            Binding::Not | Binding::Compare => Binding::Add,
            Binding::Add => Binding::Multiply,
            Binding::Multiply | Binding::Atom => Binding::Atom,
        }
    }
}

impl BinaryOperator {
    /// As SQL writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOperator::Add => "+",
            BinaryOperator::Subtract => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "/",
            BinaryOperator::Modulo => "%",
            BinaryOperator::Equal => "=",
            BinaryOperator::NotEqual => "<>",
            BinaryOperator::Less => "<",
            BinaryOperator::LessOrEqual => "<=",
            BinaryOperator::Greater => ">",
            BinaryOperator::GreaterOrEqual => ">=",
            BinaryOperator::And => "AND",
            BinaryOperator::Or => "OR",
        }
    }
}

fn within(f: &mut fmt::Formatter<'_>, inner: &Expression, least: Binding) -> fmt::Result {
    if inner.binding() >= least {
        write!(f, "{inner}")
    } else {
        write!(f, "({inner})")
    }
}

fn unary(f: &mut fmt::Formatter<'_>, operator: UnaryOperator, value: &Expression) -> fmt::Result {
    match operator {
        UnaryOperator::Negate => {
            // `-5` is a constant and `--5` a comment, so only a column or a call goes without parentheses.
            let plain = matches!(value, Expression::Column(_) | Expression::Call(..));
            if plain {
                write!(f, "-{value}")
            } else {
                write!(f, "-({value})")
            }
        }
        UnaryOperator::Not => {
            f.write_str("NOT ")?;
            within(f, value, Binding::Not)
        }
        UnaryOperator::IsNull | UnaryOperator::IsNotNull => {
            within(f, value, Binding::Add)?;
            f.write_str(if operator == UnaryOperator::IsNull {
                " IS NULL"
            } else {
                " IS NOT NULL"
            })
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, arguments: &[Expression]) -> fmt::Result {
    for (at, it) in arguments.iter().enumerate() {
        f.write_str(if at > 0 { ", " } else { "" })?;
        write!(f, "{it}")?;
    }
    Ok(())
}

fn literal(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Null => f.write_str("NULL"),
        Value::Bool(it) => f.write_str(if *it { "TRUE" } else { "FALSE" }),
        Value::Int(it) => write!(f, "{it}"),
        // Debug keeps the point or the exponent, so that a double reads back as one.
        Value::Float(it) => write!(f, "{it:?}"),
        Value::Time(it) => write!(f, "TIMESTAMP '{it}'"),
        Value::Str(it) => write!(f, "'{}'", it.replace('\'', "''")),
    }
}

fn column(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let first = name
        .chars()
        .next()
        .is_some_and(|it| it.is_ascii_alphabetic() || it == '_');
    let plain = first && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    let keyword = ALL_KEYWORDS.binary_search(&name.to_ascii_uppercase().as_str()).is_ok();
    if plain && !keyword {
        f.write_str(name)
    } else {
        write!(f, "\"{}\"", name.replace('"', "\"\""))
    }
}
