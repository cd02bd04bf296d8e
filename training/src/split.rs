//! Which rows are the test, and how the training rows are folded. Test rows are never looked at before the last word.

use foretell_features::{EntityKey, TrainingSet};
use foretell_models::SplitSpec;

use crate::error::TrainError;

/// Positions of training and test rows in a training set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// May be fitted, tuned, calibrated and chosen on.
    pub train: Vec<usize>,
    /// Judged on.
    pub test: Vec<usize>,
    /// Rows in neither: earlier rows whose label looks past the test's cutoff.
    pub left_out: usize,
}

/// A part of the training rows that is predicted by a model fitted on others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Fitted on.
    pub fit: Vec<usize>,
    /// Stopped on.
    pub stop: Vec<usize>,
    /// Predicted: in neither of the others.
    pub held_out: Vec<usize>,
}

/// Share of a fold's fitting rows that decide when to stop.
const STOP_SHARE: f64 = 0.15;

/// The rule of published comparisons: row (or entity rank) `i` is a test row iff this is below the test fraction.
pub fn row_hash(i: u64) -> f64 {
    // The low 32 bits of the product are all that the modulus keeps.
    f64::from((i as u32).wrapping_mul(2_654_435_761)) / 4_294_967_296.0
}

/// Splits by the model's rule.
///
/// # Errors
/// Either side is empty, or the set lacks what the rule looks at.
pub fn split(model: &str, set: &TrainingSet, spec: SplitSpec) -> Result<Split, TrainError> {
    let split = match spec {
        SplitSpec::RowHash { test_fraction } => by_hash(set.n_rows(), &set.file_row, test_fraction),
        SplitSpec::EntityHash { test_fraction } => by_hash(set.n_rows(), &set.appearance, test_fraction),
        SplitSpec::Time => by_time(set),
    };
    let refuse = |reason: &str| TrainError::Split {
        model: model.to_owned(),
        reason: reason.to_owned(),
    };
    let split = split.ok_or_else(|| refuse(what_is_missing(spec)))?;
    match (split.train.is_empty(), split.test.is_empty()) {
        (true, _) => Err(refuse(if set.n_rows() == 0 { NO_ROWS } else { NO_TRAIN })),
        (_, true) => Err(refuse(
            "no row falls into the test set; raise test_fraction, or give more data",
        )),
        _ => Ok(split),
    }
}

/// Folds of the training rows, cut by entity, so that no entity is on two sides. The more rows, the fewer folds: with many
/// rows one held-out part says enough.
pub fn folds(keys: &[EntityKey], train: &[usize], seed: u64) -> Vec<Fold> {
    let (parts, used) = match train.len() {
        0..=20_000 => (5, 5),
        20_001..=60_000 => (3, 3),
        _ => (4, 1),
    };
    let part_of: Vec<u64> = train.iter().map(|&row| entity_hash(&keys[row], seed) % parts).collect();
    (0..used).map(|part| fold(keys, train, &part_of, part, seed)).collect()
}

const NO_ROWS: &str = "the training set is empty; widen [training] population, or check that the label's horizon is shorter than the data";
const NO_TRAIN: &str =
    "no training row is left before the test's cutoff; add earlier cutoffs, or shorten the label's horizon";

fn what_is_missing(spec: SplitSpec) -> &'static str {
    match spec {
        SplitSpec::RowHash { .. } => "by = \"row_hash\" needs rows of one file; use entity_hash or time for cutoffs",
        SplitSpec::EntityHash { .. } => {
            "by = \"entity_hash\" needs entities in order of appearance; use row_hash for a row table"
        }
        SplitSpec::Time => "by = \"time\" needs [training] cutoffs, at least two",
    }
}

fn by_hash(n_rows: usize, ranks: &[u64], test_fraction: f64) -> Option<Split> {
    let is_complete = ranks.len() == n_rows;
    let (test, train) = (0..n_rows.min(ranks.len())).partition(|&row| row_hash(ranks[row]) < test_fraction);
    is_complete.then_some(Split {
        train,
        test,
        left_out: 0,
    })
}

fn by_time(set: &TrainingSet) -> Option<Split> {
    let cutoffs: Vec<_> = set.cutoffs.iter().copied().collect::<Option<_>>()?;
    let ends: Vec<_> = set.label_end.iter().copied().collect::<Option<_>>()?;
    let Some(&last) = cutoffs.iter().max() else {
        return Some(Split {
            train: vec![],
            test: vec![],
            left_out: 0,
        });
    };
    let (test, earlier): (Vec<usize>, Vec<usize>) = (0..cutoffs.len()).partition(|&row| cutoffs[row] == last);
    let (train, late): (Vec<usize>, Vec<usize>) = earlier.into_iter().partition(|&row| ends[row] <= last);
    Some(Split {
        train,
        test,
        left_out: late.len(),
    })
}

