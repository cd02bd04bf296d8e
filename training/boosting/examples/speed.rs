//! Row-trees per second of fitting on one thread, and microseconds per row of predicting.
//!
//! `cargo run --example speed -p foretell-boosting -- [rows=850000] [trees=50] [leaves=31]`

use std::time::Instant;

use foretell_boosting::{BoostData, Booster, Parameters};
use foretell_features::{ColumnKind, FeatureMatrix};
use foretell_inference::Predictor;

const COLUMNS: usize = 12;

/// CPU seconds of this process so far, where the system tells (other work on the machine does not count); else wall seconds.
fn cpu_seconds(start: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .skip(11)
        .take(2)
        .map(str::parse::<f64>);
    ticks
        .sum::<Result<f64, _>>()
        .map_or(start.elapsed().as_secs_f64(), |it| it / 100.0)
}

fn main() {
    let option = |name: &str, default: usize| {
        let given = std::env::args().find_map(|it| it.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        given.unwrap_or(default)
    };
    let (rows, trees, leaves) = (option("rows", 850_000), option("trees", 50), option("leaves", 31));
    let (x, label) = daily_sales(rows);
    let mut kinds = vec![ColumnKind::Numeric; COLUMNS];
    kinds[0] = ColumnKind::Category { cardinality: 10 };
    kinds[1] = ColumnKind::Category { cardinality: 50 };
    let parameters = Parameters {
        rounds: trees,
        num_leaves: leaves,
        row_fraction: 1.0,
        column_fraction: 1.0,
        ..Parameters::default()
    };
    let one_thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread can be started");
    let data = BoostData::new(&x, &kinds, &label);
    let start = Instant::now();
    let (mut first_round, before) = (0.0, cpu_seconds(start));
    let mut progress = |round: usize, _loss: f64| {
        if round == 1 {
            first_round = cpu_seconds(start) - before;
        }
    };
    let booster = Booster::new(parameters);
    let fitted = one_thread
        .install(|| booster.fit(&data, None, 1, &mut progress))
        .expect("the rows can be fitted");
    let seconds = cpu_seconds(start) - before;
    println!(
        "fit: {seconds:.2} CPU s, {:.1} million row-trees per CPU second",
        (rows * trees) as f64 / seconds / 1e6
    );
    println!("of that, binning and the first tree: {first_round:.2} CPU s");
    batch(&fitted.ensemble, &x);
    single(&fitted.ensemble, &x);
}

fn batch(ensemble: &impl Predictor, x: &FeatureMatrix) {
    let start = Instant::now();
    let before = cpu_seconds(start);
    let sum: f64 = ensemble.predict(x).expect("same columns").iter().sum();
    println!(
        "batch: {:.3} CPU us a row (sum {sum:.0})",
        (cpu_seconds(start) - before) * 1e6 / x.n_rows() as f64
    );
}

fn single(ensemble: &impl Predictor, x: &FeatureMatrix) {
    let mut row = FeatureMatrix::with_capacity(COLUMNS, 1);
    let mut times: Vec<f64> = Vec::new();
    for at in (0..x.n_rows()).step_by(x.n_rows().div_ceil(20_000)) {
        row.clear();
        row.push_row(x.row(at));
        let mut out = [0.0];
        let start = Instant::now();
        ensemble.predict_into(&row, &mut out).expect("same columns");
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(share * (times.len() - 1) as f64) as usize];
    println!("one row: p50 {:.2} us, p99 {:.2} us", at(0.5), at(0.99));
    let start = Instant::now();
    let before = cpu_seconds(start);
    for at in 0..4000 {
        ensemble.contributions(x, at, 0).expect("same columns");
    }
    println!(
        "one explanation: {:.1} CPU us",
        (cpu_seconds(start) - before) * 1e6 / 4000.0
    );
}

/// Store, item, calendar, price and lags with noise.
fn daily_sales(rows: usize) -> (FeatureMatrix, Vec<f64>) {
    let mut state = 1_u64;
    let mut chance = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 31) as f64
    };
    let mut x = FeatureMatrix::with_capacity(COLUMNS, rows);
    let mut label = Vec::with_capacity(rows);
    for row in 0..rows {
        let (store, item) = ((chance() * 10.0).floor(), (chance() * 50.0).floor());
        let (day, price) = ((row % 1826) as f64, 1.0 + chance());
        let level = 20.0 + 3.0 * store + ((item * 7.0) % 13.0) * (1.0 + 0.3 * (day / 58.0).sin()) - 8.0 * price;
        let weekday = day % 7.0;
        let mut lag = |spread: f64| level + weekday + spread * (chance() - 0.5);
        let values = [
            store,
            item,
            weekday,
            (day / 30.4).floor() % 12.0,
            day % 365.0,
            day,
            price,
            lag(9.0),
            lag(7.0),
            lag(5.0),
            lag(15.0),
            lag(3.0),
        ];
        label.push(lag(6.0));
        x.push_row(&values);
    }
    (x, label)
}
