//! One tree ensemble for all series and all steps, over lags, calendar and known covariates.
//!
//! The trees say how large a step is relative to the series' recent size; the value is that ratio times the size.

use std::collections::BTreeMap;

use super::naive::form_file;
use super::{ForecastState, ForecasterForm, Future, LagLayout, Origin, check_horizon, clip};
use crate::error::InferenceError;
use crate::predictor::{Forecaster, Predictor};
use crate::tree::{Link, Node, Tree, TreeEnsemble};

/// The fitted forecaster.
#[derive(Debug)]
pub struct BoostedLags {
    layout: LagLayout,
    trees: TreeEnsemble,
    /// Per tree and node, the mean leaf value below it: what the tree would say had it stopped there.
    expected: Vec<Vec<f64>>,
    /// Names of the components, and per column the position of its component.
    groups: Vec<String>,
    group_of: Vec<usize>,
}

const LEVEL: &str = "level";

impl BoostedLags {
    /// Joins the layout with the trees fitted on its columns.
    ///
    /// # Errors
    /// The trees were fitted on other columns, or answer in another unit than ratios.
    pub fn new(layout: LagLayout, trees: TreeEnsemble) -> Result<Self, InferenceError> {
        let columns = layout.columns();
        let fits = trees.n_features() == columns.len() && trees.link() == Link::Identity;
        if !fits {
            let reason = format!("{} columns, the layout has {}", trees.n_features(), columns.len());
            return Err(InferenceError::Damaged {
                file: crate::tree::TREES_FILE.to_owned(),
                reason,
            });
        }
        let mut groups = vec![LEVEL.to_owned()];
        let mut positions = BTreeMap::from([(LEVEL.to_owned(), 0)]);
        let group_of = columns.into_iter().map(|column| {
            *positions.entry(column.group.clone()).or_insert_with(|| {
                groups.push(column.group);
                groups.len() - 1
            })
        });
        let group_of = group_of.collect();
        let expected = trees.trees().iter().map(expected_values).collect();
        Ok(Self {
            layout,
            trees,
            expected,
            groups,
            group_of,
        })
    }

    /// What its features are.
    pub fn layout(&self) -> &LagLayout {
        &self.layout
    }

    fn rows<T>(
        &self,
        state: &ForecastState,
        horizon: usize,
        future: &Future,
        mut of: impl FnMut(&Origin<'_>, &[f64]) -> Result<T, InferenceError>,
    ) -> Result<Vec<T>, InferenceError> {
        check_horizon(horizon, self.layout.horizon)?;
        let origin = self.layout.origin(state);
        let mut row = Vec::with_capacity(self.group_of.len());
        let step = |step| {
            row.clear();
            origin.row_into(step, future, &mut row);
            of(&origin, &row)
        };
        (1..=horizon).map(step).collect()
    }

    /// The parts of one step: each split moves a tree's expectation, and the move belongs to the split column's component. The
    /// parts sum to the value exactly; a value clipped at zero takes the difference from its level.
    fn parts(&self, origin: &Origin<'_>, row: &[f64]) -> Vec<f64> {
        let mut parts = vec![0.0; self.groups.len()];
        parts[0] = self.trees.form().base[0];
        for (tree, expected) in self.trees.trees().iter().zip(&self.expected) {
            parts[0] += expected[0];
            let mut at = 0;
            while let (Some(next), Some(feature)) = (tree.nodes[at].next(row), tree.nodes[at].feature()) {
                parts[self.group_of[feature]] += expected[next] - expected[at];
                at = next;
            }
        }
        parts.iter_mut().for_each(|it| *it *= origin.scale());
        let value: f64 = parts.iter().sum();
        if self.layout.nonnegative && value < 0.0 {
            parts[0] -= value;
        }
        parts
    }
}

/// By node, the cover-weighted mean of the leaves below it. Children come after their parent.
fn expected_values(tree: &Tree) -> Vec<f64> {
    let mut expected = vec![0.0; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        expected[at] = match (node, node.children()) {
            (Node::Leaf { value, .. }, _) => value.at(0, 0),
            (_, Some((left, right))) => {
                let (l, r) = (tree.nodes[left].cover(), tree.nodes[right].cover());
                (expected[left] * l + expected[right] * r) / (l + r)
            }
            (_, None) => unreachable!("only a leaf has no children"),
        };
    }
    expected
}

impl Forecaster for BoostedLags {
    fn max_horizon(&self) -> usize {
        self.layout.horizon
    }

