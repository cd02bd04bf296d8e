//! Files as they come: types, blanks, several files, tables written and read back.

use foretell_features::{Column, DataType, Table, Timestamp, Value};
use foretell_features_offline::{ReadOptions, read_table, read_table_with, write_parquet};

use crate::common::{Project, row_text};

fn check(source: &str, csv: &str, types: &[DataType], rows: &[&str]) {
    let toml = format!("[source.rows]\npath = \"rows.csv\"\n{source}\n");
    let table = Project::new(&toml, &[("rows.csv", csv)])
        .open()
        .source_table("rows")
        .unwrap()
        .table;
    assert_eq!(
        table.iter().map(|(_, column)| column.data_type()).collect::<Vec<_>>(),
        types,
        "{csv}"
    );
    assert_eq!(
        (0..table.n_rows()).map(|row| row_text(&table, row)).collect::<Vec<_>>(),
        rows,
        "{csv}"
    );
}

#[test]
fn a_column_is_what_its_whole_text_allows() {
    use DataType::{Boolean, Double, Int64, String};
    check(
        "",
        "a,b,c,d\n1,1,true,x\n-2,2.5,FALSE,7\n",
        &[Int64, Double, Boolean, String],
        &["1,1,true,x", "-2,2.5,false,7"],
    );
    check("", "a,b\n1,\n ,x\n", &[Int64, String], &["1,-", "-,x"]);
    check("", "a,b\nNaN,\n1.5,\n", &[Double, Double], &["-,-", "1.5,-"]);
    check(
        "",
        "a\n99999999999999999999\n1\n",
        &[Double],
        &["100000000000000000000", "1"],
    );
    check("", "a\ninf\n1\n", &[String], &["inf", "1"]);
    let late = format!("a\n{}x\n", "1\n".repeat(5000));
    let project = Project::new("[source.rows]\npath = \"rows.csv\"\n", &[("rows.csv", &late)]);
    assert_eq!(
        project.open().source_schema("rows").unwrap(),
        [("a".to_owned(), String)],
        "also what comes late counts"
    );
}

#[test]
fn options_of_a_source_are_obeyed() {
    use DataType::{Int64, String, Timestamp};
    check(
        "separator = \";\"",
        "a;b\n1,5;\"x;y\"\n",
        &[String, String],
        &["1,5,x;y"],
    );
    check(
        "null_values = [\"unknown\", \"-9\"]",
        "a,b\n-9,\"unknown\"\n1,x\n",
        &[Int64, String],
        &["-,-", "1,x"],
    );
    check(
        "types = { a = \"string\" }",
        "a,b\n01234,1\n",
        &[String, Int64],
        &["01234,1"],
    );
    check(
        "types = { a = \"timestamp\" }",
        "a\n2011-06-11 08:26:00\n",
        &[Timestamp],
        &["2011-06-11T08:26:00Z"],
    );
    check(
        "columns = { c = \"a * 2\", d = \"c + 1\" }",
        "a\n3\n",
        &[Int64; 3],
        &["3,6,7"],
    );
    check("where = \"a > 1\"", "a\n1\n\n2\n3\n", &[Int64], &["2", "3"]);
    check(
        "columns = { \"odd name\" = '\"emp.var rate\" + 1' }",
        "emp.var rate\n3\n",
        &[Int64; 2],
        &["3,4"],
    );
}

#[test]
fn several_files_are_one_table_in_order_of_their_names() {
    let toml = "[source.rows]\npath = \"parts/*.csv\"\n";
    let files = [
        ("parts/b.csv", "a\n3\n4\n"),
        ("parts/a.csv", "a\n1\nx\n"),
        ("parts/a.txt", "no"),
    ];
    let table = Project::new(toml, &files).open().source_table("rows").unwrap();
    assert_eq!(
        (0..4).map(|row| row_text(&table.table, row)).collect::<Vec<_>>(),
        ["1", "x", "3", "4"]
    );
    assert_eq!(table.file_rows, [0, 1, 2, 3]);
}

#[test]
fn a_table_written_is_read_back() {
    let table = Table::new()
        .with("bool", Column::Bool(vec![Some(true), None]))
        .with("int", Column::Int(vec![Some(i64::MIN), None]))
        .with("float", Column::Float(vec![None, Some(-0.5)]))
        .with("text", Column::Str(vec![Some("ä,\"b".into()), None]))
        .with("time", Column::Time(vec![Some(Timestamp(-1)), None]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/rows.parquet");
    write_parquet(&path, &table).unwrap();
    assert_eq!(read_table(&path).unwrap(), table);
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "nothing is left beside it"
    );

    let csv = folder.path().join("rows.csv");
    std::fs::write(&csv, "a;b\n1;x\n").unwrap();
    let options = ReadOptions {
        separator: Some(b';'),
        types: vec![
            ("a".to_owned(), DataType::String),
            ("absent".to_owned(), DataType::Double),
        ],
        ..ReadOptions::default()
    };
    assert_eq!(
        read_table_with(&csv, &options).unwrap().column("a").unwrap().value(0),
        Value::text("1")
    );
    assert!(
        read_table(&folder.path().join("rows.json"))
            .unwrap_err()
            .to_string()
            .contains(".parquet")
    );
}
