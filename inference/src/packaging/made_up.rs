//! Rows that nobody sent: at, above and below the model's own thresholds, so that every split that is taken the wrong way shows.

use foretell_features::{DataType, Value};

use crate::import::{Imported, ImportedInput};
use crate::preprocessing::InputEncoding;
use crate::tree::{Node, TREES_FILE, TreeEnsemble};

/// How many are made.
const ROWS: usize = 32;
/// One value in so many is null.
const NULLS: u64 = 10;
/// A text that no dictionary has.
const UNSEEN: &str = "\u{1F0CF} unseen";

/// The rows, the same for the same model and seed; the last one is of nulls.
pub(super) fn rows(imported: &Imported, seed: u64) -> Vec<Vec<Value>> {
    let thresholds = thresholds(imported);
    let mut chance = Chance(seed);
    let mut row = |_| {
        let inputs = imported.inputs.iter().zip(&thresholds);
        inputs
            .map(|(input, thresholds)| value(input, thresholds, &mut chance))
            .collect()
    };
    let mut rows: Vec<Vec<Value>> = (1..ROWS).map(&mut row).collect();
    rows.push(vec![Value::Null; imported.inputs.len()]);
    rows
}

/// By column, the values that its splits are at: of trees their thresholds, of anything else none.
fn thresholds(imported: &Imported) -> Vec<Vec<f64>> {
    let mut thresholds = vec![Vec::new(); imported.inputs.len()];
    let (name, bytes) = imported.predictor.predictor().to_file();
    let trees = (name == TREES_FILE)
        .then(|| TreeEnsemble::from_bytes(&bytes).ok())
        .flatten();
    let nodes = trees.iter().flat_map(|it| it.trees()).flat_map(|it| &it.nodes);
    for node in nodes {
        if let Node::Numeric { feature, threshold, .. } = node
            && threshold.is_finite()
        {
            thresholds[*feature as usize].push(*threshold);
        }
    }
    for column in &mut thresholds {
        column.sort_by(f64::total_cmp);
        column.dedup();
    }
    thresholds
}

fn value(input: &ImportedInput, thresholds: &[f64], chance: &mut Chance) -> Value {
    if chance.below(NULLS) == 0 {
        return Value::Null;
    }
    if let InputEncoding::Category { categories } = &input.encoding {
        return category(input.data_type, categories, chance);
    }
    let number = number(thresholds, chance);
    match input.data_type {
        DataType::Double => Value::Float(number),
        DataType::Int64 => Value::Int(number.round().clamp(-9e15, 9e15) as i64),
        DataType::Boolean => Value::Bool(chance.below(2) == 0),
        DataType::String => Value::text(number.to_string()),
        DataType::Timestamp => Value::text("2020-01-01T00:00:00Z"),
    }
}

/// One of the dictionary, or now and then a text that is not in it.
fn category(data_type: DataType, categories: &[String], chance: &mut Chance) -> Value {
    let known = chance.below(categories.len() as u64 + 1) as usize;
    match (categories.get(known), data_type) {
        (Some(text), _) => Value::text(text.as_str()),
        (None, DataType::String) => Value::text(UNSEEN),
        (None, _) => Value::Null,
    }
}

/// At a threshold, one step above it, between it and its neighbour, or far out.
fn number(thresholds: &[f64], chance: &mut Chance) -> f64 {
    let Some(last) = thresholds.len().checked_sub(1) else {
        return (chance.unit() - 0.5) * 8.0;
    };
    let at = chance.below(thresholds.len() as u64) as usize;
    let (here, next) = (thresholds[at], thresholds[(at + 1).min(last)]);
    let number = match chance.below(8) {
        0 => here,
        1 => here.next_up(),
        2 => thresholds[0] - 1.0 - thresholds[0].abs(),
        3 => thresholds[last] + 1.0 + thresholds[last].abs(),
        4 => 0.0,
        _ => here / 2.0 + next / 2.0,
    };
    if number.is_finite() { number } else { here }
}

/// A small generator (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
