//! A predictor of rows, whatever its form, with the link that turns its sums into answers.

use foretell_features::FeatureMatrix;

use super::{damaged, file};
use crate::error::InferenceError;
use crate::linear::{LINEAR_FILE, Linear};
use crate::manifest::{MANIFEST_FILE, Manifest, PackageFiles};
use crate::network::{NETWORK_FILE, Network, WEIGHTS_FILE};
use crate::predictor::Predictor;
use crate::sampling::{BACKGROUND_FILE, Background};
#[cfg(feature = "onnx")]
use crate::session::{GRAPH_FILE, SESSION_FILE, Session};
use crate::tree::{Link, TREES_FILE, TreeEnsemble};

/// A predictor of rows with its link.
#[derive(Debug)]
pub struct RowPredictor {
    pub(super) predictor: Box<dyn Predictor>,
    pub(super) link: Link,
}

impl RowPredictor {
    /// Any predictor.
    pub fn new(predictor: Box<dyn Predictor>, link: Link) -> Self {
        Self { predictor, link }
    }

    /// A linear predictor.
    pub fn linear(linear: Linear) -> Self {
        Self {
            link: linear.link,
            predictor: Box::new(linear),
        }
    }

    /// A tree ensemble.
    pub fn trees(trees: TreeEnsemble) -> Self {
        Self {
            link: trees.link(),
            predictor: Box::new(trees),
        }
    }

    /// A network.
    pub fn network(network: Network) -> Self {
        Self {
            link: network.link(),
            predictor: Box::new(network),
        }
    }

    /// An ONNX graph: its answers are what it says, nothing is linked.
    #[cfg(feature = "onnx")]
    pub fn session(session: Session) -> Self {
        Self {
            link: Link::Identity,
            predictor: Box::new(session),
        }
    }

    /// Its arithmetic, before the link.
    pub fn predictor(&self) -> &dyn Predictor {
        self.predictor.as_ref()
    }

    /// What turns its sums into answers.
    pub fn link(&self) -> Link {
        self.link
    }

    /// The name of its file in a package.
    pub fn file_name(&self) -> String {
        self.predictor.to_file().0
    }

    /// Its file in a package: name and bytes.
    pub fn to_file(&self) -> (String, Vec<u8>) {
        self.predictor.to_file()
    }

    /// Parts of one of a row's raw scores by column, and the expected score last; see [`Predictor::contributions`].
    ///
    /// # Errors
    /// The matrix has another width.
    pub fn contributions(&self, x: &FeatureMatrix, row: usize, output: usize) -> Result<Vec<f64>, InferenceError> {
        self.predictor.contributions(x, row, output)
    }

    pub(super) fn load(name: &str, files: &PackageFiles) -> Result<Self, InferenceError> {
        let mut loaded = Self::load_arithmetic(name, files)?;
        if let Some(bytes) = files.get(BACKGROUND_FILE) {
            loaded.predictor.explain_against(Background::from_bytes(bytes)?)?;
        }
        Ok(loaded)
    }

    fn load_arithmetic(name: &str, files: &PackageFiles) -> Result<Self, InferenceError> {
        match name {
            NETWORK_FILE => {
                let network = Network::from_files(file(files, NETWORK_FILE)?, file(files, WEIGHTS_FILE)?)?;
                Ok(Self::network(network))
            }
            LINEAR_FILE => Ok(Self::linear(Linear::from_bytes(file(files, LINEAR_FILE)?)?)),
            TREES_FILE => Ok(Self::trees(TreeEnsemble::from_bytes(file(files, TREES_FILE)?)?)),
            #[cfg(feature = "onnx")]
            GRAPH_FILE => {
                let session = Session::from_files(file(files, GRAPH_FILE)?, file(files, SESSION_FILE)?)?;
                Ok(Self::session(session))
            }
            #[cfg(not(feature = "onnx"))]
            "model.onnx" => Err(damaged(
                name,
                "this build runs no ONNX graphs; a foretell built with the feature `onnx` does".to_owned(),
            )),
            other => Err(damaged(
                MANIFEST_FILE,
                format!("unknown predictor `{other}`; use a newer foretell"),
            )),
        }
    }

    /// Predicts one row of zeros, which columns of every type can hold: a predictor of another width refuses it.
    pub(super) fn check_width(&self, manifest: &Manifest) -> Result<(), InferenceError> {
        let width = manifest.inputs.len();
        let probe = FeatureMatrix::from_rows(width, vec![0.0; width]);
        self.predictor
            .predict(&probe)
            .map(drop)
            .map_err(|error| damaged(&manifest.predictor, error.to_string()))
    }
}
