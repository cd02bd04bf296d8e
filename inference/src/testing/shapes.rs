//! Packages of every shape of answer: classes, quantiles, segments.

use foretell_features::{DataType, Value};

use super::{lineage, package_of};
use crate::calibration::Calibration;
use crate::conformal::{Around, Conformal, Segment, Segments};
use crate::manifest::{FORMAT, FeaturePlan, Input, Manifest, PackageFiles, Task};
use crate::model::RowPredictor;
use crate::preprocessing::{Encoder, InputEncoding};
use crate::tree::{Combine, Form, Link, Node, TREES_FILE, Tree, TreeEnsemble};

/// The package `species` of classes `setosa`, `versicolor` and `virginica`: inputs `length`, `width` (double) and `site` (text:
/// coast, hill), rows only.
pub fn tiny_species_package() -> PackageFiles {
    let classes = ["setosa", "versicolor", "virginica"].map(str::to_owned).to_vec();
    let manifest = Manifest {
        classes,
        ..manifest("species", Task::MulticlassClassification)
    };
    // Short ones are setosa, of the long ones the narrow versicolor.
    let trees = vec![
        stump(0, 2.5, [1.5, -1.0], 0),
        stump(1, 1.75, [0.8, -0.6], 1),
        stump(1, 1.75, [-0.7, 0.9], 2),
    ];
    package_of(manifest, trees_of(3, Link::Softmax, trees), rows())
}

/// The package `price`, a regression with the same inputs whose interval is made around quantiles.
pub fn tiny_quantile_package() -> PackageFiles {
    let conformal = Conformal {
        scores: vec![(0..19).map(|it| f64::from(it) / 10.0 - 0.5).collect()],
        scale_floor: 1.0,
        around: Around::Quantiles,
        ..Conformal::default()
    };
    let manifest = Manifest {
        conformal: Some(conformal),
        ..manifest("price", Task::Regression)
    };
    let trees = vec![
        stump(0, 2.5, [10.0, 20.0], 0),
        stump(0, 2.5, [8.0, 15.0], 1),
        stump(0, 2.5, [13.0, 30.0], 2),
    ];
    package_of(manifest, trees_of(3, Link::Identity, trees), rows())
}

/// The package `price`, a regression whose interval is of the rows of the same site; the coast has few.
pub fn tiny_segment_package() -> PackageFiles {
    let hill = Segment {
        value: "hill".to_owned(),
        scores: vec![-4.0, 0.0, 5.0],
    };
    let conformal = Conformal {
        scores: vec![vec![-1.0, 0.0, 2.0]],
        scale_floor: 1.0,
        segments: Some(Segments {
            input: "site".to_owned(),
            of: vec![hill],
        }),
        ..Conformal::default()
    };
    let manifest = Manifest {
        conformal: Some(conformal),
        ..manifest("price", Task::Regression)
    };
    let trees = vec![stump(0, 2.5, [10.0, 20.0], 0)];
    package_of(manifest, trees_of(1, Link::Identity, trees), rows())
}

fn manifest(model: &str, task: Task) -> Manifest {
    let input = |(name, data_type): (&str, DataType)| Input {
        name: name.to_owned(),
        data_type,
    };
    let site = InputEncoding::Category {
        categories: vec!["coast".to_owned(), "hill".to_owned()],
    };
    Manifest {
        format: FORMAT,
        model: model.to_owned(),
        task,
        classes: Vec::new(),
        algorithm: "boosted_trees".to_owned(),
        inputs: [
            ("length", DataType::Double),
            ("width", DataType::Double),
            ("site", DataType::String),
        ]
        .map(input)
        .to_vec(),
        outputs: Vec::new(),
        plan: FeaturePlan::default(),
        encoder: Encoder {
            inputs: vec![InputEncoding::Numeric, InputEncoding::Numeric, site],
        },
        calibration: Calibration::Identity,
        conformal: None,
        decision: None,
        endpoints: Vec::new(),
        series: None,
        predictor: TREES_FILE.to_owned(),
        metrics: Default::default(),
        parameters: Default::default(),
        lineage: lineage(model),
    }
}

fn trees_of(outputs: usize, link: Link, trees: Vec<Tree>) -> RowPredictor {
    let form = Form {
        n_features: 3,
        base: vec![0.0; outputs],
        link,
        combine: Combine::Sum,
        trees,
    };
    RowPredictor::trees(TreeEnsemble::from_form(form).expect("stumps are trees"))
}

/// `x <= threshold` has the first value, what is missing too.
fn stump(feature: u32, threshold: f64, values: [f64; 2], output: u32) -> Tree {
    let leaf = |value: f64| Node::Leaf {
        value: value.into(),
        cover: 10.0,
    };
    let root = Node::Numeric {
        feature,
        threshold,
        missing_left: true,
        left: 1,
        right: 2,
        cover: 20.0,
    };
    Tree::for_output(vec![root, leaf(values[0]), leaf(values[1])], output)
}

fn rows() -> Vec<Vec<Value>> {
    let row = |length: f64, width: f64, site: &str| vec![Value::Float(length), Value::Float(width), Value::text(site)];
    vec![row(1.4, 0.2, "coast"), row(4.5, 1.5, "hill"), vec![Value::Null; 3]]
}
