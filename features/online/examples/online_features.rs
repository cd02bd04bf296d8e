//! What the embedded store costs, beside what fjall alone costs for the same bytes, in one run:
//! `cargo run --release -p foretell-features-online --example online_features`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use fjall::{Database, KeyspaceCreateOptions};
use foretell_features::row::KeyPart;
use foretell_features::{DataType, Definitions, EntityKey, FeatureRow, Timestamp, Value, ViewDefinition};
use foretell_features_online::{FjallStore, MaterializedEntity, OnlineFeatures, OnlineView, SourceRows, codec, record};

const ENTITIES: i64 = 200_000;
const COLUMNS: usize = 50;
const READS: usize = 20_000;
const DAY: i64 = 86_400_000_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let features = OnlineFeatures::open(Arc::new(FjallStore::open(folder.path().join("ours"))?)).await?;
    let database = Database::builder(folder.path().join("bare")).open()?;
    let bare = database.keyspace("rows", KeyspaceCreateOptions::default)?;

    let view = define(&features, "values", &latest_toml()).await?;
    let ingested = ingest(&bare)?;
    for round in ["first", "again"] {
        let materialized = materialize(&features, &view, round == "again").await?;
        println!(
            "materialize {ENTITIES} entities x {COLUMNS} values, {round}: {:.0} entities/s; fjall's bulk ingestion of the same bytes {:.0}/s, ratio {:.2}",
            ENTITIES as f64 / materialized,
            ENTITIES as f64 / ingested,
            materialized / ingested
        );
    }

    let wanted = view.project_all();
    let mut ours = Vec::new();
    let mut alone = Vec::new();
    // A thousand entities that are asked for again and again: their blocks are in both caches.
    for turn in 0..READS {
        let id = key(turn as i64 * 7919 % 1000 * 100);
        let start = Instant::now();
        let bytes = bare.get(stored(&id))?.context("the row was written")?;
        let row = codec::decode(
            &view.plan.latest,
            record::parts(&bytes).ok().and_then(|it| it.latest).unwrap_or_default(),
        );
        alone.push(start.elapsed());
        assert_eq!(row.map(|it| it.values.len()), Ok(COLUMNS));
        let start = Instant::now();
        let read = features
            .read(&view, std::slice::from_ref(&id), &wanted, Timestamp(2))
            .await?;
        ours.push(start.elapsed());
        assert_eq!(read.reads.len(), COLUMNS);
    }
    let (ours, alone) = (p50(&mut ours), p50(&mut alone));
    println!(
        "read 1 entity x {COLUMNS} latest values: p50 {ours:.2} us; fjall get and decode {alone:.2} us, ratio {:.2}",
        ours / alone
    );

    let sliding = define(&features, "windows", &windows_toml()).await?;
    for events in [300, 3000] {
        let rows = SourceRows {
            columns: ["id", "at", "a", "b", "c", "d"].map(str::to_owned).into(),
            rows: (0..events).map(|it| event(it, events)).collect(),
        };
        features.push("windows", &rows, Timestamp(400 * DAY)).await?;
        let mut times = Vec::new();
        let wanted = sliding.project_all();
        let who = [EntityKey(vec![KeyPart::Int(events)])];
        for turn in 0..READS {
            let at = Timestamp(400 * DAY + turn as i64 * 1_000_000);
            let start = Instant::now();
            let read = features.read(&sliding, &who, &wanted, at).await?;
            times.push(start.elapsed());
            assert_eq!(read.reads.len(), 50);
        }
        println!(
            "read 50 sliding windows of an entity with {events} events: p50 {:.2} us",
            p50(&mut times)
        );
    }
    Ok(())
}

/// Seconds for fjall's own bulk ingestion of the very bytes that a materialization stores.
fn ingest(bare: &fjall::Keyspace) -> Result<f64> {
    let mut rows: Vec<(Vec<u8>, Vec<u8>)> = (0..ENTITIES).map(|id| (stored(&key(id)), bytes(id))).collect();
    rows.sort();
    let start = Instant::now();
    let mut tables = bare.start_ingestion()?;
    for (key, bytes) in rows {
        tables.write(key, bytes)?;
    }
    tables.finish()?;
    Ok(start.elapsed().as_secs_f64())
}

