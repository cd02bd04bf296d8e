//! Erasing an entity: which files change and how, what stays as it was, who stays hidden, and what a second run finds.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use foretell_features::{EntityFrame, ErasurePattern, ErasureReceipt, ErasureRequest, Offline as _};
use foretell_features_offline::{OfflineEngine, OfflineStore, read_table};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::common::{Project, at, key, refs, row_text};
use crate::materialize::{everything, nowhere, row};

const TOML: &str = r#"
[entity.who]
key = { who = "string", shop = "int64" }
[source.events]
path = "events/*.csv"
event_time = "at"
where = "x >= 0"
types = { who = "string" }
[source.zipped]
path = "zipped.csv.gz"
[source.nested]
path = "nested.parquet"
event_time = "at"
[source.other]
path = "other.csv"
[view.v]
entity = "who"
source = "events"
features = { x = "x", n = { count = "*" } }
"#;

/// Quotes over lines, blank ends, no end of line: all bytes of others stay.
const A: &str = "who,shop,at,x,note\r\nann,1,2024-01-01,1,\"a \"\"b\"\"\nc\"\r\nbob,1,2024-01-02,2,\r\nann,2,2024-01-03,-3,x\r\nbob,2,2024-01-04,4,\"z\"";
const B: &str = "who,shop,at,x,note\ncid,1,2024-01-01,5,\n";
const C: &str = "who,shop,at,x,note\nann,1,2024-01-09,6,\n";
const ZIPPED: &str = "who,shop,v\nann,1,1\nbob,1,2\n";
const NOW: &str = "2024-02-01";

struct House {
    project: Project,
    state: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let files = [
            ("events/a.csv", A),
            ("events/b.csv", B),
            ("events/c.csv", C),
            ("other.csv", "id\n7\n"),
        ];
        let project = Project::new(TOML, &files);
        let folder = project.folder.path();
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(ZIPPED.as_bytes()).unwrap();
        std::fs::write(folder.join("zipped.csv.gz"), zipped.finish().unwrap()).unwrap();
        write_nested(&folder.join("nested.parquet"));
        let state = tempfile::tempdir().unwrap();
        Self { project, state }
    }

    fn open(&self) -> OfflineStore {
        self.project.open().keeping(self.state.path())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.project.folder.path().join(name)
    }

    fn erase(&self, key: &[(&str, &str)], dry_run: bool) -> ErasureReceipt {
        let pattern = ErasurePattern::parse(key.iter().copied(), &self.project.definitions).unwrap();
        let request = ErasureRequest {
            pattern,
            at: at(NOW),
            dry_run,
        };
        self.open().erase(&request, Vec::new()).unwrap()
    }

    /// Every file of the data folder with its bytes.
    fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for folder in ["", "events"] {
            for entry in std::fs::read_dir(self.path(folder))
                .unwrap()
                .flatten()
                .filter(|it| it.path().is_file())
            {
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
        found
    }

    fn features(&self, who: &str) -> String {
        let frame = EntityFrame::new(vec![key(who)], vec![at("2024-03-01")]);
        row_text(&self.open().historical(&frame, &refs(&["v:*"]), &[]).unwrap(), 0)
    }
}

/// Eight-bit integers, a list and a dictionary text in two row groups: what a rewrite by way of plain columns would change.
const SCHEMA: &str = "message m {
    required int64 at (TIMESTAMP(MICROS,true));
    required binary who (STRING);
    optional int32 shop (INTEGER(8,true));
    optional group tags (LIST) { repeated group list { optional binary element (STRING); } }
}";

fn write_nested(path: &Path) {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(vec![KeyValue::new("maker".to_owned(), "test".to_owned())]));
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build())).unwrap();
    for group in [["ann", "bob", "ann"], ["bob", "bob", "cid"]] {
        let mut rows = writer.next_row_group().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[1, 2, 3], None, None).unwrap();
        column.close().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&group.map(ByteArray::from), None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column
            .typed::<Int32Type>()
            .write_batch(&[1, 2], Some(&[1, 1, 0]), None)
            .unwrap();
        column.close().unwrap();
        // ["p", null], null, ["q"]
        let mut column = rows.next_column().unwrap().unwrap();
        let values = [ByteArray::from("p"), ByteArray::from("q")];
        column
            .typed::<ByteArrayType>()
            .write_batch(&values, Some(&[3, 2, 0, 3]), Some(&[0, 1, 0, 0]))
            .unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

