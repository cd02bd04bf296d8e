//! Rows added to a source through the engine, and read back with the files that were there.

use std::sync::Arc;

use foretell_features::{Column, DataType, Definitions, Offline, Table, Timestamp, Value};
use foretell_features_offline::{OfflineEngine, OfflineStore, write_parquet};
use foretell_features_online::{MemoryStore, OnlineFeatures};

const DEFINITIONS: &str = r#"
[source.orders]
path = "orders/part-*.parquet"
event_time = "at"
where = "amount > 0"
[source.one]
path = "one.parquet"
[source.text]
path = "text-*.csv"
"#;

fn column(data_type: DataType, values: &[Value]) -> Column {
    Column::from_values(data_type, values.iter().cloned()).unwrap()
}

fn rows(times: &[&str], amounts: &[f64]) -> Table {
    let times: Vec<Value> = times.iter().map(|it| Value::text(*it)).collect();
    let amounts: Vec<Value> = amounts.iter().map(|it| Value::Float(*it)).collect();
    Table::new()
        .with("amount", column(DataType::Double, &amounts))
        .with("at", column(DataType::Timestamp, &times))
}

fn store(root: &std::path::Path) -> OfflineStore {
    let definitions = Definitions::parse(&[("a.toml".into(), DEFINITIONS.to_owned())]).unwrap();
    OfflineStore::open(definitions, root).unwrap()
}

async fn engine(root: &std::path::Path) -> OfflineEngine {
    let online = OnlineFeatures::open(Arc::new(MemoryStore::new())).await.unwrap();
    OfflineEngine::new(&store(root), online)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_added_once_with_the_types_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_parquet(&root.join("orders/part-0.parquet"), &rows(&["2026-01-01"], &[1.5])).unwrap();
    write_parquet(&root.join("one.parquet"), &rows(&["2026-01-01"], &[1.5])).unwrap();
    let engine = engine(root).await;
    // As a request brings them: another order, whole numbers, times as text.
    let sent = Table::new()
        .with(
            "at",
            column(
                DataType::String,
                &[Value::text("2026-01-02T03:00:00+01:00"), Value::text("2026-01-03")],
            ),
        )
        .with("amount", column(DataType::Int64, &[Value::Int(7), Value::Int(-1)]));
    for _ in 0..2 {
        engine.append(&"orders".to_owned(), sent.clone()).await.unwrap();
    }
    let read = store(root).source_table("orders").unwrap().table;
    assert_eq!(
        read.n_rows(),
        2,
        "a retry adds nothing, and `where` holds for what is added"
    );
    assert_eq!(read.column("amount").unwrap().value(1), Value::Float(7.0));
    let time: Timestamp = "2026-01-02T02:00:00Z".parse().unwrap();
    assert_eq!(read.column("at").unwrap().value(1), Value::Time(time));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_added_is_refused_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_parquet(&root.join("orders/part-0.parquet"), &rows(&["2026-01-01"], &[1.5])).unwrap();
    write_parquet(&root.join("one.parquet"), &rows(&["2026-01-01"], &[1.5])).unwrap();
    let engine = engine(root).await;
    let text = |name: &str, value: &str| Table::new().with(name, column(DataType::String, &[Value::text(value)]));
    let good = rows(&["2026-01-02"], &[2.0]);
    let cases = [
        ("ordrs", good.clone(), "did you mean `orders`?"),
        ("one", good.clone(), "make its path one like `orders/*.parquet`"),
        ("text", good.clone(), "Parquet files only"),
        ("orders", text("amount", "2.0"), "the rows to add have no column `at`"),
        (
            "orders",
            good.clone().with("amuont", column(DataType::Int64, &[Value::Int(1)])),
            "did you mean `amount`?",
        ),
        (
            "orders",
            text("amount", "many").with("at", column(DataType::String, &[Value::text("2026-01-02")])),
            "column `amount`: row 0 is not double",
        ),
    ];
    for (source, rows, message) in cases {
        let error = engine.append(&source.to_owned(), rows).await.unwrap_err().to_string();
        assert!(error.contains(message), "expected `{message}` in `{error}`");
    }
    let files = std::fs::read_dir(root.join("orders")).unwrap().count();
    assert_eq!(files, 1, "nothing half-written stays");
}
