//! What can be set, within which ranges, and by which names.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use foretell_features::{Value, spelling};

use crate::error::BoostError;
use crate::loss::Loss;

/// How the answer may move when a column grows and all else stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Monotone {
    /// Any way.
    #[default]
    Free,
    /// Never down.
    Rising,
    /// Never up.
    Falling,
}

/// Settings of one fit. The defaults are shallow trees and small steps: slower than other libraries' defaults, better
/// calibrated, and seldom far from tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// What is made small.
    pub loss: Loss,
    /// The most trees. With validation rows, early stopping ends sooner.
    pub rounds: usize,
    /// Rounds without a better validation loss after which fitting ends.
    pub patience: usize,
    /// Share of each tree's step that is taken.
    pub learning_rate: f64,
    /// The most leaves of a tree. 0: by the number of rows, 15 below 25,000, 63 from 250,000 on, 31 between.
    pub num_leaves: usize,
    /// The most splits from root to leaf.
    pub max_depth: usize,
    /// The fewest rows in a leaf.
    pub min_data_in_leaf: usize,
    /// The least sum of second derivatives in a leaf.
    pub min_child_weight: f64,
    /// Pulls leaf values to 0, and small ones onto it.
    pub l1: f64,
    /// Pulls leaf values towards 0: added to the sum of second derivatives.
    pub l2: f64,
    /// The least gain of a split.
    pub min_gain: f64,
    /// Share of the rows that each tree sees.
    pub row_fraction: f64,
    /// Share of the columns that each tree sees.
    pub column_fraction: f64,
    /// The most bins of a quantity.
    pub max_bins: usize,
    /// Rows that pull a category's rank towards the mean when categories are sorted.
    pub cat_smooth: f64,
    /// As `l2`, in rows, for splits by subsets of categories.
    pub cat_l2: f64,
    /// The most categories on the left of a split.
    pub max_left_categories: usize,
    /// Columns with at most this many categories in a node are split one against the rest.
    pub one_hot_categories: usize,
    /// By column; empty: all free.
    pub monotone: Vec<Monotone>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            loss: Loss::Squared,
            rounds: 1000,
            patience: 50,
            learning_rate: 0.05,
            num_leaves: 0,
            max_depth: 12,
            min_data_in_leaf: 15,
            min_child_weight: 1e-3,
            l1: 0.0,
            l2: 1.0,
            min_gain: 0.0,
            row_fraction: 0.9,
            column_fraction: 0.7,
            max_bins: 255,
            cat_smooth: 20.0,
            cat_l2: 20.0,
            max_left_categories: 32,
            one_hot_categories: 4,
            monotone: Vec::new(),
        }
    }
}

/// Every name that [`Parameters::from_named`] takes.
const NAMES: [&str; 21] = [
    "loss",
    "tweedie_power",
    "quantile",
    "huber_delta",
    "rounds",
    "patience",
    "learning_rate",
    "num_leaves",
    "max_depth",
    "min_data_in_leaf",
    "min_child_weight",
    "l1",
    "l2",
    "min_gain",
    "row_fraction",
    "column_fraction",
    "max_bins",
    "cat_smooth",
    "cat_l2",
    "max_left_categories",
    "one_hot_categories",
];

impl Parameters {
    /// The defaults for a loss.
    pub fn for_loss(loss: Loss) -> Self {
        Self {
            loss,
            ..Self::default()
        }
    }

    /// The defaults with named changes, as a candidate's table in `model.toml` gives them.
    ///
    /// # Errors
    /// A name that there is none of (the nearest one is named), a value out of range or of another type.
    pub fn from_named(named: &BTreeMap<String, Value>) -> Result<Self, BoostError> {
        Self::default().with_named(named)
    }

    /// These parameters with named changes.
    ///
    /// # Errors
    /// As [`Parameters::from_named`].
    pub fn with_named(mut self, named: &BTreeMap<String, Value>) -> Result<Self, BoostError> {
        // The loss first: `quantile` and the like are its own parameters.
        if let Some(value) = named.get("loss") {
            self.set("loss", value)?;
        }
        for (name, value) in named.iter().filter(|(name, _)| *name != "loss") {
            self.set(name, value)?;
        }
        Ok(self)
    }

