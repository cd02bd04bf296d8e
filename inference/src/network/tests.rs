use foretell_features::Value;
use serde::Deserialize;

use super::*;
use crate::import::import;
use crate::preprocessing::Encoder;

/// What `tests/fixtures/make_networks.py` wrote: PyTorch's own answers.
#[derive(Deserialize)]
struct Seen {
    rows: Vec<Vec<Value>>,
    /// Before the link, in float64.
    raw: Vec<Vec<f64>>,
    /// After it.
    answers: Vec<Vec<f64>>,
    /// Before the link, in float32.
    #[cfg_attr(not(feature = "neural"), expect(dead_code, reason = "float32 is candle's"))]
    float32: Vec<Vec<f64>>,
}

macro_rules! fixture {
    ($name:literal) => {
        (
            $name,
            [
                include_bytes!(concat!("../../tests/fixtures/networks/", $name, "/network.json")),
                include_bytes!(concat!("../../tests/fixtures/networks/", $name, "/network.safetensors")),
                include_bytes!(concat!("../../tests/fixtures/networks/", $name, "/rows.json")),
            ],
        )
    };
}

const FIXTURES: [(&str, [&[u8]; 3]); 6] = [
    fixture!("mlp_binary"),
    fixture!("mlp_multiclass"),
    fixture!("resnet_regression"),
    fixture!("resnet_missing"),
    fixture!("embeddings_binary"),
    fixture!("half_two_outputs"),
];

fn fixture(name: &str) -> [&'static [u8]; 3] {
    FIXTURES.iter().find(|it| it.0 == name).unwrap().1
}

fn network(name: &str) -> Network {
    let [architecture, weights, _] = fixture(name);
    Network::from_files(architecture, weights).unwrap()
}

fn encoded(imported: &Imported, rows: &[Vec<Value>]) -> FeatureMatrix {
    let encodings = imported.inputs.iter().map(|it| it.encoding.clone()).collect();
    let inputs = imported.inputs.iter().map(|it| crate::manifest::Input {
        name: it.name.clone(),
        data_type: it.data_type,
    });
    let encoder = Encoder { inputs: encodings }
        .compile(&inputs.collect::<Vec<_>>())
        .unwrap();
    let mut x = FeatureMatrix::with_capacity(imported.inputs.len(), rows.len());
    for row in rows {
        let mut buffer = vec![0.0; row.len()];
        encoder.encode_into(row, &mut buffer).unwrap();
        x.push_row(&buffer);
    }
    x
}

/// The greatest difference, relative to numbers above 1.
fn off(got: &[f64], expected: &[Vec<f64>]) -> f64 {
    let expected: Vec<f64> = expected.iter().flatten().copied().collect();
    assert_eq!(got.len(), expected.len());
    let off = got
        .iter()
        .zip(&expected)
        .map(|(got, expected)| (got - expected).abs() / expected.abs().max(1.0));
    off.fold(0.0, |a, b| if b <= a { a } else { b })
}

#[test]
fn networks_of_pytorch_answer_what_pytorch_answers() {
    for (name, [architecture, weights, seen]) in FIXTURES {
        let files = [(NETWORK_FILE, architecture), ("model.safetensors", weights)];
        let files = files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into();
        let imported = import(&files, "model.safetensors").unwrap();
        let seen: Seen = serde_json::from_slice(seen).unwrap();
        let x = encoded(&imported, &seen.rows);
        let mut raw = imported.predictor.predictor().predict(&x).unwrap();
        let far = off(&raw, &seen.raw);
        assert!(far <= 1e-9, "{name}: {far:e}");
        let n_outputs = imported.predictor.predictor().n_outputs();
        raw.chunks_exact_mut(n_outputs)
            .for_each(|row| imported.predictor.link().apply_all(row));
        let far = off(&raw, &seen.answers);
        assert!(far <= 1e-9, "{name}, answers: {far:e}");
    }
}

#[cfg(feature = "neural")]
#[test]
fn candle_computes_the_same_in_float64_and_as_pytorch_in_float32() {
    for (name, [architecture, weights, seen]) in FIXTURES {
        let files = [(NETWORK_FILE, architecture), ("model.safetensors", weights)];
        let files = files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into();
        let x = encoded(
            &import(&files, "model.safetensors").unwrap(),
            &serde_json::from_slice::<Seen>(seen).unwrap().rows,
        );
        let seen: Seen = serde_json::from_slice(seen).unwrap();
        let with = |precision| {
            let network = Network::from_files(architecture, weights).unwrap();
            CandleNetwork::new(network, Device::Cpu, precision)
                .unwrap()
                .predict(&x)
                .unwrap()
        };
        let (double, single) = (
            off(&with(Precision::Double), &seen.raw),
            off(&with(Precision::Single), &seen.float32),
        );
        let lost = off(&with(Precision::Single), &seen.raw);
        println!("{name}: float64 {double:.1e}, float32 {single:.1e} of PyTorch's float32, {lost:.1e} of its float64");
        assert!(double <= 1e-9, "{name}: {double:e}");
        assert!(single <= 2e-5 && lost <= 2e-5, "{name}: {single:e} {lost:e}");
    }
}

