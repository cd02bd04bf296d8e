//! Writes models of every form as ONNX files, each with rows and this library's own answers, for another runtime to compare:
//! `cargo run -p foretell-inference --example export_onnx -- DIR`. See `tests/conformance/onnx.sh`.

#[path = "export_onnx/forecasts.rs"]
mod forecasts;

use std::collections::BTreeMap;
use std::path::Path;

use foretell_features::{DataType, Timestamp, Value};
use foretell_inference::conformal::Conformal;
use foretell_inference::linear::{Linear, LinearTerm};
use foretell_inference::manifest::MANIFEST_FILE;
use foretell_inference::model::{DEFAULT_INTERVAL, RowPrediction};
use foretell_inference::testing::tiny_churn_package;
use foretell_inference::tree::{Combine, Form, LeafValue};
use foretell_inference::{
    Calibration, Encoder, Input, InputEncoding, Link, Manifest, Model, Node, PredictOptions, RowPredictor, Task, Tree,
    TreeEnsemble, onnx,
};
use serde_json::{Map, json};

const ROWS: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("name a folder to write to")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for (name, model) in row_models() {
        write_rows(folder, &name, &model)?;
    }
    for (name, parts) in forecasts::all() {
        forecasts::write(folder, name, parts)?;
    }
    Ok(())
}

fn write_rows(folder: &Path, name: &str, model: &Model) -> Result<(), Box<dyn std::error::Error>> {
    let rows = rows(model.manifest(), &mut Draws(7));
    let options = PredictOptions {
        interval: Some(DEFAULT_INTERVAL),
        ..PredictOptions::default()
    };
    let answers: Result<Vec<RowPrediction>, _> = model.predict_rows(&rows, options)?.into_iter().collect();
    let answers = answers?;
    let inputs = inputs_of(model.manifest(), &rows);
    let mut outputs = Map::new();
    outputs.insert("value".to_owned(), answers.iter().map(|it| json!(it.value)).collect());
    if answers[0].lower.is_some() {
        outputs.insert("lower".to_owned(), answers.iter().map(|it| json!(it.lower)).collect());
        outputs.insert("upper".to_owned(), answers.iter().map(|it| json!(it.upper)).collect());
    }
    if answers[0].class.is_some() {
        outputs.insert("class".to_owned(), answers.iter().map(|it| json!(it.class)).collect());
    }
    if !answers[0].probabilities.is_empty() {
        let probabilities = answers.iter().map(|it| json!(it.probabilities));
        outputs.insert("probabilities".to_owned(), probabilities.collect());
    }
    if answers[0].decision.is_some() {
        let level = |it: &RowPrediction| json!(it.decision.as_ref().map(|it| it.level.clone()));
        outputs.insert("level".to_owned(), answers.iter().map(level).collect());
    }
    write(folder, name, model, &json!({"inputs": inputs, "outputs": outputs}))
}

fn inputs_of(manifest: &Manifest, rows: &[Vec<Value>]) -> Map<String, serde_json::Value> {
    let column = |at: usize| rows.iter().map(|row| sent(&row[at])).collect();
    let names = manifest.inputs.iter().enumerate();
    names.map(|(at, input)| (input.name.clone(), column(at))).collect()
}

fn write(
    folder: &Path,
    name: &str,
    model: &Model,
    expected: &serde_json::Value,
) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::write(folder.join(format!("{name}.onnx")), onnx::export(model)?)?;
    std::fs::write(folder.join(format!("{name}.json")), expected.to_string())?;
    Ok(())
}

/// As the file wants it: numbers, and text.
fn sent(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => json!(null),
        Value::Str(it) => json!(it.as_ref()),
        Value::Bool(it) => json!(f64::from(u8::from(*it))),
        Value::Time(it) => json!(it.0 as f64),
        Value::Int(it) => json!(*it as f64),
        Value::Float(it) => json!(it),
    }
}

