//! SQL text to IR: `sqlparser` reads the grammar, this keeps the part that has one meaning and names what is left out.

use sqlparser::ast::{self, Expr};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::function::{CASTS, FUNCTIONS};
use super::{BinaryOperator, Expression, ExpressionError, Function, UnaryOperator, pattern};
use crate::spelling;
use crate::time::Timestamp;
use crate::value::Value;

type Parsed = Result<Expression, ExpressionError>;

/// Longer texts are refused, so that no input can exhaust the stack or the memory.
const MAX_BYTES: usize = 16 * 1024;
const MAX_DEPTH: usize = 200;
const MAX_NODES: usize = 5_000;
const MAX_GRAMMAR_DEPTH: usize = 100;
const STACK_BYTES: usize = 32 * 1024 * 1024;

pub(super) fn expression(text: &str) -> Parsed {
    if text.len() > MAX_BYTES {
        return refuse(format!(
            "the expression has {} bytes, at most {MAX_BYTES} are read",
            text.len()
        ));
    }
    // The grammar needs up to 100 KiB of stack per level in an unoptimised build: more than small threads have.
    let reading = std::thread::Builder::new()
        .name("expression".to_owned())
        .stack_size(STACK_BYTES);
    std::thread::scope(|scope| match reading.spawn_scoped(scope, || read(text)) {
        Ok(thread) => thread
            .join()
            .unwrap_or_else(|_| refuse(format!("cannot read `{text}`"))),
        Err(error) => refuse(format!("cannot read `{text}`: no thread to read it on: {error}")),
    })
}

fn read(text: &str) -> Parsed {
    let dialect = GenericDialect {};
    let unreadable = |reason: String| ExpressionError(format!("cannot read `{text}`: {reason}"));
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize()
        .map_err(|error| unreadable(error.to_string()))?;
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(MAX_GRAMMAR_DEPTH)
        .with_tokens(plain_names(tokens));
    let parsed = parser.parse_expr().map_err(|error| unreadable(reason(&error)))?;
    let next = parser.peek_token().token;
    if next != Token::EOF {
        return Err(unreadable(format!(
            "`{next}` is unexpected; put a column name with blanks or signs into double quotes"
        )));
    }
    Reader { nodes: 0 }.expression(&parsed, 0)
}

fn reason(error: &sqlparser::parser::ParserError) -> String {
    let text = error.to_string();
    text.trim_start_matches("sql parser error: ").to_owned()
}

/// SQL has hundreds of keywords; columns called `default`, `month` or `interval` are columns here. Only the words of this
/// language keep their meaning.
fn plain_names(mut tokens: Vec<Token>) -> Vec<Token> {
    for at in 0..tokens.len() {
        let (before, after) = (last_word(&tokens[..at]), first_solid(&tokens[at + 1..]));
        let keeps = match &tokens[at] {
            Token::Word(word) => match word.keyword {
                Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::IN | Keyword::IS | Keyword::NULL => true,
                Keyword::CASE | Keyword::WHEN | Keyword::THEN | Keyword::ELSE | Keyword::END => true,
                Keyword::BETWEEN | Keyword::LIKE | Keyword::TRUE | Keyword::FALSE | Keyword::AS => true,
                Keyword::CAST => after == Some(&Token::LParen),
                Keyword::TIMESTAMP | Keyword::DATE => {
                    before == Some(Keyword::AS) || matches!(after, Some(Token::SingleQuotedString(_)))
                }
                _ => before == Some(Keyword::AS),
            },
            _ => true,
        };
        if let (false, Token::Word(word)) = (keeps, &mut tokens[at]) {
            word.keyword = Keyword::NoKeyword;
        }
    }
    tokens
}

fn last_word(tokens: &[Token]) -> Option<Keyword> {
    match tokens.iter().rfind(|it| !matches!(it, Token::Whitespace(_))) {
        Some(Token::Word(word)) => Some(word.keyword),
        _ => None,
    }
}

