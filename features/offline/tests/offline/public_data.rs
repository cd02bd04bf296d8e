//! Training sets of the example projects over the public data, where it is there.

use crate::common::{at, example, public_data, refs};
use foretell_features::{
    Ahead, Cutoffs, DataType, Expression, FeatureRef, ForecastTest, LabelSpec, Population, SeriesSet, SeriesSpec, Span,
    TrainingSet, TrainingSetSpec, Value,
};
use foretell_features_offline::OfflineStore;

fn row_table(entity: &str, features: &str, column: &str, positive: &str) -> TrainingSetSpec {
    TrainingSetSpec {
        entity: entity.to_owned(),
        features: refs(&[features]),
        except: Vec::new(),
        cutoffs: None,
        population: Population::default(),
        label: LabelSpec::Column {
            source: None,
            column: column.to_owned(),
            positive: Some(positive.to_owned()),
        },
        as_of: at("2026-06-30"),
    }
}

fn check(project: &str, folder: &str, spec: &TrainingSetSpec) -> Option<(OfflineStore, TrainingSet)> {
    let folder = public_data(folder)?;
    let started = std::time::Instant::now();
    let store = OfflineStore::open(example(project), &folder).unwrap();
    let set = store.training_set(spec).unwrap();
    println!(
        "{project}: {} rows, {} columns, {:?}",
        set.n_rows(),
        set.table.names().len(),
        started.elapsed()
    );
    assert_eq!(set.table.n_rows(), set.n_rows());
    assert_eq!(set.keys.len(), set.n_rows());
    assert_eq!(set.appearance.len(), set.n_rows());
    Some((store, set))
}

fn view_of(project: &str) -> String {
    let definitions = example(project);
    let name = definitions.views.keys().next().unwrap();
    format!("{name}:*")
}

#[test]
fn telco_has_every_customer_once_with_blank_charges_null_and_without_the_label() {
    let spec = row_table("customer", &view_of("telco"), "Churn", "Yes");
    let Some((_, set)) = check("telco", "churn", &spec) else {
        return;
    };
    assert_eq!(set.n_rows(), 7043);
    assert_eq!(set.label.iter().sum::<f64>(), 1869.0);
    assert_eq!(set.file_row, (0..7043).collect::<Vec<u64>>());
    let charges = set.table.column("TotalCharges").unwrap();
    assert_eq!(charges.data_type(), DataType::Double);
    assert_eq!((0..7043).filter(|&row| charges.value(row) == Value::Null).count(), 11);
    assert!(set.table.column("Churn").is_none());
}

#[test]
fn bank_marketing_reads_its_odd_names_and_separator() {
    let spec = row_table("contact", &view_of("bank-marketing"), "y", "yes");
    let Some((_, set)) = check("bank-marketing", "conversion", &spec) else {
        return;
    };
    assert_eq!((set.n_rows(), set.label.iter().sum::<f64>()), (41188, 4640.0));
    assert_eq!(set.table.column("emp.var.rate").unwrap().data_type(), DataType::Double);
    assert_eq!(set.table.column("job").unwrap().data_type(), DataType::String);
    assert!(set.table.column("y").is_none());
}

#[test]
fn online_retail_counts_the_customers_and_sums_of_the_reference() {
    let spec = TrainingSetSpec {
        entity: "customer".to_owned(),
        features: ["purchases:*", "spend_per_invoice"]
            .iter()
            .map(|it| it.parse::<FeatureRef>().unwrap())
            .collect(),
        except: Vec::new(),
        cutoffs: Some(Cutoffs::At(vec![at("2011-06-11")])),
        population: Population::default(),
        label: LabelSpec::Total {
            ahead: Ahead {
                source: "lines".to_owned(),
                horizon: Span::days(181),
                filter: None,
            },
            value: Expression::parse("amount").unwrap(),
        },
        as_of: at("2011-12-09"),
    };
    let Some((_, set)) = check("online-retail", "ltv", &spec) else {
        return;
    };
    assert_eq!(set.n_rows(), 2811);
    assert_eq!(set.appearance, (0..2811).collect::<Vec<u64>>());
    let spend: f64 = (0..set.n_rows())
        .map(|row| set.table.column("spend").unwrap().number(row))
        .sum();
    println!("spend before {spend}, after {}", set.label.iter().sum::<f64>());
    assert!(set.label.iter().all(|it| *it >= 0.0));
}

fn series(source: &str, key: &[&str], time: &str, value: &str, horizon: usize) -> SeriesSpec {
    SeriesSpec {
        source: source.to_owned(),
        key: key.iter().map(|it| (*it).to_owned()).collect(),
        time: time.to_owned(),
        value: value.to_owned(),
        step: Span::DAY,
        horizon,
        known: Vec::new(),
        statics: Vec::new(),
        statics_from: None,
        judged: None,
        seasons: Vec::new(),
        test: ForecastTest::Last,
    }
}

fn check_series(project: &str, folder: &str, spec: &SeriesSpec) -> Option<SeriesSet> {
    let folder = public_data(folder)?;
    let started = std::time::Instant::now();
    let set = OfflineStore::open(example(project), &folder)
        .unwrap()
        .series_set(spec)
        .unwrap();
    println!("{project}: {} series, {:?}", set.series.len(), started.elapsed());
    Some(set)
}

#[test]
fn store_item_is_500_whole_series_of_1826_days() {
    let spec = series("sales", &["store", "item"], "date", "sales", 90);
    let Some(set) = check_series("store-item", "demand", &spec) else {
        return;
    };
    assert_eq!(set.series.len(), 500);
    assert!(
        set.series
            .iter()
            .all(|it| it.values.len() == 1826 && it.test_start == 1826 - 90)
    );
    assert!(
        set.series
            .iter()
            .all(|it| it.start == at("2013-01-01") && it.values.iter().all(|it| it.is_finite()))
    );
}

#[test]
fn rossmann_has_its_promotions_its_store_table_and_judges_open_days() {
    let mut spec = series("sales", &["Store"], "Date", "Sales", 42);
    spec.known = vec!["Open".to_owned(), "StateHoliday".to_owned()];
    spec.statics = vec!["StoreType".to_owned(), "CompetitionDistance".to_owned()];
    spec.statics_from = Some("stores".to_owned());
    spec.judged = Some(Expression::parse("Open = 1").unwrap());
    let Some(set) = check_series("rossmann", "revenue", &spec) else {
        return;
    };
    assert_eq!(set.series.len(), 100);
    assert_eq!(set.known_types[1], ("StateHoliday".to_owned(), DataType::String));
    assert_eq!(set.static_types[0], ("StoreType".to_owned(), DataType::String));
    for it in &set.series {
        assert!(it.known.iter().all(|column| column.len() == it.values.len()));
        assert!(
            it.judged
                .iter()
                .zip(&it.known[0])
                .all(|(judged, open)| !judged || *open == Value::Int(1))
        );
        assert!(!it.statics[0].is_null());
    }
}