/// One column of each type.
fn inputs() -> Vec<(Input, InputEncoding)> {
    let category = |names: &[&str]| InputEncoding::Category {
        categories: names.iter().map(ToString::to_string).collect(),
    };
    let plans: Vec<String> = (0..90).map(|it| format!("plan {it}")).collect();
    let columns = [
        ("spend", DataType::Double, InputEncoding::Numeric),
        ("orders", DataType::Int64, InputEncoding::Numeric),
        ("active", DataType::Boolean, InputEncoding::Numeric),
        ("since", DataType::Timestamp, InputEncoding::Numeric),
        ("clicks", DataType::Double, InputEncoding::NonZero),
        ("channel", DataType::String, category(&["web", "shop", "phone", ""])),
        ("plan", DataType::String, InputEncoding::Category { categories: plans }),
        ("zone", DataType::Int64, category(&["3", "1", "20", "7"])),
        ("kind", DataType::Int64, InputEncoding::Numeric),
    ];
    let input = |(name, data_type, encoding): (&str, DataType, InputEncoding)| {
        let name = name.to_owned();
        (Input { name, data_type }, encoding)
    };
    columns.map(input).to_vec()
}

/// Known and unknown values, one in eight missing.
fn rows(manifest: &Manifest, chance: &mut Draws) -> Vec<Vec<Value>> {
    let value = |input: &Input, encoding: &InputEncoding, chance: &mut Draws| {
        if chance.unit() < 0.125 {
            return Value::Null;
        }
        match (encoding, input.data_type) {
            (InputEncoding::Category { categories }, data_type) => {
                match categories.get(chance.below(categories.len() + 1)) {
                    Some(it) => Value::text(it.as_str())
                        .cast(data_type)
                        .expect("a dictionary fits its type"),
                    None if data_type == DataType::Int64 => Value::Int(-4),
                    None => Value::text("never seen"),
                }
            }
            (_, DataType::Boolean) => Value::Bool(chance.unit() < 0.5),
            (_, DataType::Int64) => Value::Int(chance.below(90) as i64 - 9),
            (_, DataType::Timestamp) => Value::Time(Timestamp(chance.below(1 << 50) as i64)),
            (InputEncoding::NonZero, _) if chance.unit() < 0.4 => Value::Float(0.0),
            _ => Value::Float(chance.unit() * 100.0 - 20.0),
        }
    };
    let row = |chance: &mut Draws| {
        let columns = manifest.inputs.iter().zip(&manifest.encoder.inputs);
        columns
            .map(|(input, encoding)| value(input, encoding, chance))
            .collect()
    };
    (0..ROWS).map(|_| row(chance)).collect()
}

/// A manifest with those inputs and nothing around the predictor.
fn manifest(task: Task) -> Manifest {
    let mut manifest: Manifest =
        serde_json::from_slice(&tiny_churn_package()[MANIFEST_FILE]).expect("the package holds a manifest");
    let (inputs, encodings): (Vec<Input>, Vec<InputEncoding>) = inputs().into_iter().unzip();
    manifest.inputs = inputs;
    manifest.encoder = Encoder { inputs: encodings };
    manifest.calibration = Calibration::Identity;
    manifest.decision = None;
    manifest.task = task;
    manifest
}

/// Trees of numbers and sets over all columns, uneven, with `Many` leaves where `outputs` is more than one and `vectors`.
fn form(outputs: usize, vectors: bool, link: Link, combine: Combine, chance: &mut Draws) -> Form {
    let columns = inputs();
    let tree = |at: usize, chance: &mut Draws| {
        let mut nodes = vec![leaf(outputs, vectors, chance)];
        let mut open = vec![0_usize];
        // One tree in twenty is a leaf.
        for _ in 0..if at % 20 == 3 { 0 } else { 14 } {
            let slot = open.swap_remove(chance.below(open.len()));
            let left = nodes.len();
            nodes[slot] = split(&columns, left as u32, chance);
            nodes.extend([leaf(outputs, vectors, chance), leaf(outputs, vectors, chance)]);
            open.extend([left, left + 1]);
        }
        Tree::for_output(nodes, if vectors { 0 } else { (at % outputs) as u32 })
    };
    let trees = (0..60).map(|at| tree(at, chance)).collect();
    Form {
        n_features: columns.len(),
        base: (0..outputs).map(|it| 0.25 * it as f64 - 0.1).collect(),
        link,
        combine,
        trees,
    }
}

fn leaf(outputs: usize, vectors: bool, chance: &mut Draws) -> Node {
    let mut number = || chance.unit() * 0.4 - 0.2;
    let value = if vectors {
        LeafValue::Many((0..outputs).map(|_| number()).collect())
    } else {
        LeafValue::One(number())
    };
    Node::Leaf { value, cover: 1.0 }
}

