//! The request log, read back with the Parquet reader.

use std::path::Path;
use std::time::Duration;

use foretell_features::Value;
use foretell_inference::testing::tiny_churn_package;
use foretell_serving::{Dependencies, LogLimits, PredictRequest, PredictService, RequestLog};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value as Json, json};

use crate::house::dependencies;

#[tokio::test]
async fn every_row_is_logged_with_its_inputs_and_their_status_and_age() {
    let folder = tempfile::tempdir().unwrap();
    let (service, log) = service(folder.path(), LogLimits::default()).await;
    let row = |name: &str| [("customer_id".to_owned(), Value::text(name))].into();
    let request = PredictRequest {
        request_id: Some("r-1".into()),
        ..PredictRequest::entities(vec![row("ann"), row("eve")])
    };
    let response = service.predict("churn", request).await.unwrap();
    assert_eq!(
        files(folder.path(), "parquet").len(),
        0,
        "a segment is in place when it is whole"
    );
    tokio::task::spawn_blocking(move || log.flush()).await.unwrap();
    let rows = rows(folder.path());
    assert_eq!(rows.len(), 2);
    let ann = &rows[0];
    assert_eq!(
        (ann["request_id"].as_str(), ann["model"].as_str()),
        (Some("r-1"), Some("churn"))
    );
    assert_eq!(
        (&ann["version"], &ann["row"], &rows[1]["row"]),
        (&json!(1), &json!(0), &json!(1))
    );
    assert_eq!(ann["digest"], json!(response.digest));
    assert_eq!(parsed(&ann["entity"]), json!({"customer_id": "ann"}));
    assert_eq!(
        parsed(&ann["inputs"])["orders_90d"],
        json!({"value": 5, "status": "PRESENT", "age": 86400.0})
    );
    assert_eq!(parsed(&ann["output"])["value"], json!(response.predictions[0].value));
    assert_eq!(rows[1]["inputs"], Json::Null);
    assert_eq!(parsed(&rows[1]["output"])["status"], "not_found");
    assert_eq!(files(folder.path(), "tmp"), [] as [String; 0]);
}

#[tokio::test]
async fn a_segment_is_closed_by_rows_and_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let limits = LogLimits {
        rows: 3,
        time: Duration::from_millis(100),
    };
    let (service, log) = service(folder.path(), limits).await;
    for _ in 0..4 {
        let row = [("customer_id".to_owned(), Value::text("ann"))].into();
        service
            .predict("churn", PredictRequest::entities(vec![row]))
            .await
            .unwrap();
    }
    for _ in 0..100 {
        if log.written() == 4 {
            assert_eq!(files(folder.path(), "parquet").len(), 2);
            assert_eq!(rows(folder.path()).len(), 4);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} of 4 rows are in place after two seconds", log.written());
}

#[tokio::test]
async fn what_has_no_room_is_dropped_and_counted_and_the_answer_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (service, log) = service(folder.path(), LogLimits::default()).await;
    let row = || [("customer_id".to_owned(), Value::text("ann"))].into();
    let many = (0..70_000).map(|_| row()).collect();
    let response = service.predict("churn", PredictRequest::entities(many)).await.unwrap();
    assert_eq!(response.predictions.len(), 70_000);
    assert_eq!(log.dropped(), 70_000);
    service
        .predict("churn", PredictRequest::entities(vec![row()]))
        .await
        .unwrap();
    assert_eq!(log.dropped(), 70_000, "what was dropped takes no room");
}

async fn service(folder: &Path, limits: LogLimits) -> (PredictService, RequestLog) {
    let log = RequestLog::open(folder, limits).unwrap();
    let (dependencies, _) = dependencies(&[tiny_churn_package()]).await;
    let dependencies = Dependencies {
        request_log: Some(log.clone()),
        ..dependencies
    };
    (PredictService::new(dependencies).await.unwrap(), log)
}

fn rows(folder: &Path) -> Vec<Json> {
    let mut rows = Vec::new();
    for name in files(folder, "parquet") {
        let file = std::fs::File::open(folder.join(name)).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let columns = row
                .get_column_iter()
                .map(|(name, field)| (name.clone(), json_of(field)));
            rows.push(Json::Object(columns.collect()));
        }
    }
    rows
}

fn json_of(field: &Field) -> Json {
    match field {
        Field::Null => Json::Null,
        Field::Str(it) => json!(it),
        Field::Long(it) | Field::TimestampMicros(it) => json!(it),
        other => panic!("no such type is logged: {other:?}"),
    }
}

fn parsed(text: &Json) -> Json {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

fn files(folder: &Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|it| it.ends_with(extension)).collect();
    names.sort();
    names
}
