//! Training sets: cutoffs, population, labels, ranks, derived features.

use foretell_features::{Ahead, Cutoffs, Expression, LabelSpec, Population, Span, TrainingSet, TrainingSetSpec};

use crate::common::{Project, at, refs, row_text};

const SHOP: &str = r#"
[entity.who]
key = { who = "string" }
[source.orders]
path = "orders.csv"
event_time = "at"
where = "amount > 0"
[source.people]
path = "people.csv"
[view.orders]
entity = "who"
source = "orders"
[view.orders.features]
n = { count = "*" }
spend = { sum = "amount" }
[view.people]
entity = "who"
source = "people"
latest = "*"
[derived.who]
per_order = "spend / greatest(n, 1)"
big = "per_order > 5"
[request.who]
cart = "double"
"#;

const FILES: [(&str, &str); 2] = [
    (
        "orders.csv",
        "who,at,amount\ncid,2024-01-05,4\nzoe,2024-01-01,-1\nann,2024-01-01,2\nbob,2024-01-02,10\nann,2024-02-01,6\n\
         eve,2024-02-10,1\nbob,2024-03-01,3\nzoe,2024-03-02,8\n",
    ),
    (
        "people.csv",
        "who,plan,churn\nann,basic,No\nbob,pro,Yes\ncid,,No\neve,pro,No\n",
    ),
];

fn spec(features: &[&str], label: LabelSpec, cutoffs: Option<Cutoffs>) -> TrainingSetSpec {
    TrainingSetSpec {
        entity: "who".to_owned(),
        features: refs(features),
        except: Vec::new(),
        cutoffs,
        population: Population::default(),
        label,
        as_of: at("2024-03-11"),
    }
}

fn ahead(days: i64) -> Ahead {
    Ahead {
        source: "orders".to_owned(),
        horizon: Span::days(days),
        filter: None,
    }
}

fn check(spec: &TrainingSetSpec, expected: &[&str]) -> TrainingSet {
    let project = Project::new(SHOP, &FILES);
    let set = project.open().training_set(spec).unwrap();
    let in_parts = project.open().with_memory(1).training_set(spec).unwrap();
    assert_eq!(set, in_parts, "the same, partition by partition");
    let row = |at: usize| {
        let cutoff = set.cutoffs[at].map_or("-".to_owned(), |it| it.to_string()[..10].to_owned());
        format!(
            "{} {cutoff} #{} {} => {}",
            set.keys[at],
            set.appearance[at],
            row_text(&set.table, at),
            set.label[at]
        )
    };
    assert_eq!((0..set.n_rows()).map(row).collect::<Vec<_>>(), expected);
    set
}

#[test]
fn cutoffs_count_back_from_the_last_complete_label_and_entities_keep_their_rank() {
    let every = Cutoffs::Every {
        every: Span::days(30),
        count: 2,
    };
    let spec = spec(
        &["orders:*", "big", "per_order"],
        LabelSpec::Absence(ahead(20)),
        Some(every),
    );
    let set = check(
        &spec,
        &[
            "cid 2024-01-21 #0 1,4,false,4 => 1",
            "ann 2024-01-21 #1 1,2,false,2 => 0",
            "bob 2024-01-21 #2 1,10,true,10 => 1",
            "cid 2024-02-20 #0 1,4,false,4 => 1",
            "ann 2024-02-20 #1 2,8,false,4 => 1",
            "bob 2024-02-20 #2 1,10,true,10 => 0",
            "eve 2024-02-20 #3 1,1,false,1 => 1",
        ],
    );
    assert_eq!(set.table.names(), ["n", "spend", "big", "per_order"]);
    assert_eq!(set.label_end[0], Some(at("2024-02-10")));
    assert!(set.file_row.is_empty());
}

#[test]
fn occurrence_and_total_look_ahead_from_the_cutoff_inclusive() {
    let given = || Some(Cutoffs::At(vec![at("2024-02-01")]));
    check(
        &spec(&["orders:n"], LabelSpec::Occurrence(ahead(29)), given()),
        &[
            "cid 2024-02-01 #0 1 => 0",
            "ann 2024-02-01 #1 1 => 1",
            "bob 2024-02-01 #2 1 => 0",
        ],
    );
    let total = LabelSpec::Total {
        ahead: ahead(30),
        value: Expression::parse("amount").unwrap(),
    };
    check(
        &spec(&["orders:n"], total, given()),
        &[
            "cid 2024-02-01 #0 1 => 0",
            "ann 2024-02-01 #1 1 => 6",
            "bob 2024-02-01 #2 1 => 3",
        ],
    );
}

#[test]
fn the_population_is_who_was_active_and_passes_the_filter() {
    let mut spec = spec(
        &["orders:n"],
        LabelSpec::Absence(ahead(20)),
        Some(Cutoffs::At(vec![at("2024-02-20")])),
    );
    spec.population.active_within = Some(Span::days(30));
    check(&spec, &["ann 2024-02-20 #1 2 => 1", "eve 2024-02-20 #3 1 => 1"]);
    spec.population.filter = Some(Expression::parse("spend > 5 AND plan = 'basic'").unwrap());
    check(&spec, &["ann 2024-02-20 #1 2 => 1"]);
}

