//! The language case by case, and the two properties: text reads back, and both row evaluators agree.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;
use crate::value::DataType;

fn columns() -> Vec<(String, DataType)> {
    let named = [
        ("i", DataType::Int64),
        ("j", DataType::Int64),
        ("x", DataType::Double),
        ("y", DataType::Double),
        ("s", DataType::String),
        ("t", DataType::Timestamp),
        ("b", DataType::Boolean),
        ("n", DataType::Double),
        ("month", DataType::String),
        ("Call  Failure", DataType::Int64),
        ("emp.var.rate", DataType::Double),
    ];
    named.into_iter().map(|(name, it)| (name.to_owned(), it)).collect()
}

fn row() -> Vec<Value> {
    vec![
        Value::Int(7),
        Value::Int(i64::MAX),
        Value::Float(2.5),
        Value::Float(f64::NAN),
        Value::text("Paid"),
        Value::Time("2026-06-30T12:34:56Z".parse().unwrap()),
        Value::Bool(true),
        Value::Null,
        Value::text("may"),
        Value::Int(3),
        Value::Float(-1.5),
    ]
}

/// The answer of both evaluators, as text, with its type.
fn answer(text: &str) -> String {
    let columns = columns();
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let (typed, data_type) = expression
        .typed(&columns)
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let resolved = expression.resolve(&columns).unwrap().evaluate(&row());
    let by_name = |name: &str| row()[columns.iter().position(|(it, _)| it == name).unwrap()].clone();
    assert_eq!(typed.evaluate(&by_name), resolved, "{text}");
    format!("{resolved} {data_type}")
}

