//! What users get wrong: one sentence each that says what, where, and what to do.

use foretell_features::{Ahead, Column, Cutoffs, EntityFrame, LabelSpec, Population, Span, Table, TrainingSetSpec};
use foretell_features_offline::{OfflineStore, write_parquet};

use crate::common::{Project, at, key, refs, row_text};

/// The error of reading source `rows` whole.
fn check(toml: &str, csv: Option<&str>, expected: &[&str]) {
    let files: Vec<(&str, &str)> = csv.iter().map(|it| ("rows.csv", *it)).collect();
    let project = Project::new(toml, &files);
    let store = OfflineStore::open(project.definitions.clone(), project.folder.path());
    let failed = store.and_then(|it| it.view_schema("rows"));
    let message = failed.expect_err("the input is wrong").to_string();
    for part in expected {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
    assert!(!message.contains('\n'), "one sentence: {message}");
}

fn with(source: &str, features: &str) -> String {
    format!(
        "[entity.k]\nkey = {{ k = \"int64\" }}\n[source.rows]\npath = \"rows.csv\"\n{source}\n\
         [view.rows]\nentity = \"k\"\nsource = \"rows\"\n{features}\n"
    )
}

const LATEST: &str = "features = { v = { latest = \"v\" } }";

#[test]
fn a_missing_file_names_the_nearest() {
    let toml = with("", LATEST).replace("rows.csv", "row.csv");
    check(&toml, Some("k,v\n1,2\n"), &["row.csv", "did you mean `rows.csv`"]);
    check(&with("", "latest = \"*\""), None, &["rows.csv", "--data"]);
}

#[test]
fn an_empty_file_is_empty() {
    check(&with("", LATEST), Some(""), &["source `rows`", "is empty"]);
    check(&with("", LATEST), Some("k,v\n"), &["is empty"]);
}

#[test]
fn a_missing_column_names_the_nearest() {
    let expected = ["v", "did you mean `value`"];
    check(
        &with("", "features = { v = { latest = \"valu\" } }"),
        Some("k,value\n1,2\n"),
        &expected[1..],
    );
    check(
        &with("event_time = \"tim\"", LATEST),
        Some("k,v,time\n1,2,2024-01-01\n"),
        &["`tim`", "did you mean `time`"],
    );
    check(
        &with("types = { w = \"string\" }", LATEST),
        Some("k,v\n1,2\n"),
        &["`w`"],
    );
}

#[test]
fn a_declared_type_that_does_not_fit_names_row_and_value() {
    let csv = "k,v\n1,2\n2,abc\n";
    check(
        &with("types = { v = \"double\" }", LATEST),
        Some(csv),
        &["`rows`", "`v`", "row 1", "double", "abc"],
    );
}

#[test]
fn a_column_that_is_half_text_is_refused_as_a_feature_with_its_first_text() {
    let mut csv = "k,v\n".to_owned();
    for row in 0..60 {
        csv += &if row % 2 == 0 {
            format!("{row},{row}.5\n")
        } else {
            format!("{row},abc\n")
        };
    }
    check(
        &with("", LATEST),
        Some(&csv),
        &[
            "`v`",
            "30 values are numbers",
            "row 1 is `abc`",
            "null_values",
            "types = ",
        ],
    );
    let computed = "columns = { w = \"v * 2\" }";
    check(
        &with(computed, LATEST),
        Some(&csv),
        &["30 values are numbers", "row 1 is `abc`"],
    );
    let project = Project::new(&with("types = { v = \"string\" }", LATEST), &[("rows.csv", &csv)]);
    assert!(project.open().view_schema("rows").is_ok(), "declared text is text");
    let project = Project::new(&with("null_values = [\"abc\"]", LATEST), &[("rows.csv", &csv)]);
    assert!(project.open().view_schema("rows").is_ok(), "a declared null is null");
}

#[test]
fn a_time_in_another_form_points_to_the_function_that_reads_it() {
    let csv = "k,v,t\n1,2,12/31/2023 10:00\n";
    check(
        &with("event_time = \"t\"", LATEST),
        Some(csv),
        &["`t`", "row 0", "to_timestamp", "12/31/2023 10:00"],
    );
    check(
        &with("event_time = \"v\"", LATEST),
        Some(csv),
        &["`v`", "int64", "to_timestamp"],
    );
    let computed = "event_time = \"when\"\ncolumns = { when = \"to_timestamp(t, '%m/%d/%Y %H:%M')\" }";
    let project = Project::new(&with(computed, LATEST), &[("rows.csv", csv)]);
    let table = project.open().source_table("rows").unwrap();
    assert_eq!(
        table.column("when").unwrap().value(0).to_string(),
        "2023-12-31T10:00:00Z"
    );
}

#[test]
fn wrong_separators_operands_and_windows_are_named() {
    check(&with("", LATEST), Some("k;v\n1;2\n"), &["one column", "separator"]);
    check(
        &with("where = \"v\"", LATEST),
        Some("k,v\n1,2\n"),
        &["where", "not a condition"],
    );
    check(
        &with("columns = { w = \"v + 'a'\" }", LATEST),
        Some("k,v\n1,2\n"),
        &["column `w`", "not a number"],
    );
    let sum = "features = { v = { sum = \"v\", window = \"30d\" } }";
    let csv = "k,t,v\n1,2024-01-01,abc\n";
    check(
        &with("event_time = \"t\"", sum),
        Some(csv),
        &["feature `v`", "over numbers, not string"],
    );
}

#[test]
fn a_damaged_parquet_file_is_named() {
    let toml = with("", LATEST).replace("rows.csv", "rows.parquet");
    let project = Project::new(&toml, &[("rows.parquet", "PAR1 this is no parquet file")]);
    let message = project.open().view_schema("rows").unwrap_err().to_string();
    assert!(
        message.contains("rows.parquet") && message.contains("not a whole Parquet file"),
        "{message}"
    );
}

const EVENTS: &str = "[entity.k]\nkey = { k = \"int64\" }\n[source.rows]\npath = \"rows.csv\"\nevent_time = \"t\"\n\
    [view.rows]\nentity = \"k\"\nsource = \"rows\"\nfeatures = { n = { count = \"*\", window = \"30d\" } }\n";

fn absence(horizon: i64, cutoffs: Cutoffs, as_of: &str) -> TrainingSetSpec {
    TrainingSetSpec {
        entity: "k".to_owned(),
        features: refs(&["rows:*"]),
        except: Vec::new(),
        cutoffs: Some(cutoffs),
        population: Population::default(),
        label: LabelSpec::Absence(Ahead {
            source: "rows".to_owned(),
            horizon: Span::days(horizon),
            filter: None,
        }),
        as_of: at(as_of),
    }
}

#[test]
fn a_horizon_longer_than_the_data_says_what_there_is() {
    let project = Project::new(
        EVENTS,
        &[("rows.csv", "k,t\n1,2024-01-01\n1,2024-03-01\n2,2024-02-01\n")],
    );
    let cases = [
        (
            absence(90, Cutoffs::At(vec![at("2024-02-15")]), "2024-03-01"),
            vec!["as_of", "90d", "shorter horizon"],
        ),
        (
            absence(90, Cutoffs::At(vec![at("2024-02-15")]), "2026-01-01"),
            vec!["from 2024-01-01", "to 2024-03-01", "as_of"],
        ),
        (
            absence(10, Cutoffs::At(vec![at("2023-01-01")]), "2024-03-01"),
            vec!["nobody", "from 2024-01-01"],
        ),
    ];
    for (spec, expected) in cases {
        let message = project.open().training_set(&spec).unwrap_err().to_string();
        for part in expected {
            assert!(message.contains(part), "`{part}` is missing in: {message}");
        }
    }
}

#[test]
fn unknown_names_come_with_the_nearest() {
    let project = Project::new(EVENTS, &[("rows.csv", "k,t\n1,2024-01-01\n")]);
    let store = project.open();
    let cases = [
        (
            store.select("kk", &refs(&["rows:n"]), &[]).unwrap_err().to_string(),
            "did you mean `k`",
        ),
        (
            store.select("k", &refs(&["row:n"]), &[]).unwrap_err().to_string(),
            "did you mean `rows`",
        ),
        (
            store.select("k", &refs(&["rows:m"]), &[]).unwrap_err().to_string(),
            "`rows:m`",
        ),
        (
            store.select("k", &refs(&["nn"]), &[]).unwrap_err().to_string(),
            "did you mean `n`",
        ),
        (
            store
                .select("k", &refs(&["rows:*"]), &refs(&["rows:x"]))
                .unwrap_err()
                .to_string(),
            "`rows:x`",
        ),
        (
            store.source_table("row").unwrap_err().to_string(),
            "did you mean `rows`",
        ),
    ];
    for (message, part) in cases {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

/// The error of joining view `rows` over several files.
fn joined(toml: &str, files: &[(&str, &str)]) -> Result<String, String> {
    let project = Project::new(toml, files);
    let store = OfflineStore::open(project.definitions.clone(), project.folder.path()).map_err(|it| it.to_string())?;
    let frame = EntityFrame::new(vec![key("1"), key("2")], vec![at("2024-01-02"); 2]);
    let table = store
        .historical(&frame, &refs(&["rows:*"]), &[])
        .map_err(|it| it.to_string())?;
    Ok(format!("{} {}", row_text(&table, 0), row_text(&table, 1)))
}

fn over_files(features: &str) -> String {
    with("event_time = \"t\"", features).replace("rows.csv", "rows-*.csv")
}

#[test]
fn a_column_missing_in_one_of_many_files_names_both_files_where_it_is_used() {
    let files = [
        ("rows-1.csv", "k,t,v,w\n1,2024-01-01,1,1\n"),
        ("rows-2.csv", "k,t,w\n2,2024-01-01,2\n"),
        ("rows-3.csv", "k,t,v,w\n3,2024-01-01,3,3\n"),
    ];
    let error = joined(&over_files(LATEST), &files).unwrap_err();
    for part in ["source `rows`", "rows-2.csv", "no column `v`", "rows-1.csv"] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
    let other = joined(&over_files("features = { w = { latest = \"w\" } }"), &files);
    assert_eq!(other, Ok("1 2".to_owned()), "what every file has can be used");
    let project = Project::new(&over_files(LATEST), &files);
    let error = project.open().source_schema("rows").unwrap_err().to_string();
    assert!(
        error.contains("rows-2.csv"),
        "a check of the whole source says it too: {error}"
    );
}

#[test]
fn a_column_of_two_types_in_two_files_names_the_file() {
    let project = Project::new(&over_files(LATEST).replace("csv", "parquet"), &[]);
    let write = |name: &str, column: Column| {
        let table = Table::new()
            .with("k", Column::Int(vec![Some(1)]))
            .with("t", Column::Time(vec![Some(at("2024-01-01"))]))
            .with("v", column);
        write_parquet(&project.folder.path().join(name), &table).unwrap();
    };
    let frame = EntityFrame::new(vec![key("1")], vec![at("2024-01-02")]);
    write("rows-1.parquet", Column::Int(vec![Some(7)]));
    write("rows-2.parquet", Column::Float(vec![Some(7.5)]));
    let widened = project.open().historical(&frame, &refs(&["rows:v"]), &[]).unwrap();
    assert_eq!(row_text(&widened, 0), "7.5", "integers and doubles are doubles");
    write("rows-2.parquet", Column::Str(vec![Some("x".into())]));
    let error = project
        .open()
        .historical(&frame, &refs(&["rows:v"]), &[])
        .unwrap_err()
        .to_string();
    for part in ["rows-2.parquet", "`v`", "string", "int64"] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

#[test]
fn times_of_several_zones_naive_times_and_dates_meet_in_utc() {
    let csv = "k,t,v\n1,2024-01-02T00:59:59+01:00,berlin\n1,2024-01-01 23:59:58,naive\n\
               2,2024-01-02,date\n2,2024-01-01T16:00:01-08:00,later\n";
    let answers = joined(&with("event_time = \"t\"", LATEST), &[("rows.csv", csv)]);
    assert_eq!(answers, Ok("berlin date".to_owned()));
}

#[test]
fn nan_is_null_infinities_are_numbers_and_null_keys_match_nobody() {
    let project = Project::new(
        &with("event_time = \"t\"", "latest = \"*\"").replace("csv", "parquet"),
        &[],
    );
    let day = Some(at("2024-01-01"));
    // Written as it comes from outside: NaN itself, not null.
    let values = vec![Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), Some(1.0)];
    let table = Table::new()
        .with("k", Column::Int(vec![Some(1), Some(2), Some(3), None]))
        .with("t", Column::Time(vec![day; 4]))
        .with("v", Column::Float(values));
    write_parquet(&project.folder.path().join("rows.parquet"), &table).unwrap();
    let keys = ["1", "2", "3", "-"].map(key).to_vec();
    let frame = EntityFrame::new(keys, vec![at("2024-01-02"); 4]);
    let joined = project.open().historical(&frame, &refs(&["rows:v"]), &[]).unwrap();
    let answers: Vec<String> = (0..4).map(|row| row_text(&joined, row)).collect();
    assert_eq!(answers, ["-", "inf", "-inf", "-"]);
}

#[test]
fn a_wrong_type_in_an_expression_says_where() {
    for features in [
        "features = { v = { latest = \"v + 'a'\" } }",
        "features = { v = { count = \"*\", where = \"v\", window = \"1d\" } }",
    ] {
        let error = joined(
            &with("event_time = \"t\"", features),
            &[("rows.csv", "k,t,v\n1,2024-01-01,1\n")],
        )
        .unwrap_err();
        assert!(error.contains("feature `v`") && !error.contains('\n'), "{error}");
    }
}
