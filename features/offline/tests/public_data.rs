//! Training sets of the example projects over the public data, where it is there.

mod common;

use common::{at, example, public_data, refs};
use foretell_features::{
    Ahead, Cutoffs, DataType, Expression, FeatureRef, LabelSpec, Population, Span, TrainingSet, TrainingSetSpec, Value,
};
use foretell_features_offline::OfflineStore;

fn row_table(entity: &str, features: &str, column: &str, positive: &str) -> TrainingSetSpec {
    TrainingSetSpec {
        entity: entity.to_owned(),
        features: refs(&[features]),
        except: Vec::new(),
        cutoffs: None,
        population: Population::default(),
        label: LabelSpec::Column { source: None, column: column.to_owned(), positive: Some(positive.to_owned()) },
        as_of: at("2026-06-30"),
    }
}

fn check(project: &str, folder: &str, spec: &TrainingSetSpec) -> Option<(OfflineStore, TrainingSet)> {
    let folder = public_data(folder)?;
    let started = std::time::Instant::now();
    let store = OfflineStore::open(example(project), &folder).unwrap();
    let set = store.training_set(spec).unwrap();
    println!("{project}: {} rows, {} columns, {:?}", set.n_rows(), set.table.names().len(), started.elapsed());
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
    let Some((_, set)) = check("telco", "churn", &spec) else { return };
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
    let Some((_, set)) = check("bank-marketing", "conversion", &spec) else { return };
    assert_eq!((set.n_rows(), set.label.iter().sum::<f64>()), (41188, 4640.0));
    assert_eq!(set.table.column("emp.var.rate").unwrap().data_type(), DataType::Double);
    assert_eq!(set.table.column("job").unwrap().data_type(), DataType::String);
    assert!(set.table.column("y").is_none());
}

#[test]
fn online_retail_counts_the_customers_and_sums_of_the_reference() {
    let spec = TrainingSetSpec {
        entity: "customer".to_owned(),
        features: ["purchases:*", "spend_per_invoice"].iter().map(|it| it.parse::<FeatureRef>().unwrap()).collect(),
        except: Vec::new(),
        cutoffs: Some(Cutoffs::At(vec![at("2011-06-11")])),
        population: Population::default(),
        label: LabelSpec::Total {
            ahead: Ahead { source: "lines".to_owned(), horizon: Span::days(181), filter: None },
            value: Expression::parse("amount").unwrap(),
        },
        as_of: at("2011-12-09"),
    };
    let Some((_, set)) = check("online-retail", "ltv", &spec) else { return };
    assert_eq!(set.n_rows(), 2811);
    assert_eq!(set.appearance, (0..2811).collect::<Vec<u64>>());
    let spend: f64 = (0..set.n_rows()).map(|row| set.table.column("spend").unwrap().number(row)).sum();
    println!("spend before {spend}, after {}", set.label.iter().sum::<f64>());
    assert!(set.label.iter().all(|it| *it >= 0.0));
}
