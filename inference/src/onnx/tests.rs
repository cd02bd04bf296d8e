use super::wire::Writer;
use super::*;

fn written(parts: impl FnOnce(&mut Writer)) -> Writer {
    let mut writer = Writer::default();
    parts(&mut writer);
    writer
}

/// A tensor value with these dimensions; 0 for one that is not fixed.
fn value(name: &str, element: ElementType, dims: &[i64]) -> Writer {
    let shape = written(|it| {
        for dim in dims {
            it.message(
                1,
                written(|it| if *dim == 0 { it.text(2, "N") } else { it.int(1, *dim) }),
            );
        }
    });
    let tensor = written(|it| {
        it.int(1, element.code());
        it.message(2, shape);
    });
    written(|it| {
        it.text(1, name);
        it.message(2, written(|it| it.message(1, tensor)));
    })
}

/// A graph that adds a constant of its own to its input.
fn adding() -> Vec<u8> {
    let constant = written(|it| {
        it.ints(1, [1, 2]);
        it.int(2, 1);
        it.text(8, "one");
        it.bytes(9, &[0, 0, 128, 63, 0, 0, 128, 63]);
    });
    let node = written(|it| {
        it.text(1, "x");
        it.text(1, "one");
        it.text(2, "y");
        it.text(4, "Add");
    });
    let graph = written(|it| {
        it.message(1, node);
        it.message(5, constant);
        it.message(11, value("x", ElementType::Float, &[0, 2]));
        it.message(11, value("one", ElementType::Float, &[1, 2]));
        it.message(12, value("y", ElementType::Float, &[0, 2]));
    });
    let opset = written(|it| it.int(2, 17));
    let model = written(|it| {
        it.int(1, 8);
        it.text(2, "by hand");
        it.message(8, opset);
        it.message(7, graph);
    });
    model.into_bytes()
}

#[test]
fn a_graph_says_what_it_takes_and_gives() {
    let shape = describe("m.onnx", &adding()).unwrap();
    let value = |name: &str| GraphValue {
        name: name.to_owned(),
        tensor: Some((ElementType::Float, vec![None, Some(2)])),
    };
    assert_eq!(
        (shape.inputs, shape.outputs),
        (vec![value("x")], vec![value("y")]),
        "constants are not sent"
    );
    assert_eq!(shape.domains, [(String::new(), 17)]);
    assert_eq!((shape.producer.as_str(), shape.external_data), ("by hand", false));
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let bytes = adding();
    for end in 0..bytes.len() {
        let error = describe("m.onnx", &bytes[..end]).unwrap_err().to_string();
        assert!(error.starts_with("cannot import `m.onnx`: "), "{end}: {error}");
    }
}

#[test]
fn graphs_in_graphs_end_somewhere() {
    let mut graph = Writer::default();
    for _ in 0..1000 {
        let inner = std::mem::take(&mut graph);
        let attribute = written(|it| it.message(6, inner));
        graph = written(|it| it.message(1, written(|it| it.message(5, attribute))));
    }
    let model = written(|it| {
        it.message(8, Writer::default());
        it.message(7, graph);
    });
    assert!(describe("m.onnx", &model.into_bytes()).is_err());
}

/// A model of one node over the input `x`, of so many columns, to the output `y`.
fn model_of(node: Writer, columns: i64) -> Vec<u8> {
    let graph = written(|it| {
        it.message(1, node);
        it.message(11, value("x", ElementType::Float, &[0, columns]));
        it.message(12, value("y", ElementType::Float, &[0, 1]));
    });
    let opset = written(|it| {
        it.text(1, "ai.onnx.ml");
        it.int(2, 3);
    });
    let model = written(|it| {
        it.message(7, graph);
        it.message(8, opset);
    });
    model.into_bytes()
}

/// The lists of a regressor of one tree: a test with two leaves.
struct Regressor {
    features: Vec<i64>,
    modes: Vec<&'static str>,
    values: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    weights: Vec<(i64, i64, f32)>,
    targets: i64,
}

impl Default for Regressor {
    fn default() -> Self {
        Self {
            features: vec![0, 0, 0],
            modes: vec!["BRANCH_LEQ", "LEAF", "LEAF"],
            values: vec![0.5, 0.0, 0.0],
            yes: vec![1, 0, 0],
            no: vec![2, 0, 0],
            weights: vec![(1, 0, -1.0), (2, 0, 2.0)],
            targets: 1,
        }
    }
}