fn split(columns: &[(Input, InputEncoding)], left: u32, chance: &mut Draws) -> Node {
    let feature = chance.below(columns.len());
    let missing_left = chance.unit() < 0.5;
    let (right, cover) = (left + 1, 2.0);
    let (Input { name, data_type }, encoding) = &columns[feature];
    let feature = feature as u32;
    let is_set = matches!(encoding, InputEncoding::Category { .. }) || name == "kind" && chance.unit() < 0.7;
    if is_set {
        let words = if name == "plan" || name == "kind" { 2 } else { 1 };
        // Sparse sets, dense ones, and now and then none.
        let word = |chance: &mut Draws| match chance.below(8) {
            0 => 0,
            1..=4 => chance.next() & chance.next() & chance.next(),
            _ => chance.next(),
        };
        return Node::Category {
            feature,
            categories: (0..words).map(|_| word(chance)).collect(),
            missing_left,
            left,
            right,
            cover,
        };
    }
    let threshold = match data_type {
        DataType::Boolean => 0.5,
        DataType::Timestamp => chance.unit() * 13_000.0,
        _ if chance.unit() < 0.05 => f64::INFINITY,
        _ => (chance.unit() * 110.0 - 25.0).round() / 2.0,
    };
    Node::Numeric {
        feature,
        threshold,
        missing_left,
        left,
        right,
        cover,
    }
}

fn trees(task: Task, link: Link, seed: u64) -> (Manifest, RowPredictor) {
    let form = form(1, false, link, Combine::Sum, &mut Draws(seed));
    let trees = TreeEnsemble::from_form(form).expect("the trees are trees");
    (manifest(task), RowPredictor::trees(trees))
}

fn several(outputs: usize, vectors: bool, combine: Combine, seed: u64) -> (Manifest, RowPredictor) {
    let form = form(outputs, vectors, Link::Softmax, combine, &mut Draws(seed));
    let trees = TreeEnsemble::from_form(form).expect("the trees are trees");
    let task = if outputs == 2 {
        Task::BinaryClassification
    } else {
        Task::MulticlassClassification
    };
    let mut manifest = manifest(task);
    manifest.classes = ["north", "south", "east", "west"].map(str::to_owned)[..outputs].to_vec();
    (manifest, RowPredictor::trees(trees))
}

fn linear(task: Task, link: Link) -> (Manifest, RowPredictor) {
    let mut chance = Draws(11);
    let term = |(_, encoding): &(Input, InputEncoding)| match encoding {
        InputEncoding::Category { categories } => LinearTerm::Category {
            weights: (0..=categories.len()).map(|_| chance.unit() - 0.5).collect(),
            missing: chance.unit(),
        },
        _ => LinearTerm::Numeric {
            mean: chance.unit() * 20.0,
            scale: 1.0 + chance.unit() * 20.0,
            clip: 1.5,
            weight: chance.unit() - 0.5,
            missing: chance.unit(),
        },
    };
    let terms: Vec<LinearTerm> = inputs().iter().map(term).collect();
    let linear = Linear {
        intercept: 0.3,
        link,
        expected: vec![0.0; terms.len()],
        terms,
    };
    (manifest(task), RowPredictor::linear(linear))
}

fn conformal(edges: &[f64], scores: &[Vec<f64>], lower_bound: Option<f64>) -> Conformal {
    let conformal = json!({
        "edges": edges, "scores": scores, "scale_floor": 0.1, "scale_slope": 0.7, "lower_bound": lower_bound,
    });
    serde_json::from_value(conformal).expect("it is written as a package has it")
}

/// A predictor of a value and two quantiles, which are moved out.
fn quantiles() -> (Manifest, RowPredictor) {
    let form = form(3, false, Link::Identity, Combine::Sum, &mut Draws(50));
    let trees = TreeEnsemble::from_form(form).expect("the trees are trees");
    let mut manifest = manifest(Task::LifetimeValue);
    let mut it = json!(conformal(&[0.1], &[grid(0.03), grid(0.06)], Some(-1.0)));
    it["around"] = json!("quantiles");
    manifest.conformal = Some(serde_json::from_value(it).expect("it is written as a package has it"));
    (manifest, RowPredictor::trees(trees))
}

