//! Models of rows: raw inputs, columns, sums, answer.

use foretell_features::{DataType, Value};

use super::super::graph::{Attribute, Dim, Graph, Tensor};
use super::super::proto::ElementType;
use super::{MISSING_TEXT, answer, cannot, sums};
use crate::error::InferenceError;
use crate::linear::{LINEAR_FILE, Linear};
use crate::manifest::Input;
use crate::model::Model;
use crate::preprocessing::InputEncoding;
use crate::tree::{TREES_FILE, TreeEnsemble};

/// The columns of a row, encoded as the predictor sees them.
#[derive(Debug)]
pub(super) struct Columns {
    /// `[n, 1]` each.
    pub(super) columns: Vec<Tensor>,
}

pub(super) fn write(model: &Model, graph: &mut Graph) -> Result<(), InferenceError> {
    let manifest = model.manifest();
    let columns = encode(graph, &manifest.inputs, &manifest.encoder.inputs)?;
    let (name, bytes) = model
        .predictor_files()
        .into_iter()
        .next()
        .ok_or_else(|| cannot("it has no predictor of rows"))?;
    let (raw, link, n_outputs) = match name.as_str() {
        TREES_FILE => {
            let trees = TreeEnsemble::from_bytes(&bytes)?;
            (
                sums::trees(graph, trees.form(), &columns),
                trees.link(),
                trees.form().base.len(),
            )
        }
        LINEAR_FILE => {
            let linear = Linear::from_bytes(&bytes)?;
            (sums::linear(graph, &linear, &columns), linear.link, 1)
        }
        other => {
            return Err(cannot(format!(
                "its predictor lies in `{other}`, which is not trees or a linear model"
            )));
        }
    };
    let linked = sums::linked(graph, &raw, link, n_outputs);
    answer::write(graph, manifest, &linked, n_outputs, &columns)
}

/// Inputs as the package names them, and what the encoder makes of them.
fn encode(graph: &mut Graph, inputs: &[Input], encodings: &[InputEncoding]) -> Result<Columns, InferenceError> {
    let mut it = Columns { columns: Vec::new() };
    for (input, encoding) in inputs.iter().zip(encodings) {
        it.columns.push(encoded_input(graph, input, encoding, &ONE_COLUMN, "")?);
    }
    Ok(it)
}

/// One input as the package names it, encoded. `doc` comes before what it says of its values.
pub(super) fn encoded_input(
    graph: &mut Graph,
    input: &Input,
    encoding: &InputEncoding,
    dims: &[Dim],
    doc: &str,
) -> Result<Tensor, InferenceError> {
    let number_input = |graph: &mut Graph| {
        let doc = format!("{doc}{}", number_doc(input.data_type));
        graph.input(&input.name, ElementType::Double, dims, &doc)
    };
    Ok(match (encoding, input.data_type) {
        (InputEncoding::Category { categories }, DataType::String) => {
            let doc = format!("{doc}{}", text_doc(categories));
            let raw = graph.input(&input.name, ElementType::String, dims, &doc);
            code_of_text(graph, &raw, categories)
        }
        (_, DataType::String) => return Err(cannot(format!("text input `{}` has no dictionary", input.name))),
        (InputEncoding::Category { categories }, data_type) => {
            let raw = number_input(graph);
            code_of_number(graph, &raw, categories, data_type)
        }
        (InputEncoding::Numeric, data_type) => {
            let raw = number_input(graph);
            number(graph, &raw, data_type)
        }
        (InputEncoding::NonZero, data_type) => {
            let raw = number_input(graph);
            let number = number(graph, &raw, data_type);
            without_zeros(graph, &number)
        }
    })
}

/// Numbers this near 0 are 0, see [`InputEncoding::NonZero`].
const LEAST: f64 = 1e-35_f32 as f64;

pub(super) const ONE_COLUMN: [Dim; 2] = [Dim::Rows, Dim::Size(1)];

fn number_doc(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "boolean: 0 or 1, NaN where missing",
        DataType::Int64 => "whole number, NaN where missing",
        DataType::Timestamp => "UTC microseconds since 1970, NaN where missing",
        DataType::Double | DataType::String => "NaN where missing",
    }
}

/// Times are days to a predictor.
fn number(graph: &mut Graph, raw: &Tensor, data_type: DataType) -> Tensor {
    if data_type != DataType::Timestamp {
        return raw.clone();
    }
    let day = graph.number(86_400e6);
    graph.div(raw, &day)
}

fn without_zeros(graph: &mut Graph, number: &Tensor) -> Tensor {
    let (least, missing) = (graph.number(LEAST), graph.number(f64::NAN));
    let size = graph.op("Abs", &[number]);
    let is_zero = graph.op("LessOrEqual", &[&size, &least]);
    graph.choose(&is_zero, &missing, number)
}

fn text_doc(categories: &[String]) -> String {
    let empty = if missing_texts(categories).contains(&"") {
        " or empty"
    } else {
        ""
    };
    format!(
        "one of {} categories, or another; {MISSING_TEXT}{empty} where missing",
        categories.len()
    )
}

/// The empty text stands for a missing one unless it is a category.
fn missing_texts(categories: &[String]) -> Vec<&'static str> {
    let spellings = [MISSING_TEXT, ""].into_iter();
    spellings
        .filter(|it| !categories.iter().any(|category| category == it))
        .collect()
}

/// Position in the dictionary; its length for any other text; NaN for a missing one.
fn code_of_text(graph: &mut Graph, raw: &Tensor, categories: &[String]) -> Tensor {
    let missing = missing_texts(categories);
    let known = (0..categories.len()).map(|it| it as f32);
    let attributes = [
        (
            "keys_strings",
            Attribute::Texts(
                categories
                    .iter()
                    .map(String::as_str)
                    .chain(missing.iter().copied())
                    .collect(),
            ),
        ),
        // Exact: a dictionary is far smaller than 2^24.
        (
            "values_floats",
            Attribute::Floats(known.chain(missing.iter().map(|_| f32::NAN)).collect()),
        ),
        ("default_float", Attribute::Float(categories.len() as f32)),
    ];
    let code = graph.ml("LabelEncoder", &[raw], &attributes);
    graph.cast(&code, ElementType::Double)
}

/// The same for categories of numbers: the dictionary holds their texts.
fn code_of_number(graph: &mut Graph, raw: &Tensor, categories: &[String], data_type: DataType) -> Tensor {
    let key = |text: &String| match Value::text(text.as_str()).cast(data_type) {
        Ok(Value::Time(it)) => it.0 as f64,
        // A text that is no value of the type is met by none.
        Ok(value) => value.as_f64().unwrap_or(f64::NAN),
        Err(_) => f64::NAN,
    };
    let n = categories.len();
    let keys: Vec<f64> = categories.iter().map(key).collect();
    let codes: Vec<f64> = (0..n).map(|it| it as f64 - n as f64).collect();
    let (keys, codes) = (graph.numbers(&[n], &keys), graph.numbers(&[n], &codes));
    let opened = graph.opened(raw, -1);
    let hits = graph.op("Equal", &[&opened, &keys]);
    let hits = graph.cast(&hits, ElementType::Double);
    let (other, missing) = (graph.number(n as f64), graph.number(f64::NAN));
    // At most one key is met; without one the code is the last.
    let below = graph.mul(&hits, &codes);
    let below = graph.sum(&below, -1, false);
    let code = graph.add(&below, &other);
    let is_missing = graph.is_nan(raw);
    graph.choose(&is_missing, &missing, &code)
}