#[test]
fn values_are_what_the_module_says() {
    let cases = [
        ("i + 1", "8 int64"),
        ("i + x", "9.5 double"),
        ("j + 1", "null int64"),
        ("-j - 2", "null int64"),
        ("i / 2", "3.5 double"),
        ("i / 0", "null double"),
        ("x / 0.0", "null double"),
        ("i % 4", "3 int64"),
        ("-i % 4", "-3 int64"),
        ("i % 0", "null int64"),
        ("x % 0", "null double"),
        ("-9223372036854775808 % -1", "0 int64"),
        ("1 + 2 * 3 - 4", "3 int64"),
        ("(1 + 2) * 3", "9 int64"),
        ("10 - 2 - 3", "5 int64"),
        ("y", "null double"),
        ("y = y", "null boolean"),
        ("y is null", "true boolean"),
        ("n + 1", "null double"),
        ("greatest(i, n, 3)", "7 double"),
        ("greatest(n, y)", "null double"),
        ("least(i, 3)", "3 int64"),
        ("coalesce(n, i)", "7 double"),
        ("nullif(i, 7)", "null int64"),
        ("nullif(i, 7.5)", "7 double"),
        ("abs(-x)", "2.5 double"),
        ("abs(-9223372036854775808)", "null int64"),
        ("ln(0)", "null double"),
        ("ln(-1.0)", "null double"),
        ("exp(0)", "1 double"),
        ("sqrt(-1)", "null double"),
        ("sqrt(i + 2)", "3 double"),
        ("round(x)", "3 double"),
        ("round(-x)", "-3 double"),
        ("floor(-x)", "-3 double"),
        ("ceil(-x)", "-2 double"),
        ("floor(i)", "7 int64"),
        ("n > 1 AND i = 8", "false boolean"),
        ("n > 1 OR i = 7", "true boolean"),
        ("n > 1 AND i = 7", "null boolean"),
        ("NOT (n > 1)", "null boolean"),
        ("NOT b", "false boolean"),
        ("n IS NOT NULL", "false boolean"),
        ("i IN (1, 7)", "true boolean"),
        ("i IN (1.5, 7)", "true boolean"),
        ("n IN (1.0)", "null boolean"),
        ("s NOT IN ('x')", "true boolean"),
        ("i BETWEEN 7 AND 8", "true boolean"),
        ("i NOT BETWEEN 7 AND 8", "false boolean"),
        ("s LIKE 'Pa%'", "true boolean"),
        ("s NOT LIKE 'Paid'", "false boolean"),
        ("s = 'paid'", "false boolean"),
        ("lower(s) = 'paid'", "true boolean"),
        ("upper(s) || '!'", "PAID! string"),
        ("concat(s, NULL)", "null string"),
        ("length('größe')", "5 int64"),
        ("starts_with(s, 'P')", "true boolean"),
        ("CASE WHEN n > 1 THEN 1 WHEN b THEN 2 ELSE 3.5 END", "2 double"),
        ("CASE i WHEN 7 THEN 'seven' END", "seven string"),
        ("CASE WHEN n > 1 THEN 1 END", "null int64"),
        ("t >= TIMESTAMP '2026-06-30'", "true boolean"),
        ("DATE '2026-06-30' < t", "true boolean"),
        ("to_timestamp('2026-06-30 01:02')", "2026-06-30T01:02:00Z timestamp"),
        (
            "to_timestamp('30/06/2026', '%d/%m/%Y')",
            "2026-06-30T00:00:00Z timestamp",
        ),
        (
            "to_timestamp('2026-06-30 02:00 +0200', '%Y-%m-%d %H:%M %z')",
            "2026-06-30T00:00:00Z timestamp",
        ),
        ("to_timestamp('nonsense')", "null timestamp"),
        ("add_days(t, 1)", "2026-07-01T12:34:56Z timestamp"),
        ("add_days(DATE '2026-01-01', -0.5)", "2025-12-31T12:00:00Z timestamp"),
        ("add_days(t, j)", "null timestamp"),
        ("year(t) * 10000 + month(t) * 100 + day(t)", "20260630 int64"),
        ("weekday(t)", "2 int64"),
        ("hour(t)", "12 int64"),
        ("cast(s AS double)", "null double"),
        ("cast(' 1.50 ' AS double)", "1.5 double"),
        ("cast(b AS int) + 1", "2 int64"),
        ("cast(-2.7 AS int)", "-2 int64"),
        ("cast(1e30 AS int)", "null int64"),
        ("cast('1.5' AS int)", "null int64"),
        ("cast(i AS text) || '%'", "7% string"),
        ("cast(3.0 AS text)", "3 string"),
        ("cast('TRUE' AS boolean)", "true boolean"),
        ("cast(i AS boolean)", "true boolean"),
        ("cast(NULL AS text)", "null string"),
        ("cast('2026-01-02' AS timestamp)", "2026-01-02T00:00:00Z timestamp"),
        ("month = 'may'", "true boolean"),
        ("\"Call  Failure\" > 2", "true boolean"),
        ("emp.var.rate < 0", "true boolean"),
        ("1 = 1.0", "true boolean"),
    ];
    for (text, expected) in cases {
        assert_eq!(answer(text), expected, "{text}");
    }
}

#[test]
fn words_of_sql_are_columns_unless_the_language_uses_them() {
    let names = [
        "default",
        "date",
        "timestamp",
        "interval",
        "value",
        "order",
        "group",
        "current_date",
        "cast",
        "year",
        "position",
    ];
    for name in names {
        assert_eq!(Expression::parse(name), Ok(Expression::column(name)), "{name}");
        assert_eq!(Expression::parse(&format!("{name} = 'no'")).unwrap().columns(), [name]);
    }
}