fn rows_of(path: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    reader
        .get_row_iter(None)
        .unwrap()
        .map(|it| it.unwrap().to_string())
        .collect()
}

#[test]
fn rows_of_the_entity_go_and_every_other_byte_and_type_stays() {
    let house = House::new();
    let (before, nested) = (house.bytes(), rows_of(&house.path("nested.parquet")));
    let receipt = house.erase(&[("who", "ann")], false);
    let files: Vec<_> = receipt
        .files
        .iter()
        .map(|it| (it.place.as_str(), it.rows, it.after.is_some()))
        .collect();
    assert_eq!(
        files,
        [
            ("source events", 2, true),
            ("source events", 1, false),
            ("source nested", 2, true),
            ("source zipped", 1, true)
        ]
    );
    assert_eq!(receipt.passed_over, ["source `other` has no column `who`"]);
    assert_eq!(receipt.rows(), 6);

    let text = std::fs::read_to_string(house.path("events/a.csv")).unwrap();
    assert_eq!(
        text,
        "who,shop,at,x,note\r\nbob,1,2024-01-02,2,\r\nbob,2,2024-01-04,4,\"z\""
    );
    assert!(!house.path("events/c.csv").exists(), "no row was left");
    let mut text = String::new();
    let zipped = std::fs::File::open(house.path("zipped.csv.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(zipped)
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "who,shop,v\nbob,1,2\n");
    for name in ["events/b.csv", "/other.csv"] {
        assert_eq!(house.bytes()[name], before[name], "{name} is not touched");
    }

    let path = house.path("nested.parquet");
    let others: Vec<String> = nested.into_iter().filter(|it| !it.contains("ann")).collect();
    assert_eq!(rows_of(&path), others);
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let file = reader.metadata().file_metadata();
    assert_eq!(*file.schema_descr().root_schema(), parse_message_type(SCHEMA).unwrap());
    assert!(file.key_value_metadata().unwrap().iter().any(|it| it.key == "maker"));
    assert_eq!(reader.num_row_groups(), 2);
    let kept = std::fs::read_to_string(house.state.path().join(format!("erasures/{}.json", receipt.id))).unwrap();
    assert!(!kept.contains("ann"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_online_store_forgets_the_entity_and_refuses_its_old_rows() {
    let house = House::new();
    let online = nowhere().await;
    let materialize = async || {
        let store = Arc::new(house.open());
        store.materialize(&online, &everything(NOW), &|_, _| {}).await.unwrap();
    };
    materialize().await;
    let pattern = ErasurePattern::parse([("who", "ann")], &house.project.definitions).unwrap();
    let erase = |dry_run| ErasureRequest {
        pattern: pattern.clone(),
        at: at(NOW),
        dry_run,
    };
    let engine = OfflineEngine::new(&house.open(), online.clone());
    let removed = |receipt: ErasureReceipt| receipt.online.iter().map(|it| it.entities).sum::<u64>();
    assert_eq!(removed(engine.erase(&erase(true)).await.unwrap()), 1);
    assert!(row(&online, "v", "ann,1", NOW).await.is_some());
    assert_eq!(removed(engine.erase(&erase(false)).await.unwrap()), 1);
    assert_eq!(row(&online, "v", "ann,1", NOW).await, None);
    std::fs::write(house.path("events/c.csv"), C).unwrap();
    materialize().await;
    assert_eq!(row(&online, "v", "ann,1", NOW).await, None, "an old file came back");
    assert_eq!(removed(engine.erase(&erase(false)).await.unwrap()), 0);
}

#[test]
fn a_part_of_the_key_means_all_keys_with_it_and_the_whole_key_only_that_one() {
    let cases = [
        (vec![("who", "ann")], ("-,0", "4,1")),
        (vec![("who", "ann"), ("shop", "2")], ("6,2", "4,1")),
        (vec![("shop", "2")], ("6,2", "-,0")),
    ];
    for (key, expected) in cases {
        let house = House::new();
        house.erase(&key, false);
        assert_eq!(
            (house.features("ann,1").as_str(), house.features("bob,2").as_str()),
            expected,
            "{key:?}"
        );
    }
}

#[test]
fn a_dry_run_changes_nothing_and_a_second_run_finds_nothing() {
    let house = House::new();
    let before = house.bytes();
    let dry = house.erase(&[("who", "ann")], true);
    assert_eq!((dry.rows(), house.bytes()), (6, before));
    assert!(!house.state.path().join("erased.json").exists());
    assert_eq!(house.features("ann,1"), "6,2");
    let first = house.erase(&[("who", "ann")], false);
    let second = house.erase(&[("who", "ann")], false);
    assert_eq!((first.rows(), second.rows(), second.files.len()), (6, 0, 0));
    assert_ne!(first.id, second.id, "the first receipt is kept");
}

#[test]
fn old_rows_that_come_back_stay_hidden_and_a_new_life_is_seen() {
    let house = House::new();
    house.erase(&[("who", "ann")], false);
    std::fs::write(house.path("events/c.csv"), C).unwrap();
    assert_eq!(house.features("ann,1"), "-,0", "an old file came back");
    let later = "who,shop,at,x,note\nann,1,2024-01-09,6,\nann,1,2024-02-02,9,\n";
    std::fs::write(house.path("events/c.csv"), later).unwrap();
    assert_eq!(house.features("ann,1"), "9,1");
    assert_eq!(house.features("bob,2"), "4,1");
    let parted = house.open().with_memory(1);
    let frame = EntityFrame::new(vec![key("ann,1")], vec![at("2024-03-01")]);
    assert_eq!(
        row_text(&parted.historical(&frame, &refs(&["v:*"]), &[]).unwrap(), 0),
        "9,1"
    );
}

#[test]
fn a_run_that_was_cut_off_is_completed_by_the_next() {
    let house = House::new();
    // What a killed run leaves: the tombstone, one file replaced, one half written.
    let whole = house.bytes();
    house.erase(&[("who", "ann")], false);
    for name in ["zipped.csv.gz", "nested.parquet"] {
        std::fs::write(house.path(name), &whole[&format!("/{name}")]).unwrap();
    }
    std::fs::write(house.path("events/.a.csv.erasing"), "who,sh").unwrap();
    let rest = house.erase(&[("who", "ann")], false);
    assert_eq!(rest.rows(), 3);
    assert_eq!(house.features("bob,2"), "4,1");
    assert_eq!(house.erase(&[("who", "ann")], false).rows(), 0);
}

#[test]
fn quarantined_rows_and_logged_requests_of_the_entity_go_too() {
    let house = House::new();
    let aside = house.state.path().join("quarantine/v/2024.parquet");
    let requests = house.state.path().join("requests/requests-1.parquet");
    let text = |rows: &[&str]| foretell_features::Column::Str(rows.iter().map(|it| Some((*it).into())).collect());
    let table = |name: &str, rows: &[&str]| foretell_features::Table::new().with(name, text(rows));
    foretell_features_offline::write_parquet(&aside, &table("who", &["ann", "bob"])).unwrap();
    let logged = [
        r#"{"who":"ann","shop":1}"#,
        r#"{"who":"bob","shop":1}"#,
        r#"{"series":"ann"}"#,
    ];
    foretell_features_offline::write_parquet(&requests, &table("entity", &logged)).unwrap();
    let receipt = house.erase(&[("who", "ann")], false);
    let places: Vec<_> = receipt
        .files
        .iter()
        .map(|it| it.place.as_str())
        .filter(|it| !it.starts_with("source"))
        .collect();
    assert_eq!(places, ["quarantine v", "requests"]);
    assert_eq!(read_table(&aside).unwrap().n_rows(), 1);
    assert_eq!(read_table(&requests).unwrap().n_rows(), 2);
}

#[test]
fn what_is_no_key_is_refused_with_the_nearest() {
    let house = House::new();
    let parse = |key: &[(&str, &str)]| ErasurePattern::parse(key.iter().copied(), &house.project.definitions);
    let cases: [(&[(&str, &str)], &str); 4] = [
        (
            &[("wo", "ann")],
            "`wo` is no key column of any entity; did you mean `who`?",
        ),
        (&[("shop", "one")], "`shop` is not int64. got=`one`"),
        (&[("shop", " ")], "`shop` is blank; a key is never null"),
        (&[], "say whom to erase, for example customer_id=C1"),
    ];
    for (key, expected) in cases {
        assert_eq!(parse(key).unwrap_err(), expected);
    }
}
