//! Any ONNX graph, run by ONNX Runtime: what is neither trees nor linear, or mixes them with steps of its own.
//!
//! One session serves all callers, with no threads of its own beside the caller's and nothing that spins. Graphs are closed: what
//! would read other files or load other libraries is refused before the runtime sees it. A graph sees columns: numbers as its
//! inputs' types say (NaN where missing, which whole numbers and truth values cannot be), texts through the categories that its
//! nodes list, a text that none of them lists as a word that is none of them, a missing one as the empty text. The library is
//! found by [`runtime`]; with the feature `tract`, tract runs what it can where there is none.

mod library;
mod plan;
#[cfg(test)]
mod tests;
mod values;

use std::sync::{Mutex, PoisonError};

use foretell_features::{DataType, FeatureMatrix};
use ort::session::Session as OrtSession;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::error::InferenceError;
use crate::import::{Imported, ImportedInput, refused};
use crate::manifest::Task;
use crate::model::RowPredictor;
use crate::onnx::proto::ModelView;
use crate::onnx::{GraphShape, describe};
use crate::predictor::Predictor;
use crate::preprocessing::InputEncoding;
use crate::sampling::{Background, SampledContributions, unexplained};
pub use library::{Runtime, runtime};
use plan::{Block, FORMAT, Kind, Plan, check_closed};
use values::{Answers, answers, tensors, unfit};

/// File name of a graph in a package.
pub const GRAPH_FILE: &str = "model.onnx";

/// File name of what its inputs and outputs mean in a package.
pub const SESSION_FILE: &str = "session.json";

/// A graph, ready to run.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    /// Running one takes it alone: ONNX Runtime does not keep its promise that calls may overlap.
    session: Mutex<OrtSession>,
    n_outputs: usize,
    graph: Vec<u8>,
    background: Option<Background>,
}

impl Session {
    /// Reads both files of a package and runs one row through the graph.
    ///
    /// # Errors
    /// `Damaged`: not of this form, a graph that is not closed or that the runtime refuses. `Request`: there is no runtime.
    pub fn from_files(graph: &[u8], plan: &[u8]) -> Result<Self, InferenceError> {
        let damaged = |file: &str, reason: String| InferenceError::Damaged {
            file: file.to_owned(),
            reason,
        };
        let plan: Plan = serde_json::from_slice(plan).map_err(|error| damaged(SESSION_FILE, error.to_string()))?;
        if plan.format != FORMAT {
            let reason = format!("it has format {}, this build reads {FORMAT}", plan.format);
            return Err(damaged(SESSION_FILE, reason));
        }
        let own = Plan::of_graph(GRAPH_FILE, graph, plan.output.clone())?;
        if !own.takes_the_same(&plan) {
            return Err(damaged(
                SESSION_FILE,
                "it does not describe the graph's inputs".to_owned(),
            ));
        }
        let shape = describe(GRAPH_FILE, graph)?;
        check_closed(&shape).map_err(|reason| damaged(GRAPH_FILE, reason))?;
        Ok(Self::open(graph, plan)
            .map_err(|reason| reason.named(|it| damaged(GRAPH_FILE, it)))?
            .0)
    }

    /// Opens the graph and asks it for one row, which tells how many numbers come back.
    fn open(graph: &[u8], plan: Plan) -> Result<(Self, Answers), Problem> {
        let session = open(graph)?;
        let mut opened = Self {
            plan,
            session: Mutex::new(session),
            n_outputs: 0,
            graph: graph.to_vec(),
            background: None,
        };
        let width = opened.plan.n_columns();
        let first = opened
            .run(&FeatureMatrix::from_rows(width, vec![0.0; width]))
            .map_err(Problem::Graph)?;
        opened.n_outputs = match opened.plan.only {
            None => first.width,
            Some(only) if only < first.width => 1,
            Some(only) => return Err(Problem::Graph(format!("its output has no number {only}"))),
        };
        Ok((opened, first))
    }

    fn run(&self, x: &FeatureMatrix) -> Result<Answers, String> {
        let inputs = tensors(&self.plan.inputs, x)?;
        // A panic elsewhere does not harm a session: it holds no state between runs.
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(|error| error.to_string())?;
        let output = outputs
            .get(&self.plan.output)
            .ok_or_else(|| format!("it has no output `{}`", self.plan.output))?;
        answers(output, x.n_rows())
    }
}

/// What stopped a graph from being opened.
enum Problem {
    Runtime(InferenceError),
    Graph(String),
}

impl Problem {
    fn named(self, graph: impl FnOnce(String) -> InferenceError) -> InferenceError {
        match self {
            Problem::Runtime(error) => error,
            Problem::Graph(reason) => graph(reason),
        }
    }
}