    fn forecast(&self, state: &ForecastState, horizon: usize, future: &Future) -> Result<Vec<f64>, InferenceError> {
        let mut values = self.rows(state, horizon, future, |origin, row| {
            Ok(self.trees.raw_row(row)? * origin.scale())
        })?;
        clip(&mut values, self.layout.nonnegative);
        Ok(values)
    }

    fn advance(&self, state: &mut ForecastState, observation: f64, known: &[f64]) -> Result<(), InferenceError> {
        if known.len() != self.layout.known.len() {
            let reason = format!(
                "{} known covariates came, the model has {}",
                known.len(),
                self.layout.known.len()
            );
            return Err(InferenceError::Request(reason));
        }
        state.push(
            self.layout.step,
            observation,
            known,
            self.layout.memory(),
            self.layout.known_memory(),
        );
        Ok(())
    }

    fn components(
        &self,
        state: &ForecastState,
        horizon: usize,
        future: &Future,
    ) -> Result<Vec<(String, Vec<f64>)>, InferenceError> {
        let steps = self.rows(state, horizon, future, |origin, row| Ok(self.parts(origin, row)))?;
        let named = self.groups.iter().enumerate();
        Ok(named
            .map(|(at, name)| (name.clone(), steps.iter().map(|parts| parts[at]).collect()))
            .collect())
    }

    fn to_files(&self) -> Vec<(String, Vec<u8>)> {
        vec![
            form_file(&ForecasterForm::BoostedLags(self.layout.clone())),
            self.trees.to_file(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use foretell_features::Span;

    use super::*;
    use crate::forecast::fixture::state;
    use crate::forecast::{KnownColumn, Seasons};

    fn leaf(value: f64, cover: f64) -> Node {
        Node::Leaf {
            value: value.into(),
            cover,
        }
    }

    fn split(feature: usize, threshold: f64, left: u32, right: u32) -> Node {
        Node::Numeric {
            feature: feature as u32,
            threshold,
            missing_left: true,
            left,
            right,
            cover: 10.0,
        }
    }

    /// Promotion adds a half of the level, the step takes a tenth from the third on.
    fn model() -> BoostedLags {
        let promo = KnownColumn {
            name: "promo".into(),
            kind: foretell_features::ColumnKind::Numeric,
            usual: Some(0.0),
        };
        let layout = LagLayout {
            step: Span::DAY,
            horizon: 4,
            seasons: Seasons { short: 7, long: None },
            years: 0,
            scale_window: 28,
            nonnegative: true,
            skip_zeros: false,
            known: vec![promo],
            statics: Vec::new(),
        };
        let at = |name: &str| layout.columns().iter().position(|it| it.name == name).unwrap();
        let trees = vec![
            Tree::new(vec![split(at("promo"), 0.5, 1, 2), leaf(0.0, 8.0), leaf(0.5, 2.0)]),
            Tree::new(vec![split(at("step"), 2.5, 1, 2), leaf(0.0, 5.0), leaf(-0.1, 5.0)]),
        ];
        let trees = TreeEnsemble::new(layout.columns().len(), 1.0, Link::Identity, trees).unwrap();
        BoostedLags::new(layout, trees).unwrap()
    }

    #[test]
    fn values_are_ratios_of_the_recent_level_and_components_sum_to_them() {
        let state = state("a", &[20.0; 40]);
        let future = Future {
            n_columns: 1,
            values: vec![0.0, 1.0, 0.0, 1.0],
        };
        let values = model().forecast(&state, 4, &future).unwrap();
        for (got, expected) in values.iter().zip([20.0, 30.0, 18.0, 28.0]) {
            let close = (got - expected).abs() < 1e-9;
            assert!(close, "{values:?}");
        }
        let parts = model().components(&state, 4, &future).unwrap();
        for step in 0..4 {
            let sum: f64 = parts.iter().map(|(_, part)| part[step]).sum();
            let close = (sum - values[step]).abs() < 1e-9;
            assert!(close, "{parts:?}");
        }
        let promo = &parts.iter().find(|(name, _)| name == "promo").unwrap().1;
        let close = (promo[1] - promo[0] - 10.0).abs() < 1e-9;
        assert!(close, "{promo:?}");
    }

    #[test]
    fn an_observation_needs_its_covariates_and_moves_the_level() {
        let model = model();
        let mut state = state("a", &[20.0; 40]);
        assert!(model.advance(&mut state, 20.0, &[]).is_err());
        for _ in 0..28 {
            model.advance(&mut state, 40.0, &[0.0]).unwrap();
        }
        assert_eq!(model.forecast(&state, 1, &Future::unknown(1)).unwrap(), [40.0]);
    }
}
