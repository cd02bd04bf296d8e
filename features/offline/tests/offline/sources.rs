//! Where rows come from: folders, several files, columns of other names, more rows than fit into memory.

use foretell_features::{Column, EntityFrame, Table, Timestamp};
use foretell_features_offline::{OfflineStore, read_table, write_parquet};

use crate::common::{Project, at, definitions, key, refs, row_text};

const WEATHER: &str = r#"
[entity.place]
key = { location_id = "int64" }
[source.weather]
path = "weather"
format = "FORMAT"
rename = { id = "location_id", col = "temp" }
[view.weather]
entity = "place"
source = "weather"
latest = "*"
"#;

/// The temperatures of places 1, 2 and 3.
fn temperatures(store: &OfflineStore, places: [&str; 3]) -> Vec<String> {
    let frame = EntityFrame::new(places.map(key).to_vec(), vec![at("2024-01-01"); 3]);
    let table = store.historical(&frame, &refs(&["weather:temp"]), &[]).unwrap();
    (0..3).map(|row| row_text(&table, row)).collect()
}

#[test]
fn a_folder_is_all_files_of_its_format_and_columns_have_the_names_given() {
    let files = [
        ("weather/a.csv", "id,col\n1,5\n"),
        ("weather/2024/b.csv", "col,id\n6,2\n"),
        ("weather/_partial.csv", "id,col\n9,9\n"),
        ("weather/notes.txt", "no"),
    ];
    let project = Project::new(&WEATHER.replace("FORMAT", "csv"), &files);
    let store = project.open();
    assert_eq!(temperatures(&store, ["1", "2", "3"]), ["5", "6", "-"]);
    let paths: Vec<_> = store
        .source_files("weather")
        .unwrap()
        .into_iter()
        .map(|it| it.path)
        .collect();
    let root = project.folder.path();
    assert_eq!(paths, [root.join("weather/2024/b.csv"), root.join("weather/a.csv")]);

    let project = Project::new(
        &WEATHER.replace("FORMAT", "parquet"),
        &[("weather/a.csv", "id,col\n1,5\n")],
    );
    let error = OfflineStore::open(project.definitions.clone(), project.folder.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no file of the source's format"), "{error}");
}

/// C16 of the reference: one view joined under two key names, origin and destination.
#[test]
fn one_view_is_joined_by_two_columns() {
    let project = Project::new(
        &WEATHER.replace("FORMAT", "csv"),
        &[("weather/a.csv", "id,col\n1,5\n2,6\n")],
    );
    let store = project.open();
    assert_eq!(temperatures(&store, ["1", "1", "1"]), ["5", "5", "5"], "by origin");
    assert_eq!(temperatures(&store, ["2", "2", "2"]), ["6", "6", "6"], "by destination");
}

/// A table of `rows` events of 100 entities, one a second.
fn events(rows: i64, first: i64) -> Table {
    let all = || first..first + rows;
    Table::new()
        .with("k", Column::Int(all().map(|it| Some(it * 7919 % 100)).collect()))
        .with(
            "t",
            Column::Time(all().map(|it| Some(Timestamp(it * 1_000_000))).collect()),
        )
        .with("v", Column::Int(all().map(|it| (it % 5 != 0).then_some(it)).collect()))
        .with(
            "text",
            Column::Str(all().map(|it| (it % 3 != 0).then(|| format!("n{it}").into())).collect()),
        )
        .with(
            "flag",
            Column::Bool(all().map(|it| (it % 4 != 0).then_some(it % 2 == 0)).collect()),
        )
        .with("unused", Column::Float(all().map(|it| Some(it as f64)).collect()))
}

#[test]
fn files_read_by_projection_and_in_parts_give_what_they_give_whole() {
    let toml = r#"
        [entity.k]
        key = { k = "int64" }
        [source.rows]
        path = "rows/*.parquet"
        event_time = "t"
        columns = { twice = "v * 2" }
        where = "v IS NULL OR v % 11 <> 0"
        [view.rows]
        entity = "k"
        source = "rows"
        max_age = "200s"
        [view.rows.features]
        v = { latest = "twice" }
        text = { latest = "text" }
        flag = { latest = "flag" }
        when = { latest = "t" }
        n = { count = "*", window = "300s", hop = "exact" }
        sum = { sum = "twice", where = "flag", window = "300s", hop = "exact" }
    "#;
    let project = Project::new(toml, &[]);
    for file in 0..3 {
        let path = project.folder.path().join(format!("rows/{file}.parquet"));
        write_parquet(&path, &events(1000, file * 1000)).unwrap();
    }
    let keys = (0..500).map(|row| key(&(row % 105).to_string()));
    let times = (0..500).map(|row| Timestamp(row * 7_000_000));
    let frame = EntityFrame::new(keys.collect(), times.collect());
    let answers = |store: OfflineStore| store.historical(&frame, &refs(&["rows:*"]), &[]).unwrap();
    let whole = answers(project.open());
    assert_eq!(whole.n_rows(), 500);
    assert_eq!(
        row_text(&whole, 150),
        "-,n955,false,1970-01-01T00:15:55Z,3,0",
        "the newest row has a null"
    );
    for memory in [1, 10_000, 60_000] {
        assert_eq!(answers(project.open().with_memory(memory)), whole, "{memory} bytes");
    }
}

#[test]
fn temporary_files_go_with_the_store_also_after_a_failure() {
    let toml = r#"
        [entity.k]
        key = { k = "int64" }
        [source.rows]
        path = "rows.csv"
        event_time = "t"
        types = { v = "int64" }
        [view.rows]
        entity = "k"
        source = "rows"
        features = { v = { latest = "v" } }
    "#;
    let folder = tempfile::tempdir().unwrap();
    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    let open = |project: &Project| project.open().with_memory(1).with_temporary(folder.path());
    let frame = EntityFrame::new(vec![key("1")], vec![at("2024-01-02")]);

    let good = Project::new(toml, &[("rows.csv", "k,t,v\n1,2024-01-01,5\n")]);
    let store = open(&good);
    let table = store.historical(&frame, &refs(&["rows:v"]), &[]).unwrap();
    assert_eq!(
        (row_text(&table, 0).as_str(), left()),
        ("5", 1),
        "the rows lie in temporary files"
    );
    drop(store);
    assert_eq!(left(), 0, "gone with the store");

    let bad = Project::new(toml, &[("rows.csv", "k,t,v\n1,2024-01-01,5\n2,2024-01-01,many\n")]);
    let store = open(&bad);
    let error = store
        .historical(&frame, &refs(&["rows:v"]), &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("row 1") && error.contains("many"), "{error}");
    assert_eq!(left(), 0, "nothing is left of a failure");
}

#[test]
fn a_table_file_is_read_whole_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Rows.CSV.gz");
    std::fs::write(&path, "a,b\n1,x\n").unwrap();
    assert_eq!(
        row_text(&read_table(&path).unwrap(), 0),
        "1,x",
        "plain text under another name"
    );
    assert!(
        definitions("[source.a]\npath = \"x\"\nformat = \"csv\"\n")
            .sources
            .contains_key("a")
    );
}
