//! A small valid package for the tests of other crates: a fixed linear churn model over a view.

mod shapes;

use std::collections::BTreeMap;

use foretell_features::{DataType, RequestColumn, Span, Timestamp, Value};

use crate::calibration::Calibration;
use crate::decision::DecisionPolicy;
use crate::endpoint::{AnswerField, Endpoint, KeySource, Method};
use crate::golden::{GOLDEN_FILE, Golden};
use crate::linear::{Linear, LinearTerm};
use crate::manifest::{
    FORMAT, FeaturePlan, FeatureRead, Input, Lineage, MANIFEST_FILE, Manifest, Output, PackageFiles, PlannedDerived,
    Task,
};
use crate::model::{Model, RowPredictor};
use crate::preprocessing::{Encoder, InputEncoding};
use crate::tree::Link;
pub use shapes::{tiny_quantile_package, tiny_segment_package, tiny_species_package};

/// The package `churn`: inputs `orders_90d` (int64), `spend_90d` (double) and `plan` (text: basic, pro) of view `purchases`
/// for entity `customer` (key `customer_id`, text), decision levels high 0.7 / medium 0.4 / low 0, `POST /api/predict/churn`.
pub fn tiny_churn_package() -> PackageFiles {
    tiny_churn_package_with(0.0, "0")
}

/// The same with another intercept and seed text: a second version that answers other numbers.
pub fn tiny_churn_package_with(intercept: f64, data: &str) -> PackageFiles {
    package(manifest(data), predictor(intercept))
}

/// The same with a request value `cart_value` (null where not sent) and a derived input `spend_per_order`.
pub fn tiny_derived_package() -> PackageFiles {
    let mut manifest = manifest("derived");
    let double = |name: &str| Input {
        name: name.to_owned(),
        data_type: DataType::Double,
    };
    manifest
        .inputs
        .extend([double("cart_value"), double("spend_per_order")]);
    manifest
        .encoder
        .inputs
        .extend([InputEncoding::Numeric, InputEncoding::Numeric]);
    manifest.plan.request.push(RequestColumn {
        name: "cart_value".to_owned(),
        data_type: DataType::Double,
    });
    manifest.plan.derived.push(PlannedDerived {
        name: "spend_per_order".to_owned(),
        expression: "spend_90d / greatest(orders_90d, 1)".to_owned(),
        data_type: DataType::Double,
    });
    let mut linear = predictor(0.0);
    linear
        .terms
        .extend([numeric(20.0, 10.0, 0.2), numeric(20.0, 10.0, -0.3)]);
    linear.expected.extend([0.0, 0.0]);
    package(manifest, linear)
}

fn package(manifest: Manifest, linear: Linear) -> PackageFiles {
    let width = manifest.inputs.len();
    let row = |orders: Value, spend: Value, plan: Value| {
        let mut row = vec![orders, spend, plan];
        row.resize(width, Value::Float(25.0));
        row
    };
    let rows = vec![
        row(Value::Int(0), Value::Float(0.0), Value::text("basic")),
        row(Value::Int(5), Value::Float(120.5), Value::text("pro")),
        row(Value::Null, Value::Null, Value::text("platinum")),
    ];
    package_of(manifest, RowPredictor::linear(linear), rows)
}

fn package_of(manifest: Manifest, predictor: RowPredictor, rows: Vec<Vec<Value>>) -> PackageFiles {
    let model = Model::assemble(manifest, predictor).expect("the parts fit each other");
    let golden = Golden::record(&model, rows).expect("the rows fit the inputs");
    let mut files = PackageFiles::from([
        (MANIFEST_FILE.to_owned(), model.manifest().to_bytes()),
        (GOLDEN_FILE.to_owned(), golden.to_bytes()),
    ]);
    files.extend(model.predictor_files());
    files
}

fn predictor(intercept: f64) -> Linear {
    let plan = LinearTerm::Category {
        weights: vec![0.6, -0.4, 0.0],
        missing: 0.1,
    };
    Linear {
        intercept,
        link: Link::Logit,
        terms: vec![numeric(3.0, 2.0, -0.8), numeric(60.0, 40.0, -0.5), plan],
        expected: vec![0.0, 0.0, 0.1],
    }
}

fn numeric(mean: f64, scale: f64, weight: f64) -> LinearTerm {
    LinearTerm::Numeric {
        mean,
        scale,
        clip: 10.0,
        weight,
        missing: 0.0,
    }
}

