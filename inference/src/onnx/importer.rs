//! A graph, followed symbolically from its inputs to its outputs: what each tensor is in terms of the raw inputs.
//!
//! Operators that converters put around a model (casts, scalers, imputers, encoders, label outputs, maps of probabilities) are
//! understood; at any other the graph is left to a session. Nothing is computed and nothing is guessed.

use std::collections::HashMap;
use std::rc::Rc;

use foretell_features::DataType;

use super::affine::Affine;
use super::columns::{Change, Column, Reading, Table};
use super::ensemble::{self, Ensemble};
use super::proto::{ElementType, ModelView, NodeView, TensorView, any_tensor};
use super::scores::Scores;
use super::{GraphValue, Refusal};
use crate::import::{Imported, ImportedInput};
use crate::preprocessing::InputEncoding;

/// Columns that a short file may have; a longer one may have one for each eight of its bytes.
const MIN_COLUMNS: usize = 1024;

/// Turns the graph of a checked model into one of our predictors.
pub(super) fn import(model: ModelView<'_>, inputs: &[GraphValue], n_bytes: usize) -> Result<Imported, Refusal> {
    let graph = model.graph();
    if model.has_functions() || graph.has_sparse() || any_tensor(graph, &mut |it| it.is_external()) {
        return Err(Refusal::other(
            "it has functions of its own, sparse tensors or files beside it",
        ));
    }
    let mut tracer = Tracer::new(inputs, n_bytes)?;
    for tensor in graph.initializers() {
        tracer.define(tensor.name(), Held::Constant(tensor))?;
    }
    for node in graph.nodes() {
        tracer.follow(node)?;
    }
    let mut scores = None;
    for output in graph.outputs() {
        match tracer.held.get(output.name()) {
            None => return Err(Refusal::broken(format!("nothing gives its output `{}`", output.name()))),
            Some(Held::Labels) => {}
            Some(Held::Scores(it)) if scores.is_none() => scores = Some(Rc::clone(it)),
            Some(_) => {
                return Err(Refusal::other(format!(
                    "its output `{}` is no model's answer",
                    output.name()
                )));
            }
        }
    }
    let scores = scores.ok_or_else(|| Refusal::other("none of its outputs is a model's answer"))?;
    tracer.held.clear();
    let scores = Rc::try_unwrap(scores).map_err(|_| Refusal::other("its answer is given twice"))?;
    let (name, version) = model.producer();
    let origin = match name {
        "" => "onnx".to_owned(),
        name => format!("onnx ({})", format!("{name} {version}").trim_end()),
    };
    scores.imported(tracer.inputs, origin)
}

/// What a tensor stands for.
#[derive(Debug, Clone)]
enum Held<'a> {
    /// A column per raw input or per what was made of them.
    Columns(Rc<[Column]>, ElementType),
    /// Numbers or texts of the file.
    Constant(TensorView<'a>),
    /// A model's answer.
    Scores(Rc<Scores>),
    /// The class with the best answer.
    Labels,
}

#[derive(Debug)]
struct Tracer<'a> {
    held: HashMap<&'a str, Held<'a>>,
    inputs: Vec<ImportedInput>,
    /// How much may still be copied: keeps the work in proportion to the file.
    budget: usize,
}

impl<'a> Tracer<'a> {
    fn new(values: &'a [GraphValue], n_bytes: usize) -> Result<Self, Refusal> {
        let mut it = Self {
            held: HashMap::new(),
            inputs: Vec::new(),
            budget: 16 * MIN_COLUMNS + n_bytes / 2,
        };
        let most = MIN_COLUMNS.max(n_bytes / 8);
        for value in values {
            it.input(value, values.len() == 1, most)?;
        }
        Ok(it)
    }

