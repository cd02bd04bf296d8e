//! Harbor & Thread, the company that `foretell demo` makes up: a shop with a monthly subscription.
//!
//! Everything is drawn from one seed by the processes written down in `customers.rs`, `leads.rs` and `products.rs`. Because
//! they are known, so is the **best reachable** result: the score that a model gets which knows the process itself, its
//! parameters and its hidden state, and can be wrong only by chance. `demo` prints it beside what training reached.
//!
//! The clock stands at [`AS_OF`]. Decisions fall on midnights a whole number of periods before it: a customer decides about the
//! next 60 days, a lead about the next 30, so that the instants at which training looks back are the instants at which
//! something was decided.

use foretell_features::{Column, Span, Table, Timestamp};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// The demo's clock, 2026-06-30T00:00:00Z.
pub(crate) const AS_OF: Timestamp = Timestamp(1_782_777_600_000_000);

/// Days of history.
pub(crate) const HISTORY_DAYS: i64 = 1095;

/// Distribution channels of customers and leads.
pub(crate) const CHANNELS: [&str; 5] = ["search", "social", "referral", "partner", "email"];

/// What to make up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Customers who ever signed up.
    pub customers: usize,
    /// Products with daily sales.
    pub products: usize,
    /// Where all chance comes from.
    pub seed: u64,
}

/// The company's files by name, and what is known about its process.
#[derive(Debug)]
pub(crate) struct Company {
    /// `orders.parquet` and the like.
    pub files: Vec<(&'static str, Table)>,
    /// Metric that the process itself would reach: model, metric, value.
    pub best: Vec<(&'static str, &'static str, f64)>,
}

/// Makes up the whole company.
pub(crate) fn simulate(size: Size) -> Company {
    let customers = super::customers::simulate(size);
    let leads = super::leads::simulate(size);
    let products = super::products::simulate(size);
    let mut company = Company {
        files: Vec::new(),
        best: Vec::new(),
    };
    for part in [customers, leads, products] {
        company.files.extend(part.files);
        company.best.extend(part.best);
    }
    company
}

/// A stream of chance of its own for each part, so that more products do not change the customers.
pub(crate) fn chance(size: Size, part: &str) -> Xoshiro256PlusPlus {
    let salt = part.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Xoshiro256PlusPlus::seed_from_u64(size.seed ^ salt)
}

/// The instant `days` after (or before) the demo's clock.
pub(crate) fn day(days: f64) -> Timestamp {
    AS_OF.plus(Span((days * Span::DAY.0 as f64) as i64))
}

/// `1 / (1 + exp(-x))`
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// One of several, with the given weights.
pub(crate) fn pick<T: Copy>(options: &[(T, f64)], rng: &mut Xoshiro256PlusPlus) -> T {
    let total: f64 = options.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.random::<f64>() * total;
    for (option, weight) in options {
        at -= weight;
        if at < 0.0 {
            return *option;
        }
    }
    options.last().expect("there is something to pick from").0
}

/// A count with the given mean.
pub(crate) fn poisson(mean: f64, rng: &mut Xoshiro256PlusPlus) -> usize {
    match rand_distr::Poisson::new(mean) {
        Ok(distribution) => rng.sample::<f64, _>(distribution) as usize,
        Err(_) => 0, // a mean of 0
    }
}

/// Rows under construction: every column by name, filled in step.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    names: Vec<&'static str>,
    columns: Vec<Column>,
}

/// One cell on its way into [`Rows`].
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// Text, shared between rows.
    Text(std::sync::Arc<str>),
    /// A float, null where unknown.
    Number(Option<f64>),
    /// An integer, null where unknown.
    Count(Option<i64>),
    /// An instant.
    Time(Timestamp),
    /// Yes or no.
    Flag(bool),
}

impl Rows {
    /// No rows yet.
    pub(crate) fn new(names: &[&'static str]) -> Self {
        Self {
            names: names.to_vec(),
            columns: Vec::new(),
        }
    }

    /// Appends a row; the first one settles the types.
    pub(crate) fn push<const N: usize>(&mut self, cells: [Cell; N]) {
        assert_eq!(N, self.names.len(), "a row has one cell per column");
        if self.columns.is_empty() {
            self.columns = cells.iter().map(Cell::empty_column).collect();
        }
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            match (column, cell) {
                (Column::Str(it), Cell::Text(cell)) => it.push(Some(cell)),
                (Column::Float(it), Cell::Number(cell)) => it.push(cell),
                (Column::Int(it), Cell::Count(cell)) => it.push(cell),
                (Column::Time(it), Cell::Time(cell)) => it.push(Some(cell)),
                (Column::Bool(it), Cell::Flag(cell)) => it.push(Some(cell)),
                (column, cell) => panic!("a {} column got {cell:?}", column.data_type()),
            }
        }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// The table, rows by rising time as an event log would have them.
    pub(crate) fn into_table(self, time: Option<&str>) -> Table {
        let mut order: Vec<usize> = (0..self.len()).collect();
        let at = time.and_then(|time| self.names.iter().position(|name| *name == time));
        if let Some(Column::Time(times)) = at.map(|at| &self.columns[at]) {
            order.sort_by_key(|&row| times[row]);
        }
        let mut table = Table::new();
        for (name, column) in self.names.into_iter().zip(self.columns) {
            table.push(name, column.select(&order));
        }
        table
    }
}

impl Cell {
    fn empty_column(&self) -> Column {
        match self {
            Cell::Text(_) => Column::Str(Vec::new()),
            Cell::Number(_) => Column::Float(Vec::new()),
            Cell::Count(_) => Column::Int(Vec::new()),
            Cell::Time(_) => Column::Time(Vec::new()),
            Cell::Flag(_) => Column::Bool(Vec::new()),
        }
    }
}

/// Area under the ROC curve of a score, ties counting one half (Mann-Whitney).
pub(crate) fn roc_auc(score: &[f64], label: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.sort_by(|&a, &b| score[a].total_cmp(&score[b]));
    let (mut rank_sum, mut at) = (0.0, 0);
    while at < order.len() {
        let end = at
            + order[at..]
                .iter()
                .take_while(|&&row| score[row] == score[order[at]])
                .count();
        let rank = (at + end + 1) as f64 / 2.0;
        rank_sum += rank * order[at..end].iter().filter(|&&row| label[row]).count() as f64;
        at = end;
    }
    let positives = label.iter().filter(|it| **it).count() as f64;
    let negatives = label.len() as f64 - positives;
    (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}