fn first_solid(tokens: &[Token]) -> Option<&Token> {
    tokens.iter().find(|it| !matches!(it, Token::Whitespace(_)))
}

struct Reader {
    nodes: usize,
}

impl Reader {
    fn expression(&mut self, it: &Expr, depth: usize) -> Parsed {
        self.nodes += 1;
        let fits = depth <= MAX_DEPTH && self.nodes <= MAX_NODES;
        if !fits {
            return refuse(
                "the expression is nested too deeply or too long; compute a part of it as its own column".to_owned(),
            );
        }
        let depth = depth + 1;
        match it {
            Expr::Nested(inner) => self.expression(inner, depth),
            Expr::Identifier(name) => Ok(Expression::Column(name.value.clone())),
            Expr::CompoundIdentifier(names) => {
                let names: Vec<&str> = names.iter().map(|it| it.value.as_str()).collect();
                Ok(Expression::Column(names.join(".")))
            }
            Expr::Value(value) => literal(&value.value, ""),
            Expr::TypedString(typed) => time_literal(typed),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr, depth),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, depth),
            Expr::IsNull(inner) => Ok(Expression::Unary(UnaryOperator::IsNull, self.boxed(inner, depth)?)),
            Expr::IsNotNull(inner) => Ok(Expression::Unary(UnaryOperator::IsNotNull, self.boxed(inner, depth)?)),
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated, depth),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => {
                let low = self.binary(expr, &ast::BinaryOperator::GtEq, low, depth)?;
                let high = self.binary(expr, &ast::BinaryOperator::LtEq, high, depth)?;
                Ok(not_if(
                    *negated,
                    Expression::Binary(BinaryOperator::And, Box::new(low), Box::new(high)),
                ))
            }
            Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => {
                let value = self.expression(expr, depth)?;
                Ok(not_if(*negated, like(value, pattern)?))
            }
            Expr::Cast {
                kind: ast::CastKind::Cast,
                expr,
                data_type,
                format: None,
            } => self.cast(expr, data_type, depth),
            Expr::Function(call) => self.call(call, depth),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(operand.as_deref(), conditions, else_result.as_deref(), depth),
            other => refuse(format!("`{other}` is not in the expression language")),
        }
    }

    fn boxed(&mut self, it: &Expr, depth: usize) -> Result<Box<Expression>, ExpressionError> {
        self.expression(it, depth).map(Box::new)
    }

    fn unary(&mut self, operator: ast::UnaryOperator, operand: &Expr, depth: usize) -> Parsed {
        match (operator, operand) {
            (ast::UnaryOperator::Minus, Expr::Value(number)) => literal(&number.value, "-"),
            (ast::UnaryOperator::Minus, _) => Ok(Expression::Unary(UnaryOperator::Negate, self.boxed(operand, depth)?)),
            (ast::UnaryOperator::Not, _) => Ok(Expression::Unary(UnaryOperator::Not, self.boxed(operand, depth)?)),
            (ast::UnaryOperator::Plus, _) => self.expression(operand, depth),
            (other, _) => refuse(format!("the operator `{other}` is not in the expression language")),
        }
    }

    fn binary(&mut self, left: &Expr, operator: &ast::BinaryOperator, right: &Expr, depth: usize) -> Parsed {
        let (left, right) = (self.expression(left, depth)?, self.expression(right, depth)?);
        let operator = match operator {
            ast::BinaryOperator::Plus => BinaryOperator::Add,
            ast::BinaryOperator::Minus => BinaryOperator::Subtract,
            ast::BinaryOperator::Multiply => BinaryOperator::Multiply,
            ast::BinaryOperator::Divide => BinaryOperator::Divide,
            ast::BinaryOperator::Modulo => BinaryOperator::Modulo,
            ast::BinaryOperator::Eq => BinaryOperator::Equal,
            ast::BinaryOperator::NotEq => BinaryOperator::NotEqual,
            ast::BinaryOperator::Lt => BinaryOperator::Less,
            ast::BinaryOperator::LtEq => BinaryOperator::LessOrEqual,
            ast::BinaryOperator::Gt => BinaryOperator::Greater,
            ast::BinaryOperator::GtEq => BinaryOperator::GreaterOrEqual,
            ast::BinaryOperator::And => BinaryOperator::And,
            ast::BinaryOperator::Or => BinaryOperator::Or,
            ast::BinaryOperator::StringConcat => return Ok(Expression::Call(Function::Concat, vec![left, right])),
            other => return refuse(format!("the operator `{other}` is not in the expression language")),
        };
        Ok(Expression::Binary(operator, Box::new(left), Box::new(right)))
    }

    fn in_list(&mut self, value: &Expr, list: &[Expr], negated: bool, depth: usize) -> Parsed {
        let value = self.boxed(value, depth)?;
        let mut constants = Vec::new();
        for it in list {
            match self.expression(it, depth)? {
                Expression::Literal(Value::Null) => {
                    return refuse("NULL in an IN list is equal to nothing; use IS NULL".to_owned());
                }
                Expression::Literal(constant) => constants.push(constant),
                _ => return refuse(format!("`{it}` in an IN list is not a constant; compare with = and OR")),
            }
        }
        Ok(Expression::In {
            value,
            list: constants,
            negated,
        })
    }

    fn cast(&mut self, value: &Expr, to: &ast::DataType, depth: usize) -> Parsed {
        let name = to.to_string().to_lowercase();
        let value = self.expression(value, depth)?;
        match CASTS.iter().find(|(it, _)| *it == name) {
            Some((_, function)) => Ok(Expression::Call(*function, vec![value])),
            None => {
                let hint = spelling::hint(&name, ["double", "int", "text", "boolean", "timestamp"]);
                refuse(format!("cannot cast to `{name}`{hint}"))
            }
        }
    }

    fn call(&mut self, call: &ast::Function, depth: usize) -> Parsed {
        let name = call.name.to_string().to_lowercase();
        let Some((name, function, arity)) = FUNCTIONS.iter().find(|(it, ..)| *it == name) else {
            let hint = spelling::hint(&name, FUNCTIONS.iter().map(|(it, ..)| *it).chain(["cast"]));
            return refuse(format!("unknown function `{name}`{hint}"));
        };
        let arguments = self.arguments(call, depth)?;
        if !arity.contains(&arguments.len()) {
            let (least, most) = (arity.start(), arity.end());
            let wanted = if least == most {
                least.to_string()
            } else {
                format!("{least} to {most}")
            };
            return refuse(format!("`{name}` takes {wanted} arguments. got=`{}`", arguments.len()));
        }
        if let (Function::ToTimestamp, Some(format)) = (*function, arguments.get(1)) {
            check_format(format)?;
        }
        let whole = Expression::Call(*function, arguments);
        if let Expression::Call(Function::Matches, arguments) = &whole {
            pattern::check(&whole, arguments.get(1))?;
        }
        Ok(whole)
    }

    fn arguments(&mut self, call: &ast::Function, depth: usize) -> Result<Vec<Expression>, ExpressionError> {
        let plain = call.over.is_none() && call.filter.is_none() && call.within_group.is_empty();
        let ast::FunctionArguments::List(list) = &call.args else {
            return Err(ExpressionError(format!(
                "`{call}` is not a call; write {}(x)",
                call.name
            )));
        };
        if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(ExpressionError(format!(
                "`{call}` says more than a function of one row can; leave all but arguments out"
            )));
        }
        let mut arguments = Vec::new();
        for it in &list.args {
            match it {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(it)) => {
                    arguments.push(self.expression(it, depth)?)
                }
                other => {
                    return Err(ExpressionError(format!(
                        "`{other}` is not an argument of `{}`",
                        call.name
                    )));
                }
            }
        }
        Ok(arguments)
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        when: &[ast::CaseWhen],
        otherwise: Option<&Expr>,
        depth: usize,
    ) -> Parsed {
        let mut branches = Vec::new();
        for it in when {
            let condition = match operand {
                Some(operand) => self.binary(operand, &ast::BinaryOperator::Eq, &it.condition, depth)?,
                None => self.expression(&it.condition, depth)?,
            };
            branches.push((condition, self.expression(&it.result, depth)?));
        }
        let otherwise = otherwise.map(|it| self.boxed(it, depth)).transpose()?;
        Ok(Expression::Case { branches, otherwise })
    }
}

