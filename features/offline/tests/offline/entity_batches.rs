//! What materialization reads: the rows of each entity, known by then, in order.

use std::collections::BTreeSet;

use foretell_features::{Column, DataType, Expression, Timestamp};
use foretell_features_offline::{EntityBatchSpec, OfflineStoreError};

use crate::common::{Project, at, key};

const SHOP: &str = r#"
[entity.customer]
key = { id = "int64" }
[source.orders]
path = "orders-*.csv"
event_time = "t"
known_time = "loaded"
columns = { amount = "price * units" }
where = "price > 0"
[view.orders]
entity = "customer"
source = "orders"
features = { spend = { sum = "amount", window = "9d" }, shop = { latest = "shop" } }
"#;

const FIRST: &str = "id,t,loaded,price,units,shop,unused
2,2024-01-02,2024-01-02,5,1,b,x
1,2024-01-03,2024-01-03,2,2,c,x
1,2024-01-01,2024-01-01,1,1,a,x
1,2024-01-02,2024-01-09,7,1,late,x
";

const SECOND: &str = "id,t,loaded,price,units,shop,unused
3,2024-01-09,2024-01-09,1,1,future,x
1,2024-01-03,2024-01-03,3,3,d,x
2,2024-01-01,2024-01-03,-1,1,refund,x
,2024-01-01,2024-01-01,1,1,nobody,x
";

/// Each entity as `key: shop amount @ day, ..`.
fn batches(only: Option<&str>, file: Option<&str>) -> Vec<String> {
    let project = Project::new(SHOP, &[("orders-1.csv", FIRST), ("orders-2.csv", SECOND)]);
    let store = project.open();
    let expressions = ["shop", "amount"].map(|it| Expression::parse(it).unwrap());
    let keys: Option<BTreeSet<_>> = only.map(|it| [key(it).unwrap()].into());
    let files: Option<BTreeSet<_>> = file.map(|name| {
        let all = store.source_files("orders").unwrap().into_iter();
        all.map(|it| it.path).filter(|it| it.ends_with(name)).collect()
    });
    let spec = EntityBatchSpec {
        view: "orders",
        to: at("2024-01-03"),
        expressions: &expressions,
        keys: keys.as_ref(),
        files: files.as_ref(),
    };
    let mut seen = Vec::new();
    let totals = store.for_each_entity_batch(&spec, |batch| {
        for entity in &batch.entities {
            let row = |row: usize| {
                let value = |at: usize| batch.columns[at].value(row);
                format!("{} {} @ {}", value(0), value(1), day(batch.times[row]))
            };
            let rows: Vec<String> = entity.rows.clone().map(row).collect();
            seen.push(format!("{}: {}", entity.key, rows.join(", ")));
        }
        Ok::<(), OfflineStoreError>(())
    });
    assert_eq!(totals.unwrap().entities, seen.len() as u64);
    seen
}

fn day(time: Timestamp) -> String {
    time.to_string()[8..10].to_owned()
}

#[test]
fn each_entity_comes_once_with_the_rows_known_by_then_oldest_first() {
    assert_eq!(
        batches(None, None),
        ["1: a 1 @ 01, c 4 @ 03, d 9 @ 03", "2: b 5 @ 02"],
        "learned of later, refused by `where`, without key or still to come: not there"
    );
    assert_eq!(batches(Some("2"), None), ["2: b 5 @ 02"]);
    assert_eq!(
        batches(None, Some("orders-2.csv")),
        ["1: d 9 @ 03"],
        "only the new file"
    );
}

#[test]
fn a_refusal_of_the_receiver_ends_it() {
    let project = Project::new(SHOP, &[("orders-1.csv", FIRST)]);
    let spec = EntityBatchSpec {
        view: "orders",
        to: at("2024-01-03"),
        expressions: &[],
        keys: None,
        files: None,
    };
    let stop = |_| {
        Err(OfflineStoreError::NoRows {
            reason: "enough".into(),
        })
    };
    let error = project.open().for_each_entity_batch(&spec, stop).unwrap_err();
    assert!(error.to_string().contains("enough"));
}

#[test]
fn inputs_are_the_file_columns_that_a_view_is_computed_from() {
    let project = Project::new(SHOP, &[("orders-1.csv", FIRST)]);
    let store = project.open();
    let inputs = store.input_types("orders").unwrap();
    let names: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "t", "loaded", "price", "units", "shop"]);
    assert_eq!(inputs[1].1, DataType::Timestamp);
    let files = store.source_files("orders").unwrap();
    assert_eq!((files.len(), files[0].size), (1, FIRST.len() as u64));
    assert!(matches!(
        store.source_table("orders").unwrap().column("unused"),
        Some(Column::Str(_))
    ));
}
