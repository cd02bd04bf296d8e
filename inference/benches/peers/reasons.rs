//! What the reasons of one row cost: our five strongest exact contributions beside the library's own, of the same model.

use std::rc::Rc;

use foretell_inference::TreeEnsemble;

use crate::Failure;
use crate::contender::Batch;
use crate::lightgbm::LightGbm;
use crate::model::{Library, PeerModel};
use crate::timing::{Effort, Turn, fastest};
use crate::xgboost::{Matrix, XGBoost};

/// Rows in turn: a library may need a tenth of a second for one.
const ROWS: usize = 32;
const STRONGEST: usize = 5;

/// Microseconds of one row.
#[derive(Debug)]
pub(crate) struct Reasons {
    pub(crate) peer: f64,
    pub(crate) ours: f64,
    /// The greatest difference of a contribution, relative to the greatest contribution of its row.
    pub(crate) difference: f64,
}

/// The library's contributions of one row after another.
enum Peer {
    LightGbm(LightGbm),
    XGBoost(XGBoost, Vec<Matrix>),
}

impl Peer {
    fn open(model: &PeerModel, rows: &[Batch]) -> Result<Self, Failure> {
        Ok(match model.library {
            Library::LightGbm => Self::LightGbm(LightGbm::contributions(model)?),
            Library::XGBoost => {
                let mut booster = XGBoost::open(model, 1)?;
                let matrices = rows.iter().map(|it| booster.matrix(&it.narrow));
                let matrices = matrices.collect::<Result<_, _>>()?;
                Self::XGBoost(booster, matrices)
            }
        })
    }

    fn row(&mut self, rows: &[Batch], at: usize, out: &mut [f64]) {
        match self {
            Self::LightGbm(it) => it.one(rows[at].rows.row(0), out),
            Self::XGBoost(it, matrices) => it.contributions(&matrices[at], out),
        }
    }
}

/// Compares, then measures both in turn; `rows` hold one row each.
pub(crate) fn measure(
    model: &PeerModel,
    ensemble: &Rc<TreeEnsemble>,
    rows: &[Batch],
    effort: Effort,
) -> Result<Reasons, Failure> {
    let rows = &rows[..ROWS];
    let mut peer = Peer::open(model, rows)?;
    let difference = difference(&mut peer, ensemble, rows)?;
    let mut theirs = vec![0.0; model.columns + 1];
    let mut turns = [
        Turn::new(|at| peer.row(rows, at % ROWS, &mut theirs)),
        Turn::new(|at| drop(std::hint::black_box(strongest(ensemble, rows[at % ROWS].rows.row(0))))),
    ];
    let micros = fastest(&mut turns, effort);
    Ok(Reasons {
        peer: micros[0],
        ours: micros[1],
        difference,
    })
}

/// The columns with the strongest contributions, strongest first.
fn strongest(ensemble: &TreeEnsemble, row: &[f64]) -> Vec<(usize, f64)> {
    let all = ensemble.contributions_row(row, 0).expect("a row of its width");
    let mut order: Vec<(usize, f64)> = all[..row.len()].iter().copied().enumerate().collect();
    let by_strength = |a: &(usize, f64), b: &(usize, f64)| b.1.abs().total_cmp(&a.1.abs());
    order.select_nth_unstable_by(STRONGEST, by_strength);
    order.truncate(STRONGEST);
    order.sort_by(by_strength);
    order
}

fn difference(peer: &mut Peer, ensemble: &TreeEnsemble, rows: &[Batch]) -> Result<f64, Failure> {
    let (mut worst, mut theirs) = (0.0_f64, vec![0.0; ensemble.n_features() + 1]);
    // A few rows: each is a long walk for the peer.
    for at in 0..4 {
        peer.row(rows, at, &mut theirs);
        let ours = ensemble.contributions_row(rows[at].rows.row(0), 0)?;
        let scale = theirs.iter().fold(0.0_f64, |it, next| it.max(next.abs()));
        let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
        worst = worst.max(apart.fold(0.0, f64::max) / scale);
    }
    Ok(worst)
}
