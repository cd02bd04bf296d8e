//! Intervals with everything found out at load that no row changes: the ends at the usual level, and which category code has
//! scores of its own.

use super::{Conformal, Said};
use crate::manifest::Input;
use crate::model::DEFAULT_INTERVAL;
use crate::preprocessing::{Encoder, InputEncoding};

/// What a [`Conformal`] comes to for the inputs of one model.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// The ends at [`DEFAULT_INTERVAL`], by bin, then by segment.
    usual: Vec<(f64, f64)>,
    segments: Option<Column>,
}

/// The column of the segments' input.
#[derive(Debug, Clone)]
struct Column {
    at: usize,
    /// By code, the position in `usual`; `None` has the bins.
    places: Vec<Option<usize>>,
}

impl Resolved {
    /// Finds the segments' input among the model's, and its values among the categories.
    pub(crate) fn of(conformal: &Conformal, inputs: &[Input], encoder: &Encoder) -> Result<Self, String> {
        let ends = |scores: &Vec<f64>| conformal.ends(scores, DEFAULT_INTERVAL);
        let mut usual: Vec<(f64, f64)> = conformal.scores.iter().map(ends).collect();
        let bins = usual.len();
        let Some(segments) = &conformal.segments else {
            return Ok(Self { usual, segments: None });
        };
        usual.extend(segments.of.iter().map(|it| ends(&it.scores)));
        let at = inputs.iter().position(|it| it.name == segments.input);
        let Some((at, InputEncoding::Category { categories })) = at.zip(at.and_then(|it| encoder.inputs.get(it)))
        else {
            return Err(format!(
                "intervals are by `{}`, which is not an input of categories",
                segments.input
            ));
        };
        let place = |category: &String| {
            let found = segments.of.binary_search_by(|it| it.value.cmp(category));
            found.ok().map(|it| bins + it)
        };
        let places = categories.iter().map(place).collect();
        Ok(Self {
            usual,
            segments: Some(Column { at, places }),
        })
    }

    /// The interval of one encoded row.
    pub(crate) fn interval(&self, of: &Conformal, said: Said, row: &[f64], level: f64) -> (f64, f64) {
        let place = self.segment(row).unwrap_or_else(|| of.bin(said.value));
        let usual = level == DEFAULT_INTERVAL;
        let ends = match self.usual.get(place) {
            Some(ends) if usual => *ends,
            Some(_) => of.ends(self.scores(of, place), level),
            None => return (said.value, said.value),
        };
        of.around(said, ends)
    }

    fn scores<'a>(&self, of: &'a Conformal, place: usize) -> &'a [f64] {
        match (place.checked_sub(of.scores.len()), &of.segments) {
            (Some(at), Some(segments)) => &segments.of[at].scores,
            _ => &of.scores[place],
        }
    }

    fn segment(&self, row: &[f64]) -> Option<usize> {
        let column = self.segments.as_ref()?;
        let code = row[column.at];
        // NaN and the code of the unseen are in no list.
        let known = code >= 0.0 && code < column.places.len() as f64;
        if known { column.places[code as usize] } else { None }
    }
}
