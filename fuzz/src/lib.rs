//! What the fuzz targets share: the promises about memory and time, and what is done with a file that was accepted.
//!
//! A reader of files may refuse anything, but it may not panic, compute for over a second, or hold more than ten times the
//! file's bytes and a mebibyte. What it accepts must then predict and survive being written and read.

mod bounds;

use std::collections::BTreeMap;
use std::ops::Range;

use foretell_features::FeatureMatrix;
use foretell_inference::import::{Imported, import};
use foretell_inference::{InferenceError, Predictor, TreeEnsemble};
use xxhash_rust::xxh3::xxh3_128;

pub use bounds::bounded;

/// Between the files of a package that is one input: a line with the name of the file that follows.
pub const MARK: &[u8] = b"\n%%FILE ";

/// Contributions of greater ensembles are exact, and long; they are no part of reading a file.
const EXPLAINED_NODES: usize = 300;
/// Predictions of wider models cost more than what they show.
const PREDICTED_COLUMNS: usize = 4096;

/// Imports one file, and uses what it became.
pub fn import_one(name: &str, bytes: &[u8]) {
    import_files(BTreeMap::from([(name.to_owned(), bytes.to_vec())]), name, bytes.len());
}

/// Imports `main` with the files beside it, `size` bytes in all, and uses what it became.
pub fn import_files(files: BTreeMap<String, Vec<u8>>, main: &str, size: usize) {
    if let Ok(imported) = bounded(size, || import(&files, main)) {
        use_imported(&imported);
    }
}

fn use_imported(imported: &Imported) {
    let predictor = imported.predictor.predictor();
    let (name, bytes) = predictor.to_file();
    if name == foretell_inference::tree::TREES_FILE {
        let trees = TreeEnsemble::from_bytes(&bytes).expect("what was written can be read");
        use_trees(&trees);
    } else if (1..=PREDICTED_COLUMNS).contains(&imported.inputs.len()) {
        let answers = predictor.predict(&rows(imported.inputs.len()));
        answers.expect("rows of the right width");
    }
}

/// What an importer made: every evaluator gives the same, and it is explained and stored.
fn use_trees(trees: &TreeEnsemble) {
    if trees.n_features() > PREDICTED_COLUMNS {
        return;
    }
    let rows = rows(trees.n_features());
    let expected = trees.raw(&rows);
    for evaluator in trees.evaluators() {
        let mut out = vec![0.0; expected.len()];
        trees.raw_rows_by(evaluator, rows.values(), &mut out);
        assert!(
            same(&out, &expected),
            "{evaluator:?} gives {out:?}, the walk {expected:?}"
        );
    }
    let again = TreeEnsemble::from_bytes(&trees.to_bytes()).expect("what was written can be read");
    assert!(again == *trees, "what was read is not what was written");
    explain(trees, &rows);
}

/// What a file of trees became. Its blocks may say other than its trees: only a checksum ties them. All must stay inside.
pub fn use_file_of_trees(trees: &TreeEnsemble) {
    if trees.n_features() > PREDICTED_COLUMNS || trees.n_outputs() > PREDICTED_COLUMNS {
        return;
    }
    let rows = rows(trees.n_features());
    trees.raw(&rows);
    let mut out = vec![0.0; rows.n_rows() * trees.n_outputs()];
    for evaluator in trees.evaluators() {
        trees.raw_rows_by(evaluator, rows.values(), &mut out);
        let one = &mut out[..trees.n_outputs()];
        rows.rows().for_each(|row| trees.raw_row_by(evaluator, row, one));
    }
    TreeEnsemble::from_bytes(&trees.to_bytes()).expect("what was written can be read");
    explain(trees, &rows);
}

fn explain(trees: &TreeEnsemble, rows: &FeatureMatrix) {
    let nodes: usize = trees.trees().iter().map(|it| it.nodes.len()).sum();
    if nodes <= EXPLAINED_NODES {
        let explained = trees.contributions_row(rows.row(0), 0);
        drop(explained.expect("a row of the right width"));
    }
}

/// Rows of zeros, missing values, extremes and a mixture.
pub fn rows(columns: usize) -> FeatureMatrix {
    let mixture = |at: usize| [f64::NAN, -1.0, 0.5, 3.0, 1e300, -0.0][at % 6];
    let constants = [0.0, f64::NAN, f64::MAX, f64::MIN, 1.0].into_iter();
    let values = constants.flat_map(|it| std::iter::repeat_n(it, columns));
    FeatureMatrix::from_rows(columns, values.chain((0..columns).map(mixture)).collect())
}

/// Equal bits; sums that overflowed may be any NaN.
fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter()
        .zip(b)
        .all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// The files in one input; what comes before the first mark belongs to none.
pub fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut rest = bytes;
    while let Some(at) = find(rest, MARK) {
        rest = &rest[at + MARK.len()..];
        let Some(end) = find(rest, b"\n") else { break };
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        let content = &rest[..find(rest, MARK).unwrap_or(rest.len())];
        files.insert(name, content.to_vec());
    }
    files
}

/// The opposite of [`files`].
pub fn one_input(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let of_one = |(name, content): (&String, &Vec<u8>)| [MARK, name.as_bytes(), b"\n", content].concat();
    files.iter().flat_map(of_one).collect()
}

/// A file of trees with its length and its checksum put right, which no mutation would ever hit.
pub fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    if file.len() >= LENGTH.end {
        let length = file.len() as u64;
        file[LENGTH].copy_from_slice(&length.to_le_bytes());
        let checksum = xxh3_128(&file[CHECKSUM.end..]);
        file[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }
    file
}

/// Where `trees.bin` has them.
const CHECKSUM: Range<usize> = 16..32;
const LENGTH: Range<usize> = 32..40;

/// An error says something.
pub fn refuses_in_a_sentence<T>(result: Result<T, InferenceError>) -> Option<T> {
    result
        .map_err(|error| assert!(!error.to_string().is_empty(), "an error that says nothing"))
        .ok()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}