fn literal(value: &ast::Value, sign: &str) -> Parsed {
    let value = match value {
        ast::Value::Number(digits, _) => number(&format!("{sign}{digits}"))?,
        _ if !sign.is_empty() => return refuse(format!("`-` before `{value}`, which is not a number")),
        ast::Value::SingleQuotedString(text) => Value::text(text.as_str()),
        ast::Value::Boolean(it) => Value::Bool(*it),
        ast::Value::Null => Value::Null,
        other => {
            return refuse(format!(
                "`{other}` is not a constant of the expression language; write 'text' or 1.5"
            ));
        }
    };
    Ok(Expression::Literal(value))
}

fn number(digits: &str) -> Result<Value, ExpressionError> {
    if let Ok(whole) = digits.parse() {
        return Ok(Value::Int(whole));
    }
    match digits.parse::<f64>() {
        Ok(it) if it.is_finite() => Ok(Value::Float(it)),
        _ => Err(ExpressionError(format!("`{digits}` is not a number that 64 bits hold"))),
    }
}

fn time_literal(typed: &ast::TypedString) -> Parsed {
    let known = matches!(typed.data_type, ast::DataType::Date | ast::DataType::Timestamp(..));
    match (&typed.value.value, known) {
        (ast::Value::SingleQuotedString(text), true) => match text.parse::<Timestamp>() {
            Ok(time) => Ok(Expression::Literal(Value::Time(time))),
            Err(error) => refuse(error.to_string()),
        },
        _ => refuse(format!(
            "`{typed}` is not a constant of the expression language; write TIMESTAMP '2026-06-30'"
        )),
    }
}

