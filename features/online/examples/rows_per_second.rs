//! Rows per second into and out of the embedded store: `cargo run --release -p foretell-features-online --example rows_per_second`.

use std::time::Instant;

use foretell_features::row::KeyPart;
use foretell_features::{DataType, EntityKey, FeatureRow, Timestamp, Value};
use foretell_features_online::{FjallStore, OnlineError, OnlineStore};

const ROWS: i64 = 200_000;
const COLUMNS: usize = 20;

#[tokio::main]
async fn main() -> Result<(), OnlineError> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = FjallStore::open(folder.path())?;
    store
        .define(
            "wide",
            &(0..COLUMNS).map(|it| (format!("n{it}"), DataType::Int64)).collect(),
        )
        .await?;
    for round in 1..=2 {
        let rows = (0..ROWS).map(|it| (key(it), row(round, it))).collect();
        let start = Instant::now();
        store.put("wide", rows).await?;
        println!(
            "put, round {round}: {:.0} rows/s",
            ROWS as f64 / start.elapsed().as_secs_f64()
        );
    }
    let start = Instant::now();
    for it in 0..ROWS {
        store.get("wide", &[key(it * 7919 % ROWS)]).await?;
    }
    println!("get: {:.2} us", start.elapsed().as_secs_f64() * 1e6 / ROWS as f64);
    Ok(())
}

fn key(id: i64) -> EntityKey {
    EntityKey(vec![KeyPart::Int(id)])
}

fn row(at: i64, value: i64) -> FeatureRow {
    FeatureRow {
        event_time: Timestamp(at),
        known_time: None,
        values: vec![Value::Int(value); COLUMNS],
    }
}