fn open(graph: &[u8]) -> Result<OrtSession, Problem> {
    let runtime = runtime().map_err(Problem::Runtime)?;
    let refused = |error: ort::Error| Problem::Graph(format!("{} refuses it: {error}", runtime.origin));
    let mut builder = configured(runtime).map_err(refused)?;
    builder.commit_from_memory(graph).map_err(refused)
}

/// The caller's thread does all the work, and nothing waits by spinning.
fn configured(runtime: &Runtime) -> ort::Result<SessionBuilder> {
    let builder = OrtSession::builder(&runtime.environment)?;
    if runtime.is_tract {
        return Ok(builder);
    }
    let one_thread = builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?;
    Ok(one_thread
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?)
}

impl Predictor for Session {
    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn predict_into(&self, x: &FeatureMatrix, out: &mut [f64]) -> Result<(), InferenceError> {
        self.check_width(x.n_columns())?;
        if x.n_rows() == 0 {
            return Ok(());
        }
        let failed =
            |reason: String| InferenceError::Request(format!("the graph cannot be run on these rows: {reason}"));
        let unfit: Vec<Option<String>> = x.rows().map(|row| unfit(&self.plan.inputs, row)).collect();
        if unfit.iter().all(Option::is_none) {
            return self.answer(x, out).map_err(failed);
        }
        let fit: Vec<usize> = (0..unfit.len()).filter(|&row| unfit[row].is_none()).collect();
        if fit.is_empty() {
            return Err(failed(unfit.into_iter().flatten().next().unwrap_or_default()));
        }
        // A row that no tensor holds has no answer; the others have theirs.
        let mut answers = vec![0.0; fit.len() * self.n_outputs];
        self.answer(&x.select(&fit), &mut answers).map_err(failed)?;
        out.fill(f64::NAN);
        for (row, answers) in fit.iter().zip(answers.chunks_exact(self.n_outputs)) {
            out[row * self.n_outputs..(row + 1) * self.n_outputs].copy_from_slice(answers);
        }
        Ok(())
    }

    fn contributions(&self, x: &FeatureMatrix, row: usize, output: usize) -> Result<Vec<f64>, InferenceError> {
        let sampled = self.sampled(x, row, output)?.ok_or_else(unexplained)?;
        Ok(sampled.into_contributions())
    }

    fn sampled(
        &self,
        x: &FeatureMatrix,
        row: usize,
        output: usize,
    ) -> Result<Option<SampledContributions>, InferenceError> {
        let explain = |it: &Background| it.explain(self, x.row(row), output);
        self.background.as_ref().map(explain).transpose()
    }

    fn explain_against(&mut self, background: Background) -> Result<(), InferenceError> {
        self.check_width(background.rows().n_columns())?;
        self.background = Some(background);
        Ok(())
    }

    /// Most graphs compute in float32, and each version of the library in an order of its own.
    fn tolerance(&self) -> f64 {
        1e-5
    }

    fn to_file(&self) -> (String, Vec<u8>) {
        (GRAPH_FILE.to_owned(), self.graph.clone())
    }

    fn more_files(&self) -> Vec<(String, Vec<u8>)> {
        let plan = serde_json::to_vec_pretty(&self.plan).expect("names and numbers are always JSON");
        let background = self.background.iter().map(Background::to_file);
        [(SESSION_FILE.to_owned(), plan)]
            .into_iter()
            .chain(background)
            .collect()
    }
}

impl Session {
    /// Runs the graph and takes what counts.
    fn answer(&self, x: &FeatureMatrix, out: &mut [f64]) -> Result<(), String> {
        let answers = self.run(x)?;
        let taken: Vec<f64> = match self.plan.only {
            Some(only) if only < answers.width => {
                answers.numbers.into_iter().skip(only).step_by(answers.width).collect()
            }
            _ => answers.numbers,
        };
        if taken.len() != out.len() {
            return Err(format!(
                "{} numbers came back, {} were expected",
                taken.len(),
                out.len()
            ));
        }
        out.copy_from_slice(&taken);
        Ok(())
    }

    fn check_width(&self, n_columns: usize) -> Result<(), InferenceError> {
        let expected = self.plan.n_columns();
        if n_columns == expected {
            return Ok(());
        }
        Err(InferenceError::Request(format!(
            "a row has {n_columns} columns, the graph takes {expected}"
        )))
    }
}