fn like(value: Expression, pattern: &Expr) -> Parsed {
    let wrong = || {
        ExpressionError(format!(
            "LIKE {pattern}: only 'prefix%' is understood, `_` and inner `%` are not"
        ))
    };
    let Expr::Value(ast::ValueWithSpan {
        value: ast::Value::SingleQuotedString(pattern),
        ..
    }) = pattern
    else {
        return Err(wrong());
    };
    let prefix = pattern.strip_suffix('%');
    let text = prefix.unwrap_or(pattern);
    if text.contains(['%', '_', '\\']) {
        return Err(wrong());
    }
    let text = Expression::Literal(Value::text(text));
    Ok(match prefix {
        Some(_) => Expression::Call(Function::StartsWith, vec![value, text]),
        None => Expression::Binary(BinaryOperator::Equal, Box::new(value), Box::new(text)),
    })
}

fn check_format(format: &Expression) -> Result<(), ExpressionError> {
    let Expression::Literal(Value::Str(text)) = format else {
        return Err(ExpressionError(
            "the format of `to_timestamp` is a constant text like '%d/%m/%Y'".to_owned(),
        ));
    };
    let known = chrono::format::StrftimeItems::new(text).all(|it| it != chrono::format::Item::Error);
    if known {
        Ok(())
    } else {
        Err(ExpressionError(format!(
            "`{text}` is not a time format; write for example '%d/%m/%Y %H:%M'"
        )))
    }
}

fn not_if(negated: bool, value: Expression) -> Expression {
    if negated {
        Expression::Unary(UnaryOperator::Not, Box::new(value))
    } else {
        value
    }
}

fn refuse(message: String) -> Parsed {
    Err(ExpressionError(message))
}