/// Intervals by channel, two of which have scores of their own.
fn segments() -> (Manifest, RowPredictor) {
    let (mut manifest, predictor) = trees(Task::Regression, Link::Identity, 51);
    let mut it = json!(conformal(&[0.0, 0.3], &[grid(0.02), grid(0.05), grid(0.1)], None));
    it["segments"] = json!({"input": "channel", "of": [
        {"value": "phone", "scores": grid(0.2)},
        {"value": "web", "scores": grid(0.4)},
    ]});
    manifest.conformal = Some(serde_json::from_value(it).expect("it is written as a package has it"));
    (manifest, predictor)
}

fn grid(width: f64) -> Vec<f64> {
    (-30..=30).map(|it| f64::from(it) * width).collect()
}

/// Every link, calibration, task and interval.
fn row_models() -> BTreeMap<String, Model> {
    use Task::{BinaryClassification as Binary, LifetimeValue, Regression};
    let mut models = BTreeMap::new();
    let mut add = |name: &str, (manifest, predictor): (Manifest, RowPredictor)| {
        let model = Model::assemble(manifest, predictor).unwrap_or_else(|error| panic!("{name}: {error}"));
        models.insert(name.to_owned(), model);
    };
    let links = [
        ("identity", Link::Identity),
        ("log", Link::Log),
        ("probit", Link::Probit),
        ("step", Link::Step),
        ("softplus", Link::Softplus),
        ("signed_square", Link::SignedSquare),
    ];
    for (seed, (name, link)) in (0..).zip(links) {
        add(&format!("trees_{name}"), trees(Regression, link, seed));
    }
    let calibrations = [
        ("plain", Calibration::Identity),
        ("platt", Calibration::Platt { a: 1.3, b: -0.2 }),
        ("beta", Calibration::Beta { a: 1.2, b: 0.7, c: 0.1 }),
        ("isotonic", isotonic(&[0.1, 0.3, 0.45, 0.7], &[0.05, 0.2, 0.2, 0.9])),
        ("isotonic_flat", isotonic(&[0.5], &[0.4])),
    ];
    for (name, calibration) in calibrations {
        for (kind, (mut manifest, predictor)) in [
            ("trees", trees(Binary, Link::Logit, 20)),
            ("linear", linear(Binary, Link::Logit)),
        ] {
            manifest.calibration = calibration.clone();
            let tiny: Manifest =
                serde_json::from_slice(&tiny_churn_package()[MANIFEST_FILE]).expect("it is a manifest");
            manifest.decision = tiny.decision;
            add(&format!("{kind}_{name}"), (manifest, predictor));
        }
    }
    for (name, task, link) in [
        ("regression", Regression, Link::Identity),
        ("lifetime_value", LifetimeValue, Link::Identity),
    ] {
        let (mut manifest, predictor) = trees(task, link, 30);
        // The third bin's interval begins above the answer.
        let scores = [grid(0.02), grid(0.05), (1..=40).map(f64::from).collect(), grid(0.1)];
        manifest.conformal = Some(conformal(&[-0.5, 0.2, 0.8], &scores, Some(-0.4)));
        add(&format!("interval_{name}"), (manifest, predictor));
    }
    let (mut manifest, predictor) = linear(Regression, Link::Log);
    manifest.conformal = Some(conformal(&[], &[vec![-1.0, 0.5, 2.0]], None));
    add("interval_linear", (manifest, predictor));
    add("classes_by_tree", several(4, false, Combine::Sum, 40));
    add("classes_averaged", several(4, false, Combine::Average, 41));
    add("classes_by_leaf", several(4, true, Combine::Sum, 42));
    add("classes_by_leaf_averaged", several(3, true, Combine::Average, 43));
    add("classes_two", several(2, false, Combine::Sum, 44));
    add("interval_quantiles", quantiles());
    add("interval_segments", segments());
    let none = TreeEnsemble::new(inputs().len(), 0.25, Link::Identity, Vec::new()).expect("no tree is a tree");
    add("no_trees", (self::manifest(Regression), RowPredictor::trees(none)));
    models
}

fn isotonic(x: &[f64], y: &[f64]) -> Calibration {
    Calibration::Isotonic {
        x: x.to_vec(),
        y: y.to_vec(),
    }
}

/// A small generator (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}
