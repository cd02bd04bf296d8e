//! Series on a grid: gaps, sums, the known future, statics, and how the test is cut off.

use foretell_features::{DataType, Expression, ForecastTest, SeriesSet, SeriesSpec, Span, Value};

use crate::common::{Project, at};

const TOML: &str = r#"
[source.sales]
path = "sales.csv"
types = { item = "string" }
[source.items]
path = "items.csv"
[source.later]
path = "later.csv"
types = { item = "string" }
[source.wide]
path = "wide.csv"
wide = { id = "id", value = "y", step = "step" }
[source.wide_test]
path = "wide_test.csv"
wide = { id = "id", value = "y", step = "step" }
"#;

const FILES: [(&str, &str); 5] = [
    (
        "sales.csv",
        "item,day,units,price,open,part\n\
         2,2024-01-01,5,1.5,1,train\n\
         2,2024-01-03 09:00:00,7,1.5,0,train\n\
         2,2024-01-03 17:00:00,1,2.5,1,test\n\
         2,2024-01-04,,2.0,1,test\n\
         10,2024-01-02,1,9,1,train\n\
         10,2024-01-01,2,8,1,train\n\
         10,2024-01-03,3,7,1,test\n",
    ),
    ("items.csv", "item,group\n2,a\n10,b\n"),
    (
        "later.csv",
        "item,day,units,price,open,part\n2,2024-01-05,6,1,1,test\n10,2024-01-04,4,1,1,test\n",
    ),
    ("wide.csv", "id,V2,V3,V4\nH1,1,2,3\nH2,4,5,\n"),
    ("wide_test.csv", "id,V2\nH1,9\nH2,8\n"),
];

fn spec(source: &str, test: ForecastTest) -> SeriesSpec {
    SeriesSpec {
        source: source.to_owned(),
        key: vec!["item".to_owned()],
        time: "day".to_owned(),
        value: "units".to_owned(),
        step: Span::DAY,
        horizon: 1,
        known: vec!["price".to_owned()],
        statics: vec!["group".to_owned()],
        statics_from: Some("items".to_owned()),
        judged: Some(Expression::parse("open = 1").unwrap()),
        seasons: Vec::new(),
        test,
    }
}

fn series(spec: &SeriesSpec) -> SeriesSet {
    Project::new(TOML, &FILES).open().series_set(spec).unwrap()
}

/// Values with gaps as `.`, the test after `|`.
fn check(spec: &SeriesSpec, expected: &[(&str, &str)]) -> SeriesSet {
    let set = series(spec);
    let text = |it: &foretell_features::Series| {
        let value = |at: usize| {
            if it.values[at].is_nan() {
                ".".to_owned()
            } else {
                it.values[at].to_string()
            }
        };
        let part = |steps: std::ops::Range<usize>| steps.map(value).collect::<Vec<_>>().join(" ");
        format!("{} | {}", part(0..it.test_start), part(it.test_start..it.values.len()))
    };
    let got: Vec<_> = set.series.iter().map(|it| (it.key.to_string(), text(it))).collect();
    let got: Vec<_> = got.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    assert_eq!(got, expected);
    set
}

#[test]
fn gaps_are_nan_values_of_one_step_are_summed_and_the_last_steps_are_the_test() {
    let set = check(
        &spec("sales", ForecastTest::Last),
        &[("10", "2 1 | 3"), ("2", "5 . | 8")],
    );
    let two = &set.series[1];
    assert_eq!(two.start, at("2024-01-01"));
    assert_eq!(two.judged, [true, false, true]);
    assert_eq!(two.statics, [Value::text("a")]);
    let price: Vec<Value> = [Some(1.5), None, Some(2.5), Some(2.0)]
        .map(|it| it.map_or(Value::Null, Value::Float))
        .to_vec();
    assert_eq!(two.known, [price], "a row without a value is the known future");
    assert_eq!(set.known_types, [("price".to_owned(), DataType::Double)]);
    assert_eq!(set.static_types, [("group".to_owned(), DataType::String)]);
}

#[test]
fn the_test_may_be_a_column_or_another_source() {
    let column = ForecastTest::Column {
        column: "part".to_owned(),
        value: "test".to_owned(),
    };
    check(&spec("sales", column), &[("10", "2 1 | 3"), ("2", "5 . | 8")]);
    check(
        &spec("sales", ForecastTest::File("later".to_owned())),
        &[("10", "2 1 3 | 4"), ("2", "5 . 8 . | 6")],
    );
}

#[test]
fn wide_files_count_their_steps_and_the_test_file_goes_on_where_the_series_ends() {
    let mut spec = spec("wide", ForecastTest::File("wide_test".to_owned()));
    (spec.key, spec.time, spec.value) = (vec!["id".to_owned()], "step".to_owned(), "y".to_owned());
    (spec.known, spec.statics, spec.statics_from, spec.judged) = (Vec::new(), Vec::new(), None, None);
    check(&spec, &[("H1", "1 2 3 | 9"), ("H2", "4 5 | 8")]);
}

#[test]
fn one_series_has_no_key_and_two_rows_a_day_make_one_value() {
    let mut spec = spec("sales", ForecastTest::Last);
    (spec.key, spec.statics, spec.statics_from) = (Vec::new(), Vec::new(), None);
    check(&spec, &[("", "7 1 | 11")]);
}

#[test]
fn what_cannot_be_a_series_is_refused() {
    let project = Project::new(TOML, &FILES);
    let store = project.open();
    let changed = |change: &dyn Fn(&mut SeriesSpec)| {
        let mut it = spec("sales", ForecastTest::Last);
        change(&mut it);
        it
    };
    let cases = [
        (changed(&|it| it.horizon = 3), "the longest series has 3"),
        (changed(&|it| it.value = "part".to_owned()), "not a number"),
        (changed(&|it| it.time = "price".to_owned()), "not a time"),
        (changed(&|it| it.time = "part".to_owned()), "`train`"),
        (
            changed(&|it| it.known = vec!["prise".to_owned()]),
            "did you mean `price`",
        ),
        (
            changed(&|it| it.statics = vec!["groups".to_owned()]),
            "did you mean `group`",
        ),
        (changed(&|it| it.step = Span::SECOND), "is the step right"),
    ];
    for (spec, part) in cases {
        let message = store.series_set(&spec).unwrap_err().to_string();
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}