fn manifest(data: &str) -> Manifest {
    let inputs = [
        ("orders_90d", DataType::Int64),
        ("spend_90d", DataType::Double),
        ("plan", DataType::String),
    ];
    let input = |(name, data_type): (&str, DataType)| Input {
        name: name.to_owned(),
        data_type,
    };
    let plan = InputEncoding::Category {
        categories: vec!["basic".to_owned(), "pro".to_owned()],
    };
    Manifest {
        format: FORMAT,
        model: "churn".to_owned(),
        task: Task::BinaryClassification,
        classes: Vec::new(),
        algorithm: "logistic".to_owned(),
        inputs: inputs.map(input).to_vec(),
        outputs: outputs(),
        plan: feature_plan(&inputs),
        encoder: Encoder {
            inputs: vec![InputEncoding::Numeric, InputEncoding::Numeric, plan],
        },
        calibration: Calibration::Platt { a: 1.1, b: -0.05 },
        conformal: None,
        decision: Some(decision()),
        endpoints: vec![endpoint()],
        series: None,
        predictor: "linear.json".to_owned(),
        metrics: BTreeMap::from([("roc_auc".to_owned(), 0.8)]),
        parameters: BTreeMap::new(),
        lineage: lineage(data),
    }
}

fn outputs() -> Vec<Output> {
    let output = |(name, field): (String, AnswerField)| Output { name, field };
    endpoint().answer.into_iter().map(output).collect()
}

fn feature_plan(inputs: &[(&str, DataType)]) -> FeaturePlan {
    let read = |(name, data_type): &(&str, DataType)| FeatureRead {
        name: (*name).to_owned(),
        version: None,
        view: "purchases".to_owned(),
        feature: (*name).to_owned(),
        data_type: *data_type,
        max_age: Some(Span::days(365)),
    };
    FeaturePlan {
        entity: "customer".to_owned(),
        key: vec![("customer_id".to_owned(), DataType::String)],
        reads: inputs.iter().map(read).collect(),
        request: Vec::new(),
        derived: Vec::new(),
    }
}

fn decision() -> DecisionPolicy {
    let advice = |level: &str, advice: &[&str]| (level.to_owned(), advice.iter().map(ToString::to_string).collect());
    DecisionPolicy {
        levels: vec![
            ("high".to_owned(), 0.7),
            ("medium".to_owned(), 0.4),
            ("low".to_owned(), 0.0),
        ],
        recommendations: vec![
            advice("high", &["call within 24 h", "offer retention discount"]),
            advice("medium", &["send a survey"]),
        ],
    }
}

fn endpoint() -> Endpoint {
    let answer = [
        ("churn_probability", AnswerField::Value),
        ("risk_level", AnswerField::Level),
        ("recommendations", AnswerField::Recommendations),
    ];
    Endpoint {
        method: Method::Post,
        path: "/api/predict/churn".to_owned(),
        key: KeySource::Body,
        answer: answer.map(|(name, field)| (name.to_owned(), field)).to_vec(),
    }
}

fn lineage(data: &str) -> Lineage {
    Lineage {
        data: format!("sha256:{data}"),
        definitions: "sha256:0".to_owned(),
        code: concat!("foretell ", env!("CARGO_PKG_VERSION")).to_owned(),
        seed: 1,
        as_of: Timestamp(0),
        n_train: 100,
        n_test: 25,
        reproducible: true,
        imported: None,
    }
}

/// A random ensemble for measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of trees.
    pub trees: usize,
    /// Levels of tests at most.
    pub depth: usize,
    /// Leaves of each tree at most; the tree grows where chance says.
    pub leaves: usize,
    /// Columns.
    pub features: usize,
}

/// Numbers from 0 to 1, one in ten missing.
pub fn random_rows(features: usize, n_rows: usize, seed: u64) -> foretell_features::FeatureMatrix {
    let mut chance = Draws(seed);
    let cells = (0..features * n_rows).map(|_| if chance.unit() < 0.1 { f64::NAN } else { chance.unit() });
    foretell_features::FeatureMatrix::from_rows(features, cells.collect())
}

/// Trees of that shape over [`random_rows`], with at most 255 different thresholds a column, as histograms give.
pub fn random_ensemble(shape: Shape, seed: u64) -> crate::tree::TreeEnsemble {
    let mut chance = Draws(seed);
    let trees = (0..shape.trees).map(|_| random_tree(shape, &mut chance)).collect();
    crate::tree::TreeEnsemble::new(shape.features, 0.5, Link::Logit, trees).expect("every tree is grown as a tree")
}

fn random_tree(shape: Shape, chance: &mut Draws) -> crate::tree::Tree {
    use crate::tree::Node;
    let leaf = |chance: &mut Draws| Node::Leaf {
        value: (chance.unit() - 0.5).into(),
        cover: 1.0,
    };
    let mut nodes = vec![leaf(chance)];
    let mut open = vec![(0_usize, 0_usize)];
    for _ in 1..shape.leaves {
        if open.is_empty() {
            break;
        }
        let (at, depth) = open.swap_remove(chance.below(open.len()));
        let left = nodes.len() as u32;
        nodes[at] = Node::Numeric {
            feature: chance.below(shape.features) as u32,
            threshold: (1 + chance.below(254)) as f64 / 256.0,
            missing_left: chance.unit() < 0.5,
            left,
            right: left + 1,
            cover: 2.0,
        };
        nodes.extend([leaf(chance), leaf(chance)]);
        if depth + 1 < shape.depth {
            open.extend([(left as usize, depth + 1), (left as usize + 1, depth + 1)]);
        }
    }
    crate::tree::Tree::new(nodes)
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
