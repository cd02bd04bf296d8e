//! Tree ensembles: the one form that the booster yields and that is evaluated, explained and stored.
//!
//! [`Form`] is what can be said, and the walk over its trees the judge; `flat` and `blocks` are the same trees packed for speed,
//! `shap` explains a row and `file` is `trees.bin`.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod blocks;
mod codes;
mod evaluator;
mod file;
mod flat;
mod form;
mod interventional;
mod leaf_shap;
mod path_shap;
mod quadrature;
mod section;
mod shap;
mod stored;
mod sum;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vbmi;

use std::sync::OnceLock;

use foretell_features::FeatureMatrix;

use crate::error::InferenceError;
use crate::predictor::Predictor;
use blocks::Blocks;
pub use evaluator::Evaluator;
use flat::FlatTrees;
pub use form::{Combine, Form, LeafValue, Link, Node, Tree};
use shap::Explainer;
use stored::{Head, Stored};
use sum::{Outputs, Sum};

/// The file name of an ensemble in a package.
pub const TREES_FILE: &str = "trees.bin";

/// The deepest tree that is accepted: bounds the work and the stack of explanations.
pub const MAX_DEPTH: usize = 256;

/// Outputs of an ensemble at most.
pub const MAX_OUTPUTS: usize = 1 << 12;

/// Trees whose leaves are summed in order, by output, and then added to a base.
///
/// One that was read from a file is evaluated where the file lies; what else is asked of it is made when it is asked.
#[derive(Debug, Clone)]
pub struct TreeEnsemble {
    head: Head,
    outputs: Outputs,
    blocks: Option<Blocks>,
    /// What a file said, where it came from one.
    stored: Option<Stored>,
    form: OnceLock<Form>,
    flat: OnceLock<FlatTrees>,
    explainer: OnceLock<Explainer>,
    /// By output, the mean of what the leaves come to, by cover.
    mean_leaves: OnceLock<Vec<f64>>,
    evaluator: Evaluator,
    /// Batches of so many rows are split across cores.
    split_from: usize,
}

impl TreeEnsemble {
    /// Trees that are summed to one output; see [`TreeEnsemble::from_form`].
    ///
    /// # Errors
    /// As `from_form`.
    pub fn new(n_features: usize, base: f64, link: Link, trees: Vec<Tree>) -> Result<Self, InferenceError> {
        Self::from_form(Form {
            n_features,
            base: vec![base],
            link,
            combine: Combine::Sum,
            trees,
        })
    }

    /// Checks the trees and packs them for prediction.
    ///
    /// # Errors
    /// `Damaged` when a tree is empty, is no tree (a node with two parents or none, a child before its parent), is deeper than
    /// [`MAX_DEPTH`], looks at a column past `n_features`, adds to an output that is not there, or holds a number that cannot be
    /// used; when leaves of one number and leaves of several are mixed.
    pub fn from_form(form: Form) -> Result<Self, InferenceError> {
        let form = form.checked()?;
        let outputs = Outputs::of(&form);
        let blocks = Blocks::pack(&form, &outputs);
        Ok(Self::assemble(
            Head::of(&form),
            outputs,
            blocks,
            None,
            OnceLock::from(form),
        ))
    }

    /// What a file says, checked, with the blocks that it may have.
    fn from_stored(
        head: Head,
        stored: Stored,
        blocks: impl FnOnce(&Head, &Outputs) -> Result<Option<Blocks>, InferenceError>,
    ) -> Result<Self, InferenceError> {
        let vectors = stored.has_vectors.then(|| stored.vectors.clone());
        let outputs = Outputs::new(&head.base, head.combine, stored.outputs.get(), vectors);
        let blocks = blocks(&head, &outputs)?;
        Ok(Self::assemble(head, outputs, blocks, Some(stored), OnceLock::new()))
    }

    fn assemble(
        head: Head,
        outputs: Outputs,
        blocks: Option<Blocks>,
        stored: Option<Stored>,
        form: OnceLock<Form>,
    ) -> Self {
        let mut ensemble = Self {
            head,
            outputs,
            blocks,
            stored,
            form,
            flat: OnceLock::new(),
            explainer: OnceLock::new(),
            mean_leaves: OnceLock::new(),
            evaluator: Evaluator::Walk,
            split_from: evaluator::SPLIT_FROM,
        };
        // Until it is measured: the most elaborate one is most often the fastest.
        ensemble.evaluator = ensemble.evaluators().pop().unwrap_or(Evaluator::Walk);
        ensemble
    }

    /// What it says.
    pub fn form(&self) -> &Form {
        self.form.get_or_init(|| {
            let stored = self.stored.as_ref().expect("what has no form came from a file");
            stored.form(&self.head)
        })
    }

    fn flat(&self) -> &FlatTrees {
        self.flat.get_or_init(|| FlatTrees::pack(self.trees()))
    }

    /// Number of columns it was fitted on.
    pub fn n_features(&self) -> usize {
        self.head.n_features
    }

    /// What turns the sums into the answer.
    pub fn link(&self) -> Link {
        self.head.link
    }

    /// The trees, by output, in order of summing.
    pub fn trees(&self) -> &[Tree] {
        &self.form().trees
    }

    /// The expected raw score of an output: what contributions are relative to.
    pub fn expected(&self, output: usize) -> f64 {
        self.head.base[output] + self.mean_leaves()[output]
    }

    fn mean_leaves(&self) -> &[f64] {
        let mean = |output| shap::mean_leaves(self.form(), &self.outputs, output);
        self.mean_leaves
            .get_or_init(|| (0..self.n_outputs()).map(mean).collect())
    }