fn fold(keys: &[EntityKey], train: &[usize], part_of: &[u64], part: u64, seed: u64) -> Fold {
    let mut fold = Fold {
        fit: vec![],
        stop: vec![],
        held_out: vec![],
    };
    for (&row, &its) in train.iter().zip(part_of) {
        // Another seed per part, so that stopping rows are drawn afresh in each fold.
        let draw = entity_hash(&keys[row], seed ^ (0xA5A5 + part)) as f64 / u64::MAX as f64;
        let side = match (its == part, draw < STOP_SHARE) {
            (true, _) => &mut fold.held_out,
            (false, true) => &mut fold.stop,
            (false, false) => &mut fold.fit,
        };
        side.push(row);
    }
    fold
}

/// FNV-1a over the key, then SplitMix64's finaliser with the seed: the same on every machine and in every release.
fn entity_hash(key: &EntityKey, seed: u64) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let mut z = key
        .encode()
        .into_iter()
        .fold(0xCBF2_9CE4_8422_2325, fnv)
        .wrapping_add(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use foretell_features::{Table, Timestamp};

    use super::*;

    fn keys(n: usize) -> Vec<EntityKey> {
        (0..n)
            .map(|it| EntityKey(vec![foretell_features::row::KeyPart::Int((it % 700) as i64)]))
            .collect()
    }

    fn set(rows: &[(i64, i64)]) -> TrainingSet {
        TrainingSet {
            table: Table::new(),
            keys: keys(rows.len()),
            cutoffs: rows.iter().map(|it| Some(Timestamp(it.0))).collect(),
            label: vec![0.0; rows.len()],
            label_end: rows.iter().map(|it| Some(Timestamp(it.1))).collect(),
            file_row: vec![],
            appearance: (0..rows.len() as u64).collect(),
        }
    }

    #[test]
    fn the_published_hash_picks_the_published_rows() {
        let test: Vec<u64> = (0..20).filter(|&it| row_hash(it) < 0.2).collect();
        // (i * 2654435761 mod 2^32) / 2^32 in exact arithmetic.
        let exact = |i: u64| ((u128::from(i) * 2_654_435_761) % (1 << 32)) as f64 / 4_294_967_296.0;
        assert_eq!(test, (0..20).filter(|&it| exact(it) < 0.2).collect::<Vec<_>>());
        assert_eq!(row_hash(7043), exact(7043));
        assert_eq!(test[0], 0);
    }

    #[test]
    fn a_split_by_time_tests_on_the_last_cutoff_and_trains_only_on_labels_that_ended_before_it() {
        let split = split(
            "m",
            &set(&[(10, 20), (15, 30), (20, 30), (25, 40), (30, 45), (30, 45)]),
            SplitSpec::Time,
        )
        .unwrap();
        assert_eq!(
            (split.train, split.test, split.left_out),
            (vec![0, 1, 2], vec![4, 5], 1)
        );
    }

    #[test]
    fn a_split_that_cannot_be_made_says_what_to_do() {
        let cases = [
            (set(&[]), SplitSpec::Time, "the training set is empty"),
            (set(&[(10, 20)]), SplitSpec::Time, "no training row is left"),
            (
                set(&[(10, 20)]),
                SplitSpec::RowHash { test_fraction: 0.2 },
                "use entity_hash or time",
            ),
            (
                set(&[(1, 2), (1, 2)]),
                SplitSpec::EntityHash { test_fraction: 0.0 },
                "no row falls into the test set",
            ),
        ];
        for (set, spec, expected) in cases {
            let error = split("m", &set, spec).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn folds_hold_out_every_row_once_and_never_cut_an_entity() {
        let keys = keys(3000);
        let train: Vec<usize> = (0..3000).filter(|it| it % 3 > 0).collect();
        let folds = folds(&keys, &train, 7);
        let mut held_out: Vec<usize> = folds.iter().flat_map(|it| it.held_out.clone()).collect();
        held_out.sort_unstable();
        assert_eq!(held_out, train);
        for fold in &folds {
            let entities = |rows: &[usize]| {
                rows.iter()
                    .map(|&it| keys[it].clone())
                    .collect::<std::collections::BTreeSet<_>>()
            };
            let (fit, stop, out) = (entities(&fold.fit), entities(&fold.stop), entities(&fold.held_out));
            assert!(fit.is_disjoint(&stop) && fit.is_disjoint(&out) && stop.is_disjoint(&out));
            assert!(fold.fit.len() > fold.stop.len() && !fold.stop.is_empty() && !fold.held_out.is_empty());
        }
        assert_ne!(folds, super::folds(&keys, &train, 8), "the seed decides");
    }
}