#[test]
fn a_row_answers_the_same_alone_and_among_others() {
    for (name, _) in FIXTURES {
        let network = network(name);
        let n = network.n_features();
        let x = crate::testing::random_rows(n, 301, 3);
        let together = network.predict(&x).unwrap();
        let alone: Vec<f64> = x
            .rows()
            .flat_map(|row| network.predict(&FeatureMatrix::from_rows(n, row.to_vec())).unwrap())
            .collect();
        assert_eq!(together, alone, "{name}");
    }
}

#[test]
fn reasons_are_sampled_against_the_background_and_add_up() {
    let mut network = network("mlp_multiclass");
    let x = crate::testing::random_rows(4, 1, 8);
    let refused = network.contributions(&x, 0, 0).unwrap_err().to_string();
    assert!(refused.contains("no `background.json`"), "{refused}");
    let narrow = Background::new(crate::testing::random_rows(3, 9, 4)).unwrap();
    assert!(network.explain_against(narrow).is_err());
    network
        .explain_against(Background::new(crate::testing::random_rows(4, 9, 4)).unwrap())
        .unwrap();
    for output in 0..3 {
        let sum: f64 = network.contributions(&x, 0, output).unwrap().iter().sum();
        let score = network.predict(&x).unwrap()[output];
        assert!((sum - score).abs() < 1e-9, "{sum} {score}");
    }
    assert!(network.contributions(&x, 0, 3).is_err());
}

#[test]
fn its_files_read_back() {
    let mut network = network("embeddings_binary");
    network
        .explain_against(Background::new(crate::testing::random_rows(4, 2, 4)).unwrap())
        .unwrap();
    let more: BTreeMap<String, Vec<u8>> = network.more_files().into_iter().collect();
    let again = Network::from_files(&network.to_file().1, &more[WEIGHTS_FILE]).unwrap();
    assert_eq!(again.steps, network.steps);
    assert!(Background::from_bytes(&more[crate::sampling::BACKGROUND_FILE]).is_ok());
}

#[test]
fn a_package_of_a_network_loads_and_answers_as_pytorch_does() {
    for (name, [architecture, weights, seen]) in FIXTURES {
        if name == "half_two_outputs" {
            continue; // A package answers with one number, or one per class.
        }
        let files = [(NETWORK_FILE, architecture), ("model.safetensors", weights)];
        let files = files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into();
        let arrival = crate::packaging::Arrival {
            model: name.to_owned(),
            file: "model.safetensors".to_owned(),
            sha256: crate::packaging::sha256(weights),
            at: foretell_features::Timestamp(0),
            seed: 1,
        };
        let package = crate::packaging::package(import(&files, "model.safetensors").unwrap(), &arrival).unwrap();
        let model = crate::Model::load(&package).unwrap();
        let seen: Seen = serde_json::from_slice(seen).unwrap();
        let got = model
            .predict_rows(&seen.rows, crate::PredictOptions::default())
            .unwrap();
        for (got, expected) in got.into_iter().zip(&seen.answers) {
            let expected = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(
                (got.unwrap().value - expected).abs() < 1e-9 * expected.abs().max(1.0),
                "{name}"
            );
        }
    }
}