    /// The sums before the link, row-major: the obvious walk, the judge of every fast one.
    ///
    /// # Panics
    /// When a row has fewer columns than the trees were fitted on.
    pub fn raw(&self, x: &FeatureMatrix) -> Vec<f64> {
        let raw = |row| (0..self.n_outputs()).map(move |output| self.obvious_sum(output, row));
        x.rows().flat_map(raw).collect()
    }

    fn obvious_sum(&self, output: usize, row: &[f64]) -> f64 {
        let mut sum = Sum::ZERO;
        for (at, tree) in self.trees()[self.outputs.trees(output)].iter().enumerate() {
            sum.add(at, tree.leaf(row).at(output, tree.output));
        }
        self.outputs.finish(output, sum)
    }

    /// The sum before the link for one row of trees with one output, without an allocation.
    ///
    /// # Errors
    /// The row has another width than the trees were fitted on, or they have several outputs.
    #[inline]
    pub fn raw_row(&self, row: &[f64]) -> Result<f64, InferenceError> {
        let mut raw = [0.0];
        self.raw_row_into(row, &mut raw)?;
        Ok(raw[0])
    }

    /// The sums before the link for one row, one for each output, without an allocation.
    ///
    /// # Errors
    /// The row has another width than the trees were fitted on, or `out` is not as long as there are outputs.
    #[inline]
    pub fn raw_row_into(&self, row: &[f64], out: &mut [f64]) -> Result<(), InferenceError> {
        self.check_width(row.len())?;
        self.check_room(1, out.len())?;
        self.raw_row_by(self.evaluator, row, out);
        Ok(())
    }

    /// Exact path-dependent SHAP values of one row on the raw score of an output, and its expected raw score last.
    ///
    /// # Errors
    /// The row has another width than the trees were fitted on, or there is no such output.
    pub fn contributions_row(&self, row: &[f64], output: usize) -> Result<Vec<f64>, InferenceError> {
        self.check_width(row.len())?;
        self.check_output(output)?;
        Ok(shap::contributions(self, row, output))
    }

    /// Exact interventional SHAP values of one row on the raw score of an output, unknown columns being those of the background's
    /// rows; the background's mean raw score last.
    ///
    /// # Errors
    /// The row or the background has another width than the trees were fitted on, the background has no rows, or there is no
    /// such output.
    pub fn interventional_row(
        &self,
        row: &[f64],
        background: &FeatureMatrix,
        output: usize,
    ) -> Result<Vec<f64>, InferenceError> {
        self.check_width(row.len())?;
        self.check_width(background.n_columns())?;
        self.check_output(output)?;
        if background.n_rows() == 0 {
            return Err(InferenceError::Request(
                "the background of an explanation has no rows".to_owned(),
            ));
        }
        Ok(interventional::contributions(self, row, background, output))
    }

    /// How much each column was used: training weight that passed its splits, summed over the trees. Sums to 1 where any tree
    /// splits.
    pub fn split_shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.n_features()];
        for node in self.trees().iter().flat_map(|tree| &tree.nodes) {
            if let Some(feature) = node.feature() {
                shares[feature] += node.cover();
            }
        }
        let total: f64 = shares.iter().sum();
        if total > 0.0 {
            shares.iter_mut().for_each(|it| *it /= total);
        }
        shares
    }

    fn check_width(&self, got: usize) -> Result<(), InferenceError> {
        if got == self.n_features() {
            return Ok(());
        }
        Err(InferenceError::Request(format!(
            "a row has {got} columns, the trees were fitted on {}",
            self.n_features()
        )))
    }

    fn check_room(&self, n_rows: usize, numbers: usize) -> Result<(), InferenceError> {
        let n_outputs = self.n_outputs();
        if numbers == n_rows * n_outputs {
            return Ok(());
        }
        Err(InferenceError::Request(format!(
            "{n_rows} rows of {n_outputs} outputs do not fit {numbers} numbers"
        )))
    }

    fn check_output(&self, output: usize) -> Result<(), InferenceError> {
        if output < self.n_outputs() {
            return Ok(());
        }
        Err(InferenceError::Request(format!(
            "output {output} was asked for, the trees have {}",
            self.n_outputs()
        )))
    }
}

/// The same trees: how they are evaluated here does not count.
impl PartialEq for TreeEnsemble {
    fn eq(&self, other: &Self) -> bool {
        self.form() == other.form()
    }
}

impl Predictor for TreeEnsemble {
    fn n_outputs(&self) -> usize {
        self.head.base.len()
    }

    fn predict_into(&self, x: &FeatureMatrix, out: &mut [f64]) -> Result<(), InferenceError> {
        self.check_width(x.n_columns())?;
        self.check_room(x.n_rows(), out.len())?;
        self.sum_rows(x, out);
        Ok(())
    }

    fn predict_row_into(&self, row: &[f64], out: &mut [f64]) -> Result<(), InferenceError> {
        self.raw_row_into(row, out)
    }

    fn contributions(&self, x: &FeatureMatrix, row: usize, output: usize) -> Result<Vec<f64>, InferenceError> {
        self.contributions_row(x.row(row), output)
    }

    fn tune(&mut self, rows: &FeatureMatrix) {
        TreeEnsemble::tune(self, rows);
    }

    fn to_file(&self) -> (String, Vec<u8>) {
        (TREES_FILE.to_owned(), self.to_bytes())
    }
}

fn damaged(reason: String) -> InferenceError {
    InferenceError::Damaged {
        file: TREES_FILE.to_owned(),
        reason,
    }
}