impl Regressor {
    fn node(&self) -> Writer {
        let list = |name: &str, write: &dyn Fn(&mut Writer)| {
            written(|it| {
                it.text(1, name);
                write(it);
            })
        };
        let ints = |name: &str, values: Vec<i64>| list(name, &|it| it.ints(8, values.iter().copied()));
        let n = self.features.len() as i64;
        let of = |part: fn(&(i64, i64, f32)) -> i64| self.weights.iter().map(part).collect::<Vec<i64>>();
        let attributes = [
            ints("nodes_treeids", vec![0; n as usize]),
            ints("nodes_nodeids", (0..n).collect()),
            ints("nodes_featureids", self.features.clone()),
            ints("nodes_truenodeids", self.yes.clone()),
            ints("nodes_falsenodeids", self.no.clone()),
            list("nodes_modes", &|it| self.modes.iter().for_each(|mode| it.text(9, mode))),
            list("nodes_values", &|it| {
                self.values.iter().for_each(|value| it.float(7, *value))
            }),
            ints("target_treeids", of(|_| 0)),
            ints("target_nodeids", of(|it| it.0)),
            ints("target_ids", of(|it| it.1)),
            list("target_weights", &|it| {
                self.weights.iter().for_each(|(.., weight)| it.float(7, *weight))
            }),
            list("n_targets", &|it| it.int(3, self.targets)),
        ];
        written(|it| {
            it.text(1, "x");
            it.text(2, "y");
            it.text(4, "TreeEnsembleRegressor");
            attributes.into_iter().for_each(|attribute| it.message(5, attribute));
            it.text(7, "ai.onnx.ml");
        })
    }
}

fn refusal(bytes: &[u8]) -> String {
    import("m.onnx", bytes).unwrap_err().to_string()
}

#[test]
fn trees_that_are_no_trees_are_refused_with_a_reason() {
    assert!(import("m.onnx", &model_of(Regressor::default().node(), 2)).is_ok());
    let with = |change: fn(&mut Regressor)| {
        let mut it = Regressor::default();
        change(&mut it);
        refusal(&model_of(it.node(), 2))
    };
    let cases = [
        (with(|it| it.yes[0] = 0), "go in a circle"),
        (with(|it| it.no[0] = 1), "more than one root"),
        (with(|it| it.yes[0] = 900), "refers to node 900"),
        (with(|it| it.values[0] = f32::NAN), "a number that is none"),
        (with(|it| it.features[0] = 2), "tests column 2 of 2"),
        (with(|it| it.features[0] = i64::MAX), "below 0"),
        (with(|it| it.features[0] = -1), "below 0"),
        (with(|it| it.modes[0] = "BRANCH_MAYBE"), "the mode `BRANCH_MAYBE`"),
        (with(|it| it.weights[0].0 = 7), "a weight at node 7"),
        (with(|it| it.weights[0].1 = 1), "past the last of 1"),
        (with(|it| it.weights[0].2 = f32::INFINITY), "not finite"),
        (with(|it| it.targets = i64::MAX), "outputs"),
        (with(|it| it.targets = 0), "it has 0 outputs"),
        (with(|it| it.values.truncate(2)), "3 nodes and 2 nodes_values"),
        (with(|it| it.yes.truncate(2)), "not so many nodes_truenodeids"),
        (with(|it| it.modes.clear()), "it has 0 nodes"),
    ];
    for (got, expected) in cases {
        assert!(
            got.starts_with("cannot import `m.onnx`: ") && got.contains(expected),
            "{got} / {expected}"
        );
    }
    let asks = Regressor {
        modes: vec!["BRANCH_EQ", "LEAF", "LEAF"],
        ..Regressor::default()
    };
    assert!(refusal(&model_of(asks.node(), 2)).contains("no category's code"));
}

