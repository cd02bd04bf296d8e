//! Whole `model.toml` files against one small project: what they mean, or everything that is wrong with them.

use expect_test::{Expect, expect};
use foretell_features::{Cutoffs, FeatureRef, LabelSpec, Span};
use foretell_inference::{AnswerField, KeySource, Method};

use super::*;
use crate::catalogue::CATALOGUE;
use crate::spec::SplitSpec;

const FEATURES: &str = r#"
[entity.customer]
key = { customer_id = "string" }
[entity.lead]
key = { lead_id = "string" }
[source.orders]
path = "orders/*.parquet"
event_time = "ordered_at"
[source.sessions]
path = "sessions.parquet"
event_time = "at"
[source.cancellations]
path = "cancellations.parquet"
event_time = "cancelled_at"
[source.conversions]
path = "conversions.parquet"
event_time = "at"
[source.customers]
path = "customers.csv"
[source.leads]
path = "leads.parquet"
event_time = "created_at"
[source.sales]
path = "sales.parquet"
event_time = "date"
[source.revenue]
path = "revenue.parquet"
event_time = "date"
[view.profile]
entity = "customer"
source = "customers"
latest = ["plan", "region", "channel"]
[view.purchases]
entity = "customer"
source = "orders"
[view.purchases.features]
orders_90d = { count = "*", window = "90d" }
spend_90d = { sum = "amount", window = "90d" }
[view.activity]
entity = "customer"
source = "sessions"
features = { sessions_30d = { count = "*", window = "30d" }, sessions_7d = { count = "*", window = "7d" } }
[view.support]
entity = "customer"
source = "sessions"
features = { tickets_90d = { count = "*", window = "90d" } }
[view.touches]
entity = "customer"
source = "sessions"
features = { touches_30d = { count = "*", window = "30d" } }
[view.lead_profile]
entity = "lead"
source = "leads"
latest = ["industry", "country"]
[derived.customer]
spend_per_order = "spend_90d / greatest(orders_90d, 1)"
session_trend = "sessions_7d / greatest(sessions_30d, 1)"
"#;

fn project() -> Definitions {
    Definitions::parse(&[("features/all.toml".into(), FEATURES.to_owned())]).unwrap_or_else(|error| panic!("{error}"))
}

/// The definitions that the catalogue is written against: those of the demo and of `foretell init`.
fn shop() -> Definitions {
    let files = [
        (
            "customer.toml",
            include_str!("../../../cli/src/demo/project/features/customer.toml"),
        ),
        (
            "lead.toml",
            include_str!("../../../cli/src/demo/project/features/lead.toml"),
        ),
        (
            "shop.toml",
            include_str!("../../../cli/src/demo/project/features/shop.toml"),
        ),
    ];
    let files: Vec<_> = files.map(|(name, text)| (name.into(), text.to_owned())).into();
    Definitions::parse(&files).unwrap_or_else(|error| panic!("{error}"))
}

fn read(text: &str) -> Result<ModelSpec, Problems> {
    ModelSpec::parse("model.toml".into(), text, &project())
}

fn read_of_catalogue(text: &str) -> Result<ModelSpec, Problems> {
    ModelSpec::parse("model.toml".into(), text, &shop())
}

/// A right churn model with something put in front of `[label]` or behind the end.
fn check(text: &str, expected: Expect) {
    let got = match read(text) {
        Ok(_) => "ok".to_owned(),
        Err(problems) => problems.to_string(),
    };
    expected.assert_eq(&got);
}

#[test]
fn the_catalogue_reads_against_a_project_with_its_names() {
    for model in CATALOGUE {
        let spec = read_of_catalogue(model.toml).unwrap_or_else(|error| panic!("{}: {error}", model.name));
        assert_eq!(spec.name, model.name);
        assert!(!spec.endpoints.is_empty() && !spec.gates.is_empty(), "{}", model.name);
        assert!(model.readme.starts_with("# "), "{}", model.name);
    }
}

