use foretell_features::Value;
use serde::Deserialize;

use super::*;
use crate::manifest::Input;
use crate::preprocessing::Encoder;

/// What `tests/fixtures/make_sessions.py` wrote: onnxruntime's own answers in Python.
#[derive(Deserialize)]
struct Seen {
    rows: Vec<Vec<Value>>,
    answers: Vec<Vec<f64>>,
}

macro_rules! fixture {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../tests/fixtures/sessions/", $name, "/model.onnx")),
            include_bytes!(concat!("../../tests/fixtures/sessions/", $name, "/rows.json")),
        )
    };
}

const FIXTURES: [(&str, &[u8], &[u8]); 5] = [
    fixture!("pipeline_binary"),
    fixture!("svm_multiclass"),
    fixture!("neighbours_regression"),
    fixture!("bayes_whole_numbers"),
    fixture!("mixed_types"),
];

fn graph(name: &str) -> &'static [u8] {
    FIXTURES.iter().find(|it| it.0 == name).unwrap().1
}

/// Whether graphs can be run here; says so where they cannot.
fn has_runtime() -> bool {
    match runtime() {
        Ok(runtime) if !runtime.is_tract => true,
        Ok(_) => {
            println!("skipped: no ONNX Runtime library here, tract runs other graphs than these");
            false
        }
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

fn imported(name: &str) -> Imported {
    import("model.onnx", graph(name)).unwrap()
}

fn encoded(imported: &Imported, rows: &[Vec<Value>]) -> FeatureMatrix {
    let encodings = imported.inputs.iter().map(|it| it.encoding.clone()).collect();
    let input = |it: &ImportedInput| Input {
        name: it.name.clone(),
        data_type: it.data_type,
    };
    let inputs: Vec<Input> = imported.inputs.iter().map(input).collect();
    let encoder = Encoder { inputs: encodings }.compile(&inputs).unwrap();
    let mut x = FeatureMatrix::with_capacity(inputs.len(), rows.len());
    for row in rows {
        let mut buffer = vec![0.0; row.len()];
        encoder.encode_into(row, &mut buffer).unwrap();
        x.push_row(&buffer);
    }
    x
}

#[test]
fn any_graph_answers_what_onnxruntime_answers_in_python() {
    if !has_runtime() {
        return;
    }
    for (name, graph, seen) in FIXTURES {
        let imported = import("model.onnx", graph).unwrap();
        let seen: Seen = serde_json::from_slice(seen).unwrap();
        let x = encoded(&imported, &seen.rows);
        let got = imported.predictor.predictor().predict(&x).unwrap();
        let expected: Vec<f64> = seen.answers.into_iter().flatten().collect();
        assert_eq!(got.len(), expected.len(), "{name}");
        for (got, expected) in got.iter().zip(&expected) {
            let close = (got - expected).abs() <= 1e-6 * expected.abs().max(1e-3);
            assert!(close, "{name}: {got} is not {expected}");
        }
        let alone = imported
            .predictor
            .predictor()
            .predict(&FeatureMatrix::from_rows(x.n_columns(), x.row(7).to_vec()))
            .unwrap();
        let of = alone.len();
        for (alone, among) in alone.iter().zip(&got[7 * of..8 * of]) {
            assert!(
                (alone - among).abs() <= 1e-6 * among.abs().max(1e-3),
                "{name}: {alone} alone, {among} among others"
            );
        }
    }
}

#[test]
fn tasks_classes_and_inputs_are_told_from_the_graph() {
    if !has_runtime() {
        return;
    }
    let cases = [
        (
            "pipeline_binary",
            Task::BinaryClassification,
            "0 1",
            "plan city age spend visits",
        ),
        (
            "svm_multiclass",
            Task::MulticlassClassification,
            "high low middle",
            "f0 f1 f2 f3",
        ),
        ("neighbours_regression", Task::Regression, "", "f0 f1 f2"),
        ("bayes_whole_numbers", Task::BinaryClassification, "3 7", "f0 f1 f2"),
        (
            "mixed_types",
            Task::MulticlassClassification,
            "0 1 2",
            "number count small flag flat",
        ),
    ];
    for (name, task, classes, inputs) in cases {
        let got = imported(name);
        let names: Vec<&str> = got.inputs.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(
            (got.task, got.classes.join(" "), names.join(" ")),
            (task, classes.to_owned(), inputs.to_owned()),
            "{name}"
        );
        assert_eq!(got.outputs_are_probabilities, task != Task::Regression, "{name}");
    }
    let texts = &imported("pipeline_binary").inputs[0];
    let InputEncoding::Category { categories } = &texts.encoding else {
        panic!("{texts:?}")
    };
    assert!(
        ["basic", "gold", "pro"]
            .iter()
            .all(|it| categories.iter().any(|had| had == it)),
        "{categories:?}"
    );
}

#[test]
fn its_files_read_back_and_answer_the_same() {
    if !has_runtime() {
        return;
    }
    for (name, graph, seen) in FIXTURES {
        let imported = import("model.onnx", graph).unwrap();
        let first = imported.predictor.predictor();
        let more = first.more_files();
        let again = Session::from_files(&first.to_file().1, &more[0].1).unwrap();
        let x = encoded(&imported, &serde_json::from_slice::<Seen>(seen).unwrap().rows);
        assert_eq!(again.predict(&x).unwrap(), first.predict(&x).unwrap(), "{name}");
    }
}

#[test]
fn a_package_of_a_graph_loads_and_answers_the_same() {
    if !has_runtime() {
        return;
    }
    for (name, graph, seen) in FIXTURES {
        let imported = import("model.onnx", graph).unwrap();
        let seen: Seen = serde_json::from_slice(seen).unwrap();
        let expected: Vec<f64> = imported
            .predictor
            .predictor()
            .predict(&encoded(&imported, &seen.rows))
            .unwrap();
        let n_outputs = imported.predictor.predictor().n_outputs();
        let arrival = crate::packaging::Arrival {
            model: name.to_owned(),
            file: "model.onnx".to_owned(),
            sha256: crate::packaging::sha256(graph),
            at: foretell_features::Timestamp(0),
            seed: 1,
        };
        let model = crate::Model::load(&crate::packaging::package(imported, &arrival).unwrap()).unwrap();
        let got = model
            .predict_rows(&seen.rows, crate::PredictOptions::default())
            .unwrap();
        for (got, expected) in got.into_iter().zip(expected.chunks(n_outputs)) {
            let greatest = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(
                (got.unwrap().value - greatest).abs() < 1e-6 * greatest.abs().max(1e-3),
                "{name}"
            );
        }
    }
}

#[test]
fn many_threads_share_one_session() {
    if !has_runtime() {
        return;
    }
    let imported = imported("svm_multiclass");
    let predictor = imported.predictor.predictor();
    let x = crate::testing::random_rows(4, 16, 3);
    let x = FeatureMatrix::from_rows(
        4,
        x.values()
            .iter()
            .map(|it| if it.is_nan() { 0.0 } else { *it })
            .collect(),
    );
    let expected = predictor.predict(&x).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(predictor.predict(&x).unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn reasons_are_sampled_against_the_background() {
    if !has_runtime() {
        return;
    }
    let [graph, plan] = {
        let imported = imported("neighbours_regression");
        let predictor = imported.predictor.predictor();
        [predictor.to_file().1, predictor.more_files()[0].1.clone()]
    };
    let mut session = Session::from_files(&graph, &plan).unwrap();
    let x = FeatureMatrix::from_rows(3, (0..30).map(|it| f64::from(it % 7) - 3.0).collect());
    assert!(
        session
            .contributions(&x, 0, 0)
            .unwrap_err()
            .to_string()
            .contains("no `background.json`")
    );
    session.explain_against(Background::new(x.clone()).unwrap()).unwrap();
    let sum: f64 = session.contributions(&x, 4, 0).unwrap().iter().sum();
    let score = session.predict(&x).unwrap()[4];
    assert!((sum - score).abs() < 1e-6 * score.abs(), "{sum} {score}");
}

#[test]
fn missing_whole_numbers_and_wrong_widths_are_refused_in_a_sentence() {
    if !has_runtime() {
        return;
    }
    let imported = imported("bayes_whole_numbers");
    let cases = [
        (
            vec![1.0, f64::NAN, 2.0],
            "input `x`: it takes whole numbers, which cannot be missing",
        ),
        (vec![1.0, 0.5, 2.0], "got=`0.5`"),
        (vec![1.0, 1e300, 2.0], "it takes whole numbers"),
        (vec![1.0, 2.0], "a row has 2 columns, the graph takes 3"),
    ];
    for (row, expected) in cases {
        let x = FeatureMatrix::from_rows(row.len(), row);
        let error = imported.predictor.predictor().predict(&x).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_row_that_no_tensor_holds_leaves_the_others_unharmed() {
    if !has_runtime() {
        return;
    }
    let imported = imported("bayes_whole_numbers");
    let predict = |rows: &[f64]| {
        imported
            .predictor
            .predictor()
            .predict(&FeatureMatrix::from_rows(3, rows.to_vec()))
            .unwrap()
    };
    let got = predict(&[1.0, 2.0, 3.0, 1.0, f64::NAN, 2.0, 5.0, 4.0, 3.0]);
    let alone = predict(&[5.0, 4.0, 3.0]);
    assert!(
        got[0].is_finite() && got[1].is_nan() && (got[2] - alone[0]).abs() < 1e-6,
        "{got:?} {alone:?}"
    );
}

#[test]
fn plans_that_do_not_fit_the_graph_are_refused() {
    if !has_runtime() {
        return;
    }
    let graph = graph("mixed_types");
    let imported = imported("mixed_types");
    let plan = String::from_utf8(imported.predictor.predictor().more_files()[0].1.clone()).unwrap();
    let cases = [
        ("\"format\": 1", "\"format\": 2", "format 2"),
        ("\"int64\"", "\"double\"", "does not describe the graph's inputs"),
        ("\"width\": 1", "\"width\": 18446744073709551615", "does not describe"),
        ("\"count\"", "\"cuont\"", "does not describe"),
        ("\"output\": \"out\"", "\"output\": \"in\"", "no output `in`"),
        ("\"output\": \"out\"", "\"output\": \"out\", \"only\": 3", "no number 3"),
    ];
    for (from, to, expected) in cases {
        assert!(plan.contains(from), "{plan}");
        let error = Session::from_files(graph, plan.replacen(from, to, 1).as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
}

/// Bytes of a message's field that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
}

#[test]
fn graphs_that_ask_for_files_or_libraries_are_refused_before_they_run() {
    let foreign = [
        graph("mixed_types"),
        &field(8, &[&field(1, b"my.company")[..], &[2 << 3, 1]].concat()),
    ]
    .concat();
    let error = import("model.onnx", &foreign).unwrap_err().to_string();
    assert!(error.contains("operators of `my.company`"), "{error}");
    // A constant whose numbers lie in another file: `external_data` and `data_location = EXTERNAL`.
    let tensor = [
        &field(8, b"far")[..],
        &field(13, &[&field(1, b"location")[..], &field(2, b"/etc/passwd")].concat()),
        &[14 << 3, 1],
    ]
    .concat();
    let more = field(7, &field(5, &tensor));
    let error = import("model.onnx", &merged(graph("mixed_types"), &more))
        .unwrap_err()
        .to_string();
    assert!(error.contains("lie in files beside it"), "{error}");
}

/// The model with this graph's parts added to its own: in protobuf the last graph counts, so both are put into one.
fn merged(model: &[u8], more: &[u8]) -> Vec<u8> {
    let (mut at, mut out) = (0, Vec::new());
    let varint = |mut at: usize| {
        let (mut value, mut shift) = (0_usize, 0);
        loop {
            value |= usize::from(model[at] & 127) << shift;
            (at, shift) = (at + 1, shift + 7);
            if model[at - 1] < 128 {
                return (value, at);
            }
        }
    };
    while at < model.len() {
        let (key, after) = varint(at);
        let (value, after) = varint(after);
        let end = if key & 7 == 2 { after + value } else { after };
        if key >> 3 == 7 {
            let graph = [&model[after..end], &more[2..]].concat();
            let length = graph.len();
            out.extend([7 << 3 | 2, (length & 127) as u8 | 128, (length >> 7) as u8]);
            out.extend(graph);
        } else {
            out.extend(&model[at..end]);
        }
        at = end;
    }
    out
}

#[test]
fn graphs_cut_short_are_refused() {
    let graph = graph("mixed_types");
    for at in 0..graph.len() {
        assert!(import("model.onnx", &graph[..at]).is_err(), "cut at {at}");
    }
}
