//! The offline evaluator and the row evaluator give the same answer for every expression and row.

use std::sync::Arc;

use foretell_features::expression::{BinaryOperator, Function, UnaryOperator};
use foretell_features::{Column, DataType, Expression, Table, Timestamp, Value};
use foretell_features_offline::{OfflineStore, write_parquet};
use proptest::prelude::*;

/// Two columns of each type.
fn columns() -> Vec<(String, DataType)> {
    let types = [
        DataType::Boolean,
        DataType::Int64,
        DataType::Double,
        DataType::String,
        DataType::Timestamp,
    ];
    types
        .iter()
        .flat_map(|it| [(format!("{it}_a"), *it), (format!("{it}_b"), *it)])
        .collect()
}

fn value(data_type: DataType) -> BoxedStrategy<Value> {
    let known = match data_type {
        DataType::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        DataType::Int64 => prop_oneof![-3i64..4, Just(i64::MIN), Just(i64::MAX), any::<i64>()]
            .prop_map(Value::Int)
            .boxed(),
        DataType::Double => prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(0.5),
            Just(-1.5),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::NAN),
            -1e3..1e3,
            any::<f64>()
        ]
        .prop_map(Value::Float)
        .boxed(),
        DataType::String => {
            let texts = [
                "",
                " ",
                "a",
                "A",
                "abc",
                "ab",
                "Ärger",
                "ß",
                "7",
                " 8 ",
                "1.5",
                "true",
                "2011-06-11 08:26:00",
                "x'y",
            ];
            proptest::sample::select(texts.to_vec()).prop_map(Value::text).boxed()
        }
        DataType::Timestamp => prop_oneof![
            -2_000_000_000_000_000i64..2_000_000_000_000_000,
            Just(0),
            Just(i64::MAX),
            Just(i64::MIN)
        ]
        .prop_map(|it| Value::Time(Timestamp(it)))
        .boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 5 => known].boxed()
}

/// A literal that the language can have: never NaN, a bare NULL only under a cast.
fn literal(data_type: DataType) -> BoxedStrategy<Expression> {
    let plain = value(data_type).prop_filter("a literal is no null and no NaN", |it| {
        !it.is_null() && !matches!(it, Value::Float(number) if number.is_nan())
    });
    plain.prop_map(Expression::Literal).boxed()
}

fn leaf(data_type: DataType) -> BoxedStrategy<Expression> {
    let column =
        proptest::sample::select(vec!["a", "b"]).prop_map(move |it| Expression::column(format!("{data_type}_{it}")));
    prop_oneof![4 => column, 1 => literal(data_type)].boxed()
}

fn binary(operator: BinaryOperator, a: Expression, b: Expression) -> Expression {
    Expression::Binary(operator, Box::new(a), Box::new(b))
}

fn call(function: Function, arguments: Vec<Expression>) -> Expression {
    Expression::Call(function, arguments)
}

/// A well-typed expression of a type.
fn expression(data_type: DataType, depth: u32) -> BoxedStrategy<Expression> {
    if depth == 0 {
        return leaf(data_type);
    }
    let of = move |it: DataType| expression(it, depth - 1);
    let same = (of(data_type), of(data_type));
    let choice = prop_oneof![
        (of(DataType::Boolean), of(data_type), of(data_type)).prop_map(|(condition, a, b)| Expression::Case {
            branches: vec![(condition, a)],
            otherwise: Some(Box::new(b))
        }),
        (of(DataType::Boolean), of(data_type)).prop_map(|(condition, a)| Expression::Case {
            branches: vec![(condition, a)],
            otherwise: None
        }),
        same.clone().prop_map(|(a, b)| call(Function::Coalesce, vec![a, b])),
        same.clone().prop_map(|(a, b)| call(Function::Greatest, vec![a, b])),
        same.clone().prop_map(|(a, b)| call(Function::Least, vec![a, b])),
        same.prop_map(|(a, b)| call(Function::NullIf, vec![a, b])),
    ];
    let own = match data_type {
        DataType::Boolean => conditions(depth),
        DataType::Int64 => integers(depth),
        DataType::Double => doubles(depth),
        DataType::String => texts(depth),
        DataType::Timestamp => times(depth),
    };
    prop_oneof![1 => leaf(data_type), 2 => choice, 5 => own].boxed()
}