#[test]
fn the_churn_model_means_what_its_file_says() {
    let spec = read_of_catalogue(CATALOGUE[0].toml).unwrap();
    let tabular = spec.tabular().unwrap();
    assert_eq!(
        tabular.cutoffs,
        Some(Cutoffs::Every {
            every: Span::days(60),
            count: 8
        })
    );
    assert_eq!(tabular.split, SplitSpec::Time);
    assert_eq!(tabular.features[0], FeatureRef::All("profile".to_owned()));
    let LabelSpec::Absence(ahead) = &tabular.label else {
        panic!("{:?}", tabular.label)
    };
    assert_eq!((ahead.source.as_str(), ahead.horizon), ("invoices", Span::days(60)));
    let decision = spec.decision.as_ref().unwrap();
    let levels: Vec<&str> = decision.levels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(levels, ["high", "medium", "low"]);
    let endpoint = &spec.endpoints[0];
    assert_eq!((endpoint.method, &endpoint.key), (Method::Post, &KeySource::Body));
    assert_eq!(endpoint.answer[1], ("risk_level".to_owned(), AnswerField::Level));
    assert_eq!(spec.output_name(), "churn_probability");
}

#[test]
fn what_is_left_out_has_a_usual_value() {
    let spec = read(
        r#"
        name = "m"
        task = "binary_classification"
        entity = "customer"
        features = ["profile:plan"]
        [label]
        source = "customers"
        column = "left"
        positive = 1
        "#,
    )
    .unwrap();
    let algorithms: Vec<&str> = spec.candidates.iter().map(|it| it.algorithm.as_str()).collect();
    assert_eq!(algorithms, ["boosted_trees", "logistic"]);
    let tabular = spec.tabular().unwrap();
    assert_eq!(tabular.split, SplitSpec::RowHash { test_fraction: 0.2 });
    let positive = Some("1".to_owned());
    assert_eq!(
        tabular.label,
        LabelSpec::Column {
            source: Some("customers".to_owned()),
            column: "left".to_owned(),
            positive
        }
    );
    assert_eq!(spec.output_name(), "value");
}

#[test]
fn a_path_with_a_key_column_takes_the_key_from_the_path() {
    let endpoint =
        "\n[[endpoint]]\nmethod = \"GET\"\npath = \"/customers/{customer_id}/churn\"\nanswer = { p = \"value\" }\n";
    let spec = read_of_catalogue(&format!("{}{endpoint}", CATALOGUE[0].toml)).unwrap();
    assert_eq!(spec.endpoints[1].key, KeySource::Path);
    assert_eq!(spec.endpoints[1].method, Method::Get);
}

#[test]
fn candidates_keep_their_free_parameters_and_order() {
    let spec = read(
        r#"
        name = "m"
        task = "regression"
        entity = "customer"
        features = ["profile:plan"]
        label = { source = "customers", column = "age" }
        [[candidate]]
        algorithm = "boosted_trees"
        trees = 50
        learning_rate = 0.1
        objective = "tweedie"
        monotone = true
        "#,
    )
    .unwrap();
    let parameters: Vec<String> = spec.candidates[0]
        .parameters
        .iter()
        .map(|(name, it)| format!("{name}={it}"))
        .collect();
    assert_eq!(
        parameters,
        ["learning_rate=0.1", "monotone=true", "objective=tweedie", "trees=50"]
    );
}

