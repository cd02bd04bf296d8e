//! Linear predictors over encoded rows: a weight per numeric column, a weight per category code.

use foretell_features::FeatureMatrix;
use serde::{Deserialize, Serialize};

use crate::error::InferenceError;
use crate::predictor::Predictor;
use crate::tree::Link;

/// File name of a linear predictor in a package.
pub const LINEAR_FILE: &str = "linear.json";

/// One column's part of the sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LinearTerm {
    /// `weight * (x - mean) / scale`, the scaled value clipped to `-clip..clip`; missing adds `missing`.
    Numeric {
        /// Subtracted.
        mean: f64,
        /// Divided by; never 0.
        scale: f64,
        /// Scaled values beyond this many scales count as this many: one wild value must not decide alone.
        clip: f64,
        /// Per scaled unit.
        weight: f64,
        /// Added where the value is missing.
        missing: f64,
    },
    /// A weight per code; the last one is for codes not in the dictionary; missing adds `missing`.
    Category {
        /// By code.
        weights: Vec<f64>,
        /// Added where the value is missing.
        missing: f64,
    },
}

/// Sum of terms onto an intercept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Where the sum starts.
    pub intercept: f64,
    /// What turns the sum into the answer.
    pub link: Link,
    /// One per column.
    pub terms: Vec<LinearTerm>,
    /// The mean of each term over the training rows: contributions are relative to it.
    pub expected: Vec<f64>,
}

impl LinearTerm {
    /// Its part of the sum for one encoded value.
    pub fn part(&self, x: f64) -> f64 {
        match self {
            LinearTerm::Numeric { missing, .. } | LinearTerm::Category { missing, .. } if x.is_nan() => *missing,
            LinearTerm::Numeric {
                mean,
                scale,
                clip,
                weight,
                ..
            } => weight * ((x - mean) / scale).clamp(-clip, *clip),
            LinearTerm::Category { weights, missing } => {
                // A float cast saturates, so no code can point outside.
                let code = (x as usize).min(weights.len().saturating_sub(1));
                weights.get(code).copied().unwrap_or(*missing)
            }
        }
    }

    fn is_sound(&self) -> bool {
        match self {
            LinearTerm::Numeric {
                mean,
                scale,
                clip,
                weight,
                missing,
            } => [mean, scale, clip, weight, missing].iter().all(|it| it.is_finite()) && *scale > 0.0 && *clip > 0.0,
            LinearTerm::Category { weights, missing } => {
                missing.is_finite() && !weights.is_empty() && weights.iter().all(|it| it.is_finite())
            }
        }
    }
}

impl Linear {
    /// Reads what [`Predictor::to_file`] wrote.
    ///
    /// # Errors
    /// Not JSON of this form, or numbers that are not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InferenceError> {
        let damaged = |reason: String| InferenceError::Damaged {
            file: LINEAR_FILE.to_owned(),
            reason,
        };
        let linear: Linear = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        let finite = linear.intercept.is_finite() && linear.expected.iter().all(|it| it.is_finite());
        let sound = linear.terms.iter().all(LinearTerm::is_sound) && linear.expected.len() == linear.terms.len();
        if finite && sound {
            Ok(linear)
        } else {
            Err(damaged("a term is not finite or has no expected value".to_owned()))
        }
    }

    /// Number of columns it was fitted on.
    pub fn n_features(&self) -> usize {
        self.terms.len()
    }

    fn parts<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.terms.iter().zip(row).map(|(term, &x)| term.part(x))
    }

    fn check_width(&self, columns: usize) -> Result<(), InferenceError> {
        if columns == self.terms.len() {
            return Ok(());
        }
        let reason = format!("{columns} columns given, the predictor has {}", self.terms.len());
        Err(InferenceError::Request(reason))
    }
}

impl Predictor for Linear {
    fn n_outputs(&self) -> usize {
        1
    }

    fn predict_into(&self, x: &FeatureMatrix, out: &mut [f64]) -> Result<(), InferenceError> {
        self.check_width(x.n_columns())?;
        for (row, slot) in x.rows().zip(out) {
            *slot = self.intercept + self.parts(row).sum::<f64>();
        }
        Ok(())
    }

    fn predict_row_into(&self, row: &[f64], out: &mut [f64]) -> Result<(), InferenceError> {
        self.check_width(row.len())?;
        out[0] = self.intercept + self.parts(row).sum::<f64>();
        Ok(())
    }

    fn contributions(&self, x: &FeatureMatrix, row: usize, _output: usize) -> Result<Vec<f64>, InferenceError> {
        self.check_width(x.n_columns())?;
        let parts = self
            .parts(x.row(row))
            .zip(&self.expected)
            .map(|(part, expected)| part - expected);
        let base = self.intercept + self.expected.iter().sum::<f64>();
        Ok(parts.chain([base]).collect())
    }

    fn to_file(&self) -> (String, Vec<u8>) {
        let bytes = serde_json::to_vec(self).expect("numbers and lists are always JSON");
        (LINEAR_FILE.to_owned(), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear() -> Linear {
        Linear {
            intercept: -1.0,
            link: Link::Logit,
            terms: vec![
                LinearTerm::Numeric {
                    mean: 10.0,
                    scale: 5.0,
                    clip: 3.0,
                    weight: 2.0,
                    missing: 0.5,
                },
                LinearTerm::Category {
                    weights: vec![0.1, 0.2, -0.3],
                    missing: 0.7,
                },
            ],
            expected: vec![0.25, 0.05],
        }
    }

    #[test]
    fn terms_add_up_with_missing_unseen_and_wild_values() {
        let cases = [
            ([15.0, 0.0], -1.0 + 2.0 + 0.1),
            ([1e9, 1.0], -1.0 + 6.0 + 0.2),
            ([f64::NAN, 2.0], -1.0 + 0.5 - 0.3),
            ([10.0, 1e12], -1.0 - 0.3),
            ([10.0, f64::NAN], -1.0 + 0.7),
        ];
        for (row, expected) in cases {
            let got = linear().predict(&FeatureMatrix::from_rows(2, row.to_vec())).unwrap()[0];
            assert!((got - expected).abs() < 1e-12, "{row:?}: {got}");
        }
    }

    #[test]
    fn contributions_and_the_expected_value_sum_to_the_score() {
        let x = FeatureMatrix::from_rows(2, vec![12.0, 1.0]);
        let sum: f64 = linear().contributions(&x, 0, 0).unwrap().iter().sum();
        assert!((sum - linear().predict(&x).unwrap()[0]).abs() < 1e-12);
    }

    #[test]
    fn the_file_reads_back_and_unsound_files_are_refused() {
        let (name, bytes) = linear().to_file();
        assert_eq!(
            (name.as_str(), Linear::from_bytes(&bytes).unwrap()),
            (LINEAR_FILE, linear())
        );
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in [
            ("5.0", "0.0"),
            ("[0.25,", "["),
            ("-1.0", "null"),
            ("[0.1,0.2,-0.3]", "[]"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(
                Linear::from_bytes(text.replacen(from, to, 1).as_bytes()).is_err(),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn a_matrix_of_another_width_is_refused() {
        assert!(linear().predict(&FeatureMatrix::from_rows(1, vec![1.0])).is_err());
    }
}