fn conditions(depth: u32) -> BoxedStrategy<Expression> {
    let of = move |it: DataType| expression(it, depth - 1);
    let any_type = proptest::sample::select(vec![
        DataType::Boolean,
        DataType::Int64,
        DataType::Double,
        DataType::String,
        DataType::Timestamp,
    ]);
    let comparisons = vec![
        BinaryOperator::Equal,
        BinaryOperator::NotEqual,
        BinaryOperator::Less,
        BinaryOperator::LessOrEqual,
        BinaryOperator::Greater,
        BinaryOperator::GreaterOrEqual,
    ];
    let compared = (proptest::sample::select(comparisons.clone()), any_type.clone())
        .prop_flat_map(move |(operator, it)| (Just(operator), of(it), of(it)))
        .prop_map(|(operator, a, b)| binary(operator, a, b));
    let mixed = (
        proptest::sample::select(comparisons),
        of(DataType::Int64),
        of(DataType::Double),
    )
        .prop_map(|(operator, a, b)| binary(operator, a, b));
    let logic = (
        proptest::sample::select(vec![BinaryOperator::And, BinaryOperator::Or]),
        of(DataType::Boolean),
        of(DataType::Boolean),
    )
        .prop_map(|(operator, a, b)| binary(operator, a, b));
    let tests = vec![UnaryOperator::IsNull, UnaryOperator::IsNotNull];
    let null_test = (proptest::sample::select(tests), any_type.clone())
        .prop_flat_map(move |(operator, it)| (Just(operator), of(it)))
        .prop_map(|(operator, it)| Expression::Unary(operator, Box::new(it)));
    let member = any_type
        .prop_flat_map(move |it| (of(it), proptest::collection::vec(literal(it), 1..20), any::<bool>()))
        .prop_map(|(value, list, negated)| {
            let list = list.into_iter().map(|it| match it {
                Expression::Literal(value) => value,
                other => unreachable!("{other} is no literal"),
            });
            Expression::In {
                value: Box::new(value),
                list: list.collect(),
                negated,
            }
        });
    prop_oneof![
        3 => compared,
        1 => mixed,
        3 => logic,
        1 => null_test,
        1 => member,
        1 => of(DataType::Boolean).prop_map(|it| Expression::Unary(UnaryOperator::Not, Box::new(it))),
        1 => (of(DataType::String), of(DataType::String)).prop_map(|(a, b)| call(Function::StartsWith, vec![a, b])),
        1 => (of(DataType::String), proptest::sample::select(vec!["^[A-Z]+$", "a", "ß|ä", "^$", "\\d{2}"]))
            .prop_map(|(text, pattern)| call(Function::Matches, vec![text, Expression::Literal(Value::text(pattern))])),
        1 => prop_oneof![of(DataType::String), of(DataType::Double)].prop_map(|it| call(Function::ToBoolean, vec![it])),
    ]
    .boxed()
}

fn arithmetic() -> impl Strategy<Value = BinaryOperator> {
    proptest::sample::select(vec![
        BinaryOperator::Add,
        BinaryOperator::Subtract,
        BinaryOperator::Multiply,
        BinaryOperator::Modulo,
    ])
}

fn integers(depth: u32) -> BoxedStrategy<Expression> {
    let of = move |it: DataType| expression(it, depth - 1);
    let parts = vec![
        Function::Year,
        Function::Month,
        Function::Day,
        Function::Weekday,
        Function::Hour,
    ];
    let rounding = vec![Function::Abs, Function::Floor, Function::Ceil, Function::Round];
    prop_oneof![
        3 => (arithmetic(), of(DataType::Int64), of(DataType::Int64)).prop_map(|(operator, a, b)| binary(operator, a, b)),
        1 => of(DataType::Int64).prop_map(|it| Expression::Unary(UnaryOperator::Negate, Box::new(it))),
        1 => (proptest::sample::select(rounding), of(DataType::Int64)).prop_map(|(it, a)| call(it, vec![a])),
        1 => of(DataType::String).prop_map(|it| call(Function::Length, vec![it])),
        1 => (proptest::sample::select(parts), of(DataType::Timestamp)).prop_map(|(it, a)| call(it, vec![a])),
        1 => prop_oneof![of(DataType::Double), of(DataType::String), of(DataType::Boolean)]
            .prop_map(|it| call(Function::ToInt64, vec![it])),
    ]
    .boxed()
}