async fn materialize(features: &OnlineFeatures, view: &OnlineView, again: bool) -> Result<f64> {
    let batches: Vec<Vec<MaterializedEntity>> = (0..ENTITIES)
        .collect::<Vec<_>>()
        .chunks(65_536)
        .map(|ids| ids.iter().map(|id| entity(*id, again)).collect())
        .collect();
    let start = Instant::now();
    for batch in batches {
        features.replace(view, batch, Timestamp(3)).await?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn entity(id: i64, again: bool) -> MaterializedEntity {
    MaterializedEntity {
        key: key(id),
        latest: Some(FeatureRow {
            event_time: Timestamp(1 + i64::from(again)),
            ..row(id)
        }),
        events: Vec::new(),
    }
}

fn bytes(id: i64) -> Vec<u8> {
    record::encode(Timestamp(1), Some(&codec::encode(&row(id))), None)
}

fn row(id: i64) -> FeatureRow {
    FeatureRow {
        event_time: Timestamp(1),
        known_time: None,
        values: (0..COLUMNS)
            .map(|it| Value::Float((id * 31 + it as i64) as f64 / 7.0))
            .collect(),
    }
}

fn event(at: i64, of: i64) -> Vec<Value> {
    let number = |it: i64| Value::Float((at * it % 101) as f64 / 3.0);
    let time = Value::Time(Timestamp(at * 399 * DAY / of));
    vec![
        Value::Int(of),
        time,
        number(3),
        number(5),
        number(7),
        Value::Int(at % 11),
    ]
}

fn key(id: i64) -> EntityKey {
    EntityKey(vec![KeyPart::Int(id)])
}

/// The store's own form of a key.
fn stored(key: &EntityKey) -> Vec<u8> {
    [vec![b'k'], key.encode()].concat()
}

async fn define(features: &OnlineFeatures, view: &str, toml: &str) -> Result<Arc<OnlineView>> {
    let definitions = Definitions::parse(&[(PathBuf::from("example.toml"), toml.to_owned())])?;
    let double = |it: &str| (it.to_owned(), DataType::Double);
    let mut inputs = vec![
        ("id".to_owned(), DataType::Int64),
        ("at".to_owned(), DataType::Timestamp),
    ];
    match view {
        "windows" => {
            inputs.extend(["a", "b", "c"].map(double));
            inputs.push(("d".to_owned(), DataType::Int64));
        }
        _ => inputs.extend((0..COLUMNS).map(|it| double(&format!("v{it}")))),
    }
    let definition = ViewDefinition::of(&definitions, view, inputs).context("the view is defined")?;
    Ok(features.define(&definition).await?)
}

fn latest_toml() -> String {
    let names: Vec<String> = (0..COLUMNS).map(|it| format!("\"v{it}\"")).collect();
    toml("values", &format!("latest = [{}]", names.join(", ")))
}

/// Five aggregates over ten windows each.
fn windows_toml() -> String {
    let kinds = [
        "count = \"*\"",
        "sum = \"a\"",
        "mean = \"b\"",
        "max = \"c\"",
        "sum = \"d\", where = \"a > 10\"",
    ];
    let windows = ["1h", "6h", "1d", "3d", "7d", "14d", "30d", "90d", "180d", "365d"];
    let features = kinds
        .iter()
        .enumerate()
        .flat_map(|(at, kind)| windows.map(|window| format!("f{at}_{window} = {{ {kind}, window = \"{window}\" }}")));
    let features: Vec<String> = features.collect();
    toml("windows", &format!("[view.windows.features]\n{}", features.join("\n")))
}

fn toml(name: &str, features: &str) -> String {
    format!(
        "[entity.id]\nkey = {{ id = \"int64\" }}\n[source.{name}]\npath = \"x.parquet\"\nevent_time = \"at\"\n[view.{name}]\nentity = \"id\"\nsource = \"{name}\"\n{features}\n"
    )
}

fn p50(times: &mut [std::time::Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
