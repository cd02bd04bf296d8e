//! Histogram gradient boosting: rows of a [`FeatureMatrix`](foretell_features::FeatureMatrix) in, a
//! [`TreeEnsemble`](foretell_inference::TreeEnsemble) out.
//!
//! Columns become at most 255 bins and one for missing; trees grow leaf by leaf where the loss falls most; categories are
//! split by subsets, missing values learn their side, weights count as repeated rows. The result depends on data, parameters
//! and seed alone, never on the number of threads: gradients are summed as integers, so the order of summing cannot show.
//!
//! Left out on purpose: calibration, intervals and search (`foretell-training`), prediction (`foretell-inference`).

mod bins;
mod booster;
mod chance;
mod data;
mod error;
mod grow;
mod histogram;
mod loss;
mod parameters;
mod split;

pub use booster::{Booster, Fitted};
pub use data::BoostData;
pub use error::BoostError;
pub use loss::Loss;
pub use parameters::{Monotone, Parameters};
