//! The arithmetic of window aggregates, one for offline and online: what a stream of events has come to ([`Partial`]), how two
//! of them become one, and what an [`Aggregation`] answers from it.
//!
//! Sums and moments are carried in twice the precision of a float, so that neither the order of events nor how they were cut
//! into tiles shows in the answer. Nothing here knows where events are kept.

mod cell;
mod dd;
mod distinct;
mod moments;
mod partial;
mod plan;

pub use cell::{Cell, Reading, Row};
pub use dd::Dd;
pub use distinct::{Keys, text_key};
pub use moments::{CoMoments, Moments};
pub use partial::{Partial, Parts, Placed};
pub use plan::{Ageing, Bucket, StreamPlan, WindowEvent, WindowFeature, WindowPlan};

use crate::definition::Aggregation;
use crate::value::DataType;

/// The type of an aggregate over values of a type (`None` is `*`).
///
/// # Errors
/// Why it cannot be, in a few words.
pub fn aggregate_type(aggregation: Aggregation, values: Option<DataType>) -> Result<DataType, String> {
    use Aggregation as A;
    let number = matches!(values, Some(DataType::Int64 | DataType::Double));
    match (aggregation, values) {
        (A::Count, _) => Ok(DataType::Int64),
        (A::SinceLast { .. } | A::SinceFirst { .. }, _) => Ok(DataType::Double),
        (_, None) => Err("this aggregate is over a column, `*` is for count and since".to_owned()),
        (A::CountDistinct, _) => Ok(DataType::Int64),
        (A::Sum, Some(it)) if number => Ok(it),
        (A::Mean | A::Std | A::Trend { .. }, _) if number => Ok(DataType::Double),
        (A::Sum | A::Mean | A::Std | A::Trend { .. }, Some(it)) => {
            Err(format!("sum, mean, std and trend are over numbers, not {it}"))
        }
        (A::Min | A::Max | A::First | A::Last, Some(it)) => Ok(it),
    }
}

#[cfg(test)]
mod tests;