#[test]
fn sizes_that_bytes_do_not_pay_for_are_refused() {
    let node = || Regressor::default().node();
    assert!(refusal(&model_of(node(), i64::MAX)).contains("no fixed, moderate number of columns"));
    assert!(refusal(&model_of(node(), 1_000_000)).contains("no fixed, moderate number of columns"));
    let huge = written(|it| {
        it.ints(1, [i64::MAX, i64::MAX]);
        it.int(2, 1);
        it.text(8, "one");
    });
    let scaler = written(|it| {
        it.text(1, "one");
        it.text(2, "y");
        it.text(4, "TreeEnsembleRegressor");
        it.text(7, "ai.onnx.ml");
        it.message(
            5,
            written(|it| {
                it.text(1, "nodes_values_as_tensor");
                it.message(5, huge);
            }),
        );
    });
    assert!(import("m.onnx", &model_of(scaler, 2)).is_err());
}

#[test]
fn a_graph_that_goes_in_a_circle_is_refused() {
    let node = written(|it| {
        it.text(1, "y");
        it.text(2, "y");
        it.text(4, "Identity");
    });
    assert!(refusal(&model_of(node, 2)).contains("which nothing before it gives"));
}

mod round_trip {
    use foretell_features::DataType;

    use super::super::{ElementType, InferenceError, describe, export, import};
    use crate::calibration::Calibration;
    use crate::manifest::{Input, MANIFEST_FILE, Manifest, Task};
    use crate::model::{Model, RowPredictor};
    use crate::predictor::Predictor;
    use crate::preprocessing::{Encoder, InputEncoding};
    use crate::testing::{Shape, random_ensemble, random_rows, tiny_churn_package};
    use crate::tree::{Combine, Form, Link, Node, Tree, TreeEnsemble};

    fn model(inputs: &[(&str, InputEncoding)], form: Form) -> (Model, TreeEnsemble) {
        let mut manifest: Manifest = serde_json::from_slice(&tiny_churn_package()[MANIFEST_FILE]).unwrap();
        let input = |(name, encoding): &(&str, InputEncoding)| Input {
            name: (*name).to_owned(),
            data_type: match encoding {
                InputEncoding::Category { .. } => DataType::String,
                _ => DataType::Double,
            },
        };
        manifest.inputs = inputs.iter().map(input).collect();
        manifest.encoder = Encoder {
            inputs: inputs.iter().map(|it| it.1.clone()).collect(),
        };
        manifest.task = Task::Regression;
        manifest.calibration = Calibration::Identity;
        manifest.decision = None;
        let trees = TreeEnsemble::from_form(form).unwrap();
        (
            Model::assemble(manifest, RowPredictor::trees(trees.clone())).unwrap(),
            trees,
        )
    }

    #[test]
    fn exported_trees_are_imported_as_the_same_trees() {
        let shape = Shape {
            trees: 20,
            depth: 6,
            leaves: 20,
            features: 4,
        };
        let form = random_ensemble(shape, 3).form().clone();
        let form = Form {
            link: Link::Identity,
            ..form
        };
        let numbers = ["a", "b", "c", "d"].map(|it| (it, InputEncoding::Numeric));
        let (model, trees) = model(&numbers, form);
        let imported = import("m.onnx", &export(&model).unwrap()).unwrap();
        let names: Vec<&str> = imported.inputs.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        let x = random_rows(4, 500, 5);
        assert_eq!(
            imported.predictor.predictor().predict(&x).unwrap(),
            trees.predict(&x).unwrap()
        );
    }

    #[test]
    fn exported_categories_are_looked_up_and_need_a_session() {
        let leaf = |value: f64| Node::Leaf {
            value: value.into(),
            cover: 1.0,
        };
        let split = Node::Category {
            feature: 0,
            categories: vec![0b101],
            missing_left: true,
            left: 1,
            right: 2,
            cover: 2.0,
        };
        let form = Form {
            n_features: 1,
            base: vec![0.5],
            link: Link::Identity,
            combine: Combine::Sum,
            trees: vec![Tree::new(vec![split, leaf(1.0), leaf(0.0)])],
        };
        let plans = InputEncoding::Category {
            categories: ["basic", "plus", "pro"].map(str::to_owned).to_vec(),
        };
        let (model, _) = model(&[("plan", plans)], form);
        let bytes = export(&model).unwrap();
        let shape = describe("m.onnx", &bytes).unwrap();
        let plan = (shape.inputs[0].name.as_str(), &shape.inputs[0].tensor);
        assert_eq!(plan, ("plan", &Some((ElementType::String, vec![None, Some(1)]))));
        assert!(matches!(
            import("m.onnx", &bytes),
            Err(InferenceError::NeedsSession { .. })
        ));
    }
}