    /// A tensor of one column has the tensor's name; a wide one's columns are numbered.
    fn input(&mut self, value: &'a GraphValue, alone: bool, most: usize) -> Result<(), Refusal> {
        let name = &value.name;
        let (element, dims) = value
            .tensor
            .as_ref()
            .ok_or_else(|| Refusal::other(format!("its input `{name}` is no tensor")))?;
        let data_type = match element {
            ElementType::Float | ElementType::Double => DataType::Double,
            ElementType::Int64 | ElementType::Int32 => DataType::Int64,
            ElementType::Bool => DataType::Boolean,
            ElementType::String => DataType::String,
            ElementType::Other(_) => return Err(Refusal::other(format!("its input `{name}` is {element:?}"))),
        };
        let width = match dims[..] {
            [] | [_] => 1,
            [_, Some(width)] if width + self.inputs.len() <= most => width,
            _ => {
                return Err(Refusal::other(format!(
                    "its input `{name}` has no fixed, moderate number of columns"
                )));
            }
        };
        let first = self.inputs.len();
        for at in 0..width {
            self.inputs.push(ImportedInput {
                name: match (width, alone) {
                    (1, _) => name.clone(),
                    (_, true) => format!("f{at}"),
                    _ => format!("{name}_{at}"),
                },
                data_type,
                encoding: InputEncoding::Numeric,
            });
        }
        let reading = match element {
            ElementType::String => Reading::Text,
            ElementType::Float => Reading::Number(vec![Change::Single]),
            _ => Reading::Number(Vec::new()),
        };
        let column = |at: usize| Column {
            input: at as u32,
            reading: reading.clone(),
        };
        let columns = (first..first + width).map(column).collect();
        self.define(name, Held::Columns(columns, *element))
    }

    fn define(&mut self, name: &'a str, held: Held<'a>) -> Result<(), Refusal> {
        match self.held.insert(name, held) {
            None => Ok(()),
            Some(_) => Err(Refusal::broken(format!("two of its parts give `{name}`"))),
        }
    }