    /// All settings by name, as [`Parameters::from_named`] takes them; `monotone` has no name.
    pub fn named(&self) -> BTreeMap<String, Value> {
        let count = |it: usize| Value::Int(i64::try_from(it).unwrap_or(i64::MAX));
        let mut named = vec![
            ("loss", Value::text(self.loss.name())),
            ("rounds", count(self.rounds)),
            ("patience", count(self.patience)),
            ("learning_rate", Value::Float(self.learning_rate)),
            ("num_leaves", count(self.num_leaves)),
            ("max_depth", count(self.max_depth)),
            ("min_data_in_leaf", count(self.min_data_in_leaf)),
            ("min_child_weight", Value::Float(self.min_child_weight)),
            ("l1", Value::Float(self.l1)),
            ("l2", Value::Float(self.l2)),
            ("min_gain", Value::Float(self.min_gain)),
            ("row_fraction", Value::Float(self.row_fraction)),
            ("column_fraction", Value::Float(self.column_fraction)),
            ("max_bins", count(self.max_bins)),
            ("cat_smooth", Value::Float(self.cat_smooth)),
            ("cat_l2", Value::Float(self.cat_l2)),
            ("max_left_categories", count(self.max_left_categories)),
            ("one_hot_categories", count(self.one_hot_categories)),
        ];
        match self.loss {
            Loss::Tweedie { power } => named.push(("tweedie_power", Value::Float(power))),
            Loss::Quantile { level } => named.push(("quantile", Value::Float(level))),
            Loss::Huber { delta } => named.push(("huber_delta", Value::Float(delta))),
            _ => {}
        }
        named
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The same with everything chosen that the number of rows chooses.
    pub(crate) fn for_rows(&self, n_rows: usize) -> Self {
        let by_rows = match n_rows {
            0..25_000 => 15,
            25_000..250_000 => 31,
            _ => 63,
        };
        Self {
            num_leaves: if self.num_leaves == 0 { by_rows } else { self.num_leaves },
            ..self.clone()
        }
    }

    /// The ranges of [`Parameters::from_named`], for parameters that were set field by field.
    pub(crate) fn check(&self) -> Result<(), BoostError> {
        Self::from_named(&self.named()).map(|_| ())
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), BoostError> {
        let named = Named { name, value };
        match name {
            "loss" => self.loss = named.loss()?,
            "tweedie_power" => {
                self.loss = Loss::Tweedie {
                    power: named.number(1.01..=1.99)?,
                }
            }
            "quantile" => {
                self.loss = Loss::Quantile {
                    level: named.number(0.001..=0.999)?,
                }
            }
            "huber_delta" => {
                self.loss = Loss::Huber {
                    delta: named.number(1e-9..=1e12)?,
                }
            }
            "rounds" => self.rounds = named.count(1..=100_000)?,
            "patience" => self.patience = named.count(1..=100_000)?,
            "learning_rate" => self.learning_rate = named.number(1e-4..=1.0)?,
            "num_leaves" => self.num_leaves = named.leaves()?,
            "max_depth" => self.max_depth = named.count(1..=64)?,
            "min_data_in_leaf" => self.min_data_in_leaf = named.count(1..=1_000_000_000)?,
            "min_child_weight" => self.min_child_weight = named.number(0.0..=1e12)?,
            "l1" => self.l1 = named.number(0.0..=1e12)?,
            "l2" => self.l2 = named.number(0.0..=1e12)?,
            "min_gain" => self.min_gain = named.number(0.0..=1e12)?,
            "row_fraction" => self.row_fraction = named.number(0.01..=1.0)?,
            "column_fraction" => self.column_fraction = named.number(0.01..=1.0)?,
            "max_bins" => self.max_bins = named.count(2..=255)?,
            "cat_smooth" => self.cat_smooth = named.number(0.0..=1e9)?,
            "cat_l2" => self.cat_l2 = named.number(0.0..=1e9)?,
            "max_left_categories" => self.max_left_categories = named.count(1..=255)?,
            "one_hot_categories" => self.one_hot_categories = named.count(0..=255)?,
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}

/// A value on its way into a parameter.
struct Named<'a> {
    name: &'a str,
    value: &'a Value,
}

impl Named<'_> {
    fn number(&self, range: RangeInclusive<f64>) -> Result<f64, BoostError> {
        let number = match self.value {
            Value::Int(_) | Value::Float(_) => self.value.as_f64(),
            _ => None,
        };
        let expected = || format!("a number from {} to {}", range.start(), range.end());
        number
            .filter(|it| range.contains(it))
            .ok_or_else(|| self.refuse(expected()))
    }

    fn count(&self, range: RangeInclusive<usize>) -> Result<usize, BoostError> {
        let number = match self.value {
            Value::Int(it) => usize::try_from(*it).ok(),
            _ => None,
        };
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        number
            .filter(|it| range.contains(it))
            .ok_or_else(|| self.refuse(expected()))
    }

    fn leaves(&self) -> Result<usize, BoostError> {
        match self.count(0..=4096)? {
            1 => Err(self.refuse("0 (by the number of rows) or a whole number from 2 to 4096".to_owned())),
            leaves => Ok(leaves),
        }
    }

    fn loss(&self) -> Result<Loss, BoostError> {
        let loss = self.value.as_str().and_then(Loss::named);
        loss.ok_or_else(|| self.refuse(format!("one of {}", Loss::NAMES.join(", "))))
    }

    fn refuse(&self, expected: String) -> BoostError {
        BoostError::Parameter {
            name: self.name.to_owned(),
            expected,
            got: self.value.clone(),
        }
    }
}

fn unknown(name: &str) -> BoostError {
    let hint = match spelling::nearest(name, NAMES) {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => format!("; there are {}", NAMES.join(", ")),
    };
    BoostError::UnknownParameter {
        name: name.to_owned(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: Value) -> Result<Parameters, String> {
        Parameters::from_named(&BTreeMap::from([(name.to_owned(), value)])).map_err(|it| it.to_string())
    }

    #[test]
    fn every_name_is_known() {
        for name in NAMES {
            let refused = check(name, Value::Null).unwrap_err();
            assert!(refused.contains("must be"), "{name}: {refused}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        for (typed, meant) in [
            ("learning_rat", "learning_rate"),
            ("num_leafs", "num_leaves"),
            ("round", "rounds"),
        ] {
            let refused = check(typed, Value::Int(3)).unwrap_err();
            assert!(
                refused.contains(typed) && refused.contains(&format!("`{meant}`")),
                "{refused}"
            );
        }
    }

    #[test]
    fn values_out_of_range_or_of_another_type_are_refused() {
        for (name, value) in [
            ("rounds", Value::Int(0)),
            ("rounds", Value::Float(10.5)),
            ("num_leaves", Value::Int(1)),
            ("learning_rate", Value::Float(f64::NAN)),
            ("learning_rate", Value::text("fast")),
            ("row_fraction", Value::Float(1.5)),
            ("loss", Value::text("tweedy")),
        ] {
            assert!(
                check(name, value.clone()).unwrap_err().contains("must be"),
                "{name} = {value}"
            );
        }
    }

    #[test]
    fn named_settings_make_the_same_parameters() {
        for loss in Loss::NAMES {
            let parameters = Parameters::for_loss(Loss::named(loss).unwrap());
            assert_eq!(Parameters::from_named(&parameters.named()), Ok(parameters), "{loss}");
        }
        let wrong = Parameters {
            min_data_in_leaf: 0,
            ..Parameters::default()
        };
        assert!(wrong.check().unwrap_err().to_string().contains("min_data_in_leaf"));
    }

    #[test]
    fn names_change_what_they_name() {
        let got = check("learning_rate", Value::Float(0.1)).unwrap();
        assert_eq!(
            got,
            Parameters {
                learning_rate: 0.1,
                ..Parameters::default()
            }
        );
        let got = check("quantile", Value::Float(0.9)).unwrap();
        assert_eq!(got.loss, Loss::Quantile { level: 0.9 });
        let both = BTreeMap::from([
            ("loss".to_owned(), Value::text("tweedie")),
            ("tweedie_power".to_owned(), Value::Float(1.2)),
        ]);
        assert_eq!(
            Parameters::from_named(&both).unwrap().loss,
            Loss::Tweedie { power: 1.2 }
        );
    }
}