/// Makes a predictor of a graph that is no form of ours. `file` is what errors call it.
///
/// The answer is the output with probabilities where there is one, else the only output of floats. Of a binary classifier's two
/// probabilities it is the second. Whether the numbers are probabilities is told from the outputs' names and from the last node.
///
/// # Errors
/// `Import`: a graph that is not closed, whose inputs are no columns, whose answer cannot be told from its other outputs, or
/// that the runtime refuses. `Request`: there is no runtime.
pub fn import(file: &str, bytes: &[u8]) -> Result<Imported, InferenceError> {
    let refuse = |reason: String| refused(file, reason);
    let shape = describe(file, bytes)?;
    check_closed(&shape).map_err(refuse)?;
    let output = answer_of(&shape).map_err(refuse)?;
    let is_classifier = tells_classes(&shape, &output, bytes).map_err(refuse)?;
    let mut plan = Plan::of_graph(file, bytes, output)?;
    if plan.n_columns() == 0 {
        return Err(refuse("it takes no inputs".to_owned()));
    }
    let (mut session, first) = Session::open(bytes, plan.clone()).map_err(|it| it.named(refuse))?;
    if is_classifier && first.width == 2 {
        plan.only = Some(1);
        (session.plan, session.n_outputs) = (plan.clone(), 1);
    }
    let classes = class_names(&first, bytes).map_err(refuse)?;
    let task = match (is_classifier, first.width) {
        (false, _) => Task::Regression,
        (true, 1 | 2) => Task::BinaryClassification,
        (true, _) => Task::MulticlassClassification,
    };
    let has_classes = task == Task::MulticlassClassification || (is_classifier && classes.len() == 2);
    Ok(Imported {
        predictor: RowPredictor::session(session),
        inputs: imported_inputs(&plan),
        task,
        classes: if has_classes { classes } else { Vec::new() },
        outputs_are_probabilities: is_classifier,
        origin: format!("onnx {}", shape.producer).trim_end().to_owned(),
        algorithm: "onnx".to_owned(),
        cover_known: false,
    })
}

fn is_probability(name: &str) -> bool {
    name.to_ascii_lowercase().contains("prob")
}

fn answer_of(shape: &GraphShape) -> Result<String, String> {
    let numbers: Vec<&str> = shape
        .outputs
        .iter()
        .filter(|it| values::may_answer(it))
        .map(|it| it.name.as_str())
        .collect();
    let likely: Vec<&str> = numbers.iter().copied().filter(|it| is_probability(it)).collect();
    match (&likely[..], &numbers[..]) {
        ([one], _) | (_, [one]) => Ok((*one).to_owned()),
        (_, []) => Err("none of its outputs is a number per row".to_owned()),
        _ => Err(format!(
            "its answer could be any of {}; export it with one output, or one named `probabilities`",
            foretell_features::spelling::quoted(&numbers)
        )),
    }
}

/// Whether the answer is a score per class: by its name, a label beside it, or the node that makes it.
fn tells_classes(shape: &GraphShape, output: &str, bytes: &[u8]) -> Result<bool, String> {
    let graph = ModelView::read(bytes)?.graph();
    let makes = |it: &str| ["Softmax", "Sigmoid", "ZipMap"].contains(&it) || it.ends_with("Classifier");
    let made = graph
        .nodes()
        .any(|it| it.outputs().any(|it| it == output) && makes(it.operator()));
    let has_label = shape.outputs.iter().any(values::is_label);
    Ok(is_probability(output) || has_label || made)
}

/// By the maps that came back, else by the only list of classes in the graph that is as long as the answer, else by number.
fn class_names(first: &Answers, bytes: &[u8]) -> Result<Vec<String>, String> {
    if !first.keys.is_empty() {
        return Ok(first.keys.clone());
    }
    let graph = ModelView::read(bytes)?.graph();
    let lists = graph.nodes().flat_map(|it| {
        let texts = ["classlabels_strings", "values_strings"]
            .map(|name| it.texts(name).into_iter().map(str::to_owned).collect());
        let whole =
            ["classlabels_ints", "classlabels_int64s"].map(|name| it.ints(name).iter().map(i64::to_string).collect());
        texts.into_iter().chain(whole)
    });
    let named = lists.filter(|it: &Vec<String>| it.len() == first.width).last();
    Ok(named.unwrap_or_else(|| (0..first.width).map(|it| it.to_string()).collect()))
}

fn imported_inputs(plan: &Plan) -> Vec<ImportedInput> {
    let is_only = plan.inputs.len() == 1;
    let columns = plan.inputs.iter().flat_map(|block| {
        let names = block.column_names(is_only);
        names.into_iter().map(|name| imported_input(name, block))
    });
    columns.collect()
}

fn imported_input(name: String, block: &Block) -> ImportedInput {
    let (data_type, encoding) = match block.kind {
        Kind::Float | Kind::Double => (DataType::Double, InputEncoding::Numeric),
        Kind::Int32 | Kind::Int64 => (DataType::Int64, InputEncoding::Numeric),
        Kind::Bool => (DataType::Boolean, InputEncoding::Numeric),
        Kind::String => {
            let categories = block.categories.iter().map(|it| it.to_string()).collect();
            (DataType::String, InputEncoding::Category { categories })
        }
    };
    ImportedInput {
        name,
        data_type,
        encoding,
    }
}