#[test]
fn what_cannot_be_read_says_why_and_what_is_near() {
    let cases = [
        ("greates(a, 1)", "unknown function `greates`; did you mean `greatest`?"),
        ("nullif(a)", "`nullif` takes 2 arguments. got=`1`"),
        ("cast(a AS dubble)", "cannot cast to `dubble`; did you mean `double`?"),
        (
            "a LIKE '%x'",
            "LIKE '%x': only 'prefix%' is understood, `_` and inner `%` are not",
        ),
        ("a IN (1, NULL)", "NULL in an IN list is equal to nothing; use IS NULL"),
        ("a IN (b)", "`b` in an IN list is not a constant; compare with = and OR"),
        (
            "Call Failure > 2",
            "cannot read `Call Failure > 2`: `Failure` is unexpected; put a column name with blanks or signs into double quotes",
        ),
        ("count(a)", "unknown function `count`; did you mean `round`?"),
        (
            "coalesce(DISTINCT a)",
            "cannot read `coalesce(DISTINCT a)`: Expected: ), found: a",
        ),
        (
            "to_timestamp(a, '%Q')",
            "`%Q` is not a time format; write for example '%d/%m/%Y %H:%M'",
        ),
        ("1e999", "`1e999` is not a number that 64 bits hold"),
        ("", "cannot read ``: Expected: an expression, found: EOF"),
        (
            "DATE 'monday'",
            "not a time, write `2026-06-30` or `2026-06-30T12:00:00Z`. got=`monday`",
        ),
        ("a -> 'b'", "the operator `->` is not in the expression language"),
    ];
    for (text, expected) in cases {
        assert_eq!(Expression::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn operands_that_do_not_fit_are_named() {
    let cases = [
        (
            "s + 1",
            "in `s + 1`, `s` is string, not a number; cast it, or write to_timestamp(..) for a time",
        ),
        ("s > 1", "in `s > 1`, `s` is string and `1` is int64; cast one of them"),
        (
            "t > '2026-01-01'",
            "in `t > '2026-01-01'`, `t` is timestamp and `'2026-01-01'` is string; write TIMESTAMP '2026-06-30'",
        ),
        (
            "b + 1",
            "in `b + 1`, `b` is boolean, not a number; write cast(x AS int)",
        ),
        ("i AND b", "in `i AND b`, `i` is int64, not a boolean"),
        ("mont", "unknown column `mont`; did you mean `month`?"),
        (
            "Call_Failure > 1",
            "unknown column `Call_Failure`; did you mean `Call  Failure`?",
        ),
        (
            "CASE WHEN b THEN s ELSE i END",
            "in `CASE WHEN b THEN s ELSE i END`, `s` is string and `i` is int64; cast one of them",
        ),
        (
            "cast(t AS double)",
            "in `cast(t AS double)`, `t` is timestamp, not a number, a text or a boolean",
        ),
        (
            "NULL",
            "`NULL` is always NULL and has no type; write cast(NULL AS double)",
        ),
    ];
    for (text, expected) in cases {
        let error = Expression::parse(text).unwrap().typed(&columns()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn no_text_exhausts_the_stack() {
    let nested = "(".repeat(8_000);
    let chained = format!("a{}", " + a".repeat(4_000));
    let doubled = format!("{}a{}", "(".repeat(20), " BETWEEN 1 AND 2)".repeat(20));
    let long = "a".repeat(20_000);
    for text in [nested, chained, doubled, long, "NOT ".repeat(4_000), "-(".repeat(5_000)] {
        assert!(Expression::parse(&text).is_err());
    }
}

/// Expressions as the parser builds them: a minus before a number is part of the number.
fn any_expression() -> impl Strategy<Value = Expression> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            "i",
            "j",
            "x",
            "y",
            "s",
            "t",
            "b",
            "n",
            "month",
            "Call  Failure",
            "emp.var.rate"
        ])
        .prop_map(str::to_owned),
        "[ -~]{1,12}",
    ];
    let leaf = prop_oneof![
        name.prop_map(Expression::Column),
        constant().prop_map(Expression::Literal)
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let not_number = |it: &Expression| !matches!(it, Expression::Literal(Value::Int(_) | Value::Float(_)));
        prop_oneof![
            (proptest::sample::select(UNARY.to_vec()), boxed.clone())
                .prop_filter("folded", move |(it, value)| *it != UnaryOperator::Negate
                    || not_number(value))
                .prop_map(|(it, value)| Expression::Unary(it, value)),
            (proptest::sample::select(BINARY.to_vec()), boxed.clone(), boxed.clone())
                .prop_map(|(it, a, b)| Expression::Binary(it, a, b)),
            (proptest::sample::select(ONE.to_vec()), inner.clone()).prop_map(|(it, a)| Expression::Call(it, vec![a])),
            (proptest::sample::select(SEVERAL.to_vec()), inner.clone(), inner.clone())
                .prop_map(|(it, a, b)| Expression::Call(it, vec![a, b])),
            (
                boxed.clone(),
                prop::collection::vec(constant().prop_filter("null", |it| !it.is_null()), 1..3),
                any::<bool>()
            )
                .prop_map(|(value, list, negated)| Expression::In { value, list, negated }),
            (
                prop::collection::vec((inner.clone(), inner), 1..3),
                prop::option::of(boxed)
            )
                .prop_map(|(branches, otherwise)| Expression::Case { branches, otherwise }),
        ]
    })
}

fn constant() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-9i64..10).prop_map(Value::Int),
        any::<f64>()
            .prop_filter("finite", |it| it.is_finite())
            .prop_map(Value::Float),
        "[ -~äß]{0,6}".prop_map(|it| Value::Str(Arc::from(it))),
        (-60_000_000_000_000_000i64..200_000_000_000_000_000).prop_map(|it| Value::Time(Timestamp(it))),
    ]
}

