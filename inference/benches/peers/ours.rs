//! Foretell's side: the library's own file through the importer, each evaluator, and the one that it chooses itself.

use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;

use foretell_features::FeatureMatrix;
use foretell_inference::{Evaluator, Predictor, TreeEnsemble};
use rayon::ThreadPool;

use crate::Failure;
use crate::contender::{Batch, Contender};
use crate::model::PeerModel;

/// Rows that the choice of an evaluator is measured on, as a package has golden rows.
const GOLDEN_ROWS: usize = 64;

/// The imported model, tuned on some of the rows.
pub(crate) fn import(model: &PeerModel, rows: &FeatureMatrix) -> Result<Rc<TreeEnsemble>, Failure> {
    let path = model.own_file();
    let name = path.file_name().expect("it is a file").to_string_lossy().into_owned();
    let files = BTreeMap::from([(name.clone(), fs::read(&path)?)]);
    let (_, bytes) = foretell_inference::import::import(&files, &name)?.predictor.to_file();
    let mut ensemble = TreeEnsemble::from_bytes(&bytes)?;
    ensemble.tune(&rows.select(&Vec::from_iter(0..GOLDEN_ROWS)));
    Ok(Rc::new(ensemble))
}

/// One way to evaluate it.
pub(crate) struct Ours {
    ensemble: Rc<TreeEnsemble>,
    /// `None`: as it chose for itself.
    evaluator: Option<Evaluator>,
}

impl Ours {
    /// What it chose, then every evaluator that this machine has.
    pub(crate) fn all(ensemble: &Rc<TreeEnsemble>) -> impl Iterator<Item = Self> {
        let ways = ensemble.evaluators().into_iter().map(Some);
        std::iter::once(None).chain(ways).map(|evaluator| Self {
            ensemble: Rc::clone(ensemble),
            evaluator,
        })
    }
}

impl Contender for Ours {
    fn name(&self) -> String {
        self.evaluator.map_or("ours".to_owned(), |it| format!("{it:?}"))
    }

    fn predict(&mut self, batch: &Batch, out: &mut [f64]) {
        match (self.evaluator, batch.n_rows()) {
            (None, 1) => out[0] = self.ensemble.raw_row(batch.rows.row(0)).expect("its width"),
            (None, _) => self.ensemble.predict_into(&batch.rows, out).expect("its width"),
            (Some(evaluator), 1) => self.ensemble.raw_row_by(evaluator, batch.rows.row(0), out),
            (Some(evaluator), _) => self.ensemble.raw_rows_by(evaluator, batch.rows.values(), out),
        }
    }

    fn is_ours(&self) -> bool {
        true
    }
}

/// As it chose, on all cores.
pub(crate) struct OnAllCores {
    pub(crate) ensemble: Rc<TreeEnsemble>,
    pub(crate) pool: ThreadPool,
}

impl Contender for OnAllCores {
    fn name(&self) -> String {
        "ours".to_owned()
    }

    fn predict(&mut self, batch: &Batch, out: &mut [f64]) {
        // What the pool borrows crosses threads, so not the `Rc` itself.
        let ensemble: &TreeEnsemble = &self.ensemble;
        self.pool
            .install(|| ensemble.predict_into(&batch.rows, out))
            .expect("its width");
    }

    fn is_ours(&self) -> bool {
        true
    }
}
