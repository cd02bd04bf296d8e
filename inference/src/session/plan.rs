//! `session.json`: which columns a graph's inputs take and which numbers of which output are the answer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::InferenceError;
use crate::import::refused;
use crate::listing::list;
use crate::onnx::proto::ModelView;
use crate::onnx::{ElementType, GraphShape, GraphValue, describe};

/// What this build reads.
pub(super) const FORMAT: u32 = 1;

/// Domains whose operators come with the library.
const OWN_DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// Operators that look into texts: categories alone cannot stand for them.
const TEXT_OPERATORS: [&str; 7] = [
    "RegexFullMatch",
    "StringConcat",
    "StringNormalizer",
    "StringSplit",
    "TfIdfVectorizer",
    "Tokenizer",
    "StringLower",
];

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub format: u32,
    #[serde(deserialize_with = "list")]
    pub inputs: Vec<Block>,
    /// Name of the output that is the answer.
    pub output: String,
    /// The one number of each row that counts, where not all do: the second of a binary classifier's two probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<usize>,
}

/// One input of the graph: a tensor of `width` columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub width: usize,
    /// Whether the tensor is `[rows]` and not `[rows, width]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flat: bool,
    /// Of texts: what the codes stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub categories: Vec<Box<str>>,
}

/// Types of tensors that a matrix can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Float,
    Double,
    Int32,
    Int64,
    Bool,
    String,
}

impl Plan {
    /// What the graph itself says of its inputs; the output is the caller's.
    pub(super) fn of_graph(file: &str, bytes: &[u8], output: String) -> Result<Self, InferenceError> {
        let shape = describe(file, bytes)?;
        let inputs: Result<Vec<Block>, String> = shape.inputs.iter().map(|it| block(it, bytes)).collect();
        Ok(Self {
            format: FORMAT,
            inputs: inputs.map_err(|reason| refused(file, reason))?,
            output,
            only: None,
        })
    }

    /// Whether both send the graph the same tensors.
    pub(super) fn takes_the_same(&self, other: &Self) -> bool {
        let tensors = |it: &Self| -> Vec<_> {
            let tensor = |it: &Block| (it.name.clone(), it.kind, it.width, it.flat);
            it.inputs.iter().map(tensor).collect()
        };
        tensors(self) == tensors(other)
    }

    /// Columns of the matrix.
    pub(super) fn n_columns(&self) -> usize {
        self.inputs.iter().map(|it| it.width).fold(0, usize::saturating_add)
    }
}

impl Block {
    /// A name per column.
    pub(super) fn column_names(&self, is_only: bool) -> Vec<String> {
        match (self.width, is_only) {
            (1, _) => vec![self.name.clone()],
            (_, true) => (0..self.width).map(|it| format!("f{it}")).collect(),
            (_, false) => (0..self.width).map(|it| format!("{}_{it}", self.name)).collect(),
        }
    }
}

/// Refuses what would need files or libraries beside the graph.
pub(super) fn check_closed(shape: &GraphShape) -> Result<(), String> {
    if shape.external_data {
        return Err("its numbers lie in files beside it; save it again as one file (onnx.save with save_as_external_data=False)".to_owned());
    }
    match shape
        .domains
        .iter()
        .find(|(domain, _)| !OWN_DOMAINS.contains(&domain.as_str()))
    {
        Some((domain, _)) => Err(format!(
            "it uses operators of `{domain}`, which need a library of their own; export it with standard operators only"
        )),
        None => Ok(()),
    }
}

/// More columns than any table has: a graph may claim any number.
const MAX_COLUMNS: usize = 1 << 16;

fn block(input: &GraphValue, bytes: &[u8]) -> Result<Block, String> {
    let name = &input.name;
    let Some((element, dims)) = &input.tensor else {
        return Err(format!("its input `{name}` is no tensor"));
    };
    let (width, flat) = match dims[..] {
        [_] => (1, true),
        [_, Some(width)] if (1..=MAX_COLUMNS).contains(&width) => (width, false),
        [_, None] => {
            return Err(format!(
                "its input `{name}` does not say how many columns it takes; export it with a fixed number"
            ));
        }
        _ => {
            return Err(format!(
                "its input `{name}` has shape {dims:?}; tables are [rows, columns]"
            ));
        }
    };
    let kind = kind(*element).ok_or_else(|| format!("its input `{name}` takes {element:?}, which no column holds"))?;
    let categories = match kind {
        Kind::String => categories(name, bytes)?,
        _ => Vec::new(),
    };
    Ok(Block {
        name: name.clone(),
        kind,
        width,
        flat,
        categories,
    })
}

fn kind(element: ElementType) -> Option<Kind> {
    match element {
        ElementType::Float => Some(Kind::Float),
        ElementType::Double => Some(Kind::Double),
        ElementType::Int32 => Some(Kind::Int32),
        ElementType::Int64 => Some(Kind::Int64),
        ElementType::Bool => Some(Kind::Bool),
        ElementType::String => Some(Kind::String),
        ElementType::Other(_) => None,
    }
}

/// The texts that the graph tells apart: those of the nodes that read the input, else those of all nodes.
fn categories(input: &str, bytes: &[u8]) -> Result<Vec<Box<str>>, String> {
    let graph = ModelView::read(bytes)?.graph();
    if let Some(node) = graph.nodes().find(|it| TEXT_OPERATORS.contains(&it.operator())) {
        return Err(format!(
            "its `{}` looks into texts, which reach a graph here as categories only; do this step before the model",
            node.operator()
        ));
    }
    let texts = |direct: bool| -> Vec<Box<str>> {
        let nodes = graph.nodes().filter(|it| !direct || it.inputs().any(|it| it == input));
        let texts = nodes.flat_map(|it| [it.texts("cats_strings"), it.texts("keys_strings")].concat());
        let mut seen = BTreeSet::new();
        texts.filter(|it| seen.insert(*it)).map(Box::from).collect()
    };
    let found = Some(texts(true))
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| texts(false));
    match found.is_empty() {
        true => Err(format!(
            "its input `{input}` takes text, but no node lists the categories"
        )),
        false => Ok(found),
    }
}
