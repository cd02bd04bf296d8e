//! Projects for the tests: TOML texts and the files they name.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use foretell_features::{Definitions, Timestamp};
use foretell_features_offline::OfflineStore;
use foretell_models::ModelSpec;
use foretell_registry::Registry;
use foretell_tracking::Tracking;
use foretell_training::{Silent, TrainError, TrainOutcome, TrainRequest, train};

/// Definitions, a model, and where its data lies.
pub(crate) struct Project {
    pub(crate) offline: OfflineStore,
    pub(crate) spec: ModelSpec,
    texts: Vec<(PathBuf, String)>,
}

impl Project {
    pub(crate) fn new(features: &str, model: &str, data: &Path) -> Self {
        let features = (PathBuf::from("features/it.toml"), features.to_owned());
        let definitions = Definitions::parse(std::slice::from_ref(&features)).unwrap();
        let file = PathBuf::from("models/it/model.toml");
        let spec = ModelSpec::parse(file.clone(), model, &definitions).unwrap();
        Self {
            texts: vec![features, (file, model.to_owned())],
            offline: OfflineStore::open(definitions, data).unwrap(),
            spec,
        }
    }

    pub(crate) fn train(&self, registry: Option<&Registry>, promote: bool) -> Result<TrainOutcome, TrainError> {
        self.train_tracked(registry, promote, None)
    }

    pub(crate) fn train_tracked(
        &self,
        registry: Option<&Registry>,
        promote: bool,
        tracking: Option<&Tracking>,
    ) -> Result<TrainOutcome, TrainError> {
        let request = TrainRequest {
            spec: &self.spec,
            offline: &self.offline,
            registry,
            tracking,
            seed: 42,
            as_of: "2026-01-01".parse::<Timestamp>().unwrap(),
            now: "2026-01-02".parse::<Timestamp>().unwrap(),
            promote,
            parity: None,
            actor: "test",
            definitions: &self.texts,
            expect_data: None,
            progress: &Silent,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(train(request))
    }
}

/// A number in [0, 1) by position: the same in every run.
pub(crate) fn chance(at: u64) -> f64 {
    let mut z = at.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// `customers.csv`: churn depends on plan, spend (missing for some) and calls; `id` names the customer, `same` says nothing.
pub(crate) fn write_customers(folder: &Path, rows: u64) {
    let mut csv = "id,plan,spend,calls,same,churn\n".to_owned();
    for row in 0..rows {
        let draw = |column: u64| chance(row * 10 + column);
        let plan = ["basic", "pro", "gold"][(draw(0) * 3.0) as usize];
        let spend = 10.0 + 90.0 * draw(1);
        let calls = (draw(2) * 6.0) as u64;
        let score = 0.8 * calls as f64 - 0.04 * spend + if plan == "basic" { 1.0 } else { -0.5 };
        let churn = if draw(3) < 1.0 / (1.0 + (-score).exp()) {
            "Yes"
        } else {
            "No"
        };
        let spend = if draw(4) < 0.1 {
            String::new()
        } else {
            format!("{spend:.2}")
        };
        writeln!(csv, "C{row},{plan},{spend},{calls},7,{churn}").unwrap();
    }
    std::fs::write(folder.join("customers.csv"), csv).unwrap();
}

pub(crate) const CUSTOMERS: &str = r#"
[entity.customer]
key = { row = "int64" }
[source.customers]
path = "customers.csv"
key = "row"
[view.profile]
entity = "customer"
source = "customers"
latest = "*"
[derived.customer]
calls_per_spend = "calls / greatest(spend, 1)"
"#;

pub(crate) const CHURN: &str = r#"
name = "churn"
task = "binary_classification"
entity = "customer"
features = ["profile:*", "calls_per_spend"]
except = ["profile:churn"]
[label]
source = "customers"
column = "churn"
positive = "Yes"
[split]
by = "row_hash"
[[candidate]]
algorithm = "logistic"
[[candidate]]
algorithm = "boosted_trees"
rounds = 60
patience = 10
[gate]
roc_auc = { min = 0.7, not_worse_than_champion_by = 0.02, better_than_baseline = true }
[decision]
levels = { high = 0.6, low = 0.0 }
"#;

/// The folder of public data, where this machine has one.
pub(crate) fn public_data() -> Option<PathBuf> {
    let beside = || {
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
            .join("../../shared/data")
    };
    let folder = std::env::var_os("FORETELL_DATA").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// A project of `examples/` over a folder of public data.
pub(crate) fn example(name: &str, model: &str, data: &Path) -> Project {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
        .join("../examples")
        .join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("features"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    let features: Vec<String> = files.iter().map(|it| std::fs::read_to_string(it).unwrap()).collect();
    let model = std::fs::read_to_string(folder.join("models").join(model).join("model.toml")).unwrap();
    Project::new(&features.join("\n"), &model, data)
}
