//! Files of any kind: damaged ones, and ones that are no models.

use std::collections::BTreeMap;

use foretell_features::FeatureMatrix;
use foretell_inference::import::{Source, import, sniff};
use proptest::prelude::*;

use crate::support::{check_refused, fixtures, read};

/// One change of a file, at a place between its start (0) and its end (1).
#[derive(Debug, Clone)]
enum Edit {
    Replace(u8),
    Insert(&'static str),
    Delete(usize),
    /// So many bytes again.
    Repeat(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let words = [
        "-1",
        "0",
        "9",
        "1e999",
        "NaN",
        "null",
        "4294967296",
        "[",
        "{",
        "\"",
        ",",
        " ",
        "\n",
        "=",
        "\u{e9}",
    ];
    prop_oneof![
        any::<u8>().prop_map(Edit::Replace),
        proptest::sample::select(words.to_vec()).prop_map(Edit::Insert),
        (1_usize..200).prop_map(Edit::Delete),
        (1_usize..200).prop_map(Edit::Repeat),
    ]
}

fn edited(mut bytes: Vec<u8>, edits: &[(f64, Edit)]) -> Vec<u8> {
    for (place, edit) in edits {
        let at = (place * bytes.len() as f64) as usize;
        let until = |length: usize| (at + length).min(bytes.len());
        match edit {
            Edit::Replace(byte) => bytes[at] = *byte,
            Edit::Insert(text) => drop(bytes.splice(at..at, text.bytes()).collect::<Vec<_>>()),
            Edit::Delete(length) => drop(bytes.drain(at..until(*length)).collect::<Vec<_>>()),
            Edit::Repeat(length) => {
                let again = bytes[at..until(*length)].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn a_file_changed_anywhere_is_a_model_or_an_error(
        which in proptest::sample::select(vec![
            "lightgbm/category_codes.txt", "lightgbm/multiclass.txt", "lightgbm/category_text.txt",
            "xgboost/category_text.json", "xgboost/vector_leaves.json", "xgboost/dart.json", "xgboost/linear.json",
            "xgboost/category_text_ubjson.ubj", "xgboost/vector_leaves_ubjson.ubj",
            "catboost/statistics_binary.json", "catboost/lossguide.json", "catboost/one_hot.json", "catboost/multiclass.json",
        ]),
        edits in proptest::collection::vec((0.0..1.0_f64, edit()), 1..4),
    ) {
        let bytes = edited(std::fs::read(fixtures(which)).unwrap(), &edits);
        if let Ok(imported) = read(bytes, which) {
            let row = FeatureMatrix::from_rows(imported.inputs.len(), vec![f64::NAN; imported.inputs.len()]);
            imported.predictor.predictor().predict(&row).unwrap();
        }
    }
}

#[test]
fn a_file_is_known_by_its_first_bytes_whatever_its_name() {
    let catboost_column = br#"{"features_info": {"float_features": [{"feature_id": "learner"}]}}"#;
    let xgboost_column = br#"{"learner": {"feature_names": ["features_info"]}}"#;
    let head = |file: &str| std::fs::read(fixtures(file)).unwrap()[..1_000].to_vec();
    let cases = [
        (head("lightgbm/binary.txt"), Some(Source::LightgbmText)),
        (head("xgboost/binary.json"), Some(Source::XgboostJson)),
        (head("xgboost/binary_ubjson.ubj"), Some(Source::XgboostUbjson)),
        (head("catboost/statistics.json"), Some(Source::CatboostJson)),
        (head("catboost/lossguide.json"), Some(Source::CatboostJson)),
        (catboost_column.to_vec(), Some(Source::CatboostJson)),
        (xgboost_column.to_vec(), Some(Source::XgboostJson)),
        (b"{\"weights\": []}".to_vec(), None),
        (b"{".to_vec(), None),
        (b"treetops".to_vec(), None),
        (Vec::new(), None),
    ];
    for (head, source) in cases {
        assert_eq!(sniff("model", &head), source, "{}", head.escape_ascii());
    }
}

#[test]
fn what_is_no_model_file_is_told_with_what_to_do() {
    let cases: [(&str, &[u8], &str); 6] = [
        ("model.pkl", b"\x80\x04\x95", "convert it to ONNX (skl2onnx)"),
        (
            "model.cbm",
            b"CBM1\x00\x00",
            "save_model(\"model.json\", format=\"json\")",
        ),
        ("model.bin", b"binf\x00\x00", "save_model(\"model.json\")"),
        ("notes.txt", b"dear all", "it is no model file that is known"),
        ("model.json", b"", "it is empty"),
        ("model.json", b"{\"a\": 1}", "it is no model file that is known"),
    ];
    for (file, bytes, reason) in cases {
        check_refused(file, bytes, reason);
    }
    let files = BTreeMap::from([("model.txt".to_owned(), Vec::new())]);
    let error = import(&files, "modle.txt").unwrap_err().to_string();
    assert!(
        error.ends_with("there is no such file; did you mean `model.txt`?"),
        "{error}"
    );
}