#[test]
fn everything_wrong_with_a_model_is_told_at_once() {
    check(
        r#"name = "churn/1"
task = "binary_clasification"
entity = "custmer"
features = ["purchases:*"]
colour = "red"
[training]
cutofs = { every = "30d", count = 6 }
population = { active_within = "soon" }
[label]
absense = { source = "orders", horizon = "60d" }
[split]
by = "tme"
"#,
        expect![[r#"
            model.toml:1: name: `churn/1` is not a name; use letters, digits, `_` and `-`
            model.toml:2: task: unknown task `binary_clasification`; did you mean `binary_classification`?
            model.toml:3: entity: `custmer` is not an entity; did you mean `customer`?
            model.toml:5: colour: unknown key `colour`; there is `decision`, `endpoint`, `entity`, `except`, `features`, `gate`, `label`, `name`, `series`, `split`, `task`, `training`
            model.toml:7: training.cutofs: unknown key `cutofs`; did you mean `cutoffs`?
            model.toml:8: training.population.active_within: not a span of time like "90d", "12h", "5m" or "30s". got=`"soon"`
            model.toml:9: label: a label is one of `absence`, `occurrence`, `total`, `column`
            model.toml:10: label.absense: unknown key `absense`; did you mean `absence`?
            model.toml:12: split.by: unknown split `tme`; did you mean `time`?"#]],
    );
}

#[test]
fn names_of_features_are_looked_up_in_the_project() {
    check(
        r#"name = "m"
task = "binary_classification"
entity = "customer"
features = [
  "purchase:*", "profile:pln", "spend_90d",
  "spend_per_oder",
  "lead_profile:*",
  "profile:plan", "profile:plan"]
[training]
cutoffs = { every = "30d", count = 3 }
population = { active_within = "30d", source = "order", where = "orders_9d > 1" }
[label]
absence = { source = "customers", horizon = "60d", whre = "x" }
"#,
        expect![[r#"
            model.toml:5: features: `purchase` is not a view of `customer`; did you mean `purchases`?
            model.toml:5: features: `spend_90d` is a feature of a view; write `purchases:spend_90d`
            model.toml:5: features: view `profile` has no feature `pln`; did you mean `plan`?
            model.toml:6: features: `spend_per_oder` is no derived feature and no request value of `customer`; did you mean `spend_per_order`?
            model.toml:7: features: view `lead_profile` describes `lead`, the model predicts for `customer`
            model.toml:8: features: `profile:plan` is there twice; leave one out
            model.toml:11: training.population.source: `order` is not a source; did you mean `orders`?
            model.toml:11: training.population.where: unknown feature `orders_9d` of `customer`; did you mean `orders_90d`?
            model.toml:13: label.absence.source: a label ahead needs times, and source `customers` has no `event_time`
            model.toml:13: label.absence.whre: unknown key `whre`; did you mean `where`?"#]],
    );
}

#[test]
fn gates_decisions_and_endpoints_are_checked() {
    check(
        r#"name = "m"
task = "lifetime_value"
entity = "customer"
features = ["purchases:*"]
[training]
cutoffs = { at = ["2026-01-01"] }
[label]
absence = { source = "orders", horizon = "60d" }
[split]
by = "time"
test_fraction = 0.3
[[candidate]]
algorithm = "boosted_tree"
[gate]
roc_auc = { min = 0.7 }
mea = { max = 1 }
mae = {}
gini = { min = 2, max = 1, bettr_than_baseline = true }
[decision]
levels = { high = 2, low = 0, other = 0 }
recommendations = { hih = ["call"] }
[[endpoint]]
method = "PUT"
path = "api"
answer = { a = "vale", b = "steps", c = "score_100" }
[[endpoint]]
method = "GET"
path = "/x"
answer = {}
[[endpoint]]
method = "POST"
path = "/x/{customer}/y{z}"
answer = { a = "value" }
"#,
        expect![[r#"
            model.toml:8: label.absence: a model of task `lifetime_value` needs `total` or `column`
            model.toml:10: split.by: a split by time needs two cutoffs or more. got=`1`
            model.toml:11: split.test_fraction: a split by time tests on the last cutoff; leave it out
            model.toml:13: candidate[0].algorithm: `boosted_tree` is no algorithm of task `lifetime_value`; did you mean `boosted_trees`?
            model.toml:15: gate.roc_auc: `roc_auc` is no metric of task `lifetime_value`; use one of `mae`, `rmse`, `rmspe`, `wape`, `bias`, `gini`, `spearman`, `total_ratio`, `smape`, `coverage_80`, `coverage_90`, `coverage_95`
            model.toml:16: gate.mea: `mea` is no metric of task `lifetime_value`; did you mean `mae`?
            model.toml:17: gate.mae: the gate asks for nothing; write one of `min`, `max`, `not_worse_than_champion_by`, `better_than_baseline`
            model.toml:18: gate.gini.bettr_than_baseline: unknown key `bettr_than_baseline`; did you mean `better_than_baseline`?
            model.toml:18: gate.gini.min: nothing is at least 2 and at most 1
            model.toml:20: decision.levels.other: another level starts at 0 already
            model.toml:21: decision.recommendations.hih: `hih` is not a level; did you mean `high`?
            model.toml:23: endpoint[0].method: not GET or POST. got=`PUT`
            model.toml:24: endpoint[0].path: not a path like `/api/predict/churn`. got=`api`
            model.toml:25: endpoint[0].answer.a: `vale` is no part of a prediction; did you mean `value`?
            model.toml:25: endpoint[0].answer.b: `steps` is not there: only a forecast has it, this model is `lifetime_value`
            model.toml:25: endpoint[0].answer.c: `score_100` is not there: only a probability has it, this model is `lifetime_value`
            model.toml:28: endpoint[1].path: a GET has no body; put the key into the path like `/{customer_id}`, or use POST
            model.toml:29: endpoint[1].answer: an answer needs fields; write answer = { probability = "value" }
            model.toml:32: endpoint[2].path: `customer` is not a key column of the model; did you mean `customer_id`?
            model.toml:32: endpoint[2].path: a key column is a whole segment like `/{customer_id}/`. got=`y{z}`
            model.toml:32: endpoint[2].path: the path holds a part of the key; add `{customer_id}`"#]],
    );
}

#[test]
fn a_series_is_checked_and_takes_no_part_of_a_row_model() {
    check(
        r#"name = "demand"
task = "forecast"
entity = "customer"
[series]
source = "sale"
key = ["product"]
time = "date"
value = "units"
step = "0d"
horizon = 0
known = ["price", "units"]
statics = ["category"]
statics_from = "products"
judged = "open = "
seasons = [7, 1]
test = "first"
[gate]
roc_auc = { min = 0.5 }
[[endpoint]]
method = "GET"
path = "/demand/{produkt}"
answer = { forecast = "steps", v = "value" }
"#,
        expect![[r#"
            model.toml:3: entity: `entity` does not belong to a model of task `forecast`; a forecast names its series in `[series]` instead
            model.toml:5: series.source: `sale` is not a source; did you mean `sales`?
            model.toml:9: series.step: not a span of time like "90d", "12h", "5m" or "30s". got=`"0d"`
            model.toml:10: series.horizon: not a whole number of at least 1. got=`0`
            model.toml:11: series.known: `units` is the series' `value` already; a column has one role
            model.toml:12: series.statics: unknown key `statics`; did you mean `static`?
            model.toml:13: series.statics_from: `products` is not a source; there is `cancellations`, `conversions`, `customers`, `leads`, `orders`, `revenue`, `sales`, `sessions`
            model.toml:13: series.statics_from: `statics_from` says where `static` columns are; name them in `static`
            model.toml:14: series.judged: cannot read `open = `: Expected: an expression, found: EOF
            model.toml:15: series.seasons: a season has at least 2 steps; write seasons = [7]
            model.toml:16: series.test: not a test; write "last", { file = "test_source" } or { column = "split", value = "test" }. got=`"first"`
            model.toml:18: gate.roc_auc: `roc_auc` is no metric of task `forecast`; use one of `mae`, `rmse`, `rmspe`, `rmsse`, `wape`, `bias`, `total_ratio`, `smape`, `mase`, `owa`, `coverage_80`, `coverage_90`, `coverage_95`
            model.toml:21: endpoint[0].path: `produkt` is not a key column of the model; did you mean `product`?
            model.toml:21: endpoint[0].path: the path holds a part of the key; add `{product}`
            model.toml:22: endpoint[0].answer.v: `value` is not there: a forecast answers with `steps` and `total`"#]],
    );
}

#[test]
fn a_split_by_time_needs_a_training_label_that_ends_before_the_test() {
    let check = |cutoffs: &str, split: &str, expected: Option<&str>| {
        let text = format!(
            "name = \"m\"\ntask = \"binary_classification\"\nentity = \"customer\"\nfeatures = [\"profile:*\"]\n\
            [training]\ncutoffs = {cutoffs}\n[label]\nabsence = {{ source = \"orders\", horizon = \"60d\" }}\n{split}"
        );
        let got = read(&text).err().map(|it| it.to_string());
        assert_eq!(got.as_deref(), expected, "{cutoffs} {split}");
    };
    let by_time = "[split]\nby = \"time\"\n";
    let wrong = "model.toml:6: training.cutoffs: the cutoffs reach 30d back, so no label of 60d ends before the last one, the \
        test; take more cutoffs, further apart ones, or [split] by = \"entity_hash\"";
    check("{ every = \"30d\", count = 2 }", by_time, Some(wrong));
    check("{ every = \"30d\", count = 2 }", "", Some(wrong));
    check("{ at = [\"2026-01-31\", \"2026-01-01\"] }", by_time, Some(wrong));
    check(
        "{ every = \"30d\", count = 2 }",
        "[split]\nby = \"entity_hash\"\n",
        None,
    );
    check("{ every = \"30d\", count = 3 }", by_time, None);
    check("{ at = [\"2026-01-01\"] }", "", None);
}

#[test]
fn the_label_is_refused_among_the_features() {
    let features = "[entity.c]\nkey = { row = \"int64\" }\n[source.s]\npath = \"a.csv\"\nkey = \"row\"\n\
        [view.v]\nentity = \"c\"\nsource = \"s\"\nlatest = \"*\"\n[view.w]\nentity = \"c\"\nsource = \"s\"\nlatest = [\"age\"]\n";
    let definitions = Definitions::parse(&[("f.toml".into(), features.to_owned())]).unwrap();
    let check = |references: &str, expected: Option<&str>| {
        let text = format!(
            "name = \"m\"\ntask = \"binary_classification\"\nentity = \"c\"\n{references}\n[label]\ncolumn = \"Churn\"\npositive = \"Yes\"\n"
        );
        let got = ModelSpec::parse("m.toml".into(), &text, &definitions)
            .err()
            .map(|it| it.to_string());
        assert_eq!(got.as_deref(), expected, "{references}");
    };
    let wrong = "m.toml:4: features: `v:Churn` tells the label; write except = [\"v:Churn\"]";
    check("features = [\"v:*\"]", Some(wrong));
    check("features = [\"v:age\", \"v:Churn\"]", Some(wrong));
    check("features = [\"v:*\"]\nexcept = [\"v:Churn\"]", None);
    check("features = [\"v:age\"]", None);
    let twice = "m.toml:4: features: `v:age` and `w:age` have one name; rename one or leave one out with `except`";
    check("features = [\"v:age\", \"w:*\"]", Some(twice));
}

#[test]
fn the_examples_of_this_repository_read() {
    let examples =
        std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
            .join("../examples");
    let mut n_models = 0;
    for example in folders(&examples) {
        let features = std::fs::read_dir(example.join("features")).into_iter().flatten();
        let files: Vec<(PathBuf, String)> = features.map(|it| text(it.unwrap().path())).collect();
        let definitions = Definitions::parse(&files).unwrap_or_else(|problems| panic!("{problems}"));
        for model in folders(&example.join("models")) {
            let (file, text) = text(model.join("model.toml"));
            ModelSpec::parse(file, &text, &definitions).unwrap_or_else(|problems| panic!("{problems}"));
            n_models += 1;
        }
    }
    assert!(
        n_models >= 5,
        "the examples lie where this test looks. found={n_models}"
    );
}

fn folders(parent: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).unwrap().map(|it| it.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|it| it.is_dir()).collect();
    folders.sort();
    folders
}

fn text(file: PathBuf) -> (PathBuf, String) {
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    (file, text)
}

#[test]
fn intervals_are_by_a_segment_where_the_model_says_so() {
    let of = |task: &str, intervals: &str| {
        let text = format!(
            "name = \"m\"\ntask = \"{task}\"\nentity = \"customer\"\nfeatures = [\"profile:plan\"]\n{intervals}\n[label]\nsource = \"customers\"\ncolumn = \"left\"\n"
        );
        read(&text)
    };
    let segment = |intervals: &str| of("regression", intervals).unwrap().tabular().unwrap().segment.clone();
    assert_eq!(segment("[training]\nintervals_by = \"plan\""), Some("plan".to_owned()));
    assert_eq!(segment(""), None);
    let cases = [
        (
            "binary_classification",
            "[training]\nintervals_by = \"plan\"",
            "a probability has no interval",
        ),
        (
            "regression",
            "[training]\nintervals_bye = \"plan\"",
            "did you mean `intervals_by`?",
        ),
        (
            "multiclass_classification",
            "",
            "bring one with `foretell models import`",
        ),
    ];
    for (task, intervals, expected) in cases {
        let problems = of(task, intervals).unwrap_err().to_string();
        assert!(problems.contains(expected), "{problems}");
    }
}