#[test]
fn a_snapshot_with_a_label_column_is_a_row_table_and_the_label_no_feature() {
    let label = LabelSpec::Column {
        source: None,
        column: "churn".to_owned(),
        positive: Some("Yes".to_owned()),
    };
    let mut spec = spec(&["people:*", "cart"], label, None);
    let set = check(
        &spec,
        &[
            "ann - #0 basic,- => 0",
            "bob - #1 pro,- => 1",
            "cid - #2 -,- => 0",
            "eve - #3 pro,- => 0",
        ],
    );
    assert_eq!(set.table.names(), ["plan", "cart"]);
    assert_eq!(set.file_row, [0, 1, 2, 3]);
    spec.features = refs(&["people:churn"]);
    let message = Project::new(SHOP, &FILES)
        .open()
        .training_set(&spec)
        .unwrap_err()
        .to_string();
    assert!(message.contains("label itself"), "{message}");
    spec.features = refs(&["people:plan"]);
    spec.label = LabelSpec::Column {
        source: None,
        column: "churn".to_owned(),
        positive: Some("yes".to_owned()),
    };
    let message = Project::new(SHOP, &FILES)
        .open()
        .training_set(&spec)
        .unwrap_err()
        .to_string();
    assert!(message.contains("did you mean `Yes`"), "{message}");
}

#[test]
fn the_row_of_the_file_is_the_key_and_stays_so_under_where() {
    let toml = r#"
        [entity.row]
        key = { row = "int64" }
        [source.rows]
        path = "rows.csv"
        key = "row"
        where = "v <> 2"
        [view.rows]
        entity = "row"
        source = "rows"
        latest = "*"
    "#;
    let project = Project::new(toml, &[("rows.csv", "v,y\n1,0\n2,1\n3,1\n")]);
    let mut spec = spec(
        &["rows:*"],
        LabelSpec::Column {
            source: None,
            column: "y".to_owned(),
            positive: None,
        },
        None,
    );
    spec.entity = "row".to_owned();
    let set = project.open().training_set(&spec).unwrap();
    assert_eq!(set.keys.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0", "2"]);
    assert_eq!(
        (set.file_row, set.label, set.appearance),
        (vec![0, 2], vec![0.0, 1.0], vec![0, 1])
    );
}

#[test]
fn the_selection_says_what_serving_must_read() {
    let project = Project::new(SHOP, &FILES);
    let store = project.open();
    let selection = store
        .select("who", &refs(&["big", "people:plan", "cart"]), &[])
        .unwrap();
    let names: Vec<&str> = selection.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["big", "plan", "cart"]);
    let reads: Vec<&str> = selection.reads.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(reads, ["n", "spend", "plan"]);
    let derived: Vec<&str> = selection.derived.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(derived, ["per_order", "big"]);
    assert_eq!(selection.request.len(), 1);
    assert_eq!(store.derived_schema("who").unwrap().len(), 2);
}

#[test]
fn features_of_one_name_in_two_views_carry_the_view() {
    let toml = format!(
        "{SHOP}\n[view.visits]\nentity = \"who\"\nsource = \"orders\"\nfeatures = {{ n = {{ count = \"amount\" }} }}\n"
    );
    let toml = toml.replace(
        "per_order = \"spend / greatest(n, 1)\"",
        "per_order = \"spend / greatest(visits__n, 1)\"",
    );
    let project = Project::new(&toml, &FILES);
    let selection = project
        .open()
        .select("who", &refs(&["orders:*", "visits:*", "per_order"]), &refs(&["spend"]))
        .unwrap();
    let names: Vec<&str> = selection.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["orders__n", "visits__n", "per_order"]);
    let message = project
        .open()
        .select("who", &refs(&["n"]), &[])
        .unwrap_err()
        .to_string();
    assert!(message.contains("`orders__n`"), "{message}");
}

#[test]
fn the_number_of_cores_changes_no_bit() {
    let mut orders = "who,at,amount\n".to_owned();
    let mut random = 1u64;
    for row in 0..5000u64 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (who, day, amount) = (random >> 60, 1 + row % 60, (random >> 33) as f64 / 7.0);
        let date = at("2024-01-01").plus(Span::days(day as i64)).to_string();
        orders += &format!("c{who},{date},{amount}\n");
    }
    let project = Project::new(SHOP, &[("orders.csv", &orders), FILES[1]]);
    let total = LabelSpec::Total {
        ahead: ahead(10),
        value: Expression::parse("amount").unwrap(),
    };
    let every = Cutoffs::Every {
        every: Span::days(5),
        count: 5,
    };
    let mut spec = spec(&["orders:*", "per_order"], total, Some(every));
    spec.as_of = at("2024-03-01");
    let on = |cores: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).build().unwrap();
        let set = pool.install(|| project.open().training_set(&spec).unwrap());
        let bits: Vec<u64> = set.label.iter().map(|it| it.to_bits()).collect();
        (set, bits)
    };
    assert_eq!(on(1), on(7));
}