    fn get(&self, node: NodeView<'a>, at: usize) -> Result<Held<'a>, Refusal> {
        let name = node.input(at);
        let missing = || {
            let operator = node.operator();
            Refusal::broken(format!("`{operator}` takes `{name}`, which nothing before it gives"))
        };
        self.held.get(name).cloned().ok_or_else(missing)
    }

    fn columns(&self, node: NodeView<'a>, at: usize) -> Result<(Rc<[Column]>, ElementType), Refusal> {
        match self.get(node, at)? {
            Held::Columns(columns, element) => Ok((columns, element)),
            _ => Err(Refusal::other(format!(
                "`{}` is given no columns of the input",
                node.operator()
            ))),
        }
    }

    fn constant(&self, node: NodeView<'a>, at: usize) -> Result<TensorView<'a>, Refusal> {
        match self.get(node, at)? {
            Held::Constant(it) => Ok(it),
            _ => Err(Refusal::other(format!("`{}` is given no constant", node.operator()))),
        }
    }

    fn spend(&mut self, columns: &[Column]) -> Result<(), Refusal> {
        let cost: usize = columns.iter().map(Column::size).sum();
        self.budget = self
            .budget
            .checked_sub(cost)
            .ok_or_else(|| Refusal::other("it makes very many columns"))?;
        Ok(())
    }

    /// Says what a node's outputs are.
    fn follow(&mut self, node: NodeView<'a>) -> Result<(), Refusal> {
        let mut outputs = node.outputs();
        let first = outputs.next().unwrap_or_default();
        let unknown = || Refusal::other(format!("it has the operator `{}`", node.operator()));
        let held = match (node.domain(), node.operator()) {
            ("" | "ai.onnx", "Constant") => Held::Constant(node.tensor("value").ok_or_else(unknown)?),
            ("" | "ai.onnx", "Identity" | "Dropout") => self.get(node, 0)?,
            ("" | "ai.onnx", "Cast") => self.cast(node)?,
            ("" | "ai.onnx", "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze") => self.reshaped(node)?,
            ("" | "ai.onnx", "Concat") => self.joined(node)?,
            ("" | "ai.onnx", "Gather") => self.picked(node, node.int("axis") == Some(1))?,
            ("" | "ai.onnx", "Add" | "Sub" | "Mul" | "Div") => self.arithmetic(node)?,
            ("" | "ai.onnx", "MatMul" | "Gemm") => self.product(node)?,
            ("" | "ai.onnx", "Sigmoid" | "Exp" | "Softmax") => self.linked(node)?,
            ("" | "ai.onnx", "ArgMax") => match self.get(node, 0)? {
                Held::Scores(_) => Held::Labels,
                _ => return Err(unknown()),
            },
            ("ai.onnx.ml", "FeatureVectorizer") => self.joined(node)?,
            ("ai.onnx.ml", "ArrayFeatureExtractor") => match self.get(node, 0)? {
                Held::Labels => Held::Labels,
                // Names of classes, picked by the best one.
                Held::Constant(_) if matches!(self.get(node, 1)?, Held::Labels) => Held::Labels,
                _ => self.picked(node, true)?,
            },
            ("ai.onnx.ml", "Scaler") => self.scaled(node)?,
            ("ai.onnx.ml", "Imputer") => self.imputed(node)?,
            ("ai.onnx.ml", "LabelEncoder") => self.encoded(node)?,
            ("ai.onnx.ml", "OneHotEncoder") => self.one_hot(node)?,
            ("ai.onnx.ml", "TreeEnsembleRegressor") => self.trees(node, ensemble::numbered)?,
            ("ai.onnx.ml", "TreeEnsemble") => self.trees(node, ensemble::listed)?,
            ("ai.onnx.ml", "LinearRegressor") => self.linear_regressor(node)?,
            ("ai.onnx.ml", "TreeEnsembleClassifier" | "LinearClassifier") => {
                let scores = match node.operator() {
                    "LinearClassifier" => self.linear_classifier(node)?,
                    _ => self.trees(node, ensemble::numbered)?,
                };
                self.define(first, Held::Labels)?;
                return match outputs.next().filter(|it| !it.is_empty()) {
                    Some(second) => self.define(second, scores),
                    None => Ok(()),
                };
            }
            ("ai.onnx.ml", "Normalizer") => self.normalized(node)?,
            ("ai.onnx.ml", "ZipMap") => match self.get(node, 0)? {
                Held::Scores(it) => Held::Scores(it),
                _ => return Err(unknown()),
            },
            _ => return Err(unknown()),
        };
        if node.attributes().any(|it| it.has_graph()) {
            return Err(unknown());
        }
        // Only the first output of these operators is used by converters.
        self.define(first, held)
    }

    fn cast(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let to = ElementType::of(node.int("to").unwrap_or(0));
        let (columns, from) = match self.get(node, 0)? {
            Held::Columns(columns, from) => (columns, from),
            Held::Labels => return Ok(Held::Labels),
            Held::Scores(it) if matches!(to, ElementType::Float | ElementType::Double) => return Ok(Held::Scores(it)),
            _ => return Err(Refusal::other("it casts what is no column of the input")),
        };
        match (from, to) {
            (_, ElementType::Double) if from != ElementType::String => Ok(Held::Columns(columns, to)),
            (ElementType::Float, ElementType::Float) => Ok(Held::Columns(columns, to)),
            (_, ElementType::Float) if from != ElementType::String => self.changed(&columns, to, |_| Change::Single),
            (ElementType::Bool | ElementType::Int32 | ElementType::Int64, ElementType::Int32 | ElementType::Int64) => {
                Ok(Held::Columns(columns, to))
            }
            (ElementType::String, ElementType::String) => Ok(Held::Columns(columns, to)),
            _ => Err(Refusal::other(format!("it casts {from:?} to {to:?}"))),
        }
    }

    /// The same change to each column, or each its own.
    fn changed(
        &mut self,
        columns: &[Column],
        element: ElementType,
        change: impl Fn(usize) -> Change,
    ) -> Result<Held<'a>, Refusal> {
        self.spend(columns)?;
        let single = element == ElementType::Float;
        let changed = columns
            .iter()
            .enumerate()
            .map(|(at, it)| it.changed(change(at), single));
        let changed: Result<Rc<[Column]>, String> = changed.collect();
        Ok(Held::Columns(changed.map_err(Refusal::Other)?, element))
    }

    /// Shapes of rows stay what they are: `[n, k]` for k columns, `[n]` or `[n, 1]` for one.
    fn reshaped(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let held = self.get(node, 0)?;
        let width = match &held {
            Held::Columns(columns, _) => columns.len(),
            Held::Scores(it) => it.width(),
            Held::Labels => return Ok(held),
            Held::Constant(_) => return Err(Refusal::other("it shapes a constant")),
        };
        let keeps_rows = match node.operator() {
            "Flatten" => node.int("axis").unwrap_or(1) == 1,
            "Reshape" => {
                let shape = self.constant(node, 1)?.numbers().map_err(Refusal::Broken)?;
                let whole = |it: f64| it == -1.0 || it == 0.0;
                match shape[..] {
                    [rows] => whole(rows) && width == 1,
                    [rows, columns] => whole(rows) && (columns == width as f64 || (rows == 0.0 && columns == -1.0)),
                    _ => false,
                }
            }
            _ => width == 1,
        };
        if keeps_rows {
            Ok(held)
        } else {
            Err(Refusal::other(format!(
                "`{}` gives rows another shape",
                node.operator()
            )))
        }
    }

    fn joined(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let is_columns = node.operator() == "FeatureVectorizer" || matches!(node.int("axis"), Some(1 | -1));
        if !is_columns {
            return Err(Refusal::other("it joins rows"));
        }
        if let Held::Scores(first) = self.get(node, 0)? {
            return match self.get(node, 1)? {
                Held::Scores(second) if node.inputs().count() == 2 => Scores::complement(&first, &second).map(held),
                _ => Err(Refusal::other("it joins answers")),
            };
        }
        let mut columns = Vec::new();
        let mut element = None;
        for at in 0..node.inputs().count() {
            let (part, its) = self.columns(node, at)?;
            if *element.get_or_insert(its) != its {
                return Err(Refusal::other("it joins columns of different types"));
            }
            self.spend(&part)?;
            columns.extend_from_slice(&part);
        }
        Ok(Held::Columns(columns.into(), element.unwrap_or(ElementType::Float)))
    }

    fn picked(&mut self, node: NodeView<'a>, of_columns: bool) -> Result<Held<'a>, Refusal> {
        let which = self.constant(node, 1)?.numbers().map_err(Refusal::Broken)?;
        if !of_columns {
            return Err(Refusal::other("it picks rows"));
        }
        match self.get(node, 0)? {
            Held::Scores(it) => it.picked(&which).map(held),
            Held::Columns(columns, element) => {
                let pick = |at: &f64| columns.get(*at as usize).filter(|_| *at >= 0.0).cloned();
                let picked: Option<Vec<Column>> = which.iter().map(pick).collect();
                let picked = picked.ok_or_else(|| Refusal::broken("it picks a column that is not there"))?;
                self.spend(&picked)?;
                Ok(Held::Columns(picked.into(), element))
            }
            _ => Err(Refusal::other(format!(
                "`{}` picks from what is no column",
                node.operator()
            ))),
        }
    }

    fn scaled(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let (columns, element) = self.columns(node, 0)?;
        let (offset, scale) = (numbers(node, "offset")?, numbers(node, "scale")?);
        let n = columns.len();
        if ![1, n].contains(&offset.len()) || ![1, n].contains(&scale.len()) {
            return Err(Refusal::broken(
                "its Scaler has another number of columns than it is given",
            ));
        }
        // Whatever comes in, a Scaler gives float32.
        let shifted = self.changed(&columns, ElementType::Float, |at| {
            Change::Add(-offset[at.min(offset.len() - 1)])
        })?;
        let _ = element;
        match shifted {
            Held::Columns(columns, element) => {
                self.changed(&columns, element, |at| Change::Multiply(scale[at.min(scale.len() - 1)]))
            }
            other => Ok(other),
        }
    }

    fn imputed(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let (columns, element) = self.columns(node, 0)?;
        let replaced = node.attribute("replaced_value_float").and_then(|it| it.float());
        let fills = numbers(node, "imputed_value_floats")?;
        if !replaced.is_some_and(f32::is_nan) || !(fills.len() == columns.len() || fills.len() == 1) {
            return Err(Refusal::other(
                "its Imputer replaces something else than missing numbers",
            ));
        }
        self.changed(&columns, element, |at| Change::Fill(fills[at.min(fills.len() - 1)]))
    }

    /// Text becomes a number by the file's table.
    fn encoded(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let (columns, element) = match self.get(node, 0)? {
            Held::Labels => return Ok(Held::Labels),
            Held::Columns(columns, element) => (columns, element),
            _ => return Err(Refusal::other("it encodes what is no column of the input")),
        };
        let keys = match node.tensor("keys_tensor") {
            Some(it) if element == ElementType::String => it.texts().map_err(Refusal::Broken)?,
            _ => node.texts("keys_strings"),
        };
        let (values, default) = encoder_values(node)?;
        if element != ElementType::String || keys.is_empty() || keys.len() != values.len() {
            return Err(Refusal::other("it encodes something else than text by a table"));
        }
        let to = if node.attribute("values_floats").is_some() {
            ElementType::Float
        } else {
            ElementType::Int64
        };
        let columns: Result<Vec<Column>, Refusal> = columns
            .iter()
            .map(|it| self.table(it, keys.iter().copied().zip(values.iter().copied()), default))
            .collect();
        let columns = columns?;
        self.spend(&columns)?;
        Ok(Held::Columns(columns.into(), to))
    }

    /// One column per category.
    fn one_hot(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let (columns, element) = self.columns(node, 0)?;
        let categories = node.texts("cats_strings");
        let known = element == ElementType::String && !categories.is_empty() && node.int("zeros").unwrap_or(1) == 1;
        if !known {
            return Err(Refusal::other(
                "its OneHotEncoder is not of text, or refuses unknown categories",
            ));
        }
        let mut made = Vec::new();
        for column in columns.iter() {
            for at in 0..categories.len() {
                let hot = categories.iter().skip(at).take(1).map(|it| (*it, 1.0));
                made.push(self.table(column, hot, 0.0)?);
            }
        }
        self.spend(&made)?;
        Ok(Held::Columns(made.into(), ElementType::Float))
    }

    /// A column of numbers by the text of `column`. A text whose number is NaN is how the file spells a missing one.
    fn table<'k>(
        &mut self,
        column: &Column,
        entries: impl Iterator<Item = (&'k str, f64)>,
        other: f64,
    ) -> Result<Column, Refusal> {
        if column.reading != Reading::Text {
            return Err(Refusal::other("it encodes numbers as categories"));
        }
        let input = &mut self.inputs[column.input as usize];
        if input.encoding == InputEncoding::Numeric {
            input.encoding = InputEncoding::Category { categories: Vec::new() };
        }
        let InputEncoding::Category { categories } = &mut input.encoding else {
            return Err(Refusal::other("it encodes numbers as categories"));
        };
        let mut table = Table {
            values: Vec::new(),
            other,
            missing: other,
        };
        let mut codes: HashMap<String, u32> = categories.iter().cloned().zip(0..).collect();
        self.budget = self
            .budget
            .checked_sub(categories.len())
            .ok_or_else(|| Refusal::other("it makes very many columns"))?;
        for (key, value) in entries {
            if value.is_nan() {
                table.missing = f64::NAN;
                continue;
            }
            let code = *codes.entry(key.to_owned()).or_insert_with(|| {
                categories.push(key.to_owned());
                categories.len() as u32 - 1
            });
            table.values.push((code, value));
        }
        table.values.sort_by_key(|it| it.0);
        if table.values.windows(2).any(|it| it[0].0 == it[1].0) {
            return Err(Refusal::broken("its encoder has a category twice"));
        }
        Ok(Column {
            input: column.input,
            reading: Reading::Table(table),
        })
    }

    fn arithmetic(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let (first, second) = (self.get(node, 0)?, self.get(node, 1)?);
        let operator = node.operator();
        let of = |it: TensorView<'a>| it.numbers().map_err(Refusal::Broken);
        match (first, second) {
            (Held::Columns(columns, element), Held::Constant(by)) => {
                let by = of(by)?;
                if by.len() != 1 && by.len() != columns.len() {
                    return Err(Refusal::other(format!(
                        "`{operator}` is with another number of columns"
                    )));
                }
                let by = |at: usize| by[at.min(by.len() - 1)];
                self.changed(&columns, element, |at| match operator {
                    "Add" => Change::Add(by(at)),
                    "Sub" => Change::Add(-by(at)),
                    "Mul" => Change::Multiply(by(at)),
                    _ => Change::Divide(by(at)),
                })
            }
            (Held::Scores(it), Held::Constant(by)) => it.changed(operator, &of(by)?).map(held),
            (Held::Constant(by), Held::Scores(it)) => it.subtracted_from(operator, &of(by)?).map(held),
            _ => Err(Refusal::other(format!(
                "it has the operator `{operator}` between columns"
            ))),
        }
    }

    fn product(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let (columns, _) = self.columns(node, 0)?;
        let matrix = self.constant(node, 1)?;
        let (dims, numbers) = (matrix.dims(), matrix.numbers().map_err(Refusal::Broken)?);
        let n = columns.len();
        let k = numbers.len() / n.max(1);
        let is_float = |name: &str| {
            node.attribute(name)
                .and_then(|it| it.float())
                .is_none_or(|it| it == 1.0)
        };
        let turned = node.int("transB") == Some(1);
        let fits = n > 0
            && n * k == numbers.len()
            && dims.len() == 2
            && dims
                == if turned {
                    [k as i64, n as i64]
                } else {
                    [n as i64, k as i64]
                };
        if !fits || k == 0 || node.int("transA") == Some(1) || !is_float("alpha") || !is_float("beta") {
            return Err(Refusal::other(format!(
                "`{}` is no product of the columns with their coefficients",
                node.operator()
            )));
        }
        let intercepts = match node.inputs().nth(2).filter(|it| !it.is_empty()) {
            Some(_) => self.constant(node, 2)?.numbers().map_err(Refusal::Broken)?,
            None => vec![0.0],
        };
        if ![1, k].contains(&intercepts.len()) {
            return Err(Refusal::other("`Gemm` adds something else than one number per output"));
        }
        let output = |at: usize| {
            let weights: Vec<f64> = (0..n)
                .map(|it| {
                    if turned {
                        numbers[at * n + it]
                    } else {
                        numbers[it * k + at]
                    }
                })
                .collect();
            Affine::new(&columns, &weights, intercepts[at.min(intercepts.len() - 1)])
        };
        self.linear((0..k).map(output).collect::<Result<_, _>>()?, Vec::new())
    }

    fn linear_regressor(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        if node.text("post_transform").unwrap_or("NONE") != "NONE" {
            return Err(Refusal::other("its linear model transforms its answer"));
        }
        let k = usize::try_from(node.int("targets").unwrap_or(1)).unwrap_or(0);
        let outputs = self.outputs_of(node, k)?;
        self.linear(outputs, Vec::new())
    }

    fn linear_classifier(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        let texts = node.texts("classlabels_strings");
        let numbers = node.ints("classlabels_ints");
        let classes: Vec<String> = if texts.is_empty() {
            numbers.iter().map(ToString::to_string).collect()
        } else {
            texts.into_iter().map(str::to_owned).collect()
        };
        let k = node
            .attribute("intercepts")
            .map_or(classes.len(), |it| it.floats().count());
        let outputs = self.outputs_of(node, k)?;
        let transform = node.text("post_transform").unwrap_or("NONE").to_owned();
        match self.linear(outputs, classes)? {
            Held::Scores(it) => Rc::try_unwrap(it)
                .expect("it was made just now")
                .transformed(&transform)
                .map(held),
            other => Ok(other),
        }
    }

    fn outputs_of(&self, node: NodeView<'a>, k: usize) -> Result<Vec<Affine>, Refusal> {
        let (columns, _) = self.columns(node, 0)?;
        let (coefficients, intercepts) = (numbers(node, "coefficients")?, numbers(node, "intercepts")?);
        let n = columns.len();
        if k == 0 || n == 0 || coefficients.len() != n * k || !(intercepts.is_empty() || intercepts.len() == k) {
            return Err(Refusal::broken(format!(
                "its linear model has {} coefficients for {n} columns and {k} outputs",
                coefficients.len()
            )));
        }
        let output = |at: usize| {
            let intercept = intercepts.get(at).copied().unwrap_or(0.0);
            Affine::new(&columns, &coefficients[at * n..(at + 1) * n], intercept)
        };
        (0..k).map(output).collect()
    }

    fn linear(&mut self, outputs: Vec<Affine>, classes: Vec<String>) -> Result<Held<'a>, Refusal> {
        Ok(held(Scores::linear(outputs, classes)))
    }

    fn trees(
        &mut self,
        node: NodeView<'a>,
        read: fn(NodeView<'_>, &[Column]) -> Result<Ensemble, Refusal>,
    ) -> Result<Held<'a>, Refusal> {
        let (columns, element) = self.columns(node, 0)?;
        // Integers are compared as float32.
        let columns = match element {
            ElementType::Int32 | ElementType::Int64 => match self.changed(&columns, element, |_| Change::Single)? {
                Held::Columns(columns, _) => columns,
                _ => columns,
            },
            _ => columns,
        };
        Scores::trees(read(node, &columns)?, node.operator() != "TreeEnsembleClassifier").map(held)
    }

    fn linked(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        match self.get(node, 0)? {
            Held::Scores(it) => it.linked(node.operator()).map(held),
            _ => Err(Refusal::other(format!(
                "it has the operator `{}` on columns",
                node.operator()
            ))),
        }
    }

    fn normalized(&mut self, node: NodeView<'a>) -> Result<Held<'a>, Refusal> {
        match self.get(node, 0)? {
            Held::Scores(it) if node.text("norm") == Some("L1") && it.sums_to_one() => Ok(Held::Scores(it)),
            _ => Err(Refusal::other(
                "it normalizes something else than probabilities that sum to 1",
            )),
        }
    }
}

fn held<'a>(scores: Scores) -> Held<'a> {
    Held::Scores(Rc::new(scores))
}

fn numbers(node: NodeView<'_>, name: &str) -> Result<Vec<f64>, Refusal> {
    let numbers = node.numbers(name).map_err(Refusal::Broken)?;
    if numbers.iter().all(|it| it.is_finite()) {
        Ok(numbers)
    } else {
        Err(Refusal::broken(format!(
            "the {name} of `{}` are not finite",
            node.operator()
        )))
    }
}

/// What a LabelEncoder gives for its keys, and for anything else.
fn encoder_values(node: NodeView<'_>) -> Result<(Vec<f64>, f64), Refusal> {
    let refuse = || Refusal::other("it encodes text as something else than numbers");
    if let Some(it) = node.tensor("values_tensor") {
        let default = node.tensor("default_tensor").ok_or_else(refuse)?;
        let default = default.numbers().map_err(Refusal::Broken)?;
        return Ok((
            it.numbers().map_err(Refusal::Broken)?,
            *default.first().ok_or_else(refuse)?,
        ));
    }
    if let Some(it) = node.attribute("values_floats") {
        let default = node
            .attribute("default_float")
            .and_then(|it| it.float())
            .unwrap_or(-0.0);
        return Ok((it.floats().map(f64::from).collect(), f64::from(default)));
    }
    let it = node.attribute("values_int64s").ok_or_else(refuse)?;
    Ok((
        it.ints().map(|it| it as f64).collect(),
        node.int("default_int64").unwrap_or(-1) as f64,
    ))
}
