use foretell_features::{Column, EntityKey, Table, TrainingSet, row::KeyPart};
use foretell_inference::{FeaturePlan, PackageFiles};
use foretell_models::ModelSpec;
use foretell_training::package::{Origin, tabular_package};
use foretell_training::{Silent, TabularInput, train_tabular};

use crate::project::{CHURN, CUSTOMERS, Project, chance, write_customers};

/// Two informative numbers, one category, and labels of either task.
fn set(rows: u64, is_money: bool) -> TrainingSet {
    let draw = |row: u64, column: u64| chance(row * 10 + column);
    let spend: Vec<f64> = (0..rows).map(|it| 100.0 * draw(it, 0)).collect();
    let plan = |row: u64| Some(if draw(row, 1) < 0.4 { "basic" } else { "pro" }.into());
    let label = |row: u64| match is_money {
        true => {
            if draw(row, 2) < 0.4 {
                0.0
            } else {
                spend[row as usize] * 2.0 * draw(row, 3)
            }
        }
        // Not in a line, so that trees win.
        false => f64::from(u8::from(draw(row, 2) * 50.0 < (spend[row as usize] - 50.0).abs())),
    };
    let table = Table::new()
        .with("spend", Column::Float(spend.iter().copied().map(Some).collect()))
        .with(
            "calls",
            Column::Int((0..rows).map(|it| Some((draw(it, 4) * 9.0) as i64)).collect()),
        )
        .with("plan", Column::Str((0..rows).map(plan).collect()));
    TrainingSet {
        table,
        keys: (0..rows).map(|it| EntityKey(vec![KeyPart::Int(it as i64)])).collect(),
        cutoffs: vec![None; rows as usize],
        label: (0..rows).map(label).collect(),
        label_end: vec![None; rows as usize],
        file_row: (0..rows).collect(),
        appearance: (0..rows).collect(),
    }
}

fn package(spec: &ModelSpec, set: &TrainingSet, threads: usize) -> PackageFiles {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let tabular = spec.tabular().unwrap();
    let input = TabularInput {
        spec,
        tabular,
        set,
        seed: 7,
        progress: &Silent,
    };
    let as_of = "2026-01-01".parse().unwrap();
    let origin = Origin {
        data: "sha256:0".into(),
        definitions: "sha256:0".into(),
        seed: 7,
        as_of,
    };
    let made = pool.install(|| tabular_package(spec, set, FeaturePlan::default(), train_tabular(&input)?, &origin));
    made.unwrap().0
}

#[test]
fn the_package_has_the_same_bytes_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 100);
    let changes = [
        ("binary_classification", "lifetime_value"),
        (
            "algorithm = \"logistic\"",
            "algorithm = \"boosted_trees\"\nnum_leaves = 5",
        ),
        ("positive = \"Yes\"", ""),
        ("column = \"churn\"", "column = \"calls\""),
        ("[\"profile:churn\"]", "[\"profile:churn\", \"profile:calls\"]"),
        ("roc_auc = { min = 0.7, ", "mae = { "),
    ];
    let money = changes
        .iter()
        .fold(CHURN.to_owned(), |text, (from, to)| text.replace(from, to));
    for (model, is_money) in [(CHURN, false), (money.as_str(), true)] {
        let spec = Project::new(CUSTOMERS, model, folder.path()).spec;
        let set = set(1500, is_money);
        let [one, four] = [1, 4].map(|threads| package(&spec, &set, threads));
        assert_eq!(one.keys().collect::<Vec<_>>(), four.keys().collect::<Vec<_>>());
        for (name, bytes) in &one {
            assert!(bytes == &four[name], "{name} differs");
        }
        assert!(one.contains_key("golden.json") && one.contains_key("trees.bin"));
    }
}
