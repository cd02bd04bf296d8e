//! What can be wrong with a package, a row or a request.

/// Every failure of inference.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// A file of the package is absent.
    #[error("the package has no file `{file}`")]
    MissingFile {
        /// Which.
        file: String,
    },
    /// A file of the package cannot be read.
    #[error("the package's file `{file}` is damaged: {reason}")]
    Damaged {
        /// Which.
        file: String,
        /// In what way.
        reason: String,
    },
    /// The package was written by a newer Foretell.
    #[error("the package has format {got}, this build reads up to {supported}; use a newer foretell")]
    Format {
        /// What the manifest says.
        got: u32,
        /// What this build reads.
        supported: u32,
    },
    /// A model file of another library cannot be turned into a predictor.
    #[error("cannot import `{file}`: {reason}")]
    Import {
        /// Which.
        file: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A sound ONNX graph that is neither trees nor a linear model; a session can run it.
    #[error("`{file}` is neither trees nor a linear model: {reason}; a foretell built with the feature `onnx` runs it")]
    NeedsSession {
        /// Which.
        file: String,
        /// What in it is something else.
        reason: String,
    },
    /// The predictor does not give what it gave the trainer.
    #[error("golden row does not reproduce. row=`{row}`, expected=`{expected}`, got=`{got}`")]
    Golden {
        /// Position in `golden.json`.
        row: usize,
        /// The trainer's output.
        expected: f64,
        /// This machine's output.
        got: f64,
    },
    /// The decision is not what it was.
    #[error("golden row gets another decision. row=`{row}`, expected=`{expected}`, got=`{got}`")]
    GoldenLevel {
        /// Position in `golden.json`.
        row: usize,
        /// The trainer's level.
        expected: String,
        /// This machine's level.
        got: String,
    },
    /// A column is not an input of the model.
    #[error("unknown input `{name}`{hint}")]
    UnknownInput {
        /// The column.
        name: String,
        /// `; did you mean ..`, or empty.
        hint: String,
    },
    /// A column the model needs is absent.
    #[error("missing input `{name}` ({data_type}); send it, null where unknown")]
    MissingInput {
        /// The column.
        name: String,
        /// Its type.
        data_type: foretell_features::DataType,
    },
    /// A value of the wrong type.
    #[error("input `{name}` is not {expected}. got=`{got}`")]
    Type {
        /// The column.
        name: String,
        /// The declared type.
        expected: foretell_features::DataType,
        /// What came.
        got: String,
    },
    /// A forecast was asked of a row model, or the other way round.
    #[error("model task is {task}: {reason}")]
    WrongTask {
        /// The model's task.
        task: String,
        /// What to send instead.
        reason: String,
    },
    /// A series the model has no state for.
    #[error("unknown series `{series}`{hint}")]
    UnknownSeries {
        /// The key.
        series: String,
        /// `; did you mean ..`, or empty.
        hint: String,
    },
    /// The horizon asked is not within what the model was trained for.
    #[error("horizon {asked} is not within 1..={max}, the model's horizon")]
    Horizon {
        /// What was asked.
        asked: usize,
        /// What the model can.
        max: usize,
    },
    /// Anything else about the request.
    #[error("{0}")]
    Request(String),
}