#[test]
fn wrong_architectures_are_refused_in_a_sentence() {
    let cases = [
        ("\"format\": 1", "\"format\": 2", "format 2"),
        (
            "body.0",
            "body.3",
            "no tensor `body.3.weight`; did you mean `body.0.weight`?",
        ),
        ("body.0", "body.2", "has shape [16, 16], its input is 4 wide"),
        (
            "{\n   \"kind\": \"linear\",\n   \"name\": \"body.4\"\n  }",
            "{\"kind\":\"relu\"}",
            "has one output",
        ),
        ("\"scale\": 12.0", "\"scale\": 0", "the scale above 0"),
        ("\"scale\": 12.0", "\"scale\": 1e999", "number out of range"),
        ("\"spend\"", "\"age\"", "input `age` is there twice"),
        ("binary_classification", "forecast", "does not forecast"),
        ("binary_classification", "clustering", "unknown variant `clustering`"),
        (
            "\"kind\": \"relu\"",
            "\"kind\": \"dropout\"",
            "unknown variant `dropout`",
        ),
        (
            "\"layers\": [",
            "\"layers\": [{\"kind\":\"residual\",\"layers\":[{\"kind\":\"linear\",\"name\":\"body.0\"}]},",
            "4 wide, what it adds 16",
        ),
        (
            "\"kind\": \"relu\"",
            "\"kind\": \"relu\", \"layers\": [{\"kind\": \"relu\"}]",
            "only a residual layer",
        ),
        (
            "\"kind\": \"numeric\"",
            "\"kind\": \"category\"",
            "categories must be different",
        ),
    ];
    let [architecture, weights, _] = fixture("mlp_binary");
    let text = std::str::from_utf8(architecture).unwrap();
    for (from, to, expected) in cases {
        assert!(text.contains(from), "{from}");
        let error = Network::from_files(text.replacen(from, to, 1).as_bytes(), weights)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
    let forgotten = text.replace("\"kind\": \"linear\",\n   \"name\": \"body.2\"", "\"kind\": \"relu\"");
    let error = Network::from_files(forgotten.as_bytes(), weights)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no layer uses the tensor `body.2.bias`"), "{error}");
}

#[test]
fn many_layers_and_deep_nesting_are_refused() {
    let [architecture, weights, _] = fixture("mlp_binary");
    let text = std::str::from_utf8(architecture).unwrap();
    let more = |layers: &str| text.replacen("\"layers\": [", &format!("\"layers\": [{layers},"), 1);
    let many = vec!["{\"kind\":\"relu\"}"; 300].join(",");
    let deep = |n| {
        format!(
            "{}{{\"kind\":\"relu\"}}{}",
            "{\"kind\":\"residual\",\"layers\":[".repeat(n),
            "]}".repeat(n)
        )
    };
    for (layers, expected) in [
        (many, "more than 256"),
        (deep(9), "8 deep"),
        (deep(10_000), "recursion limit"),
    ] {
        let error = Network::from_files(more(&layers).as_bytes(), weights)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(Network::from_files(more(&deep(8)).as_bytes(), weights).is_ok());
}

/// A file of safetensors with this header.
fn tensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn hostile_weights_are_refused() {
    let head = |dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let one = |head: String| format!(r#"{{"body.0.weight":{head}}}"#);
    let two = |a: String, b: String| format!(r#"{{"a":{a},"b":{b}}}"#);
    let cases = [
        (one(head("F32", "[1]", 0, u64::MAX)), "lies at"),
        (one(head("F32", "[4611686018427387905]", 0, 4)), "does not fill"),
        (one(head("F32", "[4294967296,4294967296]", 0, 0)), "does not fill"),
        (one(head("F32", "[-1]", 0, 8)), "invalid value"),
        (one(head("F32", "[1,1,1,1,1]", 0, 8)), "at most 4 sizes"),
        (one(head("F32", "[3]", 0, 8)), "does not fill"),
        (one(head("F32", "[1]", 4, 8)), "lies at 4..8"),
        (one(head("F32", "[1]", 0, 4)), "belong to no tensor"),
        (one(head("F4", "[2]", 0, 8)), "unknown variant `F4`"),
        (one(head("I64", "[1]", 0, 8)), "its input is 4 wide"),
        (one(head("F32", "[2]", 8, 0)), "lies at 8..0"),
        (two(head("F32", "[2]", 0, 8), head("F32", "[1]", 4, 8)), "lies at 4..8"),
        (
            two(head("F32", "[1]", 0, 4), head("F32", "[1]", 4, 8)).replace("\"b\"", "\"a\""),
            "there twice",
        ),
        ("[]".to_owned(), "tensors by name"),
        ("{".repeat(5000), "its header"),
    ];
    let [architecture, ..] = fixture("mlp_binary");
    for (header, expected) in cases {
        let error = Network::from_files(architecture, &tensors(&header, &[0; 8]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{header}: {error}");
    }
    let long = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    assert!(Network::from_files(architecture, &long).is_err());
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let [architecture, weights, _] = fixture("mlp_binary");
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut wrong = weights.to_vec();
        let end = wrong.len();
        wrong[end - 4..].copy_from_slice(&number.to_le_bytes());
        let error = Network::from_files(architecture, &wrong).unwrap_err().to_string();
        assert!(error.contains("holds"), "{error}");
    }
}

#[test]
fn files_cut_short_anywhere_or_with_a_flipped_byte_never_panic() {
    let [architecture, weights, _] = fixture("embeddings_binary");
    for at in 0..weights.len() {
        assert!(
            Network::from_files(architecture, &weights[..at]).is_err(),
            "weights cut at {at}"
        );
    }
    for at in 0..architecture.trim_ascii_end().len() {
        assert!(
            Network::from_files(&architecture[..at], weights).is_err(),
            "architecture cut at {at}"
        );
    }
    for (bytes, is_weights) in [(weights, true), (architecture, false)] {
        for at in 0..bytes.len() {
            let mut wrong = bytes.to_vec();
            wrong[at] ^= 0b0001_0101;
            let _ = match is_weights {
                true => Network::from_files(architecture, &wrong),
                false => Network::from_files(&wrong, weights),
            };
        }
    }
}

#[test]
fn weights_without_an_architecture_say_what_to_put_beside_them() {
    let files = BTreeMap::from([("model.safetensors".to_owned(), fixture("mlp_binary")[1].to_vec())]);
    let error = super::import(&files, "model.safetensors").unwrap_err().to_string();
    assert!(error.contains("`model.json` or `network.json`"), "{error}");
}