fn doubles(depth: u32) -> BoxedStrategy<Expression> {
    let of = move |it: DataType| expression(it, depth - 1);
    let functions = vec![
        Function::Abs,
        Function::Ln,
        Function::Exp,
        Function::Sqrt,
        Function::Floor,
        Function::Ceil,
        Function::Round,
    ];
    let number = move || prop_oneof![of(DataType::Double), of(DataType::Int64)];
    prop_oneof![
        3 => (arithmetic(), of(DataType::Double), number()).prop_map(|(operator, a, b)| binary(operator, a, b)),
        2 => (number(), number()).prop_map(|(a, b)| binary(BinaryOperator::Divide, a, b)),
        1 => of(DataType::Double).prop_map(|it| Expression::Unary(UnaryOperator::Negate, Box::new(it))),
        2 => (proptest::sample::select(functions), of(DataType::Double)).prop_map(|(it, a)| call(it, vec![a])),
        1 => prop_oneof![of(DataType::Int64), of(DataType::String), of(DataType::Boolean)]
            .prop_map(|it| call(Function::ToDouble, vec![it])),
    ]
    .boxed()
}

fn texts(depth: u32) -> BoxedStrategy<Expression> {
    let of = move |it: DataType| expression(it, depth - 1);
    prop_oneof![
        of(DataType::String).prop_map(|it| call(Function::Lower, vec![it])),
        of(DataType::String).prop_map(|it| call(Function::Upper, vec![it])),
        (of(DataType::String), of(DataType::String)).prop_map(|(a, b)| call(Function::Concat, vec![a, b])),
        prop_oneof![
            of(DataType::Int64),
            of(DataType::Double),
            of(DataType::Boolean),
            of(DataType::Timestamp)
        ]
        .prop_map(|it| call(Function::ToText, vec![it])),
    ]
    .boxed()
}

fn times(depth: u32) -> BoxedStrategy<Expression> {
    let of = move |it: DataType| expression(it, depth - 1);
    let days = move || prop_oneof![of(DataType::Int64), of(DataType::Double)];
    prop_oneof![
        of(DataType::String).prop_map(|it| call(Function::ToTimestamp, vec![it])),
        of(DataType::String).prop_map(|it| {
            let format = Expression::Literal(Value::text("%Y-%m-%d %H:%M:%S"));
            call(Function::ToTimestamp, vec![it, format])
        }),
        (of(DataType::Timestamp), days()).prop_map(|(a, b)| call(Function::AddDays, vec![a, b])),
    ]
    .boxed()
}

fn rows() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let row: Vec<_> = columns().into_iter().map(|(_, it)| value(it)).collect();
    proptest::collection::vec(row, 1..8)
}

fn any_expression() -> impl Strategy<Value = Expression> {
    let types = vec![
        DataType::Boolean,
        DataType::Int64,
        DataType::Double,
        DataType::String,
        DataType::Timestamp,
    ];
    proptest::sample::select(types).prop_flat_map(|it| expression(it, 3))
}

/// The offline engine's answers: the expression as a computed column of a source.
fn offline(rows: &[Vec<Value>], expression: &Expression) -> Column {
    let mut table = Table::new();
    for (at, (name, data_type)) in columns().into_iter().enumerate() {
        table.push(
            name,
            Column::from_values(data_type, rows.iter().map(|row| row[at].clone())).unwrap(),
        );
    }
    let folder = tempfile::tempdir().unwrap();
    write_parquet(&folder.path().join("rows.parquet"), &table).unwrap();
    let mut definitions = crate::common::definitions("[source.rows]\npath = \"rows.parquet\"\n");
    definitions.sources.get_mut("rows").unwrap().columns = vec![("answer".to_owned(), expression.clone())];
    let store = Arc::new(OfflineStore::open(definitions, folder.path()).unwrap());
    store.source_table("rows").unwrap().column("answer").unwrap().clone()
}

/// Floats by their bits: 0 and -0 differ.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn offline_and_online_evaluate_alike(rows in rows(), expression in any_expression()) {
        let resolved = expression.resolve(&columns()).unwrap();
        let answers = offline(&rows, &expression);
        prop_assert_eq!(answers.data_type(), resolved.data_type());
        for (at, row) in rows.iter().enumerate() {
            let (offline, online) = (answers.value(at), resolved.evaluate(row));
            prop_assert!(same(&offline, &online), "{expression} over {row:?}: offline {offline:?}, online {online:?}");
        }
    }
}