const UNARY: [UnaryOperator; 4] = [
    UnaryOperator::Negate,
    UnaryOperator::Not,
    UnaryOperator::IsNull,
    UnaryOperator::IsNotNull,
];
const BINARY: [BinaryOperator; 13] = [
    BinaryOperator::Add,
    BinaryOperator::Subtract,
    BinaryOperator::Multiply,
    BinaryOperator::Divide,
    BinaryOperator::Modulo,
    BinaryOperator::Equal,
    BinaryOperator::NotEqual,
    BinaryOperator::Less,
    BinaryOperator::LessOrEqual,
    BinaryOperator::Greater,
    BinaryOperator::GreaterOrEqual,
    BinaryOperator::And,
    BinaryOperator::Or,
];
const ONE: [Function; 22] = [
    Function::Abs,
    Function::Ln,
    Function::Exp,
    Function::Sqrt,
    Function::Floor,
    Function::Ceil,
    Function::Round,
    Function::Coalesce,
    Function::Greatest,
    Function::Lower,
    Function::Upper,
    Function::Length,
    Function::ToTimestamp,
    Function::Year,
    Function::Month,
    Function::Day,
    Function::Weekday,
    Function::Hour,
    Function::ToDouble,
    Function::ToInt64,
    Function::ToText,
    Function::ToBoolean,
];
const SEVERAL: [Function; 7] = [
    Function::Greatest,
    Function::Least,
    Function::Coalesce,
    Function::NullIf,
    Function::Concat,
    Function::StartsWith,
    Function::AddDays,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn printed_text_reads_back_to_the_same_expression(it in any_expression()) {
        let text = it.to_string();
        prop_assert_eq!(Expression::parse(&text), Ok(it), "{}", text);
    }

    #[test]
    fn both_row_evaluators_agree_and_keep_the_promised_type(it in any_expression()) {
        let columns = columns();
        if let Ok((typed, data_type)) = it.typed(&columns) {
            let by_name = |name: &str| row()[columns.iter().position(|(it, _)| it == name).unwrap()].clone();
            let value = typed.evaluate(&by_name);
            prop_assert_eq!(&value, &it.resolve(&columns).unwrap().evaluate(&row()));
            let kept = match value {
                Value::Null => true,
                Value::Bool(_) => data_type == DataType::Boolean,
                Value::Int(_) => data_type == DataType::Int64,
                Value::Float(it) => data_type == DataType::Double && !it.is_nan(),
                Value::Str(_) => data_type == DataType::String,
                Value::Time(_) => data_type == DataType::Timestamp,
            };
            prop_assert!(kept, "{} is {:?}, not {}", typed, typed.evaluate(&by_name), data_type);
            prop_assert_eq!(typed.typed(&columns).unwrap(), (typed, data_type), "typing twice changes nothing");
        }
    }

    #[test]
    fn no_text_panics(text in "[ -~]{0,40}") {
        let _ = Expression::parse(&text);
    }
}
