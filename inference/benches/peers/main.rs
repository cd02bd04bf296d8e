//! One process, one thread, the same models and rows: Foretell beside LightGBM, XGBoost, ONNX Runtime, TL2cgen and lleaves, all
//! called through their C functions. `benches/peers/trees.sh` makes the models and calls this:
//!
//! `cargo bench -p foretell-inference --bench peers -- [--quick] FOLDER [SHAPE..]`, with FORETELL_PEERS naming the
//! `site-packages` where the libraries lie.
//!
//! Predictions are compared first. Then all contenders of a model take turns, round by round, and the fastest round of each
//! counts: other work on the machine only slows. Ratios are the fastest peer's time by ours, in this run.

#![expect(
    unsafe_code,
    reason = "the peers are C libraries; each call's reason stands in its file"
)]

mod compiled;
mod contender;
mod lightgbm;
mod model;
mod onnxruntime;
mod ours;
mod reasons;
mod report;
mod timing;
mod xgboost;

use std::error::Error;
use std::path::PathBuf;

use contender::Batches;
use model::PeerModel;
use report::Report;
use timing::Effort;

/// What anything here may fail with: a sentence for the one who runs it.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let quick = arguments.iter().any(|it| it == "--quick");
    arguments.retain(|it| it != "--quick");
    let Some((folder, shapes)) = arguments.split_first() else {
        println!("no models to compare with: run benches/peers/trees.sh, which makes them");
        return Ok(());
    };
    let folder = PathBuf::from(folder);
    let models = PeerModel::list(&folder, shapes)?;
    // Whatever would split a batch across cores does so in this pool: one thread, the same for everybody.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    alone.install(|| compare(&models, quick))
}

fn compare(models: &[PeerModel], quick: bool) -> Result<(), Failure> {
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    let mut report = Report::default();
    for rows in model::rows(models) {
        let asked: Vec<&PeerModel> = models.iter().filter(|it| it.rows == rows).collect();
        let batches = Batches::read(asked[0], quick)?;
        for model in asked {
            eprintln!("{model}");
            report.add(model, &batches, effort)?;
        }
    }
    report.print();
    Ok(())
}
