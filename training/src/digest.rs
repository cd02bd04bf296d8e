//! SHA-256 of what a model was trained from.

use foretell_features::{Column, SeriesSet, TrainingSet};
use sha2::{Digest, Sha256};

/// Feeds values to a hash, each with its length or tag, so that no two inputs collide by shifting.
struct Feed(Sha256);

/// `sha256:..` of a training set: names, values, labels, keys, cutoffs.
pub fn of_training_set(set: &TrainingSet) -> String {
    let mut feed = Feed(Sha256::new());
    for (name, column) in set.table.iter() {
        feed.text(name);
        feed.column(column);
    }
    set.label.iter().for_each(|it| feed.number(*it));
    set.keys.iter().for_each(|it| feed.bytes(&it.encode()));
    set.cutoffs
        .iter()
        .for_each(|it| feed.optional(it.map(|it| it.0.to_le_bytes())));
    feed.finish()
}

/// `sha256:..` of texts and their paths.
pub fn of_texts(texts: &[(std::path::PathBuf, String)]) -> String {
    let mut feed = Feed(Sha256::new());
    for (path, text) in texts {
        feed.text(&path.to_string_lossy());
        feed.text(text);
    }
    feed.finish()
}

/// `sha256:..` of a series set: keys, grids, values, marks, covariates, static attributes.
pub fn of_series_set(set: &SeriesSet) -> String {
    let mut feed = Feed(Sha256::new());
    // The debug form has every field, and floats in it are exact.
    feed.text(&format!("{:?}{:?}{:?}", set.step, set.known_types, set.static_types));
    for series in &set.series {
        feed.text(&format!("{series:?}"));
    }
    feed.finish()
}

impl Feed {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, it: f64) {
        self.0.update(it.to_bits().to_le_bytes());
    }

    fn optional<const N: usize>(&mut self, it: Option<[u8; N]>) {
        match it {
            None => self.0.update([0]),
            Some(bytes) => {
                self.0.update([1]);
                self.0.update(bytes);
            }
        }
    }

    fn column(&mut self, column: &Column) {
        self.text(&column.data_type().to_string());
        match column {
            Column::Bool(it) => it.iter().for_each(|it| self.optional(it.map(|it| [u8::from(it)]))),
            Column::Int(it) => it.iter().for_each(|it| self.optional(it.map(i64::to_le_bytes))),
            Column::Float(it) => it
                .iter()
                .for_each(|it| self.optional(it.map(|it| it.to_bits().to_le_bytes()))),
            Column::Time(it) => it.iter().for_each(|it| self.optional(it.map(|it| it.0.to_le_bytes()))),
            Column::Str(it) => it.iter().for_each(|it| match it {
                None => self.optional::<1>(None),
                Some(text) => {
                    self.0.update([1]);
                    self.text(text);
                }
            }),
        }
    }

    fn finish(self) -> String {
        let digits: String = self.0.finalize().iter().map(|it| format!("{it:02x}")).collect();
        format!("sha256:{digits}")
    }
}
